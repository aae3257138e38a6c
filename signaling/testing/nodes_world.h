// Several signaling servers in memory, with what joins them: a backplane that
// may be slow, away or lose its memory, and nodes that die, are cut off or
// stop for a while.

#ifndef KYUU_SIGNALING_TESTING_NODES_WORLD_H_
#define KYUU_SIGNALING_TESTING_NODES_WORLD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/random.h"
#include "nlohmann/json.hpp"
#include "signaling/backplane/links.h"
#include "signaling/server.h"
#include "signaling/testing/server_world.h"

namespace kyuu::signaling {

// NodesWorld knows nodes by their index. Clients are those of each node's
// ServerWorld; who is one node's is no other's.
class NodesWorld {
 public:
  NodesWorld(uint64_t seed, size_t nodes, ServerOptions options = {});

  ServerWorld& operator[](size_t node) { return *nodes_[node].world; }
  const FederationStats stats(size_t node) {
    return nodes_[node].world->server.federation_stats();
  }
  Links& links(size_t node) { return *nodes_[node].links; }

  void Run(absl::Duration time);
  // Says something and waits for the answer.
  nlohmann::json Ask(size_t node, int client, const nlohmann::json& message);
  // A client that joins the lobby in a session that can be resumed; returns its
  // `welcome`.
  nlohmann::json Join(size_t node, int client, const std::string& name);
  // Comes back to it, having had `received` messages behind `welcome`; returns
  // the `welcome`, behind which `sent` has what was sent again.
  nlohmann::json Resume(size_t node, int client, const nlohmann::json& welcome,
                        uint64_t received);
  // Names in the client's room, as `list` tells them.
  std::vector<std::string> List(size_t node, int client);

  void Kill(size_t node) { nodes_[node].is_dead = true; }
  // It neither hears nor acts; time passes.
  void Stop(size_t node) { nodes_[node].is_stopped = true; }
  void GoOn(size_t node) { nodes_[node].is_stopped = false; }
  // The authority and the pub/sub are away; what it knew is kept or not.
  void TakeDown();
  enum class Memory : uint8_t { kKept, kLost };
  void BringUp(Memory memory);
  // Packets and answers take up to this; packets between different nodes
  // overtake each other.
  absl::Duration delay = absl::Milliseconds(1);

  // By node.
  std::vector<std::pair<size_t, std::string>> published;

  absl::Time now = absl::FromUnixSeconds(1000);

 private:
  struct Node {
    NodeId id{};
    std::unique_ptr<ServerWorld> world;
    std::unique_ptr<Links> links;
    bool is_dead = false;
    bool is_stopped = false;
    absl::Time alive_until;  // As the authority knows.
  };
  struct Holder {
    NodeId node{};
    uint64_t epoch = 0;
  };

  void Pump(Node& node);
  void Carry(Node& from, const NodePacket& packet);
  void Do(Node& node, const NodeCommand& command);
  ClaimAnswer Claim(const Node& node, const ClaimPlace& claim);
  bool IsAlive(NodeId id) const;
  bool Acts(const Node& node) const {
    return !node.is_dead && !node.is_stopped;
  }

  SeededRandom random_;
  std::vector<Node> nodes_;
  bool is_down_ = false;
  std::map<std::string, Holder> holders_;
  uint64_t last_epoch_ = 1;
  // By time and the order in which they were made. Between two nodes they do
  // not overtake each other, as in Redis.
  std::map<std::pair<size_t, size_t>, absl::Time> last_arrival_;
  std::multimap<absl::Time, std::pair<size_t, NodePacket>> packets_;
  std::multimap<absl::Time, std::pair<size_t, ClaimAnswer>> answers_;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_TESTING_NODES_WORLD_H_
