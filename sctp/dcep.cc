#include "sctp/dcep.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "base/bytes.h"

namespace kyuu::sctp {

namespace {

constexpr uint8_t kUnordered = 0x80;  // RFC 8832 section 8.2.2.
constexpr size_t kTextMax = 65535;

// The number of bytes of the UTF-8 character that begins `text`, 0 if there is
// none (RFC 3629 section 4: no overlong forms, no surrogates).
size_t Utf8CharacterSize(absl::Span<const uint8_t> text) {
  const uint8_t first = text[0];
  if (first < 0x80) return 1;
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((text[i] & 0xc0) != 0x80) return 0;
  }
  const uint8_t second = text[1];
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
    return 0;
  }
  return size;
}

bool IsUtf8(absl::Span<const uint8_t> text) {
  while (!text.empty()) {
    const size_t size = Utf8CharacterSize(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

absl::StatusOr<DcepMessage> ParseOpen(Reader& r) {
  DcepOpen open;
  const uint8_t type = r.U8();
  open.priority = r.U16();
  open.reliability_parameter = r.U32();
  const uint16_t label_size = r.U16();
  const uint16_t protocol_size = r.U16();
  const absl::Span<const uint8_t> label = r.Bytes(label_size);
  const absl::Span<const uint8_t> protocol = r.Bytes(protocol_size);
  if (!r.ok()) return absl::InvalidArgumentError("OPEN: truncated");
  if ((type & ~kUnordered) > static_cast<int>(DcepOpen::Reliability::kTimed)) {
    return absl::InvalidArgumentError("OPEN: unknown channel type");
  }
  if (!IsUtf8(label) || !IsUtf8(protocol)) {
    return absl::InvalidArgumentError("OPEN: not UTF-8");
  }
  open.ordering =
      (type & kUnordered) != 0 ? Ordering::kUnordered : Ordering::kOrdered;
  open.reliability =
      static_cast<DcepOpen::Reliability>(type & static_cast<int>(~kUnordered));
  open.label = std::string(AsText(label));
  open.protocol = std::string(AsText(protocol));
  return open;
}

}  // namespace

std::vector<uint8_t> DcepOpen::Serialize() const {
  const size_t label_size = std::min(label.size(), kTextMax);
  const size_t protocol_size = std::min(protocol.size(), kTextMax);
  std::vector<uint8_t> bytes(kHeaderSize + label_size + protocol_size);
  Writer w(absl::MakeSpan(bytes));
  w.U8(kType);
  w.U8(static_cast<uint8_t>(
      static_cast<int>(reliability) |
      (ordering == Ordering::kUnordered ? kUnordered : 0)));
  w.U16(priority);
  w.U32(reliability_parameter);
  w.U16(static_cast<uint16_t>(label_size));
  w.U16(static_cast<uint16_t>(protocol_size));
  w.Text(absl::string_view(label).substr(0, label_size));
  w.Text(absl::string_view(protocol).substr(0, protocol_size));
  return bytes;
}

absl::StatusOr<DcepMessage> ParseDcep(absl::Span<const uint8_t> payload) {
  Reader r(payload);
  const uint8_t type = r.U8();
  if (!r.ok()) return absl::InvalidArgumentError("DCEP: empty");
  switch (type) {
    case DcepOpen::kType:
      return ParseOpen(r);
    case DcepAck::kType:
      return DcepAck{};
    default:
      return absl::InvalidArgumentError("DCEP: unknown message type");
  }
}

}  // namespace kyuu::sctp
