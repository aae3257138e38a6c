#include "ice/packet_stream.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/testing.h"

namespace kyuu::ice {
namespace {

using Bytes = std::vector<uint8_t>;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PacketStreamTest : public ::testing::Test {
 protected:
  std::vector<Bytes> Receive(const Bytes& bytes) {
    stream_.HandlePacket(now_, bytes);
    return Poll();
  }
  std::vector<Bytes> Poll() {
    std::vector<Bytes> packets;
    while (auto event = stream_.PollEvent()) {
      if (auto* closed = std::get_if<PacketStream::Closed>(&*event)) {
        closed_ = closed->status;
        continue;
      }
      const auto& got = std::get<PacketStream::Received>(*event);
      packets.emplace_back(got.bytes.begin(), got.bytes.end());
    }
    return packets;
  }
  Bytes Sent() {
    Bytes sent;
    std::array<uint8_t, 1000> buffer;
    while (auto bytes = stream_.PollTransmit(now_, absl::MakeSpan(buffer))) {
      sent.insert(sent.end(), bytes->begin(), bytes->end());
    }
    return sent;
  }

  PacketStream stream_{
      {.queued_bytes_max = 100, .stun_bytes_max = 30, .packet_bytes_max = 300}};
  std::optional<absl::Status> closed_;
  absl::Time now_ = absl::UnixEpoch();
};

TEST_F(PacketStreamTest, APacketStandsBehindItsLength) {
  stream_.Send(FromHex("aabbcc"));
  stream_.Send(FromHex("dd"));
  EXPECT_EQ(ToHex(Sent()), "0003aabbcc0001dd");
  EXPECT_EQ(stream_.stats().packets_queued, 2u);
}

TEST_F(PacketStreamTest, S18PacketsAreFoundHoweverTheyAreCut) {
  const Bytes both = FromHex("0003aabbcc00000001dd");
  EXPECT_THAT(Receive(both), ElementsAre(FromHex("aabbcc"), FromHex("dd")));
  for (size_t cut = 0; cut <= both.size(); ++cut) {
    std::vector<Bytes> got =
        Receive(Bytes(both.begin(), both.begin() + static_cast<long>(cut)));
    Sent();  // May give memory back.
    for (Bytes& more :
         Receive(Bytes(both.begin() + static_cast<long>(cut), both.end()))) {
      got.push_back(std::move(more));
    }
    EXPECT_THAT(got, ElementsAre(FromHex("aabbcc"), FromHex("dd"))) << cut;
  }
  Sent();
  EXPECT_EQ(stream_.held_bytes(), 0u);
}

TEST_F(PacketStreamTest, ALargerPacketEndsTheStream) {
  EXPECT_THAT(Receive(FromHex("012d")), IsEmpty());  // 301.
  ASSERT_TRUE(closed_);
  EXPECT_EQ(closed_->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(stream_.held_bytes(), 0u);
  EXPECT_THAT(Receive(FromHex("0001aa")), IsEmpty());
}

TEST_F(PacketStreamTest, AFullQueueDropsDataAndStillTakesChecks) {
  stream_.Send(Bytes(98, 20));  // 100 with its length.
  stream_.Send(FromHex("14"));
  EXPECT_EQ(stream_.stats().packets_dropped, 1u);
  const Bytes check = FromHex("000100002112a442000102030405060708090a0b");
  stream_.Send(check);  // 22.
  EXPECT_EQ(stream_.stats().packets_dropped, 1u);
  stream_.Send(check);
  EXPECT_EQ(stream_.stats().packets_dropped, 2u);
  EXPECT_EQ(Sent().size(), 122u);
}

TEST_F(PacketStreamTest, WhatCannotBeFramedIsDropped) {
  PacketStream large({.queued_bytes_max = 1 << 20});
  large.Send(Bytes(65'536));
  EXPECT_EQ(large.stats().packets_dropped, 1u);
  large.Send(Bytes(65'535));
  EXPECT_EQ(large.stats().packets_queued, 1u);
}

// What came before the end is delivered before it.
TEST_F(PacketStreamTest, TheEndComesLast) {
  stream_.HandlePacket(now_, FromHex("0001aa0002"));
  stream_.HandleStreamEnd(now_, absl::OkStatus());
  EXPECT_THAT(Poll(), ElementsAre(FromHex("aa")));
  ASSERT_TRUE(closed_);
  EXPECT_OK(*closed_);
}

TEST_F(PacketStreamTest, CloseLetsGoWhatIsQueued) {
  stream_.Send(FromHex("aa"));
  stream_.Close();
  EXPECT_FALSE(stream_.finished());
  stream_.Send(FromHex("bb"));
  EXPECT_EQ(ToHex(Sent()), "0001aa");
  EXPECT_TRUE(stream_.finished());
}

}  // namespace
}  // namespace kyuu::ice
