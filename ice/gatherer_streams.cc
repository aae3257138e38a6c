// TURN servers over DTLS, TCP and TLS: their streams, which the driver
// connects, and when they are asked beside the same server's faster protocols.

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/gatherer.h"
#include "turn/client.h"

namespace kyuu::ice {

bool Gatherer::OnStream(const Relay& relay) const {
  return options_.turn_servers[relay.server].protocol != RelayProtocol::kUdp;
}

bool Gatherer::IsSlower(const Relay& relay, const Relay& than) const {
  const TurnServer& a = options_.turn_servers[relay.server];
  const TurnServer& b = options_.turn_servers[than.server];
  return a.address.ip == b.address.ip && a.protocol > b.protocol;
}

// Whether a faster protocol serves.
bool Gatherer::IsSpared(const Relay& relay) const {
  for (const Relay& other : relays_) {
    if (other.kept && !other.moving && IsSlower(relay, other)) return true;
  }
  return false;
}

// How long the faster ones have.
absl::Duration Gatherer::Patience(const Relay& relay) const {
  bool faster[3] = {};  // UDP, DTLS, TCP.
  for (const Relay& other : relays_) {
    if (!IsSlower(relay, other)) continue;
    faster[static_cast<size_t>(options_.turn_servers[other.server].protocol)] =
        true;
  }
  return options_.slower_after * (faster[0] + faster[1] + faster[2]);
}

void Gatherer::SpareSlower(const Relay& kept) {
  for (Relay& relay : relays_) {
    if (relay.state != JobState::kQueued || !IsSlower(relay, kept)) continue;
    relay.hosts.clear();
    relay.state = JobState::kDone;
  }
}

// Those that were spared because of `than`, or of any relay, and those that
// have failed: what worked may not work any more.
void Gatherer::AskSlower(absl::Time now, const Relay* than) {
  bool asked = false;
  for (Relay& relay : relays_) {
    if (!OnStream(relay) || relay.kept || relay.running() || relay.retry ||
        !relay.hosts.empty() || (than != nullptr && !IsSlower(relay, *than))) {
      continue;
    }
    AskAgain(now, relay);
    asked = true;
  }
  if (asked) Begin(now);
}

void Gatherer::WantStream(absl::Time now, Relay& relay,
                          const TransportAddress& server) {
  const TurnServer& told = options_.turn_servers[relay.server];
  relay.connecting.emplace(internal::Connecting{
      StreamId{++streams_}, server, now + options_.stream_deadline});
  events_.push_back(
      StreamWanted{relay.connecting->id, server, told.protocol, told.host});
}

void Gatherer::EndStream(std::optional<StreamId>& stream) {
  if (!stream) return;
  events_.push_back(StreamUnwanted{*stream});
  stream.reset();
}

void Gatherer::StreamConnected(absl::Time now, StreamId id,
                               const TransportAddress& local) {
  for (Relay& relay : relays_) {
    if (!relay.connecting || relay.connecting->id != id) continue;
    const TransportAddress server = relay.connecting->server;
    relay.connecting.reset();
    if (relay.moving) {
      relay.attempts[*relay.kept].stream = id;
      MoveTo(now, relay, local);
      break;
    }
    Attempt attempt;
    attempt.local = local;
    attempt.stream = id;
    Ask(now, relay, server, std::move(attempt));
    break;
  }
  Drain(now);
}

void Gatherer::StreamEnded(absl::Time now, StreamId id,
                           const absl::Status& why) {
  for (Relay& relay : relays_) {
    if (relay.connecting && relay.connecting->id == id) {
      std::optional<StreamId> stream = id;
      EndStream(stream);
      relay.connecting.reset();
      if (relay.moving) {
        relay.moving->next = now + options_.relay_retry_initial;
        AskSlower(now, &relay);
      } else {
        FailRelay(now, relay, {}, why, 0);
      }
      break;
    }
    for (size_t i = 0; i < relay.attempts.size(); ++i) {
      Attempt& attempt = relay.attempts[i];
      if (attempt.stream != id) continue;
      attempt.stream.reset();
      if (relay.kept == i && StartMove(now, relay)) continue;
      attempt.client->HandleStreamEnd(now, why);
    }
  }
  Drain(now);
}

}  // namespace kyuu::ice
