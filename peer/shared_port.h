// SharedPort: one UDP port and one TCP port for all connections of a loop.
//
//   auto port = *peer::SharedPort::Open(*loop, {.port = 7000, .tcp_port =
//   7000}); auto connection = *peer::LoopConnection::Create(
//       *loop, certificate, {.port = port.get()}, random, on_event);
//
// With PeerConnection: Thread::Start(SharedPortOptions).

#ifndef KYUU_PEER_SHARED_PORT_H_
#define KYUU_PEER_SHARED_PORT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/address_filter.h"
#include "ice/gatherer_types.h"
#include "ice/mux.h"
#include "net/drive.h"
#include "net/loop.h"
#include "net/udp_socket.h"
#include "peer/host_sockets.h"
#include "peer/internal/stranger_streams.h"
#include "peer/peer_streams.h"

namespace kyuu::peer {

struct SharedPortOptions {
  // Of UDP, on each address of the machine; 0: one that the system chooses.
  uint16_t port = 0;
  // Of TCP likewise, for peers that connect (RFC 6544); nullopt: none listens.
  std::optional<uint16_t> tcp_port;
  // kNone: no connections are made, either. kActive: none listens.
  TcpUse tcp = TcpUse::kBoth;
  LoopbackUse loopback = LoopbackUse::kIfAlone;
  // See HostSocketsOptions; the range is for ports that are 0.
  std::vector<NatMapping> nat_mappings = {};
  AddressFilter use = {};
  std::optional<PortRange> port_range = {};
  // Addresses used at most.
  size_t addresses_max = 16;
  // Of the sockets, in each direction: room for what thousands of peers send
  // while the loop is busy. The system may grant less (net.core.rmem_max).
  int buffer_bytes = 16 << 20;
  // As DriveOptions'.
  size_t receives_per_turn = 8;
  ice::MuxOptions mux;
  // TCP connections that have not said whose they are.
  internal::StrangerOptions strangers;
};

// A connection on a SharedPort, to it.
class PortMember {
 public:
  virtual ~PortMember() = default;
  // True: Flush() is urgent (net::UrgentEngine).
  virtual bool Receive(absl::Time now, const Datagram& datagram) = 0;
  virtual ice::PathProof ProofOf(const Path& path) const = 0;
  // Sees what follows. May destroy this member and others.
  virtual void Flush() = 0;
  virtual void Follow(const HostSockets::Changes& changes) = 0;
  virtual void Adopt(net::TcpStream tcp, absl::Span<const uint8_t> first) = 0;
};

// SharedPort receives for all its members, each of which sends by itself. A
// datagram goes to whom ice::Mux says, and a TCP connection to whom its first
// packet names. It belongs to the loop's thread, which must outlive it, and all
// members must be gone before it.
class SharedPort {
 public:
  // UNAVAILABLE: the machine has no usable address. ALREADY_EXISTS: the port is
  // in use on all of them. Else as net::UdpSocket::Open.
  static absl::StatusOr<std::unique_ptr<SharedPort>> Open(
      net::Loop& loop, const SharedPortOptions& options = {});
  ~SharedPort();

  // --- For any thread ---

  // Our sockets, for agents.
  std::vector<ice::HostAddress> addresses() const;
  // Room for one member, to be taken by Join(). RESOURCE_EXHAUSTED beyond
  // MuxOptions::agents_max.
  absl::Status Reserve();

  // --- For members, whose PortSeat calls them ---

  ice::MuxId Join(PortMember& member);
  void Leave(ice::MuxId id);
  absl::Span<const HostSocket> sockets() const { return sockets_.sockets(); }
  void AddUfrag(ice::MuxId id, absl::string_view ufrag) {
    mux_.AddUfrag(id, ufrag);
  }
  void NoteSent(ice::MuxId id, const Datagram& datagram) {
    mux_.NoteSent(net::Loop::Now(), id, datagram);
  }
  void Await(ice::MuxId id, net::UdpSocket& socket);

  // --- Queries ---

  const ice::Mux& mux() const { return mux_; }
  // TCP connections before they are a member's.
  const internal::StrangerStats& stranger_stats() const {
    return strangers_.stats();
  }
  // TCP connections whose first packet names nobody.
  uint64_t drop_unknown_stream() const { return drop_unknown_stream_; }
  // Sums over the sockets.
  net::UdpStats udp_stats() const;

