// STUN messages: a view to read one where it lies, and a writer that builds one
// in the caller's buffer. Neither allocates nor copies (RFC 8489 section 5).

#ifndef KYUU_STUN_MESSAGE_H_
#define KYUU_STUN_MESSAGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "stun/attribute_set.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun/protocol.h"

namespace kyuu::stun {

// IsStun tells a STUN message by its header, in a few nanoseconds: first two
// bits zero, magic cookie, and a length field that is a multiple of 4 and
// equals the size of what follows. `bytes` is a whole datagram.
bool IsStun(absl::Span<const uint8_t> bytes);

// AttributeCursor walks over the attributes of a message in their order, for
// those that may occur more than once (XOR-PEER-ADDRESS of CreatePermission):
//
//   for (AttributeCursor c = view.attributes(); c.Next();) {
//     if (auto peer = c.As<XorPeerAddress>()) ...
//   }
class AttributeCursor {
 public:
  // Steps to the next attribute; false at the end.
  bool Next();
  uint16_t type() const { return type_; }
  absl::Span<const uint8_t> value() const { return value_; }
  // nullopt if the attribute is not an `A`, or a malformed one.
  template <typename A>
  std::optional<A> As() const {
    if (type_ != A::kType) return std::nullopt;
    return A::Read(value_, id_);
  }

 private:
  friend class MessageView;
  AttributeCursor(absl::Span<const uint8_t> attributes, const TransactionId& id)
      : rest_(attributes), id_(id) {}

  Reader rest_;
  TransactionId id_;
  uint16_t type_ = 0;
  absl::Span<const uint8_t> value_;
};

// MessageView reads a STUN message in place. It is a small value; the bytes it
// was parsed from must outlive it and all views that it hands out.
//
// What counts as an attribute follows RFC 8489 section 14: all in front of
// MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256; of those behind it only
// MESSAGE-INTEGRITY-SHA256 and FINGERPRINT, the rest is ignored because nobody
// vouches for it. Of two with the same type the first one counts.
class MessageView {
 public:
  // Parse checks the form of the header and of every attribute's frame.
  // INVALID_ARGUMENT if `bytes` is not exactly one STUN message: IsStun() is
  // false, an attribute runs over the end, an integrity or fingerprint
  // attribute has an impossible size, or something follows FINGERPRINT.
  // Checks neither integrity nor fingerprint. Failing costs an allocation;
  // IsStun() sorts out most garbage without.
  static absl::StatusOr<MessageView> Parse(absl::Span<const uint8_t> bytes);

  MessageClass cls() const { return ClassOf(type_); }
  Method method() const { return MethodOf(type_); }
  bool Is(MessageClass c, Method m) const { return type_ == EncodeType(c, m); }
  const TransactionId& transaction_id() const { return id_; }
  // The whole message.
  absl::Span<const uint8_t> bytes() const { return bytes_; }

  // Get returns the first attribute `A`; nullopt if there is none or its value
  // is malformed. Has() tells these two apart. Neither walks over the message:
  // Parse() has noted where each attribute is.
  template <typename A>
  std::optional<A> Get() const {
    const auto value = Find(A::kType);
    return value ? A::Read(*value, id_) : std::nullopt;
  }
  template <typename A>
  bool Has() const {
    return Find(A::kType).has_value();
  }
  // Find returns the value of the first attribute of `type` as it was sent.
  std::optional<absl::Span<const uint8_t>> Find(uint16_t type) const;
  // All that count, integrity and fingerprint excepted.
  AttributeCursor attributes() const {
    return AttributeCursor(
        bytes_.subspan(kHeaderSize, attributes_end_ - kHeaderSize), id_);
  }

  // The comprehension-required attributes that are not `understood`: a request
  // with any is refused with 420 and their list (RFC 8489 section 6.3.1), an
  // indication (6.3.2) and a response (6.3.3, 6.3.4) discarded or failed.
  UnknownAttributes UnknownComprehensionRequired(AttributeSet understood) const;

