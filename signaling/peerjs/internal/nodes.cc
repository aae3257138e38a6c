#include "signaling/peerjs/internal/nodes.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace kyuu::signaling::internal {
namespace {

// Places of rooms have a line feed in them, ids none.
constexpr char kPlace[] = "peerjs:";

std::string PlaceOf(const std::string& id) { return absl::StrCat(kPlace, id); }

}  // namespace

// --- Ids of this node -------------------------------------------------------

void PeerJsNodes::Claim(absl::Time now, const std::string& id,
                        const std::string& token) {
  const auto it = records_.try_emplace(id).first;
  it->second.token = token;
  it->second.give_up_at = now + options_.dispute_timeout;
  if (!is_connected_) return Hold(now, it, 0);
  Ask(now, it, NodeId{});
}

void PeerJsNodes::Ask(absl::Time now, Records::iterator it, NodeId from) {
  it->second.state = Record::State::kClaiming;
  times_.Set(it->first, now + options_.federation.claim_timeout);
  commands_.push_back(ClaimPlace{PlaceOf(it->first), 0, from});
}

void PeerJsNodes::Hold(absl::Time now, Records::iterator it, uint64_t epoch) {
  if (epoch == 0) ++stats_.unclaimed;
  it->second.state = Record::State::kHeld;
  it->second.epoch = epoch;
  SetClaimTimer(now, it->first);
  TellAll(peerjs::Here{it->first, epoch});
  outcomes_.push_back({Outcome::Kind::kOurs, it->first});
}

// Not all at the same time, though all were claimed at once.
void PeerJsNodes::SetClaimTimer(absl::Time now, const std::string& id) {
  times_.Set(id, now + options_.federation.claim_interval *
                           (0.75 + random_.Fraction() / 2));
}

// Somebody else has it; it may be the same peer, at another node.
void PeerJsNodes::Dispute(absl::Time now, Records::iterator it) {
  Record& record = it->second;
  if (nodes_.empty()) return Wait(now, it);
  record.state = Record::State::kAsking;
  record.request = next_request_++;
  record.awaited = nodes_;
  requests_[record.request] = it->first;
  times_.Set(it->first, record.give_up_at);
  TellAll(peerjs::Wanted{record.request, it->first, record.token});
}

void PeerJsNodes::Wait(absl::Time now, Records::iterator it) {
  Record& record = it->second;
  requests_.erase(record.request);
  record.state = Record::State::kWaiting;
  times_.Set(it->first,
             std::min(now + options_.dispute_interval, record.give_up_at));
}

void PeerJsNodes::Forget(Records::iterator it) {
  times_.Stop(it->first);
  requests_.erase(it->second.request);
  records_.erase(it);
}

void PeerJsNodes::Finish(Records::iterator it, Outcome::Kind kind) {
  if (kind == Outcome::Kind::kLost) TellAll(peerjs::Gone{it->first});
  outcomes_.push_back({kind, it->first});
  Forget(it);
}

void PeerJsNodes::GiveAway(const std::string& id) {
  const auto it = records_.find(id);
  if (it == records_.end()) return;
  if (it->second.state == Record::State::kHeld) TellAll(peerjs::Gone{id});
  Forget(it);
}

void PeerJsNodes::Free(const std::string& id) {
  if (!records_.contains(id)) return;
  if (is_connected_) commands_.push_back(FreePlace{PlaceOf(id)});
  GiveAway(id);
}

void PeerJsNodes::Handle(absl::Time now, const ClaimAnswer& answer) {
  absl::string_view id = answer.place;
  if (!absl::ConsumePrefix(&id, kPlace)) return;
  const auto it = records_.find(id);
  // Its owner may have left meanwhile, and it was freed.
  if (it == records_.end()) return;
  Record& record = it->second;
  switch (record.state) {
    case Record::State::kClaiming:
      if (answer.is_granted) return Hold(now, it, answer.epoch);
      return Dispute(now, it);
    case Record::State::kHeld:
      if (!answer.is_granted) return Finish(it, Outcome::Kind::kLost);
      SetClaimTimer(now, it->first);
      if (answer.epoch == record.epoch) return;
      record.epoch = answer.epoch;
      return TellAll(peerjs::Here{it->first, record.epoch});
    case Record::State::kAsking:
    case Record::State::kWaiting:
      return;  // Of a claim that was given up for another one.
  }
}

void PeerJsNodes::Handle(absl::Time now, NodeId from,
                         const peerjs::Answer& answer) {
  const auto request = requests_.find(answer.request);
  const auto it = request == requests_.end() ? records_.end()
                                             : records_.find(request->second);
  if (it == records_.end() || it->second.awaited.erase(from) == 0) {
    ++stats_.stale;
    if (answer.verdict == peerjs::Verdict::kGiven) Return(now, from, answer.id);
    return;
  }
  switch (answer.verdict) {
    case peerjs::Verdict::kTaken:
      return Finish(it, Outcome::Kind::kTaken);
    case peerjs::Verdict::kGiven:
      requests_.erase(request);
      return Ask(now, it, from);
    case peerjs::Verdict::kNotHere:
      if (it->second.awaited.empty()) Wait(now, it);
  }
}

// Who wanted it has gone meanwhile, and `from` has it no more.
void PeerJsNodes::Return(absl::Time now, NodeId from, const std::string& id) {
  const auto it = records_.find(id);
  if (it == records_.end()) {
    if (!is_connected_) return;
    commands_.push_back(ClaimPlace{PlaceOf(id), 0, from});
    commands_.push_back(FreePlace{PlaceOf(id)});
  } else if (it->second.state != Record::State::kHeld && is_connected_) {
    requests_.erase(it->second.request);
    Ask(now, it, from);
  }
}

