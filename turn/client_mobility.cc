// An allocation that goes on from another address of the client's (RFC 8016).
//
//     old address          server           new address
//          |                  |<-- Refresh + ticket --|   Move()
//          |<- peers' data ---|--- success + ticket ->|   Moved
//          |                  |<-- CreatePermission --|
//          |                  |--- peers' data ------>|
//
// The server has both 5-tuples until it hears from the new one that its answer
// has arrived (section 3.2.2), so the client says something by it at once.

#include <utility>

#include "stun/attributes.h"
#include "turn/client.h"

namespace kyuu::turn {

absl::Status Client::Move(absl::Time, const TransportAddress& local) {
  if (!movable()) {
    return absl::FailedPreconditionError(
        allocated() ? "the server has given no ticket" : "no allocation");
  }
  if (local.ip.family() != server_.ip.family() || local.port == 0) {
    return absl::InvalidArgumentError("no way from local to server");
  }
  // Where an earlier move was to lead, peers' data has never come.
  if (!mobility_.moving) mobility_.former = options_.local;
  options_.local = local;
  mobility_.moving = true;
  timers_.Stop({Timer::kRefresh, internal::kTheAllocation});
  StartRequest(internal::kTheAllocation);
  return absl::OkStatus();
}

// Where data leaves: the server knows the new address when it has answered.
Path Client::data_path() const {
  Path path = this->path();
  if (mobility_.moving && mobility_.former) path.local = *mobility_.former;
  return path;
}

bool Client::IsOurs(const Path& in) const {
  if (in == path()) return true;
  Path former = path();
  former.local = mobility_.former.value_or(former.local);
  return in == former;
}

// Takes the ticket of a success response. The one before is good until then,
// and stays if none comes.
void Client::KeepTicket(const stun::MessageView& response) {
  const auto ticket = response.Get<stun::MobilityTicket>();
  if (!ticket || options_.mobility == Options::Mobility::kNone) return;
  if (ticket->value.size() > options_.ticket_bytes_max) {
    ++stats_.tickets_ignored;
    mobility_.ticket.clear();
    return;
  }
  mobility_.ticket.assign(ticket->value.begin(), ticket->value.end());
}

void Client::OnMoved(absl::Duration lifetime) {
  mobility_.moving = false;
  ++stats_.moves;
  // What was asked by the former address may be answered there, or never.
  bool asked = false;
  for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
    const uint32_t i = internal::ClientRelays::IndexOf(family);
    if (!relays_.at(i).request) continue;
    StartRequest({Subject::Kind::kFamily, i});
    asked = true;
  }
  for (uint32_t i = 0; i < known_.permissions.size(); ++i) {
    if (!known_.permissions[i].request) continue;
    StartRequest({Subject::Kind::kPermission, i});
    asked = true;
  }
  for (uint32_t i = 0; i < known_.peers.size(); ++i) {
    if (!known_.peers[i].request) continue;
    StartRequest({Subject::Kind::kChannel, i});
    asked = true;
  }
  // One request makes the server send here; without permissions no peer's data
  // can come.
  for (uint32_t i = 0; i < known_.permissions.size() && !asked; ++i) {
    if (!known_.permissions[i].granted) continue;
    StartRequest({Subject::Kind::kPermission, i});
    asked = true;
  }
  events_.push_back(Moved{options_.local, lifetime});
}

void Client::OnMoveRefused(Failure failure) {
  mobility_ = {};
  ++stats_.moves_refused;
  relays_ = {};
  const internal::TimerKey token{Timer::kToken, internal::kTheAllocation};
  const absl::Time token_ends = timers_.deadline(token);
  ForgetPeers();
  timers_.Set(token, token_ends);
  state_ = State::kAllocating;
  events_.push_back(MoveRefused{std::move(failure.status), failure.error});
  StartRequest(internal::kTheAllocation);
}

}  // namespace kyuu::turn
