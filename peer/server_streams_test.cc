#include "peer/server_streams.h"

#include <sys/socket.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "dtls/acceptor.h"
#include "gtest/gtest.h"
#include "net/tcp.h"
#include "net/testing/certificate.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"
#include "net/tls.h"

namespace kyuu::peer {
namespace {

using ice::StreamId;
using net::TcpStream;
using net::TlsStream;

constexpr char kBinding[] = "0101 0000 2112a442 0102030405060708090a0b0c";
constexpr char kChannel[] = "4001 0005 68656c6c6f 000000";

std::string Bytes(absl::string_view hex) {
  return std::string(AsText(FromHex(hex)));
}

class ServerStreamsTest : public testing::Test {
 protected:
  ServerStreamsTest()
      : listener_(
            net::TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})
                .value()),
        watch_(*loop_, listener_.fd(), net::Interest::kRead,
               [this](net::Readiness) {
                 accepted_ = listener_.Accept();
                 loop_->Stop();
               }) {}

  void Make(ServerStreamOptions options = {}) {
    streams_ = std::make_unique<ServerStreams>(
        *loop_, std::move(options),
        ServerStreamHandlers{
            .on_connected =
                [this](StreamId, const TransportAddress& local) {
                  local_ = local;
                },
            .on_message =
                [this](const Datagram& message) {
                  heard_.push_back(ToHex(message.bytes));
                  EXPECT_EQ(message.path, path());
                },
            .on_ended = [this](StreamId,
                               const absl::Status& why) { ended_ = why; },
            .on_turn =
                [this] {
                  ++turns_;
                  loop_->Stop();
                }});
  }
  ice::StreamWanted Wanted(ice::RelayProtocol protocol,
                           const std::string& host = "") {
    return {StreamId{7}, server_, protocol, host};
  }
  void OpenTcp() {
    streams_->Open(Wanted(ice::RelayProtocol::kTcp));
    loop_.RunUntil([&] { return local_.port != 0 && accepted_; });
  }
  Path path() const { return {local_, server_, transport_}; }
  void Send(absl::string_view hex) { streams_->Send({path(), FromHex(hex)}); }

  net::TestLoop loop_;
  net::TcpListener listener_;
  std::optional<TcpStream> accepted_;
  net::Watch watch_;
  std::unique_ptr<ServerStreams> streams_;
  TransportAddress server_ = listener_.local();
  Transport transport_ = Transport::kTcp;
  TransportAddress local_;
  std::vector<std::string> heard_;
  std::optional<absl::Status> ended_;
  int turns_ = 0;
};

TEST_F(ServerStreamsTest, MessagesGoBothWays) {
  Make();
  OpenTcp();
  net::Endpoint<TcpStream> server(*loop_, *std::move(accepted_));
  Send(kBinding);
  Send(kChannel);
  const std::string both = Bytes(absl::StrCat(kBinding, kChannel));
  loop_.RunUntil([&] { return server.received == both; });
  ASSERT_OK(server.Write(both));
  loop_.RunUntil([&] { return heard_.size() == 2; });
  EXPECT_EQ(heard_[1], "4001000568656c6c6f");
  EXPECT_FALSE(ended_);
  EXPECT_EQ(streams_->stats().messages_queued, 2);
  EXPECT_EQ(streams_->stats().messages_received, 2);
}

// A TURN server that speaks DTLS (RFC 7350), with a certificate for kyuu.test.
class ServerSessionsTest : public ServerStreamsTest {
 protected:
  ServerSessionsTest()
      : socket_(net::UdpSocket::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})
                    .value()),
        acceptor_(dtls::ServerContext::FromFiles(
                      certificate_.certificate_file(), certificate_.key_file())
                      .value(),
                  random_, dtls::Options()),
        server_watch_(*loop_, socket_.fd(), net::Interest::kRead,
                      [this](net::Readiness) { Serve(); }) {
    Make({.ca_file = certificate_.certificate_file()});
    transport_ = Transport::kDtls;
    server_ = socket_.local();
  }

  void Serve() {
    for (const net::Train& train : socket_.Receive(buffer_)) {
      for (size_t i = 0; i < train.segments(); ++i) {
        const Path back = train.path;
        if (session_) {
          session_->HandlePacket(net::Loop::Now(), train.segment(i));
        } else {
          auto heard =
              acceptor_.Hear(net::Loop::Now(), back.remote, train.segment(i));
          if (auto* reply = std::get_if<dtls::Acceptor::Reply>(&heard)) {
            socket_.SendOne(back, reply->bytes);
          } else if (auto* made = std::get_if<dtls::Session>(&heard)) {
            session_.emplace(std::move(*made));
          }
        }
        if (!session_) continue;
        std::array<uint8_t, 2048> out;
        while (const auto d = session_->PollTransmit(net::Loop::Now(),
                                                     absl::MakeSpan(out))) {
          socket_.SendOne(back, *d);
        }
        // It says again what it has heard.
        while (const auto m = session_->ReadPlaintext(absl::MakeSpan(out))) {
          std::array<uint8_t, 2048> sealed;
          const auto size = session_->Seal(*m, absl::MakeSpan(sealed));
          ASSERT_OK(size);
          socket_.SendOne(back, absl::MakeSpan(sealed).first(*size));
        }
        server_closed_ = session_->closed();
      }
    }
    loop_->Stop();
  }

  const net::TestCertificate certificate_;
  SeededRandom random_{1};
  net::ReceiveBuffer buffer_;
  net::UdpSocket socket_;
  dtls::Acceptor acceptor_;
  std::optional<dtls::Session> session_;
  bool server_closed_ = false;
  net::Watch server_watch_;
};

