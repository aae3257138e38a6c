#include "relay/peer_streams.h"

#include <string>

namespace kyuu::relay {
namespace {

// Peers that one wake-up of a relay accepts.
constexpr int kAcceptsPerTurn = 16;
// Connections that wait for being accepted, at each relay: its client talks to
// a few peers.
constexpr int kBacklog = 16;
// How long is waited for descriptors.
constexpr absl::Duration kPause = absl::Milliseconds(50);

}  // namespace

PeerStreams::PeerStreams(net::Loop& loop, turn::PeerConnections& server,
                         net::StreamBuffer& buffer, net::StreamMemory* memory,
                         const JoinedStreamsOptions& options,
                         absl::AnyInvocable<void()> on_news)
    : loop_(loop),
      server_(server),
      buffer_(buffer),
      memory_(memory),
      options_(options),
      on_news_(std::move(on_news)) {}

PeerStreams::~PeerStreams() = default;

absl::Status PeerStreams::Open(turn::RelayId relay,
                               const TransportAddress& bind) {
  auto socket = net::TcpListener::Open(
      {.bind = bind, .lend_address = true, .backlog = kBacklog});
  if (!socket.ok()) return socket.status();
  auto listener = std::make_unique<Listener>(
      loop_, *std::move(socket),
      [this, relay](net::Readiness) { Accept(relay); },
      [this, relay] {
        listeners_.at(relay)->watch.SetInterest(net::Interest::kRead);
      });
  // The host has no room to watch it: a relay that hears nothing is none.
  if (const absl::Status watched = listener->watch.status(); !watched.ok()) {
    return watched;
  }
  listeners_[relay] = std::move(listener);
  return absl::OkStatus();
}

void PeerStreams::Close(turn::RelayId relay) { listeners_.erase(relay); }

void PeerStreams::Accept(turn::RelayId relay) {
  Listener& listener = *listeners_.at(relay);
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    std::optional<net::TcpStream> stream = listener.socket.Accept();
    if (!stream.has_value()) break;
    const auto id =
        server_.Accepted(net::Loop::Now(), relay, stream->path().remote);
    if (id.has_value()) {
      connections_.emplace(*id, *std::move(stream));
    } else {
      stream->Cut();
    }
  }
  if (listener.socket.exhausted()) {
    listener.watch.SetInterest(net::Interest::kNone);
    listener.pause.Set(net::Loop::Now() + kPause);
  }
  on_news_();  // Last: it may close the relay.
}

void PeerStreams::Connect(turn::ConnectionId id, const TransportAddress& bind,
                          const TransportAddress& peer) {
  net::ConnectOptions options;
  options.from = bind;
  options.timeout = absl::InfiniteDuration();  // The server's.
  connections_[id] = std::make_unique<net::Connector>(
      loop_, std::vector<TransportAddress>{peer},
      [this, id](absl::StatusOr<net::TcpStream> stream) {
        OnConnected(id, std::move(stream));
      },
      options);
}

void PeerStreams::OnConnected(turn::ConnectionId id,
                              absl::StatusOr<net::TcpStream> stream) {
  if (stream.ok()) {
    connections_.insert_or_assign(id, *std::move(stream));
    server_.Connected(net::Loop::Now(), id);
  } else {
    connections_.erase(id);
    server_.Failed(id);
  }
  on_news_();
}

void PeerStreams::Close(turn::ConnectionId id) {
  const auto it = connections_.find(id);
  if (it == connections_.end()) return;
  // By a reset: there is nothing to wait for, and the port is somebody else's
  // soon.
  if (auto* waiting = std::get_if<net::TcpStream>(&it->second)) waiting->Cut();
  if (auto* joined = std::get_if<Joined>(&it->second)) joined->streams->Cut();
  connections_.erase(it);
}

void PeerStreams::Join(turn::ConnectionId id, net::Stream client,
                       std::shared_ptr<void> place,
                       absl::Span<const uint8_t> first) {
  const auto it = connections_.find(id);
  auto* peer = it == connections_.end()
                   ? nullptr
                   : std::get_if<net::TcpStream>(&it->second);
  if (peer == nullptr) return client.Cut();
  auto streams = std::make_unique<JoinedStreams>(
      loop_, std::move(client), std::move(*peer), buffer_, memory_, options_,
      JoinedStreams::Handlers{
          [this, id](turn::Direction direction, size_t bytes) {
            return server_.Passed(net::Loop::Now(), id, direction, bytes);
          },
          [this, id](JoinedStreams::End) {
            server_.Gone(id);
            connections_.erase(id);
            on_news_();
          }});
  JoinedStreams& joined = *streams;
  it->second = Joined{std::move(place), std::move(streams)};
  joined.Start(first);
}

void PeerStreams::AddHolders(
    std::vector<std::pair<size_t, Path>>& holders) const {
  for (const auto& [id, connection] : connections_) {
    if (const auto* joined = std::get_if<Joined>(&connection)) {
      holders.emplace_back(joined->streams->held_bytes(),
                           joined->streams->client());
    }
  }
}

void PeerStreams::Cut(const Path& client) {
  for (const auto& [id, connection] : connections_) {
    const auto* joined = std::get_if<Joined>(&connection);
    if (joined == nullptr || joined->streams->client() != client) continue;
    server_.Gone(id);
    return Close(turn::ConnectionId(id));
  }
}

}  // namespace kyuu::relay
