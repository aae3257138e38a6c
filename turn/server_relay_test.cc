// The server's data path: what is forwarded where, in one train or several.

#include <string>
#include <vector>

#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr uint16_t kChannel = 0x4001;

class TurnRelay : public ::testing::Test {
 protected:
  TurnRelay() : client_(1000) { EXPECT_TRUE(harness_.Allocate(client_).ok()); }

  void BindChannel() {
    EXPECT_TRUE(harness_.Bind(client_, kChannel, kTestPeer).ok());
  }
  absl::Span<const Forward> FromClient(absl::Span<const uint8_t> bytes,
                                       size_t segment_size) {
    return harness_.server().FromClient(harness_.now(), client_.path, bytes,
                                        segment_size);
  }
  absl::Span<const Forward> FromPeer(const TransportAddress& source,
                                     absl::string_view bytes,
                                     size_t segment_size) {
    return harness_.server().FromPeer(harness_.now(), *client_.relay, source,
                                      AsBytes(bytes), segment_size);
  }
  const Server::Stats& stats() { return harness_.server().stats(); }
  // What a decision sends, one string per datagram.
  static std::vector<std::string> Sent(const Forward& forward) {
    std::vector<std::string> sent;
    for (size_t i = 0; i < forward.segments; ++i) {
      const auto bytes = ServerHarness::Datagram(forward, i);
      sent.push_back(std::string(AsText(bytes)));
      // What UDP_SEGMENT asks: all equal, the last not longer.
      if (i + 1 < forward.segments) {
        EXPECT_EQ(bytes.size(), forward.segment_bytes());
      } else {
        EXPECT_LE(bytes.size(), forward.segment_bytes());
      }
    }
    return sent;
  }
  // ChannelData messages of `payloads`, one behind the other.
  static std::vector<uint8_t> Train(const std::vector<std::string>& payloads,
                                    uint16_t channel = kChannel) {
    std::vector<uint8_t> train;
    for (const std::string& payload : payloads) {
      const auto message = ServerHarness::ChannelMessage(channel, payload);
      train.insert(train.end(), message.begin(), message.end());
    }
    return train;
  }

  ServerHarness harness_;
  TestClient client_;
};

TEST_F(TurnRelay, ChannelDataGoesToThePeerWithoutItsHeader) {
  BindChannel();
  const auto message = ServerHarness::ChannelMessage(kChannel, "hello");
  const auto forwards = FromClient(message, message.size());
  ASSERT_THAT(forwards, SizeIs(1));
  const Forward& forward = forwards[0];
  EXPECT_EQ(forward.exit, Forward::Exit::kPeer);
  EXPECT_EQ(forward.relay, *client_.relay);
  EXPECT_EQ(forward.path, (Path{client_.relayed, kTestPeer}));
  EXPECT_THAT(Sent(forward), ElementsAre("hello"));
  // A view into what was received, not a copy.
  EXPECT_EQ(forward.payload(0).data(), message.data() + 4);
}

TEST_F(TurnRelay, TrainOfEqualDatagramsIsOneDecision) {
  BindChannel();
  const auto train = Train({"aaaa", "bbbb", "cccc", "dd"});
  const auto forwards = FromClient(train, 8);
  ASSERT_THAT(forwards, SizeIs(1));
  EXPECT_THAT(Sent(forwards[0]), ElementsAre("aaaa", "bbbb", "cccc", "dd"));
  EXPECT_EQ(stats().to_peers, 4u);
  EXPECT_EQ(stats().bytes_to_peers, 14u);
}

TEST_F(TurnRelay, PaddingOverUdpIsLeftOut) {
  BindChannel();
  // Each message is padded to a multiple of 4, as RFC 8656 section 12.5 allows.
  auto train = Train({"abcde"});
  train.resize(12);
  const auto second = Train({"fghij"});
  train.insert(train.end(), second.begin(), second.end());
  const auto forwards = FromClient(train, 12);
  ASSERT_THAT(forwards, SizeIs(1));
  EXPECT_THAT(Sent(forwards[0]), ElementsAre("abcde", "fghij"));
}

