// The example of README.md, complete: two connections in one process, joined
// by nothing but a loop that carries datagrams, candidates and time.

#include <array>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "dtls/certificate.h"
#include "gtest/gtest.h"
#include "peer/connection.h"
#include "sim/clock.h"
#include "sim/clock_override.h"

namespace kyuu::peer {
namespace {

TEST(Example, TwoConnectionsSayHello) {
  SeededRandom random(1);
  sim::Clock clock;
  sim::ScopedClockOverride override_clock(clock);
  absl::Time now = clock.now();
  const dtls::Certificate certificate = *dtls::Certificate::Generate(now);
  const TransportAddress address_a{IpAddress::V4(192, 0, 2, 1), 1000};
  const TransportAddress address_b{IpAddress::V4(192, 0, 2, 2), 2000};

  Connection a(certificate, {}, random), b(certificate, {}, random);
  ASSERT_OK(a.AddLocalAddress(now, {address_a}));
  ASSERT_OK(b.AddLocalAddress(now, {address_b}));
  ChannelId chat = *a.CreateDataChannel(now, {.label = "chat"});
  std::string offer = *a.CreateOffer();
  ASSERT_OK(a.SetLocalDescription(now, SdpType::kOffer));
  ASSERT_OK(b.SetRemoteDescription(now, SdpType::kOffer, offer));
  std::string answer = *b.CreateAnswer();
  ASSERT_OK(b.SetLocalDescription(now, SdpType::kAnswer));
  ASSERT_OK(a.SetRemoteDescription(now, SdpType::kAnswer, answer));

  std::optional<sctp::ChannelMessage> received;
  std::array<uint8_t, Connection::kDatagramMax> buffer;
  // One side's turn: its timers, its datagrams, its events.
  auto at = [&](Connection& side, Connection& other) {
    side.HandleTimeout(now);
    while (auto out = side.PollTransmit(now, absl::MakeSpan(buffer))) {
      const Path back{.local = out->path.remote, .remote = out->path.local};
      other.HandlePacket(now, {back, out->bytes});
    }
    while (auto event = side.PollEvent()) {
      if (auto* found = std::get_if<CandidateFound>(&*event)) {
        EXPECT_OK(other.AddIceCandidate(now, found->candidate, found->mid,
                                        found->mline_index));
      } else if (auto* open = std::get_if<sctp::ChannelOpened>(&*event)) {
        EXPECT_EQ(open->channel, chat);
        EXPECT_OK(side.Send(now, chat, PayloadType::kText, {'h', 'i'}));
      } else if (auto* message = std::get_if<sctp::ChannelMessage>(&*event)) {
        received = *message;
      }
    }
  };
  for (int turn = 0; turn < 1000 && !received; ++turn) {
    at(a, b);
    at(b, a);
    clock.AdvanceTo(now += absl::Milliseconds(5));
  }
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->payload, (std::vector<uint8_t>{'h', 'i'}));
}

}  // namespace
}  // namespace kyuu::peer
