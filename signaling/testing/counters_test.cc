// Every counter of signaling, by its name: a story that raises it. A counter
// without one is counted by nobody, or means something else than it says.

#include "base/counters.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/close_code.h"
#include "signaling/deflate/deflate.h"
#include "signaling/testing/client_world.h"
#include "signaling/testing/server_world.h"
#include "signaling/token/signing_key.h"
#include "signaling/token/testing/keys.h"
#include "signaling/websocket.h"

namespace kyuu::signaling {
namespace {

using nlohmann::json;
using std::string_literals::operator""s;
using ::testing::Contains;

// A story returns the counters behind it.
template <typename S>
struct Row {
  absl::string_view counter;
  std::function<S()> story;
};

template <typename S>
void ExpectEachRaised(const std::vector<Row<S>>& rows) {
  std::set<absl::string_view> told;
  for (const Row<S>& row : rows) {
    SCOPED_TRACE(row.counter);
    told.insert(row.counter);
    EXPECT_THAT(NonzeroCounters(row.story()), Contains(row.counter));
  }
  for (const Counter<S>& counter : S::kCounters) {
    EXPECT_TRUE(told.contains(counter.name)) << counter.name << " has no story";
  }
}

// What a server has counted behind `story`.
std::function<ServerStats()> Told(std::function<void(ServerWorld&)> story,
                                  ServerOptions options = {}) {
  return [story = std::move(story), options] {
    ServerWorld world(options);
    story(world);
    return world.server.stats();
  };
}

// "ada" says something to "bob", who has a session that can be resumed.
void Talk(ServerWorld& w) {
  w.Join(1, "ada");
  w.KeptJoin(2, "bob");
  w.Send(1, {{"type", "message"}, {"to", "bob"}, {"data", 1}});
}

// A call of which one side reports what has come of it.
std::function<ServerStats()> Reported(const std::string& outcome) {
  return Told([outcome](ServerWorld& w) {
    w.Send(1, {{"type", "report"}, {"call", w.Call()}, {"outcome", outcome}});
  });
}

TEST(SignalingCountersTest, OfTheServer) {
  const auto ping = [](ServerWorld& w) {
    w.Hello(1);
    for (int i = 0; i < 3; ++i) w.Say(1, R"({"type":"ping"})");
  };
  ServerOptions no_queue;
  no_queue.max_queued_bytes = 0;
  ServerOptions no_grace;
  no_grace.max_sessions_in_grace = 0;
  ServerOptions slow;
  slow.message_rate = {.per_second = 1, .burst = 2};
  const auto call = [](ServerWorld& w) {
    const std::string id = w.Call();
    w.Send(1,
           {{"type", "signal"}, {"call", id}, {"kind", "end-of-candidates"}});
  };
  const auto outlives_its_token = [] {
    AdmissionOptions options;
    KYUU_CHECK(
        options.keys.Add(*TokenKey::FromSecret("", testing::kSecret)).ok());
    Admission admission(options);
    ServerWorld w({}, &admission);
    NewToken token;
    token.subject = "ada";
    token.expires = w.now + absl::Seconds(1);
    w.Connect(1);
    w.Request(
        1, {{"type", "hello"},
            {"version", 1},
            {"token",
             *SigningKey::FromText(testing::kSecret)->MakeToken("", token)}});
    w.Pass(absl::Seconds(1));
    return w.server.stats();
  };
  const auto resume = [](ServerWorld& w) {
    const json welcome = w.KeptHello(1);
    w.Lose(1);
    w.Resume(2, welcome, 0);
  };
  ExpectEachRaised<ServerStats>({
      {"messages_received", Told(ping)},
      {"messages_refused", Told([](ServerWorld& w) {
         w.Hello(1);
         w.Say(1, "{");
       })},
      {"rate_limited", Told(ping, slow)},
      {"overloaded",
       Told(
           [](ServerWorld& w) {
             w.Connect(1);
             const std::string hello = R"({"type":"hello","version":2})";
             for (int i = 0; i < 2; ++i) {
               w.server.HandlePacket(w.now, {ConnectionId(1), hello});
             }
           },
           no_queue)},
      {"secrets_refused", Told([](ServerWorld& w) {
         w.Join(1, "ada", "red");
         w.Hello(2);
         w.Send(2, {{"type", "join"},
                    {"name", "bob"},
                    {"room", "red"},
                    {"secret", "hat"}});
       })},
      {"calls_blocked", Told([](ServerWorld& w) {
         w.Join(1, "ada");
         w.Join(2, "bob");
         w.Send(2, {{"type", "block"}, {"name", "ada"}});
         w.Send(1, {{"type", "call"}, {"to", "bob"}});
       })},
      {"tokens_expired", outlives_its_token},
      {"signals_relayed", Told(call)},
      {"calls_started", Told(call)},
      {"messages_passed_on", Told([](ServerWorld& w) { Talk(w); })},
      {"messages_blocked", Told([](ServerWorld& w) {
         Talk(w);
         w.Send(2, {{"type", "block"}, {"name", "ada"}});
         w.Send(1, {{"type", "message"}, {"to", "bob"}, {"data", 1}});
       })},
      {"messages_dropped", Told([](ServerWorld& w) {
         Talk(w);
         w.Lose(2);
         for (int i = 0; i < 20; ++i) {
           w.Send(1, {{"type", "message"},
                      {"to", "bob"},
                      {"data", std::string(10000, 'x')}});
         }
       })},
      {"reports_direct", Reported("direct")},
      {"reports_relayed", Reported("relayed")},
      {"reports_failed", Reported("failed")},
      {"calls_accepted", Told(call)},
      {"unknown_connection", Told([](ServerWorld& w) { w.Say(9, "{}"); })},
      {"sessions_kept", Told(resume)},
      {"sessions_resumed", Told(resume)},
      {"resumes_refused", Told([](ServerWorld& w) {
         w.KeptHello(1,
                     {{"session", "none"}, {"secret", "x"}, {"received", 0}});
       })},
      {"sessions_given_up", Told(
                                [](ServerWorld& w) {
                                  w.KeptHello(1);
                                  w.Lose(1);
                                },
                                no_grace)},
  });
}

TEST(SignalingCountersTest, OfTheClient) {
  // What a client that is Ready has counted once it is told `text`.
  const auto told = [](const std::string& text) {
    return [text] {
      ClientWorld world;
      Client& ada = world.Join("ada");
      ada.HandlePacket(world.now, text);
      return ada.stats();
    };
  };
  // What one that comes back after `away` has counted.
  const auto back_after = [](absl::Duration away) {
    return [away] {
      ClientWorld world;
      Keeper ada(world);
      ada.Run();
      ada.Lose();
      world.now += away;
      world.server.HandleTimeout(world.now);
      ada.Return();
      return ada.client.stats();
    };
  };
  ExpectEachRaised<ClientStats>({
      {"messages_received", told(R"({"type":"pong"})")},
      {"unknown_types", told(R"({"type":"of tomorrow"})")},
      {"stale", told(R"({"type":"accepted","call":"of yesterday"})")},
      {"resumed", back_after(absl::Seconds(1))},
      {"sessions_lost", back_after(absl::Seconds(31))},
  });
}

TEST(SignalingCountersTest, OfTheWebSocket) {
  static const WebSocketOptions options;
  // What a server's end has counted behind frames of its client.
  const auto heard = [](std::string bytes) {
    return [bytes] {
      SeededRandom random(1);
      WebSocket socket(options, WebSocketRole::kServer, random,
                       absl::FromUnixSeconds(1000));
      socket.HandlePacket(absl::FromUnixSeconds(1000), AsBytes(bytes));
      return socket.stats();
    };
  };
  const auto sends = [] {
    SeededRandom random(1);
    WebSocket socket(options, WebSocketRole::kServer, random,
                     absl::FromUnixSeconds(1000));
    EXPECT_OK(
        socket.Send(absl::FromUnixSeconds(1000), MessageKind::kText, "x"));
    return socket.stats();
  };
  // Masked by zeros: an empty text, ping, pong, and a close with more behind.
  const std::string mask(4, '\0');
  ExpectEachRaised<WebSocketStats>({
      {"messages_received", heard("\x81\x80" + mask)},
      {"messages_sent", sends},
      {"bytes_received", heard("\x81\x80" + mask)},
      {"pings_received", heard("\x89\x80" + mask)},
      {"pongs_received", heard("\x8a\x80" + mask)},
      {"bytes_after_close", heard("\x88\x80" + mask + "late")},
  });
}

TEST(SignalingCountersTest, OfCompression) {
  const auto said = [](size_t size) {
    return [size] {
      Deflate deflate;
      (void)deflate.Compress(std::string(size, 'x'), 15);
      return deflate.stats();
    };
  };
  // Of at most four bytes.
  const auto heard = [](std::string payload) {
    return [payload] {
      Deflate deflate;
      (void)deflate.Inflate(payload, 4);
      return deflate.stats();
    };
  };
  // "Hello", of RFC 7692 section 7.2.3.1, and half of it.
  const std::string hello = "\xf2\x48\xcd\xc9\xc9\x07\0"s;
  ExpectEachRaised<DeflateStats>({
      {"messages_deflated", said(1000)},
      {"bytes_deflated", said(1000)},
      {"bytes_saved", said(1000)},
      {"messages_inflated", heard("\0"s)},
      {"inflated_too_long", heard(hello)},
      {"inflated_malformed", heard(hello.substr(0, 3))},
  });
}

}  // namespace
}  // namespace kyuu::signaling