TEST_F(TurnRelay, TrainIsSplitWhereChannelOrSizeChanges) {
  BindChannel();
  const TransportAddress other{kTestPeer.ip, 7001};
  EXPECT_TRUE(harness_.Bind(client_, 0x4002, other).ok());
  std::vector<uint8_t> train = Train({"aaaa", "bbbb"});
  const auto change = Train({"cccc", "dddd"}, 0x4002);
  train.insert(train.end(), change.begin(), change.end());
  // A short payload in a full segment ends a train too.
  for (const char* payload : {"ee", "ffff"}) {
    auto message = Train({payload}, 0x4002);
    message.resize(8);
    train.insert(train.end(), message.begin(), message.end());
  }
  const auto forwards = FromClient(train, 8);
  ASSERT_THAT(forwards, SizeIs(3));
  EXPECT_THAT(Sent(forwards[0]), ElementsAre("aaaa", "bbbb"));
  EXPECT_EQ(forwards[0].path.remote, kTestPeer);
  EXPECT_THAT(Sent(forwards[1]), ElementsAre("cccc", "dddd", "ee"));
  EXPECT_EQ(forwards[1].path.remote, other);
  EXPECT_THAT(Sent(forwards[2]), ElementsAre("ffff"));
}

TEST_F(TurnRelay, TrainMayMixRequestsAndData) {
  BindChannel();
  auto request = harness_.Build(client_, stun::Method::kBinding,
                                [](stun::MessageWriter&) {});
  const std::string payload(request.size() - 4, 'x');
  auto train = Train({payload});
  train.insert(train.end(), request.begin(), request.end());
  const auto more = Train({payload, payload});
  train.insert(train.end(), more.begin(), more.end());
  EXPECT_THAT(FromClient(train, request.size()), SizeIs(2));
  std::vector<uint8_t> out(2048);
  EXPECT_TRUE(harness_.server()
                  .PollTransmit(harness_.now(), absl::MakeSpan(out))
                  .has_value());
}

TEST_F(TurnRelay, EmptyChannelDataIsAnEmptyDatagram) {
  BindChannel();
  const auto train = Train({"", ""});
  const auto forwards = FromClient(train, 4);
  ASSERT_THAT(forwards, SizeIs(2));
  EXPECT_THAT(Sent(forwards[0]), ElementsAre(""));
  EXPECT_THAT(Sent(forwards[1]), ElementsAre(""));
}

TEST_F(TurnRelay, SendIndicationGoesToAPermittedPeer) {
  const auto indication = harness_.SendIndication(kTestPeer, "hello");
  EXPECT_THAT(FromClient(indication, indication.size()), SizeIs(0));
  EXPECT_EQ(stats().no_permission, 1u);
  EXPECT_TRUE(harness_.Permit(client_, kTestPeer.ip).ok());
  const auto forwards = FromClient(indication, indication.size());
  ASSERT_THAT(forwards, SizeIs(1));
  EXPECT_EQ(forwards[0].path, (Path{client_.relayed, kTestPeer}));
  EXPECT_THAT(Sent(forwards[0]), ElementsAre("hello"));
}

TEST_F(TurnRelay, TrainOfSendIndicationsIsOneDecision) {
  EXPECT_TRUE(harness_.Permit(client_, kTestPeer.ip).ok());
  const TransportAddress other{kTestPeer.ip, 7001};
  std::vector<uint8_t> train;
  size_t size = 0;
  const auto add = [&](const TransportAddress& to, const char* payload) {
    const auto indication = harness_.SendIndication(to, payload);
    if (train.empty()) size = indication.size();
    train.insert(train.end(), indication.begin(), indication.end());
  };
  for (const char* payload : {"aaaaa", "bbbbb", "ccccc", "dddddd"}) {
    add(kTestPeer, payload);
  }
  add(other, "eeeeee");
  add(other, "ffffff");
  add(other, "gg");
  const auto forwards = FromClient(train, size);
  ASSERT_THAT(forwards, SizeIs(4));
  EXPECT_THAT(Sent(forwards[0]), ElementsAre("aaaaa", "bbbbb", "ccccc"));
  EXPECT_EQ(forwards[0].path, (Path{client_.relayed, kTestPeer}));
  EXPECT_EQ(forwards[0].payload(0).data(), train.data() + 36);
  EXPECT_THAT(Sent(forwards[1]), ElementsAre("dddddd"));
  EXPECT_THAT(Sent(forwards[2]), ElementsAre("eeeeee", "ffffff"));
  EXPECT_EQ(forwards[2].path.remote, other);
  EXPECT_THAT(Sent(forwards[3]), ElementsAre("gg"));
  EXPECT_EQ(stats().to_peers, 7u);
  EXPECT_EQ(stats().bytes_to_peers, 35u);
}

