#include "dtls/certificate.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::dtls {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

TEST(Certificate, GeneratedOnesDiffer) {
  absl::StatusOr<Certificate> a = Certificate::Generate(kNow);
  absl::StatusOr<Certificate> b = Certificate::Generate(kNow);
  ASSERT_OK(a);
  ASSERT_OK(b);
  EXPECT_EQ(a->fingerprint().algorithm(), HashAlgorithm::kSha256);
  EXPECT_EQ(a->fingerprint().digest().size(), 32u);
  EXPECT_NE(a->fingerprint(), b->fingerprint());
}

TEST(Certificate, SurvivesPem) {
  for (const KeyType type :
       {KeyType::kEcdsaP256, KeyType::kEcdsaP384, KeyType::kEcdsaP521,
        KeyType::kEd25519, KeyType::kRsa}) {
    absl::StatusOr<Certificate> a = Certificate::Generate(kNow, type);
    ASSERT_OK(a);
    const std::string pem = a->ToPem();
    absl::StatusOr<Certificate> b = Certificate::FromPem(pem);
    ASSERT_OK(b);
    EXPECT_EQ(a->fingerprint(), b->fingerprint());
    EXPECT_EQ(b->ToPem(), pem);
  }
}

TEST(Certificate, PemMayHoldTheCertificateFirst) {
  const std::string pem = Certificate::Generate(kNow)->ToPem();
  const size_t split = pem.find("-----BEGIN CERTIFICATE");
  EXPECT_OK(Certificate::FromPem(
      absl::StrCat(pem.substr(split), pem.substr(0, split))));
}

TEST(Certificate, RefusesBrokenPem) {
  const std::string a = Certificate::Generate(kNow)->ToPem();
  const std::string b = Certificate::Generate(kNow)->ToPem();
  const size_t split = a.find("-----BEGIN CERTIFICATE");
  const struct {
    const char* name;
    std::string pem;
  } kRows[] = {
      {"empty", ""},
      {"key only", a.substr(0, split)},
      {"certificate only", a.substr(split)},
      {"a foreign key", b.substr(0, b.find("-----BEGIN C")) + a.substr(split)},
      {"huge", std::string(100'000, 'A')},
      {"encrypted",
       "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
       "-----END ENCRYPTED PRIVATE KEY-----\n"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(Certificate::FromPem(row.pem),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << row.name;
  }
}

TEST(Certificate, TruncatedPemNeverCrashes) {
  const std::string pem = Certificate::Generate(kNow)->ToPem();
  for (size_t size = 0; size + 8 < pem.size(); size += 7) {
    EXPECT_FALSE(Certificate::FromPem(pem.substr(0, size)).ok()) << size;
  }
}

TEST(Certificate, CopiesShareAndOutlive) {
  std::optional<Certificate> a = *Certificate::Generate(kNow);
  Certificate b = *a;
  const Fingerprint fingerprint = a->fingerprint();
  a = b;
  a.reset();
  EXPECT_EQ(b.fingerprint(), fingerprint);
  EXPECT_NE(b.ToPem(), "");
}

}  // namespace
}  // namespace kyuu::dtls
