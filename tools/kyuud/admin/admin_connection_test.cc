#include "tools/kyuud/admin/admin_connection.h"

#include <array>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Verb = AdminCommand::Verb;

class AdminConnectionTest : public testing::Test {
 protected:
  void Open(const AdminConnectionOptions& options = {}) {
    connection_.emplace(options, now_);
  }
  void Hear(absl::string_view text) {
    connection_->HandlePacket(now_, AsBytes(text));
  }
  // The events that there are, as text.
  std::vector<std::string> Events() {
    std::vector<std::string> texts;
    while (const auto event = connection_->PollEvent()) {
      if (const auto* asked = std::get_if<AdminConnection::Asked>(&*event)) {
        texts.push_back(asked->command.ToString());
      } else if (const auto* closed =
                     std::get_if<AdminConnection::Closed>(&*event)) {
        texts.push_back(absl::StrCat(
            "closed ", absl::StatusCodeToString(closed->status.code())));
      } else {
        texts.push_back("room");
      }
    }
    return texts;
  }
  std::string Said(size_t max = 1 << 20) {
    std::string text;
    std::array<uint8_t, 100> buffer;
    while (text.size() < max) {
      const auto bytes =
          connection_->PollTransmit(now_, absl::MakeSpan(buffer));
      if (!bytes) break;
      text.append(bytes->begin(), bytes->end());
    }
    return text;
  }

  absl::Time now_ = absl::UnixEpoch();
  std::optional<AdminConnection> connection_;
};

TEST(AdminCommand, TextAndMeaningAreTheSame) {
  const std::pair<std::string, AdminCommand> kRows[] = {
      {"sessions", {Verb::kSessions, "", 0}},
      {"sessions ann", {Verb::kSessions, "ann", 0}},
      {"sessions a b", {Verb::kSessions, "a b", 0}},
      {"end 0123456789abcdef", {Verb::kEnd, "", 0x0123456789abcdef}},
      {"end-user 17:ann\\\\", {Verb::kEndUser, "17:ann\\", 0}},
      {"end-user \\xff\\n", {Verb::kEndUser, "\xff\n", 0}},
      {"reload", {Verb::kReload, "", 0}},
      {"drain", {Verb::kDrain, "", 0}},
      {"status", {Verb::kStatus, "", 0}}};
  for (const auto& [line, command] : kRows) {
    const auto parsed = AdminCommand::Parse(line);
    ASSERT_TRUE(parsed.ok()) << line;
    EXPECT_EQ(*parsed, command) << line;
    EXPECT_EQ(parsed->ToString(), line);
  }
  for (const char* line :
       {"", " status", "Status", "status ", "status x", "end", "end ", "end 1",
        "end 0123456789ABCDEF", "end 0123456789abcdef0", "end-user",
        "end-user ", "sessions ", "end-user \\q", "drain 10"}) {
    EXPECT_FALSE(AdminCommand::Parse(line).ok()) << line;
  }
}

TEST_F(AdminConnectionTest, CommandsAreAnsweredOneByOne) {
  Open();
  EXPECT_TRUE(connection_->wants_input());
  Hear("stat");
  EXPECT_THAT(Events(), IsEmpty());
  Hear("us\nreload\r\n\nsessions");
  EXPECT_THAT(Events(), ElementsAre("status"));
  EXPECT_FALSE(connection_->wants_input());
  connection_->Finish(now_, "{1}");
  EXPECT_THAT(Events(), ElementsAre("reload"));
  connection_->Say("{2}");
  connection_->Finish(now_, "{3}");
  EXPECT_THAT(Events(), IsEmpty());
  EXPECT_EQ(Said(), "{1}\n{2}\n{3}\n");
  // Whoever ends behind it has not written its end.
  connection_->HandleStreamEnd(now_, absl::OkStatus());
  EXPECT_THAT(Events(), ElementsAre("sessions"));
  EXPECT_FALSE(connection_->finished());
  connection_->Finish(now_, "{4}");
  EXPECT_THAT(Events(), ElementsAre("closed OK"));
  EXPECT_FALSE(connection_->finished());
  EXPECT_EQ(Said(), "{4}\n");
  EXPECT_TRUE(connection_->finished());
  EXPECT_FALSE(connection_->abandoned());
}

