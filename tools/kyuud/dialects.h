// Dialects: signaling of other programs at paths of their own, for clients of
// PeerJS and of y-webrtc (docs/dialects.md). The engines are in signaling/;
// here is what their servers are in HTTP.

#ifndef KYUU_TOOLS_KYUUD_DIALECTS_H_
#define KYUU_TOOLS_KYUUD_DIALECTS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "signaling/envelope.h"
#include "signaling/http.h"
#include "signaling/peerjs/peerjs.h"
#include "signaling/token/admission.h"
#include "signaling/ywebrtc.h"
#include "tools/kyuud/dialect_options.h"
#include "tools/kyuud/metrics.h"

namespace kyuu::tools {

enum class Dialect : uint8_t { kNone, kPeerJs, kYWebrtc };

struct DialectsOptions {
  DialectSettings settings;
  signaling::PeerJsOptions peerjs;  // Its key is that of the settings.
  signaling::YWebrtcOptions ywebrtc;
};

// Dialects has the servers, and knows which path is whose. Times, connections
// and messages are as for the engines.
class Dialects {
 public:
  // `random` and `admission`, which judges who may come, must outlive it.
  Dialects(const DialectsOptions& options, Random& random,
           signaling::Admission& admission);

  // Whose WebSockets are at `path`, which is below the public URL's.
  Dialect SpokenAt(absl::string_view path) const;
  // Whether a request without an upgrade is for one of them.
  bool Serves(const signaling::HttpRequest& request) const;
  // The answer to such a request; its origin has been judged.
  signaling::HttpResponse Answer(const signaling::HttpRequest& request);

  // Connect announces a client of `dialect`, which is not kNone; `request` is
  // its handshake. A status says why it is to be refused: PERMISSION_DENIED for
  // who may not come, others for want of room.
  absl::Status Connect(absl::Time now, Dialect dialect,
                       signaling::ConnectionId connection,
                       const IpAddress& source,
                       const signaling::HttpRequest& request);
  void Disconnect(Dialect dialect, signaling::ConnectionId connection);
  void HandlePacket(absl::Time now, Dialect dialect, signaling::Envelope in);
  void HandleTimeout(absl::Time now) { peerjs_.HandleTimeout(now); }
  std::optional<signaling::Envelope> PollTransmit(absl::Time now);
  std::optional<signaling::CloseConnection> PollEvent();
  // To be made one of several.
  signaling::PeerJsServer& peerjs() { return peerjs_; }
  // See YWebrtcServer.
  std::optional<std::string> PollPublished() {
    return ywebrtc_.PollPublished();
  }
  void HandlePublished(absl::string_view text) {
    ywebrtc_.HandlePublished(text);
  }
  absl::Time NextTimeout() const { return peerjs_.NextTimeout(); }

  // Writes down what it knows of them.
  void Tell(Metrics& metrics) const;
  // A few words for the line of status.
  std::string Status() const;

 private:
  // What an HTTP request means to a server of PeerJS.
  enum class PeerJsRequest : uint8_t {
    kNone,
    kGreeting,
    kSocket,  // The path of the WebSocket, without the upgrade.
    kId,
    kPeers,
    kWrongKey,  // As the last two, with another key.
  };
  PeerJsRequest Meant(const signaling::HttpRequest& request) const;
  bool GreetsYWebrtc(const signaling::HttpRequest& request) const;
  // Who a client of PeerJS is, once it has been judged.
  signaling::PeerJsIdentity IdentityOf(absl::Time now,
                                       const signaling::HttpRequest& request);

  signaling::Admission& admission_;
  const DialectSettings settings_;
  const std::string peerjs_base_;  // "" or "/below".
  signaling::PeerJsServer peerjs_;
  signaling::YWebrtcServer ywebrtc_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_DIALECTS_H_
