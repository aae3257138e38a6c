// SharedLedger: a turn::Ledger for the servers of several threads.

#ifndef KYUU_RELAY_SHARED_LEDGER_H_
#define KYUU_RELAY_SHARED_LEDGER_H_

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/shares.h"
#include "base/system_random.h"
#include "turn/bandwidth.h"
#include "turn/ledger.h"
#include "turn/local_ledger.h"
#include "turn/server_options.h"
#include "turn/strangers.h"

namespace kyuu::relay {

// SharedLedger puts a lock around a LocalLedger. It is taken for each Allocate
// and each end of an allocation, and for data only where a peer's address is a
// relayed one of ours; all it guards is looking up and writing down.
//
// What strangers cost has locks of its own, one for each part of the sources: a
// flood of them keeps neither allocations nor, on several threads, itself
// waiting. So has bandwidth, of which servers take as much at a time as is for
// turn::kBandwidthSlice.
class SharedLedger final : public turn::Ledger {
 public:
  explicit SharedLedger(const turn::ServerOptions& options)
      : total_(options.bandwidth), ledger_(options, random_) {
    turn::Strangers::Limits limits = turn::Strangers::LimitsOf(options);
    limits.sources = (limits.sources + kParts - 1) / kParts;
    for (std::unique_ptr<Part>& part : parts_) {
      part = std::make_unique<Part>(limits, options.bandwidth, random_);
    }
  }

  // As turn::LocalLedger::SetLimits.
  void SetLimits(const turn::ServerOptions& options) {
    const turn::Strangers::Limits limits = turn::Strangers::LimitsOf(options);
    for (const std::unique_ptr<Part>& part : parts_) {
      const std::lock_guard<std::mutex> lock(part->mutex);
      part->strangers.SetLimits(limits);
      part->bandwidth.SetLimits(options.bandwidth);
    }
    {
      const std::lock_guard<std::mutex> lock(total_.mutex);
      total_.bandwidth.SetLimits(options.bandwidth);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    ledger_.SetLimits(options);
  }
  void SetRelayAddresses(const std::vector<RelayAddress>& addresses) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ledger_.SetRelayAddresses(addresses);
  }
  size_t lent() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.lent();
  }

  size_t connections() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.connections();
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
  std::optional<Holder> Find(const TransportAddress& relayed,
                             Transport transport) const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.Find(relayed, transport);
  }
  bool IsLent(const IpAddress& relayed) const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.IsLent(relayed);
  }
  size_t free_ports() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.free_ports();
  }
  std::optional<Refusal> TakeConnection(const std::string& user) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ledger_.TakeConnection(user);
  }
  void ReturnConnection(const std::string& user) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    ledger_.ReturnConnection(user);
  }
  bool TakeGain(absl::Time now, const IpAddress& ip, size_t request_bytes,
                size_t answer_bytes) override {
    Part& part = PartOf(ip);
    const std::lock_guard<std::mutex> lock(part.mutex);
    return part.strangers.TakeGain(now, ip, request_bytes, answer_bytes);
  }
  bool TakeTry(absl::Time now, const IpAddress& ip) override {
    Part& part = PartOf(ip);
    const std::lock_guard<std::mutex> lock(part.mutex);
    return part.strangers.TakeTry(now, ip);
  }
  void Proven(absl::Time now, const IpAddress& ip) override {
    Part& part = PartOf(ip);
    const std::lock_guard<std::mutex> lock(part.mutex);
    part.strangers.Proven(now, ip);
  }
  double TakeUserBytes(absl::Time now, turn::Direction direction,
                       absl::string_view user, double wanted) override {
    Part& part = *parts_[absl::HashOf(user) % kParts];
    const std::lock_guard<std::mutex> lock(part.mutex);
    return part.bandwidth.TakeUser(now, direction, user, wanted);
  }
  double TakeRealmBytes(absl::Time now, turn::Direction direction,
                        turn::RealmId realm, double bytes_per_s,
                        double wanted) override {
    Part& part = *parts_[static_cast<size_t>(realm) % kParts];
    const std::lock_guard<std::mutex> lock(part.mutex);
    return part.bandwidth.TakeRealm(now, direction, realm, bytes_per_s, wanted);
  }
  double TakeTotalBytes(absl::Time now, turn::Direction direction,
                        double wanted) override {
    const std::lock_guard<std::mutex> lock(total_.mutex);
    return total_.bandwidth.TakeTotal(now, direction, wanted);
  }

 private:
  static constexpr size_t kParts = 16;
  // The sources, users and realms that fall into it. Each on its own cache
  // lines.
  struct alignas(128) Part {
    Part(const turn::Strangers::Limits& limits,
         const turn::BandwidthLimits& bytes, Random& random)
        : strangers(limits, random), bandwidth(bytes) {}

    std::mutex mutex;
    turn::Strangers strangers;  // Guarded by mutex, like the other.
    turn::Bandwidth bandwidth;
  };
  struct alignas(128) Total {
    explicit Total(const turn::BandwidthLimits& limits) : bandwidth(limits) {}

    std::mutex mutex;
    turn::Bandwidth bandwidth;  // Guarded by mutex.
  };
  // All of a source are in one part, so that its budget is exact.
  Part& PartOf(const IpAddress& ip) const {
    return *parts_[absl::HashOf(SourceOf(ip)) % kParts];
  }

  SystemRandom random_;  // For the constructor.
  std::array<std::unique_ptr<Part>, kParts> parts_;
  Total total_;
  mutable std::mutex mutex_;
  turn::LocalLedger ledger_;  // Guarded by mutex_.
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_SHARED_LEDGER_H_
