#include "signaling/testing/nodes_world.h"

#include <algorithm>
#include <variant>

#include "base/testing.h"

namespace kyuu::signaling {
namespace {

using nlohmann::json;

constexpr absl::Duration kStep = absl::Milliseconds(1);
constexpr absl::Duration kAlive = absl::Seconds(8);

}  // namespace

NodesWorld::NodesWorld(uint64_t seed, size_t nodes, ServerOptions options)
    : random_(seed) {
  for (size_t i = 0; i < nodes; ++i) {
    Node& node = nodes_.emplace_back();
    node.id = NodeId{100 + i};
    node.world =
        std::make_unique<ServerWorld>(options, nullptr, seed * 100 + i);
    node.links = std::make_unique<Links>(LinksOptions(), node.id);
    node.world->server.Federate(node.id);
    node.world->server.HandleBackplane(now, BackplaneState::kThere);
    node.alive_until = now + kAlive;
  }
  Run(absl::Milliseconds(50));
}

void NodesWorld::Run(absl::Duration time) {
  const absl::Time end = now + time;
  while (now < end) {
    now += kStep;
    while (!packets_.empty() && packets_.begin()->first <= now) {
      auto [to, packet] = std::move(packets_.begin()->second);
      packets_.erase(packets_.begin());
      // What comes while it is stopped waits in its socket.
      if (nodes_[to].is_stopped) {
        packets_.emplace(now + kStep, std::make_pair(to, std::move(packet)));
      } else if (!nodes_[to].is_dead) {
        nodes_[to].links->HandlePacket(now, std::move(packet));
      }
      if (nodes_[to].is_stopped) break;
    }
    while (!answers_.empty() && answers_.begin()->first <= now) {
      auto [to, answer] = std::move(answers_.begin()->second);
      answers_.erase(answers_.begin());
      if (Acts(nodes_[to])) nodes_[to].world->server.HandleClaim(now, answer);
    }
    for (Node& node : nodes_) {
      node.world->now = now;
      if (Acts(node)) Pump(node);
    }
  }
}

void NodesWorld::Pump(Node& node) {
  if (!is_down_) node.alive_until = now + kAlive;
  Server& server = node.world->server;
  node.links->HandleTimeout(now);
  while (auto event = node.links->PollEvent()) {
    server.HandleNode(now, *std::move(event));
  }
  server.HandleTimeout(now);
  node.world->Collect();
  while (auto command = server.PollNodeCommand()) Do(node, *command);
  while (auto packet = node.links->PollTransmit(now, {})) Carry(node, *packet);
}

void NodesWorld::Do(Node& node, const NodeCommand& command) {
  const size_t index = static_cast<size_t>(&node - nodes_.data());
  if (const auto* to = std::get_if<ToNode>(&command)) {
    // Refused, the loss of the link is told by an event.
    (void)node.links->Send(now, to->to, to->message);
  } else if (const auto* free = std::get_if<FreePlace>(&command)) {
    const auto it = holders_.find(free->place);
    if (!is_down_ && it != holders_.end() && it->second.node == node.id) {
      holders_.erase(it);
    }
  } else if (std::holds_alternative<PublishedElsewhere>(command)) {
    published.push_back({index, std::get<PublishedElsewhere>(command).text});
  } else if (!is_down_) {
    answers_.emplace(
        now + delay,
        std::make_pair(index, Claim(node, std::get<ClaimPlace>(command))));
  }
}

bool NodesWorld::IsAlive(NodeId id) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const Node& n) {
    return n.id == id && n.alive_until > now;
  });
}

ClaimAnswer NodesWorld::Claim(const Node& node, const ClaimPlace& claim) {
  const auto it = holders_.find(claim.place);
  if (it != holders_.end() && it->second.node != node.id &&
      it->second.node != claim.from && IsAlive(it->second.node)) {
    return {claim.place, false, it->second.epoch};
  }
  Holder& holder = holders_[claim.place];
  const bool is_new = holder.node != node.id;
  holder.node = node.id;
  if (claim.epoch != 0) {
    holder.epoch = std::max(holder.epoch, claim.epoch);
  } else if (is_new || holder.epoch == 0) {
    holder.epoch = last_epoch_ += 1000;
  }
  return {claim.place, true, holder.epoch};
}

void NodesWorld::Carry(Node& from, const NodePacket& packet) {
  if (is_down_) return;
  const size_t sender = static_cast<size_t>(&from - nodes_.data());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (packet.to != NodeId{} && packet.to != nodes_[i].id) continue;
    absl::Time at =
        now +
        absl::Microseconds(1 + random_.Below(absl::ToInt64Microseconds(delay)));
    absl::Time& last = last_arrival_[{sender, i}];
    last = at = std::max(at, last);
    packets_.emplace(at, std::make_pair(i, packet));
  }
}

void NodesWorld::TakeDown() {
  is_down_ = true;
  packets_.clear();
  answers_.clear();
  for (Node& node : nodes_) {
    node.world->server.HandleBackplane(now, BackplaneState::kAway);
  }
}

void NodesWorld::BringUp(Memory memory) {
  is_down_ = false;
  if (memory == Memory::kLost) holders_.clear();
  for (Node& node : nodes_) {
    if (!Acts(node)) continue;
    node.links->HandleReconnected(now);
    node.world->server.HandleBackplane(now, BackplaneState::kThere);
  }
}

json NodesWorld::Ask(size_t node, int client, const json& message) {
  ServerWorld& world = *nodes_[node].world;
  world.sent[client].clear();
  world.Send(client, message);
  for (int i = 0; i < 12000 && world.sent[client].empty(); ++i) Run(kStep);
  EXPECT_FALSE(world.sent[client].empty()) << message;
  return world.sent[client].empty() ? json() : world.sent[client].front();
}

json NodesWorld::Join(size_t node, int client, const std::string& name) {
  const json welcome = nodes_[node].world->KeptHello(client);
  const json joined = Ask(node, client, {{"type", "join"}, {"name", name}});
  EXPECT_EQ(joined.value("type", ""), "joined") << joined;
  return welcome;
}

json NodesWorld::Resume(size_t node, int client, const json& welcome,
                        uint64_t received) {
  nodes_[node].world->Connect(client);
  return Ask(node, client,
             {{"type", "hello"},
              {"version", 1},
              {"resume",
               {{"session", welcome["session"]},
                {"secret", welcome["resume"]["secret"]},
                {"received", received}}}});
}

std::vector<std::string> NodesWorld::List(size_t node, int client) {
  std::vector<std::string> names;
  const json answer = Ask(node, client, {{"type", "list"}});
  for (const json& peer : answer["peers"]) {
    names.push_back(peer["name"]);
  }
  return names;
}

}  // namespace kyuu::signaling
