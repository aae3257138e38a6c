// What relaying may take of the network: token buckets for an allocation, a
// user, a realm and the whole server.

#ifndef KYUU_TURN_BANDWIDTH_H_
#define KYUU_TURN_BANDWIDTH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "turn/realm_options.h"

namespace kyuu::turn {

// Which way data goes; each has budgets of its own.
enum class Direction : uint8_t { kToPeers, kToClients };

// BandwidthLimits bounds what is relayed, in bytes of payload per second and
// direction; 0 is no limit. What is over is dropped and counted, never queued.
struct BandwidthLimits {
  double allocation_bytes_per_s = 0;
  // Of all allocations of a user, and of all there are: of all servers of one
  // Ledger together.
  double user_bytes_per_s = 0;
  double total_bytes_per_s = 0;
  // What was not used of so long may be used at once; 20 ms at least. At a
  // second a budget is one of each second, as coturn's is.
  absl::Duration burst = absl::Seconds(1);

  bool any() const {
    return allocation_bytes_per_s > 0 || user_bytes_per_s > 0 ||
           total_bytes_per_s > 0;
  }
};

// The servers of a Ledger take from its buckets what is for so long, so that
// they do not wait for each other with each train. What each of them may hold
// unused, and thus send later than the bucket says, is that much for each user.
inline constexpr absl::Duration kBandwidthSlice = absl::Milliseconds(5);
// The last slices of a bucket are divided: who asks gets this part of them.
// What a bucket holds in the long run is as many slices, which `burst` must
// have room for.
inline constexpr int kBandwidthSharers = 4;

// ByteBucket is a bucket of bytes that fills by itself, at first full.
class ByteBucket {
 public:
  // What there is; below zero if more was taken than there was.
  double Fill(absl::Time now, double bytes_per_s, absl::Duration burst);
  void Take(double bytes) { bytes_ -= bytes; }

 private:
  double bytes_ = 0;
  absl::Time filled_ = absl::InfinitePast();
};

// Bandwidth holds the buckets that the servers of a Ledger share. One that is
// full says nothing and is forgotten, so that there are about as many as users
// that have sent within the last burst.
class Bandwidth {
 public:
  explicit Bandwidth(const BandwidthLimits& limits) : limits_(limits) {}

  // What has been used up stays used up.
  void SetLimits(const BandwidthLimits& limits) { limits_ = limits; }

  // Takes up to `wanted` bytes of a user's budget, of that of a realm at its
  // own rate, or of that of all; 0 if there is nothing. All of it if there is
  // no limit.
  double TakeUser(absl::Time now, Direction direction, absl::string_view user,
                  double wanted);
  double TakeRealm(absl::Time now, Direction direction, RealmId realm,
                   double bytes_per_s, double wanted);
  double TakeTotal(absl::Time now, Direction direction, double wanted);

  // Buckets of users.
  size_t size() const { return users_.size(); }

 private:
  using Both = std::array<ByteBucket, 2>;  // By direction.

  // Makes room if there are many.
  void ForgetFull(absl::Time now);

  BandwidthLimits limits_;
  Both total_;
  // One for each that has ever had a rate: a server tells 65,535 apart.
  absl::flat_hash_map<RealmId, Both> realms_;
  absl::flat_hash_map<std::string, Both> users_;
  size_t forget_at_ = 1024;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_BANDWIDTH_H_
