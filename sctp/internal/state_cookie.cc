#include "sctp/internal/state_cookie.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "sctp/internal/chunk/chunk.h"

namespace kyuu::sctp::internal {
namespace {

// "kyu1": the form of the record.
constexpr uint32_t kMagic = 0x6b797531;
constexpr uint32_t kForwardTsnBit = 1;
constexpr uint32_t kReConfigBit = 2;
constexpr uint32_t kIDataBit = 4;
constexpr uint32_t kIForwardTsnBit = 8;
constexpr uint32_t kZeroChecksumBit = 16;

}  // namespace

std::array<uint8_t, StateCookie::kMacSize> CookieKey::Mac(Bytes plain) const {
  std::array<uint8_t, StateCookie::kMacSize> mac{};
  unsigned int size = 0;
  KYUU_CHECK(HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
                  plain.data(), plain.size(), mac.data(), &size) != nullptr &&
             size == mac.size());
  return mac;
}

std::array<uint8_t, StateCookie::kSize> CookieKey::Seal(
    const StateCookie& cookie) const {
  std::array<uint8_t, StateCookie::kSize> bytes{};
  Writer writer(absl::MakeSpan(bytes));
  writer.U32(kMagic);
  writer.U64(static_cast<uint64_t>(absl::ToUnixNanos(cookie.created)));
  writer.U32(cookie.local_tag);
  writer.U32(cookie.peer_tag);
  writer.U32(cookie.local_initial_tsn.value());
  writer.U32(cookie.peer_initial_tsn.value());
  writer.U32(cookie.peer_a_rwnd);
  writer.U16(cookie.peer_outbound_streams);
  writer.U16(cookie.peer_inbound_streams);
  writer.U32((cookie.peer_extensions.forward_tsn ? kForwardTsnBit : 0) |
             (cookie.peer_extensions.re_config ? kReConfigBit : 0) |
             (cookie.peer_extensions.i_data ? kIDataBit : 0) |
             (cookie.peer_extensions.i_forward_tsn ? kIForwardTsnBit : 0) |
             (cookie.peer_extensions.zero_checksum ? kZeroChecksumBit : 0));
  writer.U32(cookie.local_tie_tag);
  writer.U32(cookie.peer_tie_tag);
  KYUU_CHECK(writer.ok() && writer.size() == StateCookie::kPlainSize);
  writer.Bytes(Mac(writer.written()));
  return bytes;
}

std::optional<StateCookie> CookieKey::Open(Bytes bytes) const {
  if (bytes.size() != StateCookie::kSize) return std::nullopt;
  const std::array<uint8_t, StateCookie::kMacSize> mac =
      Mac(bytes.first(StateCookie::kPlainSize));
  if (CRYPTO_memcmp(mac.data(), bytes.data() + StateCookie::kPlainSize,
                    mac.size()) != 0) {
    return std::nullopt;
  }
  Reader reader(bytes);
  if (reader.U32() != kMagic) return std::nullopt;
  StateCookie cookie;
  cookie.created = absl::FromUnixNanos(static_cast<int64_t>(reader.U64()));
  cookie.local_tag = reader.U32();
  cookie.peer_tag = reader.U32();
  cookie.local_initial_tsn = Tsn(reader.U32());
  cookie.peer_initial_tsn = Tsn(reader.U32());
  cookie.peer_a_rwnd = reader.U32();
  cookie.peer_outbound_streams = reader.U16();
  cookie.peer_inbound_streams = reader.U16();
  const uint32_t extensions = reader.U32();
  cookie.peer_extensions.forward_tsn = (extensions & kForwardTsnBit) != 0;
  cookie.peer_extensions.re_config = (extensions & kReConfigBit) != 0;
  cookie.peer_extensions.i_data = (extensions & kIDataBit) != 0;
  cookie.peer_extensions.i_forward_tsn = (extensions & kIForwardTsnBit) != 0;
  cookie.peer_extensions.zero_checksum = (extensions & kZeroChecksumBit) != 0;
  cookie.local_tie_tag = reader.U32();
  cookie.peer_tie_tag = reader.U32();
  return cookie;
}

}  // namespace kyuu::sctp::internal
