// The typed attributes: what CheckAttribute takes can be read, views stay
// within the value, and lists end. The first byte chooses the attribute.

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/check.h"
#include "sdp/attribute.h"

namespace {

using kyuu::sdp::AttributeType;

size_t Walk(const kyuu::sdp::Pieces& pieces, absl::string_view value) {
  size_t count = 0;
  for (const absl::string_view piece : pieces) {
    KYUU_CHECK(!piece.empty() && piece.data() >= value.data());
    KYUU_CHECK(piece.data() + piece.size() <= value.data() + value.size());
    ++count;
  }
  KYUU_CHECK(count <= value.size());
  return count;
}

void WalkLists(AttributeType type, absl::string_view value) {
  if (const auto rid = kyuu::sdp::Rid::Parse(value); rid.ok()) {
    Walk(rid->formats(), value);
  }
  if (const auto s = kyuu::sdp::Simulcast::Parse(value); s.ok()) {
    KYUU_CHECK(Walk(s->send, value) + Walk(s->recv, value) > 0);
    const auto error = CheckAttribute(AttributeType::kSimulcast, value);
    KYUU_CHECK(s->draft == error.has_value());
  }
  if (auto image = kyuu::sdp::ImageAttribute::Parse(value); image.ok()) {
    absl::string_view sets = image->send;
    size_t left = sets.size();
    while (const auto set = kyuu::sdp::TakeImageSet(sets)) {
      KYUU_CHECK(sets.size() < left);
      left = sets.size();
      kyuu::sdp::ImageSetValue(*set, "x");
    }
  }
  if (auto remote = kyuu::sdp::RemoteCandidates::Parse(value); remote.ok()) {
    kyuu::sdp::RemoteCandidates rest = *remote;
    while (rest.TakeFirst()) KYUU_CHECK(rest.list.size() < value.size());
    KYUU_CHECK(rest.list.empty());
  }
  if (const auto error = CheckAttribute(type, value)) {
    KYUU_CHECK(error->offset <= value.size() && !error->message.empty());
    KYUU_CHECK(!error->rule.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view value(reinterpret_cast<const char*>(data + 1),
                                size - 1);
  WalkLists(static_cast<AttributeType>(
                data[0] % (static_cast<int>(AttributeType::kTlsId) + 1)),
            value);
  return 0;
}
