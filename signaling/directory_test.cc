// Rooms, presence and calls as values: what one source may take from others,
// and what the others are told.

#include "signaling/directory.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::signaling {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

const IpAddress kGreedy = IpAddress::V4(192, 0, 2, 1);
const IpAddress kHonest = IpAddress::V4(192, 0, 2, 2);

struct Fixture {
  explicit Fixture(RoomOptions rooms = {}, CallOptions calls = {})
      : directory(rooms, calls, random) {}

  // The error's code, or "" if it joined.
  std::string Join(uint64_t member, const std::string& name,
                   const std::string& room = "",
                   const IpAddress& source = kHonest) {
    const auto joined =
        directory.Join(now, Member(member), source, {name, room});
    return CodeOf(std::get_if<Refusal>(&joined));
  }
  std::string Call(uint64_t member, const std::string& to) {
    auto started = directory.StartCall(now, Member(member), to, "{}");
    if (const auto* start = std::get_if<CallStart>(&started)) {
      call = start->call;
    }
    return CodeOf(std::get_if<Refusal>(&started));
  }
  static std::string CodeOf(const Refusal* refusal) {
    return refusal == nullptr ? "" : std::string(ErrorCodeName(refusal->code));
  }
  // "+name" for who came, "-name" for who left, "=name" for who has changed, of
  // each PeersChanged since the last time.
  std::vector<std::string> Told() {
    std::vector<std::string> told;
    while (const auto next = directory.PollEffect()) {
      const auto* changed = std::get_if<effect::PeersChanged>(&*next);
      if (changed == nullptr) continue;
      std::string text;
      for (const auto& change : changed->changes) {
        text += change.change == PresenceChange::kJoined ? "+"
                : change.change == PresenceChange::kLeft ? "-"
                                                         : "=";
        text += change.peer.name;
        last_meta = change.peer.meta;
      }
      receivers = changed->receivers.size();
      told.push_back(std::move(text));
    }
    return told;
  }
  void Pass(absl::Duration time) {
    now += time;
    directory.HandleTimeout(now);
  }

  SeededRandom random{5};
  absl::Time now = absl::FromUnixSeconds(1000);
  Directory directory;
  std::string call;
  std::string last_meta;
  size_t receivers = 0;
};

TEST(DirectoryTest, OneSourceHasItsShareOfTheRooms) {
  RoomOptions options;
  options.max_rooms = 5;
  options.max_rooms_per_source = 2;
  Fixture f(options);
  EXPECT_EQ(f.Join(1, "a", "r1", kGreedy), "");
  EXPECT_EQ(f.Join(2, "a", "r2", kGreedy), "");
  EXPECT_EQ(f.Join(3, "a", "r3", kGreedy), "server_full");
  EXPECT_EQ(f.Join(3, "a", "r3", kHonest), "");
  // A room that somebody else has made costs nothing.
  EXPECT_EQ(f.Join(4, "b", "r3", kGreedy), "");
  // What has gone gives its share back.
  EXPECT_FALSE(f.directory.Leave(f.now, Member(1), "peer_left").has_value());
  EXPECT_EQ(f.Join(5, "a", "r5", kGreedy), "");
}

TEST(DirectoryTest, TheLobbyIsOpenHoweverManyRoomsThereAre) {
  RoomOptions options;
  options.max_rooms = 3;
  options.max_rooms_per_source = 100;
  Fixture f(options);
  for (uint64_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(f.Join(i, "a", absl::StrCat("r", i), kGreedy), "");
  }
  EXPECT_EQ(f.Join(4, "a", "r4"), "server_full");
  EXPECT_EQ(f.Join(4, "a"), "");
  EXPECT_EQ(f.Join(5, "b", "lobby"), "");
}

TEST(DirectoryTest, OneSourceHasItsShareOfTheLobby) {
  RoomOptions options;
  options.max_peers_per_room = 5;
  options.max_peers_per_source = 3;
  Fixture f(options);
  for (uint64_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(f.Join(i, absl::StrCat("greedy", i), "", kGreedy), "");
  }
  EXPECT_EQ(f.Join(4, "greedy4", "", kGreedy), "room_full");
  EXPECT_EQ(f.Join(4, "ada"), "");
  EXPECT_EQ(f.Join(5, "bob"), "");
  EXPECT_EQ(f.Join(6, "eve"), "room_full");
  EXPECT_FALSE(f.directory.Leave(f.now, Member(1), "peer_left").has_value());
  EXPECT_EQ(f.Join(7, "greedy5", "", kGreedy), "");
}

