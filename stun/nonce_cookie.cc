#include "stun/nonce_cookie.h"

#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace kyuu::stun {
namespace {

constexpr uint32_t kPasswordAlgorithms = 1 << 0;
constexpr uint32_t kUsernameAnonymity = 1 << 1;

// RFC 4648 section 4.
constexpr absl::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string NonceCookie(const SecurityFeatures& features) {
  const uint32_t bits =
      (features.password_algorithms ? kPasswordAlgorithms : 0) |
      (features.username_anonymity ? kUsernameAnonymity : 0);
  std::string cookie(kNonceCookiePrefix);
  for (int shift = 18; shift >= 0; shift -= 6) {
    cookie.push_back(kBase64[bits >> shift & 0x3f]);
  }
  return cookie;
}

std::optional<SecurityFeatures> ReadNonceCookie(absl::string_view nonce) {
  if (nonce.size() < kNonceCookieSize ||
      !absl::StartsWith(nonce, kNonceCookiePrefix)) {
    return std::nullopt;
  }
  uint32_t bits = 0;
  for (const char c : nonce.substr(kNonceCookiePrefix.size(), 4)) {
    const size_t value = kBase64.find(c);
    if (value == absl::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
  }
  return SecurityFeatures{
      .password_algorithms = (bits & kPasswordAlgorithms) != 0,
      .username_anonymity = (bits & kUsernameAnonymity) != 0};
}

}  // namespace kyuu::stun
