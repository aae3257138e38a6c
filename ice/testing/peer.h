// An agent and its gatherer as one engine, for tests on sim: what
// peer::Connection makes of the two, without anything above them.

#ifndef KYUU_ICE_TESTING_PEER_H_
#define KYUU_ICE_TESTING_PEER_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

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
#include "sim/network.h"

namespace kyuu::ice::testing {

// To be signalled to the other peer.
struct Signal {
  std::string candidate;  // A line, or "" for the end of candidates.
};

class Peer {
 public:
  using Packet = Datagram;
  using Event = std::variant<Signal, AgentEvent>;

  Peer(Role role, uint64_t seed, GathererOptions options,
       const AgentOptions& agent_options = {})
      : random(std::make_unique<SeededRandom>(seed)),
        agent(role, Credentials::Generate(*random), *random, agent_options),
        gatherer(std::move(options), *random) {}

  void HandlePacket(absl::Time now, const Datagram& d) {
    now_ = now;
    if (auto inner = gatherer.Unwrap(d)) {
      Receive(now, *inner);
    } else if (gatherer.Expects(d)) {
      gatherer.HandlePacket(now, d);
    } else {
      Receive(now, d);
    }
  }
  void HandleTimeout(absl::Time now) {
    now_ = now;
    gatherer.HandleTimeout(now);
    agent.HandleTimeout(now);
  }
  std::optional<Datagram> PollTransmit(absl::Time now,
                                       absl::Span<uint8_t> out) {
    now_ = now;
    while (auto d = agent.PollTransmit(now, absl::MakeSpan(scratch_))) {
      if (gatherer.IsRelayed(d->path.local)) {
        if (auto outer = gatherer.Wrap(now, *d, out); outer.ok()) return *outer;
        continue;
      }
      std::copy(d->bytes.begin(), d->bytes.end(), out.begin());
      return Datagram{d->path, out.first(d->bytes.size())};
    }
    return gatherer.PollTransmit(now, out);
  }
  std::optional<Event> PollEvent() {
    while (auto event = gatherer.PollEvent()) {
      if (auto* found = std::get_if<Gatherer::CandidateFound>(&*event)) {
        EXPECT_OK(agent.AddLocalCandidate(now_, found->candidate));
        return Signal{found->candidate.ToString()};
      }
      if (std::holds_alternative<Gatherer::Finished>(*event)) return Signal{};
      if (auto* failed = std::get_if<Gatherer::ServerFailed>(&*event)) {
        failures.push_back(*failed);
      }
    }
    if (auto event = agent.PollEvent()) {
      if (auto* state = std::get_if<StateChanged>(&*event)) {
        states.push_back(state->state);
      }
      if (auto* selected = std::get_if<SelectedPair>(&*event)) {
        selections.push_back(*selected);
        gatherer.BindChannel(now_, selected->path);
      }
      return *event;
    }
    return std::nullopt;
  }
  absl::Time NextTimeout() const {
    return std::min(agent.NextTimeout(), gatherer.NextTimeout());
  }

  // A line from the other peer, "" for the end of candidates.
  void HandleSignal(absl::Time now, const std::string& line) {
    now_ = now;
    if (line.empty()) return agent.EndOfRemoteCandidates(now);
    absl::StatusOr<Candidate> candidate = Candidate::Parse(line);
    ASSERT_OK(candidate) << line;
    agent.AddRemoteCandidate(now, *candidate);
    if (candidate->address.ip != IpAddress()) {
      gatherer.Permit(now, candidate->address);
    }
  }

  bool Is(AgentState state) const { return agent.state() == state; }
  // The last SelectedPair; a default one if there was none.
  SelectedPair selected() const {
    return selections.empty() ? SelectedPair{} : selections.back();
  }

  std::unique_ptr<SeededRandom> random;
  Agent agent;
  Gatherer gatherer;
  std::vector<AgentState> states;
  std::vector<SelectedPair> selections;
  std::vector<Gatherer::ServerFailed> failures;
  // Payloads other than STUN that came on a path known to the agent, and how
  // many came on others.
  std::vector<std::string> data;
  int refused_data = 0;

 private:
  void Receive(absl::Time now, const Datagram& d) {
    if (!d.bytes.empty() && d.bytes[0] >= 20) {
      if (agent.IsKnownPath(d.path)) {
        data.emplace_back(d.bytes.begin(), d.bytes.end());
      } else {
        ++refused_data;
      }
      return;
    }
    agent.HandlePacket(now, d);
  }

  absl::Time now_ = absl::InfinitePast();
  std::array<uint8_t, 2048> scratch_;
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
    endpoint_a_ = network_.Attach(host_a, locals_a, a_, Handler(b_));
    endpoint_b_ = network_.Attach(host_b, locals_b, b_, Handler(a_));
    EXPECT_OK(a_.gatherer.Start(network_.now()));
    EXPECT_OK(b_.gatherer.Start(network_.now()));
    Exchange();
  }
  // Tells each the other's credentials, after a restart too.
  void Exchange() {
    network_.After(delay_, [this] {
      EXPECT_OK(b_.agent.SetRemoteCredentials(network_.now(),
                                              a_.agent.local_credentials()));
    });
    network_.After(2 * delay_, [this] {
      EXPECT_OK(a_.agent.SetRemoteCredentials(network_.now(),
                                              b_.agent.local_credentials()));
    });
  }
  bool RunUntil(AgentState state, absl::Duration limit) {
    return network_.RunUntil([&] { return a_.Is(state) && b_.Is(state); },
                             limit);
  }
  sim::EndpointId endpoint_a() const { return endpoint_a_; }
  sim::EndpointId endpoint_b() const { return endpoint_b_; }

 private:
  std::function<void(Peer::Event)> Handler(Peer& other) {
    return [this, &other](Peer::Event event) {
      auto* signal = std::get_if<Signal>(&event);
      if (signal == nullptr) return;
      network_.After(delay_, [this, &other, line = signal->candidate] {
        other.HandleSignal(network_.now(), line);
      });
    };
  }

  sim::EndpointId endpoint_a_{};
  sim::EndpointId endpoint_b_{};
  sim::Network& network_;
  Peer& a_;
  Peer& b_;
  absl::Duration delay_;
};

}  // namespace kyuu::ice::testing

#endif  // KYUU_ICE_TESTING_PEER_H_
