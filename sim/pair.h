// Two byte engines over a lossy duplex link, on simulated time.
//
//   sctp::Association client(...), server(...);
//   sim::Pair pair(client, server, {.seed = 7, .a_to_b = {.loss = 0.2}});
//   ASSERT_OK(client.Connect(pair.now()));
//   ASSERT_TRUE(pair.RunUntil([&] { return connected; }, absl::Minutes(1)));

#ifndef KYUU_SIM_PAIR_H_
#define KYUU_SIM_PAIR_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "base/engine.h"
#include "base/random.h"
#include "sim/clock.h"
#include "sim/link.h"
#include "sim/transcript.h"

namespace kyuu::sim {

struct PairOptions {
  uint64_t seed = 1;
  // The size of a packet on the link is that of its bytes; no header is added.
  LinkOptions a_to_b;
  LinkOptions b_to_a;
  Transcript::Detail transcript = Transcript::Detail::kHash;
  // An engine that sends more packets than this at one instant spins: abort.
  int spin_limit = 100'000;
};

// Pair drives the engines `a` and `b`, whose packets are spans of bytes, and
// which must outlive it. Commands may be given to them between any two calls.
// Events are handed to `on_a` and `on_b` if set, and left in the engine if not.
template <Engine A, Engine B = A>
class Pair {
 public:
  Pair(A& first, B& second, const PairOptions& options = {})
      : a(first),
        b(second),
        a_to_b(options.a_to_b),
        b_to_a(options.b_to_a),
        random_(options.seed),
        transcript_(options.transcript),
        spin_limit_(options.spin_limit),
        buffer_(65536) {}
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  A& a;
  B& b;
  // The two directions; `a_to_b.options().loss = 1` cuts one.
  Link a_to_b;
  Link b_to_a;
  std::function<void(typename A::Event)> on_a;
  std::function<void(typename B::Event)> on_b;
  // See every packet as it is sent; false drops it.
  std::function<bool(absl::Span<const uint8_t>)> keep_a_to_b;
  std::function<bool(absl::Span<const uint8_t>)> keep_b_to_a;

  absl::Time now() const { return clock_.now(); }
  const Clock& clock() const { return clock_; }
  Random& random() { return random_; }
  const Transcript& transcript() const { return transcript_; }

  // Runs everything due within `duration` and leaves the clock at its end.
  void RunFor(absl::Duration duration) {
    const absl::Time end = now() + duration;
    Pump();
    while (Step(end)) {
    }
    clock_.AdvanceTo(end);
  }
  // Runs until `done` holds or `limit` has passed; returns whether it holds.
  bool RunUntil(const std::function<bool()>& done, absl::Duration limit) {
    const absl::Time end = now() + limit;
    Pump();
    while (!done()) {
      if (!Step(end)) return done();
    }
    return true;
  }
  // Jumps from deadline to deadline until nothing is under way and neither
  // engine waits for anything; false if `max_steps` did not suffice.
  bool RunUntilIdle(int max_steps = 1'000'000) {
    Pump();
    for (int i = 0; i < max_steps; ++i) {
      if (!Step(absl::InfiniteFuture())) return true;
    }
    return false;
  }

 private:
  struct Flying {
    bool to_a;
    std::vector<uint8_t> bytes;
  };

  // Moves the clock to the next thing that happens until `limit` and does it.
  bool Step(absl::Time limit) {
    const absl::Time arrival =
        flying_.empty() ? absl::InfiniteFuture() : flying_.begin()->first.first;
    const absl::Time timeout = std::min(std::as_const(a).NextTimeout(),
                                        std::as_const(b).NextTimeout());
    const absl::Time next = std::min(arrival, timeout);
    if (next > limit || next == absl::InfiniteFuture()) return false;
    // Only an engine that does not clear its due timers stays in the past.
    same_instant_ = next <= now() && arrival > now() ? same_instant_ + 1 : 0;
    KYUU_CHECK(same_instant_ < spin_limit_);
    clock_.AdvanceTo(next);
    if (arrival <= timeout) {
      auto node = flying_.extract(flying_.begin());
      const Flying& packet = node.mapped();
      transcript_.Add(now(), packet.to_a ? "b" : "a", packet.to_a ? "a" : "b",
                      packet.bytes);
      if (packet.to_a) {
        a.HandlePacket(now(), absl::MakeConstSpan(packet.bytes));
      } else {
        b.HandlePacket(now(), absl::MakeConstSpan(packet.bytes));
      }
    } else {
      if (std::as_const(a).NextTimeout() <= now()) a.HandleTimeout(now());
      if (std::as_const(b).NextTimeout() <= now()) b.HandleTimeout(now());
    }
    Pump();
    return true;
  }

  // Takes packets and events out of both engines until they are quiet.
  void Pump() {
    for (int i = 0; i < spin_limit_; ++i) {
      bool busy = Send(a, a_to_b, keep_a_to_b, /*to_a=*/false);
      busy |= Send(b, b_to_a, keep_b_to_a, /*to_a=*/true);
      busy |= Dispatch(a, on_a);
      busy |= Dispatch(b, on_b);
      if (!busy) return;
    }
    KYUU_CHECK(false && "an engine never runs dry");
  }

  template <typename E>
  bool Send(E& engine, Link& link,
            const std::function<bool(absl::Span<const uint8_t>)>& keep,
            bool to_a) {
    int count = 0;
    while (auto packet = engine.PollTransmit(now(), absl::MakeSpan(buffer_))) {
      KYUU_CHECK(++count < spin_limit_);
      if (keep && !keep(*packet)) continue;
      for (absl::Time arrival : link.Send(now(), packet->size(), random_)) {
        flying_.emplace(
            std::make_pair(arrival, next_sequence_++),
            Flying{to_a, std::vector<uint8_t>(packet->begin(), packet->end())});
      }
    }
    return count > 0;
  }

  template <typename E>
  bool Dispatch(E& engine,
                const std::function<void(typename E::Event)>& handler) {
    if (!handler) return false;
    bool any = false;
    while (auto event = engine.PollEvent()) {
      handler(*std::move(event));
      any = true;
    }
    return any;
  }

  Clock clock_;
  SeededRandom random_;
  Transcript transcript_;
  int spin_limit_;
  int same_instant_ = 0;
  uint64_t next_sequence_ = 0;
  std::map<std::pair<absl::Time, uint64_t>, Flying> flying_;
  std::vector<uint8_t> buffer_;
};

}  // namespace kyuu::sim

#endif  // KYUU_SIM_PAIR_H_
