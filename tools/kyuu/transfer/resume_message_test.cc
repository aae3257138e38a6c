#include "tools/kyuu/transfer/resume_message.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

const std::string kA(64, 'a');
const std::string kB(64, 'b');

TEST(ResumeMessage, CarriesTheVersionOfAFile) {
  const FileVersion version{"source_1", "version-2"};
  EXPECT_EQ(ReadFileVersion({{"resume", ToJson(version)}}), version);
}

TEST(ResumeMessage, TakesNoVersionAgainstTheRules) {
  for (const char* resume :
       {"null", "[]", "{}", R"({"source":"a"})", R"({"version":"a"})",
        R"({"source":1,"version":"a"})", R"({"source":"","version":"a"})",
        R"({"source":"a/b","version":"a"})",
        R"({"source":"a","version":"a\n"})"}) {
    EXPECT_EQ(ReadFileVersion({{"resume", json::parse(resume)}}), std::nullopt)
        << resume;
  }
  EXPECT_EQ(ReadFileVersion(json::object()), std::nullopt);
  const json exact{{"source", std::string(64, 'x')}, {"version", "v"}};
  EXPECT_TRUE(ReadFileVersion({{"resume", exact}}).has_value());
  const json longer{{"source", std::string(65, 'x')}, {"version", "v"}};
  EXPECT_FALSE(ReadFileVersion({{"resume", longer}}).has_value());
}

TEST(ResumeMessage, CarriesCheckpoints) {
  const std::vector<Checkpoint> checkpoints{{4, kA}, {8, kB}};
  const json accept{{"resume", ToJson(checkpoints)}};
  EXPECT_EQ(ReadCheckpoints(accept, 8), checkpoints);
  EXPECT_EQ(ReadCheckpoints({{"resume", json::array()}}, 8),
            std::vector<Checkpoint>());
  // Whoever does not know of this is sent no "start".
  EXPECT_EQ(ReadCheckpoints(json::object(), 8), std::nullopt);
}

TEST(ResumeMessage, CheckpointsAgainstTheRulesAreNone) {
  const std::string good = absl::StrCat("[4,\"", kA, "\"]");
  for (const std::string& list : std::vector<std::string>{
           "{}", "null", "4", "[4]", "[[]]", "[[4]]",
           absl::StrCat("[[4,\"", kA, "\",1]]"),
           absl::StrCat("[[0,\"", kA, "\"]]"),
           absl::StrCat("[[-4,\"", kA, "\"]]"),
           absl::StrCat("[[4.5,\"", kA, "\"]]"),
           absl::StrCat("[[9,\"", kA, "\"]]"),  // Behind the end.
           absl::StrCat("[[18446744073709551615,\"", kA, "\"]]"),
           absl::StrCat("[[4,\"", std::string(64, 'A'), "\"]]"),
           absl::StrCat("[[4,\"", std::string(63, 'a'), "\"]]"),
           absl::StrCat("[", good, ",", good, "]"),  // Not ascending.
       }) {
    EXPECT_EQ(ReadCheckpoints({{"resume", json::parse(list)}}, 8),
              std::vector<Checkpoint>())
        << list;
  }
}

TEST(ResumeMessage, TakesNoMoreCheckpointsThanTheLimit) {
  std::vector<Checkpoint> checkpoints;
  for (uint64_t i = 1; i <= kCheckpointsMax; ++i)
    checkpoints.push_back({i, kA});
  EXPECT_EQ(ReadCheckpoints({{"resume", ToJson(checkpoints)}}, 100),
            checkpoints);
  checkpoints.push_back({kCheckpointsMax + 1, kA});
  EXPECT_EQ(ReadCheckpoints({{"resume", ToJson(checkpoints)}}, 100),
            std::vector<Checkpoint>());
}

TEST(ResumeMessage, PlansCheckpoints) {
  EXPECT_THAT(PlanCheckpoints(0, 10), testing::IsEmpty());
  EXPECT_THAT(PlanCheckpoints(7, 10), testing::ElementsAre(7));
  EXPECT_THAT(PlanCheckpoints(10, 10), testing::ElementsAre(10));
  EXPECT_THAT(PlanCheckpoints(35, 10), testing::ElementsAre(10, 20, 30, 35));
}

// However much there is: few, ascending, at ends of chunks, and the last ones.
TEST(ResumeMessage, PlansFitOneMessage) {
  for (uint64_t chunks = 1; chunks < 20000; chunks += chunks / 10 + 1) {
    for (const uint64_t rest : {0, 1, 9}) {
      const uint64_t have = 10 * chunks + rest;
      const std::vector<uint64_t> plan = PlanCheckpoints(have, 10);
      ASSERT_LE(plan.size(), kCheckpointsMax) << have;
      ASSERT_EQ(plan.back(), have);
      for (size_t i = 0; i + 1 < plan.size(); ++i) {
        ASSERT_LT(plan[i], plan[i + 1]) << have;
        ASSERT_EQ(plan[i] % 10, 0u) << have;
      }
      ASSERT_THAT(plan, testing::Contains(10 * chunks));
    }
  }
  std::vector<Checkpoint> longest;
  for (uint64_t i = 0; i < kCheckpointsMax; ++i) {
    longest.push_back({kFileBytesMax - kCheckpointsMax + i, kA});
  }
  EXPECT_LT(ToJson(longest).dump().size(), 16384u - 200u);
}

TEST(ResumeMessage, CarriesTheStart) {
  EXPECT_EQ(*ReadStart(StartMessage(0)), 0u);
  EXPECT_EQ(*ReadStart(StartMessage(kFileBytesMax)), kFileBytesMax);
  for (const char* message :
       {"", "{", "[]", R"({"type":"start"})", R"({"type":"end","offset":1})",
        R"({"type":"start","offset":-1})", R"({"type":"start","offset":1.5})",
        R"({"type":"start","offset":9007199254740992})",
        R"({"type":"start","offset":"1"})"}) {
    EXPECT_THAT(ReadStart(message),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << message;
  }
}

}  // namespace
}  // namespace kyuu::tools
