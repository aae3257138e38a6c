// Binding requests: which address does a server see us at?

#ifndef KYUU_STUN_CLIENT_H_
#define KYUU_STUN_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/counters.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/random.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "stun/protocol.h"
#include "stun/retransmit.h"

namespace kyuu::stun {

// What a request may ask beyond the address (RFC 5780 section 4).
struct BindingBehavior {
  std::optional<ChangeRequest> change_request;
  std::optional<ResponsePort> response_port;
  // Our address to which the answer is sent by `response_port`, if it is not
  // that of the request.
  std::optional<TransportAddress> answered_at;
  // Bytes of PADDING, which the answer then has too; none if 0. PollTransmit
  // needs as much room, and 100 bytes.
  size_t padding_bytes = 0;
};

// Client is the engine of Binding transactions without authentication (RFC 8489
// sections 3 and 6), any number at a time, each on a path of its own. On a path
// of TCP the driver has a stream, plain or TLS, and cuts it into messages.
//
//   stun::Client client(random, {});
//   auto id = client.Bind(now, Path{.local = ours, .remote = server});
//   ... drive it; then PollEvent() gives Client::Mapped or Client::Failed.
class Client {
 public:
  using Packet = Datagram;

  struct Options {
    RetransmitOptions retransmit;  // Over UDP.
    // Open transactions at one time. 64 are eight local addresses towards
    // eight servers.
    size_t transactions_max = 64;
    // SOFTWARE of requests; none if empty (RFC 8489 section 14.14).
    std::string software;
  };

  using Behavior = BindingBehavior;

  // The server answered: it saw our datagram come from `mapped`.
  struct Mapped {
    TransactionId id;
    // The path of the request.
    Path path;
    TransportAddress mapped;
    // Who has answered: path.remote, unless CHANGE-REQUEST asked for another.
    TransportAddress from;
    // Unknown if the request was sent more than once.
    std::optional<absl::Duration> round_trip;
    // RFC 5780 section 7.3 and 7.4, if the server says them.
    std::optional<TransportAddress> response_origin;
    std::optional<TransportAddress> other_address;
    // Of PADDING (section 7.6).
    size_t padding_bytes = 0;
  };
  // The transaction ended without an address. `error` is the server's code if
  // it sent one. Status: DEADLINE_EXCEEDED for no answer, UNAVAILABLE for an
  // error response, INTERNAL for a useless success response, or that of
  // HandleRefusal().
  struct Failed {
    TransactionId id;
    Path path;
    absl::Status status;
    std::optional<Error> error;
  };
  // Close() was called; nothing comes after it.
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Mapped, Failed, Closed>;

  struct Stats {
    uint64_t requests_sent = 0;  // Retransmissions included.
    uint64_t retransmissions = 0;
    uint64_t responses = 0;   // That ended a transaction.
    uint64_t malformed = 0;   // Not STUN, or a wrong FINGERPRINT.
    uint64_t unexpected = 0;  // Not a Binding response, or of no transaction.
    uint64_t wrong_path = 0;  // From another address than was asked.

    static constexpr Counter<Stats> kCounters[] = {
        KYUU_COUNTER(Stats, requests_sent),
        KYUU_COUNTER(Stats, retransmissions),
        KYUU_COUNTER(Stats, responses),
        KYUU_COUNTER(Stats, malformed),
        KYUU_COUNTER(Stats, unexpected),
        KYUU_COUNTER(Stats, wrong_path)};
  };
  static_assert(Countable<Stats>);

  // `random` must outlive the client.
  Client(Random& random, Options options);

  // Starts a transaction from path.local to path.remote. RESOURCE_EXHAUSTED
  // beyond transactions_max, FAILED_PRECONDITION after Close(),
  // INVALID_ARGUMENT for a path whose ends are of different families.
  absl::StatusOr<TransactionId> Bind(absl::Time now, const Path& path,
                                     const Behavior& behavior = {});
  // Ends a transaction without an event. No effect on an unknown one.
  void Cancel(const TransactionId& id);
  // Ends all transactions without an event, then gives Closed.
  void Close();

  // The host of `remote` has said that nobody listens there: the transactions
  // towards it fail with `why` (RFC 8489 section 6.2.1, a hard ICMP error). Or
  // that a stream to it has ended.
  void HandleRefusal(absl::Time now, const TransportAddress& remote,
                     const absl::Status& why);
  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // True if `bytes` looks like an answer to one of our transactions, for
  // drivers that share a socket with other protocols.
  bool Expects(absl::Span<const uint8_t> bytes) const;
  size_t open_transactions() const { return transactions_.size(); }
  const Stats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  struct Transaction {
    TransactionId id;
    Path path;
    Behavior behavior;
    Retransmission retransmission;
  };

  std::vector<Transaction>::iterator Find(const TransactionId& id);
  Event Conclude(absl::Time now, const Transaction& transaction,
                 const TransportAddress& from,
                 const MessageView& response) const;
  absl::Span<const uint8_t> Write(const Transaction& transaction,
                                  absl::Span<uint8_t> out) const;

  Random& random_;
  Options options_;
  std::vector<Transaction> transactions_;  // In the order of their start.
  Queue<Event> events_;
  bool closed_ = false;
  Stats stats_;
};

static_assert(Engine<Client>);

}  // namespace kyuu::stun

#endif  // KYUU_STUN_CLIENT_H_
