#include "net/testing/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "gtest/gtest.h"

namespace kyuu::net {
namespace {

// Writes a self-signed certificate for `dns_name` and 127.0.0.1, and its key.
void WriteCertificate(absl::string_view dns_name,
                      const std::string& certificate_file,
                      const std::string& key_file) {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("kyuu"), -1,
                             -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_EXTENSION* names = X509V3_EXT_conf_nid(
      nullptr, nullptr, NID_subject_alt_name,
      absl::StrCat("DNS:", dns_name, ",IP:127.0.0.1").c_str());
  X509_add_ext(certificate, names, -1);
  X509_EXTENSION_free(names);
  KYUU_CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
  FILE* file = fopen(certificate_file.c_str(), "w");
  PEM_write_X509(file, certificate);
  fclose(file);
  file = fopen(key_file.c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

}  // namespace

TestCertificate::TestCertificate(absl::string_view name)
    : certificate_file_(absl::StrCat(testing::TempDir(), "/", name, ".pem")),
      key_file_(absl::StrCat(testing::TempDir(), "/", name, ".key.pem")) {
  WriteCertificate(name, certificate_file_, key_file_);
}

}  // namespace kyuu::net
