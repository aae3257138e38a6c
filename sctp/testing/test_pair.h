// Two associations over a simulated link, and what they reported: the stage of
// the association's tests.

#ifndef KYUU_SCTP_TESTING_TEST_PAIR_H_
#define KYUU_SCTP_TESTING_TEST_PAIR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sim/pair.h"

namespace kyuu::sctp {

// Report collects the events of one side.
struct Report {
  std::vector<Message> messages;
  std::vector<MessagePart> parts;
  std::optional<Connected> connected;
  std::optional<absl::Status> closed;
  std::vector<StreamsReset> resets;
  std::vector<AssociationReset> whole_resets;
  std::vector<StreamsAdded> added;
  std::vector<StreamId> low;
  std::map<uint64_t, Fate> fates;  // By the number of the message.
  int writable = 0;
  int restarts = 0;
  // False leaves the events in the association.
  bool reading = true;

  void Take(Event event) {
    EXPECT_FALSE(closed) << "an event after Closed";
    if (auto* m = std::get_if<Message>(&event)) {
      EXPECT_TRUE(connected) << "a message before Connected";
      messages.push_back(std::move(*m));
    } else if (auto* part = std::get_if<MessagePart>(&event)) {
      parts.push_back(std::move(*part));
    } else if (auto* c = std::get_if<Connected>(&event)) {
      EXPECT_FALSE(connected) << "Connected twice";
      connected = *c;
    } else if (std::get_if<Restarted>(&event)) {
      ++restarts;
    } else if (auto* settled = std::get_if<MessageSettled>(&event)) {
      EXPECT_TRUE(fates.emplace(settled->lifecycle, settled->fate).second)
          << "twice: " << settled->lifecycle;
    } else if (auto* r = std::get_if<StreamsReset>(&event)) {
      resets.push_back(std::move(*r));
    } else if (auto* whole = std::get_if<AssociationReset>(&event)) {
      whole_resets.push_back(std::move(*whole));
    } else if (auto* more = std::get_if<StreamsAdded>(&event)) {
      added.push_back(std::move(*more));
    } else if (std::get_if<WritableAgain>(&event)) {
      ++writable;
    } else if (auto* l = std::get_if<BufferedAmountLow>(&event)) {
      low.push_back(l->stream);
    } else {
      closed = std::get<Closed>(event).status;
    }
  }
  // The payloads that came on `stream`, as text.
  std::vector<std::string> Texts(int stream) const {
    std::vector<std::string> texts;
    for (const Message& message : messages) {
      if (message.stream != static_cast<StreamId>(stream)) continue;
      texts.emplace_back(message.payload.begin(), message.payload.end());
    }
    return texts;
  }
};

// Reading is an Association that keeps its events back while nobody reads.
class Reading {
 public:
  using Packet = Association::Packet;
  using Event = Association::Event;

  Reading(Association& association, const Report& report)
      : association_(association), report_(report) {}
  void HandlePacket(absl::Time now, Packet packet) {
    association_.HandlePacket(now, packet);
  }
  void HandleTimeout(absl::Time now) { association_.HandleTimeout(now); }
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out) {
    return association_.PollTransmit(now, out);
  }
  std::optional<Event> PollEvent() {
    return report_.reading ? association_.PollEvent() : std::nullopt;
  }
  absl::Time NextTimeout() const { return association_.NextTimeout(); }

 private:
  Association& association_;
  const Report& report_;
};

class TestPair {
 public:
  explicit TestPair(const sim::PairOptions& link = {},
                    const Options& options_a = {},
                    const Options& options_b = {})
      : random(link.seed + 1000),
        a(options_a, random),
        b(options_b, random),
        reading_a(a, at_a),
        reading_b(b, at_b),
        pair(reading_a, reading_b, link) {
    pair.on_a = [this](Event event) { at_a.Take(std::move(event)); };
    pair.on_b = [this](Event event) { at_b.Take(std::move(event)); };
  }

  bool both_connected() const { return at_a.connected && at_b.connected; }

  // Connects both sides at once, as WebRTC does.
  void Connect() {
    ASSERT_OK(a.Connect(pair.now()));
    ASSERT_OK(b.Connect(pair.now()));
    ASSERT_TRUE(
        pair.RunUntil([&] { return both_connected(); }, absl::Minutes(1)));
  }

  absl::Status SendText(Association& from, int stream, absl::string_view text,
                        const SendOptions& how = {}) {
    const auto bytes = AsBytes(text);
    return from.Send(pair.now(),
                     Message{static_cast<StreamId>(stream), Ppid{51},
                             std::vector<uint8_t>(bytes.begin(), bytes.end())},
                     how);
  }

  SeededRandom random;
  Association a;
  Association b;
  Report at_a;
  Report at_b;
  Reading reading_a;
  Reading reading_b;
  sim::Pair<Reading> pair;
};

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_TESTING_TEST_PAIR_H_
