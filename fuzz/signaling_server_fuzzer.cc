// Five connections that come, go, and say what the input says, some of it
// damaged: whatever is sent is a message of the protocol, sessions open and
// close in pairs, and nothing is left when all have gone.

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "signaling/server.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kyuu::signaling;  // NOLINT: a fuzzer of one package.
  kyuu::Reader r(absl::MakeConstSpan(data, size));
  kyuu::SeededRandom random(1);
  absl::Time now = absl::FromUnixSeconds(1000);
  ServerOptions options;
  options.max_connections = 4;
  options.max_connections_per_source = 3;
  options.max_rooms = 2;
  options.max_peers_per_room = 3;
  options.max_calls_per_peer = 2;
  options.message_burst = 20;
  options.max_dropped_messages = 5;
  options.max_queued_bytes = 10000;
  Server server(options, random);
  std::array<std::string, 5> calls;  // The last call each one heard of.
  std::set<std::string> sessions;
  const auto drain = [&] {
    while (auto m = server.PollTransmit(now, {})) {
      const auto message = ParseServerMessage(m->text, options.limits);
      KYUU_CHECK(message.ok());
      std::string& call = calls[static_cast<size_t>(m->connection)];
      if (const auto* c = std::get_if<Calling>(&message->body)) call = c->call;
      if (const auto* c = std::get_if<Incoming>(&message->body)) call = c->call;
    }
    while (auto event = server.PollEvent()) {
      if (const auto* s = std::get_if<SessionOpened>(&*event)) {
        KYUU_CHECK(sessions.insert(s->session).second);
        (void)server.SetIceServers(now, s->connection, {});
      } else if (const auto* over = std::get_if<SessionClosed>(&*event)) {
        KYUU_CHECK(sessions.erase(over->session) == 1);
      }
    }
  };
  while (!r.empty()) {
    const uint8_t op = r.U8();
    const size_t who = op % 5;
    const ConnectionId id{who};
    const auto say = [&](std::string text) {
      if ((op & 0x80) != 0 && !text.empty()) {
        text[r.U8() % text.size()] ^= static_cast<char>(r.U8());
      }
      server.HandlePacket(now, {id, std::move(text)});
    };
    switch (r.U8() % 13) {
      case 0:
        (void)server.Connect(now, id, kyuu::IpAddress::V4(192, 0, 2, who & 1));
        break;
      case 1:
        server.Disconnect(now, id);
        break;
      case 2:
        now += absl::Seconds(r.U8() % 70);
        server.HandleTimeout(now);
        break;
      case 3:
        drain();
        break;
      case 4:
        say(R"({"type":"hello","version":1})");
        break;
      case 5:
        say(absl::StrCat(R"({"type":"join","name":"n)", r.U8() % 4,
                         R"(","room":"r)", r.U8() % 3, "\"}"));
        break;
      case 6:
        say(absl::StrCat(R"({"type":"call","to":"n)", r.U8() % 4, "\"}"));
        break;
      case 7:
        say(absl::StrCat(R"({"type":"accept","call":")", calls[who], "\"}"));
        break;
      case 8:
        say(absl::StrCat(R"({"type":"reject","call":")", calls[who], "\"}"));
        break;
      case 9:
        say(absl::StrCat(R"({"type":"hangup","call":")", calls[who], "\"}"));
        break;
      case 10:
        say(absl::StrCat(R"({"type":"signal","kind":"offer","sdp":"","call":")",
                         calls[who], "\"}"));
        break;
      case 11:
        say(r.U8() % 2 ? R"({"type":"leave"})" : R"({"type":"list"})");
        break;
      default:
        say(std::string(r.Text(std::min<size_t>(r.U8(), r.remaining()))));
    }
    KYUU_CHECK(server.connection_count() <= 4 && server.room_count() <= 2);
    KYUU_CHECK(server.queued_bytes() <= 20000);
  }
  for (uint64_t id = 0; id < 5; ++id) server.Disconnect(now, ConnectionId{id});
  drain();
  KYUU_CHECK(sessions.empty() && server.connection_count() == 0);
  KYUU_CHECK(server.peer_count() == 0 && server.room_count() == 0);
  KYUU_CHECK(server.call_count() == 0);
  KYUU_CHECK(server.NextTimeout() == absl::InfiniteFuture());
  return 0;
}
