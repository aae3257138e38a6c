// TestCertificate: a self-signed certificate and its key, in files.

#ifndef KYUU_NET_TESTING_CERTIFICATE_H_
#define KYUU_NET_TESTING_CERTIFICATE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace kyuu::net {

// TestCertificate is valid for an hour, for `name` and 127.0.0.1. Its files
// stand in the test's folder; another of the same name replaces them.
class TestCertificate {
 public:
  explicit TestCertificate(absl::string_view name = "kyuu.test");

  const std::string& certificate_file() const { return certificate_file_; }
  const std::string& key_file() const { return key_file_; }

 private:
  const std::string certificate_file_, key_file_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_TESTING_CERTIFICATE_H_
