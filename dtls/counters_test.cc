// Every counter of a session, and what raises it: a counter without a row here,
// or whose row does not raise it, fails.

#include "base/counters.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtls/session.h"
#include "dtls/testing/scripted_peer.h"
#include "dtls/testing/two.h"
#include "gtest/gtest.h"

namespace kyuu::dtls {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

// What the server has counted after `act`, between two connected sessions.
Stats By(const std::function<void(Two&)>& act, const Options& options = {}) {
  Two two(1, options);
  two.Trust();
  EXPECT_TRUE(two.Connect());
  act(two);
  return two.b.stats();
}

// A record from the client to the server.
void Exchange(Two& two) {
  two.b.HandlePacket(two.pair.now(), Seal(two.a, "x"));
  EXPECT_EQ(Read(two.b), "x");
  Seal(two.b, "y");
}

Stats Retransmitted() {
  Two two;
  two.Trust();
  two.pair.b_to_a.options().loss = 1;
  two.a.Start(two.pair.now());
  two.b.Start(two.pair.now());
  two.pair.RunFor(absl::Seconds(10));
  return two.b.stats();
}

// The client asks for the last flight twice at one time.
Stats Asked() {
  Session server(Role::kServer, CertificateOf(1), {});
  ScriptedPeer peer(kNow, server);
  for (int i = 0; i < 2; ++i) {
    for (const Bytes& d : peer.last_flight()) server.HandlePacket(kNow, d);
  }
  return server.stats();
}

// More of a flight than may wait.
Stats Overflowed() {
  Session server(Role::kServer, CertificateOf(1),
                 {.mtu_bytes = 300, .outgoing_datagrams_max = 1});
  Session client(Role::kClient, CertificateOf(0), {});
  client.Start(kNow);
  for (const Bytes& d : Drain(client, kNow)) server.HandlePacket(kNow, d);
  return server.stats();
}

TEST(Counters, EachIsRaisedByWhatItIsNamedAfter) {
  struct Row {
    absl::string_view counter;
    std::function<Stats()> count;
  };
  const Row rows[] = {
      {"datagrams_received", [] { return By(Exchange); }},
      {"datagrams_sent", [] { return By(Exchange); }},
      {"records_sealed", [] { return By(Exchange); }},
      {"records_opened", [] { return By(Exchange); }},
      {"retransmissions", Retransmitted},
      {"discarded_malformed",
       [] {
         return By(
             [](Two& two) { two.b.HandlePacket(two.pair.now(), Bytes{23}); });
       }},
      {"discarded_excess",
       [] {
         return By([](Two& two) {
           Bytes datagram;
           for (int i = 0; i < 9; ++i) {
             const Bytes record = Seal(two.a, "x");
             datagram.insert(datagram.end(), record.begin(), record.end());
           }
           Session::Packet rest = datagram;
           Bytes out(datagram.size());
           while (two.b.Open(two.pair.now(), rest, absl::MakeSpan(out))) {
           }
         });
       }},
      {"discarded_epoch",
       [] {
         return By([](Two& two) {
           Bytes record = Seal(two.a, "x");
           record[4] = 0;
           two.b.HandlePacket(two.pair.now(), record);
         });
       }},
      {"discarded_forged",
       [] {
         return By([](Two& two) {
           Bytes record = Seal(two.a, "x");
           record.back() ^= 1;
           two.b.HandlePacket(two.pair.now(), record);
         });
       }},
      {"discarded_replayed",
       [] {
         return By([](Two& two) {
           const Bytes record = Seal(two.a, "once");
           two.b.HandlePacket(two.pair.now(), record);
           EXPECT_EQ(Read(two.b), "once");
           two.b.HandlePacket(two.pair.now(), record);
           EXPECT_FALSE(Read(two.b));
         });
       }},
      {"discarded_old",
       [] {
         return By([](Two& two) {
           const Bytes old = Seal(two.a, "old");
           Bytes record;
           for (int i = 0; i < 2048; ++i) record = Seal(two.a, "x");
           two.b.HandlePacket(two.pair.now(), record);
           two.b.HandlePacket(two.pair.now(), old);
           EXPECT_EQ(Read(two.b), "x");
           EXPECT_FALSE(Read(two.b));
         });
       }},
      {"flights_repeated", Asked},
      {"discarded_repeats", Asked},
      {"discarded_unused",
       [] {
         Session server(Role::kServer, CertificateOf(1), {});
         ScriptedPeer peer(kNow, server);
         server.HandlePacket(
             kNow, peer.Seal(ScriptedPeer::ContentType::kAlert, {1, 90}));
         return server.stats();
       }},
      {"discarded_after_close",
       [] {
         return By([](Two& two) {
           two.b.Close(two.pair.now());
           two.b.HandlePacket(two.pair.now(), Seal(two.a, "late"));
         });
       }},
      {"discarded_plaintexts",
       [] {
         return By(
             [](Two& two) {
               for (int i = 0; i < 3; ++i) {
                 two.b.HandlePacket(two.pair.now(), Seal(two.a, "12345678"));
               }
             },
             {.kept_plaintext_bytes_max = 10});
       }},
      {"discarded_outgoing", Overflowed},
  };
  std::set<absl::string_view> named;
  for (const Row& row : rows) {
    EXPECT_GT(FindCounter(row.count(), row.counter).value_or(0), 0u)
        << row.counter;
    EXPECT_TRUE(named.insert(row.counter).second) << row.counter;
  }
  for (const Counter<Stats>& counter : Stats::kCounters) {
    EXPECT_TRUE(named.contains(counter.name)) << counter.name;
  }
}

}  // namespace
}  // namespace kyuu::dtls
