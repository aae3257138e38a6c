#include "tools/kyuud/certificates.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "net/testing/certificate.h"
#include "net/testing/loop.h"

namespace kyuu::tools {
namespace {

class CertificatesTest : public testing::Test {
 protected:
  void Copy(const std::string& from, const std::string& to) {
    std::ofstream(absl::StrCat(to, ".new"), std::ios::binary)
        << std::ifstream(from, std::ios::binary).rdbuf();
    ASSERT_EQ(std::rename(absl::StrCat(to, ".new").c_str(), to.c_str()), 0);
  }

  net::TestLoop loop_;
  const net::TestCertificate first_{"first.test"}, second_{"second.test"};
  const std::string folder_ = testing::TempDir();
  const std::string certificate_ = absl::StrCat(folder_, "/in_use.pem");
  const std::string key_ = absl::StrCat(folder_, "/in_use.key.pem");
  int changes_ = 0;
};

TEST_F(CertificatesTest, AreReadAnewOnceBothFilesFit) {
  Copy(first_.certificate_file(), certificate_);
  Copy(first_.key_file(), key_);
  Certificates certificates(*loop_, {{{certificate_, key_}}, {}},
                            [&](const ServerIdentity&) { ++changes_; });
  ASSERT_OK(certificates.Load());
  certificates.Check();
  EXPECT_EQ(changes_, 0);
  // The new certificate stands there before its key does.
  Copy(second_.certificate_file(), certificate_);
  certificates.Check();
  certificates.Check();
  EXPECT_EQ(changes_, 0);
  Copy(second_.key_file(), key_);
  certificates.Check();
  EXPECT_EQ(changes_, 1);
  certificates.Check();
  EXPECT_EQ(changes_, 1);
}

TEST_F(CertificatesTest, FilesThatAreGoneChangeNothing) {
  Copy(first_.certificate_file(), certificate_);
  Copy(first_.key_file(), key_);
  Certificates certificates(*loop_, {{{certificate_, key_}}, {}},
                            [&](const ServerIdentity&) { ++changes_; });
  ASSERT_OK(certificates.Load());
  ASSERT_EQ(std::remove(key_.c_str()), 0);
  certificates.Check();
  EXPECT_EQ(changes_, 0);
  // The same pair again is in new files: it is loaded again.
  Copy(first_.key_file(), key_);
  certificates.Check();
  EXPECT_EQ(changes_, 1);
}

}  // namespace
}  // namespace kyuu::tools
