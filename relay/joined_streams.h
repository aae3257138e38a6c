// JoinedStreams: two byte streams that are one (RFC 6062 section 5.4).

#ifndef KYUU_RELAY_JOINED_STREAMS_H_
#define KYUU_RELAY_JOINED_STREAMS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/stream_memory.h"
#include "net/stream_options.h"
#include "turn/bandwidth.h"

namespace kyuu::relay {

struct JoinedStreamsOptions {
  // What is held of each direction while its reader does not read. Beyond, its
  // writer is not read either, so that it has to wait.
  size_t held_bytes_max = 64 * 1024;
  // Reads of each direction per wake-up: one pair must not hold up the others.
  size_t reads_per_turn = 2;
  // How long one direction may go on, when the other has ended, without a byte.
  absl::Duration half_open_timeout = absl::Minutes(1);
};

// JoinedStreams passes on what comes by either stream to the other, as it is.
// The end of a direction is passed on behind its last byte, and the other goes
// on; an error of one stream is a reset of the other.
class JoinedStreams {
 public:
  // How it came to its end: both directions in order, by an error of a stream,
  // or for want of anything.
  enum class End : uint8_t { kClosed, kFailed, kSilent };
  struct Handlers {
    // Bytes were read of a direction. Returns how long no more of it are to be;
    // then it is asked again, with no bytes.
    absl::AnyInvocable<absl::Duration(turn::Direction, size_t bytes)> on_passed;
    // The streams are closed. Called once, as the last thing: it may destroy
    // us.
    absl::AnyInvocable<void(End)> on_end;
  };

  // `buffer`, which all of a loop share, and `memory` must outlive it. Nothing
  // happens before Start().
  JoinedStreams(net::Loop& loop, net::Stream client, net::Stream peer,
                net::StreamBuffer& buffer, net::StreamMemory* memory,
                const JoinedStreamsOptions& options, Handlers handlers);
  ~JoinedStreams();
  JoinedStreams(const JoinedStreams&) = delete;
  JoinedStreams& operator=(const JoinedStreams&) = delete;

  // Passes on `first`, which has come from the client before, and goes on.
  void Start(absl::Span<const uint8_t> first);
  // Resets both streams. The handlers are not called, and only the destructor
  // may follow.
  void Cut();
  const Path& client() const { return client_.stream.path(); }
  size_t held_bytes() const { return share_.held(); }

 private:
  struct Side {
    Side(net::Loop& loop, net::Stream s, net::Watch::Handler handler)
        : stream(std::move(s)),
          watch(loop, stream.fd(), net::Interest::kNone, std::move(handler)) {}

    net::Stream stream;
    net::Watch watch;
    bool ended = false;  // Nothing more comes by it.
    // It is not read before.
    std::optional<absl::Time> paused_until;
  };

  bool Wants(const Side& from, const Side& to) const;
  void Pass(absl::Time now, turn::Direction direction, Side& from, Side& to);
  void OnReady(Side& side, net::Readiness ready);
  // Moves what can be moved, and sees what is next.
  void Turn();
  void Await(Side& side, const Side& other);
  void Stop();
  void Finish(End end);

  net::StreamBuffer& buffer_;
  const JoinedStreamsOptions options_;
  Handlers handlers_;
  Side client_;
  Side peer_;
  net::MemoryShare share_;
  net::Alarm alarm_;
  absl::Time silent_since_;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_JOINED_STREAMS_H_
