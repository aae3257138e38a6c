// Path MTU discovery by probes (DPLPMTUD, RFC 8899): how large a packet may be.

#ifndef KYUU_SCTP_INTERNAL_PATH_MTU_H_
#define KYUU_SCTP_INTERNAL_PATH_MTU_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace kyuu::sctp::internal {

// PathMtu finds the largest packet that the path carries whole. It begins with
// what every path does (BASE_PLPMTU), and searches once there is something to
// gain: the largest size first, then by halves. A probe that stays unanswered
// kMaxProbes times was too large; its loss says nothing about congestion.
//
// No chunk of data is larger than the base, whatever the packet: one that was
// sent in a packet that the path swallows goes again in a smaller one. So when
// the path gets narrower, nothing is lost but time. Losses make it ask whether
// the size still holds, and a timeout returns to the base until it knows.
//
// Sizes are of SCTP packets, in bytes, and multiples of 4.
class PathMtu {
 public:
  static constexpr int kMaxProbes = 3;
  // PMTU_RAISE_TIMER: how long a search that has ended rests.
  static constexpr absl::Duration kRaise = absl::Minutes(10);
  // Sizes that are closer than this are not told apart.
  static constexpr size_t kStep = 32;

  // `most` is the largest size to be tried; none if it is not above `base`.
  PathMtu(size_t base, size_t most) : base_(base), most_(most), size_(base) {}

  // The largest packet that may be sent now.
  size_t size() const { return size_; }
  size_t base() const { return base_; }

  // The path is another one, which carries `most` at best.
  void OnPath(size_t most);
  // There is more to send than a packet of size() takes.
  void OnDemand(absl::Time now);
  // Packets were lost: perhaps because of their size.
  void OnLoss();
  // Nothing was heard of what was sent (T3-rtx).
  void OnTimeout();

  // The size of the probe to be sent now; 0 for none.
  size_t probe_due() const { return state_ == State::kDue ? probe_ : 0; }
  // It was sent, with a random number of its own, and is waited for `timeout`.
  void OnProbeSent(absl::Time now, uint64_t nonce, absl::Duration timeout);
  // An answer came: false if it is none to the probe.
  bool OnAnswer(uint64_t nonce);
  // kBlackHole: and what is lost with that is a size that had worked.
  enum class Outcome : uint8_t { kNothing, kProbeLost, kBlackHole };
  Outcome HandleTimeout(absl::Time now);
  absl::Time next_timeout() const { return deadline_; }

 private:
  enum class State : uint8_t {
    kIdle,     // BASE: nothing has been asked for.
    kDue,      // SEARCHING: a probe of probe_ bytes is to be sent.
    kWaiting,  // One is under way.
    kDone,     // SEARCH_COMPLETE, until deadline_.
  };

  void Probe(size_t size);
  void Next();
  Outcome GiveUp();

  size_t base_;
  size_t most_;
  size_t size_;
  // The least size known to be too large; 0 for none.
  size_t ceiling_ = 0;
  // What had worked before a timeout; 0 for nothing.
  size_t before_ = 0;
  State state_ = State::kIdle;
  size_t probe_ = 0;
  int tries_ = 0;
  uint64_t nonce_ = 0;
  absl::Time deadline_ = absl::InfiniteFuture();
  absl::Time now_ = absl::InfinitePast();
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_PATH_MTU_H_
