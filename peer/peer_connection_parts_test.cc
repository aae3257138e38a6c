// Large messages between two PeerConnections, of which neither has the whole.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "peer/peer_connection.h"
#include "peer/testing/peer_connection_pair.h"

namespace kyuu::peer {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

Configuration InParts() {
  Configuration configuration;
  configuration.engine.max_message_size_in_parts = 64 * kMiB;
  configuration.engine.channels.incoming_delivery = Delivery::kParts;
  return configuration;
}

// As in README.md: gives parts as long as little waits. It is called
// once to begin with, and by on_buffered_amount_low, on the connection's
// thread.
class Upload {
 public:
  explicit Upload(size_t size) : left_(size) {}

  void Pull(DataChannel& channel) {
    const std::lock_guard lock(mutex_);
    while (left_ > 0 && channel.buffered_amount() < 256 * 1024) {
      std::vector<uint8_t> part(std::min(left_, size_t{64} * 1024), 7);
      const size_t size = part.size();
      const Part position = size == left_ ? Part::kLast : Part::kMore;
      if (!channel.SendPart(std::move(part), position).ok()) return;
      left_ -= size;
    }
  }

 private:
  std::mutex mutex_;
  size_t left_;
};

// RFC 8841 section 6: what is told the peer, it may send.
TEST(PeerConnectionParts, AMessageIsPulledOutAndComesInParts) {
  Pair pair;
  pair.a.Create({}, pair.b);
  pair.b.Create(InParts(), pair.a);
  pair.Connect();
  ASSERT_TRUE(pair.a.board().Wait("open"));
  ASSERT_TRUE(pair.b.board().Wait("open"));
  EXPECT_TRUE(absl::StrContains(pair.b->local_description()->sdp,
                                "a=max-message-size:67108864"));
  const std::shared_ptr<DataChannel> channel = pair.a.channel();
  EXPECT_EQ(channel->BeginMessage(PayloadType::kBinary, 65 * kMiB).code(),
            absl::StatusCode::kInvalidArgument);
  // Unknown sizes end with their last part.
  for (const std::optional<size_t> size :
       {std::optional<size_t>(4 * kMiB), std::optional<size_t>()}) {
    auto upload = std::make_shared<Upload>(4 * kMiB);
    DataChannelHandlers handlers = pair.a.ChannelHandlers();
    handlers.on_buffered_amount_low = [upload](DataChannel& low) {
      upload->Pull(low);
    };
    channel->SetHandlers(std::move(handlers));
    channel->SetBufferedAmountLowThreshold(128 * 1024);
    ASSERT_OK(channel->BeginMessage(PayloadType::kBinary, size));
    upload->Pull(*channel);
    ASSERT_TRUE(pair.b.board().Wait("parts 4194304", size ? 1 : 2));
  }
  EXPECT_EQ(pair.b.channel()->stats().messages_received, 2u);
  EXPECT_EQ(pair.b.channel()->stats().bytes_received, 8 * kMiB);
}

TEST(PeerConnectionParts, AMessageThatIsGivenUpClosesItsChannel) {
  Pair pair;
  pair.a.Create({}, pair.b);
  pair.b.Create(InParts(), pair.a);
  pair.Connect();
  ASSERT_TRUE(pair.a.board().Wait("open"));
  const std::shared_ptr<DataChannel> channel = pair.a.channel();
  ASSERT_OK(channel->BeginMessage(PayloadType::kText));
  ASSERT_OK(channel->SendPart(std::vector<uint8_t>(9000), Part::kMore));
  ASSERT_OK(channel->SendPart({}, Part::kGivenUp));
  ASSERT_TRUE(pair.a.board().Wait("closing"));
  ASSERT_TRUE(pair.b.board().Wait("close OK"));
  ASSERT_TRUE(pair.a.board().Wait("close OK"));
}

TEST(PeerConnectionParts, AnApplicationIsToldWhatBecameOfItsMessages) {
  Pair pair;
  pair.a.Create({}, pair.b);
  pair.b.Create({}, pair.a);
  pair.Connect();
  ASSERT_TRUE(pair.a.board().Wait("open"));
  ASSERT_TRUE(pair.b.board().Wait("open"));
  const std::shared_ptr<DataChannel> channel = pair.a.channel();
  ASSERT_OK(channel->Send("text", 1));
  const std::vector<uint8_t> binary = {2};
  ASSERT_OK(channel->Send(binary, 2));
  ASSERT_OK(channel->Send(std::vector<uint8_t>(100'000), 3));
  ASSERT_OK(channel->Send("nobody asks"));
  ASSERT_OK(channel->BeginMessage(PayloadType::kText, std::nullopt, 4));
  ASSERT_OK(channel->SendPart({'x'}, Part::kLast));
  ASSERT_OK(channel->BeginMessage(PayloadType::kText, std::nullopt, 5));
  ASSERT_OK(channel->SendPart({}, Part::kGivenUp));
  for (const char* id : {"1", "2", "3", "4"}) {
    ASSERT_TRUE(
        pair.a.board().Wait(absl::StrCat("settled ", id, " delivered")));
  }
  ASSERT_TRUE(pair.a.board().Wait("settled 5 given up"));
}

}  // namespace
}  // namespace kyuu::peer
