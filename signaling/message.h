// The messages of kyuu's signaling protocol as values, and their JSON form.
// docs/signaling_protocol.md describes each of them with an example.

#ifndef KYUU_SIGNALING_MESSAGE_H_
#define KYUU_SIGNALING_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace kyuu::signaling {

inline constexpr int kProtocolVersion = 1;

// What a message may measure; told to clients in `welcome`.
struct MessageLimits {
  // The whole message; the same as WebSocketOptions::max_message_bytes.
  size_t max_message_bytes = 64 * 1024;
  // Arrays and objects in each other; payloads of ours need three.
  size_t max_depth = 16;
  // Members of one object; metadata may have as many.
  size_t max_members = 64;
  // UTF-8 bytes of names of peers, rooms, calls, of reasons and of `id`.
  size_t max_name_bytes = 64;
  // JSON bytes of a peer's metadata and of a call's.
  size_t max_meta_bytes = 2048;
};

// The stable codes of `error` (docs/signaling_protocol.md, "Errors").
enum class ErrorCode : uint8_t {
  kBadMessage,          // Not JSON, a field missing or of a wrong type.
  kUnknownType,         // `type` is none of ours.
  kUnsupportedVersion,  // In `hello`.
  kTooLarge,            // A message or a field beyond its limit.
  kRateLimited,         // Dropped; `retry_after_ms` tells when to go on.
  kBadState,            // Out of order: before `welcome`, a call's state, ...
  kNotJoined,
  kInvalidName,
  kNameTaken,
  kNotFound,  // Nobody of that name is in the room.
  kUnknownCall,
  kTooManyCalls,
  kRoomFull,
  kServerFull,
  kUnknown,  // Only in a client: a code newer than this list.
};
absl::string_view ErrorCodeName(ErrorCode code);  // "name_taken"

// A JSON value kept as its text. In a parsed message it is a view into the
// text that was parsed, and as short-lived.
using RawJson = absl::string_view;

struct IceServer {
  std::vector<std::string> urls;  // "stun:host:port", "turn:host:port"
  std::string username;           // Empty for STUN.
  std::string credential;

  friend bool operator==(const IceServer&, const IceServer&) = default;
};
struct Peer {
  std::string name;
  std::string meta = "{}";  // A JSON object.

  friend bool operator==(const Peer&, const Peer&) = default;
};

// From the client.
struct Hello {
  int version = kProtocolVersion;
  std::string client;  // Free text: program and version.
};
struct Join {
  std::string name;
  std::string room;  // Empty: the server's default room.
  RawJson meta = "{}";
};
struct Update {
  RawJson meta = "{}";
};
struct List {
  std::string after;  // Go on behind this name.
};
struct Leave {};
struct Call {
  std::string to;
  RawJson meta = "{}";
};
struct Accept {
  std::string call;
};
struct Reject {
  std::string call;
  std::string reason;
};
struct Ping {};

// In both directions.
struct Hangup {
  std::string call;
  std::string reason;
};
enum class SignalKind : uint8_t {
  kOffer,
  kAnswer,
  kCandidate,
  kEndOfCandidates,
};
struct Signal {
  std::string call;
  SignalKind kind = SignalKind::kOffer;
  // kOffer, kAnswer: the SDP as a JSON string, quotes included. kCandidate: an
  // RTCIceCandidateInit object. Else empty.
  RawJson payload;
};

// From the server.
struct Welcome {
  int version = kProtocolVersion;
  std::string server;
  std::string session;
  std::vector<IceServer> ice_servers;
  MessageLimits limits;
  absl::Duration ping_interval = absl::Seconds(25);
};
struct IceServers {
  std::vector<IceServer> ice_servers;
};
struct Joined {
  std::string room;
  std::string name;
  std::vector<Peer> peers;  // The others, by name.
  bool more = false;        // Ask with `list` for those behind the last one.
};
struct Peers {
  std::string room;
  std::vector<Peer> peers;
  bool more = false;
};
enum class PresenceChange : uint8_t { kJoined, kLeft, kUpdated };
struct Presence {
  PresenceChange change = PresenceChange::kJoined;
  Peer peer;  // No metadata with kLeft.
};
struct Updated {};
struct Left {};
struct Calling {
  std::string call;
  std::string to;
  bool polite = false;
};
struct Incoming {
  std::string call;
  std::string from;
  bool polite = true;
  std::string meta = "{}";
};
struct Accepted {
  std::string call;
};
struct Rejected {
  std::string call;
  std::string reason;
};
struct Pong {};
struct Error {
  ErrorCode code = ErrorCode::kBadMessage;
  std::string message;  // English, for a person.
  std::string call;     // The call concerned, if any.
  absl::Duration retry_after;
};

// `id` is the client's mark for a request, which the answer or error repeats:
// a JSON string or whole number kept as its text; empty if there is none.
struct ClientMessage {
  std::string id;
  std::variant<Hello, Join, Update, List, Leave, Call, Accept, Reject, Hangup,
               Signal, Ping>
      body;
};
struct ServerMessage {
  std::string id;
  std::variant<Welcome, IceServers, Joined, Peers, Presence, Updated, Left,
               Calling, Incoming, Accepted, Rejected, Hangup, Signal, Pong,
               Error>
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

// True if `name` may name a peer or a room: valid UTF-8, not empty, at most
// `max_bytes`, no control characters, no blank at either end.
bool IsValidName(absl::string_view name, size_t max_bytes);
// True if `meta` is a JSON object within the limits.
bool IsValidMeta(absl::string_view meta, const MessageLimits& limits);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_MESSAGE_H_
