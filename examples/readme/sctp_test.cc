// The example of sctp/README.md, with an association at the other end.

#include <array>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/system_random.h"
#include "base/testing.h"
#include "sctp/association.h"

namespace {

using namespace kyuu;  // NOLINT: as in the README.

// One turn of a driver; returns the messages that came.
std::vector<sctp::Message> Turn(absl::Time now, sctp::Association& association,
                                sctp::Association& peer) {
  std::vector<sctp::Message> messages;
  std::array<uint8_t, 1500> buffer;
  while (auto packet = association.PollTransmit(now, absl::MakeSpan(buffer))) {
    peer.HandlePacket(now, *packet);
  }
  while (auto event = association.PollEvent()) {
    if (auto* message = std::get_if<sctp::Message>(&*event)) {
      messages.push_back(std::move(*message));
    }
  }
  return messages;
}

TEST(SctpReadme, ExampleWorks) {
  const absl::Time now = absl::UnixEpoch();
  SystemRandom random;
  sctp::Association association(sctp::Options{}, random);
  sctp::Association peer(sctp::Options{}, random);
  ASSERT_OK(association.Connect(now));
  ASSERT_OK(peer.Connect(now));
  for (int i = 0; i < 5; ++i) {
    Turn(now, association, peer);
    Turn(now, peer, association);
  }
  std::vector<uint8_t> bytes{'h', 'i'};
  ASSERT_OK(association.Send(
      now, {sctp::StreamId{0}, sctp::Ppid{53}, std::move(bytes)},
      {.ordering = sctp::Ordering::kUnordered, .max_retransmits = 0}));
  Turn(now, association, peer);
  const auto messages = Turn(now, peer, association);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].payload, (std::vector<uint8_t>{'h', 'i'}));
  EXPECT_GT(association.NextTimeout(), now);
}

}  // namespace
