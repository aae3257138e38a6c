// The example of signaling/README.md: one connection of a server.

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "signaling/server.h"

namespace {

std::vector<std::string> sent;

void Send(kyuu::signaling::ConnectionId, std::string text) {
  sent.push_back(std::move(text));
}

void OnMessage(kyuu::signaling::Server& server, absl::Time now,
               std::string text) {
  using namespace kyuu::signaling;  // NOLINT: as in the README.
  const ConnectionId id{1};
  const auto source = kyuu::IpAddress::V4(192, 0, 2, 1);
  (void)server.Connect(now, id, source);  // Once, after the upgrade.
  server.HandlePacket(now, {id, std::move(text)});
  while (auto e = server.PollEvent()) {
    if (auto* s = std::get_if<SessionOpened>(&*e)) {
      (void)server.SetIceServers(now, s->session, {{{"stun:127.0.0.1:3478"}}});
    }
  }
  while (auto m = server.PollTransmit(now, {})) Send(m->connection, m->text);
}

TEST(SignalingReadme, ExampleWorks) {
  kyuu::SeededRandom random(1);
  kyuu::signaling::Server server({}, random);
  OnMessage(server, absl::UnixEpoch(), R"({"type":"hello","version":1})");
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(absl::StrContains(sent[0], "welcome"));
  EXPECT_TRUE(absl::StrContains(sent[0], "stun:127.0.0.1:3478"));
}

}  // namespace
