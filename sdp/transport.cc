#include "sdp/transport.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "sdp/internal/scan.h"

namespace kyuu::sdp {
namespace {

using internal::IsToken;
using internal::ParseDigits;
using internal::TakeToken;
using internal::Words;

constexpr std::array<absl::string_view, 4> kSetupNames = {
    "active", "passive", "actpass", "holdconn"};

bool IsHexDigit(char c) {
  return absl::ascii_isxdigit(static_cast<unsigned char>(c));
}

bool IsBase64(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '+' ||
           c == '/' || c == '=';
  });
}

}  // namespace

std::optional<Setup> ParseSetup(absl::string_view value) {
  for (size_t i = 0; i < kSetupNames.size(); ++i) {
    if (absl::EqualsIgnoreCase(value, kSetupNames[i])) {
      return static_cast<Setup>(i);
    }
  }
  return std::nullopt;
}

absl::string_view SetupName(Setup setup) {
  return kSetupNames[static_cast<size_t>(setup)];
}

Parsed<Group> Group::Parse(absl::string_view value) {
  Words words(value, "RFC 5888 section 5");
  Group group;
  group.semantics = words.Take();
  if (!IsToken(group.semantics)) {
    return words.Wrong("group semantics must be a token");
  }
  group.mids = Pieces(
      value.substr(std::min(value.size(), group.semantics.size() + 1)), ' ');
  while (!words.done()) {
    const absl::string_view mid = words.Take();
    // A blank at the end of the line is harmless, and some write one.
    if (!IsToken(mid) && !(mid.empty() && words.done())) {
      return words.Wrong("mid must be a token");
    }
  }
  return group;
}

Parsed<IceOptions> IceOptions::Parse(absl::string_view value) {
  const char delimiter = absl::StrContains(value, ',') ? ',' : ' ';
  const IceOptions options{Pieces(value, delimiter)};
  if (options.tags.empty()) {
    return SyntaxError{"no option", "RFC 8839 section 5.6"};
  }
  return options;
}

Parsed<FingerprintText> FingerprintText::Parse(absl::string_view value) {
  Words words(value, "RFC 8122 section 5");
  FingerprintText fingerprint;
  fingerprint.hash_function = words.Take();
  if (!IsToken(fingerprint.hash_function)) {
    return words.Wrong("hash function must be a token");
  }
  fingerprint.digest = words.TakeRest();
  constexpr absl::string_view kPairs = "digest must be pairs of hex digits";
  const absl::string_view digest = fingerprint.digest;
  if (digest.size() % 3 != 2) return words.Wrong(kPairs);
  for (size_t i = 0; i < digest.size(); ++i) {
    const bool right = i % 3 == 2 ? digest[i] == ':' : IsHexDigit(digest[i]);
    if (!right) return words.Wrong(kPairs, i);
  }
  return fingerprint;
}

Parsed<Sctpmap> Sctpmap::Parse(absl::string_view value) {
  Words words(value, "draft-ietf-mmusic-sctp-sdp-05 section 6");
  Sctpmap map;
  const auto port = ParseDigits(words.Take(), 65535);
  if (!port) return words.Wrong("sctpmap port must be 0..65535");
  map.port = static_cast<uint16_t>(*port);
  map.application = words.Take();
  if (!IsToken(map.application)) {
    return words.Wrong("sctpmap application must be a token");
  }
  if (words.done() && value.back() != ' ') return map;
  const auto streams = ParseDigits(words.TakeRest(), 65535);
  if (!streams) return words.Wrong("sctpmap streams must be 0..65535");
  map.streams = static_cast<uint16_t>(*streams);
  return map;
}

std::optional<RemoteCandidates::Candidate> RemoteCandidates::TakeFirst() {
  const auto component = ParseDigits(TakeToken(list), 256);
  const absl::string_view address = TakeToken(list);
  const auto port = ParseDigits(TakeToken(list), 65535);
  if (component.value_or(0) == 0 || address.empty() || !port) {
    return std::nullopt;
  }
  return Candidate{static_cast<uint16_t>(*component), address,
                   static_cast<uint16_t>(*port)};
}

Parsed<RemoteCandidates> RemoteCandidates::Parse(absl::string_view value) {
  RemoteCandidates rest{value};
  do {
    const size_t offset = value.size() - rest.list.size();
    if (!rest.TakeFirst()) {
      return SyntaxError{"component, address and port expected",
                         "RFC 8839 section 5.2", offset};
    }
  } while (!rest.list.empty());
  return RemoteCandidates{value};
}

Parsed<Identity> Identity::Parse(absl::string_view value) {
  Words words(value, "RFC 8827 section 5");
  Identity identity;
  identity.assertion = words.Take();
  if (!IsBase64(identity.assertion)) {
    return words.Wrong("assertion must be base64");
  }
  identity.extensions = Pieces(words.TakeRest(), ' ');
  return identity;
}

}  // namespace kyuu::sdp
