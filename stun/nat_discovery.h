// What a NAT does with UDP, found out by a client (RFC 5780).

#ifndef KYUU_STUN_NAT_DISCOVERY_H_
#define KYUU_STUN_NAT_DISCOVERY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/random.h"
#include "stun/client.h"
#include "stun/protocol.h"
#include "stun/retransmit.h"

namespace kyuu::stun {

// How much of the remote endpoint something depends on (RFC 4787 sections 4.1
// and 5): for a mapping, what makes the NAT choose another outside port; for a
// filter, who may send to that port.
enum class NatDependence : uint8_t {
  kUnknown,
  kNone,            // "Endpoint-independent".
  kAddress,         // "Address-dependent".
  kAddressAndPort,  // "Address- and port-dependent".
  kSome,            // Dependent; the servers known do not tell on what.
};

// What a NAT may do or not: hairpinning, passing fragments.
enum class NatAbility : uint8_t { kUnknown, kNo, kYes };

// How long a mapping lives without traffic: at least the one, less than the
// other (zero, and infinite, if every test said the same).
struct NatLifetime {
  absl::Duration at_least;
  absl::Duration below;
};

struct NatReport {
  TransportAddress local;
  TransportAddress mapped;
  // Unknown if the first answer was late.
  std::optional<absl::Duration> round_trip;
  NatDependence mapping = NatDependence::kUnknown;
  NatDependence filtering = NatDependence::kUnknown;
  NatAbility hairpinning = NatAbility::kUnknown;
  // Whether datagrams in fragments pass both ways.
  NatAbility fragments = NatAbility::kUnknown;

  // Whether addresses are translated at all. If not, `filtering` is that of a
  // firewall.
  bool translated() const { return mapped != local; }
};

struct NatDiscoveryOptions {
  // The socket that asks, and whom it asks. Without a second address of that
  // server's only `mapped` and `hairpinning` are found, and whether the mapping
  // depends on anything, if there is another server.
  TransportAddress local;
  TransportAddress server;
  std::optional<TransportAddress> other_server;

  // Lifetimes to test at the same time: a socket that keeps silent for `idle`
  // and then is written to by the server, at the word of `asker`, a socket of
  // the same address. A driver must own all of them. Empty: not tested.
  struct Probe {
    TransportAddress local;
    absl::Duration idle;
  };
  TransportAddress asker;
  std::vector<Probe> probes;

  // Silence is an answer of its own here, so it comes sooner than usual: after
  // 5.5 s.
  RetransmitOptions retransmit{.rto_initial = absl::Milliseconds(500),
                               .sends_max = 4,
                               .last_wait_factor = 4};
};

// NatDiscovery is an engine that asks a STUN server from several sides:
//
//   stun::NatDiscovery discovery(random, {.local = ours, .server = server});
//   discovery.Start(now);
//   ... drive it, with 2048 bytes for a datagram; PollEvent() gives Found
//   within 17 s, LifetimeFound once the probes have ended, and Closed.
class NatDiscovery {
 public:
  using Packet = Datagram;
  using Options = NatDiscoveryOptions;

  struct Found {
    NatReport report;
  };
  struct LifetimeFound {
    NatLifetime lifetime;
  };
  // The last event: OK, or why there is no report (as stun::Client::Failed), or
  // no lifetime (UNIMPLEMENTED: the server does not know RESPONSE-PORT).
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Found, LifetimeFound, Closed>;
  using Stats = Client::Stats;

  // `random` must outlive it.
  NatDiscovery(Random& random, Options options);

  // Begins; further calls have no effect. INVALID_ARGUMENT for addresses of
  // different families.
  absl::Status Start(absl::Time now);
  // Ends it with Closed{CANCELLED} unless it has ended.
  void Close();

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  const Stats& stats() const { return client_.stats(); }
  std::string DebugString() const;

 private:
  enum class Test : uint8_t {
    kBasic,              // Which address does the server see?
    kOtherServer,        // And another server?
    kHairpin,            // Do we hear ourselves?
    kFilterAddressPort,  // Is an answer from the alternate address heard?
    kFragments,          // Do fragments pass?
    kFilterPort,         // And one from the other port of the same address?
    kMapAddress,         // Which address does the server's alternate IP see?
    kMapAddressPort,     // And its alternate IP with the alternate port?
    kMapProbe,           // Where is the probe's socket seen?
    kProbe,              // Does its mapping live yet?
  };
  struct Running {
    Test test;
    TransactionId id;
    size_t probe = 0;
  };
  struct Probe {
    enum class State : uint8_t {
      kMapping,
      kIdle,
      kAsking,
      kAlive,
      kDead,
      kUnknown,  // It could not be asked.
    };
    State state = State::kMapping;
    TransportAddress mapped;
    absl::Time ask_at = absl::InfiniteFuture();
  };

  absl::Status Ask(absl::Time now, Test test, const Path& path,
                   const Client::Behavior& behavior = {}, size_t probe = 0);
  // Whether tests run that are not those of probes.
  bool IsAskingOurselves() const;
  // Takes what the transactions have come to.
  void Proceed(absl::Time now);
  void On(absl::Time now, const Running& run, const Client::Mapped& answer);
  void On(const Running& run, const Client::Failed& failed);
  void AskMore(absl::Time now, const Client::Mapped& basic);
  void AskMappings(absl::Time now);
  void JudgeMappings();
  void JudgeLifetime();
  void Report();
  void End(absl::Status status);

  const Options options_;
  Client client_;
  std::vector<Running> running_;
  std::vector<Probe> probes_;
  // Of the server (RFC 5780 section 7.4).
  std::optional<TransportAddress> alternate_;
  std::optional<TransportAddress> mapped_by_address_;
  std::optional<TransportAddress> mapped_by_port_;
  int silent_filters_ = 0;
  NatReport report_;
  std::deque<Event> events_;
  enum class State : uint8_t { kNew, kFiltering, kMapping, kReported, kClosed };
  State state_ = State::kNew;
};

static_assert(Engine<NatDiscovery>);

// "endpoint-independent", "address-dependent", ...
absl::string_view ToString(NatDependence dependence);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_NAT_DISCOVERY_H_
