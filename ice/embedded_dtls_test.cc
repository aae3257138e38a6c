#include "ice/embedded_dtls.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/crc32.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "stun/protocol.h"

namespace kyuu::ice {
namespace {

using Bytes = std::vector<uint8_t>;
using Acks = stun::MetaDtlsInStunAcknowledgement;

// A datagram that looks like DTLS, told apart by `letter`.
Bytes Datagram(char letter, size_t size = 100) {
  Bytes bytes(size, static_cast<uint8_t>(letter));
  bytes[0] = 22;
  return bytes;
}

// A Binding message and its bytes.
struct Carrier {
  // What `from` adds to it.
  explicit Carrier(EmbeddedDtls& from) : Carrier() {
    stun::MessageWriter writer = Begin();
    from.Write(writer);
    Finish(writer);
  }
  // What a peer of ours makes of it.
  static Carrier With(std::optional<Bytes> data, std::optional<Bytes> acks) {
    Carrier carrier;
    stun::MessageWriter writer = carrier.Begin();
    if (acks) writer.Add(Acks{*acks});
    if (data) writer.Add(stun::MetaDtlsInStun{*data});
    carrier.Finish(writer);
    return carrier;
  }
  std::optional<Bytes> data() const {
    const auto value = view->Get<stun::MetaDtlsInStun>();
    if (!value) return std::nullopt;
    return Bytes(value->value.begin(), value->value.end());
  }
  size_t acks() const {
    const auto value = view->Get<Acks>();
    return value ? value->value.size() / 4 : 0;
  }
  bool empty() const {
    return !view->Has<stun::MetaDtlsInStun>() && !view->Has<Acks>();
  }

  Bytes bytes = Bytes(1500);
  std::optional<stun::MessageView> view;

 private:
  Carrier() = default;
  stun::MessageWriter Begin() {
    return {absl::MakeSpan(bytes), stun::MessageClass::kRequest,
            stun::Method::kBinding, stun::TransactionId()};
  }
  void Finish(stun::MessageWriter& writer) {
    view = *stun::MessageView::Parse(writer.Finish());
  }
};

struct Two {
  EmbeddedDtls a{EmbeddedDtls::Use::kOn};
  EmbeddedDtls b{EmbeddedDtls::Use::kOn};

