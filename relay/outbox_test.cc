#include "relay/outbox.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/udp_socket.h"
#include "turn/forward.h"

namespace kyuu::relay {
namespace {

net::UdpSocket Open() {
  return net::UdpSocket::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})
      .value();
}

class OutboxTest : public testing::Test {
 protected:
  // `segments` payloads of `stride` bytes in `received`, each behind `skip`.
  turn::Forward Cut(const net::UdpSocket& to, const std::string& received,
                    size_t stride, size_t skip) {
    turn::Forward forward;
    forward.path = {from_.local(), to.local()};
    forward.received = AsBytes(received);
    forward.segments = (received.size() + stride - 1) / stride;
    forward.stride = stride;
    forward.skip = skip;
    forward.payload_bytes = stride - skip;
    forward.last_payload_bytes =
        received.size() - (forward.segments - 1) * stride - skip;
    return forward;
  }
  // What has arrived at `socket`: loopback delivers before a send returns.
  std::vector<std::string> Arrived(net::UdpSocket& socket) {
    std::vector<std::string> all;
    while (true) {
      const absl::Span<const net::Train> trains = socket.Receive(buffer_);
      if (trains.empty()) return all;
      for (const net::Train& train : trains) {
        for (size_t i = 0; i < train.segments(); ++i) {
          all.emplace_back(AsText(train.segment(i)));
        }
      }
    }
  }

  net::UdpSocket from_ = Open(), a_ = Open(), b_ = Open();
  net::ReceiveBuffer buffer_;
  Outbox outbox_;
};

TEST_F(OutboxTest, HeadersAreCutOffATrain) {
  const std::string received = "HHHHaaaaaHHHHbbbbbHHHHcc";
  outbox_.Add(from_, Cut(a_, received, 9, 4));
  outbox_.Flush();
  EXPECT_EQ(Arrived(a_), (std::vector<std::string>{"aaaaa", "bbbbb", "cc"}));
  EXPECT_EQ(from_.stats().sent_trains, 1u);
}

TEST_F(OutboxTest, HeadersArePutInFrontAndOutliveTheirSource) {
  std::string headers = "1111222233334444";
  const std::string received = "abcdefghijk";
  turn::Forward forward = Cut(a_, received, 3, 0);
  forward.prefixes = AsBytes(headers);
  forward.prefix_bytes = 4;
  forward.alignment = 4;
  outbox_.Add(from_, forward);
  headers.assign(headers.size(), 'x');
  outbox_.Flush();
  using namespace std::string_literals;
  EXPECT_EQ(Arrived(a_),
            (std::vector<std::string>{"1111abc\0"s, "2222def\0"s, "3333ghi\0"s,
                                      "4444jk\0\0"s}));
  EXPECT_EQ(from_.stats().sent_trains, 1u);
}

TEST_F(OutboxTest, LoneDatagramsOfOneFlowLeaveAsATrain) {
  const std::vector<std::string> all = {"one", "two", "six"};
  for (const std::string& text : all) {
    outbox_.Add(from_, Cut(a_, text, 3, 0));
    outbox_.Add(from_, Cut(b_, text, 3, 0));
  }
  outbox_.Flush();
  EXPECT_EQ(Arrived(a_), all);
  EXPECT_EQ(Arrived(b_), all);
  EXPECT_EQ(from_.stats().sent_trains, 2u);
}

TEST_F(OutboxTest, SizesThatDifferKeepTheirOrder) {
  const std::vector<std::string> texts = {"12345", "1234", "12345", "",
                                          "",      "12",   "123"};
  for (const std::string& text : texts) {
    turn::Forward forward = Cut(a_, text, std::max<size_t>(1, text.size()), 0);
    if (text.empty()) {
      forward.segments = 1;
      forward.last_payload_bytes = 0;
    }
    outbox_.Add(from_, forward);
  }
  outbox_.Flush();
  EXPECT_EQ(Arrived(a_), texts);
}

TEST_F(OutboxTest, MoreThanItHoldsLeavesEarly) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < 500; ++i) texts.push_back(std::string(1 + i, 'x'));
  for (const std::string& text : texts) {
    outbox_.Add(from_, Cut(a_, text, text.size(), 0));
  }
  outbox_.Flush();
  EXPECT_EQ(Arrived(a_), texts);
  EXPECT_EQ(outbox_.dropped_trains(), 0u);
}

}  // namespace
}  // namespace kyuu::relay
