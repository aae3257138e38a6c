#include "net/tls.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "net/testing/certificate.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"

namespace kyuu::net {
namespace {

using TlsEndpoint = Endpoint<TlsStream>;

class TlsTest : public testing::Test {
 protected:
  // Connects a client to a server, over TCP.
  void Start(TlsContext::ClientOptions client_options,
             std::vector<std::string> server_alpn = {}) {
    const auto server =
        TlsContext::Server({certificates_, std::move(server_alpn)});
    ASSERT_OK(server);
    const auto client = TlsContext::Client(client_options);
    ASSERT_OK(client);
    TcpListener listener =
        TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}}).value();
    client_ = std::make_unique<TlsEndpoint>(
        *loop_,
        TlsStream(*client, TcpStream::Connect(listener.local()).value()));
    std::optional<TcpStream> accepted;
    Watch watch(*loop_, listener.fd(), Interest::kRead, [&](Readiness) {
      accepted = listener.Accept();
      loop_->Stop();
    });
    loop_.RunUntil([&] { return accepted.has_value(); });
    server_ = std::make_unique<TlsEndpoint>(
        *loop_, TlsStream(*server, *std::move(accepted)));
  }
  TlsContext::ClientOptions Trusting(std::string name) {
    return {.server_name = std::move(name), .ca_file = certificate_};
  }

  const TestCertificate files_;
  const std::string& certificate_ = files_.certificate_file();
  const std::string& key_ = files_.key_file();
  std::vector<TlsContext::Certificate> certificates_ = {{certificate_, key_}};
  TestLoop loop_;
  std::unique_ptr<TlsEndpoint> client_, server_;
};

TEST_F(TlsTest, BytesTravelBothWays) {
  Start(Trusting("kyuu.test"));
  ASSERT_OK(client_->Write("written before the handshake"));
  loop_.RunUntil(
      [&] { return server_->received == "written before the handshake"; });
  EXPECT_TRUE(server_->stream.handshake_done());
  ASSERT_OK(server_->Write("answer"));
  loop_.RunUntil([&] { return client_->received == "answer"; });
}

TEST_F(TlsTest, AServerIsToldTheNameThatIsAskedFor) {
  Start(Trusting("kyuu.test"));
  ASSERT_OK(client_->Write("x"));
  loop_.RunUntil([&] { return server_->received == "x"; });
  EXPECT_EQ(server_->stream.server_name(), "kyuu.test");
  // For an address none is.
  Start({.server_name = "127.0.0.1", .verify = false});
  ASSERT_OK(client_->Write("x"));
  loop_.RunUntil([&] { return server_->received == "x"; });
  EXPECT_EQ(server_->stream.server_name(), "");
}

TEST_F(TlsTest, AnAddressIsVerifiedToo) {
  Start(Trusting("127.0.0.1"));
  ASSERT_OK(client_->Write("x"));
  loop_.RunUntil([&] { return server_->received == "x"; });
}

