#include "dtls/fingerprint.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace kyuu::dtls {

namespace {

constexpr HashAlgorithm kAlgorithms[] = {
    HashAlgorithm::kSha256, HashAlgorithm::kSha384, HashAlgorithm::kSha512};

// The value of a hex digit, or -1.
int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  if (lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return -1;
}

}  // namespace

absl::string_view HashName(HashAlgorithm algorithm) {
  switch (algorithm) {
    case HashAlgorithm::kSha256:
      return "sha-256";
    case HashAlgorithm::kSha384:
      return "sha-384";
    case HashAlgorithm::kSha512:
      return "sha-512";
  }
  return "";
}

size_t HashSize(HashAlgorithm algorithm) {
  switch (algorithm) {
    case HashAlgorithm::kSha256:
      return 32;
    case HashAlgorithm::kSha384:
      return 48;
    case HashAlgorithm::kSha512:
      return 64;
  }
  return 0;
}

std::optional<Fingerprint> Fingerprint::FromDigest(
    HashAlgorithm algorithm, absl::Span<const uint8_t> digest) {
  if (digest.size() != HashSize(algorithm)) return std::nullopt;
  Fingerprint result;
  result.algorithm_ = algorithm;
  result.size_ = static_cast<uint8_t>(digest.size());
  std::copy(digest.begin(), digest.end(), result.digest_.begin());
  return result;
}

absl::StatusOr<Fingerprint> Fingerprint::Parse(absl::string_view text) {
  const size_t space = text.find(' ');
  if (space == 0 || space == absl::string_view::npos) {
    return absl::InvalidArgumentError("fingerprint: no hash function");
  }
  const absl::string_view name = text.substr(0, space);
  const absl::string_view hex = text.substr(space + 1);
  const HashAlgorithm* algorithm = std::find_if(
      std::begin(kAlgorithms), std::end(kAlgorithms), [&](HashAlgorithm a) {
        return absl::EqualsIgnoreCase(name, HashName(a));
      });
  if (algorithm == std::end(kAlgorithms)) {
    return absl::UnimplementedError("fingerprint: hash function not accepted");
  }
  // "AB:CD": two digits and a colon for each byte but the last.
  const size_t size = HashSize(*algorithm);
  if (hex.size() != size * 3 - 1) {
    return absl::InvalidArgumentError("fingerprint: wrong length");
  }
  std::array<uint8_t, 64> digest;
  for (size_t i = 0; i < size; ++i) {
    const int high = HexValue(hex[i * 3]);
    const int low = HexValue(hex[i * 3 + 1]);
    if (high < 0 || low < 0 || (i + 1 < size && hex[i * 3 + 2] != ':')) {
      return absl::InvalidArgumentError("fingerprint: not pairs of hex digits");
    }
    digest[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return *FromDigest(*algorithm, absl::MakeConstSpan(digest).first(size));
}

std::string Fingerprint::ToString() const {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text = absl::StrCat(HashName(algorithm_), " ");
  for (size_t i = 0; i < size_; ++i) {
    if (i > 0) text.push_back(':');
    text.push_back(kDigits[digest_[i] >> 4]);
    text.push_back(kDigits[digest_[i] & 15]);
  }
  return text;
}

absl::Span<const uint8_t> Fingerprint::digest() const {
  return absl::MakeConstSpan(digest_).first(size_);
}

std::optional<HashAlgorithm> StrongestHash(
    absl::Span<const Fingerprint> fingerprints) {
  std::optional<HashAlgorithm> strongest;
  for (const Fingerprint& f : fingerprints) {
    if (!strongest || f.algorithm() > *strongest) strongest = f.algorithm();
  }
  return strongest;
}

}  // namespace kyuu::dtls
