#include "tools/kyuu/pipe/pipe_end.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "nlohmann/json.hpp"

namespace kyuu::tools {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const absl::Time kStart = absl::UnixEpoch();

// Two ends and the channels between them; what is written is up to the test.
class PipeEndTest : public testing::Test {
 protected:
  void Pass() {
    while (auto message = a_.PollControl()) b_.HandleControl(*message);
    while (auto message = b_.PollControl()) a_.HandleControl(*message);
    while (auto message = a_.PollControl()) b_.HandleControl(*message);
    if (!a_.TakeOpening()) return;
    a_.HandleOpen();
    b_.HandleOpen();
  }
  // Sends what may be sent from one to the other, up to `limit` bytes.
  static uint64_t Send(PipeEnd& from, PipeEnd& to, uint64_t limit) {
    uint64_t total = 0;
    while (total < limit && from.room() > 0) {
      const uint64_t size = std::min<uint64_t>(from.room(), limit - total);
      from.HandleSent(size);
      EXPECT_TRUE(to.HandleData(size));
      total += size;
    }
    return total;
  }
  // The whole of one direction, which is `bytes` long, to its end.
  void Finish(PipeEnd& from, PipeEnd& to, uint64_t bytes) {
    EXPECT_EQ(Send(from, to, bytes), bytes);
    to.HandleEnd(from.End());
    to.HandleWritten(to.received() - to.written());
    to.HandleOutputClosed();
    Pass();
  }

