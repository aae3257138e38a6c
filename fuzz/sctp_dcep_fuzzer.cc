// DCEP messages: what parses is written back as the same bytes and parses to
// the same message again.

#include <algorithm>
#include <cstdint>
#include <variant>
#include <vector>

#include "base/check.h"
#include "sctp/data_channel_state.h"
#include "sctp/dcep.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kyuu::sctp::DcepMessage;
  const auto payload = absl::MakeConstSpan(data, size);
  const absl::StatusOr<DcepMessage> message = kyuu::sctp::ParseDcep(payload);
  if (!message.ok()) return 0;
  const std::vector<uint8_t> bytes =
      std::visit([](const auto& m) { return m.Serialize(); }, *message);
  KYUU_CHECK(bytes.size() <= size);
  KYUU_CHECK(std::equal(bytes.begin(), bytes.end(), data));
  const absl::StatusOr<DcepMessage> again = kyuu::sctp::ParseDcep(bytes);
  KYUU_CHECK(again.ok() && *again == *message);
  // A configuration keeps all of an OPEN but what is beyond SCTP's limits.
  if (const auto* open = std::get_if<kyuu::sctp::DcepOpen>(&*message)) {
    const kyuu::sctp::DcepOpen back = ToOpen(kyuu::sctp::ToConfig(*open));
    KYUU_CHECK(back.label == open->label && back.protocol == open->protocol &&
               back.priority == open->priority &&
               back.ordering == open->ordering &&
               back.reliability == open->reliability);
  }
  return 0;
}
