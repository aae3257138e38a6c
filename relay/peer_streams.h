// PeerStreams: the TCP sockets of relayed addresses (RFC 6062).

#ifndef KYUU_RELAY_PEER_STREAMS_H_
#define KYUU_RELAY_PEER_STREAMS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "net/connect.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/stream_memory.h"
#include "net/stream_options.h"
#include "net/tcp.h"
#include "relay/joined_streams.h"
#include "turn/forward.h"
#include "turn/peer_connections.h"

namespace kyuu::relay {

// PeerStreams listens and connects at the word of a turn::Server, tells its
// PeerConnections what comes of it, and joins peers with clients' streams.
// Until then a peer's stream is not read: what it sends waits in the kernel, no
// more than the window that it gives to one that nobody reads (tcp_rmem).
class PeerStreams {
 public:
  // All must outlive it. `on_news` is called when the server may have answers
  // or events; it may call us.
  PeerStreams(net::Loop& loop, turn::PeerConnections& server,
              net::StreamBuffer& buffer, net::StreamMemory* memory,
              const JoinedStreamsOptions& options,
              absl::AnyInvocable<void()> on_news);
  ~PeerStreams();
  PeerStreams(const PeerStreams&) = delete;
  PeerStreams& operator=(const PeerStreams&) = delete;

  // Listens at `bind`. Errors of net::TcpListener::Open.
  absl::Status Open(turn::RelayId relay, const TransportAddress& bind);
  // Listens there no more.
  void Close(turn::RelayId relay);
  // Connects from `bind`, where a relay listens.
  void Connect(turn::ConnectionId id, const TransportAddress& bind,
               const TransportAddress& peer);
  // Resets a connection, and the client's that is joined with it.
  void Close(turn::ConnectionId id);
  // Joins it with a client's stream, of which `first` was read already. `place`
  // goes when the stream has gone.
  void Join(turn::ConnectionId id, net::Stream client,
            std::shared_ptr<void> place, absl::Span<const uint8_t> first);

  // What each client makes us hold that is joined.
  void AddHolders(std::vector<std::pair<size_t, Path>>& holders) const;
  // Resets the connection that is joined with a client.
  void Cut(const Path& client);

 private:
  struct Listener {
    Listener(net::Loop& loop, net::TcpListener l, net::Watch::Handler on_ready,
             net::Alarm::Handler on_alarm)
        : socket(std::move(l)),
          watch(loop, socket.fd(), net::Interest::kRead, std::move(on_ready)),
          pause(loop, std::move(on_alarm)) {}

    net::TcpListener socket;
    net::Watch watch;
    net::Alarm pause;  // While there are no descriptors.
  };
  struct Joined {
    std::shared_ptr<void> place;
    std::unique_ptr<JoinedStreams> streams;
  };
  // Being made, waiting to be bound, or joined.
  using Connection =
      std::variant<std::unique_ptr<net::Connector>, net::TcpStream, Joined>;

  void Accept(turn::RelayId relay);
  void OnConnected(turn::ConnectionId id,
                   absl::StatusOr<net::TcpStream> stream);

  net::Loop& loop_;
  turn::PeerConnections& server_;
  net::StreamBuffer& buffer_;
  net::StreamMemory* const memory_;
  const JoinedStreamsOptions options_;
  absl::AnyInvocable<void()> on_news_;
  absl::flat_hash_map<turn::RelayId, std::unique_ptr<Listener>> listeners_;
  absl::flat_hash_map<turn::ConnectionId, Connection> connections_;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_PEER_STREAMS_H_
