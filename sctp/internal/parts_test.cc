// The parts of an association, each alone: intervals, queue, timeouts,
// windows, cookies and the rules of SACK.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/internal/data_tracker.h"
#include "sctp/internal/message_pool.h"
#include "sctp/internal/receive_window.h"
#include "sctp/internal/recent_map.h"
#include "sctp/internal/ring_queue.h"
#include "sctp/internal/rto.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/state_cookie.h"
#include "sctp/internal/stream_table.h"
#include "sctp/internal/tsn_intervals.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {
namespace {

using ::testing::ElementsAre;
using Due = DataTracker::Due;

TEST(Serial, Wraps) {
  EXPECT_TRUE(Tsn(0xffffffff) < Tsn(0));
  EXPECT_TRUE(Tsn(5) > Tsn(0xfffffff0));
  EXPECT_EQ(Tsn(2) - Tsn(0xffffffff), 3u);
  EXPECT_TRUE(Ssn(65535) < Ssn(3));
  EXPECT_EQ(Ssn(65535) + 1, Ssn(0));
}

TEST(TsnIntervals, AgreesWithASet) {
  SeededRandom random(4);
  const Tsn base(0xffffffc0);  // The numbers wrap within the test.
  TsnIntervals intervals;
  std::set<uint32_t> expected;
  for (int i = 0; i < 3000; ++i) {
    const uint32_t first = static_cast<uint32_t>(random.Below(200));
    const uint32_t last = first + static_cast<uint32_t>(random.Below(6));
    EXPECT_EQ(intervals.Contains(base + first), expected.contains(first));
    if (!expected.contains(first)) {
      EXPECT_EQ(intervals.WouldGrow(base + first),
                !expected.contains(first - 1) && !expected.contains(first + 1));
    }
    std::set<uint32_t> fresh;
    intervals.Add(base + first, base + last, [&](Tsn from, Tsn to) {
      for (Tsn t = from; t <= to; ++t) fresh.insert(t - base);
    });
    for (uint32_t t = first; t <= last; ++t) {
      EXPECT_EQ(expected.insert(t).second, fresh.contains(t));
    }
    std::optional<Tsn> before;
    for (const auto& [from, to] : intervals) {
      EXPECT_TRUE(!before || *before + 1 < from);
      before = to;
    }
    if (i % 100 == 99) {
      const uint32_t up_to = static_cast<uint32_t>(random.Below(200));
      intervals.RemoveUpTo(base + up_to);
      expected.erase(expected.begin(), expected.upper_bound(up_to));
    }
  }
}

TEST(RingQueue, AgreesWithADeque) {
  SeededRandom random(9);
  RingQueue<std::string> ring;
  std::deque<std::string> expected;
  for (int i = 0; i < 20'000; ++i) {
    if (random.Below(5) < (i / 1000 % 2 == 0 ? 3u : 2u)) {
      ring.push_back(std::to_string(i));
      expected.push_back(std::to_string(i));
    } else if (!expected.empty()) {
      EXPECT_EQ(ring.pop_front(), expected.front());
      expected.pop_front();
    }
    ASSERT_EQ(ring.size(), expected.size());
    if (expected.empty()) continue;
    EXPECT_EQ(ring.front(), expected.front());
    EXPECT_EQ(ring.back(), expected.back());
    EXPECT_EQ(ring[expected.size() / 2], expected[expected.size() / 2]);
  }
}

TEST(RingQueue, GivesBackWhatABurstTook) {
  RingQueue<uint64_t> ring;
  EXPECT_EQ(ring.capacity(), 0u);
  for (uint64_t i = 0; i < 100'000; ++i) ring.push_back(i);
  for (uint64_t i = 0; i < 100'000; ++i) {
    EXPECT_EQ(ring.pop_front(), i);
    EXPECT_LE(ring.capacity(), std::max(16 * (ring.size() + 1), +ring.kSmall));
  }
  EXPECT_LE(ring.capacity(), ring.kSmall);
}

// What a place held before does not come back with it.
TEST(RingQueue, ANewPlaceIsEmptyHoweverOftenItWasUsed) {
  RingQueue<std::vector<int>> queue;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(queue.emplace_back().empty());
    queue.back().assign(3, i);
    if (i % 3 == 2) {
      EXPECT_EQ(queue.pop_front(), std::vector<int>(3, i / 3));
    }
  }
  EXPECT_EQ(queue.size(), 1000u - 333);
}

// A place is one message's at a time, empty when it is taken, and stays where
// it is; what is allocated follows the last one that is taken.
TEST(MessagePool, IsAsLargeAsTheLastPlaceThatIsTaken) {
  SeededRandom random(5);
  MessagePool pool;
  std::map<MessageId, const OutMessage*> taken;
  for (int i = 0; i < 40'000; ++i) {
    if (random.Below(5) < (i / 4000 % 2 == 0 ? 3u : 2u)) {
      const MessageId id = pool.Take();
      ASSERT_TRUE(pool[id].payload.empty());
      ASSERT_TRUE(taken.emplace(id, &pool[id]).second);
      pool[id].payload.assign(3, 1);
    } else if (!taken.empty()) {
      auto it = taken.begin();
      std::advance(it, random.Below(taken.size()));
      ASSERT_EQ(&pool[it->first], it->second);
      pool.Return(it->first);
      taken.erase(it);
    }
    const size_t last =
        taken.empty() ? 0 : static_cast<size_t>(taken.rbegin()->first) + 1;
    ASSERT_EQ(pool.places(), last);
    ASSERT_LT(pool.capacity(), last + 2 * pool.kPage);
  }
}

TEST(MessagePool, GivesBackWhatABurstTook) {
  MessagePool pool;
  const MessageId lasting = pool.Take();
  std::vector<MessageId> burst;
  burst.reserve(100'000);
  for (int i = 0; i < 100'000; ++i) burst.push_back(pool.Take());
  EXPECT_GE(pool.bytes(), 100'000 * sizeof(OutMessage));
  for (const MessageId id : burst) pool.Return(id);
  EXPECT_LE(pool.bytes(), 8192u);
  pool.Return(lasting);
  EXPECT_LE(pool.bytes(), 8192u);
}

// What it remembers ends with the value, however that ends.
TEST(RecentMap, NeverFindsWhatIsGone) {
  RecentMap<int, int> map;
  map.Make(1) = 10;
  map.Make(2) = 20;
  ASSERT_EQ(*map.Find(2), 20);
  map.EraseIf([](int value) { return value == 20; });
  EXPECT_EQ(map.Find(2), nullptr);
  ASSERT_EQ(*map.Find(1), 10);
  RecentMap<int, int> other = std::move(map);
  EXPECT_EQ(map.Find(1), nullptr);  // NOLINT: it is empty, not unspecified.
  ASSERT_EQ(*other.Find(1), 10);
  map.Make(1) = 11;
  other = std::move(map);
  EXPECT_EQ(*other.Find(1), 11);
  other.Clear();
  EXPECT_EQ(other.Find(1), nullptr);
  EXPECT_EQ(other.Make(1), 0);
  EXPECT_EQ(other.size(), 1u);
}

TEST(StreamTable, HoldsAValueForEachStream) {
  StreamTable<int> table;
  EXPECT_EQ(table.Get(StreamId{65535}), 0);
  for (int i = 0; i < 65536; ++i) table[StreamId{static_cast<uint16_t>(i)}] = i;
  for (int i = 0; i < 65536; ++i) {
    EXPECT_EQ(table.Get(StreamId{static_cast<uint16_t>(i)}), i);
  }
  table.Clear();
  EXPECT_EQ(table.Get(StreamId{65535}), 0);
}

// RFC 9260 section 6.3.1.
TEST(Rto, FollowsTheMeasurements) {
  Rto rto(Options{});
  EXPECT_EQ(rto.rto(), absl::Milliseconds(500));
  rto.Measured(absl::Milliseconds(100));  // C2: SRTT = R, RTTVAR = R / 2.
  EXPECT_EQ(rto.srtt(), absl::Milliseconds(100));
  EXPECT_EQ(rto.rttvar(), absl::Milliseconds(50));
  EXPECT_EQ(rto.rto(), absl::Milliseconds(300));
  rto.Measured(absl::Milliseconds(180));  // C3.
  EXPECT_EQ(rto.srtt(), absl::Milliseconds(110));
  EXPECT_EQ(rto.rttvar(), absl::Microseconds(57'500));
  EXPECT_EQ(rto.rto(), absl::Milliseconds(340));
  for (int i = 0; i < 100; ++i) rto.Measured(absl::Milliseconds(1));
  EXPECT_EQ(rto.rto(), absl::Milliseconds(220));  // C6.
  EXPECT_EQ(rto.min_rtt(), absl::Milliseconds(1));
}

TEST(StateCookie, RoundTrip) {
  SeededRandom random(1);
  const CookieKey key(random);
  StateCookie cookie;
  cookie.created = absl::FromUnixNanos(1'700'000'000'123'456'789);
  cookie.local_tag = 1;
  cookie.peer_tag = 2;
  cookie.local_initial_tsn = Tsn(3);
  cookie.peer_initial_tsn = Tsn(4);
  cookie.peer_a_rwnd = 5;
  cookie.peer_outbound_streams = 6;
  cookie.peer_inbound_streams = 7;
  cookie.peer_extensions = {.forward_tsn = true, .re_config = false};
  cookie.local_tie_tag = 8;
  cookie.peer_tie_tag = 9;
  const auto bytes = key.Seal(cookie);
  EXPECT_EQ(key.Open(bytes), cookie);
  const CookieKey other(random);
  EXPECT_FALSE(other.Open(bytes));
}

// RFC 9260 section 6.2.
TEST(DataTracker, AsksForASackEverySecondPacket) {
  DataTracker tracker(Options{}, Tsn(10));
  EXPECT_EQ(tracker.sack_due(), Due::kNot);
  tracker.Record(Tsn(10));
  tracker.OnDataPacket();
  EXPECT_EQ(tracker.sack_due(), Due::kNow);  // The first one of all.
  EXPECT_EQ(tracker.TakeSack(100, 1000).cumulative_tsn_ack, Tsn(10));
  tracker.Record(Tsn(11));
  tracker.OnDataPacket();
  EXPECT_EQ(tracker.sack_due(), Due::kLater);
  tracker.Record(Tsn(12));
  tracker.OnDataPacket();
  EXPECT_EQ(tracker.sack_due(), Due::kNow);
  EXPECT_EQ(tracker.TakeSack(100, 1000).cumulative_tsn_ack, Tsn(12));
  EXPECT_EQ(tracker.sack_due(), Due::kNot);
}

TEST(DataTracker, AsksAtOnceForGapsAndDuplicates) {
  DataTracker tracker(Options{}, Tsn(10));
  tracker.Record(Tsn(12));
  EXPECT_EQ(tracker.sack_due(), Due::kNow);
  SackChunk sack = tracker.TakeSack(100, 1000);
  EXPECT_EQ(sack.cumulative_tsn_ack, Tsn(9));
  EXPECT_THAT(sack.gap_ack_blocks, ElementsAre(GapAckBlock{3, 3}));
  EXPECT_EQ(tracker.Classify(Tsn(12)), TsnClass::kDuplicate);
  tracker.RecordDuplicate(Tsn(12));
  EXPECT_THAT(tracker.TakeSack(100, 1000).duplicate_tsns, ElementsAre(Tsn(12)));
  tracker.Record(Tsn(11));
  tracker.Record(Tsn(10));
  EXPECT_EQ(tracker.sack_due(), Due::kNow);
  EXPECT_EQ(tracker.TakeSack(100, 1000).cumulative_tsn_ack, Tsn(12));
  EXPECT_FALSE(tracker.has_gaps());
}

TEST(DataTracker, TheBoundsOfASack) {
  Options options;
  options.max_sack_gap_blocks = 5;
  options.max_sack_duplicates = 3;
  DataTracker tracker(options, Tsn(1));
  for (uint32_t i = 1; i < 20; ++i) tracker.Record(Tsn(2 * i + 1));
  for (uint32_t i = 1; i < 20; ++i) tracker.RecordDuplicate(Tsn(2 * i + 1));
  SackChunk sack = tracker.TakeSack(0, 1000);
  EXPECT_EQ(sack.gap_ack_blocks.size(), 5u);
  EXPECT_EQ(sack.duplicate_tsns.size(), 3u);
  sack = tracker.TakeSack(0, 16 + 8);
  EXPECT_EQ(sack.gap_ack_blocks.size(), 2u);
}

TEST(DataTracker, ForwardsOverHoles) {
  DataTracker tracker(Options{}, Tsn(1));
  tracker.Record(Tsn(3));
  tracker.Record(Tsn(5));
  tracker.Record(Tsn(6));
  EXPECT_TRUE(tracker.ForwardTo(Tsn(4)));
  EXPECT_EQ(tracker.cumulative_tsn(), Tsn(6));
  EXPECT_FALSE(tracker.ForwardTo(Tsn(6)));
}

TEST(Options, RefusesWhatContradictsItself) {
  EXPECT_OK(Options{}.Validate());
  const std::vector<std::pair<const char*, Options>> bad = {
      {"mtu", {.mtu = 511}},
      {"mtu", {.mtu = 65536}},
      {"outgoing_streams", {.outgoing_streams = 0}},
      {"receive_window_bytes", {.receive_window_bytes = 1499}},
      {"max_message_in", {.max_message_in = 0}},
      {"max_tsn_window", {.max_tsn_window = 32768}},
      {"rto_min", {.rto_min = absl::Seconds(5)}},
      {"sack_delay", {.sack_delay = absl::Milliseconds(501)}},
      {"initial_cwnd_packets", {.initial_cwnd_packets = 0}},
  };
  for (const auto& [name, options] : bad) {
    EXPECT_THAT(std::string(options.Validate().message()),
                ::testing::HasSubstr(name));
  }
}

// `rate` bytes in each round trip of 100 ms, for `rounds`.
void Arrive(ReceiveWindow& window, absl::Time& now, size_t rate, int rounds,
            size_t held = 0) {
  for (int i = 0; i < 10 * rounds; ++i) {
    now += absl::Milliseconds(10);
    window.OnArrived(now, rate / 10, held, absl::Milliseconds(100));
  }
}

TEST(ReceiveWindow, GrowsWithWhatArrivesInARoundTripAndShrinksAgain) {
  ReceiveWindow window({});
  absl::Time now = absl::FromUnixSeconds(1);
  EXPECT_EQ(window.size(), size_t{5} << 20);
  Arrive(window, now, 1'000'000, 5);
  EXPECT_EQ(window.size(), size_t{5} << 20);
  Arrive(window, now, 5'000'000, 5);
  EXPECT_NEAR(static_cast<double>(window.size()), 20e6, 2.5e6);
  Arrive(window, now, 50'000'000, 5);
  EXPECT_EQ(window.size(), size_t{64} << 20) << "the bound";
  // Never by more than what arrives: what was promised holds.
  size_t before = window.size();
  for (int i = 0; i < 200; ++i) {
    Arrive(window, now, 1'000'000, 1);
    EXPECT_GE(window.size() + 1'100'000, before);
    before = window.size();
  }
  EXPECT_LT(window.size(), size_t{6} << 20);
}

TEST(ReceiveWindow, DoesNotGrowForAnApplicationThatDoesNotKeepUp) {
  ReceiveWindow window({});
  absl::Time now = absl::FromUnixSeconds(1);
  Arrive(window, now, 50'000'000, 5, size_t{4} << 20);
  EXPECT_EQ(window.size(), size_t{5} << 20);
}

TEST(ReceiveWindow, AsksForANewRoundTripNowAndThenWhereMuchArrives) {
  ReceiveWindow window({});
  absl::Time now = absl::FromUnixSeconds(1);
  int asked = 0;
  for (int i = 0; i < 1000; ++i) {
    now += absl::Milliseconds(10);
    asked += window.OnArrived(now, 100'000, 0, absl::ZeroDuration()) ? 1 : 0;
  }
  EXPECT_NEAR(asked, 10, 1);
  for (int i = 0; i < 1000; ++i) {
    now += absl::Milliseconds(10);
    EXPECT_FALSE(window.OnArrived(now, 100, 0, absl::ZeroDuration())) << i;
  }
}

}  // namespace
}  // namespace kyuu::sctp::internal
