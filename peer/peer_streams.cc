#include "peer/peer_streams.h"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/counters.h"
#include "net/connect.h"
#include "net/stream.h"
#include "net/stream_driver.h"

namespace kyuu::peer {

// One stream. Its parts are made one after the other, and go from the last.
struct PeerStreams::Link {
  // Whether its owner still wants to hear of it.
  enum class Told : uint8_t { kAll, kNothing };

  Link(ice::StreamId i, const ice::PacketStreamOptions& options)
      : id(i), packets(options) {}

  const ice::StreamId id;
  ice::PacketStream packets;
  Told told = Told::kAll;
  bool over = false;  // To be erased in the next turn.
  Path path;
  std::optional<net::Connector> connector;  // Until connected.
  std::optional<net::StreamDriver<ice::PacketStream>> driver;
};

struct PeerStreams::Door {
  explicit Door(net::TcpListener& l) : listener(l) {}

  net::TcpListener& listener;
  std::optional<net::Watch> watch;  // Not while accepting pauses.
};

PeerStreams::PeerStreams(net::Loop& loop, const PeerStreamOptions& options,
                         PeerStreamHandlers handlers)
    : loop_(loop),
      options_(options),
      handlers_(std::move(handlers)),
      turn_(loop, [this] { OnTurn(); }),
      resume_(loop, [this] { Resume(); }) {}

PeerStreams::~PeerStreams() = default;

void PeerStreams::AddListener(net::TcpListener& listener) {
  doors_[&listener] = std::make_unique<Door>(listener);
  Resume();
}

void PeerStreams::RemoveListener(net::TcpListener& listener) {
  doors_.erase(&listener);
}

void PeerStreams::Resume() {
  for (auto& [listener, door] : doors_) {
    if (door->watch) continue;
    door->watch.emplace(
        loop_, listener->fd(), net::Interest::kRead,
        [this, at = door.get()](net::Readiness) { Accept(*at); });
  }
}

void PeerStreams::Accept(Door& door) {
  for (size_t i = 0; i < options_.accepts_per_turn; ++i) {
    std::optional<net::TcpStream> tcp = door.listener.Accept();
    if (!tcp) break;
    Adopt(*std::move(tcp), {});
  }
  if (door.listener.exhausted()) {
    for (auto& [listener, other] : doors_) other->watch.reset();
    resume_.Set(net::Loop::Now() + options_.accept_pause);
  }
  turn_.Set(absl::InfinitePast());
}

void PeerStreams::Adopt(net::TcpStream tcp, absl::Span<const uint8_t> first) {
  turn_.Set(absl::InfinitePast());
  const std::optional<ice::StreamId> id = handlers_.on_accepted(tcp.path());
  if (!id) return tcp.Cut();
  Link& link =
      *links_.try_emplace(*id, std::make_unique<Link>(*id, options_.queue))
           .first->second;
  link.packets.HandlePacket(net::Loop::Now(), first);
  Drive(link, std::move(tcp));
  if (!first.empty()) link.driver->Flush();
}

void PeerStreams::Open(const ice::PeerStreamWanted& wanted) {
  const auto [it, is_new] = links_.try_emplace(
      wanted.id, std::make_unique<Link>(wanted.id, options_.queue));
  if (!is_new) return;
  Link& link = *it->second;
  link.path.remote = wanted.remote;
  net::ConnectOptions connect;
  connect.from = TransportAddress{wanted.local, wanted.local_port};
  connect.stream.unsent_bytes = options_.unsent_bytes;
  // It tells from the loop, so that the caller may be an engine's driver.
  link.connector.emplace(
      loop_, std::vector<TransportAddress>{wanted.remote},
      [this, &link](absl::StatusOr<net::TcpStream> tcp) {
        OnConnected(link, std::move(tcp));
      },
      connect);
}

void PeerStreams::OnConnected(Link& link, absl::StatusOr<net::TcpStream> tcp) {
  link.connector.reset();
  if (!tcp.ok()) return Tell(link, tcp.status());
  // As its owner knows it: with the scope of a link-local address.
  const TransportAddress remote = link.path.remote;
  Drive(link, *std::move(tcp));
  by_path_.erase(link.path);
  link.path.remote = remote;
  by_path_[link.path] = &link;
  handlers_.on_connected(link.id, link.path.local);
  turn_.Set(absl::InfinitePast());
}

void PeerStreams::Drive(Link& link, net::TcpStream tcp) {
  link.path = tcp.path();
  by_path_[link.path] = &link;
  link.driver.emplace(
      loop_, net::Stream(std::move(tcp)), link.packets,
      loop_.Shared<net::StreamBuffer>(),
      [this, &link](ice::PacketStream::Event event) {
        OnEvent(link, std::move(event));
      },
      [this, &link](net::StreamEnd, const absl::Status& why) {
        Tell(link, why);
      });
}

void PeerStreams::OnEvent(Link& link, ice::PacketStream::Event event) {
  if (link.told == Link::Told::kNothing) return;
  if (const auto* got = std::get_if<ice::PacketStream::Received>(&event)) {
    handlers_.on_packet({link.path, got->bytes});
    turn_.Set(absl::InfinitePast());
    return;
  }
  // Nothing is to be had from it any more; its end follows, some time.
  const absl::Status& why = std::get<ice::PacketStream::Closed>(event).status;
  link.told = Link::Told::kNothing;
  handlers_.on_ended(link.id, why);
  turn_.Set(absl::InfinitePast());
}

// The stream is over, or never was.
void PeerStreams::Tell(Link& link, const absl::Status& why) {
  link.over = true;
  by_path_.erase(link.path);
  waiting_.insert(link.id);
  turn_.Set(absl::InfinitePast());
  if (std::exchange(link.told, Link::Told::kNothing) == Link::Told::kNothing) {
    return;
  }
  handlers_.on_ended(link.id, why);
}

void PeerStreams::Drop(ice::StreamId id) {
  const auto it = links_.find(id);
  if (it == links_.end()) return;
  Link& link = *it->second;
  link.told = Link::Told::kNothing;
  if (!link.driver) {
    link.connector.reset();
    link.over = true;
  } else if (link.packets.stats().packets_queued == 0) {
    link.driver->Cut();
  }
  link.packets.Close();
  waiting_.insert(id);
  turn_.Set(absl::InfinitePast());
}

bool PeerStreams::Send(const Datagram& packet) {
  const auto it = by_path_.find(packet.path);
  if (it == by_path_.end()) return false;
  it->second->packets.Send(packet.bytes);
  waiting_.insert(it->second->id);
  turn_.Set(absl::InfinitePast());
  return true;
}

// Sends what has come together in a turn of the loop, and has the engine say
// more.
void PeerStreams::OnTurn() {
  for (const ice::StreamId id : std::exchange(waiting_, {})) {
    const auto it = links_.find(id);
    if (it == links_.end()) continue;
    if (!it->second->over && it->second->driver) it->second->driver->Flush();
    if (!it->second->over) continue;
    AddCounters(past_, it->second->packets.stats());
    links_.erase(it);
  }
  handlers_.on_turn();  // Last: it may destroy us.
}

ice::PacketStreamStats PeerStreams::stats() const {
  ice::PacketStreamStats sum = past_;
  for (const auto& [id, link] : links_) {
    AddCounters(sum, link->packets.stats());
  }
  return sum;
}

}  // namespace kyuu::peer
