// DtlsClients: TURN clients on DTLS (RFC 7350, RFC 8656 section 3.1), as an
// engine between a node's UDP listeners and its server.

#ifndef KYUU_RELAY_DTLS_CLIENTS_H_
#define KYUU_RELAY_DTLS_CLIENTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/counters.h"
#include "base/deadline_queue.h"
#include "base/engine.h"
#include "base/random.h"
#include "base/shares.h"
#include "dtls/acceptor.h"
#include "dtls/session.h"

namespace kyuu::relay {

struct DtlsClientsOptions {
  // Sessions at one time, of about 4 kB each, and those of one IPv4 address or
  // IPv6 /64. Beyond, a client hears nothing.
  size_t sessions_max = 2048;
  size_t sessions_per_source_max = 512;
  // How long a session is there without an allocation, its handshake included.
  absl::Duration idle_timeout = absl::Seconds(30);
  // Datagrams of handshakes that wait for PollTransmit(); beyond, they are
  // dropped as if lost.
  size_t outgoing_max = 1024;
  dtls::Options session = {.handshake_timeout = absl::Seconds(10)};
};

struct DtlsClientsStats {
  uint64_t cookies = 0;         // Strangers that were asked for one.
  uint64_t sessions = 0;        // That began.
  uint64_t refused_full = 0;    // At sessions_max.
  uint64_t refused_source = 0;  // At sessions_per_source_max.
  uint64_t failed = 0;          // Sessions that ended but by a goodbye.
  uint64_t moved = 0;           // Sessions that went on to another node.
  uint64_t drop_noise = 0;      // No ClientHello, and of no session.
  uint64_t drop_outgoing = 0;   // Beyond outgoing_max.
  uint64_t drop_unsealed = 0;   // Data for whom is not connected, or too long.

  static constexpr Counter<DtlsClientsStats> kCounters[] = {
      KYUU_COUNTER(DtlsClientsStats, cookies),
      KYUU_COUNTER(DtlsClientsStats, sessions),
      KYUU_COUNTER(DtlsClientsStats, refused_full),
      KYUU_COUNTER(DtlsClientsStats, refused_source),
      KYUU_COUNTER(DtlsClientsStats, failed),
      KYUU_COUNTER(DtlsClientsStats, moved),
      KYUU_COUNTER(DtlsClientsStats, drop_noise),
      KYUU_COUNTER(DtlsClientsStats, drop_outgoing),
      KYUU_COUNTER(DtlsClientsStats, drop_unsealed)};
};
static_assert(Countable<DtlsClientsStats>);

// DtlsClients keeps a session for each client that has returned a cookie, and
// nothing of anybody else. Who has a session is heard inside of it only: what
// else comes from its address is dropped, as anybody may have sent it.
class DtlsClients {
 public:
  using Packet = Datagram;
  // Which node a client has come to first, and its Forward::visit there.
  struct Visit {
    int from = 0;
    uint64_t number = 0;
  };
  // The session of `path` is over or another node's, and with it the client.
  struct Gone {
    Path path;
    // It is over, and that node goes on handing over what comes by `path`.
    std::optional<Visit> visit;
  };
  using Event = std::variant<Gone>;
  struct Client {
    dtls::Session session;
    std::string host;  // That it has asked for.
    Source source;
    absl::Time idle_deadline;
    std::optional<Visit> visit;  // If it has come to another node.
  };

  // `random` makes the secret of the cookies, once.
  DtlsClients(const DtlsClientsOptions& options,
              const dtls::ServerContext& context, Random& random);

  // Whether what begins with `first_byte` is to be given to HandlePacket: it
  // looks like DTLS (RFC 7983 section 7), or comes from a client with a
  // session.
  bool Claims(const Path& path, uint8_t first_byte) const {
    return (first_byte >= 20 && first_byte <= 63) || Has(path);
  }
  // Whether `path` is a client's, for whom data must be sealed.
  bool Has(const Path& path) const {
    return !clients_.empty() && clients_.contains(path);
  }

  void HandlePacket(absl::Time now, const Datagram& in);
  // The next message that the last HandlePacket() has brought, inside `out`,
  // which should have room for dtls::kPlaintextMax; nullopt if there is none.
  std::optional<absl::Span<const uint8_t>> ReadPlaintext(
      absl::Span<uint8_t> out);
  // What the client of the last HandlePacket() has asked for by SNI; empty if
  // nothing. Valid until it is gone.
  absl::string_view host() const;
  // Makes the datagram that brings `prefix`, `payload` and as many zeros as
  // `padding` says to a client, inside `out`; nullopt, and counted, if it
  // cannot.
  std::optional<absl::Span<const uint8_t>> Seal(
      const Path& path, absl::Span<const uint8_t> prefix,
      absl::Span<const uint8_t> payload, size_t padding,
      absl::Span<uint8_t> out);

  // Gives away the client of the last HandlePacket(), with what is unread of
  // it, to be taken in by Arrive() at another node; null if it is gone.
  std::unique_ptr<Client> Release();
  // Takes in such a client, as if HandlePacket() had just brought what is
  // unread of it. False if there is no room: it is told goodbye.
  bool Arrive(absl::Time now, const Path& path, Client client);
  // The client has begun anew at another node: there is nobody to be told.
  void Drop(const Path& path);

  // The client has an allocation now, or no more. Harmless for others.
  void Allocated(const Path& path);
  void Released(absl::Time now, const Path& path);
  // Says goodbye to everybody.
  void Close(absl::Time now);
  // New sessions show another certificate.
  void SetContext(const dtls::ServerContext& context) {
    acceptor_.SetContext(context);
  }

  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return deadlines_.NextTimeout(); }

  size_t sessions() const { return clients_.size(); }
  const DtlsClientsStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  struct Outgoing {
    Path path;
    std::vector<uint8_t> bytes;
  };

  void Meet(absl::Time now, const Datagram& in);
  // False if there is no room; `session` is as it was then.
  bool Admit(absl::Time now, const Path& path, dtls::Session&& session,
             absl::string_view host, const std::optional<Visit>& visit);
  // Takes what the session of `path` has to say, and notes when it is due. It
  // may be gone afterwards.
  void Settle(absl::Time now, const Path& path);
  void Erase(absl::node_hash_map<Path, Client>::iterator it);
  void Send(const Path& path, absl::Span<const uint8_t> bytes);

  const DtlsClientsOptions options_;
  dtls::Acceptor acceptor_;
  absl::node_hash_map<Path, Client> clients_;
  DeadlineQueue<Path> deadlines_;
  Shares shares_;
  std::optional<Path> heard_;  // Of the last HandlePacket().
  std::vector<uint8_t> plaintext_;
  std::deque<Outgoing> outgoing_;
  std::deque<Event> events_;
  DtlsClientsStats stats_;
};
static_assert(Engine<DtlsClients>);

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_DTLS_CLIENTS_H_
