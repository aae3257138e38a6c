// What W3C's web-platform tests ask of data channels, asked of ours: which of
// them is where, and what differs, is in docs/w3c_tests.md.

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/peer_connection.h"
#include "peer/testing/peer_connection_pair.h"

namespace kyuu::peer {
namespace {

using Channel = std::shared_ptr<DataChannel>;

class W3cDataChannelTest : public testing::Test {
 protected:
  void Create(Side::Hook at_a = {}, Side::Hook at_b = {}) {
    // By default a channel stays for half a second after its last message.
    Configuration configuration;
    configuration.engine.channels.association.reset_delay =
        absl::Milliseconds(5);
    a_.Create(configuration, b_, std::move(at_a));
    b_.Create(configuration, a_, std::move(at_b));
  }
  void CreateConnected(Side::Hook at_a = {}, Side::Hook at_b = {}) {
    Create(std::move(at_a), std::move(at_b));
    pair_.Connect();
    ASSERT_TRUE(a_.board().Wait("open"));
    ASSERT_TRUE(b_.board().Wait("open"));
  }
  Channel Make(Side& side, ChannelConfig config) {
    auto channel = side->CreateDataChannel(config, side.ChannelHandlers());
    EXPECT_OK(channel);
    return channel.ok() ? *channel : nullptr;
  }
  absl::StatusCode Refused(const ChannelConfig& config) {
    return a_->CreateDataChannel(config).status().code();
  }

