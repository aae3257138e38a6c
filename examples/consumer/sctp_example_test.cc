// A program that takes nothing of kyuu but //sctp: two associations in memory
// and one message.

#include <array>
#include <optional>
#include <string>
#include <variant>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "sctp/association.h"

namespace {

namespace sctp = kyuu::sctp;

// Carries packets both ways until neither side has anything to say.
void Exchange(absl::Time now, sctp::Association& a, sctp::Association& b) {
  std::array<uint8_t, 2048> buffer;
  bool busy = true;
  while (busy) {
    busy = false;
    while (auto packet = a.PollTransmit(now, absl::MakeSpan(buffer))) {
      b.HandlePacket(now, *packet);
      busy = true;
    }
    while (auto packet = b.PollTransmit(now, absl::MakeSpan(buffer))) {
      a.HandlePacket(now, *packet);
      busy = true;
    }
  }
}

}  // namespace

TEST(SctpExample, CarriesAMessage) {
  kyuu::SeededRandom random(1);
  sctp::Association a({}, random), b({}, random);
  const absl::Time now = absl::UnixEpoch();
  ASSERT_TRUE(a.Connect(now).ok());
  Exchange(now, a, b);
  ASSERT_TRUE(
      a.Send(now, {sctp::StreamId{1}, sctp::Ppid{51}, {'h', 'i'}}).ok());
  Exchange(now, a, b);

  std::optional<sctp::Message> received;
  while (auto event = b.PollEvent()) {
    if (auto* message = std::get_if<sctp::Message>(&*event)) {
      received = std::move(*message);
    }
  }
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(std::string(received->payload.begin(), received->payload.end()),
            "hi");
}
