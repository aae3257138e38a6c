// When to send a STUN request again, and when to give up.

#ifndef KYUU_STUN_RETRANSMIT_H_
#define KYUU_STUN_RETRANSMIT_H_

#include <optional>

#include "absl/time/time.h"

namespace kyuu::stun {

// RFC 8489 section 6.2.1. With the defaults a request leaves at 0, 0.5, 1.5,
// 3.5, 7.5, 15.5 and 31.5 s, and fails at 39.5 s.
struct RetransmitOptions {
  // The first wait; each further one doubles it.
  absl::Duration rto_initial = absl::Milliseconds(500);
  // Rc: how often the request is sent in all.
  int sends_max = 7;
  // Rm: the wait after the last send, in units of rto_initial.
  int last_wait_factor = 16;
};

// Over a reliable transport a request leaves once, and fails after Ti (RFC 8489
// section 6.2.2): where the one over UDP does.
inline constexpr RetransmitOptions kReliableTransport{
    .rto_initial = absl::Milliseconds(39'500),
    .sends_max = 1,
    .last_wait_factor = 1};

// Retransmission is the clock of one request: a value, to be kept beside
// whatever rebuilds the request's bytes. It starts with a send due at once.
class Retransmission {
 public:
  explicit Retransmission(const RetransmitOptions& options)
      : options_(options), wait_(options.rto_initial) {}

  // True if the request should be sent now.
  bool send_due() const { return send_due_; }
  // Notes that it was sent.
  void OnSent(absl::Time now) {
    if (sends_ == 0) first_sent_ = now;
    ++sends_;
    send_due_ = false;
    deadline_ = now + (sends_ < options_.sends_max
                           ? wait_
                           : options_.rto_initial * options_.last_wait_factor);
    wait_ *= 2;
  }
  // Makes another send due, or the request fail, if the wait is over.
  void HandleTimeout(absl::Time now) {
    if (now < deadline_) return;
    deadline_ = absl::InfiniteFuture();
    if (sends_ < options_.sends_max) {
      send_due_ = true;
    } else {
      failed_ = true;
    }
  }
  // True once the last wait is over without an answer.
  bool failed() const { return failed_; }
  absl::Time deadline() const { return deadline_; }
  int sends() const { return sends_; }
  // The time since the send, if there was exactly one: after a second it is
  // unknown which of them was answered (Karn; RFC 8489 section 6.2.1).
  std::optional<absl::Duration> RoundTrip(absl::Time now) const {
    if (sends_ != 1) return std::nullopt;
    return now - first_sent_;
  }

 private:
  RetransmitOptions options_;
  absl::Duration wait_;
  int sends_ = 0;
  bool send_due_ = true;
  bool failed_ = false;
  absl::Time first_sent_ = absl::InfinitePast();
  absl::Time deadline_ = absl::InfiniteFuture();
};

}  // namespace kyuu::stun

#endif  // KYUU_STUN_RETRANSMIT_H_
