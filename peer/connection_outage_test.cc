// Outages: the connection outlives those that ICE may mend.

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "peer/connection.h"
#include "peer/testing/call.h"
#include "sim/clock_override.h"
#include "sim/network.h"

namespace kyuu::peer {
namespace {

using testing::Call;
using testing::CallOptions;
using Bytes = std::vector<uint8_t>;

const TransportAddress kA{IpAddress::V4(192, 0, 2, 1), 5001};
const TransportAddress kB{IpAddress::V4(192, 0, 2, 2), 5002};

// Two hosts on one network, 20 ms apart.
struct Direct {
  explicit Direct(const CallOptions& options = {})
      : network({.seed = 1}),
        clock(network.clock()),
        host_a(network.AddHost("a", {sim::kInternet, {kA.ip}})),
        host_b(network.AddHost("b", {sim::kInternet, {kB.ip}})),
        call(network, options) {
    call.Attach(host_a, {kA}, host_b, {kB});
    SetLoss(0);
  }
  // Connects, with a channel whose id it returns, and lets two seconds pass.
  ChannelId Connect() {
    const ChannelId channel =
        *call.a.connection.CreateDataChannel(network.now(), {.label = "x"});
    call.Negotiate(call.a);
    EXPECT_TRUE(call.Connected());
    network.RunFor(absl::Seconds(2));
    return channel;
  }
  void SetLoss(double loss) {
    const sim::LinkOptions link{.delay = absl::Milliseconds(5), .loss = loss};
    network.SetLinks(host_a, link);
    network.SetLinks(host_b, link);
  }
  absl::Status Send(ChannelId channel, const std::string& text) {
    return call.a.connection.Send(network.now(), channel, PayloadType::kText,
                                  Bytes(text.begin(), text.end()));
  }

