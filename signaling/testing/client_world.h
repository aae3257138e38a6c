// Clients against the real server, in memory.

#ifndef KYUU_SIGNALING_TESTING_CLIENT_WORLD_H_
#define KYUU_SIGNALING_TESTING_CLIENT_WORLD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "signaling/client.h"
#include "signaling/server.h"

namespace kyuu::signaling {

// ClientWorld is a server with some clients that end with their connections.
struct ClientWorld {
  explicit ClientWorld(ServerOptions options = {})
      : server(std::move(options), random) {}

  Client& Add();
  // Add, ready and joined as `name`, its events taken.
  Client& Join(const std::string& name);
  void Run() {
    Run([](Envelope) {});
  }
  // Until nobody has anything to say. `other` gets what is sent to connections
  // that are not of these clients.
  void Run(absl::FunctionRef<void(Envelope)> other);

  SeededRandom random{3};
  absl::Time now = absl::FromUnixSeconds(1000);
  Server server;
  std::vector<std::unique_ptr<Client>> clients;

 private:
  bool Hear(absl::FunctionRef<void(Envelope)> other);
  bool Provide();
};

// Keeper is a client that keeps its session, and its connections to the server
// of `world`, which must outlive it.
struct Keeper {
  explicit Keeper(ClientWorld& w) : world(w), client(Options(), w.now) {
    Connect();
  }
  static ClientOptions Options() { return {.on_loss = OnLoss::kKeep}; }

  void Connect();
  void Lose();
  void Return();
  // Everybody's messages, this client's too.
  void Run();

  ClientWorld& world;
  Client client;
  ConnectionId id{};
  uint64_t next_id = 1000;
};

// The next event, which must be of type T.
template <typename T>
T Expect(Client& client) {
  auto event = client.PollEvent();
  if (!event.has_value() || !std::holds_alternative<T>(*event)) {
    ADD_FAILURE() << (event.has_value() ? "another event" : "no event");
    return T();
  }
  return std::get<T>(*std::move(event));
}

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_TESTING_CLIENT_WORLD_H_