// A transaction id is part of how an IPv6 address is written (RFC 8489 section
// 14.2): equal bytes behind another id are another address.
TEST_F(TurnRelay, TrainOfSendIndicationsToIpv6IsReadOneByOne) {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses = {{*IpAddress::Parse("2a00::2"), {}}};
  ServerHarness harness(options);
  TestClient client(1000);
  const auto for_v6 = [](stun::MessageWriter& w) {
    w.Add(stun::RequestedAddressFamily{IpFamily::kV6});
  };
  ASSERT_TRUE(harness.Allocate(client, for_v6).ok());
  const auto peer = *TransportAddress::Parse("[2a00::9]:99");
  ASSERT_TRUE(harness.Permit(client, peer.ip).ok());
  const auto first = harness.SendIndication(peer, "aaaa");
  const auto second = harness.SendIndication(peer, "bbbb");
  std::vector<uint8_t> train = first;
  train.insert(train.end(), second.begin(), second.end());
  train.insert(train.end(), first.begin(), first.end());
  train[2 * first.size() + 19] ^= 1;  // Of the id.
  EXPECT_THAT(harness.server().FromClient(harness.now(), client.path, train,
                                          first.size()),
              SizeIs(2));
  EXPECT_EQ(harness.server().stats().no_permission, 1u);
}

TEST_F(TurnRelay, SendIndicationWithWhatIsNotUnderstoodIsDropped) {
  EXPECT_TRUE(harness_.Permit(client_, kTestPeer.ip).ok());
  std::vector<uint8_t> buffer(256);
  stun::MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kIndication,
                        stun::Method::kSend, {});
  w.Add(stun::XorPeerAddress{kTestPeer});
  w.Add(stun::AccessToken{});
  w.Add(stun::Data{AsBytes("x")});
  const auto bytes = w.Finish();
  EXPECT_THAT(FromClient(bytes, bytes.size()), SizeIs(0));
  EXPECT_EQ(stats().malformed, 1u);
}

TEST_F(TurnRelay, PeerDataComesAsChannelDataWhereAChannelIsBound) {
  BindChannel();
  const auto forwards = FromPeer(kTestPeer, "aaaaabbbbbcc", 5);
  ASSERT_THAT(forwards, SizeIs(1));
  const Forward& forward = forwards[0];
  EXPECT_EQ(forward.exit, Forward::Exit::kClient);
  EXPECT_EQ(forward.path, client_.path);
  EXPECT_THAT(Sent(forward),
              ElementsAre(std::string("\x40\x01\0\x05", 4) + "aaaaa",
                          std::string("\x40\x01\0\x05", 4) + "bbbbb",
                          std::string("\x40\x01\0\x02", 4) + "cc"));
  EXPECT_EQ(forward.segment_bytes(), 9u);
}

TEST_F(TurnRelay, PeerDataComesAsDataIndicationsElsewhere) {
  EXPECT_TRUE(harness_.Permit(client_, kTestPeer.ip).ok());
  const auto forwards = FromPeer(kTestPeer, "aaaaabbbbbc", 5);
  ASSERT_THAT(forwards, SizeIs(1));
  const char* const payloads[] = {"aaaaa", "bbbbb", "c"};
  std::vector<stun::TransactionId> ids;
  for (size_t i = 0; i < 3; ++i) {
    const auto bytes = ServerHarness::Datagram(forwards[0], i);
    const auto view = stun::MessageView::Parse(bytes);
    ASSERT_OK(view);
    EXPECT_TRUE(view->Is(stun::MessageClass::kIndication, stun::Method::kData));
    EXPECT_EQ(view->Get<stun::XorPeerAddress>()->address, kTestPeer);
    EXPECT_EQ(AsText(view->Get<stun::Data>()->value), payloads[i]);
    ids.push_back(view->transaction_id());
  }
  EXPECT_NE(ids[0], ids[1]);
}

