#include "signaling/token/token.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "signaling/internal/json.h"
#include "signaling/token/base64url.h"

namespace kyuu::signaling {

using internal::JsonKind;
using internal::JsonLimits;
using internal::JsonObject;
using internal::JsonValue;

namespace {

// What issuers put into tokens for others may nest and have many members.
constexpr JsonLimits kHeaderLimits = {8, 32, 32};
constexpr JsonLimits kClaimsLimits = {16, 64, 64};

// The last second of the year 9999.
constexpr double kLastSecond = 253402300799;

TokenRefused Refused(TokenFault fault, absl::string_view reason) {
  return {fault, std::string(reason)};
}

// header.payload.signature, and what the first two are together.
struct Parts {
  absl::string_view header;
  absl::string_view payload;
  absl::string_view signature;
  absl::string_view signed_text;
};

std::optional<Parts> Split(absl::string_view token) {
  const size_t first = token.find('.');
  const size_t last = token.rfind('.');
  if (first == absl::string_view::npos || first == last ||
      token.find('.', first + 1) != last) {
    return std::nullopt;
  }
  return Parts{token.substr(0, first),
               token.substr(first + 1, last - first - 1),
               token.substr(last + 1), token.substr(0, last)};
}

struct Header {
  TokenAlgorithm algorithm;
  std::string key_id;
};

std::variant<Header, TokenRefused> ReadHeader(absl::string_view text) {
  const std::optional<std::string> json = FromBase64Url(text);
  if (!json) {
    return Refused(TokenFault::kMalformed, "its header is not base64url");
  }
  const auto header = JsonObject::Parse(*json, kHeaderLimits);
  if (!header.ok()) {
    return Refused(TokenFault::kMalformed,
                   absl::StrCat("its header: ", header.status().message()));
  }
  if (header->Find("crit")) {
    return Refused(TokenFault::kMalformed,
                   "it needs an extension (crit) that is not known here");
  }
  const auto alg = header->Find("alg");
  const auto algorithm =
      alg ? AlgorithmFrom(internal::JsonText(*alg).value_or("")) : std::nullopt;
  if (!algorithm) {
    return Refused(TokenFault::kMalformed,
                   "its algorithm is none of HS256, RS256, ES256 and EdDSA");
  }
  std::string key_id;
  if (const auto kid = header->Find("kid")) {
    auto id = internal::JsonText(*kid);
    if (!id) return Refused(TokenFault::kMalformed, "its kid is no text");
    key_id = *std::move(id);
  }
  return Header{*algorithm, std::move(key_id)};
}

std::optional<TokenRefused> CheckSignature(const Header& header,
                                           const Parts& parts,
                                           const KeySet& keys) {
  const std::optional<std::string> signature = FromBase64Url(parts.signature);
  if (!signature) {
    return Refused(TokenFault::kMalformed, "its signature is not base64url");
  }
  bool any = false;
  for (const TokenKey& key : keys.keys()) {
    if (key.algorithm() != header.algorithm ||
        (!key.id().empty() && key.id() != header.key_id)) {
      continue;
    }
    if (key.Verify(parts.signed_text, *signature)) return std::nullopt;
    any = true;
  }
  if (any) return Refused(TokenFault::kSignature, "its signature is wrong");
  return Refused(TokenFault::kUnknownKey,
                 "it is signed with a key that this server does not know");
}

// Claims reads members; the first that is wrong is kept.
class Claims {
 public:
  explicit Claims(const JsonObject& object) : object_(object) {}

  bool Has(absl::string_view name) const {
    return object_.Find(name).has_value();
  }
  // A text; "" if there is none.
  std::string Text(absl::string_view name) {
    const auto value = object_.Find(name);
    if (!value) return "";
    auto text = internal::JsonText(*value);
    if (!text) Fail(name, "no text");
    return text.value_or("");
  }
  // Texts, of which one alone may stand without an array (RFC 7519 section
  // 4.1.3).
  std::vector<std::string> Texts(absl::string_view name) {
    std::vector<std::string> texts;
    const auto value = object_.Find(name);
    if (!value) return texts;
    if (value->kind == JsonKind::kString) return {Text(name)};
    if (value->kind != JsonKind::kArray) Fail(name, "no list of texts");
    for (const JsonValue& element :
         internal::JsonElements(*value, kClaimsLimits.max_depth)) {
      auto text = internal::JsonText(element);
      if (!text) Fail(name, "no list of texts");
      texts.push_back(text.value_or(""));
    }
    return texts;
  }
  // Seconds of UTC, with a fraction or without (RFC 7519 section 2,
  // NumericDate).
  std::optional<absl::Time> Date(absl::string_view name) {
    const auto value = object_.Find(name);
    if (!value) return std::nullopt;
    double seconds = 0;
    if (value->kind != JsonKind::kNumber ||
        !absl::SimpleAtod(value->raw, &seconds) || !std::isfinite(seconds) ||
        seconds < 0 || seconds > kLastSecond) {
      Fail(name, "no time");
      return std::nullopt;
    }
    return absl::FromUnixSeconds(static_cast<int64_t>(seconds));
  }
  void Fail(absl::string_view name, absl::string_view why) {
    if (!wrong_) {
      wrong_ =
          Refused(TokenFault::kClaims, absl::StrCat("its ", name, " is ", why));
    }
  }
  const std::optional<TokenRefused>& wrong() const { return wrong_; }

