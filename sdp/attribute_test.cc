#include "sdp/attribute.h"

#include <string>

#include "base/testing.h"
#include "ice/credentials.h"

namespace kyuu::sdp {
namespace {

TEST(AttributeTest, NamesAndTypesAreInverse) {
  int named = 0;
  for (int i = 0; i <= static_cast<int>(AttributeType::kTlsId); ++i) {
    const auto attribute = static_cast<AttributeType>(i);
    const absl::string_view name = AttributeName(attribute);
    if (name.empty()) continue;
    ++named;
    EXPECT_EQ(FindAttribute(name), attribute) << name;
    EXPECT_EQ(FindAttribute(std::string(name) + "x"), AttributeType::kUnknown);
    EXPECT_EQ(FindAttribute(name.substr(1)), AttributeType::kUnknown);
  }
  // All but kNone and kUnknown.
  EXPECT_EQ(named, static_cast<int>(AttributeType::kTlsId) - 1);
  EXPECT_EQ(FindAttribute(""), AttributeType::kUnknown);
  EXPECT_EQ(FindAttribute("MID"), AttributeType::kUnknown);
  EXPECT_EQ(FindAttribute(std::string(300, 'a')), AttributeType::kUnknown);
}

TEST(AttributeTest, SetupRoles) {
  for (const sdp::Setup setup : {sdp::Setup::kActive, sdp::Setup::kPassive,
                                 sdp::Setup::kActpass, sdp::Setup::kHoldconn}) {
    EXPECT_EQ(ParseSetup(SetupName(setup)), setup);
  }
  EXPECT_EQ(ParseSetup("Active"), Setup::kActive);
  EXPECT_EQ(ParseSetup("activ"), std::nullopt);
  EXPECT_EQ(ParseSetup(""), std::nullopt);
}

TEST(AttributeTest, SyntaxTable) {
  struct Row {
    AttributeType attribute;
    std::string value;
    bool right;
  };
  const Row rows[] = {
      {AttributeType::kIceUfrag, std::string(4, 'a'), true},
      {AttributeType::kIceUfrag, std::string(3, 'a'), false},
      {AttributeType::kIceUfrag, std::string(256, '+'), true},
      {AttributeType::kIceUfrag, std::string(257, '/'), false},
      {AttributeType::kIceUfrag, "a:bcd", false},
      {AttributeType::kIcePwd, std::string(22, 'a'), true},
      {AttributeType::kIcePwd, std::string(21, 'a'), false},
      {AttributeType::kIcePwd, std::string(257, 'a'), false},
      {AttributeType::kTlsId, std::string(20, 'a'), true},
      {AttributeType::kTlsId, std::string(19, 'a'), false},
      {AttributeType::kTlsId, std::string(256, 'a'), false},
      {AttributeType::kTlsId, std::string(20, '='), false},
      {AttributeType::kGroup, "BUNDLE", true},
      {AttributeType::kGroup, "BUNDLE 0 a1", true},
      {AttributeType::kGroup, "BUNDLE 0 ", true},
      {AttributeType::kGroup, "BUNDLE  0", false},
      {AttributeType::kGroup, "", false},
      {AttributeType::kSctpInit, "AQAA+/=", true},
      {AttributeType::kSctpInit, "", false},
      {AttributeType::kSctpInit, "AQ AA", false},
      {AttributeType::kIceOptions, "ice2,trickle", true},
      {AttributeType::kIceOptions, "", false},
      {AttributeType::kFingerprint, "md5 00", true},
      {AttributeType::kFingerprint, "sha-256", false},
      {AttributeType::kFingerprint, "sha-256 ", false},
      {AttributeType::kFingerprint, "sha-256 0", false},
      {AttributeType::kFingerprint, "sha-256 00 11", false},
      {AttributeType::kCandidate, "x 1 ssltcp 1 host.local 9 typ future a b",
       true},
      {AttributeType::kCandidate, "x 1 udp 1 1.2.3.4 9 tpy host", false},
      {AttributeType::kCandidate, "x 1 udp 1 1.2.3.4 9 typ", false},
      {AttributeType::kCandidate, "", false},
      {AttributeType::kUnknown, "anything", true},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(!CheckAttribute(row.attribute, row.value), row.right)
        << AttributeName(row.attribute) << ":" << row.value;
  }
}

// What a description may say must be what an agent takes: a credential that
// only one of them refuses leaves a connection that is "new" for ever.
TEST(AttributeTest, CredentialsAreWhatIceTakes) {
  for (int c = 0; c < 256; ++c) {
    const std::string text = std::string(22, 'p') + static_cast<char>(c);
    const bool right = (ice::Credentials{text, text}.Validate()).ok();
    EXPECT_EQ(!CheckAttribute(AttributeType::kIceUfrag, text), right) << c;
    EXPECT_EQ(!CheckAttribute(AttributeType::kIcePwd, text), right) << c;
  }
  for (size_t size = 0; size < 260; ++size) {
    const std::string text(size, 'x');
    EXPECT_EQ(!CheckAttribute(AttributeType::kIceUfrag, text),
              ice::IsUfrag(text));
    EXPECT_EQ(!CheckAttribute(AttributeType::kIcePwd, text),
              ice::IsPassword(text));
  }
}

TEST(AttributeTest, FlagsStandAloneAndOthersDoNot) {
  EXPECT_FALSE(CheckAttribute(AttributeType::kIceLite, std::nullopt));
  EXPECT_TRUE(CheckAttribute(AttributeType::kIceLite, ""));
  EXPECT_TRUE(CheckAttribute(AttributeType::kMid, std::nullopt));
}

}  // namespace
}  // namespace kyuu::sdp