TEST(DirectoryTest, ASourceThatIsNotKnownHasNoShare) {
  RoomOptions options;
  options.max_rooms_per_source = 1;
  options.max_peers_per_source = 1;
  Fixture f(options);
  for (uint64_t i = 1; i <= 10; ++i) {
    EXPECT_EQ(f.Join(i, absl::StrCat("x", i), "", IpAddress()), "");
    EXPECT_EQ(f.Join(100 + i, "a", absl::StrCat("r", i), IpAddress()), "");
  }
}

TEST(DirectoryTest, OneSourceHasItsShareOfWhatRings) {
  CallOptions options;
  options.max_ringing_per_source = 2;
  options.max_calls_per_peer = 100;
  Fixture f({}, options);
  for (uint64_t i = 1; i <= 4; ++i) {
    f.Join(i, absl::StrCat("greedy", i), "", kGreedy);
  }
  f.Join(10, "bob");
  f.Join(11, "friend");
  EXPECT_EQ(f.Call(1, "bob"), "");
  EXPECT_EQ(f.Call(2, "bob"), "");
  EXPECT_EQ(f.Call(3, "bob"), "too_many_calls");
  EXPECT_EQ(f.Call(11, "bob"), "");
  // A call that is accepted, or that has ended, rings no more.
  EXPECT_FALSE(f.directory.EndCall(Member(11), f.call, "hangup").has_value());
  f.Pass(absl::Seconds(60));
  EXPECT_EQ(f.directory.call_count(), 0u);
  EXPECT_EQ(f.Call(3, "bob"), "");
  EXPECT_FALSE(f.directory.AcceptCall(Member(10), f.call).has_value());
  EXPECT_EQ(f.Call(1, "bob"), "");
  EXPECT_EQ(f.Call(2, "bob"), "");
  EXPECT_EQ(f.Call(4, "bob"), "too_many_calls");
}

TEST(DirectoryTest, OneSourceCallsSoOften) {
  CallOptions options;
  options.calls_per_source = {.per_second = 1, .burst = 2};
  Fixture f({}, options);
  f.Join(1, "eve", "", kGreedy);
  f.Join(2, "mallory", "", kGreedy);
  f.Join(10, "ada");
  f.Join(11, "bob");
  f.Join(12, "carl");
  EXPECT_EQ(f.Call(1, "ada"), "");
  EXPECT_EQ(f.Call(2, "bob"), "");
  EXPECT_EQ(f.Call(1, "carl"), "rate_limited");
  EXPECT_EQ(f.Call(10, "carl"), "");
  f.now += absl::Seconds(1);
  EXPECT_EQ(f.Call(1, "carl"), "");
}

// Twenty times a second: the callee hears five, then one in five seconds.
TEST(DirectoryTest, WhoRingsAndHangsUpAgainAndAgainIsNotHeard) {
  for (const IpAddress& source : {kGreedy, IpAddress()}) {
    Fixture f;
    f.Join(1, "eve", "", source);
    f.Join(2, "bob");
    f.Join(3, "friend");
    int heard = 0;
    for (int i = 0; i < 200; ++i) {
      f.now += absl::Milliseconds(50);
      if (!f.Call(1, "bob").empty()) continue;
      ++heard;
      EXPECT_FALSE(
          f.directory.EndCall(Member(1), f.call, "hangup").has_value());
    }
    EXPECT_EQ(heard, 6);
    EXPECT_EQ(f.Call(3, "bob"), "");
  }
}

TEST(DirectoryTest, PresenceIsToldAtOnceAndThenOnceInAWindow) {
  Fixture f;
  f.Join(1, "ada");
  f.Pass(absl::Seconds(1));
  EXPECT_THAT(f.Told(), ElementsAre("+ada"));
  f.Join(2, "bob");
  EXPECT_THAT(f.Told(), ElementsAre("+bob"));
  // The next 50 changes, of three people, are one.
  f.Join(3, "eve");
  for (int i = 0; i < 49; ++i) {
    f.now += absl::Milliseconds(1);
    EXPECT_FALSE(
        f.directory.Update(f.now, Member(2), absl::StrCat("{\"n\":", i, "}"))
            .has_value());
  }
  EXPECT_FALSE(f.directory.Leave(f.now, Member(1), "peer_left").has_value());
  EXPECT_THAT(f.Told(), IsEmpty());
  EXPECT_EQ(f.directory.NextTimeout(), f.now + absl::Milliseconds(51));
  f.Pass(absl::Milliseconds(51));
  EXPECT_THAT(f.Told(), ElementsAre("-ada=bob+eve"));
  EXPECT_EQ(f.receivers, 2u);
  EXPECT_EQ(f.directory.NextTimeout(), absl::InfiniteFuture());
}

