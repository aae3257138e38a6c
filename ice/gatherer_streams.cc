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
namespace {

bool IsOfBindings(StreamId id) {
  return static_cast<uint64_t>(id) >= internal::kFirstBindingStream;
}

}  // namespace

// Whether a faster protocol serves.
bool Gatherer::IsSpared(const Relay& relay) const {
  for (const Relay& other : relays_) {
    if (other.kept && !other.moving && !other.dropped &&
        relay.IsSlowerThan(other)) {
      return true;
    }
  }
  return false;
}

// How long the faster ones have.
absl::Duration Gatherer::Patience(const Relay& relay) const {
  bool faster[3] = {};  // UDP, DTLS, TCP.
  for (const Relay& other : relays_) {
    if (other.dropped || !relay.IsSlowerThan(other)) continue;
    faster[static_cast<size_t>(other.server.protocol)] = true;
  }
  return options_->slower_after * (faster[0] + faster[1] + faster[2]);
}

void Gatherer::SpareSlower(const Relay& kept) {
  for (Relay& relay : relays_) {
    if (relay.state != JobState::kQueued || !relay.IsSlowerThan(kept)) continue;
    relay.hosts.clear();
    relay.state = JobState::kDone;
  }
}

// Those that were spared because of `than`, or of any relay, and those that
// have failed: what worked may not work any more.
void Gatherer::AskSlower(absl::Time now, const Relay* than) {
  bool asked = false;
  for (Relay& relay : relays_) {
    if (!relay.on_stream() || relay.kept || relay.dropped || relay.running() ||
        relay.retry || !relay.hosts.empty() ||
        (than != nullptr && !relay.IsSlowerThan(*than))) {
      continue;
    }
    AskAgain(now, relay);
    asked = true;
  }
  if (asked) Begin(now);
}

void Gatherer::WantStream(absl::Time now, Relay& relay,
                          const TransportAddress& server) {
  const TurnServer& told = relay.server;
  relay.connecting.emplace(internal::Connecting{
      StreamId{++streams_}, server, now + options_->stream_deadline});
  events_.push_back(
      StreamWanted{relay.connecting->id, server, told.protocol, told.host});
}

void Gatherer::EndStream(std::optional<StreamId>& stream) {
  if (!stream) return;
  events_.push_back(StreamUnwanted{*stream});
  stream.reset();
}

// The driver drops what it has of it.
void Gatherer::EndConnecting(Relay& relay) {
  if (!relay.connecting) return;
  events_.push_back(StreamUnwanted{relay.connecting->id});
  relay.connecting.reset();
}

void Gatherer::FailConnecting(absl::Time now, Relay& relay,
                              const absl::Status& why) {
  EndConnecting(relay);
  if (!relay.moving) return FailRelay(now, relay, {}, why, 0);
  relay.moving->next = now + options_->relay_retry_initial;
  AskSlower(now, &relay);
}

void Gatherer::StreamConnected(absl::Time now, StreamId id,
                               const TransportAddress& local) {
  if (IsOfBindings(id)) {
    bindings_.StreamConnected(now, id);
    return Drain(now);
  }
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
  if (IsOfBindings(id)) {
    bindings_.StreamEnded(now, id, why);
    return Drain(now);
  }
  for (Relay& relay : relays_) {
    if (relay.connecting && relay.connecting->id == id) {
      FailConnecting(now, relay, why);
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
