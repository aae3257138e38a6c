#include "signaling/token/key.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/token/base64url.h"
#include "signaling/token/signing_key.h"
#include "signaling/token/testing/keys.h"

namespace kyuu::signaling {
namespace {

using ::testing::HasSubstr;

// A signed text of an RFC, and the key in the form of a JWK.
struct Vector {
  const char* name;
  const char* jwk;
  const char* text;
  const char* signature;
};

constexpr char kJoe[] =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvb"
    "S9pc19yb290Ijp0cnVlfQ";

const Vector kVectors[] = {
    {"RFC 7515 A.1, HS256",
     R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH)"
     R"(75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})",
     "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
     "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
    {"RFC 7515 A.2, RS256",
     R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W2)"
     R"(6mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpR)"
     R"(PEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9)"
     R"(e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5Ihl)"
     R"(JH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuX)"
     R"(poQ","e":"AQAB"})",
     "eyJhbGciOiJSUzI1NiJ9",
     "cC4hiUPoj9Eetdgtv3hF80EGrhuB__"
     "dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-"
     "0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
     "nZLgrn"
     "byTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
     "xi12"
     "jzDwusC-"
     "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98"
     "rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
    {"RFC 7515 A.3, ES256",
     R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHv)"
     R"(RVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
     "eyJhbGciOiJFUzI1NiJ9",
     "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-"
     "F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJq"
     "PP3-Kg6NU1Q"},
    {"RFC 8037 A.4, EdDSA",
     R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaa)"
     R"(PcHURo"})",
     "eyJhbGciOiJFZERTQSJ9",
     "hgyY0il_MGCjP0JzlnLWG1PPOt7-"
     "09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVv"
     "pAr_MuM0KAg"},
};

std::string TextOf(const Vector& vector) {
  const bool is_8037 =
      absl::string_view(vector.name).find("8037") != absl::string_view::npos;
  return absl::StrCat(vector.text, ".",
                      is_8037 ? "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc" : kJoe);
}

absl::StatusOr<TokenKey> OfJwk(absl::string_view jwk) {
  KeySet set;
  const absl::Status status =
      set.AddJwks(absl::StrCat(R"({"keys":[)", jwk, "]}"));
  if (!status.ok()) return status;
  return set.keys().front();
}

TEST(TokenKeyTest, VerifiesTheVectorsOfTheRfcs) {
  for (const Vector& vector : kVectors) {
    SCOPED_TRACE(vector.name);
    const auto key = OfJwk(vector.jwk);
    ASSERT_TRUE(key.ok()) << key.status();
    const auto signature = FromBase64Url(vector.signature);
    ASSERT_TRUE(signature.has_value());
    EXPECT_TRUE(key->Verify(TextOf(vector), *signature));
    EXPECT_FALSE(key->Verify(TextOf(vector) + "x", *signature));
  }
}

TEST(TokenKeyTest, EveryTruncatedLongerOrFlippedSignatureIsWrong) {
  for (const Vector& vector : kVectors) {
    SCOPED_TRACE(vector.name);
    const auto key = OfJwk(vector.jwk);
    ASSERT_TRUE(key.ok());
    const std::string good = *FromBase64Url(vector.signature);
    for (size_t size = 0; size < good.size(); ++size) {
      EXPECT_FALSE(key->Verify(TextOf(vector), good.substr(0, size))) << size;
    }
    EXPECT_FALSE(key->Verify(TextOf(vector), good + std::string(1, '\0')));
    EXPECT_FALSE(key->Verify(TextOf(vector), std::string(1, '\0') + good));
    for (size_t i = 0; i < good.size(); ++i) {
      std::string flipped = good;
      flipped[i] = static_cast<char>(flipped[i] ^ 1);
      EXPECT_FALSE(key->Verify(TextOf(vector), flipped)) << i;
    }
    EXPECT_FALSE(key->Verify(TextOf(vector), std::string(good.size(), '\0')));
    EXPECT_FALSE(key->Verify(TextOf(vector), std::string(good.size(), '\xff')));
  }
}