TEST(DirectoryTest, WhoComesAndGoesWithinAWindowIsNotSeen) {
  Fixture f;
  f.Join(1, "ada");
  f.Told();
  for (int i = 0; i < 20; ++i) {
    f.Join(2, "eve");
    EXPECT_FALSE(f.directory.Leave(f.now, Member(2), "peer_left").has_value());
  }
  f.Pass(absl::Seconds(1));
  EXPECT_THAT(f.Told(), IsEmpty());
  // And who goes and comes has changed.
  f.Join(2, "eve");
  f.Pass(absl::Seconds(1));
  EXPECT_THAT(f.Told(), ElementsAre("+eve"));
  f.directory.Update(f.now, Member(1), "{}");
  f.Told();
  f.directory.Leave(f.now, Member(2), "peer_left");
  f.Join(3, "eve");
  f.Pass(absl::Seconds(1));
  EXPECT_THAT(f.Told(), ElementsAre("=eve"));
}

TEST(DirectoryTest, WhoWasInAListDoesNotGoUntold) {
  const auto seen = [](const std::string& how) {
    Fixture f;
    f.Join(1, "ada");
    f.Join(2, "eve");
    if (how == "joined") {
      EXPECT_EQ(f.Join(3, "bob"), "");
    } else if (how == "list") {
      EXPECT_TRUE(
          std::holds_alternative<Page>(f.directory.List(Member(1), "")));
    } else if (how == "find") {
      EXPECT_TRUE(
          std::holds_alternative<Findings>(f.directory.Find(Member(1), {})));
    } else {  // A page that she is not on.
      EXPECT_TRUE(
          std::holds_alternative<Page>(f.directory.List(Member(1), "eve")));
    }
    EXPECT_FALSE(f.directory.Leave(f.now, Member(2), "peer_left").has_value());
    f.Told();
    f.Pass(absl::Seconds(1));
    return f.Told();
  };
  EXPECT_THAT(seen("joined"), ElementsAre("+bob-eve"));
  EXPECT_THAT(seen("list"), ElementsAre("-eve"));
  EXPECT_THAT(seen("find"), ElementsAre("-eve"));
  EXPECT_THAT(seen("another page"), IsEmpty());
}

TEST(DirectoryTest, ALargeRoomIsToldInSteps) {
  RoomOptions options;
  options.presence_messages_per_step = 4;
  Fixture f(options);
  for (uint64_t i = 0; i < 10; ++i) {
    f.Join(i, absl::StrCat("p", i));
    for (int step = 0; step < 5; ++step) f.Pass(absl::Milliseconds(100));
  }
  f.Told();
  const auto told = [&] {
    std::vector<std::string> steps = f.Told();
    return steps.size() == 1 ? absl::StrCat(steps[0], " ", f.receivers)
                             : absl::StrCat(steps.size(), " steps");
  };
  EXPECT_FALSE(f.directory.Update(f.now, Member(3), "{}").has_value());
  EXPECT_EQ(told(), "=p3 4");
  EXPECT_EQ(f.directory.NextTimeout(), absl::InfinitePast());
  // Who has gone before it was his turn is not told, nor is what happens
  // meanwhile, though there is time for it.
  EXPECT_FALSE(f.directory.Leave(f.now, Member(0), "peer_left").has_value());
  EXPECT_EQ(f.Join(0, "p0", "another"), "");
  EXPECT_EQ(told(), "+p0 1");
  f.Pass(absl::Seconds(1));
  EXPECT_EQ(told(), "=p3 4");
  f.Pass(absl::ZeroDuration());
  // The last one, and the first ones of the next change, of who has gone.
  EXPECT_EQ(f.Told(), (std::vector<std::string>{"=p3", "-p0"}));
  EXPECT_EQ(f.receivers, 4u);
  f.Pass(absl::ZeroDuration());
  EXPECT_EQ(told(), "-p0 4");
  f.Pass(absl::ZeroDuration());
  EXPECT_EQ(told(), "-p0 1");
  EXPECT_EQ(f.directory.NextTimeout(), absl::InfiniteFuture());
}

