// What `kyuu doctor` has seen of a server, before anything is said of it.

#ifndef KYUU_TOOLS_KYUU_DOCTOR_FACTS_H_
#define KYUU_TOOLS_KYUU_DOCTOR_FACTS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "peer/server_url.h"
#include "signaling/http.h"
#include "tools/findings/certificate.h"
#include "tools/kyuu/doctor/site.h"
#include "tools/kyuu/probe/stun_probe.h"
#include "tools/kyuu/turn_probe/turn_probe.h"

namespace kyuu::tools {

// Of what was not looked at, because something before it failed or because
// nobody asked for it.
inline absl::Status NotAsked() {
  return absl::UnknownError("it was not asked");
}
inline bool WasAsked(const absl::Status& status) {
  return status.code() != absl::StatusCode::kUnknown;
}

// One address of the server's name.
struct Reach {
  TransportAddress address;
  absl::Status connected = NotAsked();  // By TCP.
};

struct TlsFacts {
  absl::Status handshake = NotAsked();
  std::string version;                  // "TLSv1.3"
  std::vector<CertificateFacts> chain;  // As it was sent, leaf first.
  // Why the system's authorities do not vouch for it; "" if they do.
  std::string distrust;
  // Whether TLS 1.1 or earlier would do; nullopt if that was not found out.
  std::optional<bool> takes_old;
};

// What /v1/whoami told.
struct WhoamiFacts {
  IpAddress address;
  std::string forwarded_for;  // "none", "used", "ignored", "unreadable".
  std::string peerjs;         // Their paths, if they are served.
  std::string y_webrtc;

  // INVALID_ARGUMENT if `body` is something else.
  static absl::StatusOr<WhoamiFacts> Parse(const std::string& body);
};

struct IceServerFacts {
  std::string url;
  std::string username;
  std::string credential;
};

struct SessionFacts {
  absl::Status welcomed = NotAsked();
  // Whether what one session sent to another came back byte by byte; DATA_LOSS
  // if it came otherwise.
  absl::Status echoed = NotAsked();
  absl::Duration echo_time;
  std::vector<IceServerFacts> ice_servers;
  // Whether a silent WebSocket lived for `idle`.
  absl::Status idled = NotAsked();
  absl::Duration idle;
  absl::Duration idle_lived;
};

struct IceFacts {
  std::string text;  // The URL, as the server gave it.
  absl::StatusOr<ServerUrl> url = NotAsked();
  std::vector<TransportAddress> addresses;
  absl::StatusOr<StunAnswer> stun = NotAsked();
  // Of TURN only: the loop with what is forbidden, the same with another
  // password, and with IPv6.
  absl::StatusOr<TurnAnswer> turn = NotAsked();
  std::vector<IpAddress> forbidden;
  absl::Status wrong_password = NotAsked();
  absl::Status ipv6 = NotAsked();
};

// What the first event begins with (docs/signaling_protocol.md).
inline constexpr char kEventsBegin[] = "event: stream";

struct ServerFacts {
  using Answer = absl::StatusOr<signaling::HttpResponse>;

  Site site;
  Site backend;  // Where kyuud is believed to listen, for fixes.
  absl::Status resolved = NotAsked();
  std::vector<Reach> reaches;
  IpAddress local;  // This machine's address towards the server.
  TlsFacts tls;
  Answer health = NotAsked();
  Answer ready = NotAsked();
  Answer page = NotAsked();
  Answer whoami = NotAsked();
  Answer upgrade = NotAsked();  // As a page of the site asks for it.
  // The same for server-sent events: with the beginning of the first one, as
  // far as it came in time.
  Answer events = NotAsked();
  Answer peerjs = NotAsked();
  Answer y_webrtc = NotAsked();
  absl::Time answered;  // Wall clock, when `health` was.
  SessionFacts session;
  SessionFacts event_session;  // By events and posts.
  std::vector<IceFacts> ice;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_DOCTOR_FACTS_H_
