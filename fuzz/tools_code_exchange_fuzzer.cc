// The messages that prove a code: the first byte says which side hears them and
// whether an honest other side has spoken before; each line of the rest is a
// message. Who has not the words never gets to an exchange that is proven. And
// the same bytes as a code that somebody typed.

#include <cstdint>
#include <string>

#include "absl/strings/str_split.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/code/code_exchange.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kyuu::tools;
  if (size == 0) return 0;
  const auto text = kyuu::AsText({data + 1, size - 1});
  if (const auto typed = Code::Parse(text); typed.ok()) {
    KYUU_CHECK(Code::Parse(typed->Text())->Text() == typed->Text());
  }
  kyuu::SeededRandom random(1);
  const Code code = *Code::Parse("4821-orchard-violin");
  const absl::Time now = absl::UnixEpoch();
  CodeExchange sender(now, CodeRole::kSender, code, {}, random);
  CodeExchange receiver(now, CodeRole::kReceiver, code, {}, random);
  CodeExchange& side = data[0] % 2 == 0 ? sender : receiver;
  const nlohmann::json start = *sender.PollMessage();
  if (data[0] / 2 % 2 == 1) receiver.HandleMessage(start);
  for (const auto line : absl::StrSplit(text, '\n')) {
    side.HandleMessage(
        nlohmann::json::parse(line.begin(), line.end(), nullptr, false));
    const auto said = side.PollMessage();
    KYUU_CHECK(!said || CodeExchange::IsType((*said)["type"]));
  }
  KYUU_CHECK(side.outcome() != CodeOutcome::kProven);
  side.HandleTimeout(side.NextTimeout());
  KYUU_CHECK(side.outcome().has_value() || side.NextTimeout() > now);
  return 0;
}
