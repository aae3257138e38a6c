// What an engine understands: sets of comprehension-required attributes.

#ifndef KYUU_STUN_ATTRIBUTE_SET_H_
#define KYUU_STUN_ATTRIBUTE_SET_H_

#include <cstdint>

#include "stun/attributes.h"

namespace kyuu::stun {

// AttributeSet is the list of comprehension-required attributes that an engine
// understands in messages of one method (RFC 8489 section 6.3.1). It names what
// is allowed, so that an attribute which the codec learns to read is refused
// by every engine until that engine does something about it.
//
//   constexpr AttributeSet kUnderstood =
//       kStunAttributes | AttributeSet::Of<Priority, UseCandidate>();
//
// Integrity and FINGERPRINT are not of it: MessageView takes them out.
// Comprehension-optional attributes need no permission.
class AttributeSet {
 public:
  // Types of this size and above are in no set. All that are registered so far
  // are below it; attributes.cc asserts it for those that we can read.
  static constexpr uint16_t kTypeEnd = 64;

  constexpr AttributeSet() = default;

  // The set of these attributes.
  template <typename... A>
  static constexpr AttributeSet Of() {
    static_assert(((A::kType < kTypeEnd) && ...));
    return AttributeSet((uint64_t{0} | ... | (uint64_t{1} << A::kType)));
  }

  constexpr bool Contains(uint16_t type) const {
    return type < kTypeEnd && (bits_ >> type & 1) != 0;
  }
  // True if all of `other` are in this set.
  constexpr bool ContainsAll(AttributeSet other) const {
    return (other.bits_ & ~bits_) == 0;
  }
  // Adds a type below kTypeEnd.
  constexpr void Insert(uint16_t type) { bits_ |= uint64_t{1} << type; }
  friend constexpr AttributeSet operator|(AttributeSet a, AttributeSet b) {
    return AttributeSet(a.bits_ | b.bits_);
  }

 private:
  constexpr explicit AttributeSet(uint64_t bits) : bits_(bits) {}

  uint64_t bits_ = 0;
};

// The attributes of RFC 8489 itself, which every agent knows. Where they have
// no meaning they are ignored (section 6.3: known, but unexpected).
inline constexpr AttributeSet kStunAttributes =
    AttributeSet::Of<MappedAddress, Username, ErrorCode, UnknownAttributes,
                     Realm, Nonce, PasswordAlgorithm, Userhash,
                     XorMappedAddress>();

}  // namespace kyuu::stun

#endif  // KYUU_STUN_ATTRIBUTE_SET_H_
