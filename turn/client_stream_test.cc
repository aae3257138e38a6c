// turn::Client on a byte stream, TCP or TLS.

#include <array>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/channel_data.h"
#include "turn/client.h"
#include "turn/framing.h"
#include "turn/testing/scripted_server.h"

namespace kyuu::turn {
namespace {

using stun::Error;
using stun::Method;

const TransportAddress kLocal{IpAddress::V4(10, 0, 0, 1), 5000};
const TransportAddress kServer{IpAddress::V4(192, 0, 2, 1), 443};
const TransportAddress kPeer{IpAddress::V4(203, 0, 113, 9), 7000};
const Path kPath{kLocal, kServer, Transport::kTcp};

class ClientStreamTest : public testing::Test {
 protected:
  ClientStreamTest()
      : client_(random_, {.local = kLocal,
                          .server = kServer,
                          .transport = Transport::kTcp,
                          .username = "user",
                          .password = "pass"}) {}

  void Run() {
    while (auto packet = client_.PollTransmit(now_, absl::MakeSpan(buffer_))) {
      EXPECT_EQ(packet->path, kPath);
      const std::vector<uint8_t> answer = server_.Answer(packet->bytes);
      if (!answer.empty()) client_.HandlePacket(now_, {kPath, answer});
    }
  }
  void StartAllocated() {
    ASSERT_OK(client_.Allocate(now_));
    Run();
    ASSERT_TRUE(client_.allocated());
    ASSERT_TRUE(client_.PollEvent());
  }
  Client::Closed End() {
    const auto event = client_.PollEvent();
    EXPECT_TRUE(event && std::holds_alternative<Client::Closed>(*event));
    if (!event || !std::holds_alternative<Client::Closed>(*event)) return {};
    return std::get<Client::Closed>(*event);
  }

  SeededRandom random_{1};
  absl::Time now_ = absl::UnixEpoch();
  ScriptedServer server_;
  std::array<uint8_t, 2000> buffer_;
  Client client_;
};

// RFC 8489 section 6.2.2: one send, and Ti.
TEST_F(ClientStreamTest, ARequestIsSentOnceAndTimed) {
  ASSERT_OK(client_.Allocate(now_));
  ASSERT_TRUE(client_.PollTransmit(now_, absl::MakeSpan(buffer_)));
  EXPECT_EQ(client_.NextTimeout(), now_ + absl::Milliseconds(39'500));
  now_ = client_.NextTimeout();
  client_.HandleTimeout(now_);
  EXPECT_FALSE(client_.PollTransmit(now_, absl::MakeSpan(buffer_)));
  EXPECT_THAT(End().status, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(client_.stats().requests_sent, 1);
  EXPECT_EQ(client_.stats().retransmissions, 0);
}

// RFC 8656 section 12.5: what follows in the stream is found only then.
TEST_F(ClientStreamTest, ChannelDataIsPadded) {
  StartAllocated();
  ASSERT_OK(client_.BindChannel(now_, kPeer));
  Run();
  for (size_t size = 0; size < 9; ++size) {
    const std::vector<uint8_t> payload(size, 0x55);
    const auto data =
        client_.Wrap(now_, kPeer, payload, absl::MakeSpan(buffer_));
    ASSERT_OK(data);
    EXPECT_EQ(data->path, kPath);
    ASSERT_TRUE(IsChannelData(data->bytes));
    EXPECT_EQ(data->bytes.size(), 4 + (size + 3) / 4 * 4);
    const auto frame = ReadFrame(data->bytes);
    ASSERT_OK(frame);
    EXPECT_EQ((*frame)->message_bytes, 4 + size);
    EXPECT_EQ((*frame)->bytes(), data->bytes.size());
    // And the server's, which a driver gives without its padding.
    const auto in =
        client_.Unwrap({kPath, data->bytes.first((*frame)->message_bytes)});
    ASSERT_TRUE(in);
    EXPECT_EQ(in->payload.size(), size);
  }
}

TEST_F(ClientStreamTest, DatagramsOfTheSameAddressesAreNotTheStreams) {
  StartAllocated();
  const Path datagrams{kLocal, kServer};
  client_.HandlePacket(now_, {datagrams, FromHex("0101 0000")});
  EXPECT_EQ(client_.stats().wrong_path, 1);
  EXPECT_FALSE(client_.Unwrap({datagrams, FromHex("4000 0000")}));
  EXPECT_EQ(client_.stats().unbound, 0);
}

// The server's allocation lives no longer than the stream.
TEST_F(ClientStreamTest, TheEndOfTheStreamIsTheEnd) {
  StartAllocated();
  client_.HandleStreamEnd(now_, absl::DataLossError("reset"));
  EXPECT_FALSE(client_.allocated());
  EXPECT_THAT(End().status, StatusIs(absl::StatusCode::kDataLoss));
  client_.HandleStreamEnd(now_, absl::OkStatus());
  EXPECT_FALSE(client_.PollEvent());
  EXPECT_EQ(client_.NextTimeout(), absl::InfiniteFuture());
}

TEST_F(ClientStreamTest, AnOrderlyEndByTheServerIsAFailureToo) {
  StartAllocated();
  client_.HandleStreamEnd(now_, absl::OkStatus());
  EXPECT_THAT(End().status, StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ClientStreamTest, WhoClosesDoesNotMindTheEndOfTheStream) {
  StartAllocated();
  client_.Close(now_);
  client_.HandleStreamEnd(now_, absl::DataLossError("reset"));
  EXPECT_OK(End().status);
}

TEST_F(ClientStreamTest, CloseDoesNotWaitLongForASilentServer) {
  StartAllocated();
  client_.Close(now_);
  ASSERT_TRUE(client_.PollTransmit(now_, absl::MakeSpan(buffer_)));
  EXPECT_EQ(client_.NextTimeout(), now_ + absl::Milliseconds(3500));
  now_ = client_.NextTimeout();
  client_.HandleTimeout(now_);
  EXPECT_OK(End().status);
}

// TCP itself would take a quarter of an hour to say so.
TEST_F(ClientStreamTest, AnUnansweredRefreshIsTheEnd) {
  StartAllocated();
  ASSERT_OK(client_.Refresh(now_));
  ASSERT_TRUE(client_.PollTransmit(now_, absl::MakeSpan(buffer_)));
  now_ += absl::Milliseconds(39'500);
  client_.HandleTimeout(now_);
  EXPECT_THAT(End().status, StatusIs(absl::StatusCode::kDeadlineExceeded));
}

// Another server takes another stream.
TEST_F(ClientStreamTest, AnAlternateServerIsTheDriversAffair) {
  server_.errors[Method::kAllocate] = Error::kTryAlternate;
  server_.alternate = TransportAddress{IpAddress::V4(192, 0, 2, 2), 443};
  ASSERT_OK(client_.Allocate(now_));
  Run();
  const Client::Closed closed = End();
  EXPECT_EQ(closed.error, Error::kTryAlternate);
  EXPECT_EQ(closed.alternate, server_.alternate);
  EXPECT_EQ(client_.server(), kServer);
}

}  // namespace
}  // namespace kyuu::turn