void PeerJsNodes::HandleBackplane(absl::Time now, BackplaneState state) {
  is_connected_ = state == BackplaneState::kThere;
  for (auto it = records_.begin(); it != records_.end(); ++it) {
    Record& record = it->second;
    if (record.state == Record::State::kHeld && is_connected_) {
      SetClaimTimer(now, it->first);
      commands_.push_back(
          ClaimPlace{PlaceOf(it->first), record.epoch, NodeId{}});
    } else if (record.state == Record::State::kClaiming && !is_connected_) {
      Hold(now, it, 0);
    }
  }
}

void PeerJsNodes::HandleTimeout(absl::Time now) {
  while (const std::optional<std::string> id = times_.PopDue(now)) {
    const auto it = records_.find(*id);
    const Record& record = it->second;
    switch (record.state) {
      case Record::State::kHeld:
        SetClaimTimer(now, *id);
        if (is_connected_) {
          commands_.push_back(ClaimPlace{PlaceOf(*id), record.epoch, NodeId{}});
        }
        break;
      case Record::State::kClaiming:
        Hold(now, it, 0);
        break;
      case Record::State::kAsking:
      case Record::State::kWaiting:
        if (now >= record.give_up_at) {
          Finish(it, Outcome::Kind::kTaken);
        } else if (is_connected_) {
          Ask(now, it, NodeId{});
        } else {
          Wait(now, it);
        }
        break;
    }
  }
}

// --- Other nodes ------------------------------------------------------------

std::optional<NodeId> PeerJsNodes::HomeOf(const std::string& id) const {
  const auto it = remotes_.find(id);
  if (it == remotes_.end()) return std::nullopt;
  const auto best = std::max_element(
      it->second.begin(), it->second.end(),
      [](const auto& a, const auto& b) { return a.second < b.second; });
  return best->first;
}

std::vector<std::string> PeerJsNodes::RemoteIds() const {
  std::vector<std::string> ids;
  ids.reserve(remotes_.size());
  for (const auto& [id, homes] : remotes_) ids.push_back(id);
  return ids;
}

void PeerJsNodes::Handle(absl::Time now, NodeId from,
                         const peerjs::Here& here) {
  absl::btree_map<NodeId, uint64_t>* homes = nullptr;
  if (const auto it = remotes_.find(here.id); it != remotes_.end()) {
    homes = &it->second;
  }
  if (homes == nullptr || !homes->contains(from)) {
    if (remote_count_ >= options_.federation.max_remote_peers) {
      ++stats_.remote_refused;
      return;
    }
    ++remote_count_;
    if (homes == nullptr) homes = &remotes_[here.id];
  }
  (*homes)[from] = here.epoch;
  const auto own = records_.find(here.id);
  if (own != records_.end() && own->second.state == Record::State::kHeld &&
      is_connected_ && here.epoch >= own->second.epoch) {
    // Two have it: that comes of ids without a claim. Who keeps it, is asked
    // where it is known.
    SetClaimTimer(now, here.id);
    commands_.push_back(
        ClaimPlace{PlaceOf(here.id), own->second.epoch, NodeId{}});
  }
  outcomes_.push_back({Outcome::Kind::kArrived, here.id});
}

void PeerJsNodes::Handle(NodeId from, const peerjs::Gone& gone) {
  const auto it = remotes_.find(gone.id);
  if (it == remotes_.end() || it->second.erase(from) == 0) {
    ++stats_.stale;
    return;
  }
  --remote_count_;
  if (it->second.empty()) remotes_.erase(it);
}

void PeerJsNodes::HandleUp(NodeId node) {
  nodes_.insert(node);
  for (const auto& [id, record] : records_) {
    if (record.state == Record::State::kHeld) {
      Tell(node, peerjs::Here{id, record.epoch});
    }
  }
}

void PeerJsNodes::HandleLost(absl::Time now, NodeId node) {
  nodes_.erase(node);
  // They were for the link that was lost.
  std::erase_if(commands_, [&](const NodeCommand& command) {
    const auto* to = std::get_if<ToNode>(&command);
    return to != nullptr && to->to == node;
  });
  for (auto it = remotes_.begin(); it != remotes_.end();) {
    remote_count_ -= it->second.erase(node);
    it = it->second.empty() ? remotes_.erase(it) : std::next(it);
  }
  for (auto it = records_.begin(); it != records_.end(); ++it) {
    Record& record = it->second;
    if (record.state == Record::State::kAsking &&
        record.awaited.erase(node) > 0 && record.awaited.empty()) {
      Wait(now, it);
    }
  }
}

void PeerJsNodes::Tell(NodeId node, const peerjs::NodeMessage& message) {
  if (!nodes_.contains(node)) return;
  commands_.push_back(ToNode{node, peerjs::WriteNodeMessage(message)});
}

void PeerJsNodes::TellAll(const peerjs::NodeMessage& message) {
  if (nodes_.empty()) return;
  const std::string text = peerjs::WriteNodeMessage(message);
  for (const NodeId node : nodes_) commands_.push_back(ToNode{node, text});
}

std::optional<PeerJsNodes::Outcome> PeerJsNodes::PollOutcome() {
  if (outcomes_.empty()) return std::nullopt;
  Outcome outcome = std::move(outcomes_.front());
  outcomes_.pop_front();
  return outcome;
}

std::optional<NodeCommand> PeerJsNodes::PollCommand() {
  if (commands_.empty()) return std::nullopt;
  NodeCommand command = std::move(commands_.front());
  commands_.pop_front();
  return command;
}

}  // namespace kyuu::signaling::internal
