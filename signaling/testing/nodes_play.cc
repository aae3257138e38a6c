#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "signaling/backplane/links.h"
#include "signaling/server.h"
#include "signaling/testing/plays.h"

namespace kyuu::signaling {
namespace {

constexpr size_t kClients = 3;

ServerOptions Small() {
  ServerOptions options;
  options.federation.max_remote_peers = 2;
  options.federation.max_held_bytes = 400;
  options.federation.max_wanted = 2;
  options.federation.max_waiting_bytes = 500;
  options.max_outbox_bytes = 3000;
  return options;
}

// Two nodes; what one sends the other comes when the input says so, some of it
// damaged.
class NodesPlay {
 public:
  explicit NodesPlay(absl::Span<const uint8_t> input) : r_(input) {
    for (Node& node : nodes_) {
      node.server = std::make_unique<Server>(options_, random_);
      node.server->Federate(node.id);
    }
  }

  void Run() {
    while (!r_.empty()) {
      Step();
      for (Node& node : nodes_) Drain(node);
    }
    Join(false);
    for (Node& node : nodes_) {
      for (uint64_t id = 0; id < kClients; ++id) {
        node.server->Disconnect(now_, ConnectionId{id}, Departure::kLost);
      }
    }
    for (int i = 0; i < 3; ++i) {
      now_ += options_.grace;
      for (Node& node : nodes_) {
        node.server->HandleTimeout(now_);
        Drain(node);
      }
    }
    for (Node& node : nodes_) {
      const Server& server = *node.server;
      KYUU_CHECK(server.peer_count() == 0 && server.room_count() == 0);
      KYUU_CHECK(server.remote_peer_count() == 0 && server.call_count() == 0);
      KYUU_CHECK(server.waiting_session_count() == 0);
      KYUU_CHECK(server.kept_bytes() == 0 && server.connection_count() == 0);
      KYUU_CHECK(server.NextTimeout() == absl::InfiniteFuture());
    }
  }

 private:
  struct Node {
    NodeId id{};
    std::unique_ptr<Server> server;
    std::deque<std::string> in;  // Of the other one.
    std::deque<ClaimPlace> claims;
  };

  Node& Other(const Node& node) {
    return &node == &nodes_[0] ? nodes_[1] : nodes_[0];
  }

  void Join(bool is_up) {
    if (is_up == is_up_) return;
    is_up_ = is_up;
    for (Node& node : nodes_) {
      node.in.clear();
      if (is_up) {
        node.server->HandleNode(now_, NodeUp{Other(node).id});
      } else {
        node.server->HandleNode(now_, NodeLost{Other(node).id});
      }
    }
  }

  void Drain(Node& node) {
    Server& server = *node.server;
    while (auto m = server.PollTransmit(now_, {})) {
      const auto message = ParseServerMessage(m->text, options_.limits);
      KYUU_CHECK(message.ok());
      if (const auto* c = std::get_if<Calling>(&message->body)) call_ = c->call;
      const auto* welcome = std::get_if<Welcome>(&message->body);
      if (welcome != nullptr && welcome->resume.has_value()) {
        resume_as_ = {welcome->session, welcome->resume->secret, 0};
      }
    }
    while (auto event = server.PollEvent()) {
      std::string session;
      if (auto* s = std::get_if<SessionOpened>(&*event)) session = s->session;
      if (auto* s = std::get_if<CredentialsWanted>(&*event)) {
        session = s->session;
      }
      // The session may be over by now.
      if (!session.empty()) (void)server.SetIceServers(now_, session, {});
    }
    while (auto command = server.PollNodeCommand()) {
      if (auto* to = std::get_if<ToNode>(&*command)) {
        if (is_up_ && to->to == Other(node).id) {
          Other(node).in.push_back(std::move(to->message));
        }
      } else if (const auto* claim = std::get_if<ClaimPlace>(&*command)) {
        node.claims.push_back(*claim);
      }
    }
    KYUU_CHECK(server.remote_peer_count() <= 2 + kClients);
  }