TEST(TokenKeyTest, ADerSignatureOfEcdsaIsNoneHere) {
  // What OpenSSL makes and verifies itself: some 70 bytes instead of 64.
  const auto key = OfJwk(kVectors[2].jwk);
  ASSERT_TRUE(key.ok());
  EXPECT_FALSE(key->Verify(
      "text", std::string("\x30\x44\x02\x20", 4) + std::string(66, '\x01')));
}

TEST(TokenKeyTest, ReadsPublicKeysInPem) {
  struct Row {
    const char* name;
    const char* pem;
    TokenAlgorithm algorithm;
  };
  for (const Row& row :
       {Row{"RSA", testing::kRsaPublic, TokenAlgorithm::kRs256},
        Row{"P-256", testing::kP256Public, TokenAlgorithm::kEs256},
        Row{"Ed25519", testing::kEd25519Public, TokenAlgorithm::kEdDsa}}) {
    SCOPED_TRACE(row.name);
    const auto key = TokenKey::FromPem("one", row.algorithm, row.pem);
    ASSERT_TRUE(key.ok()) << key.status();
    EXPECT_EQ(key->id(), "one");
    EXPECT_EQ(key->algorithm(), row.algorithm);
    for (const TokenAlgorithm other :
         {TokenAlgorithm::kHs256, TokenAlgorithm::kRs256,
          TokenAlgorithm::kEs256, TokenAlgorithm::kEdDsa}) {
      EXPECT_EQ(TokenKey::FromPem("", other, row.pem).ok(),
                other == row.algorithm);
    }
  }
}

TEST(TokenKeyTest, RefusesKeysThatAreWeakPrivateOrOfOtherKinds) {
  const auto refused = [](TokenAlgorithm algorithm, absl::string_view pem) {
    return std::string(
        TokenKey::FromPem("", algorithm, pem).status().message());
  };
  EXPECT_THAT(refused(TokenAlgorithm::kRs256, testing::kWeakRsaPublic),
              HasSubstr("2048"));
  EXPECT_THAT(refused(TokenAlgorithm::kEs256, testing::kP384Public),
              HasSubstr("P-256"));
  EXPECT_THAT(refused(TokenAlgorithm::kRs256, testing::kRsaPrivate),
              HasSubstr("private"));
  EXPECT_THAT(refused(TokenAlgorithm::kRs256, "no key"), HasSubstr("PEM"));
}

TEST(TokenKeyTest, APublicKeyOrAShortTextIsNoSecret) {
  EXPECT_TRUE(TokenKey::FromSecret("", testing::kSecret).ok());
  EXPECT_THAT(
      std::string(
          TokenKey::FromSecret("", std::string(31, 'x')).status().message()),
      HasSubstr("32 bytes"));
  EXPECT_THAT(
      std::string(
          TokenKey::FromSecret("", testing::kRsaPublic).status().message()),
      HasSubstr("no secret"));
}

TEST(TokenKeyTest, VerifiesWhatASigningKeySigns) {
  for (const char* text : {testing::kSecret, testing::kRsaPrivate,
                           testing::kP256Private, testing::kEd25519Private}) {
    const auto signer = SigningKey::FromText(text);
    ASSERT_TRUE(signer.ok()) << signer.status();
    const auto key = signer->VerifyingKey("id");
    ASSERT_TRUE(key.ok()) << key.status();
    EXPECT_EQ(key->algorithm(), signer->algorithm());
    const auto signature = signer->Sign("text");
    ASSERT_TRUE(signature.ok());
    EXPECT_TRUE(key->Verify("text", *signature));
    EXPECT_FALSE(key->Verify("texT", *signature));
  }
  EXPECT_FALSE(SigningKey::FromText(testing::kWeakRsaPrivate).ok());
  EXPECT_FALSE(SigningKey::FromText(testing::kP384Private).ok());
  EXPECT_FALSE(SigningKey::FromText(testing::kRsaPublic).ok());
}