  PipeEnd a_{kStart, PipeRole::kOffers};
  PipeEnd b_{kStart, PipeRole::kAnswers};
};

TEST_F(PipeEndTest, EachDirectionEndsByItself) {
  EXPECT_EQ(a_.room(), 0);
  Pass();
  Finish(a_, b_, 1000);
  EXPECT_EQ(a_.taken(), 1000);
  EXPECT_EQ(a_.room(), 0) << "it has ended";
  EXPECT_EQ(a_.outcome(), std::nullopt);
  EXPECT_EQ(b_.outcome(), std::nullopt);
  Finish(b_, a_, 500);
  EXPECT_OK(*a_.outcome());
  EXPECT_OK(*b_.outcome());
}

TEST_F(PipeEndTest, NothingAtAllIsAPipe) {
  Pass();
  Finish(b_, a_, 0);
  Finish(a_, b_, 0);
  EXPECT_OK(*a_.outcome());
  EXPECT_OK(*b_.outcome());
}

TEST_F(PipeEndTest, AReaderThatStopsHoldsTheSenderBack) {
  Pass();
  EXPECT_EQ(Send(a_, b_, 100 << 20), PipeEnd::kWindowBytes);
  EXPECT_EQ(a_.room(), 0);
  // Less than a report's worth says nothing yet.
  b_.HandleWritten(PipeEnd::kReportBytes - 1);
  Pass();
  EXPECT_EQ(a_.room(), 0);
  b_.HandleWritten(1);
  Pass();
  EXPECT_EQ(Send(a_, b_, 100 << 20), PipeEnd::kReportBytes);
  EXPECT_EQ(a_.taken(), PipeEnd::kReportBytes);
}

TEST_F(PipeEndTest, WhoSendsBeyondTheWindowIsBrokenOff) {
  Pass();
  Send(a_, b_, PipeEnd::kWindowBytes);
  EXPECT_FALSE(b_.HandleData(1));
  EXPECT_THAT(b_.outcome()->message(), HasSubstr("more than it may"));
  EXPECT_EQ((*b_.PollControl())["reason"], "protocol_error");
}

TEST_F(PipeEndTest, ASmallWindowOfThePeerIsKept) {
  b_.HandleControl({{"type", "pipe-offer"}, {"window", 65536u}});
  b_.HandleOpen();
  EXPECT_EQ(b_.room(), 65536);
  b_.HandleSent(65536);
  EXPECT_EQ(b_.room(), 0);
  b_.HandleControl({{"type", "pipe-taken"}, {"bytes", 1u}});
  EXPECT_EQ(b_.room(), 1);
}

TEST_F(PipeEndTest, OthersThanAPipeAreFoundOut) {
  a_.HandleControl({{"type", "pipe-reject"}, {"reason", "unsupported"}});
  EXPECT_THAT(a_.outcome()->message(), HasSubstr("has to be a kyuu pipe"));
  EXPECT_EQ(b_.NextTimeout(), kStart + PipeEnd::kStartMax);
  b_.HandleTimeout(kStart + PipeEnd::kStartMax - absl::Nanoseconds(1));
  EXPECT_EQ(b_.outcome(), std::nullopt);
  b_.HandleTimeout(kStart + PipeEnd::kStartMax);
  EXPECT_TRUE(absl::IsDeadlineExceeded(*b_.outcome()));
  EXPECT_EQ(b_.NextTimeout(), absl::InfiniteFuture());
}

TEST_F(PipeEndTest, AnOpenPipeMayBeSilentForEver) {
  Pass();
  for (PipeEnd* end : {&a_, &b_}) {
    EXPECT_EQ(end->NextTimeout(), absl::InfiniteFuture());
    end->HandleTimeout(kStart + absl::Hours(1000));
    EXPECT_EQ(end->outcome(), std::nullopt);
  }
}

TEST_F(PipeEndTest, AFailureIsToldWithItsReason) {
  Pass();
  b_.Fail("closed", absl::UnavailableError("nobody reads"));
  b_.Fail("io_error", absl::UnknownError("the second counts for nothing"));
  Pass();
  EXPECT_EQ(b_.outcome()->message(), "nobody reads");
  EXPECT_THAT(a_.outcome()->message(), HasSubstr("the reader of the other"));
  EXPECT_EQ(a_.room(), 0);
  EXPECT_FALSE(a_.HandleData(1));
  EXPECT_EQ(a_.PollControl(), std::nullopt);
}

TEST_F(PipeEndTest, WhatBreaksARuleEndsIt) {
  struct Case {
    const char* name;
    json said;
  };
  // To one who has sent 10 bytes, of which 5 are taken.
  const Case cases[] = {
      {"more than was sent", {{"type", "pipe-taken"}, {"bytes", 11u}}},
      {"fewer than before", {{"type", "pipe-taken"}, {"bytes", 4u}}},
      {"no number", {{"type", "pipe-taken"}}},
      {"a fraction", {{"type", "pipe-taken"}, {"bytes", 5.5}}},
      {"too large", {{"type", "pipe-taken"}, {"bytes", uint64_t{1} << 53}}},
      {"an end that was not said",
       {{"type", "pipe-taken"}, {"bytes", 10u}, {"end", true}}},
  };
  for (const Case& c : cases) {
    PipeEnd end(kStart, PipeRole::kAnswers);
    end.HandleControl({{"type", "pipe-offer"}, {"window", 65536u}});
    end.HandleOpen();
    end.HandleSent(10);
    end.HandleControl({{"type", "pipe-taken"}, {"bytes", 5u}});
    ASSERT_EQ(end.outcome(), std::nullopt);
    end.HandleControl(c.said);
    ASSERT_TRUE(end.outcome()) << c.name;
    EXPECT_TRUE(absl::IsInvalidArgument(*end.outcome())) << c.name;
  }
}

TEST_F(PipeEndTest, AnEndMustCountWhatCame) {
  const char* const texts[] = {R"({"type":"end","size":9})",
                               R"({"type":"end"})", R"({"type":"x","size":10})",
                               "", "[]"};
  for (const char* text : texts) {
    PipeEnd end(kStart, PipeRole::kAnswers);
    end.HandleControl({{"type", "pipe-offer"}, {"window", 65536u}});
    end.HandleOpen();
    end.HandleData(10);
    end.HandleEnd(text);
    ASSERT_TRUE(end.outcome()) << text;
    EXPECT_FALSE(end.peer_ended());
  }
  Pass();
  b_.HandleEnd(a_.End());
  EXPECT_TRUE(b_.peer_ended());
  EXPECT_FALSE(b_.HandleData(1)) << "behind the end";
}

TEST_F(PipeEndTest, AnEndIsTakenWhenAllIsWritten) {
  Pass();
  Send(a_, b_, 10);
  b_.HandleEnd(a_.End());
  b_.HandleWritten(9);
  b_.HandleOutputClosed();
  EXPECT_EQ(b_.PollControl(), std::nullopt);
  b_.HandleWritten(1);
  b_.HandleOutputClosed();
  EXPECT_EQ(b_.PollControl()->dump(),
            R"({"bytes":10,"end":true,"type":"pipe-taken"})");
}

TEST_F(PipeEndTest, WindowsThatAreNoneAreRefused) {
  for (const json& window : {json(65535u), json(-1), json("4194304"), json()}) {
    PipeEnd end(kStart, PipeRole::kAnswers);
    end.HandleControl({{"type", "pipe-offer"}, {"window", window}});
    ASSERT_TRUE(end.outcome()) << window;
    EXPECT_THAT(end.outcome()->message(), HasSubstr("window"));
  }
}

TEST_F(PipeEndTest, MessagesHaveASize) {
  for (const size_t size : {size_t{0}, PipeEnd::kChunkBytesMax + 1}) {
    PipeEnd end(kStart, PipeRole::kAnswers);
    end.HandleControl({{"type", "pipe-offer"}, {"window", 65536u}});
    end.HandleOpen();
    EXPECT_FALSE(end.HandleData(size));
    EXPECT_TRUE(end.outcome());
  }
}

}  // namespace
}  // namespace kyuu::tools
