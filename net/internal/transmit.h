// Transmit: what an engine has to say, into a stream. InterestOf: what to watch
// that for.

#ifndef KYUU_NET_INTERNAL_TRANSMIT_H_
#define KYUU_NET_INTERNAL_TRANSMIT_H_

#include <cstdint>

#include "absl/types/span.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/stream_engine.h"

namespace kyuu::net::internal {

// Polls `engine` as long as the kernel has taken what was polled before. A
// failure shows in the stream's status.
template <StreamEngine E>
void Transmit(E& engine, Stream& stream, absl::Span<uint8_t> buffer) {
  bool more = true;
  while (more && stream.buffered() == 0 && stream.status().ok()) {
    stream.Cork();
    do {
      const auto packet = engine.PollTransmit(Loop::Now(), buffer);
      more = packet && stream.Write(*packet).ok();
    } while (more && stream.gathers());
    stream.Uncork();
  }
}

// `reads` is whether anybody wants what arrives.
inline Interest InterestOf(const Stream& stream, bool reads) {
  const Interest interest = stream.interest();
  if (reads) return interest;
  return interest == Interest::kReadWrite ? Interest::kWrite : Interest::kNone;
}

}  // namespace kyuu::net::internal

#endif  // KYUU_NET_INTERNAL_TRANSMIT_H_
