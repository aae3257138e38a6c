// A seeded network on simulated time: hosts, links, NATs and the engines that
// talk over them. The other driver of every engine, beside net.
//
//   sim::Network network({.seed = 1});
//   const HostId a = network.AddHost("a", {kInternet,
//   {*IpAddress::Parse(...)}}); const ZoneId home = network.AddNat(
//       kInternet, sim::NatOptions::Symmetric(nat_ip));
//   const HostId b = network.AddHost("b", {home, {inside_ip}});
//   network.Attach(a, {a_address}, server);
//   network.Attach(b, {b_address}, client,
//                  [&](stun::Client::Event e) { events.push_back(e); });
//   network.RunFor(absl::Seconds(10));

#ifndef KYUU_SIM_NETWORK_H_
#define KYUU_SIM_NETWORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/random.h"
#include "sim/clock.h"
#include "sim/endpoint.h"
#include "sim/link.h"
#include "sim/nat.h"
#include "sim/transcript.h"

namespace kyuu::sim {

// A zone is an address space whose hosts reach each other directly. The
// internet is one; behind each NAT is another.
enum class ZoneId : int {};
enum class HostId : int {};
// One engine on one host.
enum class EndpointId : int {};
inline constexpr ZoneId kInternet{0};

// Interface connects a host to a zone: its addresses there and its access
// link. A datagram crosses the `up` of its sender and the `down` of its
// receiver, and those of each NAT between them.
struct Interface {
  ZoneId zone = kInternet;
  std::vector<IpAddress> addresses;
  LinkOptions up;
  LinkOptions down;
};

struct NetworkOptions {
  uint64_t seed = 1;
  Transcript::Detail transcript = Transcript::Detail::kHash;
  // An engine that sends more datagrams than this at one instant, or has more
  // timeouts due in a row, spins: the run aborts.
  int spin_limit = 100'000;
};

struct NetworkStats {
  uint64_t sent = 0;        // Datagrams that engines or tests sent.
  uint64_t delivered = 0;   // Datagrams handed to an endpoint.
  uint64_t dropped = 0;     // By links, NATs and the filter.
  uint64_t bad_source = 0;  // Sent from an address not bound by the sender.
  uint64_t unroutable = 0;  // No host has the destination.
  uint64_t unbound = 0;     // The host has no endpoint at that port.
};

// Network owns the clock, the links and the NATs, and drives engines. Runs
// repeat byte for byte from the seed: events happen in order of time, and at
// one instant in the order in which they were caused.
class Network {
 public:
  explicit Network(const NetworkOptions& options = {});
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // --- Topology ---
  HostId AddHost(absl::string_view name, const Interface& interface);
  void AddInterface(HostId host, const Interface& interface);
  // Makes a zone whose packets to elsewhere pass a NAT (or firewall) into
  // `parent`, by way of an access link of its own. NATs nest.
  ZoneId AddNat(ZoneId parent, const NatOptions& options,
                const LinkOptions& up = {}, const LinkOptions& down = {});

  // The link of a host's first interface, of the NAT in front of `zone`, and
  // that NAT: to change options during a run and to read counters.
  Link& up(HostId host);
  Link& down(HostId host);
  Link& up(ZoneId zone);
  Link& down(ZoneId zone);
  Nat& nat(ZoneId zone);
  // Sets both directions of all interfaces of `host`.
  void SetLinks(HostId host, const LinkOptions& both);
  // Takes an address away from a host (a network is left); its datagrams are
  // dropped from now on. Its endpoints stay bound and notice nothing.
  void RemoveAddress(HostId host, const IpAddress& ip);

  // --- Endpoints ---
  // Attach drives `engine` on `host`, bound to `locals`, from now on; it must
  // outlive the network or be detached. `on_event` gets its events as they
  // happen and may call any engine; without it the test polls them.
  template <Engine E>
  EndpointId Attach(HostId host, const std::vector<TransportAddress>& locals,
                    E& engine,
                    std::function<void(typename E::Event)> on_event = nullptr) {
    return Add(host, locals,
               std::make_unique<internal::EngineEndpoint<E>>(
                   engine, std::move(on_event)));
  }
  // Listen hands every datagram for `local` to `handler`: a test's own peer.
  EndpointId Listen(HostId host, const TransportAddress& local,
                    std::function<void(const Datagram&)> handler);
  // More addresses for an endpoint, at any time (relay ports).
  void Bind(EndpointId endpoint, const TransportAddress& local);
  void Unbind(EndpointId endpoint, const TransportAddress& local);
  void Detach(EndpointId endpoint);
  // Sends a test's own datagram from `path.local` of `host`, bound or not.
  void Send(HostId host, const Datagram& datagram);

