// SharedLedger: a turn::Ledger for the servers of several threads.

#ifndef KYUU_RELAY_SHARED_LEDGER_H_
#define KYUU_RELAY_SHARED_LEDGER_H_

#include <cstddef>
#include <mutex>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/random.h"
#include "turn/ledger.h"
#include "turn/local_ledger.h"
#include "turn/server_options.h"

namespace kyuu::relay {

// SharedLedger puts a lock around a LocalLedger. It is taken for each Allocate
// and each end of an allocation, and for data only where a peer's address is a
// relayed one of ours; all it guards is looking up and writing down.
class SharedLedger final : public turn::Ledger {
 public:
  explicit SharedLedger(const turn::ServerOptions& options)
      : ledger_(options) {}

  void SetRelayAddresses(const std::vector<RelayAddress>& addresses) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ledger_.SetRelayAddresses(addresses);
  }
  size_t lent() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.lent();
  }

  Result Take(absl::Time now, const Claim& claim, Random& random) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.Take(now, claim, random);
  }
  Result Exchange(absl::Time now, const TransportAddress& bind,
                  Random& random) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.Exchange(now, bind, random);
  }
  void Return(const TransportAddress& bind) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    ledger_.Return(bind);
  }
  void Expire(absl::Time now) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    ledger_.Expire(now);
  }
  void ReturnAll(int instance) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    ledger_.ReturnAll(instance);
  }
  std::optional<Holder> Find(const TransportAddress& relayed) const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.Find(relayed);
  }
  bool IsLent(const IpAddress& relayed) const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.IsLent(relayed);
  }
  size_t free_ports() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.free_ports();
  }

 private:
  mutable std::mutex mutex_;
  turn::LocalLedger ledger_;  // Guarded by mutex_.
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_SHARED_LEDGER_H_
