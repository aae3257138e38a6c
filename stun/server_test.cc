#include "stun/server.h"

#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::stun {
namespace {

// As the server sees them: `local` is its own address.
const Path kPath{.local = {IpAddress::V4(192, 0, 2, 1), 3478},
                 .remote = {IpAddress::V4(203, 0, 113, 7), 41000}};
const Path kPathV6{.local = {*IpAddress::Parse("2001:db8::1"), 3478},
                   .remote = {*IpAddress::Parse("2001:db8::7"), 41000}};
const TransactionId kId = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
const absl::Time kNow = absl::UnixEpoch();

class Request {
 public:
  Request()
      : writer_(absl::MakeSpan(buffer_), MessageClass::kRequest,
                Method::kBinding, kId) {}
  template <typename A>
  Request& Add(const A& a) {
    writer_.Add(a);
    return *this;
  }
  Request& AddRaw(uint16_t type) {
    writer_.AddRaw(type, {});
    return *this;
  }
  Request& AddFingerprint() {
    writer_.AddFingerprint();
    return *this;
  }
  absl::Span<const uint8_t> bytes() { return writer_.Finish(); }

 private:
  std::array<uint8_t, 400> buffer_;
  MessageWriter writer_;
};

TEST(ServerTest, AnswersABareRequestIn32Bytes) {
  Server server({});
  Request request;
  std::array<uint8_t, 600> out;
  const auto answer =
      server.Answer({kPath, request.bytes()}, absl::MakeSpan(out));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->path, kPath);
  EXPECT_EQ(ToHex(answer->bytes),
            "0101000c2112a442"
            "0102030405060708090a0b0c"
            "002000080001813aea12d545");
  EXPECT_EQ(server.stats().successes, 1);
}

TEST(ServerTest, AnswersOverIpv6) {
  Server server({});
  Request request;
  std::array<uint8_t, 600> out;
  const auto answer =
      server.Answer({kPathV6, request.bytes()}, absl::MakeSpan(out));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->bytes.size(), 44);
  EXPECT_EQ(MessageView::Parse(answer->bytes)->Get<XorMappedAddress>(),
            XorMappedAddress{kPathV6.remote});
}

TEST(ServerTest, FingerprintIsAnsweredWithFingerprint) {
  Server server({});
  Request request;
  std::array<uint8_t, 600> out;
  const auto answer = server.Answer({kPath, request.AddFingerprint().bytes()},
                                    absl::MakeSpan(out));
  ASSERT_TRUE(answer);
  EXPECT_TRUE(MessageView::Parse(answer->bytes)->CheckFingerprint());
}

// RFC 8489 section 6.3.1.
TEST(ServerTest, UnknownAttributesAreRefusedWithTheirList) {
  Server server({});
  Request request;
  std::array<uint8_t, 600> out;
  const auto answer = server.Answer(
      {kPath, request.AddRaw(0x7001).AddRaw(0xf001).AddRaw(0x7002).bytes()},
      absl::MakeSpan(out));
  ASSERT_TRUE(answer);
  const auto view = MessageView::Parse(answer->bytes);
  ASSERT_OK(view);
  EXPECT_TRUE(view->Is(MessageClass::kError, Method::kBinding));
  EXPECT_EQ(view->Get<ErrorCode>()->code, Error::kUnknownAttribute);
  const auto unknown = view->Get<UnknownAttributes>();
  ASSERT_TRUE(unknown);
  ASSERT_EQ(unknown->count, 2);
  EXPECT_EQ(unknown->types[0], 0x7001);
  EXPECT_EQ(unknown->types[1], 0x7002);
}

// RFC 8489 section 6.3.1: of all that the codec can read, only what this server
// does something about is understood. The next attribute that the codec learns
// is refused until it is added to one of these lists.
TEST(ServerTest, OnlyAttributesOfItsOwnListAreUnderstood) {
  const AttributeSet understood =
      AttributeSet::Of<MappedAddress, Username, ErrorCode, UnknownAttributes,
                       Realm, Nonce, PasswordAlgorithm, Userhash,
                       XorMappedAddress>();
  const AttributeSet discovery =
      understood | AttributeSet::Of<ChangeRequest, ResponsePort, Padding>();
  const TransportAddress alternate{IpAddress::V4(192, 0, 2, 2), 3479};
  std::array<uint8_t, 600> out;
  for (const bool two_addresses : {false, true}) {
    Server::Options options;
    if (two_addresses) {
      options.discovery = Server::Discovery{kPath.local, alternate};
    }
    Server server(options);
    for (uint16_t type = 0; type < 0x80; ++type) {
      // Those that are not attributes to be looked up.
      if (type == MessageIntegrity::kType ||
          type == MessageIntegritySha256::kType) {
        continue;
      }
      SCOPED_TRACE(absl::StrCat(type, " ", AttributeName(type)));
      Request request;
      const auto answer = server.Answer({kPath, request.AddRaw(type).bytes()},
                                        absl::MakeSpan(out));
      ASSERT_TRUE(answer);
      const auto unknown =
          MessageView::Parse(answer->bytes)->Get<UnknownAttributes>();
      const bool refused = unknown && unknown->count == 1;
      EXPECT_EQ(refused,
                !(two_addresses ? discovery : understood).Contains(type));
    }
  }
}

