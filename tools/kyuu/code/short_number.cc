#include "tools/kyuu/code/short_number.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/bytes.h"
#include "tools/kyuu/code/hex_field.h"
#include "tools/kyuu/transfer/sha256.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

constexpr absl::string_view kProtocol = "kyuu.verify.v1";
constexpr size_t kHashBytes = 32;
// The first six bytes of the hash, modulo a million: no number is likelier than
// another by more than one in 2^28.
constexpr size_t kNumberBytes = 6;
constexpr uint64_t kNumbers = 1'000'000;

// As bytes.
std::string HashOf(absl::string_view text) {
  Sha256 hash;
  hash.Add(AsBytes(text));
  return absl::HexStringToBytes(hash.Finish());
}

json Verify(const char* key, absl::string_view bytes) {
  return {{"type", "verify"}, {key, absl::BytesToHexString(bytes)}};
}

}  // namespace

ShortNumber::ShortNumber(NumberRole role, const dtls::Fingerprint& own,
                         const dtls::Fingerprint& peer, Random& random)
    : role_(role), low_(own), high_(peer) {
  if (AsText(high_.digest()) < AsText(low_.digest())) std::swap(low_, high_);
  random.Fill(absl::MakeSpan(nonce_));
  if (role_ == NumberRole::kCaller) {
    message_ = Verify("commit", HashOf(AsText(nonce_)));
  }
}

void ShortNumber::HandleMessage(const json& message) {
  if (done_) return;
  const std::string own(AsText(nonce_));
  const auto nonce = HexField(message, "nonce", kNonceBytes);
  if (role_ == NumberRole::kCaller) {
    if (!nonce) return;
    message_ = Verify("nonce", own);
    MakeNumber(own, *nonce);
  } else if (!commitment_) {
    commitment_ = HexField(message, "commit", kHashBytes);
    if (commitment_) message_ = Verify("nonce", own);
  } else if (nonce) {
    done_ = true;
    if (HashOf(*nonce) == *commitment_) MakeNumber(*nonce, own);
  }
}

std::optional<json> ShortNumber::PollMessage() {
  return std::exchange(message_, std::nullopt);
}

void ShortNumber::MakeNumber(const std::string& caller,
                             const std::string& callee) {
  done_ = true;
  const std::string hash =
      HashOf(absl::StrCat(kProtocol, AsText(low_.digest()),
                          AsText(high_.digest()), caller, callee));
  Reader reader(AsBytes(hash).first(kNumberBytes));
  const uint64_t number = reader.U48() % kNumbers;
  number_ = absl::StrFormat("%03d %03d", number / 1000, number % 1000);
}

}  // namespace kyuu::tools
