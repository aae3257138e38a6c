// The messages of kyuu's signaling protocol in each direction, and their JSON
// form. docs/signaling_protocol.md describes each of them with an example; the
// messages themselves stand in session_message.h, room_message.h and
// call_message.h.

#ifndef KYUU_SIGNALING_MESSAGE_H_
#define KYUU_SIGNALING_MESSAGE_H_

#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "signaling/call_message.h"
#include "signaling/error_code.h"
#include "signaling/message_limits.h"
#include "signaling/room_message.h"
#include "signaling/session_message.h"

namespace kyuu::signaling {

// `id` is the client's mark for a request, which the answer or error repeats:
// a JSON string or whole number kept as its text; empty if there is none.
struct ClientMessage {
  std::string id;
  std::variant<Hello, Join, Update, List, Find, Leave, Call, Accept, Reject,
               Hangup, Signal, Ping, Credentials, Ack, Block, Unblock, Say,
               Report>
      body;
};
struct ServerMessage {
  std::string id;
  std::variant<Welcome, IceServers, Joined, Peers, Found, Presence, Updated,
               Left, Calling, Incoming, Accepted, Rejected, Hangup, Signal,
               Pong, Ack, Error, Blocked, Unblocked, Sent, Said, Drain>
      body;
};
// Why a client's message was refused, with the id of that message where it
// could still be found.
struct MessageRefused {
  std::string id;
  Error error;
};

// ParseClientMessage checks form and limits, not the order of messages.
// Members it does not know are ignored; one that occurs twice is refused.
// Raw values of the result are views into `text`.
std::variant<ClientMessage, MessageRefused> ParseClientMessage(
    absl::string_view text, const MessageLimits& limits);

// ParseServerMessage is the client's side: INVALID_ARGUMENT for what is not a
// message of ours, UNIMPLEMENTED for a `type` newer than this code (to be
// ignored). A message may be longer than `limits` say, in the size of the whole
// and of lists only.
absl::StatusOr<ServerMessage> ParseServerMessage(absl::string_view text,
                                                 const MessageLimits& limits);

// WriteMessage returns the JSON text. Raw values are put in as they are, so
// they must be valid JSON.
std::string WriteMessage(const ClientMessage& message);
std::string WriteMessage(const ServerMessage& message);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_MESSAGE_H_