// Whatever is asked over IPv4, the answer is at most 1.6 times as long.
TEST(ServerTest, AmplifiesByAtMost1Point6) {
  Server server({});
  std::array<uint8_t, 600> out;
  for (int attributes = 0; attributes < 60; ++attributes) {
    for (const bool fingerprint : {false, true}) {
      Request request;
      for (int i = 0; i < attributes; ++i) {
        request.AddRaw(static_cast<uint16_t>(0x7000 + i));
      }
      if (fingerprint) request.AddFingerprint();
      const auto bytes = request.bytes();
      const auto answer = server.Answer({kPath, bytes}, absl::MakeSpan(out));
      ASSERT_TRUE(answer);
      EXPECT_LE(answer->bytes.size() * 10, bytes.size() * 16) << attributes;
    }
  }
}

TEST(ServerTest, NoiseGetsNoAnswer) {
  Server server({});
  std::array<uint8_t, 600> out;
  const auto answered = [&](const Path& path, absl::Span<const uint8_t> bytes) {
    return server.Answer({path, bytes}, absl::MakeSpan(out)).has_value();
  };
  Request request;
  std::vector<uint8_t> bytes(request.bytes().begin(), request.bytes().end());
  EXPECT_FALSE(answered(kPath, {}));
  EXPECT_FALSE(answered(kPath, absl::MakeConstSpan(bytes).first(19)));
  EXPECT_EQ(server.stats().malformed, 2);
  bytes[0] = 0x01;  // A response: answering it could start a loop.
  EXPECT_FALSE(answered(kPath, bytes));
  bytes[0] = 0x00;
  bytes[1] = 0x11;  // An indication.
  EXPECT_FALSE(answered(kPath, bytes));
  bytes[1] = 0x03;  // Allocate.
  EXPECT_FALSE(answered(kPath, bytes));
  EXPECT_EQ(server.stats().unexpected, 3);
  Request with_fingerprint;
  const auto good = with_fingerprint.AddFingerprint().bytes();
  std::vector<uint8_t> bad(good.begin(), good.end());
  bad.back() ^= 1;
  EXPECT_FALSE(answered(kPath, bad));
  EXPECT_EQ(server.stats().malformed, 3);
}

TEST(ServerTest, SourcesThatCannotBeAnsweredAreDropped) {
  Server server({});
  std::array<uint8_t, 600> out;
  for (const TransportAddress& source :
       {TransportAddress{IpAddress::V4(203, 0, 113, 7), 0},
        TransportAddress{IpAddress::V4(0, 0, 0, 0), 1},
        TransportAddress{IpAddress::V4(224, 0, 0, 1), 1}, TransportAddress{}}) {
    Request request;
    Path path = kPath;
    path.remote = source;
    EXPECT_FALSE(server.Answer({path, request.bytes()}, absl::MakeSpan(out)));
  }
  EXPECT_EQ(server.stats().bad_source, 4);
}

TEST(ServerTest, AsAnEngineItAnswersInOrderAndBoundsItsQueue) {
  Server server({.answers_max = 2});
  std::array<uint8_t, 600> out;
  for (uint16_t port = 1; port <= 3; ++port) {
    Request request;
    Path path = kPath;
    path.remote.port = port;
    server.HandlePacket(kNow, {path, request.bytes()});
  }
  EXPECT_EQ(server.stats().dropped, 1);
  for (uint16_t port = 1; port <= 2; ++port) {
    const auto answer = server.PollTransmit(kNow, absl::MakeSpan(out));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->path.remote.port, port);
    EXPECT_EQ(
        MessageView::Parse(answer->bytes)->Get<XorMappedAddress>()->address,
        answer->path.remote);
  }
  EXPECT_FALSE(server.PollTransmit(kNow, absl::MakeSpan(out)));
  EXPECT_EQ(server.NextTimeout(), absl::InfiniteFuture());
  server.Close();
  Request request;
  server.HandlePacket(kNow, {kPath, request.bytes()});
  EXPECT_FALSE(server.PollTransmit(kNow, absl::MakeSpan(out)));
  EXPECT_TRUE(server.PollEvent());
  EXPECT_FALSE(server.PollEvent());
}