TEST_F(ServerSessionsTest, MessagesGoBothWaysAndTheEndIsTold) {
  streams_->Open(Wanted(ice::RelayProtocol::kDtls, "kyuu.test"));
  loop_.RunUntil([&] { return local_.port != 0; });
  Send(kBinding);
  loop_.RunUntil([&] { return heard_.size() == 1; });
  EXPECT_EQ(heard_[0], ToHex(FromHex(kBinding)));
  EXPECT_FALSE(ended_);
  streams_->Drop(StreamId{7});
  loop_.RunUntil([&] { return server_closed_; });
}

TEST_F(ServerSessionsTest, AServerOfAnotherNameHearsNothing) {
  streams_->Open(Wanted(ice::RelayProtocol::kDtls, "kyuu.other"));
  loop_.RunUntil([&] { return ended_.has_value(); });
  EXPECT_EQ(ended_->code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(local_.port, 0);
}

TEST_F(ServerSessionsTest, APortWhereNobodyListensIsToldAtOnce) {
  {
    const auto gone =
        net::UdpSocket::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}});
    server_ = gone->local();
  }
  streams_->Open(Wanted(ice::RelayProtocol::kDtls, "kyuu.test"));
  loop_.RunUntil([&] { return ended_.has_value(); });
  EXPECT_EQ(ended_->code(), absl::StatusCode::kUnavailable);
}

TEST_F(ServerSessionsTest, AuthoritiesThatCannotBeReadAreTold) {
  Make({.ca_file = "/nowhere"});
  streams_->Open(Wanted(ice::RelayProtocol::kDtls, "kyuu.test"));
  EXPECT_FALSE(ended_) << "from the loop alone";
  loop_.RunUntil([&] { return ended_.has_value(); });
  EXPECT_THAT(ended_->message(), testing::HasSubstr("/nowhere"));
}

// Data must not wait for seconds.
TEST_F(ServerStreamsTest, ASlowServerCostsDataAndHoldsLittle) {
  Make();
  const int small = 4096;
  ASSERT_EQ(
      setsockopt(listener_.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small),
      0);
  OpenTcp();
  std::vector<uint8_t> data(1204);
  data[0] = 0x40;
  data[2] = 1200 >> 8;
  data[3] = 1200 & 0xff;
  for (int i = 0; i < 50; ++i) {
    for (int k = 0; k < 50; ++k) streams_->Send({path(), data});
    const int turn = turns_;
    loop_.RunUntil([&] { return turns_ > turn; });
  }
  const turn::MessageStreamStats stats = streams_->stats();
  EXPECT_EQ(stats.messages_queued + stats.messages_dropped, 2500);
  // The queue, what the kernel takes unsent, and the receiver's window.
  EXPECT_LT(stats.messages_queued * data.size(), 400'000u);
  // A refresh still finds room.
  Send(kBinding);
  EXPECT_EQ(streams_->stats().messages_queued, stats.messages_queued + 1);
}

TEST_F(ServerStreamsTest, WhatCannotBeConnectedIsTold) {
  Make();
  ice::StreamWanted wanted = Wanted(ice::RelayProtocol::kTcp);
  {
    const auto gone =
        net::TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}});
    ASSERT_OK(gone);
    wanted.server = gone->local();
  }
  streams_->Open(wanted);
  loop_.RunUntil([&] { return ended_.has_value(); });
  EXPECT_FALSE(ended_->ok());
  EXPECT_EQ(local_.port, 0);
}

