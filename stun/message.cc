#include "stun/message.h"

#include <algorithm>
#include <array>

#include "base/crc32.h"

namespace kyuu::stun {
namespace {

//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |0 0|     STUN Message Type     |         Message Length        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                         Magic Cookie                          |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                     Transaction ID (96 bits)                  |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   then attributes, each padded to a multiple of 4 bytes:
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |         Type                  |            Length             |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                         Value (variable)                ....
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
constexpr size_t kLengthOffset = 2;
constexpr size_t kFrameSize = 4;  // An attribute's type and length.
constexpr uint32_t kFingerprintMask = 0x5354554e;

constexpr size_t Padded(size_t size) { return (size + 3) & ~size_t{3}; }

// Integrity and fingerprint hash a header whose length field ends with that
// very attribute, whatever follows. These are the first four bytes of it.
std::array<uint8_t, 4> HeadWithLength(absl::Span<const uint8_t> message,
                                      size_t length) {
  return {message[0], message[1], static_cast<uint8_t>(length >> 8),
          static_cast<uint8_t>(length)};
}

uint32_t FingerprintOf(absl::Span<const uint8_t> head,
                       absl::Span<const uint8_t> body) {
  return Crc32(body, Crc32(head)) ^ kFingerprintMask;
}

}  // namespace

bool IsStun(absl::Span<const uint8_t> bytes) {
  Reader r(bytes);
  const uint16_t type = r.U16();
  const size_t length = r.U16();
  const uint32_t cookie = r.U32();
  return cookie == kMagicCookie && type < 0x4000 && length % 4 == 0 &&
         bytes.size() == kHeaderSize + length;
}

bool AttributeCursor::Next() {
  if (rest_.empty()) return false;
  type_ = rest_.U16();
  const size_t size = rest_.U16();
  value_ = rest_.Bytes(size);
  rest_.Skip(Padded(size) - size);
  return rest_.ok();
}

absl::StatusOr<MessageView> MessageView::Parse(
    absl::Span<const uint8_t> bytes) {
  if (!IsStun(bytes)) return absl::InvalidArgumentError("no STUN header");
  MessageView view;
  view.bytes_ = bytes;
  Reader r(bytes);
  view.type_ = r.U16();
  r.Skip(6);
  const absl::Span<const uint8_t> id = r.Bytes(view.id_.bytes.size());
  std::copy(id.begin(), id.end(), view.id_.bytes.begin());
  while (!r.empty()) {
    const size_t offset = bytes.size() - r.remaining();
    const uint16_t type = r.U16();
    const size_t size = r.U16();
    r.Skip(Padded(size));
    if (!r.ok()) return absl::InvalidArgumentError("attribute over the end");
    if (!view.ReadFrame(type, offset, size)) {
      return absl::InvalidArgumentError(
          "attribute of impossible size or place");
    }
  }
  if (view.attributes_end_ == 0) view.attributes_end_ = bytes.size();
  return view;
}

// Notes where the special attributes are; false if `size` cannot be, or if the
// attribute follows FINGERPRINT (RFC 8489 section 14.7: must be the last).
bool MessageView::ReadFrame(uint16_t type, size_t offset, size_t size) {
  if (fingerprint_ != 0) return false;
  size_t* place = nullptr;
  switch (type) {
    case MessageIntegrity::kType:
      // Behind the SHA-256 form it is one of the attributes to be ignored.
      if (integrity_sha256_ != 0) return true;
      if (size != MessageIntegrity::kSize) return false;
      place = &integrity_;
      break;
    case MessageIntegritySha256::kType:
      // Section 14.6: 16 to 32 bytes, in steps of 4.
      if (size < 16 || size > 32 || size % 4 != 0) return false;
      place = &integrity_sha256_;
      break;
    case Fingerprint::kType:
      if (size != Fingerprint::kSize) return false;
      place = &fingerprint_;
      break;
    default:
      if (attributes_end_ == 0) Note(type, offset);
      return true;
  }
  if (*place == 0) *place = offset;
  if (attributes_end_ == 0) attributes_end_ = offset;
  return true;
}

// Notes an attribute that counts; of two of one type the first.
void MessageView::Note(uint16_t type, size_t offset) {
  const size_t place = PlaceOf(type);
  if (place < kPlaces && first_[place] == 0) {
    first_[place] = static_cast<uint16_t>(offset / 4);
  }
  if (!IsComprehensionRequired(type)) return;
  if (place < kPlaces) {
    required_.Insert(type);
  } else {
    has_required_beyond_set_ = true;
  }
}

std::optional<absl::Span<const uint8_t>> MessageView::Find(
    uint16_t type) const {
  const size_t place = PlaceOf(type);
  if (place < kPlaces) {
    if (first_[place] == 0) return std::nullopt;
    Reader r(bytes_.subspan(size_t{first_[place]} * 4));
    r.Skip(2);
    const size_t size = r.U16();
    return r.Bytes(size);
  }
  for (AttributeCursor c = attributes(); c.Next();) {
    if (c.type() == type) return c.value();
  }
  return std::nullopt;
}

UnknownAttributes MessageView::UnknownComprehensionRequired(
    AttributeSet understood) const {
  UnknownAttributes unknown;
  if (!has_required_beyond_set_ && understood.ContainsAll(required_)) {
    return unknown;
  }
  for (AttributeCursor c = attributes(); c.Next();) {
    if (IsComprehensionRequired(c.type()) && !understood.Contains(c.type())) {
      unknown.Insert(c.type());
      if (unknown.count == UnknownAttributes::kMax) break;
    }
  }
  return unknown;
}

bool MessageView::CheckIntegrity(const Sha1Key& key) const {
  if (integrity_ == 0) return false;
  const size_t end = integrity_ + kFrameSize + MessageIntegrity::kSize;
  const auto head = HeadWithLength(bytes_, end - kHeaderSize);
  const auto mac =
      key.HmacSha1(head, bytes_.subspan(head.size(), integrity_ - head.size()));
  return EqualInConstantTime(
      mac, bytes_.subspan(integrity_ + kFrameSize, mac.size()));
}

bool MessageView::CheckIntegritySha256(const IntegrityKey& key) const {
  if (integrity_sha256_ == 0) return false;
  Reader r(bytes_.subspan(integrity_sha256_));
  r.Skip(2);
  if (r.U16() != MessageIntegritySha256::kSize) return false;
  const size_t end =
      integrity_sha256_ + kFrameSize + MessageIntegritySha256::kSize;
  const auto head = HeadWithLength(bytes_, end - kHeaderSize);
  const auto mac = key.HmacSha256(
      head, bytes_.subspan(head.size(), integrity_sha256_ - head.size()));
  return EqualInConstantTime(mac, r.Bytes(mac.size()));
}

bool MessageView::CheckFingerprint() const {
  if (fingerprint_ == 0) return false;
  // It is the last attribute, so the length field already has its value.
  Reader r(bytes_.subspan(fingerprint_ + kFrameSize));
  return r.U32() == FingerprintOf({}, bytes_.first(fingerprint_));
}

MessageWriter::MessageWriter(absl::Span<uint8_t> out, MessageClass cls,
                             Method method, const TransactionId& id)
    : w_(out), id_(id) {
  w_.U16(EncodeType(cls, method));
  w_.U16(0);
  w_.U32(kMagicCookie);
  w_.Bytes(id.bytes);
}

size_t MessageWriter::Begin(uint16_t type) {
  if (stage_ != Stage::kAttributes) w_.Fail();
  w_.U16(type);
  w_.U16(0);
  return w_.size();
}

void MessageWriter::End(size_t start) {
  if (!w_.ok()) return;
  const size_t size = w_.size() - start;
  if (size > 0xffff) return w_.Fail();
  w_.Patch16(start - 2, static_cast<uint16_t>(size));
  w_.PadTo(4);
}

void MessageWriter::AddRaw(uint16_t type, absl::Span<const uint8_t> value) {
  const size_t start = Begin(type);
  w_.Bytes(value);
  End(start);
}

absl::Span<uint8_t> MessageWriter::Reserve(uint16_t type, size_t size) {
  const size_t start = Begin(type);
  const absl::Span<uint8_t> value = w_.Reserve(size);
  End(start);
  return w_.ok() ? value : absl::Span<uint8_t>();
}

void MessageWriter::SetLength(size_t extra) {
  if (!w_.ok()) return;
  const size_t length = w_.size() + extra - kHeaderSize;
  if (length > 0xffff) return w_.Fail();
  w_.Patch16(kLengthOffset, static_cast<uint16_t>(length));
}

void MessageWriter::Advance(Stage next) {
  if (stage_ >= next) w_.Fail();
  stage_ = next;
}

void MessageWriter::AddIntegrity(const Sha1Key& key) {
  Advance(Stage::kIntegrity);
  SetLength(kFrameSize + MessageIntegrity::kSize);
  if (!w_.ok()) return;
  const auto mac = key.HmacSha1({}, w_.written());
  w_.U16(MessageIntegrity::kType);
  w_.U16(MessageIntegrity::kSize);
  w_.Bytes(mac);
}

void MessageWriter::AddIntegritySha256(const IntegrityKey& key) {
  Advance(Stage::kSha256);
  SetLength(kFrameSize + MessageIntegritySha256::kSize);
  if (!w_.ok()) return;
  const auto mac = key.HmacSha256({}, w_.written());
  w_.U16(MessageIntegritySha256::kType);
  w_.U16(MessageIntegritySha256::kSize);
  w_.Bytes(mac);
}

void MessageWriter::AddFingerprint() {
  Advance(Stage::kFingerprint);
  SetLength(kFrameSize + Fingerprint::kSize);
  if (!w_.ok()) return;
  const uint32_t crc = FingerprintOf({}, w_.written());
  w_.U16(Fingerprint::kType);
  w_.U16(Fingerprint::kSize);
  w_.U32(crc);
}

absl::Span<const uint8_t> MessageWriter::Finish() {
  SetLength(0);
  if (!w_.ok()) return {};
  return w_.written();
}

}  // namespace kyuu::stun