TEST(DirectoryTest, ARoomThatEndsWhileItIsToldIsForgotten) {
  RoomOptions options;
  options.presence_messages_per_step = 1;
  Fixture f(options);
  for (uint64_t i = 0; i < 3; ++i) {
    f.Pass(absl::Seconds(1));
    f.Join(i, absl::StrCat("p", i), "r");
  }
  EXPECT_EQ(f.directory.NextTimeout(), absl::InfinitePast());
  for (uint64_t i = 0; i < 3; ++i) {
    EXPECT_FALSE(f.directory.Leave(f.now, Member(i), "peer_left").has_value());
  }
  EXPECT_EQ(f.Join(7, "new", "r"), "");
  f.Told();
  for (int step = 0; step < 9; ++step) f.Pass(absl::Milliseconds(100));
  EXPECT_THAT(f.Told(), IsEmpty());
  EXPECT_EQ(f.directory.NextTimeout(), absl::InfiniteFuture());
}

// 100 peers of which four change 2 kB of metadata as often as they like: what
// the room is told costs what the option says.
TEST(DirectoryTest, WhatARoomIsToldHasABudget) {
  RoomOptions options;
  options.presence_bytes_per_second = 1e6;
  Fixture f(options);
  for (uint64_t i = 1; i <= 100; ++i) f.Join(i, absl::StrCat("peer", 100 + i));
  f.Pass(absl::Seconds(10));
  f.Told();
  const std::string meta =
      absl::StrCat("{\"x\":\"", std::string(2000, 'x'), "\"}");
  size_t bytes = 0;
  for (int i = 0; i < 1000; ++i) {
    f.directory.Update(f.now, Member(1 + static_cast<uint64_t>(i % 4)), meta);
    f.Pass(absl::Milliseconds(10));
    while (const auto next = f.directory.PollEffect()) {
      const auto& changed = std::get<effect::PeersChanged>(*next);
      for (const auto& change : changed.changes) {
        bytes += change.peer.meta.size() * changed.receivers.size();
      }
    }
  }
  EXPECT_LE(bytes, 11'000'000u);
  EXPECT_GE(bytes, 8'000'000u);
}

// 1000 come at once. What has changed of those whom the others know is told
// between them, and no receiver gets much at one time, behind which a message
// to him would wait.
TEST(DirectoryTest, ACrowdIsToldBitByBitAndHoldsUpNobody) {
  RoomOptions options;
  options.max_peers_per_room = options.max_peers_per_source = 1100;
  Fixture f(options);
  f.Join(0, "ada");
  f.Pass(absl::Seconds(1));
  f.Told();
  for (uint64_t i = 1; i <= 1000; ++i) f.Join(i, absl::StrCat("p", 1000 + i));
  size_t most = 0;
  std::optional<absl::Time> updated;
  absl::flat_hash_set<std::string> came;
  const absl::Time began = f.now;
  // 35 MB, as each is told of those behind him, are 9 s.
  while (f.now < began + absl::Seconds(25)) {
    if (f.now == began + absl::Seconds(2)) {
      f.directory.Update(f.now, Member(0), "{\"x\":1}");
    }
    for (int step = 0; step < 100; ++step) f.directory.HandleTimeout(f.now);
    while (const auto next = f.directory.PollEffect()) {
      const auto& changed = std::get<effect::PeersChanged>(*next);
      most = std::max(most, changed.changes.size());
      for (const auto& change : changed.changes) {
        if (change.change == PresenceChange::kJoined) {
          came.insert(change.peer.name);
        } else if (!updated) {
          updated = f.now;
        }
      }
    }
    f.Pass(absl::Milliseconds(50));
  }
  EXPECT_EQ(came.size(), 1000u);
  EXPECT_LE(most, 80u);  // The first ones, who know few.
  ASSERT_TRUE(updated.has_value());
  EXPECT_LE(*updated - began, absl::Seconds(3));
}