// RFC 5389 section 12.2.
TEST(ServerTest, ClientsOfRfc3489AreAnswered) {
  Server server({});
  std::array<uint8_t, 600> out;
  const std::vector<uint8_t> bare =
      FromHex("0001 0000 00112233 445566778899aabbccddeeff");
  const auto answer = server.Answer({kPath, bare}, absl::MakeSpan(out));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->bytes.size(), 32);
  EXPECT_EQ(answer->bytes[4], 0x00);  // Its own id, not the cookie.
  const std::vector<uint8_t> change =
      FromHex("0001 0008 00112233 445566778899aabbccddeeff 0003 0004 00000006");
  server.Answer({kPath, change}, absl::MakeSpan(out));
  EXPECT_EQ(server.stats().classic_requests, 2);
  EXPECT_EQ(server.stats().successes, 1);
  EXPECT_EQ(server.stats().errors, 1);
}

// RFC 5780 section 6.1.
TEST(ServerDiscoveryTest, WithoutASecondAddressItIsRefused) {
  Server server({});
  std::array<uint8_t, 600> out;
  Request change, port, padding;
  for (const auto& bytes :
       {change.Add(ChangeRequest{.change_port = true}).bytes(),
        port.Add(ResponsePort{7}).bytes(), padding.Add(Padding{}).bytes()}) {
    const auto answer = server.Answer({kPath, bytes}, absl::MakeSpan(out));
    ASSERT_TRUE(answer);
    EXPECT_EQ(MessageView::Parse(answer->bytes)->Get<ErrorCode>()->code,
              Error::kUnknownAttribute);
    EXPECT_EQ(answer->path, kPath);
  }
}

TEST(ServerDiscoveryTest, AnswersFromTheAddressAskedFor) {
  const TransportAddress alternate{IpAddress::V4(192, 0, 2, 2), 3479};
  Server server({.discovery = Server::Discovery{kPath.local, alternate}});
  std::array<uint8_t, 600> out;
  for (const bool at_alternate : {false, true}) {
    for (const bool ip : {false, true}) {
      for (const bool port : {false, true}) {
        Path path = kPath;
        if (at_alternate) path.local = alternate;
        const TransportAddress here = path.local;
        const TransportAddress there = at_alternate ? kPath.local : alternate;
        Request request;
        request.Add(ChangeRequest{.change_ip = ip, .change_port = port});
        const auto answer =
            server.Answer({path, request.bytes()}, absl::MakeSpan(out));
        ASSERT_TRUE(answer);
        const TransportAddress expected{ip ? there.ip : here.ip,
                                        port ? there.port : here.port};
        EXPECT_EQ(answer->path.local, expected);
        const auto view = MessageView::Parse(answer->bytes);
        EXPECT_EQ(view->Get<ResponseOrigin>(), ResponseOrigin{expected});
        EXPECT_EQ(view->Get<OtherAddress>(), OtherAddress{there});
      }
    }
  }
}

// RFC 5780 section 7.6, and no gain for whom forges a source.
TEST(ServerDiscoveryTest, PaddingIsAnsweredWithAsMuchUpToAPacket) {
  Server server({.discovery = Server::Discovery{
                     kPath.local, {IpAddress::V4(192, 0, 2, 2), 3479}}});
  std::array<uint8_t, 2048> out;
  for (const auto& [asked, told] :
       {std::pair<size_t, size_t>(8, 8), {1500, 1500}, {1600, 1500}}) {
    std::array<uint8_t, 2048> request;
    MessageWriter writer(absl::MakeSpan(request), MessageClass::kRequest,
                         Method::kBinding, TransactionId{});
    writer.Add(Padding{std::vector<uint8_t>(asked)});
    const auto answer =
        server.Answer({kPath, writer.Finish()}, absl::MakeSpan(out));
    ASSERT_TRUE(answer);
    const auto padding = MessageView::Parse(answer->bytes)->Get<Padding>();
    ASSERT_TRUE(padding);
    EXPECT_EQ(padding->value.size(), told);
  }
}

TEST(ServerDiscoveryTest, ResponsePortGoesToTheSameHostOnly) {
  Server server({.discovery = Server::Discovery{
                     kPath.local, {IpAddress::V4(192, 0, 2, 2), 3479}}});
  std::array<uint8_t, 600> out;
  Request request, with_padding;
  const auto answer = server.Answer(
      {kPath, request.Add(ResponsePort{7000}).bytes()}, absl::MakeSpan(out));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->path.remote.ip, kPath.remote.ip);
  EXPECT_EQ(answer->path.remote.port, 7000);
  EXPECT_EQ(MessageView::Parse(answer->bytes)->Get<XorMappedAddress>(),
            XorMappedAddress{kPath.remote});
  const auto refused = server.Answer(
      {kPath, with_padding.Add(ResponsePort{7000}).Add(Padding{}).bytes()},
      absl::MakeSpan(out));
  ASSERT_TRUE(refused);
  EXPECT_EQ(MessageView::Parse(refused->bytes)->Get<ErrorCode>()->code,
            Error::kBadRequest);
}

}  // namespace
}  // namespace kyuu::stun
