// Two sides, and who comes between them, in simulated time.

#include "tools/kyuu/code/code_exchange.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::Optional;

const absl::Time kBegin = absl::UnixEpoch() + absl::Hours(1);

dtls::Fingerprint Of(uint8_t byte) {
  return *dtls::Fingerprint::FromDigest(dtls::HashAlgorithm::kSha256,
                                        std::vector<uint8_t>(32, byte));
}

// The sender's certificate is 1, the receiver's 2.
const CodeChannel kSenderSees{Of(1), Of(2)};
const CodeChannel kReceiverSees{Of(2), Of(1)};

struct Two {
  explicit Two(absl::string_view sent = "4821-orchard-violin",
               absl::string_view typed = "4821-orchard-violin",
               CodeChannel sender_sees = kSenderSees,
               CodeChannel receiver_sees = kReceiverSees)
      : random(1),
        sender(kBegin, CodeRole::kSender, *Code::Parse(sent), sender_sees,
               random),
        receiver(kBegin, CodeRole::kReceiver, *Code::Parse(typed),
                 receiver_sees, random) {}

  // Passes messages on until there are none; `said` gets their types.
  void Run() {
    for (bool more = true; more;) {
      more = false;
      if (auto m = sender.PollMessage()) {
        said.push_back((*m)["type"]);
        receiver.HandleMessage(*m);
        more = true;
      }
      if (auto m = receiver.PollMessage()) {
        said.push_back((*m)["type"]);
        sender.HandleMessage(*m);
        more = true;
      }
    }
  }

  SeededRandom random;
  CodeExchange sender, receiver;
  std::vector<std::string> said;
};

TEST(CodeExchange, TheSameCodeIsProvenInOneAndAHalfRoundTrips) {
  Two two;
  two.Run();
  EXPECT_THAT(two.sender.outcome(), Optional(CodeOutcome::kProven));
  EXPECT_THAT(two.receiver.outcome(), Optional(CodeOutcome::kProven));
  EXPECT_THAT(two.said,
              ElementsAre("code-start", "code-answer", "code-confirm"));
}

TEST(CodeExchange, AWrongWordIsFoundByBothAndTheSenderProvesNothing) {
  for (const char* typed :
       {"4821-orchard-village", "4821-violin-orchard", "4822-orchard-violin"}) {
    Two two("4821-orchard-violin", typed);
    two.Run();
    EXPECT_THAT(two.sender.outcome(), Optional(CodeOutcome::kWrong));
    EXPECT_THAT(two.receiver.outcome(), Optional(CodeOutcome::kWrong));
    EXPECT_THAT(two.said,
                ElementsAre("code-start", "code-answer", "code-wrong"));
  }
}

// One who passes everything on, over a connection of his own to each side.
TEST(CodeExchange, WhoSitsInTheMiddleIsFoundByBoth) {
  const CodeChannel with_middle{Of(1), Of(3)};
  const CodeChannel middle_with{Of(2), Of(4)};
  Two two("4821-orchard-violin", "4821-orchard-violin", with_middle,
          middle_with);
  two.Run();
  EXPECT_THAT(two.sender.outcome(), Optional(CodeOutcome::kMiddle));
  EXPECT_THAT(two.receiver.outcome(), Optional(CodeOutcome::kMiddle));
  // On one leg only.
  Two half("4821-orchard-violin", "4821-orchard-violin", with_middle);
  half.Run();
  EXPECT_THAT(half.sender.outcome(), Optional(CodeOutcome::kMiddle));
  EXPECT_THAT(half.receiver.outcome(), Optional(CodeOutcome::kMiddle));
}

// He cannot say of the channel what he likes: what the sides say of it is not
// to be sent back, taken away or changed.
TEST(CodeExchange, WhatIsSaidOfTheChannelCannotBeReplaced) {
  for (const char* how : {"none", "tag", "own", "zeros"}) {
    Two two;
    two.receiver.HandleMessage(*two.sender.PollMessage());
    json answer = *two.receiver.PollMessage();
    const std::string of_receiver = answer["channel"];
    two.sender.HandleMessage(answer);
    json confirm = *two.sender.PollMessage();
    if (how == std::string("none")) confirm.erase("channel");
    if (how == std::string("tag")) confirm["channel"] = confirm["tag"];
    if (how == std::string("own")) confirm["channel"] = of_receiver;
    if (how == std::string("zeros")) confirm["channel"] = std::string(128, '0');
    two.receiver.HandleMessage(confirm);
    EXPECT_THAT(two.receiver.outcome(), Optional(CodeOutcome::kMiddle)) << how;
  }
}

