// A session after its handshake, without OpenSSL: what a peer that holds the
// keys may say, and what one that does not.

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/counters.h"
#include "base/heap_testing.h"
#include "base/testing.h"
#include "dtls/internal/record.h"
#include "dtls/session.h"
#include "dtls/testing/scripted_peer.h"
#include "dtls/testing/two.h"
#include "gtest/gtest.h"

namespace kyuu::dtls {
namespace {

using internal::ContentType;

constexpr absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

// The session, in either role, and the peer that is told what to say.
struct Stage {
  explicit Stage(Role role = Role::kServer, const Options& options = {})
      : session(role, CertificateOf(role == Role::kClient ? 0 : 1), options),
        peer(kNow, session) {
    Drain(session, kNow);
    while (auto event = session.PollEvent()) log.Add(*event);
  }
  void Say(ContentType type, const Bytes& plaintext) {
    Hear(peer.Seal(type, plaintext));
  }
  void Hear(const Bytes& datagram, absl::Time now = kNow) {
    session.HandlePacket(now, datagram);
    while (auto event = session.PollEvent()) log.Add(*event);
  }
  uint64_t Count(absl::string_view counter) const {
    return FindCounter(session.stats(), counter).value_or(0);
  }
  // The session still passes data both ways.
  bool Works() {
    Say(ContentType::kApplicationData, {'o', 'k'});
    return Read(session) == "ok" &&
           peer.Open(Seal(session, "ok")) == Bytes{'o', 'k'};
  }

