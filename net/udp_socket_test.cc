#include "net/udp_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/loop.h"
#include "net/testing/loop.h"

namespace kyuu::net {
namespace {

TransportAddress At(absl::string_view text) {
  return TransportAddress::Parse(text).value();
}

UdpSocket OpenAt(absl::string_view bind, bool offload = true) {
  UdpOptions options;
  options.bind = At(bind);
  options.offload = offload;
  return UdpSocket::Open(options).value();
}

// A received datagram or train, kept beyond the buffer's next use.
struct Kept {
  Path path;
  std::vector<std::string> segments;
  IpMarks marks;
};

class UdpSocketTest : public testing::Test {
 protected:
  // Waits until `count` datagrams have arrived at `socket`.
  std::vector<Kept> Collect(UdpSocket& socket, size_t count) {
    std::vector<Kept> kept;
    size_t segments = 0;
    Watch watch(*loop_, socket.fd(), Interest::kRead, [&](Readiness) {
      for (const Train& train : socket.Receive(buffer_)) {
        kept.push_back({train.path, {}, train.marks});
        for (size_t i = 0; i < train.segments(); ++i) {
          kept.back().segments.emplace_back(AsText(train.segment(i)));
          ++segments;
        }
      }
      loop_->Stop();
    });
    loop_.RunUntil([&] { return segments >= count; });
    EXPECT_EQ(segments, count);
    return kept;
  }

  static std::vector<std::string> Segments(const std::vector<Kept>& kept) {
    std::vector<std::string> all;
    for (const Kept& k : kept) {
      all.insert(all.end(), k.segments.begin(), k.segments.end());
    }
    return all;
  }

