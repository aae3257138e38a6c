#include "tools/findings/certificate.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace kyuu::tools {
namespace {

struct FreeX509 {
  void operator()(X509* x) const { X509_free(x); }
};
struct FreeNames {
  void operator()(GENERAL_NAMES* x) const { GENERAL_NAMES_free(x); }
};
struct CloseFile {
  void operator()(std::FILE* file) const {
    // It was only read.
    (void)std::fclose(file);
  }
};

std::string OneLine(const X509_NAME* name) {
  std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()),
                                                &BIO_free);
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_ONELINE);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::string AddressText(const ASN1_OCTET_STRING* address) {
  char text[INET6_ADDRSTRLEN] = {};
  const int size = ASN1_STRING_length(address);
  if (size != 4 && size != 16) return "";
  inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address),
            text, sizeof text);
  return text;
}

std::string Day(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

}  // namespace

CertificateFacts FactsOf(X509& certificate) {
  CertificateFacts facts;
  facts.subject = OneLine(X509_get_subject_name(&certificate));
  facts.issuer = OneLine(X509_get_issuer_name(&certificate));
  facts.not_before = TimeOf(X509_get0_notBefore(&certificate));
  facts.not_after = TimeOf(X509_get0_notAfter(&certificate));
  const std::unique_ptr<GENERAL_NAMES, FreeNames> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(
          &certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      facts.names.emplace_back(
          reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
          static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD) {
      facts.names.push_back(AddressText(name->d.iPAddress));
    }
  }
  return facts;
}

absl::StatusOr<std::vector<CertificateFacts>> ReadChain(
    const std::string& pem_file) {
  const std::unique_ptr<std::FILE, CloseFile> file(
      std::fopen(pem_file.c_str(), "re"));
  if (file == nullptr) {
    return absl::NotFoundError(absl::StrCat(pem_file, " cannot be read"));
  }
  std::vector<CertificateFacts> chain;
  while (true) {
    const std::unique_ptr<X509, FreeX509> certificate(
        PEM_read_X509(file.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    chain.push_back(FactsOf(*certificate));
  }
  if (chain.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(pem_file, " has no certificate in PEM"));
  }
  return chain;
}

bool IsMadeOutTo(const CertificateFacts& certificate, absl::string_view host) {
  return std::any_of(certificate.names.begin(), certificate.names.end(),
                     [&](const std::string& name) {
                       if (absl::EqualsIgnoreCase(name, host)) return true;
                       const size_t dot = host.find('.');
                       return absl::StartsWith(name, "*.") && dot != 0 &&
                              dot != absl::string_view::npos &&
                              absl::EqualsIgnoreCase(name.substr(1),
                                                     host.substr(dot));
                     });
}

Finding JudgeExpiry(absl::Span<const CertificateFacts> chain, absl::Time now) {
  const CertificateFacts& first = *std::min_element(
      chain.begin(), chain.end(),
      [](const auto& a, const auto& b) { return a.not_after < b.not_after; });
  Finding finding{Verdict::kPass, "tls-expiry"};
  for (const CertificateFacts& certificate : chain) {
    if (certificate.not_before <= now) continue;
    finding.verdict = Verdict::kFail;
    finding.what =
        absl::StrCat(certificate.subject, " is not valid before ",
                     Day(certificate.not_before), ", or a clock is wrong");
    finding.fix = "timedatectl set-ntp true   # on the machine whose it is";
    return finding;
  }
  if (first.not_after <= now) {
    finding.verdict = Verdict::kFail;
    finding.what =
        absl::StrCat(first.subject, " expired on ", Day(first.not_after));
  } else {
    const int64_t days = (first.not_after - now) / absl::Hours(24);
    finding.what = absl::StrCat(first.subject, " expires on ",
                                Day(first.not_after), ", in ", days, " days");
    if (first.not_after - now >= kExpirySoon) return finding;
    finding.verdict = Verdict::kWarn;
  }
  finding.fix =
      "certbot renew   # or what else renews it; kyuud takes the new file "
      "within 10 s";
  return finding;
}

Finding JudgeOrder(absl::Span<const CertificateFacts> chain) {
  Finding finding{Verdict::kPass, "tls-order",
                  absl::StrCat(chain.size(), chain.size() == 1
                                                 ? " certificate"
                                                 : " certificates, in order")};
  for (size_t i = 1; i < chain.size(); ++i) {
    if (chain[i - 1].issuer == chain[i].subject) continue;
    finding.verdict = Verdict::kWarn;
    finding.what =
        absl::StrCat("the chain is out of order: behind ", chain[i - 1].subject,
                     " comes ", chain[i].subject, " and not its issuer, ",
                     chain[i - 1].issuer, "; some clients refuse that");
    finding.fix = "cat leaf.pem intermediate.pem > fullchain.pem";
    break;
  }
  return finding;
}

Finding JudgeName(const CertificateFacts& leaf, absl::string_view host) {
  if (IsMadeOutTo(leaf, host)) {
    return {Verdict::kPass, "tls-name",
            absl::StrCat("the certificate is made out to ", host)};
  }
  return {Verdict::kFail, "tls-name",
          absl::StrCat(
              "the certificate is made out to ",
              leaf.names.empty() ? "nobody" : absl::StrJoin(leaf.names, ", "),
              ", not to ", host),
          absl::StrCat("certbot certonly -d ", host)};
}

}  // namespace kyuu::tools
