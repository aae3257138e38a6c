// An IceTransport and what it told, for tests on sim.

#ifndef KYUU_ICE_TESTING_PEER_H_
#define KYUU_ICE_TESTING_PEER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/gatherer.h"
#include "ice/transport.h"
#include "sim/network.h"

namespace kyuu::ice::testing {

// To be signalled to the other peer.
struct Signal {
  std::string candidate;  // A line, or "" for the end of candidates.
};

class Peer {
 public:
  using Packet = Datagram;
  using Event = std::variant<Signal, IceTransport::Event>;

  Peer(Role role, uint64_t seed, GathererOptions options,
       const AgentOptions& agent_options = {})
      : mode(agent_options.lite ? RemoteMode::kLite : RemoteMode::kFull),
        random(std::make_unique<SeededRandom>(seed)),
        ice(role, Credentials::Generate(*random), *random,
            {agent_options, std::move(options)}) {}

  void HandlePacket(absl::Time now, const Datagram& d) {
    if (auto payload = ice.HandlePacket(now, d)) {
      data.emplace_back(payload->bytes.begin(), payload->bytes.end());
    }
  }
  void HandleTimeout(absl::Time now) { ice.HandleTimeout(now); }
  std::optional<Datagram> PollTransmit(absl::Time now,
                                       absl::Span<uint8_t> out) {
    return ice.PollTransmit(now, out);
  }
  std::optional<Event> PollEvent() {
    std::optional<IceTransport::Event> event = ice.PollEvent();
    if (!event) return std::nullopt;
    if (auto* found = std::get_if<Gatherer::CandidateFound>(&*event)) {
      return Signal{found->candidate.ToString()};
    }
    if (auto* gathering = std::get_if<GatheringStateChanged>(&*event)) {
      if (gathering->state == GatheringState::kComplete) return Signal{};
    }
    if (auto* failed = std::get_if<Gatherer::ServerFailed>(&*event)) {
      failures.push_back(*failed);
    }
    if (auto* relay = std::get_if<Gatherer::RelayLost>(&*event)) {
      lost.push_back(*relay);
    }
    if (auto* state = std::get_if<StateChanged>(&*event)) {
      states.push_back(state->state);
    }
    if (auto* decision = std::get_if<Decision>(&*event)) {
      decisions.push_back(*decision);
    }
    if (auto* selected = std::get_if<SelectedPair>(&*event)) {
      selections.push_back(*selected);
    }
    return *event;
  }
  absl::Time NextTimeout() const { return ice.NextTimeout(); }

  // A line from the other peer, "" for the end of candidates.
  void HandleSignal(absl::Time now, const std::string& line) {
    if (line.empty()) return ice.EndOfRemoteCandidates(now);
    absl::StatusOr<Candidate> candidate = Candidate::Parse(line);
    ASSERT_OK(candidate) << line;
    ice.AddRemoteCandidate(now, *candidate);
  }

  bool Is(AgentState state) const { return ice.agent().state() == state; }
  // The last SelectedPair; a default one if there was none.
  SelectedPair selected() const {
    return selections.empty() ? SelectedPair{} : selections.back();
  }

  const RemoteMode mode;  // As the other one has to know it.
  std::unique_ptr<SeededRandom> random;
  IceTransport ice;
  std::vector<AgentState> states;
  std::vector<SelectedPair> selections;
  std::vector<Decision> decisions;
  std::vector<Gatherer::ServerFailed> failures;
  std::vector<Gatherer::RelayLost> lost;
  // Payloads that came on a path known to the agent.
  std::vector<std::string> data;
};

static_assert(Engine<Peer>);

// Session joins two peers by signaling that takes `delay` each way: `a` offers,
// `b` answers when the offer arrives, candidates trickle as they are found.
class Session {
 public:
  Session(sim::Network& network, Peer& a, Peer& b,
          absl::Duration delay = absl::Milliseconds(20))
      : network_(network), a_(a), b_(b), delay_(delay) {}

