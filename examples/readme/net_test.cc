// The example of net/README.md: an engine on a socket and a loop.

#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "base/address.h"
#include "base/testing.h"
#include "net/drive.h"
#include "net/loop.h"
#include "net/udp_socket.h"

namespace {

struct Closed {};

// Sends itself a datagram and closes when it arrives.
class Engine {
 public:
  using Packet = kyuu::Datagram;
  using Event = std::variant<Closed>;

  explicit Engine(const kyuu::TransportAddress& local) : local_(local) {}
  void HandlePacket(absl::Time, Packet) { event_ = Closed{}; }
  void HandleTimeout(absl::Time) {}
  std::optional<Packet> PollTransmit(absl::Time, absl::Span<uint8_t> out) {
    if (std::exchange(sent_, true)) return std::nullopt;
    out[0] = 1;
    return kyuu::Datagram{{local_, local_}, out.first(1)};
  }
  std::optional<Event> PollEvent() {
    return std::exchange(event_, std::nullopt);
  }
  absl::Time NextTimeout() const { return absl::InfiniteFuture(); }

 private:
  kyuu::TransportAddress local_;
  bool sent_ = false;
  std::optional<Event> event_;
};

TEST(NetReadme, ExampleWorks) {
  const kyuu::TransportAddress address{kyuu::IpAddress::V4(127, 0, 0, 1), 0};
  bool closed = false;

  auto loop = kyuu::net::Loop::Create().value();
  auto socket = kyuu::net::UdpSocket::Open({.bind = address}).value();
  Engine engine(socket.local());
  kyuu::net::ReceiveBuffer buffer;
  auto driver =
      kyuu::net::Drive(*loop, engine, socket, buffer, [&](auto event) {
        closed = std::holds_alternative<Closed>(event);
        if (closed) loop->Stop();
      });
  loop->Run();
  EXPECT_TRUE(closed);
}

}  // namespace