// Who comes gets a list, in which those are who came before him: he is not told
// of them again, however long the others have to wait.
TEST(DirectoryTest, WhoComesIsNotToldWhatHisListHas) {
  RoomOptions options;
  options.presence_bytes_per_second = 1000;
  Fixture f(options);
  f.Join(1, "ada");
  f.Join(2, "bob");
  f.Pass(absl::Seconds(1));
  f.Told();
  f.Pass(absl::Seconds(1));
  f.directory.Update(f.now, Member(2), "{}");
  EXPECT_THAT(f.Told(), ElementsAre("=bob"));
  f.directory.Update(f.now, Member(1), "{\"x\":1}");
  f.Join(3, "eve");
  EXPECT_THAT(f.Told(), IsEmpty());
  f.Join(4, "joe");
  std::map<std::string, size_t> receivers;
  for (int i = 0; i < 100; ++i) {
    f.Pass(absl::Milliseconds(100));
    for (const std::string& told : f.Told()) receivers[told] = f.receivers;
  }
  // Those who know her, those and eve, and all: each is told of himself, too.
  EXPECT_THAT(receivers,
              ElementsAre(Pair("+eve", 3), Pair("+joe", 4), Pair("=ada", 2)));
}

TEST(DirectoryTest, NamesThatLookAlikeAreTheSame) {
  Fixture f;
  EXPECT_EQ(f.Join(1, "Ada"), "");
  for (const char* name : {"Ada", " Ada\u00a0", "ADA", "\u0410d\u0430"}) {
    EXPECT_EQ(f.Join(2, name), "name_taken") << name;
  }
  for (const char* name : {"Ada\u200b", "Ada\u202e", "\u200d", "a\u0085"}) {
    EXPECT_EQ(f.Join(2, name), "invalid_name") << name;
  }
  EXPECT_EQ(f.Join(2, "  Bob "), "");
  // One is called by any spelling of the same characters.
  EXPECT_EQ(f.Call(1, "Bob"), "");
  EXPECT_EQ(f.Call(2, "bob"), "not_found");
  // Who has left has left the name.
  f.directory.Leave(f.now, Member(1), "peer_left");
  EXPECT_EQ(f.Join(3, "\u0410d\u0430"), "");
}

TEST(DirectoryTest, ARoomHasOneNameHoweverItIsSpelt) {
  Fixture f;
  EXPECT_EQ(f.Join(1, "ada", "Red Room"), "");
  EXPECT_EQ(f.Join(2, "bob", " red\u00a0room "), "");
  EXPECT_EQ(f.directory.room_count(), 1u);
  EXPECT_EQ(f.directory.RoomOf(Member(2)), "Red Room");
  EXPECT_EQ(f.Join(3, "eve", "LOBBY"), "");
  EXPECT_EQ(f.directory.RoomOf(Member(3)), "lobby");
  EXPECT_EQ(f.Join(4, "eve", "red\u2028room"), "invalid_name");
}

// --- Who is looked for -------------------------------------------------------

struct Seeker : Fixture {
  using Fixture::Fixture;
  void Add(uint64_t member, const std::string& name, const std::string& meta,
           const std::string& room = "") {
    const auto joined =
        directory.Join(now, Member(member), IpAddress(), {name, room, meta});
    EXPECT_TRUE(std::holds_alternative<Joining>(joined)) << name;
  }
  // Names that member 1 finds, and behind "|" where to go on.
  std::vector<std::string> Find(const Query& query, uint64_t member = 1) {
    const auto result = directory.Find(Member(member), query);
    if (const auto* refusal = std::get_if<Refusal>(&result)) {
      return {"!" + CodeOf(refusal)};
    }
    std::vector<std::string> names;
    const auto& found = std::get<Findings>(result);
    for (const Peer& peer : found.peers) names.push_back(peer.name);
    if (!found.after.empty()) names.push_back("|" + found.after);
    return names;
  }
};

TEST(FindTest, NamesBeginAlikeInWhateverCase) {
  Seeker s;
  s.Add(1, "Me", "{}");
  uint64_t member = 2;
  for (const char* name : {"Ada", "adam", "ADELE", "Bob", "\xc3\x84nne"}) {
    s.Add(member++, name, "{}");
  }
  EXPECT_THAT(s.Find({.prefix = "ad"}), ElementsAre("ADELE", "Ada", "adam"));
  EXPECT_THAT(s.Find({.prefix = "ADA"}), ElementsAre("Ada", "adam"));
  EXPECT_THAT(s.Find({.prefix = "Ada", .after = "Ada"}), ElementsAre("adam"));
  EXPECT_THAT(s.Find({.prefix = "a\xcc\x88"}), ElementsAre("\xc3\x84nne"));
  EXPECT_THAT(s.Find({.prefix = "x"}), IsEmpty());
  // Nobody finds himself.
  EXPECT_THAT(s.Find({.prefix = "me"}), IsEmpty());
  EXPECT_THAT(s.Find({.prefix = "\n"}), ElementsAre("!invalid_name"));
}

