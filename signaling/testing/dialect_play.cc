#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "nlohmann/json.hpp"
#include "signaling/peerjs/peerjs.h"
#include "signaling/testing/plays.h"
#include "signaling/ywebrtc.h"

namespace kyuu::signaling {
namespace {

using nlohmann::json;

constexpr uint64_t kClients = 5;

// A text with a byte of it changed, if the input says so.
std::string Damaged(Reader& r, std::string text) {
  if (r.U8() % 8 == 0 && !text.empty()) {
    text[r.U8() % text.size()] ^= static_cast<char>(r.U8());
  }
  return text;
}

std::string Anything(Reader& r) {
  return std::string(r.Text(std::min<size_t>(r.U8(), r.remaining())));
}

class PeerJsPlay {
 public:
  explicit PeerJsPlay(absl::Span<const uint8_t> input) : r_(input) {}

  void Run() {
    while (!r_.empty()) {
      Step();
      KYUU_CHECK(server_.peer_count() <= options_.max_peers);
      KYUU_CHECK(server_.kept_bytes() <= options_.max_kept_bytes);
      // One more message can be there than fits, with all that was kept.
      KYUU_CHECK(server_.queued_bytes() <= options_.max_queued_bytes + 4000);
    }
    for (uint64_t id = 0; id < kClients; ++id) {
      server_.Disconnect(ConnectionId{id});
    }
    server_.HandleTimeout(now_ + options_.expire_timeout);
    Drain();
    KYUU_CHECK(server_.peer_count() == 0 && server_.kept_bytes() == 0);
    KYUU_CHECK(server_.queued_bytes() == 0 && server_.ListPeers() == "[]");
    KYUU_CHECK(server_.NextTimeout() == absl::InfiniteFuture());
  }

 private:
  static PeerJsOptions Small() {
    PeerJsOptions options;
    options.max_peers = 3;
    options.max_peers_per_source = 2;
    options.message_rate.burst = 20;
    options.max_dropped_messages = 5;
    options.max_kept_bytes = 2000;
    options.max_kept_bytes_per_source = 1000;
    options.max_kept_bytes_per_peer = 700;
    options.max_queued_bytes = 3000;
    return options;
  }

  void Drain() {
    while (auto m = server_.PollTransmit(now_, {})) {
      const json message = json::parse(m->text);
      KYUU_CHECK(message.at("type").is_string());
      // Who is passed something on is who it is for.
      if (message.contains("dst")) KYUU_CHECK(message.contains("src"));
    }
    while (server_.PollEvent()) {
    }
  }

  void Step() {
    const uint8_t op = r_.U8();
    const ConnectionId id{op % kClients};
    switch (r_.U8() % 8) {
      case 0: {
        const PeerJsIdentity identity{std::string(1, 'a' + r_.U8() % 4),
                                      std::string(1, 'a' + r_.U8() % 2),
                                      r_.U8() % 16 == 0 ? "x" : "peerjs"};
        // Refused if too much waits, or it is there already.
        (void)server_.Connect(now_, id, IpAddress::V4(192, 0, 2, op & 1),
                              identity);
        return;
      }
      case 1:
        return server_.Disconnect(id);
      case 2:
        now_ += absl::Milliseconds(100 * (r_.U8() % 70));
        return server_.HandleTimeout(now_);
      case 3:
        return Drain();
      case 4:
        return server_.HandlePacket(now_, {id, Anything(r_)});
      default: {
        static constexpr const char* kTypes[] = {"OFFER", "ANSWER", "CANDIDATE",
                                                 "LEAVE", "EXPIRE", "HEARTBEAT",
                                                 "OPEN"};
        std::string text =
            absl::StrCat(R"({"type":")", kTypes[r_.U8() % 7], R"(","dst":")",
                         std::string(1, static_cast<char>('a' + r_.U8() % 6)),
                         R"(","payload":{"a":[1]}})");
        server_.HandlePacket(now_, {id, Damaged(r_, std::move(text))});
      }
    }
  }

  Reader r_;
  SeededRandom random_{1};
  absl::Time now_ = absl::FromUnixSeconds(1000);
  const PeerJsOptions options_ = Small();
  PeerJsServer server_{options_, random_};
};

// Two nodes; what one sends the other comes when the input says so, some of it
// damaged.
class PeerJsNodesPlay {
 public:
  explicit PeerJsNodesPlay(absl::Span<const uint8_t> input) : r_(input) {
    for (Node& node : nodes_) {
      node.server = std::make_unique<PeerJsServer>(options_, random_);
      node.server->Federate();
    }
  }

