// Tests of ICE credentials: their entropy, alphabet and limits.

#include "ice/credentials.h"

#include <string>

#include "base/random.h"
#include "base/testing.h"

namespace kyuu::ice {
namespace {

TEST(Credentials, GeneratedOnesAreValidAndLongEnough) {
  SeededRandom random(1);
  const Credentials a = Credentials::Generate(random);
  const Credentials b = Credentials::Generate(random);
  EXPECT_OK(a.Validate());
  EXPECT_NE(a, b);
  // Six bits a character: at least 24 and 128 bits (RFC 8445 section 5.3).
  EXPECT_GE(a.ufrag.size() * 6, 24u);
  EXPECT_GE(a.password.size() * 6, 128u);
}

TEST(Credentials, LengthsOfRfc8839) {
  const std::string password(22, 'p');
  EXPECT_OK((Credentials{"abcd", password}.Validate()));
  EXPECT_OK(
      (Credentials{std::string(256, '+'), std::string(256, '/')}.Validate()));
  EXPECT_FALSE((Credentials{"abc", password}.Validate().ok()));
  EXPECT_FALSE((Credentials{std::string(257, 'u'), password}.Validate().ok()));
  EXPECT_FALSE((Credentials{"abcd", std::string(21, 'p')}.Validate().ok()));
  EXPECT_FALSE((Credentials{"abcd", std::string(257, 'p')}.Validate().ok()));
}

TEST(Credentials, TakesTheCharactersThatBrowsersTake) {
  const std::string password(22, 'p');
  for (const char* ufrag : {"ab-cd_ef", "abc=", "abc#", "a+b/"}) {
    EXPECT_OK((Credentials{ufrag, password}.Validate())) << ufrag;
    EXPECT_OK((Credentials{"abcd", ufrag + password}.Validate())) << ufrag;
  }
}

TEST(Credentials, RefusesWhatWouldBreakALine) {
  const std::string password(22, 'p');
  for (const char* ufrag : {"ab\r\ncd", "ab cd", "ab:cd", "ab\tcd", "ab%cd"}) {
    EXPECT_FALSE((Credentials{ufrag, password}.Validate().ok())) << ufrag;
  }
  EXPECT_FALSE(
      (Credentials{std::string("ab\0cd", 5), password}.Validate().ok()));
}

}  // namespace
}  // namespace kyuu::ice
