// TestCertificate: a self-signed certificate and its key, in files.

#ifndef KYUU_NET_TESTING_CERTIFICATE_H_
#define KYUU_NET_TESTING_CERTIFICATE_H_

#include <string>

namespace kyuu::net {

// TestCertificate is valid for an hour, for "kyuu.test" and 127.0.0.1. Its
// files stand in the test's folder.
class TestCertificate {
 public:
  TestCertificate();

  const std::string& certificate_file() const { return certificate_file_; }
  const std::string& key_file() const { return key_file_; }

 private:
  const std::string certificate_file_, key_file_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_TESTING_CERTIFICATE_H_
