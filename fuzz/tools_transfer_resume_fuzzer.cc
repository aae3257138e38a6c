// The messages by which a broken transfer goes on: the first two bytes give the
// size of the file, the rest is a message, read as each of them. And the plan
// for any amount of bytes.

#include <cstdint>

#include "base/bytes.h"
#include "base/check.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/transfer/resume_message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kyuu::tools;
  if (size < 2) return 0;
  const uint64_t bytes = uint64_t{data[0]} << (data[1] % 46);
  const auto text = kyuu::AsText({data + 2, size - 2});
  const auto start = ReadStart(text);
  if (start.ok()) KYUU_CHECK(*ReadStart(StartMessage(*start)) == *start);
  const auto message =
      nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (message.is_object()) {
    const auto version = ReadFileVersion(message);
    if (version) {
      KYUU_CHECK(ReadFileVersion({{"resume", ToJson(*version)}}) == version);
    }
    const auto checkpoints = ReadCheckpoints(message, bytes);
    if (checkpoints) {
      KYUU_CHECK(checkpoints->size() <= kCheckpointsMax);
      KYUU_CHECK(checkpoints->empty() || checkpoints->back().offset <= bytes);
      KYUU_CHECK(ReadCheckpoints({{"resume", ToJson(*checkpoints)}}, bytes) ==
                 checkpoints);
    }
  }
  const auto plan = PlanCheckpoints(bytes, 1 + data[1]);
  KYUU_CHECK(plan.size() <= kCheckpointsMax);
  KYUU_CHECK(bytes == 0 || plan.back() == bytes);
  return 0;
}
