// A TURN server of one's own, complete: two threads on the ports that are
// given, one user, and a line for each allocation that ends.
//
//   relay [PORT]      # 3478 unless given; Ctrl-C ends it. With 0 it ends at
//   once.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <variant>

#include "net/loop.h"
#include "relay/cluster.h"

int main(int argc, char** argv) {
  using namespace kyuu;  // NOLINT: it is short.
  const int port = argc > 1 ? std::atoi(argv[1]) : 3478;
  auto loop = net::Loop::Create();
  if (!loop.ok()) return 1;
  auto cluster = relay::Cluster::Open(
      {.listen = {{IpAddress::V4(127, 0, 0, 1), static_cast<uint16_t>(port)}},
       .threads = 2,
       .server = {.users = {{"name", "password"}}}},
      **loop, [](const relay::Event& event) {
        if (const auto* ended = std::get_if<relay::AllocationEnded>(&event)) {
          std::printf("ended: %s\n",
                      std::string(relay::ToText(ended->reason)).c_str());
        }
      });
  if (!cluster.ok()) {
    std::fprintf(stderr, "%s\n", cluster.status().ToString().c_str());
    return 1;
  }
  for (const TransportAddress& listener : (*cluster)->listeners()) {
    std::printf("listening on udp %s\n", listener.ToString().c_str());
  }
  auto signals = net::SignalWatch::Create(**loop, {SIGINT, SIGTERM},
                                          [&](int) { (*loop)->Stop(); });
  if (port != 0 && signals.ok()) (*loop)->Run();
  (*cluster)->Close();
  return 0;
}
