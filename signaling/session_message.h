// Messages about a session: its beginning and resumption, what it may use, and
// what went wrong (docs/signaling_protocol.md). Values, and their JSON form.

#ifndef KYUU_SIGNALING_SESSION_MESSAGE_H_
#define KYUU_SIGNALING_SESSION_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "signaling/error_code.h"
#include "signaling/internal/message_fields.h"
#include "signaling/internal/object_writer.h"
#include "signaling/message_limits.h"

namespace kyuu::signaling {

struct IceServer {
  std::vector<std::string> urls;  // "stun:host:port", "turn:host:port"
  std::string username;           // Empty for STUN.
  std::string credential;

  friend bool operator==(const IceServer&, const IceServer&) = default;
};

// From the client.

// Asks for a session that outlives its connection; with a session named, for
// that session to go on.
struct ResumeRequest {
  std::string session;  // Empty: a new one.
  std::string secret;   // As `welcome` told it.
  // Messages of the server that have arrived, behind the session's `welcome`.
  uint64_t received = 0;

  friend bool operator==(const ResumeRequest&, const ResumeRequest&) = default;
};
struct Hello {
  static constexpr absl::string_view kType = "hello";
  int version = kProtocolVersion;
  std::string client;  // Free text: program and version.
  std::string token;   // By which it is let in: a token, or an API key.
  std::optional<ResumeRequest> resume;
};
struct Ping {
  static constexpr absl::string_view kType = "ping";
};
// Asks for `ice_servers` whose credentials are good for a while.
struct Credentials {
  static constexpr absl::string_view kType = "credentials";
  std::string token;  // A later one of the same user, or "".
};

// In both directions, in sessions that can be resumed.
struct Ack {
  static constexpr absl::string_view kType = "ack";
  uint64_t received = 0;  // All messages up to this number have arrived.
};

// From the server.

// kNew: this session has just begun. kResumed: it goes on.
enum class SessionOrigin : uint8_t { kNew, kResumed };
struct ResumeGrant {
  std::string secret;    // To be shown at the next resumption.
  absl::Duration grace;  // How long the session waits for its client.
  SessionOrigin origin = SessionOrigin::kNew;
  uint64_t received = 0;  // Messages of the client, behind its first `hello`.

  friend bool operator==(const ResumeGrant&, const ResumeGrant&) = default;
};
struct Welcome {
  static constexpr absl::string_view kType = "welcome";
  int version = kProtocolVersion;
  std::string server;
  std::string session;
  std::string user;  // Whom the token has named.
  std::vector<IceServer> ice_servers;
  MessageLimits limits;
  absl::Duration ping_interval = absl::Seconds(25);
  std::optional<ResumeGrant> resume;  // If the client asked for it.
};
struct IceServers {
  static constexpr absl::string_view kType = "ice_servers";
  std::vector<IceServer> ice_servers;
};
struct Pong {
  static constexpr absl::string_view kType = "pong";
};
struct Error {
  static constexpr absl::string_view kType = "error";
  ErrorCode code = ErrorCode::kBadMessage;
  std::string message;  // English, for a person.
  std::string call;     // The call concerned, if any.
  absl::Duration retry_after;
};

// The server goes away. After this time the client comes back by another
// connection, for which it leaves this one if it still has it.
struct Drain {
  static constexpr absl::string_view kType = "drain";
  absl::Duration retry_after;
};

// Each message's JSON form: `kType`, and how its members are read and written.
// Read leaves what is wrong in Fields::error().
void Read(internal::Fields& f, Hello& m);
void Write(const Hello& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Ping& m);
void Write(const Ping& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Credentials& m);
void Write(const Credentials& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Ack& m);
void Write(const Ack& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Welcome& m);
void Write(const Welcome& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, IceServers& m);
void Write(const IceServers& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Pong& m);
void Write(const Pong& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Error& m);
void Write(const Error& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Drain& m);
void Write(const Drain& m, internal::ObjectWriter& w);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_SESSION_MESSAGE_H_