// Padding is zeros, wherever the payload ends.
TEST_F(TurnRelay, PaddingBytesAreZero) {
  EXPECT_TRUE(harness_.Permit(client_, kTestPeer.ip).ok());
  for (size_t size = 0; size < 200; ++size) {
    const std::string payload(size, '\xff');
    const auto forwards = FromPeer(kTestPeer, payload, size + 1);
    ASSERT_THAT(forwards, SizeIs(1));
    const auto bytes = ServerHarness::Datagram(forwards[0]);
    EXPECT_EQ(bytes.size() % 4, 0u);
    ASSERT_OK(stun::MessageView::Parse(bytes));
    for (size_t i = 36 + size; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], 0);
  }
  // Responses: the realm is padded, and the reason of errors.
  TestClient stranger(2000);
  for (const size_t length : {1u, 2u, 3u, 5u, 6u, 7u}) {
    ServerOptions options = ServerHarness::Options();
    options.realm = std::string(length, 'r');
    ServerHarness other(options);
    const Reply reply = other.Call(
        stranger, stun::Method::kAllocate,
        [](stun::MessageWriter& w) { w.Add(stun::RequestedTransport{}); });
    const size_t realm = 20 + 8 + 4;
    for (size_t i = realm + length; i < realm + (length + 3) / 4 * 4; ++i) {
      EXPECT_EQ(reply.bytes()[i], 0);
    }
  }
}

TEST_F(TurnRelay, Ipv6PeersHaveLongerPrefixes) {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses = {{*IpAddress::Parse("2a00::2"), {}}};
  ServerHarness harness(options);
  TestClient client(1000);
  ASSERT_TRUE(harness
                  .Allocate(client,
                            [](stun::MessageWriter& w) {
                              w.Add(
                                  stun::RequestedAddressFamily{IpFamily::kV6});
                            })
                  .ok());
  const auto peer = *TransportAddress::Parse("[2a00::9]:99");
  ASSERT_TRUE(harness.Permit(client, peer.ip).ok());
  const auto forwards = harness.server().FromPeer(harness.now(), *client.relay,
                                                  peer, AsBytes("hi"), 2);
  ASSERT_THAT(forwards, SizeIs(1));
  const auto bytes = ServerHarness::Datagram(forwards[0]);
  const auto view = stun::MessageView::Parse(bytes);
  ASSERT_OK(view);
  EXPECT_EQ(view->Get<stun::XorPeerAddress>()->address, peer);
  EXPECT_EQ(AsText(view->Get<stun::Data>()->value), "hi");
}

// Nothing of a peer reaches the client without a live permission.
TEST_F(TurnRelay, PeerDataNeedsALivePermission) {
  EXPECT_THAT(FromPeer(kTestPeer, "x", 1), SizeIs(0));
  EXPECT_EQ(stats().no_permission, 1u);
  BindChannel();
  EXPECT_THAT(FromPeer(kTestPeer, "x", 1), SizeIs(1));
  // Another port of the address may speak, by permission, without a channel.
  EXPECT_THAT(FromPeer({kTestPeer.ip, 1}, "x", 1), SizeIs(1));
  EXPECT_THAT(FromPeer({IpAddress::V4(8, 8, 8, 9), 7000}, "x", 1), SizeIs(0));
  // The permission ends after 5 minutes, although the channel has 10.
  harness_.Advance(absl::Minutes(5));
  EXPECT_THAT(FromPeer(kTestPeer, "x", 1), SizeIs(0));
  const auto message = ServerHarness::ChannelMessage(kChannel, "x");
  EXPECT_THAT(FromClient(message, message.size()), SizeIs(1));
  EXPECT_TRUE(harness_.Permit(client_, kTestPeer.ip).ok());
  EXPECT_EQ(FromPeer(kTestPeer, "x", 1).at(0).prefix_bytes, 4u);
  // And the channel after 10.
  EXPECT_TRUE(harness_.Refresh(client_, 3600).ok());
  harness_.Advance(absl::Minutes(5));
  EXPECT_THAT(FromClient(message, message.size()), SizeIs(0));
  EXPECT_EQ(stats().no_channel, 1u);
}