  void Run() {
    while (!r_.empty()) {
      Step();
      for (Node& node : nodes_) {
        Drain(node);
        const PeerJsServer& server = *node.server;
        KYUU_CHECK(server.kept_bytes() <= options_.max_kept_bytes);
        KYUU_CHECK(server.remote_peer_count() <= 2);
      }
    }
    Join(false);
    for (Node& node : nodes_) {
      for (uint64_t id = 0; id < kClients; ++id) {
        node.server->Disconnect(ConnectionId{id});
      }
      node.server->HandleTimeout(now_ + options_.expire_timeout);
      Drain(node);
      const PeerJsServer& server = *node.server;
      KYUU_CHECK(server.peer_count() == 0 && server.kept_bytes() == 0);
      KYUU_CHECK(server.queued_bytes() == 0 && server.ListPeers() == "[]");
      KYUU_CHECK(server.remote_peer_count() == 0);
      KYUU_CHECK(server.NextTimeout() == absl::InfiniteFuture());
    }
  }

 private:
  struct Node {
    NodeId id{};
    std::unique_ptr<PeerJsServer> server;
    std::deque<std::string> in;  // Of the other one.
    std::deque<ClaimPlace> claims;
  };

  static PeerJsOptions Small() {
    PeerJsOptions options;
    options.max_kept_bytes = 2000;
    options.max_waiting_bytes = 500;
    options.federation.max_remote_peers = 2;
    return options;
  }

  Node& Other(const Node& node) {
    return &node == &nodes_[0] ? nodes_[1] : nodes_[0];
  }

  void Join(bool is_up) {
    if (is_up == is_up_) return;
    is_up_ = is_up;
    for (Node& node : nodes_) {
      node.in.clear();
      const NodeId other = Other(node).id;
      node.server->HandleNode(now_, is_up ? Links::Event(NodeUp{other})
                                          : Links::Event(NodeLost{other}));
    }
  }

  void Drain(Node& node) {
    PeerJsServer& server = *node.server;
    while (auto m = server.PollTransmit(now_, {})) {
      KYUU_CHECK(json::parse(m->text).at("type").is_string());
    }
    while (server.PollEvent()) {
    }
    while (auto command = server.PollNodeCommand()) {
      if (auto* to = std::get_if<ToNode>(&*command)) {
        KYUU_CHECK(is_up_ && to->to == Other(node).id);
        Other(node).in.push_back(std::move(to->message));
      } else if (const auto* claim = std::get_if<ClaimPlace>(&*command)) {
        node.claims.push_back(*claim);
      }
    }
  }

  void Step() {
    const uint8_t op = r_.U8();
    Node& node = nodes_[op & 1];
    const ConnectionId id{op / 2 % kClients};
    const bool is_high = (op & 64) != 0;
    switch (r_.U8() % 10) {
      case 0:
      case 1: {
        const std::string name(1, static_cast<char>('a' + r_.U8() % 3));
        // Refused if it is there.
        (void)node.server->Connect(now_, id, IpAddress::V4(192, 0, 2, 1),
                                   {name, is_high ? "t" : "u", "peerjs"});
        return;
      }
      case 2:
        return node.server->Disconnect(id);
      case 3:
        now_ += absl::Milliseconds(100 * r_.U8());
        return node.server->HandleTimeout(now_);
      case 4:
        return Join(!is_high);
      case 5:
        return node.server->HandleBackplane(
            now_, is_high ? BackplaneState::kAway : BackplaneState::kThere);
      case 6: {
        if (node.claims.empty()) return;
        const ClaimPlace claim = node.claims.front();
        node.claims.pop_front();
        const uint64_t epoch = claim.epoch != 0 ? claim.epoch : ++epoch_;
        return node.server->HandleClaim(now_, {claim.place, !is_high, epoch});
      }
      case 7:
      case 8: {
        if (node.in.empty()) return;
        std::string message = std::move(node.in.front());
        node.in.pop_front();
        if (op >= 0xc0) {
          message[r_.U8() % message.size()] ^= static_cast<char>(r_.U8());
        }
        return node.server->HandleNode(
            now_, NodeMessage{Other(node).id, std::move(message)});
      }
      default: {
        static constexpr const char* kTypes[] = {"OFFER", "LEAVE", "ANSWER"};
        node.server->HandlePacket(
            now_, {id, absl::StrCat(
                           R"({"type":")", kTypes[r_.U8() % 3], R"(","dst":")",
                           std::string(1, static_cast<char>('a' + r_.U8() % 4)),
                           R"(","payload":1})")});
      }
    }
  }

