// Two calls on one loop, with signaling by function calls.

#include "tools/kyuu/call.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/system_random.h"
#include "base/testing.h"
#include "tools/kyuu/answerer.h"

namespace kyuu::tools {
namespace {

class CallTest : public testing::Test {
 protected:
  CallTest()
      : loop_(*net::Loop::Create()),
        certificate_(*dtls::Certificate::Generate(absl::Now())),
        alarm_(*loop_,
               [this] {
                 ADD_FAILURE() << "still waiting after 30 s";
                 loop_->Stop();
               }),
        folder_(absl::StrCat(testing::TempDir(), "/call-", getpid())) {
    alarm_.Set(net::Loop::Now() + absl::Seconds(30));
    std::filesystem::create_directories(folder_ + "/in");
    Make(caller_, CallRole::kCaller, callee_, caller_events_);
    Make(callee_, CallRole::kCallee, caller_, callee_events_);
  }
  ~CallTest() override {
    caller_.reset();
    callee_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Make(std::unique_ptr<Call>& call, CallRole role,
            std::unique_ptr<Call>& other, std::vector<CallEvent>& events) {
    auto made = Call::Create(
        *loop_, certificate_, {}, random_, "someone", role,
        [this, &other, &events](CallEvent event) {
          if (auto* sdp = std::get_if<LocalDescription>(&event)) {
            // By way of the loop, as a server would.
            loop_->Post([&other, d = *sdp] {
              other->HandleDescription(d.kind, d.sdp);
            });
          } else if (auto* init = std::get_if<LocalCandidate>(&event)) {
            loop_->Post(
                [&other, c = init->candidate] { other->HandleCandidate(c); });
          } else {
            events.push_back(event);
            if (react_) react_(event, &events == &caller_events_);
          }
        });
    ASSERT_OK(made);
    call = *std::move(made);
  }
  // Runs the call; `react` gets each event, and whether it is the caller's.
  void Run(std::function<void(const CallEvent&, bool)> react) {
    react_ = std::move(react);
    ASSERT_OK(caller_->Start());
    loop_->Run();
  }
  void BreakOff(const std::string& path, uint64_t bytes);
  std::string Write(const std::string& name, size_t size) {
    std::string content(size, 0);
    random_.Fill(absl::MakeSpan(reinterpret_cast<uint8_t*>(content.data()),
                                content.size()));
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
    return folder_ + "/" + name;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::unique_ptr<net::Loop> loop_;
  SystemRandom random_;
  dtls::Certificate certificate_;
  net::Alarm alarm_;
  const std::string folder_;
  std::unique_ptr<Call> caller_, callee_;
  std::vector<CallEvent> caller_events_, callee_events_;
  std::function<void(const CallEvent&, bool)> react_;
};

TEST_F(CallTest, ChatsBothWaysAndHangsUp) {
  std::vector<std::string> heard;
  Run([&](const CallEvent& event, bool caller) {
    if (caller && std::holds_alternative<Connected>(event)) {
      EXPECT_OK(caller_->SendChat("hello"));
    } else if (auto* chat = std::get_if<ChatReceived>(&event)) {
      heard.push_back(chat->text);
      if (!caller) {
        EXPECT_OK(callee_->SendChat("hello yourself"));
      } else {
        caller_->HangUp();
      }
    } else if (auto* over = std::get_if<CallOver>(&event); over && !caller) {
      EXPECT_OK(over->status);
      loop_->Stop();
    }
  });
  EXPECT_THAT(heard, testing::ElementsAre("hello", "hello yourself"));
}

TEST_F(CallTest, AnswersPingsOnOneChannel) {
  Answerer answerer;
  std::vector<peer::ChannelId> channels;
  std::vector<std::pair<bool, size_t>> answers;  // On the first, bytes.
  Run([&](const CallEvent& event, bool caller) {
    const auto* aside = std::get_if<Aside>(&event);
    if (aside == nullptr) return;
    if (!caller) return answerer.HandleAside(*callee_, *aside);
    if (std::holds_alternative<AsideSaid>(*aside)) {
      for (int i = 0; i < 2; ++i) {
        const auto made = caller_->OpenAside({.label = kPingLabel});
        ASSERT_OK(made);
        channels.push_back(*made);
      }
    } else if (const auto* opened = std::get_if<AsideOpened>(aside)) {
      for (const size_t size : {kPingBytesMax, kPingBytesMax + 1, size_t{7}}) {
        EXPECT_OK(caller_->SendAside(opened->channel,
                                     peer::PayloadType::kBinary,
                                     std::vector<uint8_t>(size, 1)));
      }
    } else if (const auto* message = std::get_if<AsideMessage>(aside)) {
      answers.emplace_back(message->channel == channels[0],
                           message->payload.size());
      if (message->payload.size() == 7) loop_->Stop();
    }
    caller_->Flush();
  });
  EXPECT_THAT(answers, testing::ElementsAre(std::pair(true, kPingBytesMax),
                                            std::pair(true, size_t{7})));
}

// Whoever tries again later does so with the same bytes, not with a copy.
TEST_F(CallTest, WhatFindsNoRoomStaysWithItsOwner) {
  size_t sent = 0;
  Run([&](const CallEvent& event, bool caller) {
    const auto* aside = std::get_if<Aside>(&event);
    if (aside == nullptr || !caller) return;
    if (std::holds_alternative<AsideSaid>(*aside)) {
      ASSERT_OK(caller_->OpenAside({.label = kPingLabel}).status());
    } else if (const auto* opened = std::get_if<AsideOpened>(aside)) {
      std::vector<uint8_t> piece;
      const uint8_t* bytes = nullptr;
      absl::Status status;
      do {
        piece.assign(65536, 1);
        bytes = piece.data();
        status = caller_->SendAside(opened->channel, peer::PayloadType::kBinary,
                                    std::move(piece));
        ++sent;
      } while (status.ok());
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
      EXPECT_EQ(piece.data(), bytes);
      EXPECT_EQ(piece.size(), 65536u);
      loop_->Stop();
    }
    caller_->Flush();
  });
  EXPECT_GT(sent, 1u);
}

TEST_F(CallTest, APipeIsRefusedWhereNoneIs) {
  Answerer answerer;
  Run([&](const CallEvent& event, bool caller) {
    const auto* aside = std::get_if<Aside>(&event);
    if (aside == nullptr) return;
    if (!caller) return answerer.HandleAside(*callee_, *aside);
    const auto* said = std::get_if<AsideSaid>(aside);
    ASSERT_NE(said, nullptr);
    if (said->message["type"] == "hello") {
      return caller_->SayAside({{"type", "pipe-offer"}, {"window", 65536}});
    }
    EXPECT_EQ(said->message.dump(),
              R"({"reason":"unsupported","type":"pipe-reject"})");
    loop_->Stop();
  });
}

TEST_F(CallTest, ACodeIsProvenBeforeAnythingElse) {
  caller_->RequireCode(CodeRole::kSender, *Code::Parse("4821-orchard-violin"));
  callee_->RequireCode(CodeRole::kReceiver,
                       *Code::Parse("4821-orchard-violin"));
  int proven = 0;
  Run([&](const CallEvent& event, bool caller) {
    if (auto* code = std::get_if<CodeEnded>(&event)) {
      EXPECT_EQ(code->outcome, CodeOutcome::kProven);
      EXPECT_FALSE((caller ? caller_ : callee_)->connected());
      ++proven;
    } else if (caller && std::holds_alternative<Connected>(event)) {
      EXPECT_OK(caller_->SendChat("hello"));
    } else if (std::holds_alternative<ChatReceived>(event)) {
      loop_->Stop();
    }
  });
  EXPECT_EQ(proven, 2);
}

TEST_F(CallTest, WithAWrongCodeBothEndAndKnowWhy) {
  caller_->RequireCode(CodeRole::kSender, *Code::Parse("4821-orchard-violin"));
  callee_->RequireCode(CodeRole::kReceiver,
                       *Code::Parse("4821-orchard-village"));
  int over = 0;
  Run([&](const CallEvent& event, bool) {
    EXPECT_FALSE(std::holds_alternative<Connected>(event));
    if (auto* end = std::get_if<CallOver>(&event)) {
      EXPECT_THAT(end->status, StatusIs(absl::StatusCode::kPermissionDenied));
      if (++over == 2) loop_->Stop();
    }
  });
}

// The other side is gone, and does not take the last word.
TEST_F(CallTest, TheLastWordAboutACodeHasItsTime) {
  caller_->RequireCode(CodeRole::kSender, *Code::Parse("4821-orchard-violin"));
  callee_->RequireCode(CodeRole::kReceiver,
                       *Code::Parse("4821-orchard-village"));
  absl::Time wrong_at;
  Run([&](const CallEvent& event, bool caller) {
    if (!caller) return;
    if (std::holds_alternative<CodeEnded>(event)) {
      wrong_at = net::Loop::Now();
      loop_->Post([this] { callee_.reset(); });
    } else if (auto* end = std::get_if<CallOver>(&event)) {
      EXPECT_THAT(end->status, StatusIs(absl::StatusCode::kPermissionDenied));
      EXPECT_GE(net::Loop::Now() - wrong_at, Call::kLastWordMax);
      loop_->Stop();
    }
  });
}

// What it says is not heard, though its connection is as good as any.
TEST_F(CallTest, WhoKnowsOfNoCodeIsNotListenedTo) {
  caller_->RequireCode(CodeRole::kSender, *Code::Parse("4821-orchard-violin"));
  Run([&](const CallEvent& event, bool caller) {
    if (caller) {
      EXPECT_FALSE(std::holds_alternative<Connected>(event));
      EXPECT_FALSE(std::holds_alternative<ChatReceived>(event));
      EXPECT_FALSE(std::holds_alternative<FileOffered>(event));
    } else if (std::holds_alternative<Connected>(event)) {
      EXPECT_OK(callee_->SendChat("hello"));
      EXPECT_OK(callee_->OfferFiles({Write("a.bin", 10)}));
      callee_->HangUp();
    }
    if (auto* end = std::get_if<CallOver>(&event); end && caller) {
      EXPECT_THAT(end->status, StatusIs(absl::StatusCode::kUnavailable));
      loop_->Stop();
    }
  });
}

TEST_F(CallTest, BothHaveTheSameNumberToCompare) {
  int known = 0;
  Run([&](const CallEvent& event, bool) {
    if (std::holds_alternative<NumberKnown>(event) && ++known == 2) {
      loop_->Stop();
    }
  });
  ASSERT_TRUE(caller_->number());
  EXPECT_EQ(caller_->number(), callee_->number());
}

TEST_F(CallTest, SendsFilesBothWays) {
  const std::string large = Write("large.bin", 3'000'000);
  const std::string empty = Write("empty.bin", 0);
  std::vector<std::string> received;
  int finished = 0;
  Run([&](const CallEvent& event, bool caller) {
    Call& us = caller ? *caller_ : *callee_;
    if (std::holds_alternative<Connected>(event)) {
      EXPECT_OK(us.OfferFiles({caller ? large : empty}));
    } else if (auto* offer = std::get_if<FileOffered>(&event)) {
      EXPECT_OK(us.AcceptFile(offer->id, folder_ + "/in", IfExists::kRename));
    } else if (auto* file = std::get_if<FileFinished>(&event)) {
      EXPECT_OK(file->status);
      if (file->direction == FileDirection::kIn) received.push_back(file->path);
      if (++finished == 4) loop_->Stop();
    }
  });
  ASSERT_EQ(received.size(), 2u);
  EXPECT_EQ(Read(folder_ + "/in/large.bin"), Read(large));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/in/empty.bin"));
}

// Both say that they take them, and the way is loopback's.
TEST_F(CallTest, AFileGoesInLargeDatagramsWhereTheWayTakesThem) {
  constexpr size_t kBytes = 20'000'000;
  const std::string large = Write("large.bin", kBytes);
  Run([&](const CallEvent& event, bool caller) {
    if (caller && std::holds_alternative<Connected>(event)) {
      EXPECT_OK(caller_->OfferFiles({large}));
    } else if (auto* offer = std::get_if<FileOffered>(&event)) {
      EXPECT_OK(
          callee_->AcceptFile(offer->id, folder_ + "/in", IfExists::kRename));
    } else if (std::holds_alternative<FileFinished>(event) && caller) {
      loop_->Stop();
    }
  });
  EXPECT_EQ(Read(folder_ + "/in/large.bin"), Read(large));
  // Ethernet's would be more than 13 000.
  EXPECT_LT(caller_->stats().sctp.packets_sent, kBytes / 2800);
}

TEST_F(CallTest, TellsTheSenderOfARejectionAndOfAMissingFile) {
  const std::string file = Write("a.bin", 10);
  Run([&](const CallEvent& event, bool caller) {
    if (caller && std::holds_alternative<Connected>(event)) {
      EXPECT_THAT(caller_->OfferFiles({folder_ + "/absent"}),
                  StatusIs(absl::StatusCode::kNotFound));
      EXPECT_OK(caller_->OfferFiles({file}));
    } else if (auto* offer = std::get_if<FileOffered>(&event)) {
      callee_->RejectFile(offer->id, "declined");
    } else if (auto* done = std::get_if<FileFinished>(&event)) {
      EXPECT_THAT(done->status, StatusIs(absl::StatusCode::kPermissionDenied));
      loop_->Stop();
    }
  });
}

TEST_F(CallTest, MoreFilesThanTheLimitAllArriveAsOneBatch) {
  std::vector<std::string> files;
  for (size_t i = 0; i < 3 * Call::kOffersMax; ++i) {
    files.push_back(Write(absl::StrCat("n", i), i));
  }
  size_t open = 0, open_most = 0, sent = 0, received = 0;
  Run([&](const CallEvent& event, bool caller) {
    if (caller && std::holds_alternative<Connected>(event)) {
      EXPECT_OK(caller_->OfferFiles(files));
    } else if (auto* offer = std::get_if<FileOffered>(&event)) {
      ASSERT_TRUE(offer->batch.has_value());
      EXPECT_EQ(offer->batch->id, "b1");
      EXPECT_EQ(offer->batch->files, files.size());
      EXPECT_EQ(offer->batch->bytes, files.size() * (files.size() - 1) / 2);
      open_most = std::max(open_most, ++open);
      EXPECT_OK(
          callee_->AcceptFile(offer->id, folder_ + "/in", IfExists::kRename));
    } else if (auto* file = std::get_if<FileFinished>(&event)) {
      EXPECT_OK(file->status);
      if (file->direction == FileDirection::kIn) --open;
      (file->direction == FileDirection::kIn ? received : sent) += 1;
      if (sent == files.size() && received == files.size()) loop_->Stop();
    }
  });
  EXPECT_LE(open_most, Call::kOfferWindow + 1);
  for (size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ(Read(absl::StrCat(folder_, "/in/n", i)), Read(files[i]));
  }
}

TEST_F(CallTest, BusyMeansLater) {
  const std::string file = Write("a.bin", 10);
  int offers = 0;
  std::set<std::string> ids;
  Run([&](const CallEvent& event, bool caller) {
    if (caller && std::holds_alternative<Connected>(event)) {
      EXPECT_OK(caller_->OfferFiles({file}));
    } else if (auto* offer = std::get_if<FileOffered>(&event)) {
      EXPECT_TRUE(ids.insert(offer->id).second) << "an id used twice";
      if (++offers == 1) return callee_->RejectFile(offer->id, "busy");
      EXPECT_OK(
          callee_->AcceptFile(offer->id, folder_ + "/in", IfExists::kRename));
    } else if (auto* done = std::get_if<FileFinished>(&event); done && caller) {
      EXPECT_OK(done->status);
      loop_->Stop();
    }
  });
  EXPECT_EQ(offers, 2);
}

TEST_F(CallTest, ThePeerLearnsWhyAFileCannotBeStored) {
  const std::string file = Write("a.bin", 10);
  std::filesystem::create_directory(folder_ + "/in/a.bin");
  std::vector<std::string> texts;
  Run([&](const CallEvent& event, bool caller) {
    if (caller && std::holds_alternative<Connected>(event)) {
      EXPECT_OK(caller_->OfferFiles({file}));
    } else if (auto* offer = std::get_if<FileOffered>(&event)) {
      // First a folder that is not there, then something in the way.
      const bool first = texts.empty();
      EXPECT_FALSE(callee_
                       ->AcceptFile(offer->id,
                                    folder_ + (first ? "/absent" : "/in"),
                                    IfExists::kOverwrite)
                       .ok());
    } else if (auto* done = std::get_if<FileFinished>(&event); done && caller) {
      texts.emplace_back(done->status.message());
      if (texts.size() == 2) return loop_->Stop();
      EXPECT_OK(caller_->OfferFiles({file}));
    }
  });
  EXPECT_THAT(
      texts, testing::ElementsAre("the other side cannot store files",
                                  "the other side has something of that name"));
}

// The caller hangs up when the callee has `bytes` of the file.
void CallTest::BreakOff(const std::string& path, uint64_t bytes) {
  bool stopped = false;
  Run([&](const CallEvent& event, bool caller) {
    if (caller && std::holds_alternative<Connected>(event)) {
      EXPECT_OK(caller_->OfferFiles({path}));
    } else if (auto* offer = std::get_if<FileOffered>(&event)) {
      EXPECT_OK(
          callee_->AcceptFile(offer->id, folder_ + "/in", IfExists::kRename));
    } else if (auto* progress = std::get_if<FileProgress>(&event)) {
      if (!caller && progress->done > bytes && !stopped) {
        stopped = true;
        loop_->Post([this] { caller_->HangUp(); });
      }
    } else if (auto* done = std::get_if<FileFinished>(&event);
               done && !caller) {
      EXPECT_FALSE(done->status.ok());
    } else if (std::holds_alternative<CallOver>(event) && !caller) {
      loop_->Stop();
    }
  });
  EXPECT_TRUE(stopped);
}

TEST_F(CallTest, KeepsNothingOfASmallFileWhenThePeerGoes) {
  BreakOff(Write("large.bin", 50'000'000), 1'000'000);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/in/large.bin"));
}

TEST_F(CallTest, AFileGoesOnInTheNextCall) {
  const std::string large = Write("large.bin", 20'000'000);
  BreakOff(large, 5'000'000);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/in/large.bin"));
  Make(caller_, CallRole::kCaller, callee_, caller_events_);
  Make(callee_, CallRole::kCallee, caller_, callee_events_);
  uint64_t begin = 0;
  int resumed = 0, finished = 0;
  Run([&](const CallEvent& event, bool caller) {
    if (caller && std::holds_alternative<Connected>(event)) {
      EXPECT_OK(caller_->OfferFiles({large}));
    } else if (auto* offer = std::get_if<FileOffered>(&event)) {
      EXPECT_OK(
          callee_->AcceptFile(offer->id, folder_ + "/in", IfExists::kRename));
    } else if (auto* from = std::get_if<FileResumed>(&event)) {
      ++resumed;
      EXPECT_GT(from->from.begin, 5'000'000u);
      EXPECT_EQ(from->from.begin, from->from.found);
      begin = from->from.begin;
    } else if (auto* done = std::get_if<FileFinished>(&event)) {
      EXPECT_OK(done->status);
      EXPECT_EQ(done->begin, begin);
      if (++finished == 2) loop_->Stop();
    }
  });
  EXPECT_EQ(resumed, 2);
  EXPECT_TRUE(Read(folder_ + "/in/large.bin") == Read(large));
}

}  // namespace
}  // namespace kyuu::tools