  Pair pair_;
  Side& a_ = pair_.a;
  Side& b_ = pair_.b;
};

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST_F(W3cDataChannelTest, AClosedConnectionMakesNone) {
  Create();
  a_->Close();
  EXPECT_EQ(a_->signaling_state(), SignalingState::kClosed);
  EXPECT_EQ(Refused({}), absl::StatusCode::kFailedPrecondition);
}

TEST_F(W3cDataChannelTest, WhatIsNotSaidHasADefault) {
  Create();
  const Channel channel = Make(a_, {});
  EXPECT_EQ(channel->label(), "");
  EXPECT_EQ(channel->protocol(), "");
  EXPECT_EQ(channel->config().ordering, sctp::Ordering::kOrdered);
  EXPECT_EQ(channel->config().max_retransmits, std::nullopt);
  EXPECT_EQ(channel->config().max_packet_life_time, std::nullopt);
  EXPECT_EQ(channel->config().negotiated_id, std::nullopt);
  EXPECT_EQ(channel->id(), std::nullopt);
  EXPECT_EQ(channel->ready_state(), DataChannelState::kConnecting);
  EXPECT_EQ(channel->buffered_amount(), 0u);
  EXPECT_EQ(channel->buffered_amount_low_threshold(), 0u);
}

TEST_F(W3cDataChannelTest, WhatIsSaidIsKept) {
  Create();
  const Channel retransmitted =
      Make(a_, {.label = "test",
                .protocol = "custom",
                .ordering = sctp::Ordering::kUnordered,
                .max_retransmits = 0,
                .negotiated_id = sctp::StreamId{3}});
  EXPECT_EQ(retransmitted->label(), "test");
  EXPECT_EQ(retransmitted->protocol(), "custom");
  EXPECT_EQ(retransmitted->config().ordering, sctp::Ordering::kUnordered);
  EXPECT_EQ(retransmitted->config().max_retransmits, 0);
  EXPECT_EQ(retransmitted->config().max_packet_life_time, std::nullopt);
  EXPECT_EQ(retransmitted->id(), 3);
  EXPECT_EQ(retransmitted->ready_state(), DataChannelState::kConnecting);
  const Channel timed =
      Make(a_, {.max_packet_life_time = absl::ZeroDuration()});
  EXPECT_EQ(timed->config().max_packet_life_time, absl::ZeroDuration());
  EXPECT_EQ(timed->config().max_retransmits, std::nullopt);
}

TEST_F(W3cDataChannelTest, ReliabilityHasOneLimitAndItHasARange) {
  Create();
  EXPECT_EQ(Refused({.max_retransmits = 0,
                     .max_packet_life_time = absl::ZeroDuration()}),
            kInvalid);
  EXPECT_EQ(Refused({.max_retransmits = 42,
                     .max_packet_life_time = absl::Milliseconds(42)}),
            kInvalid);
  EXPECT_EQ(Refused({.max_packet_life_time = absl::Milliseconds(-1)}),
            kInvalid);
  // DCEP has 32 bits for it (RFC 8832 section 5.1), W3C 16.
  Make(a_, {.max_packet_life_time = absl::Milliseconds(65536)});
  Make(a_, {.max_retransmits = 65535});
}

TEST_F(W3cDataChannelTest, EveryStreamIdMayBeNegotiated) {
  Create();
  constexpr uint16_t kIds[] = {0, 1, 42, 65534};
  for (const uint16_t id : kIds) {
    EXPECT_EQ(Make(a_, {.negotiated_id = sctp::StreamId{id}})->id(), id);
  }
  EXPECT_EQ(Refused({.negotiated_id = sctp::StreamId{65535}}), kInvalid);
}

TEST_F(W3cDataChannelTest, NamesHaveALimit) {
  CreateConnected();
  const std::string too_long(65536, 'x');
  std::string two_bytes_each, longest;
  for (int i = 0; i < 32768; ++i) two_bytes_each += "\xc2\xb5";
  for (int i = 0; i < 21845; ++i) longest += "\xe2\x80\xa2";
  for (const std::string& name : {too_long, two_bytes_each}) {
    EXPECT_EQ(Refused({.label = name}), kInvalid);
    EXPECT_EQ(Refused({.protocol = name}), kInvalid);
    EXPECT_EQ(Refused({.label = name, .negotiated_id = sctp::StreamId{42}}),
              kInvalid);
    EXPECT_EQ(Refused({.protocol = name, .negotiated_id = sctp::StreamId{42}}),
              kInvalid);
  }
  const Channel channel = Make(a_, {.label = longest, .protocol = longest});
  ASSERT_TRUE(b_.board().Wait(absl::StrCat("datachannel ", longest)));
  EXPECT_EQ(b_.channel()->label(), longest);
  EXPECT_EQ(b_.channel()->protocol(), longest);
}

TEST_F(W3cDataChannelTest, TwoMayHaveOneLabelAndHaveTwoIds) {
  std::vector<Channel> channels;
  CreateConnected([&](const std::string& name) {
    if (name != "message") return;
    for (int i = 0; i < 2; ++i) {
      channels.push_back(Make(a_, {.label = "same"}));
      // Nor is a channel open at once if the connection stands.
      EXPECT_EQ(channels.back()->ready_state(), DataChannelState::kConnecting);
    }
  });
  ASSERT_OK(b_.channel()->Send("go"));
  ASSERT_TRUE(a_.board().Wait("open", 3));
  ASSERT_EQ(channels.size(), 2u);
  EXPECT_NE(channels[0]->id(), channels[1]->id());
}

TEST_F(W3cDataChannelTest, AnIdInUseIsRefused) {
  Create();
  const ChannelConfig taken{.negotiated_id = sctp::StreamId{42}};
  Make(a_, taken);
  Make(a_, {.negotiated_id = sctp::StreamId{43}});
  EXPECT_EQ(Refused(taken), absl::StatusCode::kAlreadyExists);
  pair_.Connect();
  EXPECT_EQ(Refused(taken), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(b_.board().Wait("open"));
  EXPECT_EQ(Refused(taken), absl::StatusCode::kAlreadyExists);
  // Nor is one that was given in-band.
  EXPECT_EQ(Refused({.negotiated_id = sctp::StreamId{*a_.channel()->id()}}),
            absl::StatusCode::kAlreadyExists);
}

// The client of DTLS has the even ones (RFC 8832 section 6).
TEST_F(W3cDataChannelTest, IdsAreOddAtTheServerOfDtlsAndKnownWhenOpen) {
  Create();
  std::vector<Channel> channels;
  for (int i = 0; i < 10; ++i) {
    channels.push_back(Make(a_, {.label = "early"}));
    EXPECT_EQ(channels.back()->id(), std::nullopt);
  }
  std::set<uint16_t> ids;
  for (uint16_t id = 100; id < 120; id += 2) {
    ids.insert(*Make(a_, {.negotiated_id = sctp::StreamId{id}})->id());
  }
  ids.insert(*Make(a_, {.negotiated_id = sctp::StreamId{3}})->id());
  pair_.Negotiate();
  for (int i = 0; i < 10; ++i) channels.push_back(Make(a_, {.label = "late"}));
  ASSERT_TRUE(b_.board().Wait("open", 20));
  ASSERT_TRUE(a_.board().Wait("open", 31));
  for (const Channel& channel : channels) {
    EXPECT_EQ(*channel->id() % 2, 1);
    EXPECT_TRUE(ids.insert(*channel->id()).second) << *channel->id();
  }
  const Channel other = Make(b_, {.label = "other"});
  ASSERT_TRUE(a_.board().Wait("datachannel other"));
  ASSERT_TRUE(b_.board().Wait("open", 21));
  EXPECT_EQ(*other->id() % 2, 0);
}

TEST_F(W3cDataChannelTest, AnIdMayBeUsedAgainOnceItIsClosed) {
  CreateConnected();
  const uint16_t id = *a_.channel()->id();
  EXPECT_EQ(b_.channel()->id(), id);
  a_.channel()->Close();
  ASSERT_TRUE(a_.board().Wait("close OK"));
  ASSERT_TRUE(b_.board().Wait("close OK"));
  const ChannelConfig again{.negotiated_id = sctp::StreamId{id}};
  const Channel at_a = Make(a_, again), at_b = Make(b_, again);
  ASSERT_TRUE(a_.board().Wait("open", 2));
  ASSERT_TRUE(b_.board().Wait("open", 2));
  EXPECT_OK(at_a->Send("again"));
  EXPECT_TRUE(b_.board().Wait("message text:again"));
}

TEST_F(W3cDataChannelTest, ThePeersIsOpenWhenItIsTold) {
  std::optional<DataChannelState> state;
  Create({}, [&](const std::string& name) {
    if (name != "datachannel") return;
    state = b_.channel()->ready_state();
    EXPECT_OK(b_.channel()->Send("meow"));
  });
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("message text:meow"));
  ASSERT_TRUE(b_.board().Wait("open"));
  EXPECT_EQ(state, DataChannelState::kOpen);
  EXPECT_EQ(b_.board().Count("datachannel chat"), 1u);
}

TEST_F(W3cDataChannelTest, OneThatIsClosedWhenItIsToldDoesNotOpen) {
  Create({}, [&](const std::string& name) {
    if (name != "datachannel") return;
    EXPECT_OK(b_.channel()->Send("meow"));
    b_.channel()->Close();
  });
  pair_.Connect();
  ASSERT_TRUE(a_.board().Wait("message text:meow"));
  ASSERT_TRUE(b_.board().Wait("close OK"));
  EXPECT_EQ(b_.board().Count("open"), 0u);
}

TEST_F(W3cDataChannelTest, ThePeersIsAsItWasMade) {
  CreateConnected();
  const std::vector<ChannelConfig> configs = {
      {.label = "ordered"},
      {.label = "unordered", .ordering = sctp::Ordering::kUnordered},
      {.label = "0 times", .protocol = "custom", .max_retransmits = 0},
      {.label = "unordered, 65535 times",
       .ordering = sctp::Ordering::kUnordered,
       .max_retransmits = 65535},
      {.label = "0 ms", .max_packet_life_time = absl::ZeroDuration()},
      {.label = "unordered, 65535 ms",
       .ordering = sctp::Ordering::kUnordered,
       .max_packet_life_time = absl::Milliseconds(65535)},
      {.label = "high", .priority = 1024},
      {.label = "", .protocol = ""},
  };
  for (const ChannelConfig& config : configs) {
    const Channel ours = Make(a_, config);
    ASSERT_TRUE(b_.board().Wait(
        config.label.empty() ? "datachannel" : "datachannel " + config.label));
    const Channel theirs = b_.channel();
    EXPECT_EQ(theirs->label(), config.label);
    EXPECT_EQ(theirs->protocol(), config.protocol);
    EXPECT_EQ(theirs->config().ordering, config.ordering);
    EXPECT_EQ(theirs->config().max_retransmits, config.max_retransmits);
    EXPECT_EQ(theirs->config().max_packet_life_time,
              config.max_packet_life_time);
    EXPECT_EQ(theirs->config().priority, config.priority);
    EXPECT_EQ(theirs->config().negotiated_id, std::nullopt);
  }
}

TEST_F(W3cDataChannelTest, OneThatIsNegotiatedIsNotTold) {
  Create();
  const ChannelConfig config{.label = "n", .negotiated_id = sctp::StreamId{0}};
  const Channel at_a = Make(a_, config), at_b = Make(b_, config);
  pair_.Negotiate();
  ASSERT_TRUE(a_.board().Wait("open"));
  ASSERT_TRUE(b_.board().Wait("open"));
  EXPECT_OK(at_a->Send("there"));
  EXPECT_TRUE(b_.board().Wait("message text:there"));
  EXPECT_OK(at_b->Send("back"));
  EXPECT_TRUE(a_.board().Wait("message text:back"));
  EXPECT_EQ(a_.board().Count("datachannel n"), 0u);
  EXPECT_EQ(b_.board().Count("datachannel n"), 0u);
}

TEST_F(W3cDataChannelTest, TextAndBytesArriveAsWhatTheyAreInOrder) {
  CreateConnected();
  EXPECT_OK(a_.channel()->Send("hello"));
  EXPECT_OK(a_.channel()->Send("\xe4\xb8\x96\xe7\x95\x8c"));
  EXPECT_OK(a_.channel()->Send(std::vector<uint8_t>{'b'}));
  EXPECT_OK(a_.channel()->Send(std::vector<uint8_t>{}));
  EXPECT_OK(a_.channel()->Send(""));
  ASSERT_TRUE(b_.board().Wait("message text:"));
  std::vector<std::string> messages;
  for (const std::string& line : b_.board().lines()) {
    if (absl::StartsWith(line, "message")) messages.push_back(line);
  }
  EXPECT_EQ(messages,
            (std::vector<std::string>{
                "message text:hello", "message text:\xe4\xb8\x96\xe7\x95\x8c",
                "message binary:b", "message binary:", "message text:"}));
}

TEST_F(W3cDataChannelTest, WhileConnectingNothingIsSent) {
  Create();
  EXPECT_THAT(Make(a_, {})->Send("hello"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(W3cDataChannelTest, UpToTheLargestMessageIsSentAndNoMore) {
  CreateConnected();
  const size_t max = *a_->max_message_size();
  size_t size = 8;
  for (; size <= max; size *= 2) {
    ASSERT_OK(a_.channel()->Send(std::string(size, 'x')));
  }
  EXPECT_EQ(size / 2, max);
  EXPECT_THAT(a_.channel()->Send(std::string(max + 1, 'x')),
              StatusIs(kInvalid));
  EXPECT_TRUE(b_.board().Wait(absl::StrCat("message ", max, " bytes")));
}

TEST_F(W3cDataChannelTest, BufferedAmountIsThatOfBytesAndStaysAtTheEnd) {
  std::vector<size_t> amounts;
  const auto note = [&] { amounts.push_back(a_.channel()->buffered_amount()); };
  // The loop's thread is in the handler, so nothing leaves meanwhile.
  CreateConnected([&](const std::string& name) {
    if (name != "message") return;
    note();
    ASSERT_OK(a_.channel()->Send("\xe4\xb8\x96\xe7\x95\x8c"));
    note();
    ASSERT_OK(a_.channel()->Send(""));
    note();
    ASSERT_OK(a_.channel()->Send(std::vector<uint8_t>(5)));
    note();
    a_.channel()->Close();
    note();
    a_->Close();
    note();
    a_.board().Note("counted");
  });
  ASSERT_OK(b_.channel()->Send("go"));
  ASSERT_TRUE(a_.board().Wait("counted"));
  EXPECT_EQ(amounts, (std::vector<size_t>{0, 6, 6, 11, 11, 11}));
}

TEST_F(W3cDataChannelTest, BufferedAmountLowIsToldOncePerFall) {
  int rounds = 0;
  std::vector<size_t> amounts;
  CreateConnected([&](const std::string& name) {
    if (name == "low") {
      amounts.push_back(a_.channel()->buffered_amount());
      a_.board().Note("counted");
    }
    if (name != "message") return;
    ++rounds;
    ASSERT_OK(a_.channel()->Send("hello"));
    ASSERT_OK(a_.channel()->Send("hello"));
  });
  for (size_t i = 1; i <= 2; ++i) {
    ASSERT_OK(b_.channel()->Send("go"));
    ASSERT_TRUE(a_.board().Wait("counted", i));
    ASSERT_TRUE(b_.board().Wait("message text:hello", 2 * i));
  }
  EXPECT_EQ(rounds, 2);
  EXPECT_EQ(a_.board().Count("low"), 2u);
  EXPECT_EQ(amounts, (std::vector<size_t>{0, 0}));
}

TEST_F(W3cDataChannelTest, TheOthersCloseIsClosingAndThenClose) {
  CreateConnected({}, [&](const std::string& name) {
    if (name == "closing") {
      EXPECT_EQ(b_.channel()->ready_state(), DataChannelState::kClosing);
    }
  });
  a_.channel()->Close();
  EXPECT_EQ(a_.channel()->ready_state(), DataChannelState::kClosing);
  ASSERT_TRUE(b_.board().Wait("close OK"));
  ASSERT_TRUE(a_.board().Wait("close OK"));
  EXPECT_LT(b_.board().At("closing"), b_.board().At("close OK"));
  EXPECT_EQ(b_.channel()->ready_state(), DataChannelState::kClosed);
  EXPECT_EQ(a_.board().Count("closing"), 0u);
}

TEST_F(W3cDataChannelTest, OpenedUsedAndClosedAgainAndAgain) {
  CreateConnected({}, [&](const std::string& name) {
    if (name == "message") {
      EXPECT_OK(b_.channel()->Send("pong"));
    }
  });
  for (size_t i = 1; i <= 10; ++i) {
    const std::string label = absl::StrCat("dc ", i);
    const Channel channel = Make(a_, {.label = label});
    ASSERT_TRUE(a_.board().Wait("open", i + 1));
    ASSERT_TRUE(b_.board().Wait("datachannel " + label));
    ASSERT_OK(channel->Send("ping"));
    ASSERT_TRUE(a_.board().Wait("message text:pong", i));
    channel->Close();
    ASSERT_TRUE(b_.board().Wait("close OK", i));
  }
}

TEST_F(W3cDataChannelTest, ThePeersHangupEndsEachWithAnError) {
  CreateConnected();
  for (int i = 0; i < 10; ++i) Make(a_, {.label = "more"});
  ASSERT_TRUE(b_.board().Wait("open", 11));
  a_->Close();
  ASSERT_TRUE(b_.board().Wait("closed ABORTED"));
  EXPECT_EQ(b_.board().Count("close ABORTED"), 11u);
}

TEST_F(W3cDataChannelTest, AfterAChannelsCloseThePeersHangupTellsItNothing) {
  CreateConnected();
  a_.channel()->Close();
  ASSERT_TRUE(a_.board().Wait("close OK"));
  ASSERT_TRUE(b_.board().Wait("close OK"));
  a_->Close();
  ASSERT_TRUE(b_.board().Wait("closed ABORTED"));
  EXPECT_EQ(a_.board().Count("close OK"), 1u);
  EXPECT_EQ(b_.board().Count("close OK"), 1u);
  EXPECT_EQ(b_.board().Count("close ABORTED"), 0u);
}

TEST_F(W3cDataChannelTest, WhatWaitsWhenAChannelIsClosedArrives) {
  for (const bool negotiated : {false, true}) {
    Pair pair;
    pair.a.Create({}, pair.b);  // With the half second.
    pair.b.Create({}, pair.a);
    ChannelConfig config{.label = "chat"};
    if (negotiated) config.negotiated_id = sctp::StreamId{0};
    auto channel = pair.a->CreateDataChannel(config, pair.a.ChannelHandlers());
    ASSERT_OK(channel);
    Channel other;
    if (negotiated) {
      other = *pair.b->CreateDataChannel(config, pair.b.ChannelHandlers());
    }
    pair.Negotiate();
    ASSERT_TRUE(pair.a.board().Wait("open"));
    size_t sent = 0;
    while (sent < 64 && (*channel)->Send(std::string(64 << 10, ' ')).ok()) {
      ++sent;
    }
    EXPECT_GT(sent, 1u);
    (*channel)->Close();
    ASSERT_TRUE(pair.b.board().Wait("close OK"));
    EXPECT_EQ(pair.b.board().Count("message 65536 bytes"), sent);
  }
}

TEST_F(W3cDataChannelTest, ChannelsGoOnAtEachStepOfAnIceRestart) {
  CreateConnected();
  size_t times = 0;
  const auto both_ways = [&] {
    ++times;
    ASSERT_OK(a_.channel()->Send("hello"));
    ASSERT_OK(b_.channel()->Send("hello"));
    ASSERT_TRUE(a_.board().Wait("message text:hello", times));
    ASSERT_TRUE(b_.board().Wait("message text:hello", times));
  };
  both_ways();
  a_->RestartIce();
  ASSERT_OK(a_->SetLocalDescription());
  both_ways();
  ASSERT_OK(b_->SetRemoteDescription(*a_->local_description()));
  both_ways();
  ASSERT_OK(b_->SetLocalDescription());
  both_ways();
  ASSERT_OK(a_->SetRemoteDescription(*b_->local_description()));
  both_ways();
}

}  // namespace
}  // namespace kyuu::peer
