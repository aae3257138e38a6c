#include "tools/kyuud/admission/settings.h"

#include <cstddef>
#include <fstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "signaling/token/signing_key.h"

namespace kyuu::tools {

using signaling::AdmissionOptions;
using signaling::TokenAlgorithm;
using signaling::TokenKey;

namespace {

constexpr size_t kFileBytesMax = 1 << 20;

absl::Status Invalid(absl::string_view flag, absl::string_view file,
                     const absl::Status& why) {
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", file, ": ", why.message()));
}

absl::Status AddKey(const TokenKeyFile& named, signaling::KeySet& keys) {
  KYUU_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(named.file));
  absl::StatusOr<TokenKey> key =
      named.algorithm == TokenAlgorithm::kHs256
          ? TokenKey::FromSecret(named.id, signaling::SecretOfFile(text))
          : TokenKey::FromPem(named.id, named.algorithm, text);
  if (!key.ok()) return key.status();
  return keys.Add(*std::move(key));
}

absl::Status AddJwks(const std::string& file, signaling::KeySet& keys) {
  KYUU_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(file));
  return keys.AddJwks(text);
}

absl::Status AddApiKeys(const std::string& file,
                        std::vector<std::string>& keys) {
  KYUU_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(file));
  const size_t before = keys.size();
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty()) keys.emplace_back(line);
  }
  return keys.size() > before ? absl::OkStatus()
                              : absl::InvalidArgumentError("no key in it");
}

}  // namespace

absl::StatusOr<TokenKeyFile> TokenKeyFile::Parse(absl::string_view text) {
  const std::vector<absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 2));
  const auto algorithm =
      parts.size() == 3 ? signaling::AlgorithmFrom(parts[1]) : std::nullopt;
  if (!algorithm || parts[2].empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text,
        "\" is not KID:ALGORITHM:FILE with one of HS256, RS256, ES256, EdDSA"));
  }
  return TokenKeyFile{std::string(parts[0]), *algorithm, std::string(parts[2])};
}

std::string TokenKeyFile::ToString() const {
  return absl::StrCat(id, ":", signaling::AlgorithmName(algorithm), ":", file);
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  // What is shorter ends by eof and fail; what cannot be read, by bad or fail
  // alone.
  if (!file.eof()) {
    return absl::NotFoundError(file.good() ? "has more than 1 MiB"
                                           : "cannot be read");
  }
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

absl::StatusOr<AdmissionOptions> LoadAdmission(
    const AdmissionSettings& settings) {
  AdmissionOptions options;
  options.anonymous = settings.anonymous;
  options.api_keys = settings.api_keys;
  options.rules.issuer = settings.issuer;
  options.rules.audience = settings.audience;
  for (const std::string& file : settings.api_key_files) {
    const absl::Status status = AddApiKeys(file, options.api_keys);
    if (!status.ok()) return Invalid("--api-key-file", file, status);
  }
  for (const TokenKeyFile& key : settings.keys) {
    const absl::Status status = AddKey(key, options.keys);
    if (!status.ok()) return Invalid("--admission-key", key.file, status);
  }
  for (const std::string& file : settings.jwks_files) {
    const absl::Status status = AddJwks(file, options.keys);
    if (!status.ok()) return Invalid("--admission-jwks", file, status);
  }
  const absl::Status valid = options.Validate();
  if (!valid.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("[admission]: ", valid.message()));
  }
  return options;
}

}  // namespace kyuu::tools
