// RelayClients: allocations of a TURN server under load, each with its socket
// and a peer, all in this process, which counts what arrives.

#ifndef KYUU_BENCH_RELAY_CLIENTS_H_
#define KYUU_BENCH_RELAY_CLIENTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/system_random.h"
#include "net/fd.h"
#include "net/udp_socket.h"
#include "turn/client.h"

namespace kyuu::bench {

// "Up" is client -> relay -> peer, "down" the way back.
enum class Direction { kUp, kDown };
// Of what a flow is made: a channel, a permission, or no allocation at all but
// Binding requests and their answers.
enum class Data { kChannel, kIndications, kBinding };

struct RelayClientsOptions {
  TransportAddress server;
  std::string user, password;
  IpAddress client = IpAddress::V4(127, 0, 0, 1), peer = client;
  size_t flows = 1, bytes = 1200;
  Direction direction = Direction::kUp;
  Data data = Data::kChannel;

  bool up() const { return direction == Direction::kUp; }
  bool binding() const { return data == Data::kBinding; }
};

// One allocation with its socket, a channel to the peer, and its counters.
struct RelayFlow {
  explicit RelayFlow(net::UdpSocket s) : socket(std::move(s)) {}
  net::UdpSocket socket;
  std::optional<turn::Client> client;
  bool ready = false;
  // What is in front of the payload, and behind it.
  std::vector<uint8_t> head, tail;
  uint64_t sent = 0;
  uint64_t received = 0;
};

class RelayClients {
 public:
  explicit RelayClients(const RelayClientsOptions& options);

  // Makes all flows; false, with a line on stderr, if one cannot be had.
  bool Open();
  // Counts what has come, and does not wait.
  void Receive();
  // Ends the allocations and waits for the server's word, since the next run
  // may get the same ports and must not meet allocations of this one.
  void Close();

  std::vector<std::unique_ptr<RelayFlow>>& flows() { return flows_; }
  net::UdpSocket& peer() { return peer_; }
  absl::Span<const uint8_t> payload() const { return payload_; }
  // Of all flows.
  uint64_t received() const { return received_; }

 private:
  bool Allocate(size_t index);
  bool Establish(RelayFlow& flow, size_t index);
  void Envelop(RelayFlow& flow);
  void Await(RelayFlow& flow);
  void Converse(RelayFlow& flow);
  void Close(RelayFlow& flow);
  void Count(RelayFlow& flow, const net::Train& train);

  const RelayClientsOptions options_;
  SystemRandom random_;
  net::ReceiveBuffer buffer_;
  net::UdpSocket peer_;
  std::vector<uint8_t> payload_;
  std::array<uint8_t, 2048> scratch_;
  std::vector<std::unique_ptr<RelayFlow>> flows_;
  absl::flat_hash_map<TransportAddress, RelayFlow*> by_relayed_;
  net::Fd epoll_;
  uint64_t received_ = 0;
};

// User and system time of processes so far, all of their threads together, to
// the nanosecond; /proc counts in ticks of 10 ms.
absl::Duration CpuTime(absl::Span<const int> pids);

// Takes one of the options above off a command line, where it stands as
// `--NAME VALUE`; false if it is none of them, or its value is none.
bool ParseRelayClientsOption(const std::string& name, const std::string& value,
                             RelayClientsOptions& options);

}  // namespace kyuu::bench

#endif  // KYUU_BENCH_RELAY_CLIENTS_H_