  void Step() {
    const uint8_t op = r_.U8();
    Node& node = nodes_[op & 1];
    Server& server = *node.server;
    const size_t who = (op >> 1) % kClients;
    const ConnectionId id{who};
    switch (r_.U8() % 12) {
      case 0:
        // Refused if it is there.
        (void)server.Connect(now_, id, IpAddress::V4(192, 0, 2, 1));
        return;
      case 1:
        return server.Disconnect(
            now_, id, (op & 64) != 0 ? Departure::kGoodbye : Departure::kLost);
      case 2:
        now_ += absl::Milliseconds(100 * r_.U8());
        return server.HandleTimeout(now_);
      case 3:
        return Join((op & 64) == 0);
      case 4:
        return server.HandleBackplane(now_, (op & 64) == 0
                                                ? BackplaneState::kThere
                                                : BackplaneState::kAway);
      case 5: {
        if (node.claims.empty()) return;
        const ClaimPlace claim = node.claims.front();
        node.claims.pop_front();
        const uint64_t epoch = claim.epoch != 0 ? claim.epoch : ++epoch_;
        return server.HandleClaim(now_, {claim.place, (op & 64) == 0, epoch});
      }
      case 6:
      case 7:
        return Deliver(node, r_.U8(), op);
      default:
        return server.HandlePacket(now_, {id, Words(r_.U8())});
    }
  }

  void Deliver(Node& node, uint8_t count, uint8_t op) {
    for (int i = 0; i <= count % 8 && is_up_ && !node.in.empty(); ++i) {
      std::string message = std::move(node.in.front());
      node.in.pop_front();
      if (op >= 0xc0) {
        message[r_.U8() % message.size()] ^= static_cast<char>(r_.U8());
      }
      node.server->HandleNode(now_,
                              NodeMessage{Other(node).id, std::move(message)});
      for (Node& each : nodes_) Drain(each);
    }
  }

  std::string Words(uint8_t what) {
    switch (what % 10) {
      case 0:
        return R"({"type":"hello","version":1,"resume":{}})";
      case 1:
        return absl::StrCat(
            R"({"type":"hello","version":1,"resume":{"session":")",
            resume_as_.session, R"(","secret":")", resume_as_.secret,
            R"(","received":)", what / 10 % 4, "}}");
      case 2:
      case 3:
        return absl::StrCat(R"({"type":"join","name":"n)", what / 10 % 4,
                            what < 200 ? "\"}" : R"(","secret":"s"})");
      case 4:
        return absl::StrCat(R"({"type":"call","to":"n)", what / 10 % 4, "\"}");
      case 5:
        return absl::StrCat(R"({"type":"accept","call":")", call_, "\"}");
      case 6:
        return absl::StrCat(R"({"type":"hangup","call":")", call_, "\"}");
      case 7:
        return absl::StrCat(
            R"({"type":"signal","kind":"offer","sdp":"x","call":")", call_,
            "\"}");
      case 8:
        return what < 100 ? R"({"type":"leave"})"
                          : R"({"type":"block","name":"n1"})";
      default:
        return R"({"type":"update","meta":{"a":1}})";
    }
  }

  Reader r_;
  SeededRandom random_{1};
  absl::Time now_ = absl::FromUnixSeconds(1000);
  const ServerOptions options_ = Small();
  std::array<Node, 2> nodes_{Node{NodeId{1}}, Node{NodeId{2}}};
  bool is_up_ = false;
  uint64_t epoch_ = 0;
  std::string call_;         // The last one,
  ResumeRequest resume_as_;  // and the last session that was welcomed.
};

// Two links whose packets are lost, repeated, reordered and damaged.
class LinksPlay {
 public:
  explicit LinksPlay(absl::Span<const uint8_t> input) : r_(input) {}

