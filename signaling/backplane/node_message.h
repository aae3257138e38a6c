// What nodes say to each other about their peers, over a link (links.h); its
// form stands in internal/fields.h.

#ifndef KYUU_SIGNALING_BACKPLANE_NODE_MESSAGE_H_
#define KYUU_SIGNALING_BACKPLANE_NODE_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "signaling/backplane/node.h"

namespace kyuu::signaling::node {

// The sender has this peer in a room, and with this metadata; said again when
// something changes, and by whoever has it after a move. Of two that have one
// name the one of the greater epoch has it.
struct Here {
  PeerId peer;
  uint64_t epoch = 0;
  std::string room, name, meta;
  std::string lock = {};  // Of the room's secret (directory.h), or empty.
};
// It has it in a room no more.
struct Gone {
  PeerId peer;
};

// `from`, a peer of the sender, calls `to`, one of the receiver.
struct Rings {
  std::string call;
  PeerId from, to;
  std::string meta;
};
// The callee has accepted; or the two have called each other.
struct Accepted {
  std::string call;
  PeerId from, to;
};
struct Rejected {
  std::string call;
  PeerId from, to;
  std::string reason;
};
struct Ended {
  std::string call;
  PeerId from, to;
  std::string reason;
};
// A `signal` as JSON, as the receiver is to get it.
struct Signalled {
  std::string call;
  PeerId from, to;
  std::string text;
};

// What clients of the sender that speak another dialect have published.
struct Published {
  std::string text;
};

// Somebody has come to the sender and shows the secret of a session that is not
// there. `by` and `user` are whom its token names (Grant).
struct Wanted {
  uint64_t request = 0;
  std::string session, secret;
  uint64_t received = 0;
  uint8_t by = 0;
  std::string user;
};
// To whoever wanted it: there is no such session, or none for him.
struct NotHere {
  uint64_t request = 0;
};
// The sender is giving this peer to `to`: nothing more for it is to be sent
// until `to` says that it has it. Answered by Held.
struct Moving {
  PeerId peer;
  NodeId to{};
  uint64_t move = 0;  // Tells it from other moves of the sender.
};
struct Held {
  PeerId peer;
  uint64_t move = 0;
};
// A session that the receiver has given away is over; its credentials are, too.
struct Over {
  std::string session;
};
// A session, with all that makes it: it is the receiver's from now on.
struct Moved {
  struct Call {
    std::string call;
    PeerId other;
    bool is_caller = false;
    bool is_accepted = false;
    bool is_over = false;  // What was said of it may not have arrived.
  };

  uint64_t request = 0;
  PeerId peer;
  std::string id, secret;
  uint64_t received = 0;          // Messages of the client.
  uint64_t forgotten = 0;         // The number of the last one before `kept`,
  std::vector<std::string> kept;  // which its client has not acknowledged.
  // A message of the client that was received and begun, or none.
  std::vector<std::string> unfinished;
  std::vector<std::string> blocked;  // By Directory::LooksOf().
  std::vector<NodeId> homes;  // Which it has had, to be told its end (Over).
  // What is left of its rates, in thousandths.
  uint64_t messages_left = 0, presence_left = 0, calls_left = 0;
  bool is_in_room = false;
  uint64_t epoch = 0;
  std::string room, name, meta, lock;
  std::vector<Call> calls;
};

// What the servers of PeerJS say to each other (peerjs/node_message.h).
struct OfPeerJs {
  std::string text;
};

// A message of an application as JSON, as the receiver is to get it. The two
// are in one room.
struct Said {
  PeerId from, to;
  std::string text;
};

using Message = std::variant<Here, Gone, Rings, Accepted, Rejected, Ended,
                             Signalled, Wanted, NotHere, Moving, Held, Over,
                             Published, Moved, OfPeerJs, Said>;

// INVALID_ARGUMENT for what is not exactly one message.
absl::StatusOr<Message> Parse(absl::string_view bytes);
std::string Write(const Message& message);

}  // namespace kyuu::signaling::node

#endif  // KYUU_SIGNALING_BACKPLANE_NODE_MESSAGE_H_
