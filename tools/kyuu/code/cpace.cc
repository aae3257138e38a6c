#include "tools/kyuu/code/cpace.h"

#include <sodium.h>

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/check.h"

namespace kyuu::tools {
namespace {

// G.DSI, and what it is in front of the key.
constexpr absl::string_view kDsi = "CPaceRistretto255";
constexpr absl::string_view kDsiIsk = "CPaceRistretto255_ISK";
constexpr absl::string_view kMacPurpose = "CPaceMac";
// H.s_in_bytes of SHA-512.
constexpr size_t kHashBlockBytes = 128;
// Bits above G.group_size_bits, 252, in the last byte of a scalar.
constexpr uint8_t kScalarTopMask = 0x0f;

// LEB128: seven bits a byte, the lowest first.
std::string Leb128(size_t number) {
  std::string result;
  for (; number >= 0x80; number >>= 7) {
    result.push_back(static_cast<char>((number & 0x7f) | 0x80));
  }
  result.push_back(static_cast<char>(number));
  return result;
}

// SHA-512 of pieces, of which no copy is left behind.
class Hash {
 public:
  Hash() { crypto_hash_sha512_init(&state_); }
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;
  ~Hash() { sodium_memzero(&state_, sizeof(state_)); }

  Hash& Add(absl::string_view text) {
    crypto_hash_sha512_update(
        &state_, reinterpret_cast<const uint8_t*>(text.data()), text.size());
    return *this;
  }
  // As lv_cat would write it.
  Hash& AddWithLength(absl::string_view text) {
    return Add(Leb128(text.size())).Add(text);
  }
  void Finish(Secret<crypto_hash_sha512_BYTES>& digest) {
    crypto_hash_sha512_final(&state_, digest.data());
  }

 private:
  crypto_hash_sha512_state state_;
};

// calculate_generator: what the password is on the curve.
void Generator(const CpaceInputs& inputs, uint8_t* point) {
  const size_t before = Leb128(inputs.password.size()).size() +
                        inputs.password.size() + PrependLength(kDsi).size() + 1;
  // Zeros fill the hash's first block, so that what it does with the password
  // shows nothing of what follows.
  const std::string zeros(kHashBlockBytes - std::min(before, kHashBlockBytes),
                          0);
  Secret<crypto_hash_sha512_BYTES> hash;
  Hash()
      .AddWithLength(kDsi)
      .AddWithLength(inputs.password)
      .AddWithLength(zeros)
      .AddWithLength(inputs.channel)
      .AddWithLength(inputs.session_id)
      .Finish(hash);
  crypto_core_ristretto255_from_hash(point, hash.data());
}

}  // namespace

std::string PrependLength(absl::string_view text) {
  return Leb128(text.size()).append(text.data(), text.size());
}

std::string LvCat(absl::Span<const absl::string_view> texts) {
  std::string result;
  for (const absl::string_view text : texts) result += PrependLength(text);
  return result;
}

Cpace::Cpace(CpaceRole role, const CpaceInputs& inputs, absl::string_view data,
             Random& random)
    : role_(role), session_id_(inputs.session_id), data_(data) {
  KYUU_CHECK(sodium_init() >= 0);
  random.Fill(scalar_.span());
  scalar_.data()[31] &= kScalarTopMask;
  Secret<crypto_core_ristretto255_BYTES> generator;
  Generator(inputs, generator.data());
  // Fails for the scalar 0 alone, which no generator of random bytes gives.
  KYUU_CHECK(crypto_scalarmult_ristretto255(share_.data(), scalar_.data(),
                                            generator.data()) == 0);
}

absl::Status Cpace::HandleShare(absl::Span<const uint8_t> share,
                                absl::string_view data) {
  if (has_key_) return absl::FailedPreconditionError("a second share");
  Secret<crypto_scalarmult_ristretto255_BYTES> shared;
  // Refuses what is no encoding of a point, and a product that is neutral.
  if (share.size() != kShareBytes ||
      crypto_scalarmult_ristretto255(shared.data(), scalar_.data(),
                                     share.data()) != 0) {
    return absl::InvalidArgumentError("the share is no point of ristretto255");
  }
  std::copy(share.begin(), share.end(), peer_share_.begin());
  peer_data_ = std::string(data);
  const absl::string_view ours = AsText(share_), theirs = AsText(peer_share_);
  const bool first = role_ == CpaceRole::kInitiator;
  const std::string transcript = first
                                     ? LvCat({ours, data_, theirs, peer_data_})
                                     : LvCat({theirs, peer_data_, ours, data_});
  Hash()
      .AddWithLength(kDsiIsk)
      .AddWithLength(session_id_)
      .AddWithLength(AsText(shared.view()))
      .Add(transcript)
      .Finish(key_);
  sodium_memzero(scalar_.data(), scalar_.view().size());
  has_key_ = true;
  return absl::OkStatus();
}

Cpace::Mac Cpace::Tag() const {
  return MacOf(kMacPurpose, LvCat({AsText(share_), data_}));
}

bool Cpace::IsPeerTag(absl::Span<const uint8_t> tag) const {
  return IsMacOf(kMacPurpose, LvCat({AsText(peer_share_), peer_data_}), tag);
}

Cpace::Mac Cpace::MacOf(absl::string_view purpose,
                        absl::string_view text) const {
  KYUU_CHECK(has_key_);
  Secret<crypto_hash_sha512_BYTES> mac_key;
  Hash().Add(purpose).Add(session_id_).Add(AsText(key_.view())).Finish(mac_key);
  crypto_auth_hmacsha512_state state;
  crypto_auth_hmacsha512_init(&state, mac_key.data(), mac_key.view().size());
  crypto_auth_hmacsha512_update(
      &state, reinterpret_cast<const uint8_t*>(text.data()), text.size());
  Mac mac;
  crypto_auth_hmacsha512_final(&state, mac.data());
  sodium_memzero(&state, sizeof(state));
  return mac;
}

bool Cpace::IsMacOf(absl::string_view purpose, absl::string_view text,
                    absl::Span<const uint8_t> mac) const {
  const Mac right = MacOf(purpose, text);
  return mac.size() == right.size() &&
         sodium_memcmp(mac.data(), right.data(), right.size()) == 0;
}

}  // namespace kyuu::tools
