// Senders, receivers and strangers in one room, in simulated time.

#include "tools/kyuu/code/code_meeting.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

using testing::HasSubstr;
using testing::Optional;

const absl::Time kBegin = absl::UnixEpoch() + absl::Hours(1);

struct Room {
  Room()
      : random(1),
        sender(kBegin, CodeRole::kSender, *Code::Parse("4821-orchard-violin"),
               random),
        receiver(kBegin, CodeRole::kReceiver,
                 *Code::Parse("4821-orchard-violin"), random) {}
  SeededRandom random;
  CodeMeeting sender, receiver;
};

TEST(CodeMeeting, TheWordsAreInNothingThatTheServerSees) {
  Room room;
  for (const CodeMeeting* side : {&room.sender, &room.receiver}) {
    EXPECT_EQ(side->Room(), "code-4821");
    for (const std::string& told :
         {side->Room(), side->name(), side->PeerMeta(), side->CallMeta()}) {
      EXPECT_THAT(told, HasSubstr("4821"));
      EXPECT_THAT(told, testing::Not(HasSubstr("orchard")));
      EXPECT_THAT(told, testing::Not(HasSubstr("violin")));
    }
  }
}

TEST(CodeMeeting, WhoeverComesFirstTheSenderCalls) {
  Room room;
  room.sender.HandleJoined();
  EXPECT_FALSE(room.sender.WhomToCall());
  room.sender.HandlePeer(room.receiver.name(), room.receiver.PeerMeta());
  EXPECT_THAT(room.sender.WhomToCall(), Optional(room.receiver.name()));
  // Once for each time that it comes.
  EXPECT_FALSE(room.sender.WhomToCall());
  room.sender.HandlePeer(room.receiver.name(), room.receiver.PeerMeta());
  EXPECT_TRUE(room.sender.WhomToCall());

  room.receiver.HandlePeer(room.sender.name(), room.sender.PeerMeta());
  EXPECT_FALSE(room.receiver.WhomToCall());
  EXPECT_TRUE(room.receiver.IsCall(room.sender.CallMeta()));
}

TEST(CodeMeeting, OthersOfTheRoomAreOfNoInterest) {
  Room room;
  CodeMeeting other(kBegin, CodeRole::kReceiver,
                    *Code::Parse("4822-orchard-violin"), room.random);
  for (const std::string& meta :
       {other.PeerMeta(), room.sender.PeerMeta(), std::string("{}"),
        std::string("[]"), std::string("no json"), std::string(),
        std::string(R"({"code":4821,"role":"receive"})")}) {
    room.sender.HandlePeer("someone", meta);
    EXPECT_FALSE(room.sender.WhomToCall()) << meta;
  }
  for (const std::string& meta :
       {other.CallMeta(), std::string("{}"), std::string("no json"),
        std::string(R"({"code":4821})")}) {
    EXPECT_FALSE(room.receiver.IsCall(meta)) << meta;
  }
  EXPECT_FALSE(room.sender.IsCall(room.sender.CallMeta()));
}

TEST(CodeMeeting, ReceiversAreCalledInTurnAndOnlyWhileTheyAreThere) {
  Room room;
  const std::string meta = room.receiver.PeerMeta();
  for (const char* name : {"a", "b", "c"}) room.sender.HandlePeer(name, meta);
  EXPECT_THAT(room.sender.WhomToCall(), Optional(std::string("a")));
  room.sender.HandlePeerLeft("b");
  // What came to nothing leaves the code for the next.
  room.sender.HandleOutcome(CodeOutcome::kSilent);
  EXPECT_FALSE(room.sender.burnt());
  EXPECT_THAT(room.sender.WhomToCall(), Optional(std::string("c")));
  EXPECT_FALSE(room.sender.WhomToCall());
}

TEST(CodeMeeting, AGuessOrAMiddleBurnsTheCode) {
  for (const CodeOutcome outcome :
       {CodeOutcome::kWrong, CodeOutcome::kMiddle, CodeOutcome::kProven}) {
    Room room;
    room.sender.HandlePeer("a", room.receiver.PeerMeta());
    room.sender.HandleOutcome(outcome);
    EXPECT_FALSE(room.sender.WhomToCall());
    EXPECT_EQ(room.sender.burnt(), outcome != CodeOutcome::kProven);
  }
}

