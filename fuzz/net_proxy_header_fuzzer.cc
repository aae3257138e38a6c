// A PROXY header and what follows it, cut anywhere: the cuts change nothing,
// not a byte beyond the header is taken, and what is kept is bounded.

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "net/proxy/proxy_header.h"

namespace {

using kyuu::net::ProxyHeader;

struct Outcome {
  ProxyHeader header;
  size_t taken = 0;
};

Outcome Read(absl::Span<const uint8_t> stream, size_t step) {
  Outcome outcome;
  while (outcome.header.state() == ProxyHeader::State::kReading &&
         outcome.taken < stream.size()) {
    const size_t size =
        outcome.header.Take(stream.subspan(outcome.taken, step));
    // Whatever is wanted is taken.
    KYUU_CHECK(size > 0 ||
               outcome.header.state() != ProxyHeader::State::kReading);
    outcome.taken += size;
    KYUU_CHECK(outcome.taken <= ProxyHeader::kBytesMax);
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto stream = absl::MakeConstSpan(data, size).subspan(1);
  const Outcome whole = Read(stream, size), cut = Read(stream, data[0] / 8 + 1);
  KYUU_CHECK(whole.header.state() == cut.header.state());
  KYUU_CHECK(whole.header.ends() == cut.header.ends());
  using Beginning = ProxyHeader::Beginning;
  const Beginning beginning = ProxyHeader::Recognize(stream);
  if (beginning == Beginning::kNone) {
    KYUU_CHECK(whole.header.state() != ProxyHeader::State::kDone);
  }
  if (whole.header.state() != ProxyHeader::State::kDone) return 0;
  KYUU_CHECK(beginning == Beginning::kHeader);
  KYUU_CHECK(whole.taken == cut.taken);
  // Of what is done no part was done.
  KYUU_CHECK(Read(stream.first(whole.taken - 1), size).header.state() ==
             ProxyHeader::State::kReading);
  return 0;
}
