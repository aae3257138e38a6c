// Where kyuu's signaling is spoken, and by what name
// (docs/signaling_protocol.md, "Transport").

#ifndef KYUU_SIGNALING_ENDPOINT_H_
#define KYUU_SIGNALING_ENDPOINT_H_

namespace kyuu::signaling {

// The path of the WebSocket on its server.
inline constexpr char kSignalingPath[] = "/v1/ws";
// Without WebSockets: what the server says, and what the client says.
inline constexpr char kEventsPath[] = "/v1/events";
inline constexpr char kPostsPath[] = "/v1/messages";
// Its subprotocol (RFC 6455 section 1.9).
inline constexpr char kSubprotocol[] = "kyuu.v1";

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_ENDPOINT_H_
