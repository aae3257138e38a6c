#include "signaling/token/token.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "signaling/token/base64url.h"
#include "signaling/token/signing_key.h"
#include "signaling/token/testing/keys.h"

namespace kyuu::signaling {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
constexpr char kHeader[] = R"({"alg":"HS256","typ":"JWT"})";

SigningKey Signer(absl::string_view text = testing::kSecret) {
  return *SigningKey::FromText(text);
}

KeySet Keys(const std::vector<TokenKey>& keys) {
  KeySet set;
  for (const TokenKey& key : keys) EXPECT_TRUE(set.Add(key).ok());
  return set;
}
KeySet Keys() { return Keys({*Signer().VerifyingKey("")}); }

// A token of these claims, and all that makes them good.
std::string Token(absl::string_view more, absl::string_view header = kHeader) {
  return *Signer().SignToken(
      header, absl::StrCat(R"({"sub":"ada","exp":1800000100)", more, "}"));
}

// What is wrong with it, or "good".
std::string Verdict(absl::string_view token, const KeySet& keys = Keys(),
                    const TokenRules& rules = {}, absl::Time utc = kNow) {
  const auto verdict = VerifyToken(token, keys, rules, utc);
  if (std::holds_alternative<TokenClaims>(verdict)) return "good";
  const TokenRefused& refused = std::get<TokenRefused>(verdict);
  EXPECT_FALSE(refused.reason.empty());
  switch (refused.fault) {
    case TokenFault::kMalformed:
      return "malformed";
    case TokenFault::kUnknownKey:
      return "unknown key";
    case TokenFault::kSignature:
      return "signature";
    case TokenFault::kExpired:
      return "expired";
    case TokenFault::kNotYet:
      return "not yet";
    case TokenFault::kClaims:
      return "claims";
  }
  return "?";
}

TEST(TokenTest, SaysWhoComesAndWhatHeMay) {
  const auto verdict = VerifyToken(
      Token(R"(,"name":"Ada","rooms":["team-*"],"admin":{"x":[1]})"), Keys(),
      {}, kNow);
  const auto* claims = std::get_if<TokenClaims>(&verdict);
  ASSERT_NE(claims, nullptr);
  EXPECT_EQ(claims->subject, "ada");
  EXPECT_EQ(claims->name, "Ada");
  EXPECT_TRUE(claims->rooms.AllowsRoom("team-a"));
  EXPECT_FALSE(claims->rooms.AllowsRoom("lobby"));
  EXPECT_EQ(claims->expires, kNow + absl::Seconds(100));
}

TEST(TokenTest, IsGoodFromEveryKindOfKey) {
  for (const char* text : {testing::kSecret, testing::kRsaPrivate,
                           testing::kP256Private, testing::kEd25519Private}) {
    const SigningKey signer = Signer(text);
    NewToken token;
    token.subject = "ada \"\\ \xc3\xbc";
    token.issued = kNow;
    token.expires = kNow + absl::Hours(1);
    const auto made = signer.MakeToken("2026", token);
    ASSERT_TRUE(made.ok());
    const KeySet keys = Keys({*signer.VerifyingKey("2026")});
    EXPECT_EQ(Verdict(*made, keys), "good");
    const auto verdict = VerifyToken(*made, keys, {}, kNow);
    EXPECT_EQ(std::get<TokenClaims>(verdict).subject, token.subject);
    EXPECT_TRUE(std::get<TokenClaims>(verdict).rooms.allows_all());
    // Each truncation, and each letter another one.
    for (size_t i = 0; i < made->size(); ++i) {
      EXPECT_NE(Verdict(made->substr(0, i), keys), "good") << i;
      std::string changed = *made;
      changed[i] = changed[i] == 'A' ? 'B' : 'A';
      EXPECT_NE(Verdict(changed, keys), "good") << i;
    }
  }
}

TEST(TokenTest, TheAlgorithmIsTheKeysAndNeverTheTokens) {
  // A public key as a secret: whoever has it could sign by it.
  const KeySet rsa = Keys(
      {*TokenKey::FromPem("", TokenAlgorithm::kRs256, testing::kRsaPublic)});
  const std::string claims = R"({"sub":"ada","exp":1800000100})";
  EXPECT_EQ(Verdict(*Signer().SignToken(kHeader, claims), rsa), "unknown key");
  EXPECT_EQ(Verdict(*Signer().SignToken(R"({"alg":"RS256"})", claims), rsa),
            "signature");
  // A secret's token that says it were of another kind.
  EXPECT_EQ(Verdict(Token("", R"({"alg":"ES256"})")), "unknown key");
  for (const char* alg : {"none", "None", "NONE", "", "hs256", "HS512", "PS256",
                          "ES384", "dir"}) {
    const std::string header = absl::StrCat(R"({"alg":")", alg, R"("})");
    EXPECT_EQ(Verdict(Token("", header)), "malformed") << alg;
    EXPECT_EQ(Verdict(absl::StrCat(ToBase64Url(header), ".",
                                   ToBase64Url(claims), ".")),
              "malformed")
        << alg;
  }
  EXPECT_EQ(Verdict(Token("", R"({"typ":"JWT"})")), "malformed");
  EXPECT_EQ(Verdict(Token("", R"({"alg":["HS256"]})")), "malformed");
}

TEST(TokenTest, NamesItsKey) {
  const SigningKey other = Signer("another secret of thirty-two bytes");
  const KeySet rotating =
      Keys({*Signer().VerifyingKey("new"), *other.VerifyingKey("old")});
  const auto of = [&](absl::string_view kid) {
    return Token("", absl::StrCat(R"({"alg":"HS256","kid":)", kid, "}"));
  };
  EXPECT_EQ(Verdict(of(R"("new")"), rotating), "good");
  EXPECT_EQ(Verdict(of(R"("old")"), rotating), "signature");
  EXPECT_EQ(Verdict(of(R"("older")"), rotating), "unknown key");
  EXPECT_EQ(Verdict(of(R"("")"), rotating), "unknown key");
  EXPECT_EQ(Verdict(of("7"), rotating), "malformed");
  EXPECT_EQ(Verdict(of("null"), rotating), "malformed");
  EXPECT_EQ(Verdict(Token(""), rotating), "unknown key");
  // A key without an id is tried for all.
  EXPECT_EQ(Verdict(of(R"("new")"), Keys()), "good");
  EXPECT_EQ(Verdict(of(R"("new")"), KeySet()), "unknown key");
}

TEST(TokenTest, HasItsTimeWithALeeway) {
  const auto at = [](int64_t seconds, absl::string_view token) {
    return Verdict(token, Keys(), {}, absl::FromUnixSeconds(seconds));
  };
  const std::string token = Token(R"(,"nbf":1800000000)");
  EXPECT_EQ(at(1'800'000'159, token), "good");
  EXPECT_EQ(at(1'800'000'160, token), "expired");
  EXPECT_EQ(at(1'799'999'940, token), "good");
  EXPECT_EQ(at(1'799'999'939, token), "not yet");
  const auto with = [](absl::string_view exp) {
    return *Signer().SignToken(
        kHeader, absl::StrCat(R"({"sub":"ada","exp":)", exp, "}"));
  };
  EXPECT_EQ(Verdict(with("1800000100.75")), "good");
  EXPECT_EQ(Verdict(with("1.8000001e9")), "good");
  for (const char* bad :
       {"1e400", "-1", "99999999999999999999999999", "253402300800", "null",
        "\"1800000100\"", "true", "[]", "{}", "-1e308"}) {
    EXPECT_EQ(Verdict(with(bad)), "claims") << bad;
  }
  EXPECT_EQ(Verdict(*Signer().SignToken(kHeader, R"({"sub":"ada"})")),
            "claims");
  EXPECT_EQ(Verdict(Token(R"(,"nbf":"soon")")), "claims");
  EXPECT_EQ(Verdict(Token(R"(,"nbf":1e999)")), "claims");
}

TEST(TokenTest, IsOfTheIssuerAndForTheAudienceThatAreAskedFor) {
  const TokenRules rules = {"https://id.example", "kyuu"};
  const std::string iss = R"(,"iss":"https://id.example")";
  EXPECT_EQ(Verdict(Token(iss + R"(,"aud":"kyuu")"), Keys(), rules), "good");
  EXPECT_EQ(Verdict(Token(iss + R"(,"aud":["x","kyuu"])"), Keys(), rules),
            "good");
  EXPECT_EQ(Verdict(Token(iss + R"(,"aud":["x"])"), Keys(), rules), "claims");
  EXPECT_EQ(Verdict(Token(iss + R"(,"aud":[])"), Keys(), rules), "claims");
  EXPECT_EQ(Verdict(Token(iss + R"(,"aud":{"kyuu":1})"), Keys(), rules),
            "claims");
  EXPECT_EQ(Verdict(Token(iss), Keys(), rules), "claims");
  EXPECT_EQ(Verdict(Token(R"(,"aud":"kyuu")"), Keys(), rules), "claims");
  EXPECT_EQ(Verdict(Token(R"(,"iss":"https://id.example/","aud":"kyuu")"),
                    Keys(), rules),
            "claims");
  // Who asks for no audience is none (RFC 7519 section 4.1.3).
  EXPECT_EQ(Verdict(Token(R"(,"aud":"kyuu")")), "claims");
  EXPECT_EQ(Verdict(Token(R"(,"aud":"")")), "claims");
  EXPECT_EQ(Verdict(Token(R"(,"iss":7)")), "claims");
}

TEST(TokenTest, HasAUserWithAPrintableName) {
  const auto of = [](absl::string_view sub) {
    return Verdict(*Signer().SignToken(
        kHeader, absl::StrCat(R"({"exp":1800000100,"sub":)", sub, "}")));
  };
  EXPECT_EQ(of(R"("a")"), "good");
  EXPECT_EQ(of(absl::StrCat("\"", std::string(128, 'a'), "\"")), "good");
  EXPECT_EQ(of(absl::StrCat("\"", std::string(129, 'a'), "\"")), "claims");
  EXPECT_EQ(of(R"("")"), "claims");
  EXPECT_EQ(of("7"), "claims");
  EXPECT_EQ(of("null"), "claims");
  EXPECT_EQ(of(R"("a\nb")"), "claims");
  EXPECT_EQ(of(R"("a\u007f")"), "claims");
  EXPECT_EQ(Verdict(Token(R"(,"name":7)")), "claims");
  EXPECT_EQ(Verdict(Token(R"(,"rooms":7)")), "claims");
  EXPECT_EQ(Verdict(Token(R"(,"rooms":["a",7])")), "claims");
  EXPECT_EQ(Verdict(Token(
                absl::StrCat(R"(,"rooms":[")", std::string(257, 'a'), "\"]"))),
            "claims");
}

TEST(TokenTest, HostileFormsAreRefused) {
  const std::string good = Token("");
  const std::vector<std::string> parts = absl::StrSplit(good, '.');
  ASSERT_EQ(Verdict(good), "good");
  const auto join = [](absl::string_view a, absl::string_view b,
                       absl::string_view c) {
    return absl::StrCat(a, ".", b, ".", c);
  };
  const auto resigned = [&](absl::string_view a, absl::string_view b) {
    const std::string text = absl::StrCat(a, ".", b);
    return absl::StrCat(text, ".", ToBase64Url(*Signer().Sign(text)));
  };
  ASSERT_EQ(Verdict(resigned(parts[0], parts[1])), "good");
  const std::string forms[] = {
      "",
      ".",
      "..",
      "...",
      "a.b.c.d.e",  // An encrypted one has five parts (RFC 7516).
      good + ".",
      good + "=",
      " " + good,
      good + "\n",
      join(parts[0] + "=", parts[1], parts[2]),
      resigned(parts[0], parts[1] + "=="),
      resigned(parts[0] + "=", parts[1]),
      join("", parts[1], parts[2]),
      join(ToBase64Url("[]"), parts[1], parts[2]),
      join(ToBase64Url("{\"alg\":\"HS256\",\"alg\":\"none\"}"), parts[1],
           parts[2]),
      join(ToBase64Url("\xff\xfe"), parts[1], parts[2]),
      join(ToBase64Url(absl::StrCat(R"({"alg":"HS256","x":)",
                                    std::string(20, '['), std::string(20, ']'),
                                    "}")),
           parts[1], parts[2]),
      Token("", R"({"alg":"HS256","crit":["exp"],"exp":1})"),
      Token("", R"({"alg":"HS256","crit":["b64"],"b64":false})"),
      Token("", R"({"alg":"HS256","crit":[]})"),
      Token("", R"({"alg":"HS256","crit":null})"),
      // Signed well, and read by two readers as two users.
      Token(R"(,"sub":"eve")"),
      Token(R"(,"\u0073ub":"eve")"),
      Token(
          absl::StrCat(R"(,"x":)", std::string(17, '['), std::string(17, ']'))),
      Token(R"(,"x":"\ud800")"),
      *Signer().SignToken(kHeader, "7"),
      *Signer().SignToken(kHeader, ""),
      std::string(kMaxTokenBytes + 1, 'a'),
  };
  for (const std::string& form : forms) {
    EXPECT_EQ(Verdict(form), "malformed") << form.substr(0, 80);
  }
  EXPECT_EQ(Verdict(join(parts[0], parts[1], "")), "signature");
}

TEST(TokenTest, HasAtMost8KiB) {
  // A byte of the claims more is a byte or two of base64 more.
  const std::string fits =
      Token(absl::StrCat(R"(,"x":")", std::string(6'000, 'x'), "\""));
  EXPECT_LE(fits.size(), kMaxTokenBytes);
  EXPECT_EQ(Verdict(fits), "good");
  const std::string over =
      Token(absl::StrCat(R"(,"x":")", std::string(6'100, 'x'), "\""));
  EXPECT_GT(over.size(), kMaxTokenBytes);
  EXPECT_EQ(Verdict(over), "malformed");
}

TEST(TokenTest, KeysInAHeaderAreNoKeys) {
  // A token that brings its own key, or says where one is, is of nobody.
  const SigningKey eve = Signer("the secret of eve, as long as it is");
  EXPECT_EQ(
      Verdict(*eve.SignToken(
          R"({"alg":"HS256","jwk":{"kty":"oct","k":"dGhlIHNlY3JldCBvZiBldmU"},)"
          R"("jku":"https://eve.example/keys"})",
          R"({"sub":"ada","exp":1800000100})")),
      "signature");
}

TEST(TokenTest, LooksLikeOneByItsThreeParts) {
  EXPECT_TRUE(LooksLikeToken("a.b.c"));
  EXPECT_FALSE(LooksLikeToken("a.b"));
  EXPECT_FALSE(LooksLikeToken("a.b.c.d"));
  EXPECT_FALSE(LooksLikeToken("x9k2jq0d"));
}

}  // namespace
}  // namespace kyuu::signaling
