// Endpoint: multicast DNS (RFC 6762) for ICE: finds the addresses behind names
// under ".local", and answers for names of its own.

#ifndef KYUU_MDNS_ENDPOINT_H_
#define KYUU_MDNS_ENDPOINT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/counters.h"
#include "base/engine.h"
#include "mdns/message.h"

namespace kyuu::mdns {

// A network that is asked and answered: an address of ours on it. Interfaces
// with addresses of both families are two links.
struct Link {
  IpAddress address;
  uint32_t interface = 0;  // Index of the system's.
};

struct EndpointOptions {
  // How long a name may take. It is asked for at 0, 1, 3, 7 s (RFC 6762 section
  // 5.2) as long as nobody answers.
  absl::Duration query_timeout = absl::Seconds(9);
  // Bounds: RESOURCE_EXHAUSTED beyond.
  size_t max_queries = 256;
  size_t max_names = 4096;
  size_t max_links = 32;
};

// Counts messages, but for the last three.
struct EndpointStats {
  uint64_t queries_received = 0;
  uint64_t responses_received = 0;
  uint64_t queries_sent = 0;
  uint64_t answers_sent = 0;
  uint64_t drop_malformed = 0;
  uint64_t drop_unknown_link = 0;
  uint64_t drop_wrong_port = 0;  // Responses that no responder sends.
  uint64_t drop_own_limit = 0;   // Ours, as too many wait to be sent.
  uint64_t names_resolved = 0;
  uint64_t names_expired = 0;
  uint64_t names_refused = 0;  // Ours, beyond max_names.

  static constexpr Counter<EndpointStats> kCounters[] = {
      KYUU_COUNTER(EndpointStats, queries_received),
      KYUU_COUNTER(EndpointStats, responses_received),
      KYUU_COUNTER(EndpointStats, queries_sent),
      KYUU_COUNTER(EndpointStats, answers_sent),
      KYUU_COUNTER(EndpointStats, drop_malformed),
      KYUU_COUNTER(EndpointStats, drop_unknown_link),
      KYUU_COUNTER(EndpointStats, drop_wrong_port),
      KYUU_COUNTER(EndpointStats, drop_own_limit),
      KYUU_COUNTER(EndpointStats, names_resolved),
      KYUU_COUNTER(EndpointStats, names_expired),
      KYUU_COUNTER(EndpointStats, names_refused)};
};
static_assert(Countable<EndpointStats>);

// Identifies a name that is being resolved.
enum class QueryId : uint64_t {};

// The answer to Resolve(): nullopt if nobody gave one in time. A link-local
// IPv6 address has the scope of the link that it was heard on.
struct Resolved {
  QueryId id;
  std::optional<IpAddress> ip;
};

// Endpoint is a querier and a responder. Its names are random (MakeName), so
// that it neither probes for others that have them nor announces them
// (draft-ietf-mmusic-mdns-ice-candidates section 3.1.1); they are answered on
// the links of the interface that has their address, and nowhere else.
//
//   mdns::Endpoint endpoint;
//   KYUU_RETURN_IF_ERROR(endpoint.AddLink(now, {ours, interface}));
//   KYUU_ASSIGN_OR_RETURN(id, endpoint.Resolve(now,
//   "5f0c6a1e-...-3e2b.local"));
//
// A packet's Path.local is {Link::address, kPort}; its remote that of the
// sender, or the group. Packets must have been sent to the group: those reach
// no other network (RFC 6762 section 11).
//
// Not thread-safe.
class Endpoint {
 public:
  using Packet = Datagram;
  using Event = std::variant<Resolved>;

  explicit Endpoint(const EndpointOptions& options = {});

  // --- Commands ---

  // Names under way are asked for there, too. ALREADY_EXISTS,
  // RESOURCE_EXHAUSTED, or INVALID_ARGUMENT without an address.
  absl::Status AddLink(absl::Time now, const Link& link);
  // What was heard there is forgotten.
  void RemoveLink(const IpAddress& address);
  // Asks for the address of a name; Resolved tells it, once. INVALID_ARGUMENT
  // if it is not a name under ".local", RESOURCE_EXHAUSTED.
  absl::StatusOr<QueryId> Resolve(absl::Time now, absl::string_view name);
  void Cancel(QueryId id);
  // Answers for `name`. INVALID_ARGUMENT as Resolve(), or without an address;
  // ALREADY_EXISTS, RESOURCE_EXHAUSTED.
  absl::Status Publish(absl::string_view name, const IpAddress& ip,
                       uint32_t interface);
  // Takes it back where it has been told (RFC 6762 section 10.1).
  void Withdraw(absl::Time now, absl::string_view name);

  // --- Engine ---

  void HandlePacket(absl::Time now, const Datagram& datagram);
  void HandleTimeout(absl::Time now);
  // `out` must hold 600 bytes.
  std::optional<Datagram> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // --- Queries ---

  const std::vector<Link>& links() const { return links_; }
  // Whether there are names to be resolved or answered for.
  bool busy() const { return !queries_.empty() || !names_.empty(); }
  const EndpointStats& stats() const { return stats_; }

 private:
  struct Query {
    QueryId id;
    std::string name;
    absl::Time deadline;
    absl::Time ask_at;  // Again.
    absl::Duration interval;
  };
  // What one link has heard of a name of ours.
  struct Told {
    IpAddress link;
    bool record = false;  // Else its denial.
    absl::Time last;
  };
  struct Name {
    IpAddress ip;
    uint32_t interface;
    std::vector<Told> told;
    absl::Time legacy_after = absl::InfinitePast();
  };
  struct Heard {
    std::string name;
    IpAddress ip;
    IpAddress link;
    absl::Time until;
  };
  enum class Kind : uint8_t { kQuery, kAnswer, kDenial, kLegacy };
  struct Outgoing {
    Kind kind;
    absl::Time at;  // Not before.
    Path path;
    uint16_t id = 0;
    Question question;
    AddressRecord record;
  };

  void Push(Outgoing out);
  void Ask(absl::Time now, const Query& query, const Link& link);
  void Answer(absl::Time now, const Message& message, const Question& question,
              const Link& link, const TransportAddress& asker);
  void Tell(absl::Time now, const std::string& name, Name& state,
            const Link& link, bool record);
  void Learn(absl::Time now, const AddressRecord& record, const Link& link);
  // The address of a name that need not be asked for.
  std::optional<IpAddress> Known(absl::Time now, const std::string& name);
  void Finish(size_t index, std::optional<IpAddress> ip);
  const Link* Find(const IpAddress& address) const;

  const EndpointOptions options_;
  std::vector<Link> links_;
  std::vector<Query> queries_;
  absl::flat_hash_map<std::string, Name> names_;
  std::vector<Heard> heard_;
  std::deque<Outgoing> outgoing_;
  std::deque<Event> events_;
  uint64_t next_id_ = 1;
  EndpointStats stats_;
};

static_assert(Engine<Endpoint>);

}  // namespace kyuu::mdns

#endif  // KYUU_MDNS_ENDPOINT_H_
