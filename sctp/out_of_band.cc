#include "sctp/out_of_band.h"

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/random.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/init_terms.h"
#include "sctp/internal/serial.h"
#include "sctp/options.h"

namespace kyuu::sctp {

std::vector<uint8_t> MakeInit(const Options& options, Random& random) {
  const uint32_t tag = internal::NewTag(random);
  internal::InitChunk init =
      internal::OwnInit(options, tag, internal::Tsn(random.U32()));
  init.extensions.zero_checksum = options.zero_checksum;
  std::array<uint8_t, 64> space{};
  Writer writer(absl::MakeSpan(space));
  init.Write(writer);
  return {writer.written().begin(), writer.written().end()};
}

absl::Status ValidateInit(absl::Span<const uint8_t> init) {
  return internal::ReadInit(init).status();
}

}  // namespace kyuu::sctp
