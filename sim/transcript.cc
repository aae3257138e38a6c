#include "sim/transcript.h"

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace kyuu::sim {

namespace {

absl::Span<const uint8_t> Octets(absl::string_view text) {
  return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()),
                             text.size());
}

}  // namespace

void Transcript::Mix(absl::Span<const uint8_t> bytes) {
  for (uint8_t byte : bytes) hash_ = (hash_ ^ byte) * 1099511628211u;
}

void Transcript::Add(absl::Time now, absl::string_view from,
                     absl::string_view to, absl::Span<const uint8_t> bytes) {
  if (deliveries_++ == 0) start_ = now;
  const int64_t nanoseconds = absl::ToUnixNanos(now);
  std::array<uint8_t, 12> head{};
  for (int i = 0; i < 8; ++i) {
    head[i] = static_cast<uint8_t>(nanoseconds >> (8 * i));
  }
  // The size separates one delivery from the next.
  for (int i = 0; i < 4; ++i) {
    head[8 + i] = static_cast<uint8_t>(bytes.size() >> (8 * i));
  }
  Mix(head);
  Mix(Octets(from));
  Mix(Octets(to));
  Mix(bytes);
  if (detail_ == Detail::kText) {
    absl::StrAppend(
        &text_,
        absl::StrFormat("%.6f %s -> %s ", absl::ToDoubleSeconds(now - start_),
                        from, to),
        absl::BytesToHexString(absl::string_view(
            reinterpret_cast<const char*>(bytes.data()), bytes.size())),
        "\n");
  }
}

}  // namespace kyuu::sim
