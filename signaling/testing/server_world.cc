#include "signaling/testing/server_world.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::signaling {
namespace {

using nlohmann::json;

ServerOptions Prompt(ServerOptions options) {
  options.rooms.presence_window = absl::ZeroDuration();
  options.rooms.presence_bytes_per_second = 1e30;
  return options;
}

}  // namespace

ServerWorld::ServerWorld(ServerOptions options, Admission* admission,
                         uint64_t seed)
    : random(seed), server(Prompt(std::move(options)), random, admission) {}

IpAddress ServerWorld::Address(int id) {
  return IpAddress::V4(0xc0000200u + static_cast<uint32_t>(id));
}

void ServerWorld::Connect(int id) {
  ASSERT_OK(server.Connect(now, ConnectionId(id), Address(id)));
}

void ServerWorld::Deliver() {
  while (auto m = server.PollTransmit(now, {})) {
    sent[static_cast<int>(m->connection)].push_back(json::parse(m->text));
  }
}

void ServerWorld::Provide(const std::string& session) {
  EXPECT_OK(server.SetIceServers(
      now, session,
      {{{"turn:h:3478"}, session, absl::StrCat("password", ++passwords_)}}));
}

void ServerWorld::Collect() {
  Deliver();
  while (auto event = server.PollEvent()) {
    if (const auto* opened = std::get_if<SessionOpened>(&*event)) {
      opened_sessions.push_back(opened->session);
      if (give_ice_servers) Provide(opened->session);
    } else if (const auto* wanted = std::get_if<CredentialsWanted>(&*event)) {
      ++credentials_wanted;
      if (answer_credentials) Provide(wanted->session);
    } else if (const auto* expired = std::get_if<SessionExpired>(&*event)) {
      expired_sessions.push_back(expired->session);
    } else if (const auto* over = std::get_if<SessionClosed>(&*event)) {
      closed_sessions.push_back(over->session);
    } else {
      const auto& close = std::get<CloseConnection>(*event);
      closed[static_cast<int>(close.connection)] = close;
    }
    Deliver();
  }
}

void ServerWorld::Say(int id, const std::string& text) {
  server.HandlePacket(now, {ConnectionId(id), text});
  Collect();
}

json ServerWorld::Ask(int id, const std::string& text) {
  sent[id].clear();
  Say(id, text);
  EXPECT_EQ(sent[id].size(), 1u) << text;
  return sent[id].empty() ? json() : sent[id].front();
}

json ServerWorld::Request(int id, const json& message) {
  sent[id].clear();
  Send(id, message);
  EXPECT_FALSE(sent[id].empty()) << message;
  return sent[id].empty() ? json() : sent[id].front();
}

std::string ServerWorld::Code(int id, const std::string& text) {
  const json answer = Ask(id, text);
  return answer.value("type", "") == "error" ? answer.value("code", "")
                                             : answer.value("type", "");
}

void ServerWorld::Hello(int id) {
  Connect(id);
  Say(id, R"({"type":"hello","version":1})");
}

void ServerWorld::Join(int id, const std::string& name,
                       const std::string& room) {
  Hello(id);
  Send(id, {{"type", "join"}, {"name", name}, {"room", room}});
}

json ServerWorld::KeptHello(int id, const json& resume) {
  Connect(id);
  return Request(id, {{"type", "hello"}, {"version", 1}, {"resume", resume}});
}

json ServerWorld::KeptJoin(int id, const std::string& name) {
  const json welcome = KeptHello(id);
  Send(id, {{"type", "join"}, {"name", name}});
  return welcome;
}

json ServerWorld::Resume(int id, const json& welcome, uint64_t received) {
  return KeptHello(id, {{"session", welcome["session"]},
                        {"secret", welcome["resume"]["secret"]},
                        {"received", received}});
}

std::string ServerWorld::Call() {
  Join(1, "ada");
  Join(2, "bob");
  const std::string call =
      Ask(1, R"({"type":"call","to":"bob"})").value("call", "");
  Send(2, {{"type", "accept"}, {"call", call}});
  sent.clear();
  return call;
}

void ServerWorld::Lose(int id) {
  server.Disconnect(now, ConnectionId(id), Departure::kLost);
  Collect();
}

void ServerWorld::Pass(absl::Duration time) {
  now += time;
  server.HandleTimeout(now);
  Collect();
}

std::vector<std::string> ServerWorld::Types(int id) {
  std::vector<std::string> types;
  for (const json& message : sent[id]) types.push_back(message["type"]);
  return types;
}

}  // namespace kyuu::signaling
