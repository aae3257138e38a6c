#include "sctp/internal/path_mtu.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/time/time.h"

namespace kyuu::sctp::internal {

void PathMtu::OnPath(size_t most) {
  most_ = most;
  size_ = base_;
  ceiling_ = 0;
  before_ = 0;
  state_ = State::kIdle;
  deadline_ = absl::InfiniteFuture();
}

void PathMtu::OnDemand(absl::Time now) {
  now_ = now;
  if (state_ == State::kIdle && most_ > base_) Next();
}

void PathMtu::OnLoss() {
  if (state_ == State::kDone && size_ > base_) Probe(size_);
}

void PathMtu::OnTimeout() {
  if (size_ == base_) return;
  before_ = std::max(before_, size_);
  size_ = base_;
  Probe(before_);
}

void PathMtu::Probe(size_t size) {
  state_ = State::kDue;
  probe_ = size;
  tries_ = 0;
  deadline_ = absl::InfiniteFuture();
}

// What to try after an answer, or the lack of it.
void PathMtu::Next() {
  if (ceiling_ == 0 && size_ < most_) return Probe(most_);
  const size_t gap = ceiling_ > size_ ? ceiling_ - size_ : 0;
  if (gap >= 2 * kStep) return Probe((size_ + gap / 2) & ~size_t{3});
  state_ = State::kDone;
  deadline_ = now_ + kRaise;
}

void PathMtu::OnProbeSent(absl::Time now, uint64_t nonce,
                          absl::Duration timeout) {
  now_ = now;
  state_ = State::kWaiting;
  nonce_ = nonce;
  deadline_ = now + timeout;
  ++tries_;
}

bool PathMtu::OnAnswer(uint64_t nonce) {
  if (state_ != State::kWaiting || nonce != nonce_) return false;
  size_ = probe_;
  before_ = 0;
  Next();
  return true;
}

PathMtu::Outcome PathMtu::HandleTimeout(absl::Time now) {
  now_ = now;
  if (now < deadline_) return Outcome::kNothing;
  deadline_ = absl::InfiniteFuture();
  if (state_ == State::kDone) {
    // It may have grown wider.
    ceiling_ = 0;
    state_ = State::kIdle;
  }
  if (state_ != State::kWaiting) return Outcome::kNothing;
  if (tries_ == kMaxProbes) return GiveUp();
  state_ = State::kDue;
  return Outcome::kProbeLost;
}

PathMtu::Outcome PathMtu::GiveUp() {
  ceiling_ = probe_;
  const bool had_worked =
      probe_ == size_ || probe_ == std::exchange(before_, 0);
  if (had_worked) size_ = base_;
  Next();
  return had_worked ? Outcome::kBlackHole : Outcome::kProbeLost;
}

}  // namespace kyuu::sctp::internal
