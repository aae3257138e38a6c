// Relays that go on when the address of ours from which they were asked for is
// gone, or their stream has ended (RFC 8016). The relayed address stays, and
// neither the agent nor the peer notices more than a silence. A server whose
// path leads through a NAT that has changed is turn::Client's own affair.

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/gatherer.h"
#include "turn/client.h"

namespace kyuu::ice {

// False if the allocation cannot move: it is lost.
bool Gatherer::StartMove(absl::Time now, Relay& relay) {
  if (state_ != State::kGathering ||
      !relay.attempts[*relay.kept].client->movable()) {
    return false;
  }
  if (!relay.moving) relay.moving.emplace();
  if (!relay.connecting) MoveOn(now, relay);
  return true;
}

// Asks from the next address, and after the last one from the first again.
void Gatherer::MoveOn(absl::Time now, Relay& relay) {
  internal::Moving& moving = *relay.moving;
  if (moving.hosts.empty()) moving.hosts = HostsReaching(relay);
  if (moving.hosts.empty()) {
    moving.next = moving.until = absl::InfiniteFuture();
    return;
  }
  moving.until = std::min(moving.until, now + options_->move_deadline);
  moving.asked = now;
  moving.next = now + options_->next_host_after;
  const TransportAddress host = moving.hosts.front();
  moving.hosts.erase(moving.hosts.begin());
  if (!relay.on_stream()) return MoveTo(now, relay, host);
  if (!relay.attempts[*relay.kept].stream && !relay.connecting) {
    WantStream(now, relay, relay.attempts[*relay.kept].client->server());
  }
}

// An address has come while it moves.
void Gatherer::OfferToMove(absl::Time now, Relay& relay,
                           const TransportAddress& host) {
  internal::Moving& moving = *relay.moving;
  if (moving.waits_for_address()) return MoveOn(now, relay);
  if (relay.on_stream()) return;
  moving.hosts.push_back(host);
  moving.next = std::min(moving.next, moving.asked + options_->next_host_after);
}

void Gatherer::MoveTo(absl::Time now, Relay& relay,
                      const TransportAddress& local) {
  Attempt& attempt = relay.attempts[*relay.kept];
  attempt.local = local;
  const absl::Status status = attempt.client->Move(now, local);
  if (!status.ok()) FailMove(now, relay, status);
}

void Gatherer::ReviewMove(absl::Time now, Relay& relay) {
  if (!relay.moving || state_ != State::kGathering) return;
  internal::Moving& moving = *relay.moving;
  if (now >= moving.until) {
    return FailMove(now, relay,
                    absl::DeadlineExceededError("it could not be moved"));
  }
  if (now < moving.next) return;
  // This network may let through other protocols than the last one did.
  AskSlower(now, &relay);
  const absl::Time patient = moving.asked + options_->server_deadline;
  const bool under_way = relay.connecting.has_value() || !relay.cut_off();
  if (under_way && moving.hosts.empty() && now < patient) {
    moving.next = patient;
  } else {
    MoveOn(now, relay);
  }
}

void Gatherer::FailMove(absl::Time now, Relay& relay,
                        const absl::Status& status) {
  ++stats_.at<&Stats::moves_failed>();
  Attempt& attempt = relay.attempts[*relay.kept];
  attempt.dead = true;
  attempt.closed = true;
  EndStream(attempt.stream);
  EndConnecting(relay);
  LoseRelay(now, relay, status);
}

// The server has said so, and is asked for another allocation by the same
// client; from the other addresses, too, should it not answer.
void Gatherer::OnMoveRefused(absl::Time now, Relay& relay,
                             const absl::Status& status) {
  ++stats_.at<&Stats::moves_failed>();
  Attempt& attempt = relay.attempts[*relay.kept];
  attempt.deadline = now + options_->server_deadline;
  LoseRelay(now, relay, status);
  if (relay.dropped) {
    attempt.dead = true;
    return attempt.client->Close(now);
  }
  relay.state = JobState::kRunning;
  relay.next_attempt = now + options_->next_host_after;
  if (relay.on_stream()) {
    relay.hosts.clear();
  } else {
    std::erase(relay.hosts, attempt.local);
  }
}

}  // namespace kyuu::ice