// As STUN servers are asked what a NAT shows a port where we listen.
TEST_F(ServerStreamsTest, AStreamFromAPortOfOursLeavesItFreeForTheNextOne) {
  Make();
  const auto ours = net::TcpListener::Open(
      {.bind = {IpAddress::V4(127, 0, 0, 1), 0}, .lend_address = true});
  ASSERT_OK(ours);
  for (const StreamId id : {StreamId{1}, StreamId{2}}) {
    ice::StreamWanted wanted = Wanted(ice::RelayProtocol::kTcp);
    wanted.id = id;
    wanted.from = ours->local();
    local_ = {};
    streams_->Open(wanted);
    loop_.RunUntil([&] { return ended_ || (local_.port != 0 && accepted_); });
    ASSERT_FALSE(ended_) << *ended_;
    EXPECT_EQ(local_, ours->local());
    net::Endpoint<TcpStream> server(*loop_, *std::move(accepted_));
    accepted_.reset();
    EXPECT_EQ(server.stream.path().remote, ours->local());
    Send(kBinding);
    loop_.RunUntil([&] { return !server.received.empty(); });
    streams_->Drop(id);
    loop_.RunUntil([&] { return server.over; });
    EXPECT_EQ(server.last, net::ReadState::kFailed) << "a reset";
  }
}

TEST_F(ServerStreamsTest, TheEndIsToldAndThenNothingIsSent) {
  Make();
  OpenTcp();
  accepted_->Cut();
  accepted_.reset();
  loop_.RunUntil([&] { return ended_.has_value(); });
  EXPECT_FALSE(ended_->ok());
  Send(kBinding);
  EXPECT_EQ(streams_->stats().messages_dropped, 1);
}

TEST_F(ServerStreamsTest, DropSendsWhatWasQueuedAndTellsNothing) {
  Make();
  OpenTcp();
  net::Endpoint<TcpStream> server(*loop_, *std::move(accepted_));
  Send(kBinding);
  streams_->Drop(StreamId{7});
  loop_.RunUntil([&] { return server.over; });
  EXPECT_EQ(server.last, net::ReadState::kEnd);
  EXPECT_EQ(server.received, Bytes(kBinding));
  server.Shutdown();
  const int turn = turns_;
  loop_.RunUntil([&] { return turns_ > turn; });
  EXPECT_FALSE(ended_);
}

TEST_F(ServerStreamsTest, DropBeforeTheConnectionTellsNothing) {
  Make();
  streams_->Open(Wanted(ice::RelayProtocol::kTcp));
  streams_->Drop(StreamId{7});
  loop_.RunUntil([&] { return turns_ > 0; });
  EXPECT_EQ(local_.port, 0);
  EXPECT_FALSE(ended_);
}

TEST_F(ServerStreamsTest, ItMayBeDestroyedInItsTurn) {
  streams_ = std::make_unique<ServerStreams>(
      *loop_, ServerStreamOptions{},
      ServerStreamHandlers{
          .on_connected = [](StreamId, const TransportAddress&) {},
          .on_message = [](const Datagram&) {},
          .on_ended = [](StreamId, const absl::Status&) {},
          .on_turn =
              [this] {
                loop_->Stop();
                streams_.reset();  // And with it what is captured here.
              }});
  streams_->Open(Wanted(ice::RelayProtocol::kTcp));
  loop_.RunUntil([&] { return streams_ == nullptr; });
}

// RFC 7443: the protocol by which a server tells TURN from HTTP.
TEST_F(ServerStreamsTest, TlsOffersStunAndVerifiesTheName) {
  const net::TestCertificate certificate("turn.example");
  const auto context =
      net::TlsContext::Server({.certificates = {{certificate.certificate_file(),
                                                 certificate.key_file()}},
                               .alpn = {"http/1.1", "stun.turn"}});
  ASSERT_OK(context);
  for (const auto& [host, good] :
       {std::pair("turn.example", true), std::pair("other.example", false)}) {
    ended_.reset();
    local_ = {};
    accepted_.reset();
    Make({.ca_file = certificate.certificate_file()});
    streams_->Open(Wanted(ice::RelayProtocol::kTls, host));
    loop_.RunUntil([&] { return local_.port != 0 && accepted_; });
    net::Endpoint<TlsStream> server(*loop_,
                                    TlsStream(*context, *std::move(accepted_)));
    Send(kBinding);
    if (good) {
      loop_.RunUntil([&] { return server.received == Bytes(kBinding); });
      EXPECT_EQ(server.stream.alpn(), "stun.turn");
    } else {
      loop_.RunUntil([&] { return ended_.has_value(); });
      EXPECT_THAT(ended_->message(), testing::HasSubstr("verify failed"));
      EXPECT_EQ(server.received, "");
    }
  }
}

}  // namespace
}  // namespace kyuu::peer
