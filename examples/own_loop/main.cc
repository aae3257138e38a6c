// Engines of kyuu in an event loop that is not kyuu's: a STUN client and a STUN
// server, each on a socket of its own, driven by poll(). `Drive` is all that
// any engine over UDP needs: stun, turn, ice and peer alike.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <variant>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/system_random.h"
#include "stun/client.h"
#include "stun/server.h"

namespace {

using kyuu::Datagram;
using kyuu::IpAddress;
using kyuu::TransportAddress;

sockaddr_in ToSystem(const TransportAddress& address) {
  sockaddr_in system{};
  system.sin_family = AF_INET;
  system.sin_port = htons(address.port);
  system.sin_addr.s_addr = htonl(address.ip.v4());
  return system;
}

// A UDP socket on a port of loopback that the system chooses.
struct Socket {
  Socket() {
    sockaddr_in system = ToSystem({IpAddress::V4(127, 0, 0, 1), 0});
    socklen_t size = sizeof(system);
    if (bind(fd, reinterpret_cast<sockaddr*>(&system), size) != 0 ||
        getsockname(fd, reinterpret_cast<sockaddr*>(&system), &size) != 0) {
      std::perror("socket");
      std::abort();
    }
    local = {IpAddress::V4(127, 0, 0, 1), ntohs(system.sin_port)};
  }
  ~Socket() { close(fd); }
  Socket(const Socket&) = delete;

  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  TransportAddress local;
};

// What has come goes in, time passes, and what it has to say goes out.
template <kyuu::Engine E>
void Drive(E& engine, const Socket& socket) {
  std::array<uint8_t, 2048> buffer;
  sockaddr_in from{};
  socklen_t from_size = sizeof(from);
  ssize_t size;
  while ((size = recvfrom(socket.fd, buffer.data(), buffer.size(), 0,
                          reinterpret_cast<sockaddr*>(&from), &from_size)) >=
         0) {
    const TransportAddress remote{IpAddress::V4(ntohl(from.sin_addr.s_addr)),
                                  ntohs(from.sin_port)};
    engine.HandlePacket(
        absl::Now(),
        Datagram{{socket.local, remote},
                 absl::MakeSpan(buffer).first(static_cast<size_t>(size))});
  }
  engine.HandleTimeout(absl::Now());
  while (std::optional<Datagram> out =
             engine.PollTransmit(absl::Now(), absl::MakeSpan(buffer))) {
    const sockaddr_in to = ToSystem(out->path.remote);
    // What cannot be sent is as good as lost, which engines are made for.
    (void)sendto(socket.fd, out->bytes.data(), out->bytes.size(), 0,
                 reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  }
}

}  // namespace

int main() {
  kyuu::SystemRandom random;
  const Socket ours, theirs;
  kyuu::stun::Client client(random, {});
  kyuu::stun::Server server({});
  if (!client.Bind(absl::Now(), {ours.local, theirs.local}).ok()) return 1;
  while (true) {
    Drive(client, ours);
    Drive(server, theirs);
    while (auto event = client.PollEvent()) {
      if (const auto* mapped =
              std::get_if<kyuu::stun::Client::Mapped>(&*event)) {
        std::printf("the server sees %s\n", mapped->mapped.ToString().c_str());
        return mapped->mapped == ours.local ? 0 : 1;
      }
      return 1;  // It has not answered.
    }
    std::array<pollfd, 2> waits{{{ours.fd, POLLIN, 0}, {theirs.fd, POLLIN, 0}}};
    const absl::Duration left = client.NextTimeout() - absl::Now();
    poll(waits.data(), waits.size(),
         static_cast<int>(absl::ToInt64Milliseconds(
             absl::Ceil(left, absl::Milliseconds(1)))));
  }
}