TEST(CodeExchange, AConfirmationWithoutTheKeyIsOfOneWithOtherWords) {
  Two two;
  two.receiver.HandleMessage(*two.sender.PollMessage());
  two.receiver.HandleMessage({{"type", "code-confirm"},
                              {"tag", std::string(128, '0')},
                              {"channel", std::string(128, '0')}});
  EXPECT_THAT(two.receiver.outcome(), Optional(CodeOutcome::kWrong));
}

// Before the other side has made its guess the sender says nothing on which
// guesses could be tried; a message that is none is not a guess.
TEST(CodeExchange, WhatIsOutOfOrderOrNoMessageBreaksOff) {
  const std::string point =
      "2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c";
  const std::vector<json> to_sender = {
      {{"type", "code-confirm"}},
      {{"type", "code-start"}, {"session", std::string(32, '0')}},
      {{"type", "code-wrong"}},
      {{"type", "code-answer"}},
      {{"type", "code-answer"}, {"share", point}},
      {{"type", "code-answer"}, {"share", point}, {"tag", "00"}},
      {{"type", "code-answer"}, {"share", 7}, {"tag", std::string(128, '0')}},
      {{"type", "code-answer"},
       {"share", std::string(64, '0')},
       {"tag", std::string(128, '0')}},
      {{"type", "code-answer"},
       {"share", std::string(64, 'x')},
       {"tag", std::string(128, '0')}},
      json::array(),
      nullptr};
  for (const json& message : to_sender) {
    Two two;
    (void)two.sender.PollMessage();
    two.sender.HandleMessage(message);
    EXPECT_THAT(two.sender.outcome(), Optional(CodeOutcome::kBroken))
        << message;
    EXPECT_FALSE(two.sender.PollMessage());
  }
  const std::vector<json> to_receiver = {
      {{"type", "code-confirm"}},
      {{"type", "code-wrong"}},
      {{"type", "code-answer"}},
      {{"type", "code-start"}},
      {{"type", "code-start"}, {"session", "00"}, {"share", point}},
      {{"type", "code-start"},
       {"session", std::string(32, '0')},
       {"share", std::string(64, '0')}}};
  for (const json& message : to_receiver) {
    Two two;
    two.receiver.HandleMessage(message);
    EXPECT_THAT(two.receiver.outcome(), Optional(CodeOutcome::kBroken))
        << message;
    EXPECT_FALSE(two.receiver.PollMessage());
  }
}

TEST(CodeExchange, ASecondStartBreaksOff) {
  Two two;
  const json start = *two.sender.PollMessage();
  two.receiver.HandleMessage(start);
  two.receiver.HandleMessage(start);
  EXPECT_THAT(two.receiver.outcome(), Optional(CodeOutcome::kBroken));
}

TEST(CodeExchange, BehindTheOutcomeNothingCounts) {
  Two two("4821-orchard-violin", "4821-orchard-village");
  two.Run();
  two.sender.HandleMessage({{"type", "code-answer"}});
  two.sender.HandleTimeout(kBegin + absl::Hours(1));
  EXPECT_THAT(two.sender.outcome(), Optional(CodeOutcome::kWrong));
  EXPECT_EQ(two.sender.NextTimeout(), absl::InfiniteFuture());
}

TEST(CodeExchange, WhoSaysNothingIsGivenUp) {
  Two two;
  for (CodeExchange* side : {&two.sender, &two.receiver}) {
    EXPECT_EQ(side->NextTimeout(), kBegin + CodeExchange::kTimeMax);
    side->HandleTimeout(side->NextTimeout() - absl::Nanoseconds(1));
    EXPECT_FALSE(side->outcome());
    side->HandleTimeout(side->NextTimeout());
    EXPECT_THAT(side->outcome(), Optional(CodeOutcome::kSilent));
  }
}

TEST(CodeExchange, NoTwoRunsSayTheSame) {
  SeededRandom random(1);
  const Code code = *Code::Parse("4821-orchard-violin");
  CodeExchange first(kBegin, CodeRole::kSender, code, kSenderSees, random);
  CodeExchange second(kBegin, CodeRole::kSender, code, kSenderSees, random);
  const json a = *first.PollMessage(), b = *second.PollMessage();
  EXPECT_NE(a["session"], b["session"]);
  EXPECT_NE(a["share"], b["share"]);
}

TEST(CodeExchange, KnowsItsTypes) {
  for (const char* type :
       {"code-start", "code-answer", "code-confirm", "code-wrong"}) {
    EXPECT_TRUE(CodeExchange::IsType(type));
  }
  EXPECT_FALSE(CodeExchange::IsType("file-offer"));
  EXPECT_FALSE(CodeExchange::IsType(""));
}

}  // namespace
}  // namespace kyuu::tools