TEST_F(TurnRelay, PolicyChangeRevokesLivePermissionsAndChannels) {
  BindChannel();
  const TransportAddress stays{IpAddress::V4(1, 1, 1, 1), 53};
  EXPECT_TRUE(harness_.Bind(client_, 0x4002, stays).ok());
  ServerOptions options = ServerHarness::Options();
  options.deny_peers = {*IpPrefix::Parse("8.0.0.0/8")};
  harness_.server().SetOptions(harness_.now(), options);
  EXPECT_THAT(FromPeer(kTestPeer, "x", 1), SizeIs(0));
  EXPECT_THAT(FromPeer(stays, "x", 1), SizeIs(1));
  const auto message = ServerHarness::ChannelMessage(kChannel, "x");
  EXPECT_THAT(FromClient(message, message.size()), SizeIs(0));
  EXPECT_EQ(harness_.Permit(client_, kTestPeer.ip).error(), 403);
}

TEST_F(TurnRelay, NothingPassesOutsideOfAnOpenAllocation) {
  BindChannel();
  const auto message = ServerHarness::ChannelMessage(kChannel, "x");
  TestClient stranger(2000);
  EXPECT_THAT(harness_.server().FromClient(harness_.now(), stranger.path,
                                           message, message.size()),
              SizeIs(0));
  EXPECT_THAT(harness_.server().FromPeer(harness_.now(), RelayId{99}, kTestPeer,
                                         AsBytes("x"), 1),
              SizeIs(0));
  EXPECT_TRUE(harness_.Refresh(client_, 0).ok());
  EXPECT_THAT(FromClient(message, message.size()), SizeIs(0));
  EXPECT_THAT(FromPeer(kTestPeer, "x", 1), SizeIs(0));
  EXPECT_EQ(stats().no_allocation, 4u);
}

TEST_F(TurnRelay, EachStepIsCountedOnceAndNothingElse) {
  BindChannel();
  ServerStats before = stats();
  const auto counted = [&] {
    const ServerStats now = stats();
    return CountersToString(CountersSince(std::exchange(before, now), now));
  };
  EXPECT_TRUE(harness_.Refresh(client_, 600).ok());
  EXPECT_EQ(counted(), "requests=1 successes=1");
  EXPECT_FALSE(harness_.Bind(client_, 0x3fff, kTestPeer).ok());
  EXPECT_EQ(counted(), "requests=1 errors=1");
  const auto sent = ServerHarness::ChannelMessage(kChannel, "four");
  FromClient(sent, sent.size());
  EXPECT_EQ(counted(), "to_peers=1 bytes_to_peers=4");
  harness_.server().FromPeer(harness_.now(), *client_.relay, kTestPeer,
                             AsBytes("eleven bytes"), 6);
  EXPECT_EQ(counted(), "to_clients=2 bytes_to_clients=12");
}

TEST_F(TurnRelay, RelayIdsAreNotUsedAgain) {
  const RelayId first = *client_.relay;
  EXPECT_TRUE(harness_.Refresh(client_, 0).ok());
  EXPECT_TRUE(harness_.Allocate(client_).ok());
  EXPECT_NE(*client_.relay, first);
  harness_.server().RelayFailed(harness_.now(), first);  // Late: ignored.
  EXPECT_EQ(harness_.server().allocations(), 1u);
}

