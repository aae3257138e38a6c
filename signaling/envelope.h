// What engines over messages exchange with those who have the WebSockets.

#ifndef KYUU_SIGNALING_ENVELOPE_H_
#define KYUU_SIGNALING_ENVELOPE_H_

#include <cstdint>
#include <string>

namespace kyuu::signaling {

// ConnectionId names a connection; the caller chooses it and does not use it
// again while the connection lasts.
enum class ConnectionId : uint64_t {};

// Envelope is a text message from or to a connection.
struct Envelope {
  ConnectionId connection{};
  std::string text;
};

// Send what PollTransmit has, then close this connection (RFC 6455 close code
// and reason). The engine knows it no more; Disconnect() is not needed.
struct CloseConnection {
  ConnectionId connection{};
  uint16_t code = 1008;
  std::string reason;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_ENVELOPE_H_
