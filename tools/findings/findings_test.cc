#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "net/testing/certificate.h"
#include "nlohmann/json.hpp"
#include "tools/findings/certificate.h"
#include "tools/findings/finding.h"

namespace kyuu::tools {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(FindingTest, TextHasTheFixBelowAndNothingThatATerminalObeys) {
  const std::string text =
      ToText({{Verdict::kPass, "tcp", "connected"},
              {Verdict::kFail, "websocket", "answers \x1b[31m200", "a\n  b"}});
  EXPECT_THAT(text, HasSubstr("PASS      tcp               connected\n"));
  EXPECT_THAT(text, HasSubstr("          a\n            b\n"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("1 passed, 0 warnings, 1 failures, 0 not seen"));
}

TEST(FindingTest, JsonAndStatusSayTheSame) {
  const std::vector<Finding> findings = {{Verdict::kWarn, "a", "\xff"},
                                         {Verdict::kNotSeen, "b", "c"}};
  const auto told = nlohmann::json::parse(ToJson(findings));
  EXPECT_EQ(told["warned"], 1);
  EXPECT_EQ(told["findings"][1]["verdict"], "not_seen");
  EXPECT_EQ(StatusOf(findings), 0);
  EXPECT_EQ(StatusOf({{Verdict::kFail, "a", "b"}}), kFailureFound);
}

TEST(CertificateTest, NamesAreComparedAsBrowsersDo) {
  CertificateFacts facts;
  facts.names = {"kyuu.example", "*.wild.example", "127.0.0.1"};
  for (const auto& [host, fits] :
       {std::pair("kyuu.example", true), std::pair("KYUU.example", true),
        std::pair("a.kyuu.example", false), std::pair("a.wild.example", true),
        std::pair("wild.example", false), std::pair("a.b.wild.example", false),
        std::pair(".wild.example", false), std::pair("127.0.0.1", true),
        std::pair("127.0.0.2", false), std::pair("", false)}) {
    EXPECT_EQ(IsMadeOutTo(facts, host), fits) << host;
  }
  EXPECT_EQ(JudgeName(facts, "kyuu.example").verdict, Verdict::kPass);
  EXPECT_EQ(JudgeName(facts, "other.example").verdict, Verdict::kFail);
}

TEST(CertificateTest, ExpiryIsSaidInTime) {
  const absl::Time now = absl::UnixEpoch() + absl::Hours(24 * 20'000);
  const auto at = [&](absl::Duration from, absl::Duration to) {
    const CertificateFacts facts{"CN = x", "CN = ca", {}, now + from, now + to};
    return JudgeExpiry({facts}, now).verdict;
  };
  const absl::Duration day = absl::Hours(24);
  EXPECT_EQ(at(-day, 15 * day), Verdict::kPass);
  EXPECT_EQ(at(-day, 14 * day), Verdict::kPass);
  EXPECT_EQ(at(-day, 14 * day - absl::Seconds(1)), Verdict::kWarn);
  EXPECT_EQ(at(-day, absl::ZeroDuration()), Verdict::kFail);
  EXPECT_EQ(at(day, 90 * day), Verdict::kFail);
}

TEST(CertificateTest, TheIssuerHasToFollow) {
  const CertificateFacts leaf{"CN = x", "CN = b", {}, {}, {}};
  const CertificateFacts between{"CN = b", "CN = a", {}, {}, {}};
  const CertificateFacts root{"CN = a", "CN = a", {}, {}, {}};
  EXPECT_EQ(JudgeOrder({leaf}).verdict, Verdict::kPass);
  EXPECT_EQ(JudgeOrder({leaf, between, root}).verdict, Verdict::kPass);
  EXPECT_EQ(JudgeOrder({leaf, root, between}).verdict, Verdict::kWarn);
}

TEST(CertificateTest, FilesAreRead) {
  const net::TestCertificate certificate("kyuu.example");
  const auto chain = ReadChain(certificate.certificate_file());
  ASSERT_OK(chain);
  ASSERT_EQ(chain->size(), 1u);
  EXPECT_THAT((*chain)[0].names,
              testing::ElementsAre("kyuu.example", "127.0.0.1"));
  EXPECT_EQ((*chain)[0].subject, "CN = kyuu");
  EXPECT_LT((*chain)[0].not_before, absl::Now());
  EXPECT_GT((*chain)[0].not_after, absl::Now());
  EXPECT_EQ(ReadChain(certificate.key_file()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadChain("/nowhere").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace kyuu::tools
