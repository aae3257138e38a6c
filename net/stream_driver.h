// StreamDriver: runs a byte engine (base/engine.h) on a Stream and a Loop, as
// net/drive.h does for datagrams.
//
//   net::StreamBuffer buffer;                       // One for a whole loop.
//   net::StreamDriver<Connection> driver(
//       *loop, std::move(stream), connection, buffer,
//       [&](auto event) { ... },
//       [&](net::StreamEnd end, const absl::Status& why) { ... });
//   connection.Send(...);
//   driver.Flush();                                 // After every command.
//
// Whatever the peer does or leaves undone, a stream comes to an end: it is cut
// when it takes nothing for `write_timeout`, or lasts `linger` beyond its use.

#ifndef KYUU_NET_STREAM_DRIVER_H_
#define KYUU_NET_STREAM_DRIVER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "net/internal/stream_deadlines.h"
#include "net/internal/transmit.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/stream_engine.h"
#include "net/stream_memory.h"
#include "net/stream_options.h"

namespace kyuu::net {

// StreamDriver owns the stream (and goes on with its watch, if there is one),
// but not engine, buffer and memory; all must outlive it. Any handler may
// destroy it. The end handler is called once, as the last thing; the engine's
// events come before. It is polled when the kernel has taken what was before.
template <StreamEngine E>
class StreamDriver {
 public:
  using EventHandler = absl::AnyInvocable<void(typename E::Event)>;
  using EndHandler = absl::AnyInvocable<void(StreamEnd, const absl::Status&)>;

  StreamDriver(Loop& loop, Stream stream, E& engine, StreamBuffer& buffer,
               EventHandler on_event, EndHandler on_end,
               const StreamDriverOptions& options = {},
               StreamMemory* memory = nullptr,
               std::optional<Watch> watch = std::nullopt)
      : stream_(std::move(stream)),
        engine_(engine),
        buffer_(buffer),
        reads_per_turn_(options.reads_per_turn),
        deadlines_(options.write_timeout, options.linger),
        on_event_(std::move(on_event)),
        on_end_(std::move(on_end)),
        share_(memory),
        watch_(Watch::Take(std::move(watch), loop, stream_.fd(),
                           stream_.interest(),
                           [this](Readiness ready) { OnReady(ready); })),
        alarm_(loop, [this] { OnAlarm(); }) {
    Arm();
  }
  ~StreamDriver() {
    if (destroyed_ != nullptr) *destroyed_ = true;
    watch_.Forsake();  // The stream goes next, or has been released.
  }
  StreamDriver(const StreamDriver&) = delete;
  StreamDriver& operator=(const StreamDriver&) = delete;

  // Delivers events, sends what the engine has to say and arms the timer. Call
  // it after commands given outside of the event handler; inside it does
  // nothing, since the flush in progress will see to it.
  void Flush() {
    if (destroyed_ != nullptr || phase_ == Phase::kOver) return;
    if (DeliverAndTransmit()) Settle();
  }

  // Gives the peer up: the stream is reset, and then the end handler called.
  void Cut() {
    if (phase_ != Phase::kOver) Over(StreamEnd::kCut, absl::OkStatus());
  }

  // The stream, for somebody else to go on with. Only the destructor may
  // follow.
  Stream Release() {
    Stop();
    return std::move(stream_);
  }

  const Path& path() const { return stream_.path(); }
  // Bytes that wait in the engine and in the stream.
  size_t held_bytes() const { return share_.held(); }

 private:
  enum class Phase : uint8_t { kOpen, kLingering, kOver };

  // False if the handler has destroyed us.
  bool DeliverAndTransmit() {
    bool destroyed = false;
    destroyed_ = &destroyed;
    // The handler is held here while it runs, so that it may destroy us.
    EventHandler on_event = std::move(on_event_);
    while (phase_ != Phase::kOver) {
      std::optional<typename E::Event> event = engine_.PollEvent();
      if (!event) {
        if (phase_ == Phase::kOpen) {
          internal::Transmit(engine_, stream_, buffer_.bytes());
        }
        event = engine_.PollEvent();
        if (!event) break;
      }
      on_event(*std::move(event));
      if (destroyed) return false;
    }
    on_event_ = std::move(on_event);
    destroyed_ = nullptr;
    return true;
  }

  void OnReady(Readiness ready) {
    if (ready.writable) stream_.Flush();
    if (ready.readable && !Read()) return;
    Flush();
  }

