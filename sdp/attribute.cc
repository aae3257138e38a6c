#include "sdp/attribute.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "sdp/internal/scan.h"

namespace kyuu::sdp {
namespace {

using internal::IsToken;
using internal::ParseDigits;

using Error = std::optional<SyntaxError>;

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

Error CheckSimulcast(absl::string_view value) {
  const auto simulcast = Simulcast::Parse(value);
  if (!simulcast.ok() || !simulcast->draft) return simulcast.error();
  return SyntaxError{"has the form of a draft", "RFC 8853 section 5.1"};
}

using Check = Error (*)(absl::string_view value);

// The attributes whose values are types of their own, each with its reader.
template <typename... Ts>
constexpr auto ChecksOf() {
  std::array<Check, static_cast<size_t>(AttributeType::kTlsId) + 1> checks{};
  ((checks[static_cast<size_t>(Ts::kType)] =
        [](absl::string_view value) { return Ts::Parse(value).error(); }),
   ...);
  return checks;
}

constexpr auto kTypedChecks =
    ChecksOf<Extmap, FingerprintText, Fmtp, Framerate, Group, IceOptions,
             Identity, ImageAttribute, Maxptime, Msid, MsidSemantic, Ptime,
             RemoteCandidates, Rid, Rtcp, RtcpFeedback, Rtpmap, Sctpmap, Ssrc,
             SsrcGroup>();

Error CheckValue(AttributeType attribute, absl::string_view value) {
  switch (attribute) {
    case AttributeType::kCandidate:
      return CheckCandidate(value);
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
    case AttributeType::kSetup:
      if (ParseSetup(value)) return std::nullopt;
      return SyntaxError{"must be active, passive, actpass or holdconn",
                         "RFC 4145 section 4"};
    case AttributeType::kSimulcast:
      return CheckSimulcast(value);
    case AttributeType::kTlsId:
      return CheckTlsId(value);
    default: {
      const Check check = kTypedChecks[static_cast<size_t>(attribute)];
      return check == nullptr ? std::nullopt : check(value);
    }
  }
}

}  // namespace

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