TEST_F(AdminConnectionTest, WhatIsWrongIsToldAndChangesNothing) {
  Open();
  Hear("sesions\nend x\xff\nstatus\n");
  EXPECT_THAT(Events(), ElementsAre("status"));
  connection_->Finish(now_, "{}");
  const std::string said = Said();
  EXPECT_THAT(said, HasSubstr("{\"error\":\"there is no command \\\"sesions"));
  EXPECT_THAT(said, HasSubstr("x\\ufffd"));
  EXPECT_THAT(said, HasSubstr("\"ok\":false}\n{"));
  EXPECT_EQ(said.substr(said.size() - 3), "{}\n");
  // And an answer to nothing is none.
  connection_->Say("{5}");
  EXPECT_EQ(Said(), "");
}

TEST_F(AdminConnectionTest, ALongAnswerWaitsForItsReader) {
  Open({.queued_bytes_max = 1000});
  Hear("sessions\n");
  EXPECT_THAT(Events(), ElementsAre("sessions"));
  size_t lines = 0;
  std::string said;
  for (int page = 0; page < 20; ++page) {
    for (int i = 0; i < 30; ++i, ++lines) {
      connection_->Say(std::string(49, 'x'));
    }
    connection_->AskForRoom();
    std::vector<std::string> events = Events();
    while (events.empty()) {
      EXPECT_GT(connection_->held_bytes(), 1000u);
      said += Said(100);
      events = Events();
    }
    EXPECT_THAT(events, ElementsAre("room"));
    EXPECT_LE(connection_->held_bytes(), 1000u);
  }
  connection_->Finish(now_, "end");
  said += Said();
  EXPECT_EQ(said.size(), lines * 50 + 4);
  EXPECT_EQ(connection_->held_bytes(), 0u);
}

// Whoever asks and never reads costs some answers, not all that he can ask for.
TEST_F(AdminConnectionTest, WhoDoesNotReadIsNotHeard) {
  Open({.queued_bytes_max = 1000});
  for (int i = 0; i < 100 && connection_->wants_input(); ++i) {
    Hear("nonsense\nnonsense\n");
    EXPECT_THAT(Events(), IsEmpty());
  }
  EXPECT_FALSE(connection_->wants_input());
  EXPECT_LE(connection_->held_bytes(), 1200u);
  Hear("status\n");
  EXPECT_THAT(Events(), IsEmpty());
  connection_->HandleStreamEnd(now_, absl::OkStatus());
  EXPECT_THAT(Events(), IsEmpty());
  Said();
  EXPECT_THAT(Events(), ElementsAre("status"));
}

TEST_F(AdminConnectionTest, LinesAreBounded) {
  Open({.line_bytes_max = 20});
  Hear(absl::StrCat("sessions ", std::string(11, 'x'), "\n"));
  EXPECT_THAT(Events(), ElementsAre("sessions xxxxxxxxxxx"));
  connection_->Finish(now_, "");
  Hear(std::string(20, 'y'));
  EXPECT_THAT(Events(), IsEmpty());
  Hear("y");
  EXPECT_THAT(Events(), ElementsAre("closed RESOURCE_EXHAUSTED"));
  EXPECT_TRUE(connection_->abandoned());
  EXPECT_EQ(connection_->held_bytes(), 0u);
  Hear("status\n");
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(AdminConnectionTest, SilenceEndsItButNotALongAnswer) {
  Open({.idle_timeout = absl::Seconds(10)});
  now_ += absl::Seconds(9);
  Hear("status\n");
  EXPECT_THAT(Events(), ElementsAre("status"));
  EXPECT_EQ(connection_->NextTimeout(), absl::InfiniteFuture());
  now_ += absl::Minutes(5);
  connection_->Finish(now_, "{}");
  EXPECT_EQ(connection_->NextTimeout(), now_ + absl::Seconds(10));
  now_ += absl::Seconds(10);
  connection_->HandleTimeout(now_);
  EXPECT_THAT(Events(), ElementsAre("closed DEADLINE_EXCEEDED"));
  EXPECT_TRUE(connection_->abandoned());
}

TEST_F(AdminConnectionTest, AFailedStreamEndsIt) {
  Open();
  Hear("sessions\n");
  EXPECT_THAT(Events(), ElementsAre("sessions"));
  connection_->Say("{}");
  connection_->HandleStreamEnd(now_, absl::DataLossError("reset"));
  connection_->Say("{}");
  connection_->AskForRoom();
  EXPECT_THAT(Events(), ElementsAre("closed DATA_LOSS"));
  EXPECT_TRUE(connection_->finished());
  EXPECT_EQ(connection_->held_bytes(), 0u);
}

}  // namespace
}  // namespace kyuu::tools