 private:
  const JsonObject& object_;
  std::optional<TokenRefused> wrong_;
};

// Subjects stand in logs and as ids.
bool IsPrintable(absl::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

std::optional<TokenRefused> CheckTimes(Claims& claims, const TokenRules& rules,
                                       absl::Time utc, absl::Time& expires) {
  const std::optional<absl::Time> exp = claims.Date("exp");
  const std::optional<absl::Time> nbf = claims.Date("nbf");
  if (claims.wrong()) return claims.wrong();
  if (!exp) {
    return Refused(TokenFault::kClaims, "it does not say when it ends (exp)");
  }
  if (utc >= *exp + rules.leeway) {
    return Refused(TokenFault::kExpired,
                   absl::StrCat("it has expired at ",
                                absl::FormatTime(*exp, absl::UTCTimeZone())));
  }
  if (nbf && utc < *nbf - rules.leeway) {
    return Refused(TokenFault::kNotYet,
                   absl::StrCat("it is not good before ",
                                absl::FormatTime(*nbf, absl::UTCTimeZone())));
  }
  expires = *exp;
  return std::nullopt;
}

std::optional<TokenRefused> CheckParties(Claims& claims,
                                         const TokenRules& rules) {
  const std::string issuer = claims.Text("iss");
  const std::vector<std::string> audience = claims.Texts("aud");
  if (claims.wrong()) return claims.wrong();
  if (!rules.issuer.empty() && issuer != rules.issuer) {
    return Refused(TokenFault::kClaims, "it is of another issuer (iss)");
  }
  const bool named = std::find(audience.begin(), audience.end(),
                               rules.audience) != audience.end();
  if (rules.audience.empty() ? claims.Has("aud") : !named) {
    return Refused(TokenFault::kClaims, "it is for another audience (aud)");
  }
  return std::nullopt;
}

std::variant<TokenClaims, TokenRefused> ReadClaims(const JsonObject& object,
                                                   const TokenRules& rules,
                                                   absl::Time utc) {
  Claims claims(object);
  TokenClaims said;
  if (auto wrong = CheckTimes(claims, rules, utc, said.expires)) return *wrong;
  if (auto wrong = CheckParties(claims, rules)) return *wrong;
  said.subject = claims.Text("sub");
  if (said.subject.empty() || said.subject.size() > kMaxSubjectBytes ||
      !IsPrintable(said.subject)) {
    claims.Fail("sub", absl::StrCat("not of 1 to ", kMaxSubjectBytes,
                                    " printable bytes"));
  }
  said.name = claims.Text("name");
  if (claims.Has("rooms")) {
    auto rooms = RoomPatterns::Of(claims.Texts("rooms"));
    if (!rooms) claims.Fail("rooms", "too long");
    if (rooms) said.rooms = *std::move(rooms);
  }
  if (claims.wrong()) return *claims.wrong();
  return said;
}

}  // namespace

std::variant<TokenClaims, TokenRefused> VerifyToken(absl::string_view token,
                                                    const KeySet& keys,
                                                    const TokenRules& rules,
                                                    absl::Time utc) {
  if (token.size() > kMaxTokenBytes) {
    return Refused(TokenFault::kMalformed, "it is too long");
  }
  const std::optional<Parts> parts = Split(token);
  if (!parts) {
    return Refused(TokenFault::kMalformed, "it is no signed JSON Web Token");
  }
  auto header = ReadHeader(parts->header);
  if (auto* refused = std::get_if<TokenRefused>(&header)) return *refused;
  if (auto refused = CheckSignature(std::get<Header>(header), *parts, keys)) {
    return *refused;
  }
  const std::optional<std::string> json = FromBase64Url(parts->payload);
  if (!json) {
    return Refused(TokenFault::kMalformed, "its claims are not base64url");
  }
  const auto claims = JsonObject::Parse(*json, kClaimsLimits);
  if (!claims.ok()) {
    return Refused(TokenFault::kMalformed,
                   absl::StrCat("its claims: ", claims.status().message()));
  }
  return ReadClaims(*claims, rules, utc);
}

bool LooksLikeToken(absl::string_view text) { return Split(text).has_value(); }

}  // namespace kyuu::signaling
