// Deflate: messages of WebSockets compressed, each by itself (RFC 7692 section
// 7.2, without context takeover).

#ifndef KYUU_SIGNALING_DEFLATE_DEFLATE_H_
#define KYUU_SIGNALING_DEFLATE_DEFLATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/counters.h"

namespace kyuu::signaling {

struct DeflateOptions {
  // Shorter messages are sent as they are: their packets would be no fewer, and
  // a candidate of 200 bytes becomes 150.
  size_t min_bytes = 512;
  // zlib's, 1 (fast) to 9. An offer of 0.9 kB becomes 529 bytes at 1, 520 at 6.
  int level = 1;
};

// Of all WebSockets that have a Deflate in common.
struct DeflateStats {
  uint64_t messages_deflated = 0;  // Sent compressed.
  uint64_t bytes_deflated = 0;     // Of those before compression...
  uint64_t bytes_saved = 0;        // ...and what they were shorter by.
  uint64_t messages_inflated = 0;  // Received compressed.
  uint64_t inflated_too_long = 0;  // Refused: longer than a message may be.
  uint64_t inflated_malformed = 0;

  static constexpr Counter<DeflateStats> kCounters[] = {
      KYUU_COUNTER(DeflateStats, messages_deflated),
      KYUU_COUNTER(DeflateStats, bytes_deflated),
      KYUU_COUNTER(DeflateStats, bytes_saved),
      KYUU_COUNTER(DeflateStats, messages_inflated),
      KYUU_COUNTER(DeflateStats, inflated_too_long),
      KYUU_COUNTER(DeflateStats, inflated_malformed),
  };
};
static_assert(Countable<DeflateStats>);

// Deflate has the memory that compression takes, so that WebSockets need none
// of their own: some 300 kB for all that share one (zlib's windows, and a
// message), from the first use on. It holds nothing that one message tells of
// another.
class Deflate {
 public:
  explicit Deflate(const DeflateOptions& options = {});
  ~Deflate();
  Deflate(const Deflate&) = delete;
  Deflate& operator=(const Deflate&) = delete;

  // Compress returns the payload of a message as it goes out, for a receiver
  // with a window of 2^`window_bits` bytes, 8 to 15; nullopt if it is to be
  // sent as it is, since that is no longer. The view is good until the next
  // call. A message said to many in a row is compressed once.
  std::optional<absl::string_view> Compress(absl::string_view message,
                                            int window_bits);

  // Inflate returns the message whose payload is `compressed`. OUT_OF_RANGE as
  // soon as it has more than `max_bytes`, of which no more is inflated;
  // INVALID_ARGUMENT if the payload is not DEFLATE (RFC 1951) that ends as
  // section 7.2.2 of RFC 7692 wants it.
  absl::StatusOr<std::string> Inflate(std::string compressed, size_t max_bytes);

  // MaxCompressedBytes is how long the payload of a message of `max_bytes` may
  // be. A sender that knows no better makes 9 bits of a byte (RFC 1951 section
  // 3.2.6).
  static constexpr size_t MaxCompressedBytes(size_t max_bytes) {
    return max_bytes + max_bytes / 8 + 64;
  }

  const DeflateStats& stats() const { return stats_; }

 private:
  struct Deflater;
  struct Inflater;

  const DeflateOptions options_;
  std::unique_ptr<Deflater> deflaters_[8];  // By window_bits - 8.
  std::unique_ptr<Inflater> inflater_;
  // The last message that was compressed, and what became of it.
  std::string last_message_;
  int last_window_bits_ = 0;
  std::string last_compressed_;
  DeflateStats stats_;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_DEFLATE_DEFLATE_H_