TEST_F(TurnRelay, HandlePacketFindsTheSocketByAddress) {
  BindChannel();
  Server& server = harness_.server();
  server.HandlePacket(harness_.now(),
                      {{client_.relayed, kTestPeer}, AsBytes("hi")});
  ASSERT_THAT(server.forwards(), SizeIs(1));
  EXPECT_EQ(server.forwards()[0].exit, Forward::Exit::kClient);
  const auto message = ServerHarness::ChannelMessage(kChannel, "x");
  server.HandlePacket(harness_.now(), {client_.path, message});
  ASSERT_THAT(server.forwards(), SizeIs(1));
  EXPECT_EQ(server.forwards()[0].exit, Forward::Exit::kPeer);
}

// Lengths that claim more than there is.
TEST_F(TurnRelay, LengthsBeyondTheDatagramAreDropped) {
  BindChannel();
  const auto drop = [&](std::vector<uint8_t> bytes) {
    EXPECT_THAT(FromClient(bytes, bytes.size()), SizeIs(0)) << ToHex(bytes);
  };
  drop(FromHex("4001 ffff 00"));
  drop(FromHex("4001 0002 00"));
  drop(FromHex("4001 00"));
  drop(FromHex("40"));
  drop(FromHex("0016 ffff 2112a442 000000000000000000000000"));
  // An attribute longer than what is left of the message.
  drop(FromHex(
      "0016 0008 2112a442 000000000000000000000000 0013 ffff 41414141"));
  EXPECT_EQ(stats().malformed, 6u);
  // Every truncation and every flipped bit of a good indication: no crash, and
  // nothing to anybody but a permitted address.
  const auto good = harness_.SendIndication(kTestPeer, "payload");
  for (size_t size = 1; size < good.size(); ++size) {
    drop({good.begin(), good.begin() + static_cast<long>(size)});
  }
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    for (const Forward& forward : FromClient(bad, bad.size())) {
      EXPECT_EQ(forward.path.remote.ip, kTestPeer.ip);
    }
  }
}

// What stands behind MESSAGE-INTEGRITY does not count.
TEST_F(TurnRelay, AttributesBehindIntegrityAreIgnored) {
  auto request = harness_.Build(client_, stun::Method::kRefresh,
                                [](stun::MessageWriter&) {});
  const auto lifetime_zero = FromHex("000d 0004 00000000");
  request.insert(request.end(), lifetime_zero.begin(), lifetime_zero.end());
  request[3] = static_cast<uint8_t>(request.size() - 20);
  const Reply reply = harness_.Exchange(client_, request);
  EXPECT_TRUE(reply.ok());
  EXPECT_EQ(harness_.server().allocations(), 1u);
}

// Of two equal attributes the first counts, for the check as for the send.
TEST_F(TurnRelay, FirstOfDuplicatePeersIsCheckedAndUsed) {
  EXPECT_TRUE(harness_.Permit(client_, kTestPeer.ip).ok());
  const TransportAddress forbidden{IpAddress::V4(127, 0, 0, 1), 80};
  const auto indication = [&](const TransportAddress& first,
                              const TransportAddress& second) {
    std::vector<uint8_t> buffer(256);
    stun::MessageWriter w(absl::MakeSpan(buffer),
                          stun::MessageClass::kIndication, stun::Method::kSend,
                          {});
    w.Add(stun::XorPeerAddress{first});
    w.Add(stun::XorPeerAddress{second});
    w.Add(stun::Data{AsBytes("x")});
    buffer.resize(w.Finish().size());
    return buffer;
  };
  const auto good = indication(kTestPeer, forbidden);
  const auto forwards = FromClient(good, good.size());
  ASSERT_THAT(forwards, SizeIs(1));
  EXPECT_EQ(forwards[0].path.remote, kTestPeer);
  const auto bad = indication(forbidden, kTestPeer);
  EXPECT_THAT(FromClient(bad, bad.size()), SizeIs(0));
  const Reply bind = harness_.Call(client_, stun::Method::kChannelBind,
                                   [&](stun::MessageWriter& w) {
                                     w.Add(stun::ChannelNumber{kChannel});
                                     w.Add(stun::XorPeerAddress{forbidden});
                                     w.Add(stun::XorPeerAddress{kTestPeer});
                                   });
  EXPECT_EQ(bind.error(), 403);
}

}  // namespace
}  // namespace kyuu::turn