  Reader r_;
  SeededRandom random_{1};
  absl::Time now_ = absl::FromUnixSeconds(1000);
  const PeerJsOptions options_ = Small();
  std::array<Node, 2> nodes_{Node{NodeId{1}}, Node{NodeId{2}}};
  bool is_up_ = false;
  uint64_t epoch_ = 0;
};

class YWebrtcPlay {
 public:
  explicit YWebrtcPlay(absl::Span<const uint8_t> input) : r_(input) {}

  void Run() {
    while (!r_.empty()) {
      Step();
      KYUU_CHECK(server_.connection_count() <= options_.max_connections);
      KYUU_CHECK(server_.topic_count() <= options_.max_topics);
      KYUU_CHECK(server_.subscription_count() <= options_.max_subscriptions);
      KYUU_CHECK(server_.queued_bytes() <= options_.max_queued_bytes + 2000);
    }
    for (uint64_t id = 0; id < kClients; ++id) {
      server_.Disconnect(ConnectionId{id});
    }
    Drain();
    KYUU_CHECK(server_.connection_count() == 0 && server_.topic_count() == 0);
    KYUU_CHECK(server_.subscription_count() == 0);
    KYUU_CHECK(server_.queued_bytes() == 0);
  }

 private:
  static YWebrtcOptions Small() {
    YWebrtcOptions options;
    options.max_connections = 4;
    options.max_connections_per_source = 3;
    options.max_topics = 4;
    options.max_topics_per_source = 3;
    options.max_topics_per_connection = 3;
    options.max_subscriptions = 8;
    options.max_subscriptions_per_source = 6;
    options.max_subscribers_per_topic = 3;
    options.max_subscribers_per_topic_per_source = 2;
    options.message_rate.burst = 30;
    options.fanout_rate = {.per_second = 100, .burst = 2000};
    options.max_dropped_messages = 5;
    options.max_queued_bytes = 3000;
    return options;
  }

  void Drain() {
    while (auto m = server_.PollTransmit(now_, {})) {
      const json message = json::parse(m->text);
      const std::string type = message.at("type");
      KYUU_CHECK(type == "pong" || type == "error" || type == "publish");
      if (type == "publish") {
        const size_t clients = message.at("clients");
        KYUU_CHECK(clients >= 1 &&
                   clients <= options_.max_subscribers_per_topic);
      }
    }
    while (server_.PollEvent()) {
    }
  }

  void Step() {
    const uint8_t op = r_.U8();
    const ConnectionId id{op % kClients};
    switch (r_.U8() % 8) {
      case 0:
        // Refused beyond the bounds.
        (void)server_.Connect(now_, id, IpAddress::V4(192, 0, 2, op & 1));
        return;
      case 1:
        return server_.Disconnect(id);
      case 2:
        now_ += absl::Milliseconds(100 * (r_.U8() % 70));
        return server_.HandleTimeout(now_);
      case 3:
        return Drain();
      case 4:
        return server_.HandlePacket(now_, {id, Anything(r_)});
      case 5: {
        static constexpr const char* kExtra[] = {
            "", R"(,"clients":0)", R"(,"data":{"b":[true,""]})",
            R"(, "clients" : {"a":[2]} ,"z":1 )"};
        return Say(id, absl::StrCat(R"({"type":"publish","topic":")", Topic(),
                                    "\"", kExtra[r_.U8() % 4], "}"));
      }
      default:
        return Say(
            id, absl::StrCat(R"({"type":")", r_.U8() % 3 != 0 ? "" : "un",
                             R"(subscribe","topics":[")", Topic(), R"(",1,")",
                             Topic(), "\"]}"));
    }
  }

  void Say(ConnectionId id, std::string text) {
    server_.HandlePacket(now_, {id, Damaged(r_, std::move(text))});
  }
  std::string Topic() {
    return std::string(1, static_cast<char>('a' + r_.U8() % 6));
  }

  Reader r_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  const YWebrtcOptions options_ = Small();
  YWebrtcServer server_{options_};
};

}  // namespace

void PlayPeerJs(absl::Span<const uint8_t> input) { PeerJsPlay(input).Run(); }
void PlayPeerJsNodes(absl::Span<const uint8_t> input) {
  PeerJsNodesPlay(input).Run();
}
void PlayYWebrtc(absl::Span<const uint8_t> input) { YWebrtcPlay(input).Run(); }

}  // namespace kyuu::signaling
