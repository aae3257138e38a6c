// What servers of PeerJS at several nodes say to each other, inside of
// node::OfPeerJs (backplane/node_message.h).

#ifndef KYUU_SIGNALING_PEERJS_NODE_MESSAGE_H_
#define KYUU_SIGNALING_PEERJS_NODE_MESSAGE_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kyuu::signaling::peerjs {

// The sender has the peer of this id. Of two that have it the one of the
// greater epoch has it.
struct Here {
  std::string id;
  uint64_t epoch = 0;
};
// It has it no more.
struct Gone {
  std::string id;
};

// A message, as JSON, of the sender's peer `from` to the receiver's `to`.
// `number` tells the peer from others of its id there.
struct Passed {
  std::string from, to;
  uint64_t number = 0;
  bool is_important = false;  // It waits for a peer that is not there.
  std::string text;
};
// There is no such peer; an important message goes back to whoever sent it.
struct Returned {
  Passed passed;
};

// Somebody has come to the sender with this id and token.
struct Wanted {
  uint64_t request = 0;
  std::string id, token;
};
enum class Verdict : uint8_t {
  kNotHere,
  kTaken,  // By somebody with another token.
  kGiven,  // It is the sender's of Wanted: it claims it from this node.
};
struct Answer {
  uint64_t request = 0;
  std::string id;
  Verdict verdict = Verdict::kNotHere;
};

using NodeMessage = std::variant<Here, Gone, Passed, Returned, Wanted, Answer>;

// INVALID_ARGUMENT for what is not exactly one message.
absl::StatusOr<NodeMessage> ParseNodeMessage(absl::string_view bytes);
std::string WriteNodeMessage(const NodeMessage& message);

}  // namespace kyuu::signaling::peerjs

#endif  // KYUU_SIGNALING_PEERJS_NODE_MESSAGE_H_