TEST(CodeMeeting, WaitsForSoManyAtMost) {
  Room room;
  for (size_t i = 0; i < CodeMeeting::kWaitingMax + 1; ++i) {
    room.sender.HandlePeer(absl::StrCat("r", i), room.receiver.PeerMeta());
  }
  EXPECT_THAT(room.sender.WhomToCall(), Optional(std::string("r1")));
  for (size_t i = 2; i <= CodeMeeting::kWaitingMax; ++i) {
    EXPECT_TRUE(room.sender.WhomToCall());
  }
  EXPECT_FALSE(room.sender.WhomToCall());
}

TEST(CodeMeeting, ANumberThatIsTakenIsReplacedSoManyTimes) {
  Room room;
  std::set<std::string> names{room.sender.name()};
  const std::string words = room.sender.code().words();
  for (int i = 1; i < CodeMeeting::kNumbersMax; ++i) {
    EXPECT_TRUE(room.sender.HandleNameTaken());
    EXPECT_EQ(room.sender.name(), "sender-" + room.sender.code().number());
    EXPECT_EQ(room.sender.code().words(), words);
    names.insert(room.sender.name());
  }
  EXPECT_FALSE(room.sender.HandleNameTaken());
  EXPECT_EQ(names.size(), size_t{CodeMeeting::kNumbersMax});
  // A receiver cannot choose: it takes another name.
  const std::string name = room.receiver.name();
  EXPECT_TRUE(room.receiver.HandleNameTaken());
  EXPECT_NE(room.receiver.name(), name);
  EXPECT_EQ(room.receiver.code().number(), "4821");
}

TEST(CodeMeeting, AReceiverSeesThatTheSenderHasGone) {
  Room room;
  room.receiver.HandlePeerLeft("someone");
  EXPECT_FALSE(room.receiver.sender_gone());
  room.receiver.HandlePeer(room.sender.name(), room.sender.PeerMeta());
  room.receiver.HandlePeerLeft(room.sender.name());
  EXPECT_TRUE(room.receiver.sender_gone());
}

// A server that starts anew has forgotten both; nobody has left.
TEST(CodeMeeting, AServerThatStartsAnewChangesNothing) {
  Room room;
  room.receiver.HandlePeer(room.sender.name(), room.sender.PeerMeta());
  room.receiver.HandleJoined();
  EXPECT_FALSE(room.receiver.sender_gone());
  room.sender.HandlePeer(room.receiver.name(), room.receiver.PeerMeta());
  room.sender.HandleJoined();
  EXPECT_FALSE(room.sender.WhomToCall());
  room.sender.HandlePeer(room.receiver.name(), room.receiver.PeerMeta());
  EXPECT_TRUE(room.sender.WhomToCall());
}

TEST(CodeMeeting, ACallHasHalfAMinuteForItsProof) {
  Room room;
  const absl::Time begin = kBegin + absl::Minutes(5);
  const absl::Time late = begin + CodeMeeting::kAttemptMax;
  EXPECT_FALSE(room.sender.AttemptIsLate(begin));
  room.sender.HandleAttempt(begin);
  EXPECT_EQ(room.sender.NextTimeout(), late);
  EXPECT_FALSE(room.sender.AttemptIsLate(late - absl::Nanoseconds(1)));
  EXPECT_TRUE(room.sender.AttemptIsLate(late));
  room.sender.HandleAttemptOver();
  EXPECT_FALSE(room.sender.AttemptIsLate(late));
  EXPECT_EQ(room.sender.NextTimeout(), kBegin + CodeMeeting::kWaitMax);
  room.sender.HandleAttempt(begin);
  room.sender.HandleOutcome(CodeOutcome::kProven);
  EXPECT_EQ(room.sender.NextTimeout(), absl::InfiniteFuture());
}

TEST(CodeMeeting, TheWaitHasAnEndUntilTheCodeIsProven) {
  Room room;
  EXPECT_EQ(room.sender.NextTimeout(), kBegin + CodeMeeting::kWaitMax);
  room.sender.HandleOutcome(CodeOutcome::kSilent);
  EXPECT_EQ(room.sender.NextTimeout(), kBegin + CodeMeeting::kWaitMax);
  room.sender.HandleOutcome(CodeOutcome::kProven);
  EXPECT_EQ(room.sender.NextTimeout(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace kyuu::tools
