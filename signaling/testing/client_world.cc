#include "signaling/testing/client_world.h"

#include <algorithm>
#include <cstddef>

#include "base/testing.h"
#include "signaling/close_code.h"

namespace kyuu::signaling {

Client& ClientWorld::Add() {
  const ConnectionId id{clients.size()};
  EXPECT_OK(server.Connect(now, id, IpAddress()));
  clients.push_back(std::make_unique<Client>(ClientOptions(), now));
  return *clients.back();
}

Client& ClientWorld::Join(const std::string& name) {
  Client& client = Add();
  Run();
  EXPECT_OK(client.JoinRoom(now, name));
  Run();
  while (client.PollEvent().has_value()) continue;
  return client;
}

void ClientWorld::Run(absl::FunctionRef<void(Envelope)> other) {
  for (bool busy = true; busy;) {
    busy = false;
    for (size_t i = 0; i < clients.size(); ++i) {
      while (auto text = clients[i]->PollTransmit(now, {})) {
        server.HandlePacket(now, {ConnectionId(i), *std::move(text)});
        busy = true;
      }
    }
    busy |= Provide();
    // Presence may wait a moment.
    now = std::max(
        now, std::min(server.NextTimeout(), now + absl::Milliseconds(100)));
    server.HandleTimeout(now);
    busy |= Hear(other);
  }
}

bool ClientWorld::Provide() {
  bool busy = false;
  while (auto event = server.PollEvent()) {
    busy = true;
    const auto provide = [&](const std::string& session) {
      EXPECT_OK(server.SetIceServers(
          now, session,
          {{{"stun:h:3478"}, "", ""}, {{"turn:h:3478"}, "u", "p"}}));
    };
    if (const auto* opened = std::get_if<SessionOpened>(&*event)) {
      provide(opened->session);
    } else if (const auto* wanted = std::get_if<CredentialsWanted>(&*event)) {
      provide(wanted->session);
    }
  }
  return busy;
}

bool ClientWorld::Hear(absl::FunctionRef<void(Envelope)> other) {
  bool busy = false;
  while (auto message = server.PollTransmit(now, {})) {
    busy = true;
    const size_t i = static_cast<size_t>(message->connection);
    if (i < clients.size()) {
      clients[i]->HandlePacket(now, std::move(message->text));
    } else {
      other(*std::move(message));
    }
  }
  return busy;
}

void Keeper::Connect() {
  id = ConnectionId(next_id++);
  EXPECT_OK(world.server.Connect(world.now, id, IpAddress()));
}

void Keeper::Lose() {
  world.server.Disconnect(world.now, id, Departure::kLost);
  client.HandleConnectionClosed(world.now, kCloseAbnormal, absl::OkStatus());
}

void Keeper::Return() {
  Connect();
  EXPECT_OK(client.HandleConnectionOpened(world.now));
  Run();
}

void Keeper::Run() {
  for (bool busy = true; busy;) {
    busy = false;
    while (auto text = client.PollTransmit(world.now, {})) {
      world.server.HandlePacket(world.now, {id, *std::move(text)});
      busy = true;
    }
    world.Run([&](Envelope envelope) {
      if (envelope.connection != id) return;
      client.HandlePacket(world.now, std::move(envelope.text));
      busy = true;
    });
  }
}

}  // namespace kyuu::signaling
