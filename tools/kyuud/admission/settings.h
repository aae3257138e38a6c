// What kyuud is told about who may come, and the files that it names.

#ifndef KYUU_TOOLS_KYUUD_ADMISSION_SETTINGS_H_
#define KYUU_TOOLS_KYUUD_ADMISSION_SETTINGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "signaling/token/admission.h"
#include "signaling/token/key.h"

namespace kyuu::tools {

// A key that tokens are verified with: "KID:ALGORITHM:FILE", with nothing in
// the place of KID for one without an id.
struct TokenKeyFile {
  std::string id;
  signaling::TokenAlgorithm algorithm = signaling::TokenAlgorithm::kHs256;
  std::string file;

  // INVALID_ARGUMENT if it is not of that form.
  static absl::StatusOr<TokenKeyFile> Parse(absl::string_view text);
  std::string ToString() const;

  friend bool operator==(const TokenKeyFile&, const TokenKeyFile&) = default;
};

struct AdmissionSettings {
  signaling::AdmissionOptions::Anonymous anonymous =
      signaling::AdmissionOptions::Anonymous::kAllow;
  std::vector<std::string> api_keys;
  std::vector<std::string> api_key_files;  // Each line of them is a key.
  std::vector<TokenKeyFile> keys;
  std::vector<std::string> jwks_files;
  std::string issuer;
  std::string audience;

  friend bool operator==(const AdmissionSettings&,
                         const AdmissionSettings&) = default;
};

// LoadAdmission reads the files that `settings` name as they are now.
// INVALID_ARGUMENT with the flag, the file and what is wrong with it, or what
// the settings mean together.
absl::StatusOr<signaling::AdmissionOptions> LoadAdmission(
    const AdmissionSettings& settings);

// The content of a file of at most 1 MiB; NOT_FOUND if it cannot be read.
absl::StatusOr<std::string> ReadSmallFile(const std::string& name);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_ADMISSION_SETTINGS_H_