 private:
  struct Seat {
    PortMember* member;
    bool dirty = false;  // In dirty_.
  };
  // One of the sockets.
  struct Gate {
    std::unique_ptr<net::Watch> watch;
    std::vector<ice::MuxId> waiting;  // Until it is writable.
  };

  SharedPort(net::Loop& loop, const SharedPortOptions& options,
             HostSockets sockets);
  void Add(const HostSocket& host);
  void Remove(const HostSocket& host);
  void FollowAddresses();
  void Publish();
  void OnReady(net::UdpSocket& socket, net::Readiness ready);
  // True: somebody's Flush() is urgent.
  bool Deliver(absl::Time now, const net::Train& train);
  bool DeliverTo(absl::Time now, ice::MuxId id, const Datagram& datagram);
  void OnStream(net::TcpStream tcp, absl::Span<const uint8_t> bytes,
                absl::Span<const uint8_t> packet);
  void Wake(ice::MuxId id);
  void Flush();

  net::Loop& loop_;
  const SharedPortOptions options_;
  HostSockets sockets_;
  net::ReceiveBuffer& buffer_;
  ice::Mux mux_;
  absl::flat_hash_map<ice::MuxId, Seat> seats_;
  std::vector<ice::MuxId> dirty_;  // To be flushed.
  std::map<net::UdpSocket*, Gate> gates_;
  internal::StrangerStreams strangers_;
  uint64_t drop_unknown_stream_ = 0;
  net::UdpStats past_;  // Of sockets that are gone.
  HostWatch watch_;

  mutable std::mutex mutex_;
  std::vector<ice::HostAddress> addresses_;  // Guarded by mutex_.
  size_t reserved_ = 0;                      // Guarded by mutex_.
};

// PortSeat makes `engine`, which `driver` drives, a member of a port: it is
// told of the port's addresses, and the port of its ufrag. Room must be
// Reserve()d.
//
// The engine has AddLocalAddress, RemoveLocalAddress, ProofOf and local_ufrag
// as peer::Connection has. `streams` may be null.
template <typename E>
class PortSeat final : public PortMember, public net::SharedSocketHooks {
 public:
  PortSeat(SharedPort& port, E& engine, net::Driver<E>& driver,
           PeerStreams* streams)
      : port_(port), engine_(engine), driver_(driver), streams_(streams) {
    id_ = port.Join(*this);
    driver.ShareSocketsBy(this);
    for (const HostSocket& host : port.sockets()) Add(host);
    TellUfrag();
  }
  ~PortSeat() override {
    port_.Leave(id_);
    driver_.ShareSocketsBy(nullptr);
    for (const HostSocket& host : port_.sockets()) {
      driver_.RemoveSocket(*host.socket);
    }
  }
  PortSeat(const PortSeat&) = delete;
  PortSeat& operator=(const PortSeat&) = delete;

  // SharedSocketHooks.
  void OnStun(const Datagram& datagram) override {
    port_.NoteSent(id_, datagram);
  }
  void OnBlocked(net::UdpSocket& socket) override { port_.Await(id_, socket); }
  void OnSettled() override { TellUfrag(); }

  // PortMember.
  bool Receive(absl::Time now, const Datagram& datagram) override {
    return driver_.Receive(now, datagram);
  }
  ice::PathProof ProofOf(const Path& path) const override {
    return engine_.ProofOf(path);
  }
  void Flush() override { driver_.Flush(); }
  void Follow(const HostSockets::Changes& changes) override {
    for (const HostSocket& gone : changes.gone) {
      driver_.RemoveSocket(*gone.socket);
      // Refused once closed, and then nobody needs it.
      (void)engine_.RemoveLocalAddress(net::Loop::Now(),
                                       gone.address().address);
    }
    for (const HostSocket* added : changes.added) Add(*added);
  }
  void Adopt(net::TcpStream tcp, absl::Span<const uint8_t> first) override {
    if (streams_ == nullptr) return tcp.Cut();
    streams_->Adopt(std::move(tcp), first);
  }

 private:
  void Add(const HostSocket& host) {
    driver_.AddSharedSocket(*host.socket);
    // As above; and a known one changes nothing.
    (void)engine_.AddLocalAddress(net::Loop::Now(), host.address());
  }
  void TellUfrag() {
    const std::string ufrag = engine_.local_ufrag();
    if (!port_.mux().KnowsUfrag(id_, ufrag)) port_.AddUfrag(id_, ufrag);
  }

  SharedPort& port_;
  E& engine_;
  net::Driver<E>& driver_;
  PeerStreams* const streams_;
  ice::MuxId id_;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_SHARED_PORT_H_