  TestLoop loop_;
  ReceiveBuffer buffer_;
};

TEST_F(UdpSocketTest, AnEphemeralPortIsReported) {
  UdpSocket socket = OpenAt("127.0.0.1:0");
  EXPECT_EQ(socket.local().ip, IpAddress::V4(127, 0, 0, 1));
  EXPECT_NE(socket.local().port, 0);
  EXPECT_TRUE(socket.Receive(buffer_).empty());
}

TEST_F(UdpSocketTest, ATakenPortIsAlreadyExists) {
  UdpSocket socket = OpenAt("127.0.0.1:0");
  const auto second = UdpSocket::Open({.bind = socket.local()});
  EXPECT_THAT(second, StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_NE(second.status().message().find(socket.local().ToString()),
            absl::string_view::npos);
}

TEST_F(UdpSocketTest, AForeignOrMissingAddressIsRefused) {
  EXPECT_THAT(UdpSocket::Open({.bind = At("203.0.113.1:0")}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(UdpSocket::Open({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// T15: the network is there later than the server.
TEST_F(UdpSocketTest, AnAddressThatIsNotThereYetCanBeAwaited) {
  for (const char* address : {"203.0.113.1:0", "[2001:db8::1]:0"}) {
    UdpSocket socket =
        UdpSocket::Open({.bind = At(address), .await_address = true}).value();
    EXPECT_EQ(socket.local().ip, At(address).ip);
    EXPECT_NE(socket.local().port, 0);
    EXPECT_TRUE(socket.Receive(buffer_).empty());
    EXPECT_THAT(
        UdpSocket::Open({.bind = socket.local(), .await_address = true}),
        StatusIs(absl::StatusCode::kAlreadyExists));
  }
}

TEST_F(UdpSocketTest, AConnectedSocketHearsOneAndCanTurnToAnother) {
  UdpSocket socket = OpenAt("127.0.0.1:0");
  UdpSocket first = OpenAt("127.0.0.1:0"), second = OpenAt("127.0.0.1:0");
  for (UdpSocket* one : {&first, &second}) {
    ASSERT_OK(socket.Connect(one->local()));
    EXPECT_EQ(socket.remote(), one->local());
    for (UdpSocket* each : {&first, &second}) {
      const Path path{each->local(), socket.local(), Transport::kUdp};
      ASSERT_TRUE(each->SendOne(path, AsBytes("hello")));
    }
    const auto trains = socket.Receive(buffer_);
    ASSERT_EQ(trains.size(), 1u);
    EXPECT_EQ(trains[0].path.remote, one->local());
    EXPECT_OK(socket.TakeRefusal());
  }
  EXPECT_THAT(socket.Connect(At("[::1]:1")),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(UdpSocketTest, ReusePortSharesAnAddress) {
  UdpOptions options{.bind = At("127.0.0.1:0"), .reuse_port = true};
  UdpSocket first = UdpSocket::Open(options).value();
  options.bind = first.local();
  EXPECT_OK(UdpSocket::Open(options));
}

TEST_F(UdpSocketTest, ADatagramTravelsWithItsAddresses) {
  for (absl::string_view bind : {"127.0.0.1:0", "[::1]:0"}) {
    UdpSocket a = OpenAt(bind), b = OpenAt(bind);
    ASSERT_TRUE(a.SendOne({a.local(), b.local()}, AsBytes("hello")));
    const std::vector<Kept> kept = Collect(b, 1);
    EXPECT_EQ(kept[0].segments[0], "hello");
    EXPECT_EQ(kept[0].path, (Path{b.local(), a.local()}));
    EXPECT_EQ(kept[0].marks, IpMarks());
    EXPECT_EQ(a.stats().sent, 1u);
    EXPECT_EQ(b.stats().received, 1u);
  }
}

TEST_F(UdpSocketTest, AnEmptyDatagramIsADatagram) {
  UdpSocket a = OpenAt("127.0.0.1:0"), b = OpenAt("127.0.0.1:0");
  ASSERT_TRUE(a.SendOne({a.local(), b.local()}, {}));
  ASSERT_TRUE(a.SendOne({a.local(), b.local()}, AsBytes("x")));
  EXPECT_EQ(Segments(Collect(b, 2)), (std::vector<std::string>{"", "x"}));
}

TEST_F(UdpSocketTest, TheLargestDatagramArrivesWhole) {
  UdpSocket a = OpenAt("127.0.0.1:0"), b = OpenAt("127.0.0.1:0");
  const std::string large(UdpSocket::kMaxTrainBytes, 'L');
  ASSERT_TRUE(a.SendOne({a.local(), b.local()}, AsBytes(large)));
  EXPECT_EQ(Segments(Collect(b, 1)), std::vector<std::string>{large});
}

TEST_F(UdpSocketTest, EcnAndDscpAreCarriedAlsoByTrains) {
  const std::string bytes(300, 't');
  const iovec piece = Piece(AsBytes(bytes));
  // Also those of the first, which has come before the kernel is asked for
  // them.
  for (absl::string_view bind : {"127.0.0.1:0", "[::1]:0"}) {
    UdpOptions options{.bind = At(bind),
                       .setup = UdpOptions::Setup::kAtFirstUse};
    UdpSocket a = UdpSocket::Open(options).value();
    UdpSocket b = UdpSocket::Open(options).value();
    const Path path{a.local(), b.local()};
    for (const IpMarks& marks :
         {IpMarks{Ecn::kEct1}, IpMarks{Ecn::kEct0}, IpMarks{Ecn::kCe},
          IpMarks{Ecn::kNotEct, 46}, IpMarks{Ecn::kCe, 63}, IpMarks{}}) {
      ASSERT_TRUE(a.SendOne(path, AsBytes("e"), marks));
      EXPECT_EQ(Collect(b, 1)[0].marks, marks);
      const OutTrain train{path, {&piece, 1}, 100, marks};
      ASSERT_EQ(a.Send({&train, 1}).trains, 1u);
      for (const Kept& kept : Collect(b, 3)) EXPECT_EQ(kept.marks, marks);
    }
  }
}

TEST_F(UdpSocketTest, TheDontFragmentBitIsThatOfEachDatagram) {
  const auto set = [](const UdpSocket& socket) {
    const bool v4 = socket.local().ip.is_v4();
    int value = 0;
    socklen_t size = sizeof value;
    getsockopt(socket.fd(), v4 ? SOL_IP : SOL_IPV6,
               v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &value, &size);
    return value == IP_PMTUDISC_PROBE;
  };
  const IpMarks whole{.dont_fragment = true};
  for (const auto errors :
       {UdpOptions::Errors::kCount, UdpOptions::Errors::kKeep}) {
    for (absl::string_view bind : {"127.0.0.1:0", "[::1]:0"}) {
      UdpOptions options{.bind = At(bind), .errors = errors};
      UdpSocket a = UdpSocket::Open(options).value(), b = OpenAt(bind);
      const Path path{a.local(), b.local()};
      EXPECT_FALSE(set(a));
      ASSERT_TRUE(a.SendOne(path, AsBytes("1"), whole));
      EXPECT_TRUE(set(a));
      ASSERT_TRUE(a.SendOne(path, AsBytes("2")));
      EXPECT_FALSE(set(a));
      const iovec piece = Piece(AsBytes("3"));
      const std::vector<OutTrain> trains = {{path, {&piece, 1}, 0, whole},
                                            {path, {&piece, 1}},
                                            {path, {&piece, 1}, 0, whole}};
      EXPECT_EQ(a.Send(trains).trains, 3u);
      EXPECT_TRUE(set(a));
      EXPECT_EQ(Segments(Collect(b, 5)).size(), 5u);
      // And all of those of a socket that is so.
      options.dont_fragment = true;
      UdpSocket c = UdpSocket::Open(options).value();
      ASSERT_TRUE(c.SendOne({c.local(), b.local()}, AsBytes("4")));
      EXPECT_TRUE(set(c));
    }
  }
}

TEST_F(UdpSocketTest, WhatHostsSayOfDatagramsIsKeptForWhoAsks) {
  UdpOptions options;
  options.errors = UdpOptions::Errors::kKeep;
  options.setup = UdpOptions::Setup::kAtFirstUse;
  for (absl::string_view bind : {"127.0.0.1:0", "[::1]:0"}) {
    SCOPED_TRACE(bind);
    options.bind = At(bind);
    UdpSocket a = UdpSocket::Open(options).value(), b = OpenAt(bind);
    const TransportAddress closed = OpenAt(bind).local();  // And closed again.
    std::array<SendError, 2> errors;
    EXPECT_EQ(a.TakeErrors(absl::MakeSpan(errors)), 0u);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(a.SendOne({a.local(), closed}, AsBytes("x")));
      // An earlier datagram's error does not cost this one.
      EXPECT_TRUE(a.SendOne({a.local(), b.local()}, AsBytes("y")));
    }
    EXPECT_EQ(Segments(Collect(b, 3)), (std::vector<std::string>(3, "y")));
    EXPECT_EQ(a.stats().send_errors, 0u);
    ASSERT_EQ(a.TakeErrors(absl::MakeSpan(errors)), 2u);
    EXPECT_EQ(errors[0].remote, closed);
    // Port unreachable (RFC 792; RFC 4443 section 3.1).
    EXPECT_EQ(errors[0].type, a.local().ip.is_v4() ? 3 : 1);
    EXPECT_EQ(errors[0].code, a.local().ip.is_v4() ? 3 : 4);
    EXPECT_EQ(a.TakeErrors(absl::MakeSpan(errors)), 1u);
    EXPECT_EQ(a.TakeErrors(absl::MakeSpan(errors)), 0u);
  }
}

TEST_F(UdpSocketTest, ATrainArrivesAsATrain) {
  UdpSocket a = OpenAt("127.0.0.1:0"), b = OpenAt("127.0.0.1:0");
  const std::string bytes =
      std::string(300, 'a') + std::string(300, 'b') + std::string(17, 'c');
  const iovec piece = Piece(AsBytes(bytes));
  const OutTrain train{{a.local(), b.local()}, {&piece, 1}, 300};
  EXPECT_EQ(a.Send({&train, 1}).trains, 1u);
  EXPECT_EQ(
      Segments(Collect(b, 3)),
      (std::vector<std::string>{std::string(300, 'a'), std::string(300, 'b'),
                                std::string(17, 'c')}));
  EXPECT_EQ(a.stats().sent, 3u);
  EXPECT_EQ(a.stats().gso_refused, 0u);
  EXPECT_EQ(b.stats().received_trains, 1u);
}

// The relay's case: headers of four bytes go in front of received payloads.
TEST_F(UdpSocketTest, ATrainIsGatheredFromHeadersAndPayloads) {
  for (bool offload : {true, false}) {
    UdpSocket a = OpenAt("127.0.0.1:0", offload), b = OpenAt("127.0.0.1:0");
    std::vector<std::string> headers, payloads, expected;
    for (int i = 0; i < 40; ++i) {
      headers.push_back(absl::StrCat("H", 100 + i));
      payloads.push_back(std::string(i == 39 ? 5 : 200, 'p'));
      expected.push_back(headers.back() + payloads.back());
    }
    std::vector<iovec> pieces;
    for (size_t i = 0; i < headers.size(); ++i) {
      pieces.push_back(Piece(AsBytes(headers[i])));
      pieces.push_back(Piece(AsBytes(payloads[i])));
    }
    const OutTrain train{{a.local(), b.local()}, pieces, 204};
    EXPECT_EQ(a.Send({&train, 1}).trains, 1u);
    EXPECT_EQ(Segments(Collect(b, 40)), expected);
    EXPECT_EQ(a.stats().sent, 40u);
    EXPECT_EQ(a.stats().sent_trains, offload ? 1u : 40u);
  }
}

TEST_F(UdpSocketTest, ATrainLongerThanTheKernelTakesIsCut) {
  UdpSocket a = OpenAt("127.0.0.1:0"), b = OpenAt("127.0.0.1:0");
  const std::string small(150 * 10, 's'), large(90 * 1000, 'l');
  const iovec small_piece = Piece(AsBytes(small));
  const iovec large_piece = Piece(AsBytes(large));
  const std::vector<OutTrain> trains = {
      {{a.local(), b.local()}, {&small_piece, 1}, 10},
      {{a.local(), b.local()}, {&large_piece, 1}, 1000}};
  EXPECT_EQ(a.Send(trains).trains, 2u);
  const std::vector<std::string> all = Segments(Collect(b, 240));
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i].size(), i < 150 ? 10u : 1000u);
  }
}

// Loopback's MTU is 65536, so a segment is never too large for it; a route
// that does not exist refuses every datagram instead.
TEST_F(UdpSocketTest, RefusedDatagramsAreCountedAndDoNotStopTheRest) {
  UdpSocket a = OpenAt("127.0.0.1:0"), b = OpenAt("127.0.0.1:0");
  const iovec piece = Piece(AsBytes("x"));
  const iovec large = Piece(AsBytes(std::string(2, 'y')));
  const Path good{a.local(), b.local()};
  const std::vector<OutTrain> trains = {
      {{a.local(), At("[::1]:9")}, {&piece, 1}},
      {{a.local(), At("127.0.0.1:0")}, {&piece, 1}},
      {good, {&piece, 1}},
      {{a.local(), {}}, {&piece, 1}},
      {{a.local(), At("127.0.0.1:0")}, {&large, 1}, 1},
      {good, {&piece, 1}}};
  EXPECT_EQ(a.Send(trains).trains, trains.size());
  EXPECT_EQ(Collect(b, 2).size(), 2u);
  EXPECT_EQ(a.stats().sent, 2u);
  EXPECT_EQ(a.stats().send_errors, 5u);
}

TEST_F(UdpSocketTest, AnUnreachablePortDoesNoHarm) {
  UdpSocket a = OpenAt("127.0.0.1:0"), b = OpenAt("127.0.0.1:0");
  TransportAddress closed;
  {
    UdpSocket gone = OpenAt("127.0.0.1:0");
    closed = gone.local();
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(a.SendOne({a.local(), closed}, AsBytes("x")));
    EXPECT_TRUE(a.SendOne({a.local(), b.local()}, AsBytes("y")));
  }
  EXPECT_EQ(Collect(b, 3).size(), 3u);
  EXPECT_TRUE(a.Receive(buffer_).empty());
}

TEST_F(UdpSocketTest,
       AWildcardSocketKnowsWhereItWasReachedAndAnswersFromThere) {
  UdpSocket server = OpenAt("0.0.0.0:0"), client = OpenAt("127.0.0.1:0");
  const TransportAddress reached{IpAddress::V4(127, 0, 0, 2),
                                 server.local().port};
  ASSERT_TRUE(client.SendOne({client.local(), reached}, AsBytes("?")));
  const Path path = Collect(server, 1)[0].path;
  EXPECT_EQ(path.local, reached);
  ASSERT_TRUE(server.SendOne(path, AsBytes("!")));
  EXPECT_EQ(Collect(client, 1)[0].path.remote, reached);
}

TEST_F(UdpSocketTest, ASocketThatOverflowsCountsWhatWasLost) {
  UdpSocket a = OpenAt("127.0.0.1:0");
  UdpSocket b =
      UdpSocket::Open({.bind = At("127.0.0.1:0"), .buffer_bytes = 1}).value();
  const std::string bytes(1000, 'x');
  constexpr size_t kSent = 200;
  for (size_t i = 0; i < kSent; ++i) {
    ASSERT_TRUE(a.SendOne({a.local(), b.local()}, AsBytes(bytes)));
  }
  while (!b.Receive(buffer_).empty()) {
  }
  // The counter comes with the datagrams that follow a loss.
  ASSERT_TRUE(a.SendOne({a.local(), b.local()}, AsBytes(bytes)));
  Collect(b, 1);
  EXPECT_GT(b.stats().kernel_drops, 0u);
  EXPECT_EQ(b.stats().kernel_drops + b.stats().received, kSent + 1);
}

TEST_F(UdpSocketTest, WhatWaitsTakesRoomUntilItIsReceived) {
  UdpSocket receiver = OpenAt("127.0.0.1:0");
  UdpSocket sender = OpenAt("127.0.0.1:0");
  EXPECT_EQ(receiver.Fullness(), 0);
  const std::vector<uint8_t> bytes(1000);
  for (int i = 0; i < 50; ++i) {
    sender.SendOne({sender.local(), receiver.local()}, bytes);
  }
  const double full = receiver.Fullness();
  EXPECT_GT(full, 0);
  EXPECT_LT(full, 1);
  Collect(receiver, 50);
  EXPECT_LT(receiver.Fullness(), full);
}

TEST_F(UdpSocketTest, ManyTrainsLeaveInOneCallInOrder) {
  UdpSocket a = OpenAt("127.0.0.1:0"), b = OpenAt("127.0.0.1:0");
  std::vector<std::string> texts;
  for (int i = 0; i < 50; ++i) texts.push_back(absl::StrCat("packet ", i));
  std::vector<iovec> pieces;
  for (const std::string& text : texts) pieces.push_back(Piece(AsBytes(text)));
  std::vector<OutTrain> trains;
  for (const iovec& piece : pieces) {
    trains.push_back({{a.local(), b.local()}, {&piece, 1}});
  }
  EXPECT_EQ(a.Send(trains).trains, 50u);
  EXPECT_EQ(Segments(Collect(b, 50)), texts);
}

}  // namespace
}  // namespace kyuu::net
