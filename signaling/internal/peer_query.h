// What somebody looks for among the peers of a room.

#ifndef KYUU_SIGNALING_INTERNAL_PEER_QUERY_H_
#define KYUU_SIGNALING_INTERNAL_PEER_QUERY_H_

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "signaling/directory_types.h"
#include "signaling/internal/json.h"

namespace kyuu::signaling::internal {

// PeerQuery is a Query that has been read once, for many peers.
class PeerQuery {
 public:
  // kInvalidName for a prefix that no name can have, kBadMessage for metadata
  // that is none or asks for objects or arrays, kTooLarge for more members than
  // kMaxQueryMembers.
  static std::variant<PeerQuery, Refusal> Make(const Query& query,
                                               size_t max_name_bytes);
  // `meta` is a JSON object; one that has a member twice has it not at all.
  bool Matches(absl::string_view name, absl::string_view meta) const;

 private:
  // A value as it is compared: strings without their escapes, all others as
  // they are written.
  struct Value {
    JsonKind kind = JsonKind::kNull;
    std::string text;
    friend bool operator==(const Value&, const Value&) = default;
  };
  struct Member {
    std::string name;
    Value value;
  };

  static Value ValueOf(const JsonValue& value);

  std::string prefix_;  // Folded for comparison.
  size_t max_name_bytes_ = 0;
  std::vector<Member> members_;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_PEER_QUERY_H_
