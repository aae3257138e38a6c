// What a StreamDriver is told, and what it tells of its stream's end.

#ifndef KYUU_NET_STREAM_OPTIONS_H_
#define KYUU_NET_STREAM_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace kyuu::net {

struct StreamDriverOptions {
  // Read calls per wake-up, of StreamBuffer::kBytes each: one sender must not
  // hold up the others.
  size_t reads_per_turn = 2;
  // How long the peer may take nothing of what waits for it. As nginx's
  // send_timeout, and half of it.
  absl::Duration write_timeout = absl::Seconds(30);
  // How long the peer may take to end its side once we have ended ours, so that
  // our last words are not lost to a reset. As long as it goes on reading them,
  // it has `write_timeout` in all.
  absl::Duration linger = absl::Seconds(2);
};

// How a stream came to its end.
enum class StreamEnd : uint8_t {
  kClosed,   // In order, by both sides.
  kFailed,   // By the network or the peer; the status has the reason.
  kStalled,  // Cut: the peer took nothing for write_timeout.
  kCut,      // Cut: the engine or the caller had given it up.
};

// The memory that reads and writes of one loop go through.
class StreamBuffer {
 public:
  // Four TLS records, and as much as loopback or a network card hands up as
  // one: what comes by one read is worked on, and answered, together.
  static constexpr size_t kBytes = 64 * 1024;
  absl::Span<uint8_t> bytes() { return {bytes_.get(), kBytes}; }

 private:
  std::unique_ptr<uint8_t[]> bytes_{new uint8_t[kBytes]};  // Untouched.
};

}  // namespace kyuu::net

#endif  // KYUU_NET_STREAM_OPTIONS_H_
