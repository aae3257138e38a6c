// The example of base/README.md: a whole engine.

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/engine.h"
#include "base/testing.h"
#include "base/timer.h"

namespace {

using kyuu::Reader, kyuu::Writer, kyuu::TimerTable;

// Repeats the last number that it heard, a second later.
class Echo {
 public:
  using Packet = absl::Span<const uint8_t>;
  struct Heard {
    uint16_t number;
  };
  using Event = std::variant<Heard>;

  void HandlePacket(absl::Time now, Packet in) {
    Reader r(in);
    const Heard heard{r.U16()};
    if (!r.Finish()) {
      ++malformed_;
      return;
    }
    heard_ = heard;
    event_ = heard;
    timers_.Set(Timer::kAnswer, now + absl::Seconds(1));
  }
  void HandleTimeout(absl::Time now) {
    if (timers_.PopDue(now)) answer_ = true;
  }
  std::optional<Packet> PollTransmit(absl::Time, absl::Span<uint8_t> out) {
    if (!std::exchange(answer_, false)) return std::nullopt;
    Writer w(out);
    w.U16(heard_->number);
    return w.written();
  }
  std::optional<Event> PollEvent() {
    return std::exchange(event_, std::nullopt);
  }
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }

  uint64_t malformed() const { return malformed_; }

 private:
  enum class Timer { kAnswer, kCount };
  TimerTable<Timer> timers_;
  std::optional<Heard> heard_;
  std::optional<Event> event_;
  bool answer_ = false;
  uint64_t malformed_ = 0;
};
static_assert(kyuu::Engine<Echo>);

TEST(BaseReadme, ExampleWorks) {
  Echo echo;
  std::array<uint8_t, 16> out;
  absl::Time now = absl::UnixEpoch();
  const std::array<uint8_t, 1> odd = {1};
  echo.HandlePacket(now, odd);
  EXPECT_EQ(echo.malformed(), 1u);
  echo.HandlePacket(now, {{1, 2}});
  EXPECT_EQ(std::get<Echo::Heard>(*echo.PollEvent()).number, 0x0102);
  EXPECT_FALSE(echo.PollTransmit(now, absl::MakeSpan(out)));
  now = echo.NextTimeout();
  echo.HandleTimeout(now);
  EXPECT_EQ(kyuu::ToHex(*echo.PollTransmit(now, absl::MakeSpan(out))), "0102");
}

}  // namespace
