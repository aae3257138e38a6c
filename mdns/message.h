// Multicast DNS messages (RFC 6762 section 18, RFC 1035 section 4), as far as
// names of addresses need them.

#ifndef KYUU_MDNS_MESSAGE_H_
#define KYUU_MDNS_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/random.h"

namespace kyuu::mdns {

// RFC 6762 section 3.
inline constexpr uint16_t kPort = 5353;
// 224.0.0.251 or ff02::fb; unspecified for the unspecified family.
TransportAddress GroupOf(IpFamily family);

// Where messages end, whatever is left of them (RFC 6762 section 17).
inline constexpr size_t kMaxMessageBytes = 9000;
// Questions and records that are read of one message; the others are ignored.
inline constexpr size_t kMaxEntries = 128;
// A name in text, without its last dot (RFC 1035 section 2.3.4).
inline constexpr size_t kMaxNameBytes = 253;

// What is asked for (RFC 1035 section 3.2.2, RFC 3596).
enum class QueryType : uint16_t { kA = 1, kAaaa = 28, kAny = 255 };
// The type of record that holds addresses of `family`.
QueryType TypeOf(IpFamily family);

// A question for the addresses of a host. Names are in lower case, without the
// last dot.
struct Question {
  std::string name;
  QueryType type = QueryType::kA;
  // Whether it may be answered to the asker alone (RFC 6762 section 5.4).
  bool unicast = false;

  friend bool operator==(const Question&, const Question&) = default;
};

// An A or AAAA record.
struct AddressRecord {
  std::string name;
  IpAddress ip;
  absl::Duration ttl;  // Whole seconds; 0 takes the record back.

  friend bool operator==(const AddressRecord&, const AddressRecord&) = default;
};

struct Message {
  uint16_t id = 0;
  bool response = false;
  std::vector<Question> questions;
  // Of a response all addresses in it; of a query what the asker knows already
  // (RFC 6762 section 7.1).
  std::vector<AddressRecord> records;

  friend bool operator==(const Message&, const Message&) = default;
};

// Reads a message, of which only what is about addresses of hosts is kept.
// INVALID_ARGUMENT if it is malformed or too long, UNIMPLEMENTED for opcodes
// and response codes other than 0 (RFC 6762 sections 18.3 and 18.11).
absl::StatusOr<Message> Parse(absl::Span<const uint8_t> bytes);

// The name in the form that messages have it in: lower case, without a last
// dot. nullopt if it is no name of a host: letters, digits, '-' and '_' in
// labels of 63 characters at most (RFC 1035 section 2.3.1, and what mDNS adds).
std::optional<std::string> Normalize(absl::string_view name);
// Whether only multicast DNS may resolve it: it ends in ".local" (RFC 6762
// section 3).
bool IsLocal(absl::string_view normalized);
// A name that tells nothing: a UUID of version 4 under ".local" (draft-ietf-
// mmusic-mdns-ice-candidates section 3.1.1).
std::string MakeName(Random& random);

// These write a message to an empty writer, which fails if there is no room.
void WriteQuery(Writer& w, const Question& question);
// `flush` says that there are no other records of that name and type (RFC 6762
// section 10.2).
void WriteAnswer(Writer& w, const AddressRecord& record, bool flush = true);
// Says that `name` has no addresses but those of `type` (section 6.1).
void WriteDenial(Writer& w, absl::string_view name, QueryType type,
                 absl::Duration ttl);
// Answers a program that asks as one asks a DNS server (section 6.7).
void WriteLegacyAnswer(Writer& w, uint16_t id, const Question& question,
                       const AddressRecord& record);

}  // namespace kyuu::mdns

#endif  // KYUU_MDNS_MESSAGE_H_
