// Two streams that are one: bytes, ends, errors, and what is held meanwhile.

#include "relay/joined_streams.h"

#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/stream_memory.h"
#include "net/stream_options.h"
#include "net/tcp.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"
#include "turn/bandwidth.h"

namespace kyuu::relay {
namespace {

using End = JoinedStreams::End;
using Endpoint = net::Endpoint<net::TcpStream>;

class JoinedStreamsTest : public testing::Test {
 protected:
  JoinedStreamsTest()
      : listener_(
            net::TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})
                .value()) {}

  // The far end of a connection, and ours.
  std::pair<std::unique_ptr<Endpoint>, net::Stream> Connect() {
    auto far = std::make_unique<Endpoint>(
        *loop_, net::TcpStream::Connect(listener_.local()).value());
    std::optional<net::TcpStream> near;
    net::Watch watch(*loop_, listener_.fd(), net::Interest::kRead,
                     [&](net::Readiness) {
                       near = listener_.Accept();
                       loop_->Stop();
                     });
    loop_.RunUntil([&] { return near.has_value(); });
    return {std::move(far), net::Stream(*std::move(near))};
  }
  void Join(const JoinedStreamsOptions& options = {},
            absl::string_view first = "") {
    auto [client, near_client] = Connect();
    auto [peer, near_peer] = Connect();
    client_ = std::move(client);
    peer_ = std::move(peer);
    joined_ = std::make_unique<JoinedStreams>(
        *loop_, std::move(near_client), std::move(near_peer), buffer_, &memory_,
        options,
        JoinedStreams::Handlers{
            [this](turn::Direction direction, size_t bytes) {
              (direction == turn::Direction::kToPeers ? to_peer_
                                                      : to_client_) += bytes;
              ++asked_;
              loop_->Stop();
              return pause_;
            },
            [this](End end) {
              end_ = end;
              joined_.reset();  // Allowed, and what owners do.
              loop_->Stop();
            }});
    joined_->Start(AsBytes(first));
  }

  net::TestLoop loop_;
  net::TcpListener listener_;
  net::StreamBuffer buffer_;
  net::StreamMemory memory_{1 << 20, [] {}};
  std::unique_ptr<Endpoint> client_, peer_;
  size_t to_peer_ = 0, to_client_ = 0;
  absl::Duration pause_;
  size_t asked_ = 0;
  std::optional<End> end_;
  std::unique_ptr<JoinedStreams> joined_;
};

TEST_F(JoinedStreamsTest, WhatCameBeforeLeavesFirst) {
  Join({}, "one ");
  EXPECT_OK(client_->Write("two"));
  loop_.RunUntil([&] { return peer_->received == "one two"; });
  EXPECT_OK(peer_->Write("back"));
  loop_.RunUntil([&] { return client_->received == "back"; });
  EXPECT_EQ(to_peer_, 7u);
  EXPECT_EQ(to_client_, 4u);
}

TEST_F(JoinedStreamsTest, ItEndsWhenBothDirectionsHave) {
  Join();
  EXPECT_OK(client_->Write("last words"));
  client_->Shutdown();
  loop_.RunUntil([&] { return peer_->over; });
  EXPECT_EQ(peer_->received, "last words");
  EXPECT_EQ(end_, std::nullopt);
  EXPECT_OK(peer_->Write("an answer"));
  peer_->Shutdown();
  loop_.RunUntil([&] { return client_->over && end_.has_value(); });
  EXPECT_EQ(client_->received, "an answer");
  EXPECT_EQ(end_, End::kClosed);
}

TEST_F(JoinedStreamsTest, OneDirectionMayGoOnAsLongAsSomethingComes) {
  Join({.half_open_timeout = absl::Milliseconds(20)});
  client_->Shutdown();
  loop_.RunUntil([&] { return end_.has_value(); });
  EXPECT_EQ(end_, End::kSilent);
  loop_.RunUntil([&] { return client_->over; });
  EXPECT_EQ(client_->last, net::ReadState::kFailed);
}

TEST_F(JoinedStreamsTest, AResetIsPassedOn) {
  Join();
  peer_->watch.SetInterest(net::Interest::kNone);
  peer_->stream.Cut();
  loop_.RunUntil([&] { return end_.has_value() && client_->over; });
  EXPECT_EQ(end_, End::kFailed);
  EXPECT_EQ(client_->last, net::ReadState::kFailed);
}

// held_bytes_max: what is not read is not taken either.
TEST_F(JoinedStreamsTest, WhatIsHeldOfADirectionIsBounded) {
  Join({.held_bytes_max = 10'000});
  peer_->reading = false;
  const int small = 4096;
  for (int fd : {peer_->stream.fd(), client_->stream.fd()}) {
    ASSERT_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  }
  const std::string block(256 * 1024, 'x');
  EXPECT_OK(client_->Write(block));
  loop_.RunUntil([&] { return memory_.used_bytes() == 10'000; });
  EXPECT_EQ(joined_->held_bytes(), 10'000u);
  // The other direction goes on all the same.
  EXPECT_OK(peer_->Write("back"));
  loop_.RunUntil([&] { return client_->received == "back"; });
  EXPECT_EQ(memory_.used_bytes(), 10'000u);
  EXPECT_LT(to_peer_, block.size());
  peer_->reading = true;
  peer_->Read();
  loop_.RunUntil([&] { return peer_->received.size() == block.size(); });
  EXPECT_EQ(memory_.used_bytes(), 0u);
}

// As a limit of bandwidth does it.
TEST_F(JoinedStreamsTest, ADirectionThatIsToPauseIsNotReadMeanwhile) {
  Join();
  pause_ = absl::Hours(1);
  EXPECT_OK(client_->Write("one"));
  loop_.RunUntil([&] { return peer_->received == "one"; });
  pause_ = absl::ZeroDuration();
  EXPECT_OK(client_->Write("two"));
  EXPECT_OK(peer_->Write("back"));
  loop_.RunUntil([&] { return client_->received == "back"; });
  EXPECT_EQ(peer_->received, "one");
  EXPECT_EQ(to_peer_, 3u);
}

TEST_F(JoinedStreamsTest, AfterAPauseItIsAskedAgain) {
  Join();
  pause_ = absl::Milliseconds(1);
  EXPECT_OK(client_->Write("one"));
  loop_.RunUntil([&] { return peer_->received == "one"; });
  EXPECT_OK(client_->Write("two"));
  loop_.RunUntil([&] {
    if (asked_ >= 3) pause_ = absl::ZeroDuration();
    return peer_->received == "onetwo";
  });
  EXPECT_EQ(to_peer_, 6u);
}

TEST_F(JoinedStreamsTest, TheOwnerMayCutBoth) {
  Join();
  joined_->Cut();
  joined_.reset();
  loop_.RunUntil([&] { return client_->over && peer_->over; });
  EXPECT_EQ(client_->last, net::ReadState::kFailed);
  EXPECT_EQ(peer_->last, net::ReadState::kFailed);
  EXPECT_EQ(end_, std::nullopt);
}

}  // namespace
}  // namespace kyuu::relay