  bool HasIntegrity() const { return integrity_ != 0; }
  bool HasIntegritySha256() const { return integrity_sha256_ != 0; }
  bool HasFingerprint() const { return fingerprint_ != 0; }
  // True if MESSAGE-INTEGRITY is there and was made with `key` (RFC 8489
  // section 14.5). Compares in constant time.
  bool CheckIntegrity(const Sha1Key& key) const;
  // The same for MESSAGE-INTEGRITY-SHA256 (section 14.6), of full length only:
  // no usage of STUN allows the truncated forms.
  bool CheckIntegritySha256(const IntegrityKey& key) const;
  // True if FINGERPRINT is there and right (section 14.7).
  bool CheckFingerprint() const;

 private:
  // The first 64 types of either range have a place each: all that are
  // registered by RFCs.
  static constexpr size_t kPlaces = 2 * AttributeSet::kTypeEnd;

  MessageView() = default;
  // The place of a type, kPlaces if it has none.
  static constexpr size_t PlaceOf(uint16_t type) {
    const size_t low = type & 0x7fff;
    if (low >= AttributeSet::kTypeEnd) return kPlaces;
    return IsComprehensionRequired(type) ? low : AttributeSet::kTypeEnd + low;
  }
  bool ReadFrame(uint16_t type, size_t offset, size_t size);
  void Note(uint16_t type, size_t offset);

  absl::Span<const uint8_t> bytes_;
  TransactionId id_;
  uint16_t type_ = 0;
  // Where the attributes that count end.
  size_t attributes_end_ = 0;
  // Of each place, where its first attribute begins, in steps of 4 bytes; 0 if
  // there is none.
  std::array<uint16_t, kPlaces> first_{};
  // The comprehension-required types that are there.
  AttributeSet required_;
  bool has_required_beyond_set_ = false;
  // Offsets of the attributes' headers; 0 if there is none.
  size_t integrity_ = 0;
  size_t integrity_sha256_ = 0;
  size_t fingerprint_ = 0;
};

// MessageWriter builds one message inside `out`, which it does not own. What
// does not fit, or has a value out of range, fails the writer for good.
//
//   MessageWriter w(out, MessageClass::kRequest, Method::kBinding, id);
//   w.Add(Username{"b:a"});
//   w.Add(Priority{0x6e0001ff});
//   w.AddIntegrity(key);
//   w.AddFingerprint();
//   absl::Span<const uint8_t> packet = w.Finish();
class MessageWriter {
 public:
  MessageWriter(absl::Span<uint8_t> out, MessageClass cls, Method method,
                const TransactionId& id);

  // Appends an attribute and pads it with zeros to a multiple of 4 bytes.
  // Nothing may follow AddIntegrity() but more integrity and the fingerprint.
  template <typename A>
  void Add(const A& attribute) {
    const size_t start = Begin(A::kType);
    attribute.Write(w_, id_);
    End(start);
  }
  // Appends an attribute by its type, for those that are not of attributes.h.
  void AddRaw(uint16_t type, absl::Span<const uint8_t> value);

  // Appends an attribute whose `size` bytes of value are left as they are in
  // `out`, and returns them to be filled, or to have been filled already:
  // empty if they do not fit.
  absl::Span<uint8_t> Reserve(uint16_t type, size_t size);

  // Appends MESSAGE-INTEGRITY (HMAC-SHA1) over all that is written so far.
  void AddIntegrity(const Sha1Key& key);
  // Appends MESSAGE-INTEGRITY-SHA256, 32 bytes. Goes behind AddIntegrity() if
  // both are used.
  void AddIntegritySha256(const IntegrityKey& key);
  // Appends FINGERPRINT. Must be the last.
  void AddFingerprint();

  // The finished message, a view into `out`; empty if the writer failed.
  absl::Span<const uint8_t> Finish();

 private:
  // How far the message has come in the order of RFC 8489 section 14.
  enum class Stage : uint8_t { kAttributes, kIntegrity, kSha256, kFingerprint };

  size_t Begin(uint16_t type);
  void End(size_t start);
  // Sets the header's length as if `extra` more bytes were there.
  void SetLength(size_t extra);
  // Moves to `next`; fails the writer unless it is later than the stage now.
  void Advance(Stage next);

  Writer w_;
  TransactionId id_;
  Stage stage_ = Stage::kAttributes;
};

}  // namespace kyuu::stun

#endif  // KYUU_STUN_MESSAGE_H_
