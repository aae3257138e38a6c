#include "peer/shared_port.h"

#include <utility>

#include "base/check.h"
#include "base/counters.h"
#include "base/status_macros.h"

namespace kyuu::peer {
namespace {

// Without a port it cannot listen.
TcpUse UseOf(const SharedPortOptions& options) {
  return options.tcp_port || options.tcp == TcpUse::kNone ? options.tcp
                                                          : TcpUse::kActive;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SharedPort>> SharedPort::Open(
    net::Loop& loop, const SharedPortOptions& options) {
  KYUU_ASSIGN_OR_RETURN(
      HostSockets sockets,
      HostSockets::Open(
          {.loopback = options.loopback,
           .max = options.addresses_max,
           .tcp = UseOf(options),
           .ports = PortNumbers{options.port, options.tcp_port.value_or(0)},
           .nat_mappings = options.nat_mappings,
           .use = options.use,
           .port_range = options.port_range}));
  return std::unique_ptr<SharedPort>(
      new SharedPort(loop, options, std::move(sockets)));
}

SharedPort::SharedPort(net::Loop& loop, const SharedPortOptions& options,
                       HostSockets sockets)
    : loop_(loop),
      options_(options),
      sockets_(std::move(sockets)),
      buffer_(loop.Shared<net::ReceiveBuffer>()),
      mux_(options.mux),
      strangers_(loop, options.strangers,
                 [this](net::TcpStream tcp, absl::Span<const uint8_t> bytes,
                        absl::Span<const uint8_t> packet) {
                   OnStream(std::move(tcp), bytes, packet);
                 }),
      watch_(loop, [this] { FollowAddresses(); }) {
  for (const HostSocket& host : sockets_.sockets()) Add(host);
  Publish();
}

SharedPort::~SharedPort() { KYUU_CHECK(seats_.empty()); }

void SharedPort::Add(const HostSocket& host) {
  net::UdpSocket& socket = *host.socket;
  socket.SetBufferBytes(options_.buffer_bytes);
  gates_[&socket].watch = std::make_unique<net::Watch>(
      loop_, socket.fd(), net::Interest::kRead,
      [this, &socket](net::Readiness ready) { OnReady(socket, ready); });
  if (host.listener) strangers_.AddListener(*host.listener);
}

void SharedPort::Remove(const HostSocket& host) {
  AddCounters(past_, host.socket->stats());
  gates_.erase(host.socket.get());
  if (host.listener) strangers_.RemoveListener(*host.listener);
}

void SharedPort::Publish() {
  std::vector<ice::HostAddress> addresses;
  for (const HostSocket& host : sockets_.sockets()) {
    addresses.push_back(host.address());
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  addresses_ = std::move(addresses);
}

void SharedPort::FollowAddresses() {
  const HostSockets::Changes changes = sockets_.Refresh();
  if (changes.empty()) return;
  for (const HostSocket& gone : changes.gone) Remove(gone);
  for (const HostSocket* added : changes.added) Add(*added);
  Publish();
  for (auto& [id, seat] : seats_) {
    seat.member->Follow(changes);
    Wake(id);
  }
  Flush();
}

std::vector<ice::HostAddress> SharedPort::addresses() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return addresses_;
}

absl::Status SharedPort::Reserve() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (reserved_ >= options_.mux.agents_max) {
    return absl::ResourceExhaustedError("too many connections share the port");
  }
  ++reserved_;
  return absl::OkStatus();
}

ice::MuxId SharedPort::Join(PortMember& member) {
  const absl::StatusOr<ice::MuxId> id = mux_.Add();
  KYUU_CHECK(id.ok());  // Reserve() has said so.
  seats_[*id] = {&member};
  return *id;
}

void SharedPort::Leave(ice::MuxId id) {
  mux_.Remove(id);
  seats_.erase(id);
  const std::lock_guard<std::mutex> lock(mutex_);
  --reserved_;
}

void SharedPort::Await(ice::MuxId id, net::UdpSocket& socket) {
  const auto gate = gates_.find(&socket);
  if (gate == gates_.end()) return;
  gate->second.waiting.push_back(id);
  gate->second.watch->SetInterest(net::Interest::kReadWrite);
}

void SharedPort::OnReady(net::UdpSocket& socket, net::Readiness ready) {
  Gate& gate = gates_.at(&socket);
  if (ready.writable && !gate.waiting.empty()) {
    gate.watch->SetInterest(net::Interest::kRead);
    for (const ice::MuxId id : std::exchange(gate.waiting, {})) Wake(id);
  }
  if (ready.readable) {
    for (size_t i = 0; i < options_.receives_per_turn; ++i) {
      const absl::Span<const net::Train> trains = socket.Receive(buffer_);
      const absl::Time now = net::Loop::Now();
      bool urgent = false;
      for (const net::Train& train : trains) urgent |= Deliver(now, train);
      if (trains.size() < net::ReceiveBuffer::kTrains) break;
      if (urgent) Flush();
    }
  }
  Flush();
}

bool SharedPort::Deliver(absl::Time now, const net::Train& train) {
  bool urgent = false;
  // All of a train comes along one path, so all but STUN is for one member.
  std::optional<ice::MuxId> owner;
  for (size_t k = 0; k < train.segments(); ++k) {
    const Datagram datagram{train.path, train.segment(k)};
    const bool stun = datagram.bytes.empty() || datagram.bytes[0] <= 3;
    std::optional<ice::MuxId> id = stun ? std::nullopt : owner;
    if (!id) id = mux_.Route(datagram);
    if (!id) continue;
    if (!stun) owner = id;
    urgent |= DeliverTo(now, *id, datagram);
    if (stun && mux_.Owner(train.path) != id) {
      mux_.Bind(*id, train.path, seats_.at(*id).member->ProofOf(train.path));
      owner.reset();
    }
  }
  return urgent;
}

bool SharedPort::DeliverTo(absl::Time now, ice::MuxId id,
                           const Datagram& datagram) {
  Wake(id);
  return seats_.at(id).member->Receive(now, datagram);
}

void SharedPort::OnStream(net::TcpStream tcp, absl::Span<const uint8_t> bytes,
                          absl::Span<const uint8_t> packet) {
  const std::optional<ice::MuxId> id = mux_.Route({tcp.path(), packet});
  if (!id) {
    ++drop_unknown_stream_;
    return tcp.Cut();
  }
  seats_.at(*id).member->Adopt(std::move(tcp), bytes);
}

void SharedPort::Wake(ice::MuxId id) {
  const auto it = seats_.find(id);
  if (it == seats_.end() || std::exchange(it->second.dirty, true)) return;
  dirty_.push_back(id);
}

void SharedPort::Flush() {
  // A member may leave, and its handlers make others leave, meanwhile.
  std::vector<ice::MuxId> dirty = std::exchange(dirty_, {});
  for (const ice::MuxId id : dirty) {
    const auto it = seats_.find(id);
    if (it == seats_.end()) continue;
    it->second.dirty = false;
    it->second.member->Flush();
  }
  dirty.clear();
  if (dirty_.empty()) dirty_ = std::move(dirty);  // Its memory.
}

net::UdpStats SharedPort::udp_stats() const {
  net::UdpStats sum = past_;
  for (const HostSocket& host : sockets_.sockets()) {
    AddCounters(sum, host.socket->stats());
  }
  return sum;
}

}  // namespace kyuu::peer
