#include "net/train_builder.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/socket_table.h"
#include "net/udp_socket.h"

namespace kyuu::net {
namespace {

Path To(uint16_t port) {
  return {{IpAddress::V4(192, 0, 2, 1), 1},
          {IpAddress::V4(192, 0, 2, 2), port}};
}

std::string TextOf(const OutTrain& train) {
  std::string text;
  for (const iovec& piece : train.pieces) {
    text.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  return text;
}

TEST(TrainBuilderTest, EqualDatagramsOfOnePathTravelTogether) {
  TrainBuilder builder;
  EXPECT_TRUE(builder.empty());
  EXPECT_FALSE(builder.Accepts(To(7), 4));
  builder.Begin(To(7), 4);
  builder.Add(AsBytes("ab"));
  builder.Add(AsBytes("cd"));
  EXPECT_EQ(builder.train().segment_size, 0u) << "a lone datagram is no train";
  EXPECT_FALSE(builder.Accepts(To(8), 4)) << "another destination";
  EXPECT_FALSE(builder.Accepts(To(7), 5)) << "a longer one";
  EXPECT_FALSE(builder.Accepts(To(7), 0)) << "an empty one";
  ASSERT_TRUE(builder.Accepts(To(7), 4));
  builder.Continue(4);
  builder.Add(AsBytes("efgh"));
  ASSERT_TRUE(builder.Accepts(To(7), 1));
  builder.Continue(1);
  builder.Add(AsBytes("i"));
  EXPECT_FALSE(builder.Accepts(To(7), 1)) << "the shorter one was the last";
  EXPECT_EQ(builder.segments(), 3u);
  EXPECT_EQ(builder.train().segment_size, 4u);
  EXPECT_EQ(TextOf(builder.train()), "abcdefghi");
}

TEST(TrainBuilderTest, AnEmptyDatagramTravelsAlone) {
  TrainBuilder builder;
  builder.Begin(To(7), 0);
  EXPECT_FALSE(builder.empty());
  EXPECT_FALSE(builder.Accepts(To(7), 1));
  EXPECT_TRUE(builder.train().pieces.empty());
}

TEST(TrainBuilderTest, ATrainIsNoLongerThanTheKernelTakes) {
  TrainBuilder many, large;
  many.Begin(To(7), 1);
  for (size_t i = 1; i < UdpSocket::kMaxTrainSegments; ++i) {
    ASSERT_TRUE(many.Accepts(To(7), 1));
    many.Continue(1);
  }
  EXPECT_FALSE(many.Accepts(To(7), 1));
  large.Begin(To(7), 30'000);
  ASSERT_TRUE(large.Accepts(To(7), 30'000));
  large.Continue(30'000);
  EXPECT_FALSE(large.Accepts(To(7), 5'508));
  EXPECT_TRUE(large.Accepts(To(7), 5'507));
}

TEST(TrainBuilderTest, WhatHasLeftIsTakenOutOfTheFront) {
  TrainBuilder builder;
  builder.Begin(To(7), 3);
  builder.Add(AsBytes("a"));
  builder.Add(AsBytes("bcdef"));  // Pieces need not end where datagrams do.
  builder.Continue(3);
  builder.Continue(2);
  builder.Add(AsBytes("gh"));
  builder.DropFront(1);
  EXPECT_EQ(TextOf(builder.train()), "defgh");
  EXPECT_EQ(builder.segments(), 2u);
  builder.DropFront(1);
  EXPECT_EQ(TextOf(builder.train()), "gh");
  builder.DropFront(1);
  EXPECT_TRUE(builder.empty());
}

TEST(SocketTableTest, TheBoundAddressComesBeforeTheWildcard) {
  const auto open = [](absl::string_view bind) {
    return UdpSocket::Open({.bind = TransportAddress::Parse(bind).value()})
        .value();
  };
  UdpSocket any = open("0.0.0.0:0");
  const uint16_t port = any.local().port;
  UdpSocket other = open("127.0.0.1:0"), v6 = open("[::]:0");
  SocketTable table;
  table.Add(any);
  table.Add(other);
  table.Add(v6);
  EXPECT_EQ(table.Find({IpAddress::V4(127, 0, 0, 1), port}), &any);
  EXPECT_EQ(table.Find(other.local()), &other);
  EXPECT_EQ(table.Find({IpAddress::V4(127, 0, 0, 2), other.local().port}),
            nullptr);
  EXPECT_EQ(table.Find({IpAddress::V4(127, 0, 0, 1), v6.local().port}), nullptr)
      << "another family";
  table.Remove(any);
  EXPECT_EQ(table.Find({IpAddress::V4(127, 0, 0, 1), port}), nullptr);
}

}  // namespace
}  // namespace kyuu::net
