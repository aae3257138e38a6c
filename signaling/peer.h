// A person in a room, as the others know it.

#ifndef KYUU_SIGNALING_PEER_H_
#define KYUU_SIGNALING_PEER_H_

#include <cstdint>
#include <string>

namespace kyuu::signaling {

struct Peer {
  std::string name;
  std::string meta = "{}";  // A JSON object.

  friend bool operator==(const Peer&, const Peer&) = default;
};

enum class PresenceChange : uint8_t { kJoined, kLeft, kUpdated };

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_PEER_H_
