// What an ice::IceTransport gathers, and what it makes of it.

#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/gatherer.h"
#include "ice/transport.h"

namespace kyuu::ice {
namespace {

bool IsSame(const Candidate& a, const Candidate& b) {
  return a.address == b.address && a.type == b.type && a.tcp_type == b.tcp_type;
}

// Whether `event` says only what `found` in advance tells when it is wanted.
bool Prefetched(const Gatherer::Event& event, std::vector<Candidate>& found) {
  if (const auto* it = std::get_if<Gatherer::CandidateFound>(&event)) {
    found.push_back(it->candidate);
    return true;
  }
  if (const auto* gone = std::get_if<Gatherer::CandidateGone>(&event)) {
    std::erase_if(found, [&](const Candidate& candidate) {
      return IsSame(candidate, gone->candidate);
    });
    return true;
  }
  return std::holds_alternative<Gatherer::Started>(event) ||
         std::holds_alternative<Gatherer::Finished>(event);
}

}  // namespace

absl::string_view ToString(GatheringState state) {
  switch (state) {
    case GatheringState::kNew:
      return "new";
    case GatheringState::kGathering:
      return "gathering";
    case GatheringState::kComplete:
      return "complete";
  }
  return "";
}

absl::Status IceTransport::AddHost(absl::Time now, const HostAddress& host) {
  const absl::Status status = gatherer_.AddHost(now, host);
  TakeGathered(now);
  return status;
}

absl::Status IceTransport::RemoveHost(absl::Time now,
                                      const TransportAddress& address) {
  const absl::Status status = gatherer_.RemoveHost(now, address);
  TakeGathered(now);
  return status;
}

void IceTransport::Gather(absl::Time now) {
  if (!prefetched_) {
    if (!gatherer_.Start(now).ok()) return;
    return TakeGathered(now);
  }
  const std::vector<Candidate> found = std::move(*prefetched_);
  prefetched_.reset();
  Gatherer::Event started = Gatherer::Started{};
  On(now, started);
  for (const Candidate& candidate : found) {
    Gatherer::Event event = Gatherer::CandidateFound{candidate};
    On(now, event);
  }
  if (!gatherer_.finished()) return;
  Gatherer::Event finished = Gatherer::Finished{};
  On(now, finished);
}

void IceTransport::Prefetch(absl::Time now) {
  if (prefetched_ || gathering_state_ != GatheringState::kNew) return;
  prefetched_ = std::make_unique<std::vector<Candidate>>();
  // Refused when it is closed.
  if (!gatherer_.Start(now).ok()) prefetched_.reset();
  TakeGathered(now);
}

void IceTransport::DiscardPrefetched(absl::Time now) {
  if (!prefetched_) return;
  gatherer_.Discard(now);
  TakeGathered(now);
  prefetched_.reset();
}

void IceTransport::Configure(absl::Time now,
                             std::vector<TransportAddress> stun_servers,
                             std::vector<TurnServer> turn_servers,
                             GatherPolicy policy) {
  if (lite_) {
    stun_servers.clear();
    turn_servers.clear();
  }
  gatherer_.Configure(std::move(stun_servers), std::move(turn_servers), policy);
  if (!prefetched_) return;
  gatherer_.Restart(now);
  TakeGathered(now);
  gatherer_.ReleaseUnwanted(now);
}

void IceTransport::UpdateServers(std::vector<TransportAddress> stun_servers,
                                 std::vector<TurnServer> turn_servers) {
  if (lite_) return;
  gatherer_.UpdateServers(std::move(stun_servers), std::move(turn_servers));
}

void IceTransport::AwaitServers(size_t names) {
  if (!lite_) gatherer_.AwaitServers(names);
}

void IceTransport::ServersKnown(absl::Time now) {
  gatherer_.ServersKnown(now);
  TakeGathered(now);
}

void IceTransport::Ungather(absl::Time now) {
  if (gathering_state_ == GatheringState::kNew) return;
  prefetched_ = std::make_unique<std::vector<Candidate>>(
      std::exchange(candidates_, {}).Get());
  for (const Candidate& candidate : *prefetched_) {
    agent_.RemoveLocalCandidate(now, candidate);
  }
  gathering_state_ = GatheringState::kNew;
  events_.push_back(GatheringStateChanged{gathering_state_});
}

// What gathering found or lost is the agent's at once, whoever polls events
// when: an address that is gone is not sent from again.
void IceTransport::TakeGathered(absl::Time now) {
  while (std::optional<Gatherer::Event> event = gatherer_.PollEvent()) {
    On(now, *event);
  }
}

void IceTransport::On(absl::Time now, Gatherer::Event& event) {
  if (prefetched_ && Prefetched(event, *prefetched_)) return;
  if (std::holds_alternative<Gatherer::Started>(event)) {
    if (gathering_state_ == GatheringState::kGathering) return;
    gathering_state_ = GatheringState::kGathering;
    events_.push_back(GatheringStateChanged{gathering_state_});
  } else if (auto* found = std::get_if<Gatherer::CandidateFound>(&event)) {
    if (!agent_.AddLocalCandidate(now, found->candidate).ok()) {
      ++stats_.at<&IceTransportStats::drop_candidate>();
      return;
    }
    candidates_.Add(found->candidate);
    events_.push_back(std::move(*found));
  } else if (auto* gone = std::get_if<Gatherer::CandidateGone>(&event)) {
    OnGone(now, *gone);
  } else if (std::holds_alternative<Gatherer::Finished>(event)) {
    gathering_state_ = GatheringState::kComplete;
    events_.push_back(GatheringStateChanged{gathering_state_});
  } else if (auto* failed = std::get_if<Gatherer::ServerFailed>(&event)) {
    events_.push_back(std::move(*failed));
  } else if (auto* lost = std::get_if<Gatherer::RelayLost>(&event)) {
    events_.push_back(std::move(*lost));
  } else if (auto* wanted = std::get_if<StreamWanted>(&event)) {
    events_.push_back(std::move(*wanted));
  } else if (auto* unwanted = std::get_if<StreamUnwanted>(&event)) {
    events_.push_back(*unwanted);
  } else {
    events_.push_back(Closed{std::get<Gatherer::Closed>(event).status});
  }
}

void IceTransport::OnGone(absl::Time now, Gatherer::CandidateGone& gone) {
  const bool unwanted = gone.why == Gatherer::CandidateGone::Why::kUnwanted;
  if (unwanted) {
    agent_.RetireLocalCandidate(now, gone.candidate);
    unwanted_ = true;
  } else {
    agent_.RemoveLocalCandidate(now, gone.candidate);
  }
  const auto is_gone = [&](const Candidate& other) {
    return IsSame(other, gone.candidate);
  };
  // What is lost after all was told when it was not wanted any more.
  if (!candidates_.TakeOut(is_gone).empty()) events_.push_back(std::move(gone));
}

}  // namespace kyuu::ice