  // --- Connections over TCP, which engines see as datagrams of a Path ---
  //
  // Only making them is simulated: a packet each way, through links and NATs.
  // What a link loses is not sent again, so that lossy ones are no use here.

  // `accept` gets what is connected to `local`, as a path from there.
  void ListenStreams(HostId host, const TransportAddress& local,
                     std::function<void(const Path&)> accept);
  // `done` gets UNAVAILABLE if nobody listens, and is not called if nothing
  // comes back.
  void ConnectStream(HostId host, const Path& path,
                     std::function<void(const absl::Status&)> done);

  // `keep` sees every datagram as it leaves its sender, path as the sender
  // wrote it; false drops it. For losses a test wants exactly there.
  void set_filter(std::function<bool(const Datagram&)> keep) {
    filter_ = std::move(keep);
  }
  // Runs `action` at a time of the simulation (a signaling message, a command).
  void At(absl::Time time, std::function<void()> action);
  void After(absl::Duration delay, std::function<void()> action) {
    At(now() + delay, std::move(action));
  }

  // --- Running ---
  absl::Time now() const { return clock_.now(); }
  const Clock& clock() const { return clock_; }
  // Runs everything due within `duration` and leaves the clock at its end.
  void RunFor(absl::Duration duration);
  // Runs until `done` holds (checked after each step) or `limit` has passed;
  // returns whether it holds.
  bool RunUntil(const std::function<bool()>& done, absl::Duration limit);
  // Jumps from deadline to deadline until nothing is under way and no engine
  // waits for anything; false if `max_steps` did not suffice.
  bool RunUntilIdle(int max_steps = 1'000'000);

  Random& random() { return random_; }
  const Transcript& transcript() const { return transcript_; }
  const NetworkStats& stats() const { return stats_; }

 private:
  struct Port;
  struct Host;
  struct Zone;
  // Data, or of a connection that is made.
  enum class Kind { kData, kSyn, kSynAck, kReset };
  // A datagram under way; its addresses change as NATs translate them.
  struct Packet {
    TransportAddress source;
    TransportAddress destination;
    Transport transport;
    std::vector<uint8_t> bytes;
    Kind kind = Kind::kData;
  };
  // Where a packet that crossed a link arrives; `index` is a host or a zone.
  enum class Stage { kAction, kInZone, kAtNat, kAtHost };
  struct Event {
    Stage stage;
    int index;
    Packet packet;
    std::function<void()> action;
  };

  EndpointId Add(HostId host, const std::vector<TransportAddress>& locals,
                 std::unique_ptr<internal::Endpoint> endpoint);
  bool Step(absl::Time limit);
  void Run(Event event);
  absl::Time NextTimeout() const;
  bool Pump(Port& port);
  void PumpAll();
  void Transmit(int host, const Datagram& datagram);
  void Emit(int host, const Packet& packet);
  void Cross(Link& link, Stage stage, int index, const Packet& packet);
  void Route(int zone, const Packet& packet);
  void Leave(int zone, const Packet& packet);
  void Enter(int zone, const Packet& packet);
  void Deliver(int host, const Packet& packet);
  void DeliverStream(int host, const Packet& packet);
  void Schedule(absl::Time time, Event event);
  bool Reaches(int zone, const IpAddress& ip) const;

  NetworkOptions options_;
  Clock clock_;
  SeededRandom random_;
  Transcript transcript_;
  NetworkStats stats_;
  std::function<bool(const Datagram&)> filter_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::unique_ptr<Zone>> zones_;
  std::vector<std::unique_ptr<Port>> ports_;  // By EndpointId.
  // By time, then by the order in which they were scheduled.
  std::map<std::pair<absl::Time, uint64_t>, Event> queue_;
  uint64_t next_sequence_ = 0;
  int spins_ = 0;  // Rounds of timeouts in which time stood still.
  std::vector<uint8_t> buffer_;
};

}  // namespace kyuu::sim

#endif  // KYUU_SIM_NETWORK_H_