  sim::Network network;
  sim::ScopedClockOverride clock;
  sim::HostId host_a;
  sim::HostId host_b;
  Call call;
};

TEST(ConnectionOutage, DataUnderWayDoesNotEndWhatIceMayMend) {
  for (int seconds : {10, 20, 26, 29, 35, 60}) {
    SCOPED_TRACE(absl::StrCat(seconds, " s"));
    Direct d;
    const ChannelId channel =
        *d.call.a.connection.CreateDataChannel(d.network.now(), {.label = "x"});
    const ChannelId closing =
        *d.call.a.connection.CreateDataChannel(d.network.now(), {.label = "y"});
    d.call.Negotiate(d.call.a);
    ASSERT_TRUE(d.call.Connected());
    d.network.RunFor(absl::Seconds(2));
    d.SetLoss(1);
    ASSERT_OK(d.Send(channel, "during"));
    ASSERT_OK(d.call.a.connection.CloseChannel(d.network.now(), closing));
    d.network.RunFor(absl::Seconds(seconds));
    d.SetLoss(0);
    d.network.RunFor(absl::Seconds(5));
    ASSERT_FALSE(d.call.a.closed) << *d.call.a.closed;
    if (!d.call.a.connected()) {
      d.call.Negotiate(d.call.a, IceRestart::kYes);
      d.network.RunFor(absl::Seconds(5));
    }
    ASSERT_OK(d.Send(channel, "after"));
    d.network.RunFor(absl::Seconds(1));
    EXPECT_EQ(d.call.b.messages.size(), 2u);
    EXPECT_FALSE(d.call.a.closed);
    EXPECT_FALSE(d.call.b.closed);
  }
}

// ICE knows first, and SCTP does not wait for a timer that has backed off.
TEST(ConnectionOutage, DataFollowsConsentAtOnce) {
  Direct d;
  const ChannelId channel = d.Connect();
  d.SetLoss(1);
  ASSERT_OK(d.Send(channel, "during"));
  ASSERT_TRUE(d.network.RunUntil(
      [&] {
        return d.call.a.connection.connection_state() ==
               ConnectionState::kDisconnected;
      },
      absl::Seconds(30)));
  d.network.RunFor(absl::Seconds(10));
  d.SetLoss(0);
  ASSERT_TRUE(d.network.RunUntil(
      [&] {
        return d.call.a.connection.connection_state() ==
               ConnectionState::kConnected;
      },
      absl::Seconds(10)));
  d.network.RunFor(absl::Milliseconds(20));  // A round trip.
  EXPECT_EQ(d.call.b.messages.size(), 1u);
}

// An outage too short to be called one: the path stays the same, and its first
// answer has SCTP try again, long before its own timers would.
TEST(ConnectionOutage, DataFollowsTheFirstAnswerOfADoubtedPath) {
  for (int seconds : {2, 3, 4}) {
    SCOPED_TRACE(absl::StrCat(seconds, " s"));
    Direct d;
    const ChannelId channel = d.Connect();
    d.SetLoss(1);
    ASSERT_OK(d.Send(channel, "during"));
    d.network.RunFor(absl::Seconds(seconds));
    ASSERT_EQ(d.call.a.connection.connection_state(),
              ConnectionState::kConnected);
    d.SetLoss(0);
    // ICE asks a path that it doubts once a second.
    d.network.RunFor(absl::Milliseconds(1100));
    EXPECT_EQ(d.call.b.messages.size(), 1u);
  }
}

// Two cables, and the one in use is pulled while `a` sends as much as it may:
// whoever's link it is, and whoever nominates, no timer has to run out.
TEST(ConnectionOutage, ALinkThatIsDownHoldsUpDataForFiveRoundTrips) {
  for (const bool sender_offers : {true, false}) {
    for (const bool senders_link : {true, false}) {
      SCOPED_TRACE(absl::StrCat(sender_offers, senders_link));
      sim::Network network({.seed = 1});
      sim::ScopedClockOverride clock(network.clock());
      const std::vector<TransportAddress> at_a = {
          kA, {IpAddress::V4(198, 51, 100, 1), 5011}};
      const std::vector<TransportAddress> at_b = {
          kB, {IpAddress::V4(198, 51, 100, 2), 5012}};
      const sim::HostId host_a =
          network.AddHost("a", {sim::kInternet, {at_a[0].ip, at_a[1].ip}});
      const sim::HostId host_b =
          network.AddHost("b", {sim::kInternet, {at_b[0].ip, at_b[1].ip}});
      for (const sim::HostId host : {host_a, host_b}) {
        network.SetLinks(host, {.delay = absl::Milliseconds(5)});
      }
      Call call(network, {});
      call.Attach(host_a, at_a, host_b, at_b);
      const ChannelId channel =
          *call.a.connection.CreateDataChannel(network.now(), {.label = "x"});
      ASSERT_OK(call.b.connection.CreateDataChannel(network.now(), {}));
      call.Negotiate(sender_offers ? call.a : call.b);
      ASSERT_TRUE(call.Connected());
      network.RunFor(absl::Seconds(1));
      const auto talk = [&](absl::Duration duration) {
        const absl::Time end = network.now() + duration;
        while (network.now() < end) {
          ASSERT_OK(call.a.connection.Send(network.now(), channel,
                                           PayloadType::kBinary, Bytes(1000)));
          network.RunFor(absl::Milliseconds(2));
        }
      };
      talk(absl::Seconds(2));
      testing::Side& loser = senders_link ? call.a : call.b;
      const TransportAddress gone = loser.paths.back().path.local;
      const size_t cable = gone == at_a[0] || gone == at_b[0] ? 0 : 1;
      network.set_filter([&](const Datagram& d) {
        return d.path.remote != at_a[cable] && d.path.remote != at_b[cable];
      });
      network.RemoveAddress(senders_link ? host_a : host_b, gone.ip);
      ASSERT_OK(loser.connection.RemoveLocalAddress(network.now(), gone));
      talk(absl::Milliseconds(15));  // What was under way.
      const size_t before = call.b.messages.size();
      talk(absl::Milliseconds(85));
      EXPECT_GT(call.b.messages.size(), before) << call.DebugString();
    }
  }
}

// Everything arrives, each channel ends in good order, and so do both sides.
TEST(ConnectionShutdown, RightAfterTheLastSendLosesNothing) {
  for (double loss : {0.0, 0.05}) {
    SCOPED_TRACE(loss);
    Direct d;
    std::vector<ChannelId> channels;
    channels.reserve(3);
    for (int i = 0; i < 3; ++i) {
      channels.push_back(*d.call.a.connection.CreateDataChannel(
          d.network.now(), {.label = absl::StrCat(i)}));
    }
    d.call.Negotiate(d.call.a);
    ASSERT_TRUE(d.call.Connected());
    d.network.RunFor(absl::Seconds(1));
    d.SetLoss(loss);
    for (int i = 0; i < 60; ++i) {
      ASSERT_OK(d.Send(channels[i % 3], std::string(5000, 'x')));
    }
    d.call.a.connection.Shutdown(d.network.now());
    ASSERT_TRUE(d.network.RunUntil(
        [&] { return d.call.a.closed && d.call.b.closed; }, absl::Seconds(15)));
    EXPECT_OK(*d.call.a.closed);
    EXPECT_OK(*d.call.b.closed);
    EXPECT_EQ(d.call.b.messages.size(), 60u);
  }
}

// A stack that has acknowledged a message may throw it away when its channel
// ends, or its association: its application has time to take it before.
TEST(ConnectionShutdown, TheEndsComeHalfASecondAfterWhatWasSent) {
  for (bool channel_first : {true, false}) {
    SCOPED_TRACE(channel_first);
    Direct d;
    const ChannelId channel =
        *d.call.a.connection.CreateDataChannel(d.network.now(), {.label = "x"});
    d.call.Negotiate(d.call.a);
    ASSERT_TRUE(d.call.Connected());
    d.network.RunFor(absl::Seconds(1));
    ASSERT_OK(d.Send(channel, "last words"));
    if (channel_first) {
      ASSERT_OK(d.call.a.connection.CloseChannel(d.network.now(), channel));
    } else {
      d.call.a.connection.Shutdown(d.network.now());
    }
    const auto until = [&](const std::function<bool()>& done) {
      EXPECT_TRUE(d.network.RunUntil(done, absl::Seconds(10)));
      return d.network.now();
    };
    const absl::Time told =
        until([&] { return d.call.b.messages.size() == 1; });
    const absl::Time closed = until([&] {
      return d.call.b.connection.stats().channels.channels_closed == 1;
    });
    EXPECT_GE(closed - told, absl::Milliseconds(500));
    EXPECT_LE(closed - told, absl::Milliseconds(700));
    if (channel_first) d.call.a.connection.Shutdown(d.network.now());
    const absl::Time ended = until([&] { return d.call.b.closed.has_value(); });
    EXPECT_OK(*d.call.b.closed);
    EXPECT_GE(ended - closed, absl::Milliseconds(500));
    EXPECT_LE(ended - closed, absl::Milliseconds(700));
  }
}

// However long it takes, while the peer takes something.
TEST(ConnectionShutdown, WaitsForASlowPath) {
  for (absl::Duration latest : {absl::Minutes(5), absl::Seconds(30)}) {
    SCOPED_TRACE(latest);
    Direct d({.a = {.shutdown_timeout_max = latest}});
    const ChannelId channel =
        *d.call.a.connection.CreateDataChannel(d.network.now(), {.label = "x"});
    d.call.Negotiate(d.call.a);
    ASSERT_TRUE(d.call.Connected());
    d.network.RunFor(absl::Seconds(1));
    d.network.SetLinks(d.host_a, {.rate_bits_per_s = 400'000});
    constexpr size_t kMessages = 40;  // 40 s at this rate.
    for (size_t i = 0; i < kMessages; ++i) {
      ASSERT_OK(d.Send(channel, std::string(50'000, 'x')));
    }
    const absl::Time start = d.network.now();
    d.call.a.connection.Shutdown(start);
    ASSERT_TRUE(d.network.RunUntil([&] { return d.call.a.closed.has_value(); },
                                   absl::Minutes(6)));
    EXPECT_OK(*d.call.a.closed);
    EXPECT_GT(d.network.now() - start, Options{}.shutdown_timeout);
    if (latest > absl::Minutes(1)) {
      EXPECT_EQ(d.call.b.messages.size(), kMessages);
      EXPECT_EQ(d.call.a.unsent[channel], 0u);
    } else {
      EXPECT_LE(d.network.now() - start, latest + Options{}.linger);
      EXPECT_GT(d.call.a.unsent[channel], 0u);
    }
  }
}

// W3C: the amount stays what it was, whoever ended the connection.
TEST(ConnectionShutdown, WhatWasNotSentIsToldAtTheEnd) {
  Direct d;
  const ChannelId channel =
      *d.call.a.connection.CreateDataChannel(d.network.now(), {.label = "x"});
  d.call.Negotiate(d.call.a);
  ASSERT_TRUE(d.call.Connected());
  d.network.RunFor(absl::Seconds(1));
  ASSERT_OK(d.Send(channel, "first"));
  d.network.SetLinks(d.host_a, {.rate_bits_per_s = 100'000});
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(d.Send(channel, std::string(50'000, 'x')));
  }
  d.network.RunFor(absl::Seconds(5));
  const size_t before = d.call.a.connection.buffered_amount(channel);
  EXPECT_GT(before, 300'000u);
  d.call.b.connection.Close(d.network.now());
  ASSERT_TRUE(d.network.RunUntil([&] { return d.call.a.closed.has_value(); },
                                 absl::Seconds(30)));
  EXPECT_LE(d.call.a.unsent[channel], before);
  EXPECT_GT(d.call.a.unsent[channel], 300'000u);
  EXPECT_EQ(d.call.a.connection.buffered_amount(channel), 0u)
      << "the event has told it";
}

TEST(ConnectionShutdown, DoesNotWaitForASilentPeer) {
  Direct d;
  const ChannelId channel =
      *d.call.a.connection.CreateDataChannel(d.network.now(), {.label = "x"});
  d.call.Negotiate(d.call.a);
  ASSERT_TRUE(d.call.Connected());
  d.network.RunFor(absl::Seconds(1));
  d.SetLoss(1);
  ASSERT_OK(d.Send(channel, "unheard"));
  d.call.a.connection.Shutdown(d.network.now());
  d.network.RunFor(absl::Seconds(22));
  ASSERT_TRUE(d.call.a.closed);
  EXPECT_OK(*d.call.a.closed);
}

}  // namespace
}  // namespace kyuu::peer
