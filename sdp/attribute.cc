#include "sdp/attribute.h"

#include <algorithm>
#include <array>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "sdp/internal/scan.h"

namespace kyuu::sdp {
namespace {

using internal::IsToken;
using internal::ParseDigits;
using internal::TakeToken;

using Error = std::optional<SyntaxError>;

struct NameOf {
  AttributeType attribute;
  absl::string_view name;
};

// Sorted by the length of the name, which FindAttribute decides on first.
constexpr std::array<NameOf, 25> kNames = {{
    {AttributeType::kMid, "mid"},
    {AttributeType::kGroup, "group"},
    {AttributeType::kSetup, "setup"},
    {AttributeType::kCrypto, "crypto"},
    {AttributeType::kTlsId, "tls-id"},
    {AttributeType::kIcePwd, "ice-pwd"},
    {AttributeType::kSctpmap, "sctpmap"},
    {AttributeType::kIceLite, "ice-lite"},
    {AttributeType::kInactive, "inactive"},
    {AttributeType::kRecvonly, "recvonly"},
    {AttributeType::kRtcpMux, "rtcp-mux"},
    {AttributeType::kSendonly, "sendonly"},
    {AttributeType::kSendrecv, "sendrecv"},
    {AttributeType::kCandidate, "candidate"},
    {AttributeType::kIceUfrag, "ice-ufrag"},
    {AttributeType::kSctpInit, "sctp-init"},
    {AttributeType::kSctpPort, "sctp-port"},
    {AttributeType::kIcePacing, "ice-pacing"},
    {AttributeType::kBundleOnly, "bundle-only"},
    {AttributeType::kFingerprint, "fingerprint"},
    {AttributeType::kIceOptions, "ice-options"},
    {AttributeType::kMsidSemantic, "msid-semantic"},
    {AttributeType::kMaxMessageSize, "max-message-size"},
    {AttributeType::kEndOfCandidates, "end-of-candidates"},
    {AttributeType::kExtmapAllowMixed, "extmap-allow-mixed"},
}};

constexpr size_t kNameSizeMax = 18;

// kFirstOfSize[n] is the index in kNames of the first name of n characters or
// more.
constexpr std::array<uint8_t, kNameSizeMax + 2> kFirstOfSize = [] {
  std::array<uint8_t, kNameSizeMax + 2> first{};
  for (size_t size = 0; size < first.size(); ++size) {
    uint8_t index = 0;
    while (index < kNames.size() && kNames[index].name.size() < size) ++index;
    first[size] = index;
  }
  return first;
}();

constexpr std::array<absl::string_view, 4> kSetupNames = {
    "active", "passive", "actpass", "holdconn"};

Error Range(absl::string_view value, uint64_t max, absl::string_view message,
            absl::string_view rule) {
  if (ParseDigits(value, max)) return std::nullopt;
  return SyntaxError{message, rule};
}

// ice decides whether a credential is one; this only says where it is wrong.
Error CheckCredential(absl::string_view value, bool right,
                      absl::string_view sizes) {
  constexpr absl::string_view kRule = "RFC 8839 section 5.4";
  if (right) return std::nullopt;
  const auto* wrong =
      std::find_if_not(value.begin(), value.end(), ice::IsIceChar);
  if (wrong == value.end()) return SyntaxError{sizes, kRule};
  return SyntaxError{"not an ice-char", kRule,
                     static_cast<size_t>(wrong - value.begin())};
}

// ice reads candidates; it says no place within the line.
Error CheckCandidate(absl::string_view value) {
  const absl::Status status = ice::Candidate::Parse(value).status();
  if (status.ok() || absl::IsUnimplemented(status)) return std::nullopt;
  return SyntaxError{"not a candidate", "RFC 8839 section 5.1"};
}

// fingerprint:<hash-func> <hex pair>*(":" <hex pair>)
Error CheckFingerprint(absl::string_view value) {
  constexpr absl::string_view kRule = "RFC 8122 section 5";
  absl::string_view digest = value;
  if (!IsToken(TakeToken(digest))) {
    return SyntaxError{"hash function must be a token", kRule};
  }
  const size_t offset = value.size() - digest.size();
  if (digest.size() % 3 != 2) {
    return SyntaxError{"digest must be pairs of hex digits", kRule, offset};
  }
  for (size_t i = 0; i < digest.size(); ++i) {
    const bool ok =
        i % 3 == 2
            ? digest[i] == ':'
            : absl::ascii_isxdigit(static_cast<unsigned char>(digest[i]));
    if (!ok) {
      return SyntaxError{"digest must be pairs of hex digits", kRule,
                         offset + i};
    }
  }
  return std::nullopt;
}

Error CheckTlsId(absl::string_view value) {
  constexpr absl::string_view kRule = "RFC 8842 section 4";
  if (value.size() < 20 || value.size() > 255) {
    return SyntaxError{"tls-id must have 20..255 characters", kRule};
  }
  for (size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '+' &&
        c != '/' && c != '-' && c != '_') {
      return SyntaxError{"not a tls-id-char", kRule, i};
    }
  }
  return std::nullopt;
}

// sctpmap:<port> <application> [<streams>]
Error CheckSctpmap(absl::string_view value) {
  constexpr absl::string_view kRule = "draft-ietf-mmusic-sctp-sdp-05 section 6";
  absl::string_view rest = value;
  if (!ParseDigits(TakeToken(rest), 65535)) {
    return SyntaxError{"sctpmap port must be 0..65535", kRule};
  }
  if (!IsToken(TakeToken(rest))) {
    return SyntaxError{"sctpmap application must be a token", kRule};
  }
  const size_t offset = value.size() - rest.size();
  const bool has_streams = !rest.empty() || value.back() == ' ';
  if (has_streams && !ParseDigits(rest, 65535)) {
    return SyntaxError{"sctpmap streams must be 0..65535", kRule, offset};
  }
  return std::nullopt;
}

Error CheckSctpInit(absl::string_view value) {
  constexpr absl::string_view kRule = "draft-hancke-tsvwg-snap section 4";
  for (size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '+' &&
        c != '/' && c != '=') {
      return SyntaxError{"sctp-init must be base64", kRule, i};
    }
  }
  if (value.empty()) return SyntaxError{"sctp-init is empty", kRule};
  return std::nullopt;
}

