#include "stun/classic.h"

#include <algorithm>

#include "base/bytes.h"
#include "stun/message.h"

namespace kyuu::stun {
namespace {

constexpr size_t kCookieOffset = 4;

}  // namespace

std::optional<ClassicBinding> ReadClassicBinding(
    absl::Span<const uint8_t> bytes) {
  Reader r(bytes);
  const uint16_t type = r.U16();
  const size_t length = r.U16();
  ClassicBinding request;
  request.cookie = r.U32();
  const absl::Span<const uint8_t> id = r.Bytes(request.id.bytes.size());
  if (!r.ok() || type != EncodeType(MessageClass::kRequest, Method::kBinding) ||
      request.cookie == kMagicCookie || length % 4 != 0 ||
      bytes.size() != kHeaderSize + length) {
    return std::nullopt;
  }
  std::copy(id.begin(), id.end(), request.id.bytes.begin());
  while (!r.empty()) {
    const uint16_t attribute = r.U16();
    const size_t size = r.U16();
    const absl::Span<const uint8_t> value = r.Bytes(size);
    r.Skip((4 - size % 4) % 4);
    if (!r.ok()) return std::nullopt;
    const auto change = attribute == ChangeRequest::kType
                            ? ChangeRequest::Read(value, request.id)
                            : std::nullopt;
    if (IsComprehensionRequired(attribute) && change != ChangeRequest{}) {
      request.unknown.Insert(attribute);
    }
  }
  return request;
}

absl::Span<const uint8_t> WriteClassicAnswer(const ClassicBinding& request,
                                             const TransportAddress& mapped,
                                             absl::Span<uint8_t> out) {
  const bool refused = !request.unknown.empty();
  MessageWriter writer(out,
                       refused ? MessageClass::kError : MessageClass::kSuccess,
                       Method::kBinding, request.id);
  if (refused) {
    writer.Add(ErrorCode{Error::kUnknownAttribute, ""});
    writer.Add(request.unknown);
  } else {
    writer.Add(MappedAddress{mapped});
  }
  const absl::Span<const uint8_t> bytes = writer.Finish();
  if (!bytes.empty()) {
    // RFC 5389 section 12.2: what stood in the cookie's place is copied.
    Writer(out.subspan(kCookieOffset, 4)).U32(request.cookie);
  }
  return bytes;
}

}  // namespace kyuu::stun
