// What a certificate says, and what is to be said of it (RFC 5280).

#ifndef KYUU_TOOLS_FINDINGS_CERTIFICATE_H_
#define KYUU_TOOLS_FINDINGS_CERTIFICATE_H_

#include <openssl/x509.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tools/findings/finding.h"

namespace kyuu::tools {

struct CertificateFacts {
  std::string subject;  // In one line.
  std::string issuer;
  // Of the subject alternative name: DNS names and addresses in numbers.
  std::vector<std::string> names;
  absl::Time not_before;
  absl::Time not_after;
};

CertificateFacts FactsOf(X509& certificate);

// The certificates of a PEM file, in their order. NOT_FOUND if it cannot be
// read, INVALID_ARGUMENT if there is none in it.
absl::StatusOr<std::vector<CertificateFacts>> ReadChain(
    const std::string& pem_file);

// Whether the certificate is made out to `host`, a name or an address in
// numbers; "*" stands for one label (RFC 6125 section 6.4.3).
bool IsMadeOutTo(const CertificateFacts& certificate, absl::string_view host);

// Which time is left from which on it is warned of.
inline constexpr absl::Duration kExpirySoon = absl::Hours(24 * 14);

// JudgeExpiry looks at the whole chain, leaf first, JudgeOrder at whether each
// certificate is signed by the next one (RFC 8446 section 4.4.2), JudgeName at
// the leaf. None may be empty.
Finding JudgeExpiry(absl::Span<const CertificateFacts> chain, absl::Time now);
Finding JudgeOrder(absl::Span<const CertificateFacts> chain);
Finding JudgeName(const CertificateFacts& leaf, absl::string_view host);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_FINDINGS_CERTIFICATE_H_
