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

TEST_F(AcceptorTest, FilesAreNamedThatCannotBeUsed) {
  const auto context = ServerContext::FromFiles("/nowhere.pem", "/key.pem");
  EXPECT_THAT(context, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_NE(context.status().message().find("/nowhere.pem"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace kyuu::dtls
