// Two peer connections that call each other on a simulated network: one
// offers, the other answers, candidates trickle, signaling takes its time.

#ifndef KYUU_PEER_TESTING_CALL_H_
#define KYUU_PEER_TESTING_CALL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "dtls/certificate.h"
#include "peer/connection.h"
#include "sim/network.h"

namespace kyuu::peer::testing {

// Two identities, made once per process.
inline const dtls::Certificate& CertificateOf(int who) {
  static const auto* const all = new std::vector<dtls::Certificate>{
      *dtls::Certificate::Generate(absl::FromUnixSeconds(1'700'000'000)),
      *dtls::Certificate::Generate(absl::FromUnixSeconds(1'700'000'000))};
  return (*all)[static_cast<size_t>(who)];
}

// One connection and everything that it told.
struct Side {
  Side(const dtls::Certificate& certificate, const Options& options,
       uint64_t seed)
      : random(seed), connection(certificate, options, random) {}

  void Add(const Connection::Event& event) {
    if (closed) ++after_closed;
    if (auto* e = std::get_if<ConnectionStateChanged>(&event)) {
      states.push_back(e->state);
    }
    if (auto* e = std::get_if<SelectedPathChanged>(&event)) {
      paths.push_back(*e);
    }
    if (auto* e = std::get_if<Decision>(&event)) decisions.push_back(*e);
    if (auto* e = std::get_if<sctp::ChannelOpened>(&event)) {
      opened.push_back(e->channel);
    }
    if (auto* e = std::get_if<sctp::ChannelIncoming>(&event)) {
      incoming.push_back(*e);
    }
    if (auto* e = std::get_if<sctp::ChannelMessage>(&event)) {
      messages.push_back(*e);
    }
    if (auto* e = std::get_if<sctp::ChannelClosing>(&event)) {
      closing.push_back(e->channel);
    }
    if (auto* e = std::get_if<sctp::ChannelClosed>(&event)) {
      channels_closed[e->channel] = e->status;
      unsent[e->channel] = e->buffered_amount;
    }
    if (auto* e = std::get_if<ServerFailed>(&event)) failures.push_back(*e);
    if (auto* e = std::get_if<Closed>(&event)) closed = e->status;
  }
  bool connected() const {
    return connection.connection_state() == ConnectionState::kConnected;
  }

  SeededRandom random;
  Connection connection;
  std::vector<ConnectionState> states;
  std::vector<SelectedPathChanged> paths;
  std::vector<Decision> decisions;
  std::vector<ChannelId> opened;
  std::vector<sctp::ChannelIncoming> incoming;
  std::vector<sctp::ChannelMessage> messages;
  std::vector<ChannelId> closing;
  std::map<ChannelId, absl::Status> channels_closed;
  std::map<ChannelId, size_t> unsent;  // As ChannelClosed told.
  std::vector<ServerFailed> failures;
  std::optional<absl::Status> closed;
  int after_closed = 0;
};

struct CallOptions {
  uint64_t seed = 1;
  Options a;
  Options b;
  absl::Duration signaling_delay = absl::Milliseconds(20);
};

class Call {
 public:
  explicit Call(sim::Network& network, const CallOptions& options = {})
      : a(CertificateOf(0), options.a, options.seed * 2),
        b(CertificateOf(1), options.b, options.seed * 2 + 1),
        network_(network),
        delay_(options.signaling_delay) {}

  // Attaches both to their hosts. Candidates are told from now on.
  void Attach(sim::HostId host_a, const std::vector<TransportAddress>& locals_a,
              sim::HostId host_b,
              const std::vector<TransportAddress>& locals_b) {
    endpoint_a_ = AttachSide(host_a, locals_a, a, b);
    AttachSide(host_b, locals_b, b, a);
  }
  // Where a's addresses are bound.
  sim::EndpointId endpoint_a() const { return endpoint_a_; }

  // Negotiates: `from` offers, the other answers.
  void Negotiate(Side& from, IceRestart restart = IceRestart::kNo) {
    Side& to = &from == &a ? b : a;
    const auto offer = from.connection.CreateOffer(restart);
    ASSERT_OK(offer);
    ASSERT_OK(
        from.connection.SetLocalDescription(network_.now(), SdpType::kOffer));
    network_.After(delay_, [this, &from, &to, offer = *offer] {
      ASSERT_OK(to.connection.SetRemoteDescription(network_.now(),
                                                   SdpType::kOffer, offer));
      const auto answer = to.connection.CreateAnswer();
      ASSERT_OK(answer);
      ASSERT_OK(
          to.connection.SetLocalDescription(network_.now(), SdpType::kAnswer));
      network_.After(delay_, [this, &from, answer = *answer] {
        ASSERT_OK(from.connection.SetRemoteDescription(
            network_.now(), SdpType::kAnswer, answer));
      });
    });
  }
  bool Connected(absl::Duration limit = absl::Seconds(30)) {
    return network_.RunUntil([&] { return a.connected() && b.connected(); },
                             limit);
  }
  std::string DebugString() const {
    return absl::StrCat("a: ", a.connection.DebugString(),
                        "\nb: ", b.connection.DebugString());
  }

  Side a;
  Side b;
  // Whether candidates are told; without, what was found lies in no_trickle.
  bool trickle = true;

 private:
  sim::EndpointId AttachSide(sim::HostId host,
                             const std::vector<TransportAddress>& locals,
                             Side& side, Side& other) {
    for (const TransportAddress& local : locals) {
      EXPECT_OK(side.connection.AddLocalAddress(network_.now(), {local}));
    }
    return network_.Attach(
        host, locals, side.connection,
        [this, &side, &other](const Connection::Event& event) {
          side.Add(event);
          const auto* found = std::get_if<CandidateFound>(&event);
          if (found == nullptr || !trickle) return;
          network_.After(delay_, [this, &other, found = *found] {
            // Refused once the other has closed.
            other.connection
                .AddIceCandidate(network_.now(), found.candidate, found.mid,
                                 found.mline_index)
                .IgnoreError();
          });
        });
  }

  sim::Network& network_;
  absl::Duration delay_;
  sim::EndpointId endpoint_a_{};
};

}  // namespace kyuu::peer::testing

#endif  // KYUU_PEER_TESTING_CALL_H_
