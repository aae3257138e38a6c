// HttpService: the page and signaling on one TCP port.

#ifndef KYUU_TOOLS_KYUUD_HTTP_SERVICE_H_
#define KYUU_TOOLS_KYUUD_HTTP_SERVICE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "base/random.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "signaling/message.h"
#include "signaling/server.h"
#include "signaling/server_connection.h"
#include "tools/kyuud/static_pages.h"

namespace kyuu::tools {

// IceProvider mints what a signaling session needs to connect.
class IceProvider {
 public:
  using Servers = std::vector<signaling::IceServer>;
  virtual ~IceProvider() = default;
  // Makes servers with credentials for `session`, whose client reached us by
  // the name `host`, and hands them to `done` on the loop, now or later.
  virtual void Open(const std::string& session, const std::string& host,
                    absl::AnyInvocable<void(Servers)> done) = 0;
  // The session is over; its credentials end.
  virtual void Close(const std::string& session) = 0;
};

// Where WebSockets are accepted; the same as in docs/signaling_protocol.md.
inline constexpr absl::string_view kSignalingPath = "/v1/ws";

struct HttpOptions {
  signaling::ServerOptions signaling;
  signaling::ServerConnectionOptions connection;
  // Open TCP connections, those that only load the page included.
  size_t max_connections = 12'000;
  // How long a connection that we ended may take to end its side, so that our
  // last words are not lost to a reset.
  absl::Duration linger = absl::Seconds(2);
};

// HttpService drives, on one loop, a signaling::ServerConnection for each TCP
// connection and one signaling::Server for all of them.
class HttpService {
 public:
  // All references must outlive the service.
  HttpService(net::Loop& loop, Random& random, net::TcpListener listener,
              const StaticPages& pages, IceProvider& ice, HttpOptions options);
  ~HttpService();
  HttpService(const HttpService&) = delete;
  HttpService& operator=(const HttpService&) = delete;

  // Tells all WebSockets that we are going away (1001), as far as they can be
  // told without waiting.
  void CloseAll();

 private:
  struct Session;

  void Accept();
  void OnReady(Session& session, net::Readiness ready);
  void Read(Session& session);
  // Works until nobody has anything left to say, then forgets the dead.
  void Run();
  void PumpServer();
  void Serve(Session& session);
  void Transmit(Session& session);
  void Arm(Session& session);
  void MarkDirty(Session& session);
  void Kill(Session& session);
  Session* Find(signaling::ConnectionId id);

  void On(Session& session, signaling::HttpRequestReceived received);
  void On(Session& session, signaling::UpgradeRequested requested);
  void On(Session& session, signaling::WebSocketMessage message);
  void On(Session& session, signaling::WebSocketClosed closed);
  void On(Session& session, signaling::HttpClosed closed);
  void On(const signaling::SessionOpened& opened);
  void On(const signaling::SessionClosed& closed);
  void On(const signaling::CloseConnection& close);

  net::Loop& loop_;
  Random& random_;
  net::TcpListener listener_;
  const StaticPages& pages_;
  IceProvider& ice_;
  const HttpOptions options_;
  signaling::Server server_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Session>> sessions_;
  uint64_t next_id_ = 1;
  std::deque<uint64_t> dirty_;
  std::vector<uint64_t> dead_;
  bool running_ = false;
  std::vector<uint8_t> scratch_;
  net::Watch accept_watch_;
  net::Alarm server_alarm_;
  // Expires with the service, for answers that come later.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_HTTP_SERVICE_H_
