// What a server tells of who meets by a code, and the messages of the number to
// compare: each line is a peer's metadata, a call's, and a message to both
// sides. Nothing that a peer says makes a side say its nonce twice.

#include <cstdint>
#include <string>

#include "absl/strings/str_split.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/code/code_meeting.h"
#include "tools/kyuu/code/short_number.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kyuu::tools;
  kyuu::SeededRandom random(1);
  const Code code = *Code::Parse("4821-orchard-violin");
  CodeMeeting sender(absl::UnixEpoch(), CodeRole::kSender, code, random);
  CodeMeeting receiver(absl::UnixEpoch(), CodeRole::kReceiver, code, random);
  ShortNumber caller(NumberRole::kCaller, {}, {}, random);
  ShortNumber callee(NumberRole::kCallee, {}, {}, random);
  (void)caller.PollMessage();
  size_t calls = 0, lines = 0, of_caller = 0, of_callee = 0;
  for (const auto line : absl::StrSplit(kyuu::AsText({data, size}), '\n')) {
    ++lines;
    sender.HandlePeer(std::to_string(lines), line);
    receiver.HandlePeer(std::to_string(lines), line);
    KYUU_CHECK(!sender.IsCall(line));
    (void)receiver.IsCall(line);
    const auto message =
        nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
    for (ShortNumber* side : {&caller, &callee}) side->HandleMessage(message);
    if (caller.PollMessage()) ++of_caller;
    if (callee.PollMessage()) ++of_callee;
  }
  while (sender.WhomToCall()) ++calls;
  KYUU_CHECK(calls <= CodeMeeting::kWaitingMax && calls <= lines);
  KYUU_CHECK(of_caller <= 1 && of_callee <= 1);
  KYUU_CHECK(caller.number().has_value() == (of_caller == 1));
  return 0;
}
