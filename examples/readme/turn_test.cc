// The example of turn/README.md, against a server in the same process.

#include <array>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "turn/client.h"
#include "turn/server.h"

namespace {

using namespace kyuu;  // NOLINT: as in the README.

constexpr absl::Time now = absl::UnixEpoch();
const TransportAddress ours{IpAddress::V4(192, 0, 2, 1), 4000};
const TransportAddress server_address{IpAddress::V4(192, 0, 2, 2), 3478};
const TransportAddress peer{IpAddress::V4(192, 0, 2, 3), 5000};

std::string used;

void Use(const TransportAddress& from, absl::Span<const uint8_t> payload) {
  used = from.ToString() + " " + std::string(AsText(payload));
}

void Receive(turn::Client& client, const Datagram& received) {
  if (auto in = client.Unwrap(received)) {
    Use(in->peer, in->payload);
  } else {
    client.HandlePacket(now, received);
  }
}

// Carries requests and answers, and opens the relay that the server asks for.
void Converse(turn::Client& client, turn::Server& server) {
  std::array<uint8_t, 2048> packet;
  for (bool busy = true; busy;) {
    busy = false;
    while (auto p = client.PollTransmit(now, absl::MakeSpan(packet))) {
      server.HandlePacket(now, {{server_address, ours}, p->bytes});
      busy = true;
    }
    while (auto event = server.PollEvent()) {
      if (auto* open = std::get_if<turn::Server::OpenRelay>(&*event)) {
        server.RelayOpened(now, open->relay);
      }
    }
    while (auto p = server.PollTransmit(now, absl::MakeSpan(packet))) {
      Receive(client, {{ours, server_address}, p->bytes});
      busy = true;
    }
  }
}

TEST(TurnReadme, ExampleWorks) {
  SeededRandom random(1);
  turn::ServerOptions options;
  options.users = {{"u", "p"}};
  options.relay_addresses = {{server_address.ip, server_address.ip}};
  options.allow_peers = {*IpPrefix::Parse("192.0.2.0/24")};
  turn::Server server(random, options);
  const absl::Span<const uint8_t> payload = AsBytes("hello");
  std::array<uint8_t, 2048> buffer;

  turn::Client client(random, {.local = ours,
                               .server = server_address,
                               .username = "u",
                               .password = "p"});
  ASSERT_OK(client.Allocate(now));
  Converse(client, server);
  ASSERT_TRUE(client.allocated());
  ASSERT_OK(client.Permit(now, peer));
  Converse(client, server);
  auto datagram = client.Wrap(now, peer, payload, absl::MakeSpan(buffer));
  ASSERT_OK(datagram);
  server.HandlePacket(now, {{server_address, ours}, datagram->bytes});
  ASSERT_EQ(server.forwards().size(), 1u);
  EXPECT_EQ(AsText(server.forwards()[0].payload(0)), "hello");
  EXPECT_EQ(server.forwards()[0].path.remote, peer);

  server.HandlePacket(now, {{client.relayed(), peer}, AsBytes("hi")});
  ASSERT_EQ(server.forwards().size(), 1u);
  const turn::Forward& back = server.forwards()[0];
  std::vector<uint8_t> indication(back.prefix(0).begin(), back.prefix(0).end());
  indication.insert(indication.end(), {'h', 'i', 0, 0});
  Receive(client, {{ours, server_address}, indication});
  EXPECT_EQ(used, "192.0.2.3:5000 hi");
}

}  // namespace