Error CheckGroup(absl::string_view value) {
  constexpr absl::string_view kRule = "RFC 5888 section 5";
  absl::string_view rest = value;
  if (!IsToken(TakeToken(rest))) {
    return SyntaxError{"group semantics must be a token", kRule};
  }
  while (!rest.empty()) {
    const size_t offset = value.size() - rest.size();
    const absl::string_view mid = TakeToken(rest);
    // A blank at the end of the line is harmless, and some write one.
    if (!IsToken(mid) && !(mid.empty() && rest.empty())) {
      return SyntaxError{"mid must be a token", kRule, offset};
    }
  }
  return std::nullopt;
}

Error CheckValue(AttributeType attribute, absl::string_view value) {
  switch (attribute) {
    case AttributeType::kCandidate:
      return CheckCandidate(value);
    case AttributeType::kFingerprint:
      return CheckFingerprint(value);
    case AttributeType::kGroup:
      return CheckGroup(value);
    case AttributeType::kIceOptions:
      if (!value.empty()) return std::nullopt;
      return SyntaxError{"no option", "RFC 8839 section 5.6"};
    case AttributeType::kIcePacing:
      return Range(value, 0xffffffff, "pacing must be milliseconds",
                   "RFC 8839 section 5.7");
    case AttributeType::kIcePwd:
      return CheckCredential(value, ice::IsPassword(value),
                             "password must have 22..256 characters");
    case AttributeType::kIceUfrag:
      return CheckCredential(value, ice::IsUfrag(value),
                             "ufrag must have 4..256 characters");
    case AttributeType::kMaxMessageSize:
      return Range(value, UINT64_MAX, "size must be 0..2^64-1",
                   "RFC 8841 section 6");
    case AttributeType::kMid:
      if (IsToken(value)) return std::nullopt;
      return SyntaxError{"mid must be a token", "RFC 5888 section 4"};
    case AttributeType::kSctpInit:
      return CheckSctpInit(value);
    case AttributeType::kSctpPort:
      return Range(value, 65535, "port must be 0..65535", "RFC 8841 section 5");
    case AttributeType::kSctpmap:
      return CheckSctpmap(value);
    case AttributeType::kSetup:
      if (ParseSetup(value)) return std::nullopt;
      return SyntaxError{"must be active, passive, actpass or holdconn",
                         "RFC 4145 section 4"};
    case AttributeType::kTlsId:
      return CheckTlsId(value);
    default:
      return std::nullopt;
  }
}

// Property attributes (RFC 8866 section 5.13) stand alone.
bool IsFlag(AttributeType attribute) {
  switch (attribute) {
    case AttributeType::kBundleOnly:
    case AttributeType::kEndOfCandidates:
    case AttributeType::kExtmapAllowMixed:
    case AttributeType::kIceLite:
    case AttributeType::kInactive:
    case AttributeType::kRecvonly:
    case AttributeType::kRtcpMux:
    case AttributeType::kSendonly:
    case AttributeType::kSendrecv:
      return true;
    default:
      return false;
  }
}

}  // namespace

AttributeType FindAttribute(absl::string_view name) {
  if (name.size() > kNameSizeMax) return AttributeType::kUnknown;
  const size_t end = kFirstOfSize[name.size() + 1];
  for (size_t i = kFirstOfSize[name.size()]; i < end; ++i) {
    if (kNames[i].name == name) return kNames[i].attribute;
  }
  return AttributeType::kUnknown;
}

absl::string_view AttributeName(AttributeType attribute) {
  for (const NameOf& entry : kNames) {
    if (entry.attribute == attribute) return entry.name;
  }
  return {};
}

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

std::optional<SyntaxError> CheckAttribute(
    AttributeType attribute, std::optional<absl::string_view> value) {
  if (attribute == AttributeType::kNone ||
      attribute == AttributeType::kUnknown) {
    return std::nullopt;
  }
  const bool flag = IsFlag(attribute);
  if (flag && value) {
    return SyntaxError{"takes no value", "RFC 8866 section 5.13"};
  }
  if (!flag && !value) {
    return SyntaxError{"needs a value", "RFC 8866 section 5.13"};
  }
  return flag ? std::nullopt : CheckValue(attribute, *value);
}

}  // namespace kyuu::sdp
