// SHA-256 of a file that passes by in pieces.

#ifndef KYUU_TOOLS_KYUU_TRANSFER_SHA256_H_
#define KYUU_TOOLS_KYUU_TRANSFER_SHA256_H_

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"

namespace kyuu::tools {

// Sha256 takes bytes with Add and gives their digest once, with Finish.
class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    KYUU_CHECK(context_ != nullptr);
    KYUU_CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }

  // A copy goes on from the same state.
  Sha256(const Sha256& other) : Sha256() {
    KYUU_CHECK(EVP_MD_CTX_copy_ex(context_.get(), other.context_.get()) == 1);
  }
  Sha256& operator=(const Sha256& other) { return *this = Sha256(other); }
  Sha256(Sha256&&) = default;
  Sha256& operator=(Sha256&&) = default;

  void Add(absl::Span<const uint8_t> bytes) {
    KYUU_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) ==
               1);
  }

  // Finish of all that was added by now; more may be added.
  std::string Peek() const { return Sha256(*this).Finish(); }

  // 64 lower-case hexadecimal digits; nothing may follow.
  std::string Finish() {
    std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
    unsigned int size = 0;
    KYUU_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    return absl::BytesToHexString(
        AsText(absl::MakeConstSpan(digest).first(size)));
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TRANSFER_SHA256_H_
