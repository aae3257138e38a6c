// What a simulation delivered, as a hash and, if wanted, as text.

#ifndef KYUU_SIM_TRANSCRIPT_H_
#define KYUU_SIM_TRANSCRIPT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace kyuu::sim {

// Transcript takes down every delivery of a run. Two runs of one seed must
// have equal hashes; where they do not, compare their texts.
class Transcript {
 public:
  enum class Detail { kHash, kText };

  explicit Transcript(Detail detail = Detail::kHash) : detail_(detail) {}

  // `from` and `to` name the ends in any way that repeats from run to run.
  void Add(absl::Time now, absl::string_view from, absl::string_view to,
           absl::Span<const uint8_t> bytes);
  // Sets whether text is kept from now on.
  void set_detail(Detail detail) { detail_ = detail; }

  // FNV-1a, 64 bits, over times, ends and bytes of all deliveries.
  uint64_t hash() const { return hash_; }
  uint64_t deliveries() const { return deliveries_; }
  // One line per delivery, "12.345678 a -> b 0001ab..."; empty unless
  // Detail::kText.
  const std::string& text() const { return text_; }

 private:
  void Mix(absl::Span<const uint8_t> bytes);

  Detail detail_;
  uint64_t hash_ = 14695981039346656037u;
  uint64_t deliveries_ = 0;
  absl::Time start_ = absl::InfinitePast();
  std::string text_;
};

}  // namespace kyuu::sim

#endif  // KYUU_SIM_TRANSCRIPT_H_