  Session session;
  ScriptedPeer peer;
  Log log;
};

// Each is dropped, counted under its name and under no other, and harms
// nothing.
TEST(Established, WhatIsNoDataIsCountedAndHarmsNothing) {
  struct Row {
    absl::string_view name;
    absl::string_view counter;
    std::function<Bytes(ScriptedPeer&)> make;
  };
  const auto sealed = [](ContentType type, const Bytes& plaintext) {
    return
        [type, plaintext](ScriptedPeer& p) { return p.Seal(type, plaintext); };
  };
  const auto bent = [](size_t at, uint8_t by) {
    return [at, by](ScriptedPeer& p) {
      Bytes record = p.Seal(ContentType::kApplicationData, {1, 2, 3});
      record[at < record.size() ? at : record.size() - 1] ^= by;
      return record;
    };
  };
  const Row rows[] = {
      {"empty data", "discarded_unused",
       sealed(ContentType::kApplicationData, {})},
      {"warning", "discarded_unused", sealed(ContentType::kAlert, {1, 90})},
      {"no_renegotiation", "discarded_unused",
       sealed(ContentType::kAlert, {1, 100})},
      {"empty alert", "discarded_unused", sealed(ContentType::kAlert, {})},
      {"long alert", "discarded_unused",
       sealed(ContentType::kAlert, {2, 40, 0})},
      {"alert of no level", "discarded_unused",
       sealed(ContentType::kAlert, {3, 40})},
      {"HelloRequest", "discarded_unused",
       sealed(ContentType::kHandshake, Bytes(12, 0))},
      {"ClientHello", "discarded_unused",
       sealed(ContentType::kHandshake, {1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0})},
      {"empty handshake", "discarded_unused",
       sealed(ContentType::kHandshake, {})},
      {"ChangeCipherSpec", "discarded_unused",
       sealed(ContentType::kChangeCipherSpec, {1})},
      {"wrong tag", "discarded_forged", bent(1000, 1)},
      {"wrong text", "discarded_forged", bent(21, 1)},
      {"wrong nonce", "discarded_forged", bent(13, 1)},
      {"wrong type", "discarded_forged", bent(0, 2)},
      {"another sequence number", "discarded_forged", bent(7, 1)},
      {"far ahead", "discarded_forged", bent(5, 0xff)},
      {"in the clear", "discarded_epoch", bent(4, 1)},
      {"of the next epoch", "discarded_epoch", bent(4, 3)},
      {"an alert in the clear", "discarded_epoch",
       [](ScriptedPeer&) {
         return Bytes{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, 9, 0, 2, 2, 40};
       }},
      {"no room for a tag", "discarded_forged",
       [](ScriptedPeer&) {
         Bytes record = {23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 9, 9, 0, 23};
         record.resize(13 + 23);
         return record;
       }},
      {"empty fragment", "discarded_forged",
       [](ScriptedPeer&) {
         return Bytes{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 9, 9, 0, 0};
       }},
      {"larger than any", "discarded_forged",
       [](ScriptedPeer&) {
         Bytes record = {23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 9, 9, 0x48, 0};
         record.resize(13 + 0x4800);
         return record;
       }},
      {"cut", "discarded_malformed",
       [](ScriptedPeer& p) {
         Bytes record = p.Seal(ContentType::kApplicationData, {1});
         record.pop_back();
         return record;
       }},
      {"TLS's version", "discarded_malformed", bent(1, 0xfd)},
  };
  for (const Role role : {Role::kClient, Role::kServer}) {
    for (const Row& row : rows) {
      SCOPED_TRACE(row.name);
      Stage stage(role);
      stage.Hear(row.make(stage.peer));
      EXPECT_EQ(stage.Count(row.counter), 1u);
      uint64_t discarded = 0;
      for (const Counter<Stats>& counter : Stats::kCounters) {
        if (counter.name.substr(0, 10) == "discarded_") {
          discarded += stage.Count(counter.name);
        }
      }
      EXPECT_EQ(discarded, 1u);
      EXPECT_EQ(Read(stage.session), std::nullopt);
      EXPECT_TRUE(Drain(stage.session, kNow).empty());
      EXPECT_TRUE(stage.Works());
    }
  }
}

TEST(Established, FatalAlertEndsWithItsName) {
  Stage stage;
  stage.Say(ContentType::kAlert, {2, 40});
  ASSERT_TRUE(stage.log.closed.has_value());
  EXPECT_THAT(*stage.log.closed, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_NE(stage.log.closed->message().find("handshake failure"),
            absl::string_view::npos);
  EXPECT_TRUE(Drain(stage.session, kNow).empty());
}

TEST(Established, GoodbyeIsAnsweredWhateverItsLevel) {
  for (const uint8_t level : Bytes{1, 2}) {
    Stage stage;
    stage.Say(ContentType::kAlert, {level, 0});
    ASSERT_TRUE(stage.log.closed.has_value());
    EXPECT_OK(*stage.log.closed);
    const std::vector<Bytes> answer = Drain(stage.session, kNow);
    ASSERT_EQ(answer.size(), 1u);
    EXPECT_EQ(stage.peer.Open(answer[0]), (Bytes{1, 0}));
  }
}

// RFC 6347 section 4.2.4: our last flight was lost. It comes again under new
// numbers, however the peer numbers its own.
TEST(Established, ServerRepeatsItsLastFlight) {
  Stage stage;
  absl::Time now = kNow;
  std::optional<Bytes> finished;
  Bytes last;
  for (int i = 0; i < 3; ++i) {
    for (const Bytes& datagram : stage.peer.last_flight()) {
      stage.Hear(datagram, now);
    }
    const std::vector<Bytes> flight = Drain(stage.session, now);
    ASSERT_EQ(flight.size(), 1u);
    EXPECT_NE(flight[0], last);
    last = flight[0];
    absl::Span<const uint8_t> rest = last;
    const auto change = internal::TakeRecord(rest);
    ASSERT_TRUE(change.has_value());
    EXPECT_EQ(change->type, ContentType::kChangeCipherSpec);
    EXPECT_EQ(change->epoch, 0);
    const auto opened = stage.peer.Open({rest.begin(), rest.end()});
    ASSERT_TRUE(opened.has_value());
    ASSERT_EQ(opened->size(), 24u);
    EXPECT_EQ((*opened)[0], 20);
    EXPECT_EQ(*opened, finished.value_or(*opened));
    finished = opened;
    now += absl::Milliseconds(20);
  }
  EXPECT_EQ(stage.Count("flights_repeated"), 3u);
  EXPECT_TRUE(stage.Works());
}

TEST(Established, RepeatedFlightsAreAnsweredAtABoundedRate) {
  Stage stage(Role::kServer,
              {.repeated_flight_interval = absl::Milliseconds(100)});
  size_t answers = 0;
  for (int ms = 0; ms < 1000; ++ms) {
    const absl::Time now = kNow + absl::Milliseconds(ms);
    for (const Bytes& datagram : stage.peer.last_flight()) {
      stage.Hear(datagram, now);
    }
    answers += Drain(stage.session, now).size();
  }
  EXPECT_EQ(answers, 10u);
  EXPECT_EQ(stage.Count("flights_repeated"), 10u);
  EXPECT_EQ(stage.Count("discarded_repeats"), 990u);
}

// Nobody but the peer can ask for it, and the client has no flight to repeat:
// an answer to an answer would never end.
TEST(Established, ForgedAndNeedlessRepeatsGetNoAnswer) {
  Stage server;
  for (Bytes datagram : server.peer.last_flight()) {
    datagram.back() ^= 1;
    server.Hear(datagram);
  }
  EXPECT_TRUE(Drain(server.session, kNow).empty());
  EXPECT_EQ(server.Count("flights_repeated"), 0u);

  Stage client(Role::kClient);
  for (const Bytes& datagram : client.peer.last_flight()) {
    client.Hear(datagram, kNow + absl::Seconds(1));
  }
  EXPECT_TRUE(Drain(client.session, kNow).empty());
  EXPECT_EQ(client.Count("discarded_repeats"), 1u);
}

TEST(Established, OpenTakesADatagramRecordByRecord) {
  Stage stage;
  Bytes datagram;
  for (const Bytes& part :
       {stage.peer.Seal(ContentType::kApplicationData, {1}),
        stage.peer.Seal(ContentType::kAlert, {1, 90}),
        stage.peer.Seal(ContentType::kApplicationData, {2, 2}),
        stage.peer.Seal(ContentType::kApplicationData, {})}) {
    datagram.insert(datagram.end(), part.begin(), part.end());
  }
  datagram.push_back(23);  // The beginning of a fifth that is none.
  const uint64_t received = stage.Count("datagrams_received");
  Session::Packet rest = datagram;
  Bytes out(datagram.size());
  std::vector<size_t> sizes;
  while (const auto text =
             stage.session.Open(kNow, rest, absl::MakeSpan(out))) {
    EXPECT_GE(text->data(), out.data());
    EXPECT_LE(text->data() + text->size(), out.data() + out.size());
    EXPECT_EQ((*text)[0], text->size());
    sizes.push_back(text->size());
  }
  EXPECT_EQ(sizes, (std::vector<size_t>{1, 2}));
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(stage.Count("datagrams_received") - received, 1u);
  EXPECT_EQ(stage.Count("discarded_unused"), 2u);
  EXPECT_EQ(stage.Count("discarded_malformed"), 1u);
  EXPECT_EQ(stage.Count("records_opened"), 2u);
}

// Forty fit, each of which took the work of a datagram, and SCTP's behind it.
TEST(Established, OpenTakesAsManyRecordsAsAFlightHas) {
  Stage stage;
  for (int round = 0; round < 2; ++round) {
    Bytes datagram;
    for (int i = 0; i < 40; ++i) {
      const Bytes record = stage.peer.Seal(ContentType::kApplicationData, {1});
      datagram.insert(datagram.end(), record.begin(), record.end());
    }
    Session::Packet rest = datagram;
    Bytes out(datagram.size());
    int opened = 0;
    while (stage.session.Open(kNow, rest, absl::MakeSpan(out))) ++opened;
    EXPECT_EQ(opened, 8);
    EXPECT_TRUE(rest.empty());
  }
  EXPECT_EQ(stage.Count("discarded_excess"), 2u);
  EXPECT_TRUE(stage.Works());
}

TEST(Established, OpenDropsWhatItHasNoRoomForAndWhatFollowsAGoodbye) {
  Stage stage;
  const Bytes record = stage.peer.Seal(ContentType::kApplicationData, {1});
  Session::Packet rest = record;
  Bytes out(record.size() - 1);
  EXPECT_FALSE(stage.session.Open(kNow, rest, absl::MakeSpan(out)));
  EXPECT_EQ(stage.Count("discarded_plaintexts"), 1u);
  EXPECT_TRUE(rest.empty());
  EXPECT_FALSE(stage.session.Open(kNow, rest, absl::MakeSpan(out)));

  Bytes joined = stage.peer.Seal(ContentType::kAlert, {1, 0});
  const Bytes late = stage.peer.Seal(ContentType::kApplicationData, {1});
  joined.insert(joined.end(), late.begin(), late.end());
  rest = joined;
  out.resize(joined.size());
  EXPECT_FALSE(stage.session.Open(kNow, rest, absl::MakeSpan(out)));
  EXPECT_TRUE(rest.empty());
  EXPECT_TRUE(stage.session.closed());
  EXPECT_EQ(stage.Count("discarded_after_close"), 1u);
}

TEST(Established, SealInPlaceNeedsRoomAroundThePlaintext) {
  Two two;
  two.Trust();
  Bytes place(2000);
  EXPECT_EQ(two.a.record_header_bytes(), 0u);
  EXPECT_THAT(two.a.SealInPlace(absl::MakeSpan(place), 5),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_TRUE(two.Connect());
  const size_t header = two.a.record_header_bytes();
  EXPECT_EQ(header, kRecordHeaderMax);
  for (const size_t size : {size_t{0}, kPlaintextMax + 1}) {
    EXPECT_THAT(two.a.SealInPlace(absl::MakeSpan(place), size),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  const absl::Span<uint8_t> exact =
      absl::MakeSpan(place).first(header + 5 + kRecordTagBytes);
  EXPECT_THAT(two.a.SealInPlace(exact.first(exact.size() - 1), 5),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const absl::string_view text = "hello";
  std::copy(text.begin(), text.end(), exact.begin() + header);
  const auto record = two.a.SealInPlace(exact, text.size());
  ASSERT_OK(record);
  EXPECT_EQ(record->data(), place.data());
  two.b.HandlePacket(kNow, *record);
  EXPECT_EQ(Read(two.b), text);
}

// One key, two record layers: neither a sequence number nor a nonce comes twice
// (RFC 5288 section 3), however often OpenSSL has repeated its flight.
TEST(Established, H31NumbersGoOnWhereOpensslStopped) {
  for (const int lost : {0, 1, 3}) {
    Two two(1, {.retransmission_timeout = absl::Milliseconds(50)});
    two.Trust();
    std::vector<std::pair<uint64_t, uint64_t>> numbers;
    const auto note = [&numbers](absl::Span<const uint8_t> datagram) {
      bool finished = false;
      while (const auto record = internal::TakeRecord(datagram)) {
        if (record->epoch != 1) continue;
        Reader r(record->bytes.subspan(internal::Record::kHeaderBytes));
        numbers.emplace_back(record->sequence, r.U64());
        finished = true;
      }
      return finished;
    };
    int flights = 0;
    two.pair.keep_a_to_b = [&](absl::Span<const uint8_t> datagram) {
      return !note(datagram) || flights++ >= lost;
    };
    ASSERT_TRUE(two.Connect());
    note(Seal(two.a, "first"));
    note(Seal(two.a, "second"));
    ASSERT_EQ(numbers.size(), static_cast<size_t>(lost) + 3);
    for (size_t i = 1; i < numbers.size(); ++i) {
      EXPECT_EQ(numbers[i].first, numbers[0].first + i);
      EXPECT_EQ(numbers[i].second, numbers[0].second + i);
    }
  }
}

// Data before the end of the handshake cannot be judged yet: so much is kept.
TEST(Established, EarlyDataIsBounded) {
  Session session(Role::kServer, CertificateOf(1),
                  {.kept_plaintext_bytes_max = 1000});
  session.Start(kNow);
  Bytes record = {23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 87};
  record.resize(100);
  for (uint8_t i = 0; i < 200; ++i) {
    record[10] = i;
    session.HandlePacket(kNow, record);
  }
  EXPECT_EQ(session.stats().discarded_plaintexts, 190u);
  record[4] = 0;
  session.HandlePacket(kNow, record);
  EXPECT_EQ(session.stats().discarded_epoch, 1u);
}

// A path that delays some packets by 10 ms delays a thousand at 1 Gbit/s.
TEST(Established, RecordsThatAThousandHaveOvertakenAreTaken) {
  Two two;
  two.Trust();
  ASSERT_TRUE(two.Connect());
  const Bytes late = Seal(two.a, "late");
  for (int i = 0; i < 1000; ++i) {
    two.b.HandlePacket(kNow, Seal(two.a, "x"));
    EXPECT_EQ(Read(two.b), "x");
  }
  two.b.HandlePacket(kNow, late);
  EXPECT_EQ(Read(two.b), "late");
}

#ifdef KYUU_HEAP_IS_TOLD
// OpenSSL's SSL alone has 72 kB.
TEST(Established, AnIdleSessionHasThreeKilobytes) {
  constexpr size_t kPairs = 20;
  const auto connected = [] {
    auto a =
        std::make_unique<Session>(Role::kClient, CertificateOf(0), Options{});
    auto b =
        std::make_unique<Session>(Role::kServer, CertificateOf(1), Options{});
    EXPECT_OK(a->SetRemoteFingerprints(kNow, {CertificateOf(1).fingerprint()}));
    EXPECT_OK(b->SetRemoteFingerprints(kNow, {CertificateOf(0).fingerprint()}));
    a->Start(kNow);
    for (int i = 0; i < 4; ++i) {
      for (const Bytes& d : Drain(*a, kNow)) b->HandlePacket(kNow, d);
      for (const Bytes& d : Drain(*b, kNow)) a->HandlePacket(kNow, d);
    }
    while (a->PollEvent() || b->PollEvent()) {
    }
    EXPECT_TRUE(a->connected() && b->connected());
    b->HandlePacket(kNow, Seal(*a, "some data"));
    EXPECT_EQ(Read(*b), "some data");
    return std::pair(std::move(a), std::move(b));
  };
  const auto warm_up = connected();
  const size_t before = HeapBytes();
  std::vector<decltype(connected())> sessions;
  for (size_t i = 0; i < kPairs; ++i) sessions.push_back(connected());
  const size_t bytes = (HeapBytes() - before) / (2 * kPairs);
  RecordProperty("bytes", static_cast<int>(bytes));
  EXPECT_LT(bytes, 4000u);
  EXPECT_GT(bytes, 1000u) << "nothing was measured";
}
#endif

}  // namespace
}  // namespace kyuu::dtls