  void Run() {
    while (!r_.empty()) {
      Step();
      for (size_t i : {0, 1}) Drain(i);
    }
    // All is well again, and so are they.
    packets_[0].clear();
    packets_[1].clear();
    for (int i = 0; i < 200; ++i) {
      now_ += absl::Milliseconds(100);
      for (size_t to : {0, 1}) {
        links_[to].HandleTimeout(now_);
        Drain(to);
        for (std::string& bytes : std::exchange(packets_[to], {})) {
          links_[to].HandlePacket(now_, {NodeId{}, std::move(bytes)});
          Drain(to);
        }
      }
    }
    // A packet of an epoch that nobody is in, made by somebody else, stands in
    // the way of those that are.
    if (is_damaged_) return;
    KYUU_CHECK(links_[0].IsUp(NodeId{2}) && links_[1].IsUp(NodeId{1}));
    KYUU_CHECK(links_[0].kept_bytes() == 0 && links_[1].kept_bytes() == 0);
  }

 private:
  static LinksOptions Small() {
    LinksOptions options;
    options.max_kept_bytes = 2000;
    options.window_bytes = 500;
    options.packet_bytes = 200;
    options.max_nodes = 4;
    return options;
  }

  void Drain(size_t at) {
    while (auto packet = links_[at].PollTransmit(now_, {})) {
      if (packets_[1 - at].size() < 50) {
        packets_[1 - at].push_back(std::move(packet->bytes));
      }
    }
    while (auto event = links_[at].PollEvent()) {
      if (std::holds_alternative<NodeHas>(*event)) continue;
      const auto* m = std::get_if<NodeMessage>(&*event);
      if (m == nullptr) {
        last_[at] = 0;
        continue;
      }
      uint64_t number = 0;
      if (is_damaged_ || m->from != NodeId{2 - at}) continue;
      KYUU_CHECK(absl::SimpleAtoi(m->message, &number));
      KYUU_CHECK(last_[at] == 0 || number == last_[at] + 1);
      last_[at] = number;
    }
    KYUU_CHECK(links_[at].kept_bytes() <= 3 * 2000);
  }

  void Step() {
    const uint8_t op = r_.U8();
    const size_t at = op & 1;
    std::deque<std::string>& packets = packets_[at];
    switch ((op >> 1) % 8) {
      case 0:
      case 1: {
        const NodeId to{2 - at};
        // Refused, it has not been sent.
        if (links_[at].Send(now_, to, absl::StrCat(sent_[at] + 1))) {
          ++sent_[at];
        }
        return;
      }
      case 2:
        now_ += absl::Milliseconds(20 * r_.U8());
        return links_[at].HandleTimeout(now_);
      case 3:
        return links_[at].HandleReconnected(now_);
      default: {
        if (packets.empty()) return;
        const size_t which = r_.U8() % packets.size();
        std::string bytes = packets[which];
        // Else it is repeated, or lost.
        if (op < 0xc0) {
          packets.erase(packets.begin() + static_cast<std::ptrdiff_t>(which));
        }
        if (op >= 0xa0 && op < 0xc0) return;
        if (op >= 0xf0) {
          is_damaged_ = true;
          bytes[r_.U8() % bytes.size()] ^= static_cast<char>(r_.U8());
        }
        links_[at].HandlePacket(now_, {NodeId{}, std::move(bytes)});
      }
    }
  }

  Reader r_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  std::array<Links, 2> links_{Links(Small(), NodeId{1}),
                              Links(Small(), NodeId{2})};
  std::array<std::deque<std::string>, 2> packets_;  // On their way to each.
  std::array<uint64_t, 2> sent_{}, last_{};
  bool is_damaged_ = false;  // What comes may be anything.
};

}  // namespace

void PlayNodes(absl::Span<const uint8_t> input) { NodesPlay(input).Run(); }
void PlayLinks(absl::Span<const uint8_t> input) { LinksPlay(input).Run(); }

}  // namespace kyuu::signaling