  // False if we were destroyed. After a short read of TCP there is no more.
  bool Read() {
    for (size_t i = 0; i < reads_per_turn_; ++i) {
      if (peer_ended_ || !WantsInput()) return true;
      const ReadResult got = stream_.Read(buffer_.bytes());
      if (got.state == ReadState::kEnd) {
        peer_ended_ = true;
        if (phase_ == Phase::kOpen) {
          engine_.HandleStreamEnd(Loop::Now(), absl::OkStatus());
        }
      }
      if (got.state != ReadState::kData) return true;
      if (phase_ == Phase::kLingering) continue;  // Too late to be heard.
      engine_.HandlePacket(Loop::Now(), buffer_.bytes().first(got.bytes));
      if (!DeliverAndTransmit()) return false;
      if (phase_ == Phase::kOver) return true;
      if (got.bytes < buffer_.bytes().size() && !stream_.is_tls()) return true;
    }
    return true;
  }

  bool WantsInput() const {
    return phase_ != Phase::kOpen || internal::WantsInput(engine_);
  }

  // Sees whether the stream is at its end, and waits for what is next.
  void Settle() {
    if (phase_ == Phase::kOver) return;
    if (!stream_.status().ok()) return Fail(StreamEnd::kFailed);
    if (phase_ == Phase::kOpen && internal::Abandoned(engine_)) {
      return Over(StreamEnd::kCut, absl::OkStatus());
    }
    if (engine_.finished() && stream_.buffered() == 0) {
      if (peer_ended_) return Over(StreamEnd::kClosed, absl::OkStatus());
      if (phase_ == Phase::kOpen) {
        phase_ = Phase::kLingering;
        stream_.ShutdownWrite();
        deadlines_.BeginLinger(Loop::Now(), stream_);
      }
    }
    Arm();
  }

  void Arm() {
    share_.Hold(stream_.buffered() + internal::HeldBytes(engine_));
    const bool reads = !peer_ended_ && WantsInput();
    watch_.SetInterest(internal::InterestOf(stream_, reads));
    deadlines_.Observe(Loop::Now(), stream_);
    alarm_.Set(ReadsOn()
                   ? absl::InfinitePast()
                   : std::min(deadlines_.NextTimeout(),
                              phase_ == Phase::kOpen ? engine_.NextTimeout()
                                                     : absl::InfiniteFuture()));
  }

  // What was put back, or TLS holds, is not shown by the descriptor.
  bool ReadsOn() const {
    return stream_.has_pending() && !peer_ended_ && WantsInput();
  }

  void OnAlarm() {
    const absl::Time now = Loop::Now();
    switch (deadlines_.Judge(now, stream_)) {
      case internal::StreamDeadlines::Verdict::kStalled:
        return Fail(StreamEnd::kStalled);
      case internal::StreamDeadlines::Verdict::kOver:
        return Over(StreamEnd::kClosed, absl::OkStatus());
      case internal::StreamDeadlines::Verdict::kWait:
        break;
    }
    if (phase_ == Phase::kOpen) engine_.HandleTimeout(now);
    if (ReadsOn() && !Read()) return;
    Flush();
  }

  // The engine learns that nothing more leaves, and may have events about it.
  void Fail(StreamEnd end) {
    const absl::Status why =
        end == StreamEnd::kFailed
            ? stream_.status()
            : absl::DeadlineExceededError("the peer does not read");
    if (phase_ == Phase::kOpen) engine_.HandleStreamEnd(Loop::Now(), why);
    phase_ = Phase::kLingering;  // Nothing more is transmitted.
    if (!DeliverAndTransmit()) return;
    if (phase_ != Phase::kOver) Over(end, why);
  }

  void Stop() {
    phase_ = Phase::kOver;
    share_.Hold(0);
    watch_.SetInterest(Interest::kNone);
    alarm_.Stop();
  }

  void Over(StreamEnd end, const absl::Status& why) {
    watch_.Forsake();
    Stop();
    end == StreamEnd::kClosed ? stream_.Close() : stream_.Cut();
    // Last: it may destroy us.
    EndHandler on_end = std::move(on_end_);
    if (on_end) on_end(end, why);
  }

  Stream stream_;
  E& engine_;
  StreamBuffer& buffer_;
  const size_t reads_per_turn_;
  internal::StreamDeadlines deadlines_;
  EventHandler on_event_;
  EndHandler on_end_;
  MemoryShare share_;
  Phase phase_ = Phase::kOpen;
  bool peer_ended_ = false;
  bool* destroyed_ = nullptr;  // Set while handlers run.
  Watch watch_;
  Alarm alarm_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_STREAM_DRIVER_H_
