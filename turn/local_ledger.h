// LocalLedger: a Ledger of plain values, for one server, or behind a lock.

#ifndef KYUU_TURN_LOCAL_LEDGER_H_
#define KYUU_TURN_LOCAL_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "turn/bandwidth.h"
#include "turn/internal/port_pool.h"
#include "turn/ledger.h"
#include "turn/server_options.h"
#include "turn/strangers.h"

namespace kyuu::turn {

class LocalLedger final : public Ledger {
 public:
  // Takes relay addresses, ports and limits from `options`.
  LocalLedger(const ServerOptions& options, Random& random);

  // Replaces what bounds users, sources and strangers, but not the number of
  // sources that are told apart. Who has more than that keeps it.
  void SetLimits(const ServerOptions& options);
  // Replaces the relay addresses, the preferred ones first. Leases on those
  // that are gone stay until they are returned: an address may come back.
  void SetRelayAddresses(const std::vector<RelayAddress>& addresses);

  Result Take(absl::Time now, const Claim& claim, Random& random) override;
  Result Exchange(absl::Time now, const TransportAddress& bind,
                  Random& random) override;
  void Return(const TransportAddress& bind) override;
  void Expire(absl::Time now) override;
  void ReturnAll(int instance) override;
  std::optional<Holder> Find(const TransportAddress& relayed,
                             Transport transport) const override;
  bool IsLent(const IpAddress& relayed) const override;
  size_t free_ports() const override;
  std::optional<Refusal> TakeConnection(const std::string& user) override;
  void ReturnConnection(const std::string& user) override;
  bool TakeGain(absl::Time now, const IpAddress& ip, size_t request_bytes,
                size_t answer_bytes) override;
  bool TakeTry(absl::Time now, const IpAddress& ip) override;
  void Proven(absl::Time now, const IpAddress& ip) override;
  double TakeUserBytes(absl::Time now, Direction direction,
                       absl::string_view user, double wanted) override;
  double TakeRealmBytes(absl::Time now, Direction direction, RealmId realm,
                        double bytes_per_s, double wanted) override;
  double TakeTotalBytes(absl::Time now, Direction direction,
                        double wanted) override;

  size_t lent() const { return leases_.size(); }
  size_t connections() const { return connections_; }
  size_t reserved() const { return reservations_.size(); }

 private:
  struct Pool {
    Pool(const ServerOptions& options, const RelayAddress& address)
        : ports(options, address), whom(address.whom) {}

    internal::PortPool ports;
    size_t lent = 0;
    size_t reserved = 0;
    bool present = true;
    RelayAddress::For whom = RelayAddress::For::kItsOwnNetwork;
  };
  // What counts against quotas.
  struct Party {
    std::string user;
    IpAddress source;
    Trust trust = Trust::kConfigured;
    RealmId realm = kMainRealm;
  };
  using User = std::pair<const std::string, size_t>;
  // What is kept of a lease: there is one for each allocation.
  struct Entry {
    Entry(const Claim& claim, const Party& party)
        : holder(claim.holder),
          source(party.source),
          realm(party.realm),
          transport(claim.transport),
          ports(claim.ports),
          by_token(claim.token.has_value()) {}

    Holder holder;
    IpAddress source;
    RealmId realm;
    Transport transport;
    Ports ports;
    bool by_token;
    std::optional<Token> reservation;
    User* user = nullptr;  // In users_.
    // Ports that could not be opened, if any.
    std::unique_ptr<std::vector<uint16_t>> refused;
  };
  struct Reservation {
    Token token;
    TransportAddress bind;
    int instance;
    IpAddress source;
    absl::Time expires;
  };
  std::optional<Refusal> Quota(const Claim& claim, const Party& party) const;
  std::vector<Pool*> Candidates(const Claim& claim) const;
  Result TakeReserved(const Claim& claim, const Party& party);
  // A port of one of the pools; kPorts if none has any.
  std::optional<TransportAddress> TakePort(const std::vector<Pool*>& pools,
                                           Ports ports, Random& random);
  // Of the port above `bind`, for the one who has that.
  Token Reserve(absl::Time now, const TransportAddress& bind,
                const Entry& entry, Random& random);
  void DropReservation(const Token& token);
  void EraseReservation(size_t index);
  Lease Enter(const TransportAddress& bind, Entry entry,
              const std::string& user);
  // Takes a lease out; it counts for nobody from then on.
  std::optional<Entry> Remove(const TransportAddress& bind);
  void CountRealm(RealmId realm, int change);
  void CountSource(const IpAddress& ip, int change);
  Pool* PoolOf(const IpAddress& bind) const;
  TransportAddress ToldAs(const TransportAddress& bind) const;
  void DropAbsent();

  ServerOptions options_;
  std::vector<std::unique_ptr<Pool>> pools_;  // The preferred ones first.
  absl::flat_hash_map<TransportAddress, Entry> leases_;  // By bind.
  std::vector<Reservation> reservations_;
  absl::node_hash_map<std::string, size_t> users_;
  absl::flat_hash_map<IpAddress, size_t> sources_;
  absl::flat_hash_map<std::string, size_t> connected_users_;
  size_t connections_ = 0;
  absl::flat_hash_map<RealmId, size_t> realms_;
  Strangers strangers_;
  Bandwidth bandwidth_;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_LOCAL_LEDGER_H_
