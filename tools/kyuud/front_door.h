// FrontDoor: the one TCP port of kyuud, and who comes in by it.

#ifndef KYUU_TOOLS_KYUUD_FRONT_DOOR_H_
#define KYUU_TOOLS_KYUUD_FRONT_DOOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "base/histogram.h"
#include "base/random.h"
#include "net/loop.h"
#include "net/stream_driver.h"
#include "net/stream_port.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "signaling/codes/join_codes.h"
#include "signaling/deflate/deflate.h"
#include "signaling/events/posts.h"
#include "signaling/server.h"
#include "signaling/server_connection.h"
#include "signaling/token/admission.h"
#include "tools/kyuud/backplane/address.h"
#include "tools/kyuud/backplane/backplane.h"
#include "tools/kyuud/client_address/client_address.h"
#include "tools/kyuud/dialects.h"
#include "tools/kyuud/door_stats.h"
#include "tools/kyuud/ice_provider.h"
#include "tools/kyuud/log.h"
#include "tools/kyuud/metrics.h"
#include "tools/kyuud/routes.h"
#include "tools/kyuud/static_pages.h"

namespace kyuu::tools {

struct FrontDoorOptions {
  signaling::ServerOptions signaling;
  signaling::AdmissionOptions admission;
  DialectsOptions dialects;
  signaling::ServerConnectionOptions connection;
  // By it the door compresses for WebSockets of all kinds; unless set, it does
  // not.
  std::optional<signaling::DeflateOptions> deflate;
  net::StreamPortOptions port;
  net::StreamDriverOptions driver;
  RouteOptions routes;
  // What several servers share, if any.
  std::optional<BackplaneAddress> backplane;
  BackplaneTls backplane_tls;
  // Whether there is any, by WebSockets or without.
  enum class Signaling : uint8_t { kServed, kNone };
  Signaling sockets = Signaling::kServed;
  // What all clients together may make us hold: answers and messages that they
  // do not read, requests and messages that they do not end. Whoever makes us
  // hold most is cut first. A quarter of a small machine.
  size_t max_memory_bytes = 128 << 20;
};

// FrontDoor drives, on one loop, a signaling::ServerConnection for each TCP
// connection, one signaling::Server for all of them, and Dialects for clients
// that speak other programs' signaling.
class FrontDoor {
 public:
  // All references must outlive it.
  FrontDoor(net::Loop& loop, Random& random,
            std::vector<net::TcpListener> listeners, const StaticPages& pages,
            IceProvider& ice, FrontDoorOptions options);
  ~FrontDoor();
  FrontDoor(const FrontDoor&) = delete;
  FrontDoor& operator=(const FrontDoor&) = delete;

  // Tells all WebSockets and streams of events that we are going away (1001),
  // and clients of our own protocol when to come back: one after the other, the
  // later the more there are. As far as they can be told without waiting.
  void CloseAll();
  // Who makes the text of /metrics: it hands it to its argument, on the loop,
  // now or later. Without one there is no such page.
  using MetricsSource =
      absl::AnyInvocable<void(absl::AnyInvocable<void(std::string)> done)>;
  void ServeMetrics(MetricsSource source) { metrics_ = std::move(source); }
  // Who serves streams that speak STUN and TURN; without one they are refused.
  // They hold permits of the door's port: none may outlive it.
  using TurnHandler = absl::AnyInvocable<void(net::AcceptedStream)>;
  void ServeTurn(TurnHandler handler) { turn_ = std::move(handler); }
  // Other routes for requests from now on.
  void SetRoutes(RouteOptions routes) { routes_ = Routes(std::move(routes)); }
  // Other rules for who comes from now on, by signaling of any kind.
  void SetAdmission(signaling::AdmissionOptions options) {
    admission_.SetOptions(std::move(options));
  }
  // From now on, and for `within`, /healthz says 503 and new WebSockets are
  // refused, so that who balances the load sends people elsewhere. Those that
  // there are go on; of several servers they are asked to leave one after the
  // other, and find their sessions at another one.
  void Drain(absl::Duration within);
  // Clients that are asked to leave, or are to be, and have not yet.
  size_t leaving() const;
  // How long BeginFarewell() takes.
  absl::Duration farewell() const;
  // Clients of PeerJS and y-webrtc cannot be told when to come back, and do so
  // at once: they are closed (1001) one after the other, so that they do not
  // come all at once. The last part of a drain.
  void BeginFarewell() { SpreadFarewells(farewell()); }
  // As net::StreamPort::SetTls().
  void SetTls(net::TlsContext tls) { port_.SetTls(std::move(tls)); }
  // Writes down what the door knows of them.
  void Tell(Metrics& metrics) const;
  // One line for people: who is here, what was refused, what is held.
  std::string Status() const;

 private:
  struct Guest;

