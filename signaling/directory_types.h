// What is asked of a directory and what it answers: values without JSON and
// without connections.

#ifndef KYUU_SIGNALING_DIRECTORY_TYPES_H_
#define KYUU_SIGNALING_DIRECTORY_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "signaling/error_code.h"
#include "signaling/peer.h"
#include "signaling/rate.h"

namespace kyuu::signaling {

// Member names somebody who may be in a room. The caller chooses it and never
// uses it again.
enum class Member : uint64_t {};

// Limits "per source" hold for an IPv4 address or an IPv6 /64, so that nobody
// alone can use up what is for all. They do not hold for a source that the
// caller does not tell (IpAddress()), as behind a proxy.
struct RoomOptions {
  std::string default_room = "lobby";
  size_t max_name_bytes = 64;
  // Beside the default room, for which there is always a place.
  size_t max_rooms = 1000;
  size_t max_rooms_per_source = 20;
  // Each arrival is told to everybody: N arrivals cost N^2/2 messages.
  size_t max_peers_per_room = 500;
  // In one room: a fifth of it.
  size_t max_peers_per_source = 100;
  // JSON bytes of the peers in one Page; the rest is asked for with List(), so
  // that a short request has no endless answer.
  size_t max_list_bytes = 32 * 1024;
  // Peers that one Find() looks at: what is asked in one line costs a
  // millisecond at most.
  size_t max_looked_at = 100;
  // What happens in a room within this time is told at once, a name's last
  // state only. Shorter than what a person notices.
  absl::Duration presence_window = absl::Milliseconds(100);
  // What a room may cost to be told, all its peers together: changes wait (and
  // become one) while more than this would be sent. 500 peers with 2 kB of
  // metadata each are 1 MB for one change.
  double presence_bytes_per_second = 4e6;
  // Of that, what is told at one time, in messages to one peer each: what
  // others want is done between two such steps. 128 are half a millisecond.
  size_t presence_messages_per_step = 128;
  // What one message of an application may cost that is for all of a room:
  // its bytes once for each of them.
  size_t max_said_bytes = 16 * 1024 * 1024;
  // And all of them together, but for what was not said in this time before.
  double said_bytes_per_second = 4e6;
  absl::Duration said_at_once = absl::Milliseconds(100);
  // Of the hashes of rooms' secrets, of which nothing else is kept. Several
  // servers that are one have the same.
  std::string secret_key;
  // Wrong secrets of one source for one room: who mistypes has some, who
  // guesses gets 9000 a day.
  Rate wrong_secrets = {.per_second = 0.1, .burst = 20};
};
struct CallOptions {
  // Ringing and running ones of one peer, both directions.
  size_t max_calls_per_peer = 16;
  // Ringing calls that one source has started.
  size_t max_ringing_per_source = 8;
  // Calls that one source starts: two people in an office of hundred do not
  // call more often than this together.
  Rate calls_per_source = {.per_second = 5, .burst = 50};
  // Calls of one caller (or one source) to one callee: who rings and hangs up
  // again and again is not heard.
  Rate calls_per_pair = {.per_second = 0.2, .burst = 5};
  // How long an unanswered call rings.
  absl::Duration ring_timeout = absl::Seconds(60);
};

// Why a command had no effect.
struct Refusal {
  ErrorCode code = ErrorCode::kBadState;
  std::string message;  // English, for a person.
  std::string call;     // The call concerned, if any.
  absl::Duration retry_after;
};

// Who wants to join where.
struct JoinRequest {
  std::string name;
  std::string room;         // Empty: the default room.
  std::string meta = "{}";  // A JSON object.
  std::string lock = {};    // Of Unlock(): empty for a room without a secret.
};
// What a `lock` measures: SHA-256.
inline constexpr size_t kLockBytes = 32;

// Whom of a room somebody looks for: those to whom all of it applies.
struct Query {
  std::string prefix;  // Of the name, in whatever case. Empty: any name.
  std::string meta =
      "{}";           // Members that a peer's metadata has alike: strings,
                      // numbers as they are written, true, false, null.
  std::string after;  // Names behind this one.
};
// More than anybody has a use for.
inline constexpr size_t kMaxQueryMembers = 8;
// Some of them, by name.
struct Findings {
  std::vector<Peer> peers;
  // Not all have been looked at: go on behind this name, which need not be one
  // of the peers. Empty: there are no more.
  std::string after;
};

// The peers of a room behind some name, without the one who asks.
struct Page {
  std::vector<Peer> peers;
  bool more = false;  // Go on behind the last one.
};
struct Joining {
  std::string room;
  std::string name;
  Page others;
};
// A call as one of its sides sees it.
struct CallSide {
  std::string call;
  Member other{};
  bool is_caller = false;
  bool is_accepted = false;
};
struct CallStart {
  std::string call;
  // The caller's role in perfect negotiation: polite if the callee had called
  // already, and both are told that the call is accepted.
  bool polite = false;
};

// What somebody is to be told because of what another one did.
namespace effect {

// What has changed in a room, for each of its peers but the one whom a change
// is about. Large rooms are told in several steps, of some receivers each.
struct PeersChanged {
  struct Change {
    Member about{};
    PresenceChange change = PresenceChange::kJoined;
    Peer peer;  // No metadata with kLeft.
  };
  std::vector<Member> receivers;
  std::vector<Change> changes;
};
// Of a call, `other` is its other side.
struct CallRings {
  Member to{};
  Member other{};
  std::string call;
  std::string from;
  std::string meta;
};
struct CallAccepted {
  Member to{};
  Member other{};
  std::string call;
};
struct CallRejected {
  Member to{};
  Member other{};
  std::string call;
  std::string reason;
};
struct CallEnded {
  Member to{};
  Member other{};
  std::string call;
  std::string reason;
};

}  // namespace effect

using Effect =
    std::variant<effect::PeersChanged, effect::CallRings, effect::CallAccepted,
                 effect::CallRejected, effect::CallEnded>;

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_DIRECTORY_TYPES_H_
