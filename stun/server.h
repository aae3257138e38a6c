// The Binding responder: tells everybody who asks at which address it sees
// them.

#ifndef KYUU_STUN_SERVER_H_
#define KYUU_STUN_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/counters.h"
#include "base/engine.h"
#include "stun/attributes.h"
#include "stun/classic.h"
#include "stun/discovery.h"
#include "stun/message.h"
#include "stun/protocol.h"

namespace kyuu::stun {

// Server answers Binding requests (RFC 8489 section 12, the "Basic STUN
// Server"), and, given a second address, also those of NAT behaviour discovery
// (RFC 5780 section 6). Clients of RFC 3489 get MAPPED-ADDRESS (RFC 5389
// section 12.2). It keeps no state about clients.
//
// An answer carries what is needed and no more: 32 bytes to a bare request of
// 20 over IPv4, 1.6 times as much, so that a forged source address gains
// little. Over IPv6 it is 44.
class Server {
 public:
  using Packet = Datagram;

  using Discovery = stun::Discovery;

  struct Options {
    // With it the driver must own the four sockets of both IPs and both ports,
    // and send each answer from its path.local; without it CHANGE-REQUEST,
    // RESPONSE-PORT and PADDING are refused with 420.
    std::optional<Discovery> discovery;
    // Answers that wait for PollTransmit(); what comes beyond is dropped, as a
    // socket buffer would. A driver that calls Answer() queues nothing.
    size_t answers_max = 256;
  };

  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Closed>;

  struct Stats {
    uint64_t requests = 0;          // Binding requests of good form.
    uint64_t classic_requests = 0;  // Of these, as in RFC 3489.
    uint64_t successes = 0;
    uint64_t errors = 0;      // Answered with 420 or 400.
    uint64_t malformed = 0;   // Not STUN, or a wrong FINGERPRINT.
    uint64_t unexpected = 0;  // STUN, but no Binding request.
    uint64_t bad_source = 0;  // Port 0 or an address that cannot be answered.
    uint64_t dropped = 0;     // More than answers_max at once.

    static constexpr Counter<Stats> kCounters[] = {
        KYUU_COUNTER(Stats, requests),   KYUU_COUNTER(Stats, classic_requests),
        KYUU_COUNTER(Stats, successes),  KYUU_COUNTER(Stats, errors),
        KYUU_COUNTER(Stats, malformed),  KYUU_COUNTER(Stats, unexpected),
        KYUU_COUNTER(Stats, bad_source), KYUU_COUNTER(Stats, dropped)};
  };
  static_assert(Countable<Stats>);

  explicit Server(Options options) : options_(options) {}

  // Answer builds the response to `in` inside `out`, at once. nullopt if there
  // is nothing to answer. 576 bytes of `out` are always enough, 2048 with
  // `discovery`. The path of the result is the way to send it.
  std::optional<Datagram> Answer(const Datagram& in, absl::Span<uint8_t> out);

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;
  // Drops what waits, ignores what comes, and gives Closed.
  void Close();

  const Stats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  // All that an answer is made of.
  struct Plan {
    Path path;  // The way of the answer.
    TransactionId id;
    TransportAddress mapped;
    std::optional<Error> error;
    UnknownAttributes unknown;
    bool fingerprint = false;
    // If RFC 5780 is done.
    std::optional<Whereabouts> whereabouts;
    // A client of RFC 3489: of the rest only `path` and `mapped` matter.
    std::optional<ClassicBinding> classic;
  };

  std::optional<Plan> Decide(const Datagram& in);
  std::optional<Plan> DecideClassic(const Datagram& in);
  // RFC 5780 section 6.1: which of our four addresses answers, and whereto.
  void Redirect(const MessageView& request, Plan& plan) const;
  static absl::Span<const uint8_t> Write(const Plan& plan,
                                         absl::Span<uint8_t> out);
  std::optional<Datagram> Build(const Plan& plan, absl::Span<uint8_t> out);

  Options options_;
  std::deque<Plan> waiting_;
  std::optional<Closed> closed_event_;
  bool closed_ = false;
  Stats stats_;
};

static_assert(Engine<Server>);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_SERVER_H_