TEST_F(TlsTest, AMegabyteArrivesWholeAndTheEndIsSeen) {
  Start(Trusting("kyuu.test"));
  std::string sent;
  while (sent.size() < 700'000) absl::StrAppend(&sent, sent.size(), ",");
  ASSERT_OK(client_->Write(sent));
  client_->Shutdown();
  loop_.RunUntil([&] { return server_->over; });
  EXPECT_EQ(server_->last, ReadState::kEnd);
  EXPECT_EQ(server_->received, sent);
  ASSERT_OK(server_->Write("still open this way"));
  loop_.RunUntil([&] { return client_->received == "still open this way"; });
}

TEST_F(TlsTest, TheWriteBufferIsBounded) {
  Start(Trusting("kyuu.test"));
  EXPECT_THAT(client_->Write(std::string(2 << 20, 'x')),
              StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_OK(client_->Write("small"));
  loop_.RunUntil([&] { return server_->received == "small"; });
}

TEST_F(TlsTest, AWrongNameIsRefused) {
  Start(Trusting("other.test"));
  ASSERT_OK(client_->Write("secret"));
  loop_.RunUntil([&] { return client_->over && server_->over; });
  EXPECT_EQ(client_->last, ReadState::kFailed);
  EXPECT_THAT(std::string(client_->stream.status().message()),
              testing::HasSubstr("certificate verify failed: hostname"));
  EXPECT_EQ(server_->received, "");
}

TEST_F(TlsTest, AnUnknownAuthorityIsRefusedUnlessAskedOtherwise) {
  Start({.server_name = "kyuu.test"});
  loop_.RunUntil([&] { return client_->over && server_->over; });
  EXPECT_EQ(client_->last, ReadState::kFailed);
  EXPECT_THAT(std::string(client_->stream.status().message()),
              testing::HasSubstr("certificate verify failed: self"));
  client_.reset();
  server_.reset();
  Start({.verify = false});
  ASSERT_OK(client_->Write("x"));
  loop_.RunUntil([&] { return server_->received == "x"; });
}

// Each client trusts one certificate only, so that it shows which it was given.
TEST_F(TlsTest, TheNameThatIsAskedForChoosesTheCertificate) {
  const TestCertificate other("other.test");
  const TestCertificate third("third.test");
  certificates_.push_back({other.certificate_file(), other.key_file()});
  certificates_.push_back({third.certificate_file(), third.key_file()});
  const auto connects = [&](TlsContext::ClientOptions options) {
    options.alpn = {"stun.turn"};
    client_.reset();
    server_.reset();
    Start(options, {"stun.turn"});
    EXPECT_OK(client_->Write("x"));
    loop_.RunUntil([&] { return client_->over || server_->received == "x"; });
    if (client_->over) return false;
    EXPECT_EQ(server_->stream.alpn(), "stun.turn");  // Of whatever certificate.
    return true;
  };
  EXPECT_TRUE(connects(Trusting("kyuu.test")));
  EXPECT_TRUE(connects({"other.test", other.certificate_file()}));
  EXPECT_TRUE(connects({"third.test", third.certificate_file()}));
  EXPECT_FALSE(connects({"other.test", third.certificate_file()}));
  // No name, or nobody's: the first.
  EXPECT_TRUE(connects(Trusting("127.0.0.1")));
  EXPECT_FALSE(connects(Trusting("nobody.test")));
}

TEST_F(TlsTest, ProtocolsAreAgreedOn) {
  auto options = Trusting("kyuu.test");
  options.alpn = {"h2", "http/1.1"};
  Start(options, {"stun.turn", "http/1.1"});
  ASSERT_OK(client_->Write("x"));
  loop_.RunUntil([&] { return server_->received == "x"; });
  EXPECT_EQ(server_->stream.alpn(), "http/1.1");
  EXPECT_EQ(client_->stream.alpn(), "http/1.1");
}

TEST_F(TlsTest, NoCommonProtocolIsRefused) {
  auto options = Trusting("kyuu.test");
  options.alpn = {"h2"};
  Start(options, {"stun.turn"});
  loop_.RunUntil([&] { return client_->over && server_->over; });
  EXPECT_EQ(client_->last, ReadState::kFailed);
}

TEST_F(TlsTest, ACutConnectionIsDataLoss) {
  Start(Trusting("kyuu.test"));
  ASSERT_OK(client_->Write("x"));
  loop_.RunUntil([&] { return server_->received == "x"; });
  client_.reset();  // Closes without close_notify.
  loop_.RunUntil([&] { return server_->over; });
  EXPECT_EQ(server_->last, ReadState::kFailed);
}

TEST_F(TlsTest, GarbageIsRefused) {
  Start(Trusting("kyuu.test"));
  client_.reset();
  server_.reset();
  TcpListener listener =
      TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}}).value();
  TcpStream plain = TcpStream::Connect(listener.local()).value();
  ASSERT_OK(plain.Write(AsBytes("GET / HTTP/1.1\r\n\r\n")));
  std::optional<TcpStream> accepted;
  Watch watch(*loop_, listener.fd(), Interest::kRead, [&](Readiness) {
    accepted = listener.Accept();
    loop_->Stop();
  });
  loop_.RunUntil([&] { return accepted.has_value(); });
  const auto context = TlsContext::Server({certificates_, {}});
  TlsEndpoint server(*loop_, TlsStream(*context, *std::move(accepted)));
  loop_.RunUntil([&] { return server.over; });
  EXPECT_EQ(server.last, ReadState::kFailed);
  EXPECT_FALSE(server.stream.status().ok());
}

TEST_F(TlsTest, MissingFilesAreNamed) {
  const auto context = TlsContext::Server({{{"/nowhere.pem", key_}}, {}});
  EXPECT_THAT(context, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_NE(context.status().message().find("/nowhere.pem"),
            absl::string_view::npos);
  EXPECT_THAT(TlsContext::Server({{{certificate_, certificate_}}, {}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  // One bad pair among good ones is no better.
  EXPECT_THAT(
      TlsContext::Server({{{certificate_, key_}, {"/a.pem", key_}}, {}}),
      StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(TlsContext::Server({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(TlsContext::Client({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace kyuu::net