TEST(FindTest, MembersOfMetadataAreAlike) {
  Seeker s;
  s.Add(1, "me", R"({"kind":"cli"})");
  s.Add(2, "ada", R"({"kind":"cli","n":5,"away":true})");
  s.Add(3, "bob", R"({"kind":"c\u006ci","n":5.0,"away":false})");
  s.Add(4, "cy", R"({"kind":"web","n":"5","more":{"kind":"cli"}})");
  s.Add(5, "dora", R"({"kind":"web","kind":"cli"})");
  EXPECT_THAT(s.Find({.meta = R"({"kind":"cli"})"}), ElementsAre("ada", "bob"));
  EXPECT_THAT(s.Find({.meta = R"({"n":5})"}), ElementsAre("ada"));
  EXPECT_THAT(s.Find({.meta = R"({"n":"5"})"}), ElementsAre("cy"));
  EXPECT_THAT(s.Find({.meta = R"({"kind":"cli","away":false})"}),
              ElementsAre("bob"));
  EXPECT_THAT(s.Find({.prefix = "b", .meta = R"({"away":true})"}), IsEmpty());
  EXPECT_THAT(s.Find({.meta = R"({"none":null})"}), IsEmpty());
  EXPECT_THAT(s.Find({}), ElementsAre("ada", "bob", "cy", "dora"));
  for (const char* meta :
       {"", "[]", "{", R"({"a":{}})", R"({"a":[]})", R"({"a":1,"a":2})"}) {
    EXPECT_THAT(s.Find({.meta = meta}), ElementsAre("!bad_message")) << meta;
  }
  std::string many = R"("m0":0)";
  for (size_t i = 1; i < kMaxQueryMembers; ++i) {
    many += absl::StrCat(",\"m", i, "\":0");
  }
  EXPECT_THAT(s.Find({.meta = "{" + many + "}"}), IsEmpty());
  EXPECT_THAT(s.Find({.meta = "{" + many + R"(,"x":0})"}),
              ElementsAre("!too_large"));
}

TEST(FindTest, OnlyTheOwnRoomIsLookedAt) {
  Seeker s;
  s.Add(1, "me", "{}", "red");
  s.Add(2, "ada", "{}", "red");
  s.Add(3, "adam", "{}", "blue");
  EXPECT_THAT(s.Find({.prefix = "ada"}), ElementsAre("ada"));
  EXPECT_THAT(s.Find({.prefix = "ada"}, 9), ElementsAre("!not_joined"));
}

TEST(FindTest, WhatOneQuestionCostsIsBounded) {
  Seeker s({.max_looked_at = 3});
  s.Add(1, "c", "{}");
  for (const char* name : {"a", "b", "d", "e", "f", "g", "h"}) {
    s.Add(static_cast<uint64_t>(name[0]), name,
          name[0] == 'h' ? R"({"last":true})" : "{}");
  }
  // One's own name costs nothing; what is behind is found in the end.
  EXPECT_THAT(s.Find({}), ElementsAre("a", "b", "d", "|d"));
  EXPECT_THAT(s.Find({.after = "d"}), ElementsAre("e", "f", "g", "|g"));
  EXPECT_THAT(s.Find({.after = "g"}), ElementsAre("h"));
  EXPECT_THAT(s.Find({.meta = R"({"last":true})"}), ElementsAre("|d"));
  EXPECT_THAT(s.Find({.meta = R"({"last":true})", .after = "g"}),
              ElementsAre("h"));
}

TEST(FindTest, WhatOneAnswerMeasuresIsBounded) {
  Seeker s({.max_list_bytes = 100});
  s.Add(1, "me", "{}");
  const std::string meta =
      absl::StrCat(R"({"a":")", std::string(50, 'x'), R"("})");
  for (const char* name : {"a", "b", "c"}) {
    s.Add(static_cast<uint64_t>(name[0]), name, meta);
  }
  EXPECT_THAT(s.Find({}), ElementsAre("a", "|a"));
  EXPECT_THAT(s.Find({.after = "a"}), ElementsAre("b", "|b"));
  EXPECT_THAT(s.Find({.after = "b"}), ElementsAre("c"));
}

}  // namespace
}  // namespace kyuu::signaling