  // Attaches the peers to their hosts, and starts.
  void Start(sim::HostId host_a, const std::vector<TransportAddress>& locals_a,
             sim::HostId host_b,
             const std::vector<TransportAddress>& locals_b) {
    endpoint_a_ = network_.Attach(host_a, locals_a, a_,
                                  Handler(a_, endpoint_a_, locals_a[0], b_));
    endpoint_b_ = network_.Attach(host_b, locals_b, b_,
                                  Handler(b_, endpoint_b_, locals_b[0], a_));
    a_.ice.Gather(network_.now());
    b_.ice.Gather(network_.now());
    Exchange();
  }
  // Tells each the other's credentials, after a restart too.
  void Exchange() {
    network_.After(delay_, [this] {
      EXPECT_OK(b_.ice.SetRemoteCredentials(
          network_.now(), a_.ice.agent().local_credentials(), a_.mode));
    });
    network_.After(2 * delay_, [this] {
      EXPECT_OK(a_.ice.SetRemoteCredentials(
          network_.now(), b_.ice.agent().local_credentials(), b_.mode));
    });
  }
  // From now on connections cross the network, those to the peers too. The peer
  // on `host` listens at `passive`, its address of that kind.
  void UseStreams(sim::HostId host_a, const TransportAddress& passive_a,
                  sim::HostId host_b, const TransportAddress& passive_b) {
    Listen(host_a, passive_a, a_, endpoint_a_);
    Listen(host_b, passive_b, b_, endpoint_b_);
    hosts_ = {{&a_, host_a}, {&b_, host_b}};
  }
  bool RunUntil(AgentState state, absl::Duration limit) {
    return network_.RunUntil([&] { return a_.Is(state) && b_.Is(state); },
                             limit);
  }
  sim::EndpointId endpoint_a() const { return endpoint_a_; }
  sim::EndpointId endpoint_b() const { return endpoint_b_; }

 private:
  std::function<void(Peer::Event)> Handler(Peer& self,
                                           const sim::EndpointId& endpoint,
                                           const TransportAddress& local,
                                           Peer& other) {
    return [this, &self, &endpoint, local, &other](Peer::Event event) {
      auto* signal = std::get_if<Signal>(&event);
      if (signal == nullptr) {
        const auto& told = std::get<IceTransport::Event>(event);
        if (const auto* server = std::get_if<StreamWanted>(&told)) {
          Connect(self, endpoint,
                  server->from.value_or(TransportAddress{local.ip, 0}),
                  server->server, server->id);
        } else if (const auto* peer = std::get_if<PeerStreamWanted>(&told);
                   peer != nullptr && !hosts_.empty()) {
          Connect(self, endpoint, {peer->local, peer->local_port}, peer->remote,
                  peer->id);
        }
        return;
      }
      network_.After(delay_, [this, &other, line = signal->candidate] {
        other.HandleSignal(network_.now(), line);
      });
    };
  }

  // Without UseStreams() one to a TURN server is there after a while, and none
  // to a peer. A port that is given is bound, for somebody listens there.
  void Connect(Peer& peer, const sim::EndpointId& endpoint,
               TransportAddress local, const TransportAddress& remote,
               StreamId id) {
    const bool any_port = local.port == 0;
    if (any_port) local.port = next_stream_port_++;
    const auto connected = [this, &peer, local, id] {
      peer.ice.StreamConnected(network_.now(), id, local);
    };
    if (hosts_.empty()) {
      network_.After(absl::Milliseconds(50),
                     [this, &endpoint, local, connected] {
                       network_.Bind(endpoint, local);
                       connected();
                     });
      return;
    }
    if (any_port) network_.Bind(endpoint, local);
    network_.ConnectStream(
        hosts_.at(&peer), {local, remote, Transport::kTcp},
        [this, &peer, id, connected](const absl::Status& status) {
          if (status.ok()) return connected();
          peer.ice.StreamEnded(network_.now(), id, status);
        });
  }

  void Listen(sim::HostId host, const TransportAddress& passive, Peer& peer,
              sim::EndpointId endpoint) {
    network_.Bind(endpoint, passive);
    network_.ListenStreams(host, passive, [this, &peer](const Path& path) {
      // Who is one too many is not answered.
      peer.ice.StreamAccepted(network_.now(), path);
    });
  }

  std::map<Peer*, sim::HostId> hosts_;  // Once connections cross the network.
  uint16_t next_stream_port_ = 40000;
  sim::EndpointId endpoint_a_{};
  sim::EndpointId endpoint_b_{};
  sim::Network& network_;
  Peer& a_;
  Peer& b_;
  absl::Duration delay_;
};

}  // namespace kyuu::ice::testing

#endif  // KYUU_ICE_TESTING_PEER_H_
