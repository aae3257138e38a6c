// Multicast DNS messages: what is kept of them is bounded and well formed, and
// is the same after it was written and read again.

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "mdns/message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kyuu::mdns::Message;
  const absl::StatusOr<Message> message =
      kyuu::mdns::Parse(absl::MakeConstSpan(data, size));
  if (!message.ok()) return 0;
  KYUU_CHECK(message->questions.size() + message->records.size() <=
             kyuu::mdns::kMaxEntries);
  std::array<uint8_t, 600> bytes;
  for (const kyuu::mdns::Question& question : message->questions) {
    KYUU_CHECK(kyuu::mdns::Normalize(question.name) == question.name);
    kyuu::Writer w(absl::MakeSpan(bytes));
    WriteQuery(w, question);
    KYUU_CHECK(w.ok());
    const auto again = kyuu::mdns::Parse(w.written());
    KYUU_CHECK(again.ok() && !again->response && again->records.empty() &&
               again->questions.size() == 1 && again->questions[0] == question);
  }
  for (const kyuu::mdns::AddressRecord& record : message->records) {
    KYUU_CHECK(kyuu::mdns::Normalize(record.name) == record.name);
    kyuu::Writer w(absl::MakeSpan(bytes));
    WriteAnswer(w, record);
    KYUU_CHECK(w.ok());
    const auto again = kyuu::mdns::Parse(w.written());
    // An address of IPv4 in a record of IPv6 is one of IPv4.
    KYUU_CHECK(again.ok() && again->response && again->questions.empty() &&
               again->records.size() == 1 && again->records[0] == record);
  }
  return 0;
}
