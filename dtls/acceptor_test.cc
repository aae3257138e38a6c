#include "dtls/acceptor.h"

#include <array>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "dtls/certificate.h"
#include "dtls/session.h"
#include "dtls/testing/two.h"

namespace kyuu::dtls {
namespace {

const TransportAddress kClient{IpAddress::V4(192, 0, 2, 1), 40'000};
const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

class AcceptorTest : public testing::Test {
 protected:
  AcceptorTest() {
    // Key and certificate in one file, as many people keep them.
    const std::string file = absl::StrCat(testing::TempDir(), "/server.pem");
    std::ofstream(file) << CertificateOf(1).ToPem();
    acceptor_.emplace(ServerContext::FromFiles(file, file).value(), random_,
                      Options());
    client_.emplace(Role::kClient, CertificateOf(0), Options());
    EXPECT_OK(
        client_->SetRemoteFingerprints(kNow, {CertificateOf(1).fingerprint()}));
    client_->Start(kNow);
  }
  std::vector<Bytes> FromClient() { return Drain(*client_, kNow); }
  Acceptor::Heard Hear(absl::Span<const uint8_t> datagram,
                       const TransportAddress& client = kClient,
                       absl::Time now = kNow) {
    return acceptor_->Hear(now, client, datagram);
  }
  // The ClientHello that has the cookie of `client` at kNow.
  Bytes SecondHello(const TransportAddress& client = kClient) {
    const Bytes first = FromClient().at(0);
    const Acceptor::Heard heard = Hear(first, client);
    EXPECT_TRUE(std::holds_alternative<Acceptor::Reply>(heard));
    client_->HandlePacket(kNow, std::get<Acceptor::Reply>(heard).bytes);
    return FromClient().at(0);
  }

  SeededRandom random_{1};
  std::optional<Acceptor> acceptor_;
  std::optional<Session> client_;
};

TEST_F(AcceptorTest, AClientThatReturnsItsCookieHasASession) {
  Acceptor::Heard heard = Hear(SecondHello());
  ASSERT_TRUE(std::holds_alternative<Session>(heard));
  Session server = std::get<Session>(std::move(heard));
  for (int i = 0; i < 4; ++i) {
    for (const Bytes& d : Drain(server, kNow)) client_->HandlePacket(kNow, d);
    for (const Bytes& d : FromClient()) server.HandlePacket(kNow, d);
  }
  ASSERT_TRUE(client_->connected());
  ASSERT_TRUE(server.connected());
  EXPECT_EQ(client_->stats().retransmissions, 0u);
  server.HandlePacket(kNow, Seal(*client_, "to the server"));
  EXPECT_EQ(Read(server), "to the server");
  client_->HandlePacket(kNow, Seal(server, "to the client"));
  EXPECT_EQ(Read(*client_), "to the client");
}

// What a forger gets others to be sent.
TEST_F(AcceptorTest, TheReplyIsShorterThanWhatItAnswers) {
  const Bytes hello = FromClient().at(0);
  const Acceptor::Heard heard = Hear(hello);
  EXPECT_LT(std::get<Acceptor::Reply>(heard).bytes.size(), hello.size());
  // The smallest ClientHello that there can be.
  EXPECT_LT(std::get<Acceptor::Reply>(heard).bytes.size(),
            13u + 12 + 2 + 32 + 1 + 1 + 4 + 2);
}

TEST_F(AcceptorTest, ACookieIsOfOneAddressAndTime) {
  const Bytes hello = SecondHello();
  TransportAddress other = kClient;
  other.port = 40'001;
  EXPECT_TRUE(std::holds_alternative<Acceptor::Reply>(Hear(hello, other)));
  other = {IpAddress::V4(192, 0, 2, 2), 40'000};
  EXPECT_TRUE(std::holds_alternative<Acceptor::Reply>(Hear(hello, other)));
  const auto at = [&](absl::Duration later) {
    return std::holds_alternative<Session>(Hear(hello, kClient, kNow + later));
  };
  EXPECT_TRUE(at(absl::ZeroDuration()));
  EXPECT_TRUE(at(Acceptor::kCookieLifetime));
  EXPECT_FALSE(at(2 * Acceptor::kCookieLifetime));
}

TEST_F(AcceptorTest, WhatIsNoWholeClientHelloIsNothing) {
  const Bytes hello = FromClient().at(0);
  for (size_t size = 0; size < hello.size(); ++size) {
    EXPECT_TRUE(std::holds_alternative<Acceptor::Nothing>(
        Hear(absl::MakeConstSpan(hello).first(size))))
        << size;
  }
  // Record type and version, epoch, message type, fragment offset and length.
  for (const size_t at : {0, 1, 3, 4, 13, 19, 22, 24}) {
    Bytes changed = hello;
    changed[at] ^= 0x40;
    EXPECT_TRUE(std::holds_alternative<Acceptor::Nothing>(Hear(changed))) << at;
  }
}

// ClientHello up to its extensions, with one extension of that type.
Bytes HelloWith(uint16_t type, const Bytes& extension) {
  Bytes bytes(400);
  Writer w(absl::MakeSpan(bytes));
  const size_t value = extension.size();
  const size_t body = 2 + 32 + 1 + 1 + 2 + 2 + 2 + 2 + 4 + value;
  w.U8(22);
  w.U16(0xfefd);
  w.U16(0);
  w.U48(7);
  w.U16(static_cast<uint16_t>(12 + body));
  w.U8(1);
  w.U24(static_cast<uint32_t>(body));
  w.U16(0);
  w.U24(0);
  w.U24(static_cast<uint32_t>(body));
  w.U16(0xfefd);
  w.Bytes(Bytes(32, 9));  // random
  w.U8(0);                // session_id
  w.U8(0);                // cookie
  w.U16(2);
  w.U16(0xc02b);  // cipher_suites
  w.U8(1);
  w.U8(0);  // compression_methods
  w.U16(static_cast<uint16_t>(4 + value));
  w.U16(type);
  w.U16(static_cast<uint16_t>(value));
  w.Bytes(extension);
  bytes.resize(w.size());
  return bytes;
}

// RFC 6066 section 3: a list of one name, of type 0.
Bytes ListOf(uint8_t type, absl::string_view name) {
  Bytes list = {0, static_cast<uint8_t>(name.size() + 3), type, 0,
                static_cast<uint8_t>(name.size())};
  list.insert(list.end(), name.begin(), name.end());
  return list;
}

TEST(AcceptorNames, TheNameOfAClientHelloIsRead) {
  EXPECT_EQ(Acceptor::ServerName(HelloWith(0, ListOf(0, "turn.a.test"))),
            "turn.a.test");
  const std::string longest(252, 'x');
  EXPECT_EQ(Acceptor::ServerName(HelloWith(0, ListOf(0, longest))), longest);
  // Another extension, another type of name, and no name.
  EXPECT_EQ(Acceptor::ServerName(HelloWith(1, ListOf(0, "turn.a.test"))), "");
  EXPECT_EQ(Acceptor::ServerName(HelloWith(0, ListOf(1, "turn.a.test"))), "");
  EXPECT_EQ(Acceptor::ServerName(HelloWith(0, ListOf(0, ""))), "");
  EXPECT_EQ(Acceptor::ServerName(HelloWith(0, {})), "");
  EXPECT_EQ(Acceptor::ServerName(AsBytes("noise")), "");
  // Two names, and something behind the one.
  const Bytes two = {0, 12, 0, 0, 3, 'a', '.', 'b', 0, 0, 3, 'c', '.', 'd'};
  EXPECT_EQ(Acceptor::ServerName(HelloWith(0, two)), "");
  Bytes more = ListOf(0, "a.b");
  more.push_back(0);
  EXPECT_EQ(Acceptor::ServerName(HelloWith(0, more)), "");
  const std::string with_nul("turn\0.test", 10);
  EXPECT_EQ(Acceptor::ServerName(HelloWith(0, ListOf(0, with_nul))), "");
  // More than 255 bytes, which the list's length says in two.
  Bytes too_long = {1, 3, 0, 1, 0};
  too_long.resize(5 + 256, 'x');
  EXPECT_EQ(Acceptor::ServerName(HelloWith(0, too_long)), "");
  too_long = {1, 2, 0, 0, 255};
  too_long.resize(5 + 255, 'x');
  EXPECT_EQ(Acceptor::ServerName(HelloWith(0, too_long)).size(), 255u);
}

// A length that lies, anywhere behind the cookie, costs the name and nothing
// else.
TEST(AcceptorNames, LiesCostTheName) {
  const Bytes hello = HelloWith(0, ListOf(0, "turn.a.test"));
  const size_t cookie_ends = 13 + 12 + 2 + 32 + 1 + 1;
  for (const size_t at :
       {cookie_ends, cookie_ends + 1, cookie_ends + 4, cookie_ends + 6,
        cookie_ends + 7, cookie_ends + 10, cookie_ends + 11, cookie_ends + 12,
        cookie_ends + 13, cookie_ends + 15, cookie_ends + 16}) {
    Bytes changed = hello;
    changed[at] ^= 0x21;
    EXPECT_TRUE(Acceptor::IsClientHello(changed)) << at;
    EXPECT_EQ(Acceptor::ServerName(changed), "") << at;
  }
}

TEST_F(AcceptorTest, FilesAreNamedThatCannotBeUsed) {
  const auto context = ServerContext::FromFiles("/nowhere.pem", "/key.pem");
  EXPECT_THAT(context, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_NE(context.status().message().find("/nowhere.pem"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace kyuu::dtls