  void Admit(net::AcceptedStream accepted);
  void OnEnd(Guest& guest, net::StreamEnd end, const absl::Status& why);
  // Runs once per turn of the loop, after all that has arrived was handled: so
  // many messages to one client leave in one piece.
  void RunSoon();
  void Run();
  void PumpServers();
  void Deliver(signaling::Envelope envelope);
  void ShedMemory();
  Guest* Find(signaling::ConnectionId id);
  void AskForServers(signaling::ConnectionId id, const std::string& session);
  void Refuse(Guest& guest, const Refusal& refusal);
  // Tells a client of HTTP when to try again, if it is refused for a drain.
  void AddRetryAfter(signaling::HttpResponse& response);
  // Spreads the clients of our own protocol over that time from `first` on, and
  // asks each to come back at its own.
  void TellReturn(absl::Duration first, absl::Duration spread);
  // Those of other protocols that are to be closed in a drain and have no time
  // for it yet.
  std::vector<uint64_t> Unspread() const;
  void SpreadFarewells(absl::Duration spread);
  void SayFarewells();
  // Closes its WebSocket or stream, as the server goes away.
  void Part(Guest& guest);
  // Finds out whose request it is and remembers it for shares and logs.
  ClientAddress Recognize(Guest& guest, const signaling::HttpRequest& request);
  // Whose share of sessions, rooms and calls a client has: its own, if a proxy
  // that is trusted tells whose request it has passed on.
  IpAddress ShareOf(const Guest& guest) const;
  // Whether it is one of a client without WebSockets.
  bool ServesWithoutSockets(const signaling::HttpRequest& request) const;
  void AnswerWithoutSockets(Guest& guest,
                            const signaling::HttpRequest& request);
  void OpenEvents(Guest& guest, const signaling::HttpRequest& request);
  void TakePost(Guest& guest, const signaling::HttpRequest& request);
  // As Refuse, for a page that may read why.
  void RefuseFetch(Guest& guest, const signaling::HttpRequest& request,
                   const Refusal& refusal);
  // Whether it is about a code or the picture of an address.
  bool ServesCodes(const signaling::HttpRequest& request) const;
  void AnswerCodes(Guest& guest, const signaling::HttpRequest& request);
  signaling::HttpResponse AnswerCode(const Guest& guest,
                                     const signaling::HttpRequest& request);
  // A stream is no more, for the server.
  void CloseEvents(signaling::ConnectionId id, signaling::Departure departure);
  // Those whose clients have gone, and have not posted anything since.
  void EndLingering();
  // The WebSocket or stream of `guest` is no more, for whoever served it.
  void Depart(Guest& guest, signaling::Departure departure);
  void Welcome(Guest& guest, const signaling::HttpRequest& request,
               Dialect dialect);
  void AnswerDialect(Guest& guest, const signaling::HttpRequest& request);
  // /readyz, of a server that is one of several.
  signaling::HttpResponse Readiness() const;
  void AnswerMetrics(Guest& guest, const signaling::HttpRequest& request);
  // The wall clock may have been set.
  void TellUtc();
  // A line at info about somebody who was turned away, unless there are many.
  void LogRefusal(absl::string_view who, absl::string_view why);

  void On(Guest& guest, signaling::HttpRequestReceived received);
  void On(Guest& guest, signaling::UpgradeRequested requested);
  void On(Guest& guest, signaling::WebSocketMessage message);
  void On(Guest& guest, signaling::WebSocketClosed closed);
  void On(Guest& guest, signaling::EventStreamClosed closed);
  void On(Guest& guest, signaling::HttpClosed closed);
  void On(const signaling::SessionOpened& opened);
  void On(const signaling::CredentialsWanted& wanted);
  void On(const signaling::SessionExpired& expired);
  void On(const signaling::SessionClosed& closed);
  void On(const signaling::CloseConnection& close);

  net::Loop& loop_;
  Random& random_;
  const StaticPages& pages_;
  IceProvider& ice_;
  std::unique_ptr<signaling::Deflate> deflate_;  // Or null.
  const FrontDoorOptions options_;
  Routes routes_;
  signaling::Admission admission_;
  signaling::Server server_;
  signaling::Posts posts_;  // Of guests with sessions, and some who have gone.
  Dialects dialects_;
  signaling::JoinCodes codes_;
  std::unique_ptr<Backplane> backplane_;  // Or null.
  net::StreamBuffer buffer_;
  net::StreamMemory memory_;
  LogLimiter refusals_;
  DoorStats stats_;
  Histogram message_times_{Metrics::kMessageSeconds};
  MetricsSource metrics_;
  TurnHandler turn_;
  // Of a drain that has begun: its end at the latest.
  std::optional<absl::Time> drained_by_;
  // When those that are asked to leave have been given time enough.
  absl::Time left_by_ = absl::InfinitePast();
  // Whom to close, and when, by time.
  std::deque<std::pair<absl::Time, uint64_t>> farewells_;
  net::Alarm farewell_alarm_;
  uint64_t next_id_ = 1;
  std::deque<uint64_t> dirty_;
  net::Alarm alarm_;
  net::StreamPort port_;  // Before the guests, who hold its permits.
  absl::flat_hash_map<uint64_t, std::unique_ptr<Guest>> guests_;
  // Expires with the door, for answers that come later.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_FRONT_DOOR_H_
