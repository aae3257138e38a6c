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
  options.rooms.max_rooms = 2;
  options.max_sessions_in_grace = 2;
  options.max_outbox_bytes = 2000;
  options.max_kept_bytes = 3000;
  options.rooms.max_peers_per_room = 3;
  options.calls.max_calls_per_peer = 2;
  options.message_rate.burst = 20;
  options.max_dropped_messages = 5;
  options.max_queued_bytes = 10000;
  Server server(options, random);
  std::array<std::string, 5> calls;  // The last call each one heard of.
  std::set<std::string> sessions;
  ResumeRequest resume_as;  // The last session that was welcomed.
  const auto drain = [&] {
    while (auto m = server.PollTransmit(now, {})) {
      const auto message = ParseServerMessage(m->text, options.limits);
      KYUU_CHECK(message.ok());
      std::string& call = calls[static_cast<size_t>(m->connection)];
      if (const auto* c = std::get_if<Calling>(&message->body)) call = c->call;
      if (const auto* c = std::get_if<Incoming>(&message->body)) call = c->call;
      const auto* welcome = std::get_if<Welcome>(&message->body);
      if (welcome != nullptr && welcome->resume.has_value()) {
        resume_as = {welcome->session, welcome->resume->secret, 0};
      }
    }
    while (auto event = server.PollEvent()) {
      if (const auto* s = std::get_if<SessionOpened>(&*event)) {
        KYUU_CHECK(sessions.insert(s->session).second);
        (void)server.SetIceServers(now, s->session, {});
      } else if (const auto* c = std::get_if<CredentialsWanted>(&*event)) {
        (void)server.SetIceServers(now, c->session, {});
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
    switch (r.U8() % 14) {
      case 0:
        (void)server.Connect(now, id, kyuu::IpAddress::V4(192, 0, 2, who & 1));
        break;
      case 1:
        server.Disconnect(
            now, id, r.U8() % 4 == 0 ? Departure::kGoodbye : Departure::kLost);
        break;
      case 2:
        now += absl::Seconds(r.U8() % 70);
        server.HandleTimeout(now);
        break;
      case 3:
        drain();
        break;
      case 4:
        say(r.U8() % 2 == 0
                ? R"({"type":"hello","version":1})"
                : absl::StrCat(
                      R"({"type":"hello","version":1,"resume":{"session":")",
                      resume_as.session, R"(","secret":")", resume_as.secret,
                      R"(","received":)", r.U8() % 8, "}}"));
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
      case 12:
        say(r.U8() % 2 ? R"({"type":"credentials"})"
                       : R"({"type":"ack","received":3})");
        break;
      default:
        say(std::string(r.Text(std::min<size_t>(r.U8(), r.remaining()))));
    }
    KYUU_CHECK(server.connection_count() <= 4 && server.room_count() <= 2);
    KYUU_CHECK(server.queued_bytes() <= 20000);
    KYUU_CHECK(server.waiting_session_count() <= 2);
    KYUU_CHECK(server.kept_bytes() <= 4000);
  }
  for (uint64_t id = 0; id < 5; ++id)
    server.Disconnect(now, ConnectionId{id}, Departure::kLost);
  // The grace of those that nobody has come back to.
  server.HandleTimeout(now + options.grace);
  drain();
  KYUU_CHECK(sessions.empty() && server.waiting_session_count() == 0);
  KYUU_CHECK(server.kept_bytes() == 0 && server.connection_count() == 0);
  KYUU_CHECK(server.peer_count() == 0 && server.room_count() == 0);
  KYUU_CHECK(server.call_count() == 0);
  KYUU_CHECK(server.NextTimeout() == absl::InfiniteFuture());
  return 0;
}