  void AtoB() { b.Read(*Carrier(a).view); }
  void BtoA() { a.Read(*Carrier(b).view); }
};

TEST(EmbeddedDtls, AFlightArrivesAndItsAcknowledgementEndsIt) {
  Two two;
  two.a.SetFlight({Datagram('x')});
  two.AtoB();
  EXPECT_EQ(two.b.PollReceived(), Datagram('x'));
  EXPECT_EQ(two.b.PollReceived(), std::nullopt);
  EXPECT_EQ(Carrier(two.a).data(), Datagram('x'));
  two.BtoA();
  EXPECT_EQ(Carrier(two.a).data(), Bytes());
  EXPECT_EQ(two.a.TakeUnacknowledged(), std::nullopt);
  EXPECT_EQ(two.a.stats().sent, 2u);
  EXPECT_EQ(two.a.stats().acknowledged, 1u);
}

TEST(EmbeddedDtls, SeveralDatagramsTakeTurns) {
  Two two;
  two.a.SetFlight({Datagram('x'), Datagram('y')});
  EXPECT_EQ(Carrier(two.a).data(), Datagram('x'));
  EXPECT_EQ(Carrier(two.a).data(), Datagram('y'));
  EXPECT_EQ(Carrier(two.a).data(), Datagram('x'));
  two.AtoB();  // y
  two.BtoA();
  EXPECT_EQ(Carrier(two.a).data(), Datagram('x'));
  EXPECT_EQ(two.a.TakeUnacknowledged(), Datagram('x'));
  EXPECT_EQ(two.a.TakeUnacknowledged(), std::nullopt);
}

TEST(EmbeddedDtls, ANewFlightTakesThePlaceOfTheOld) {
  Two two;
  two.a.SetFlight({Datagram('x')});
  two.a.SetFlight({Datagram('y')});
  EXPECT_EQ(two.a.TakeUnacknowledged(), Datagram('y'));
  EXPECT_EQ(two.a.TakeUnacknowledged(), std::nullopt);
}

TEST(EmbeddedDtls, WhatIsTooLargeWaitsForAPath) {
  Two two;
  const Bytes large = Datagram('x', EmbeddedDtls::kDatagramMax + 1);
  const Bytes fits = Datagram('y', EmbeddedDtls::kDatagramMax);
  two.a.SetFlight({large, fits});
  EXPECT_EQ(Carrier(two.a).data(), fits);
  EXPECT_EQ(Carrier(two.a).data(), fits);
  two.AtoB();
  two.BtoA();
  EXPECT_EQ(Carrier(two.a).data(), Bytes());
  EXPECT_EQ(two.a.TakeUnacknowledged(), large);
}

TEST(EmbeddedDtls, APeerWithoutItIsLeftAlone) {
  Two two;
  two.a.SetFlight({Datagram('x')});
  two.a.Read(*Carrier::With(std::nullopt, std::nullopt).view);
  EXPECT_FALSE(two.a.active());
  EXPECT_TRUE(Carrier(two.a).empty());
  EXPECT_EQ(two.a.TakeUnacknowledged(), Datagram('x'));

  EmbeddedDtls off(EmbeddedDtls::Use::kOff);
  EXPECT_TRUE(Carrier(off).empty());
  off.Read(*Carrier::With(Datagram('x'), Bytes()).view);
  EXPECT_EQ(off.PollReceived(), std::nullopt);
}

// Only the first message tells who does not know it; later the peer is done
// with it, but our last flight must still reach it.
TEST(EmbeddedDtls, APeerThatStopsIsDone) {
  const Carrier without = Carrier::With(std::nullopt, std::nullopt);
  Two two;
  two.BtoA();
  two.a.SetFlight({Datagram('x')});
  two.a.Read(*without.view);
  EXPECT_EQ(Carrier(two.a).data(), Datagram('x'));
  two.AtoB();
  two.BtoA();
  two.a.Read(*without.view);
  EXPECT_TRUE(Carrier(two.a).empty());
}

TEST(EmbeddedDtls, TheEndWaitsUntilAllIsTold) {
  Two two;
  two.a.SetFlight({Datagram('x')});
  two.AtoB();
  two.b.Finish();  // It has acknowledged nothing yet.
  EXPECT_FALSE(two.b.active());
  two.BtoA();
  EXPECT_TRUE(Carrier(two.b).empty());
  EXPECT_EQ(Carrier(two.a).data(), Bytes());

  two.a.SetFlight({Datagram('y')});
  two.a.Finish();
  EXPECT_EQ(Carrier(two.a).data(), Datagram('y'));
  EXPECT_EQ(two.a.TakeUnacknowledged(), Datagram('y'));
  EXPECT_TRUE(Carrier(two.a).empty());
}

// Every bound, and what an authenticated but hostile peer may say.
TEST(EmbeddedDtls, BoundsWhatAPeerMakesUsHold) {
  Two two;
  const size_t more = EmbeddedDtls::kDatagramsMax + 3;
  for (size_t i = 0; i < more; ++i) {
    two.a.Read(
        *Carrier::With(Datagram(static_cast<char>('a' + i)), Bytes()).view);
  }
  EXPECT_EQ(Carrier(two.a).acks(), EmbeddedDtls::kAcknowledgementsMax);
  size_t received = 0;
  while (two.a.PollReceived()) ++received;
  EXPECT_EQ(received, EmbeddedDtls::kDatagramsMax);
  EXPECT_EQ(two.a.stats().received, EmbeddedDtls::kDatagramsMax);
  EXPECT_EQ(two.a.stats().drop_queue_full, 3u);

  std::vector<Bytes> flight(more, Datagram('x'));
  two.a.SetFlight(flight);
  size_t kept = 0;
  while (two.a.TakeUnacknowledged()) ++kept;
  EXPECT_EQ(kept, EmbeddedDtls::kDatagramsMax);

  // What is no DTLS is not handed on; odd bytes of a list are no CRC.
  for (const Bytes& bytes : {Bytes(), Bytes{19, 0}, Bytes{64, 0}}) {
    two.a.Read(*Carrier::With(bytes, Bytes{1, 2, 3}).view);
  }
  EXPECT_EQ(two.a.PollReceived(), std::nullopt);
  EXPECT_EQ(two.a.stats().drop_unusable, 2u);
}

TEST(EmbeddedDtls, TheSameDatagramIsAcknowledgedOnce) {
  Two two;
  for (int i = 0; i < 3; ++i) {
    two.a.Read(*Carrier::With(Datagram('x'), Bytes()).view);
  }
  EXPECT_EQ(Carrier(two.a).acks(), 1u);
}

}  // namespace
}  // namespace kyuu::ice