TEST(KeySetTest, SkipsKeysForOthersAndRefusesASetWithoutOurs) {
  const std::string ours = kVectors[3].jwk;
  const auto with = [&](absl::string_view more) {
    return absl::StrReplaceAll(ours,
                               {{R"("kty")", absl::StrCat(more, R"("kty")")}});
  };
  const std::string others[] = {
      R"({"kty":"OKP","crv":"X25519","x":"AA"})",
      R"({"kty":"EC","crv":"P-384","x":"AA","y":"AA"})",
      R"({"kty":"later"})",
      "{}",
      with(R"("use":"enc",)"),
      with(R"("alg":"RS512",)"),
  };
  for (const std::string& other : others) {
    SCOPED_TRACE(other);
    KeySet set;
    EXPECT_FALSE(set.AddJwks(absl::StrCat(R"({"keys":[)", other, "]}")).ok());
    EXPECT_TRUE(
        set.AddJwks(absl::StrCat(R"({"keys":[)", other, ",",
                                 with(R"("kid":"b","use":"sig",)"), "]}"))
            .ok());
    ASSERT_EQ(set.keys().size(), 1u);
    EXPECT_EQ(set.keys().front().id(), "b");
  }
}

TEST(KeySetTest, RefusesBrokenKeys) {
  const char* const kBroken[] = {
      "",
      "{}",
      "[]",
      R"({"keys":{}})",
      R"({"keys":[]})",
      R"({"keys":["text"]})",
      R"({"keys":[{"kty":"oct","k":"c2hvcnQ"}]})",
      R"({"keys":[{"kty":"oct"}]})",
      R"({"keys":[{"kty":"RSA","n":"","e":"AQAB"}]})",
      R"({"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]})",
      R"({"keys":[{"kty":"RSA","n":"AQAB"}]})",
      R"({"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]})",
      // Not on the curve.
      (R"({"keys":[{"kty":"EC","crv":"P-256",)"
       R"("x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
       R"("y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}]})"),
      R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]})",
      // A name twice: two readers would read different keys.
      (R"({"keys":[{"kty":"OKP","kty":"OKP","crv":"Ed25519",)"
       R"("x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})"),
  };
  for (const char* json : kBroken) {
    SCOPED_TRACE(json);
    KeySet set;
    EXPECT_FALSE(set.AddJwks(json).ok());
    EXPECT_TRUE(set.empty());
  }
}

TEST(KeySetTest, HoldsABoundedNumberOfKeysAndEachIdOnce) {
  KeySet set;
  for (size_t i = 0; i < KeySet::kMaxKeys; ++i) {
    const std::string id = i == 0 ? "" : absl::StrCat(i);
    ASSERT_TRUE(set.Add(*TokenKey::FromSecret(id, testing::kSecret)).ok());
  }
  EXPECT_EQ(set.Add(*TokenKey::FromSecret("new", testing::kSecret)).code(),
            absl::StatusCode::kResourceExhausted);
  KeySet twice;
  ASSERT_TRUE(twice.Add(*TokenKey::FromSecret("a", testing::kSecret)).ok());
  EXPECT_EQ(twice.Add(*TokenKey::FromSecret("a", testing::kSecret)).code(),
            absl::StatusCode::kAlreadyExists);
  // As another kind of key it is no twin: the algorithm tells them apart.
  EXPECT_TRUE(twice
                  .Add(*TokenKey::FromPem("a", TokenAlgorithm::kEs256,
                                          testing::kP256Public))
                  .ok());
}

TEST(Base64UrlTest, HasOneTextForEachStringOfBytes) {
  EXPECT_EQ(FromBase64Url(""), "");
  EXPECT_EQ(FromBase64Url("-_8"), "\xfb\xff");
  EXPECT_EQ(ToBase64Url("\xfb\xff"), "-_8");
  for (const char* bad : {"-_8=", "+/8", "-_9", "-", "-_8-_", " -_8", "-_8\n",
                          "====", "-_ 8", "\xc3\xbc"}) {
    EXPECT_EQ(FromBase64Url(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace kyuu::signaling
