// The connections of TCP pairs (RFC 6544): made when a pair's turn has come,
// taken from the peer, and lost.

#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/internal/generation.h"
#include "ice/internal/peer_streams.h"
#include "ice/stream_types.h"

namespace kyuu::ice {

using internal::Base;
using internal::Generation;
using internal::InProgress;
using internal::Pair;
using internal::PeerStream;
using internal::RemoteCandidate;

namespace {

// Checks the pair of a connection that is there.
void BeginCheck(Generation& g, const Path& path) {
  const std::optional<size_t> index = g.pairs.FindPath(path);
  if (!index) return;
  Pair& pair = g.pairs.Edit(*index);
  pair.check = internal::Waiting{};
  // Who has accepted it takes a packet, too.
  pair.immediate = true;
  g.pairs.Trigger(*index);
}

// An opening that is refused may only have come before the peer's: it is made
// again, as a check that is lost. False if it is none, or has no time left.
bool OpenLater(absl::Time now, const ShortList<Base>& bases, Generation& g,
               const Path& path) {
  const std::optional<size_t> index = g.pairs.FindPath(path);
  if (!index ||
      bases[g.pairs[*index].base].tcp_type != TcpType::kSimultaneousOpen) {
    return false;
  }
  InProgress* check = g.pairs.Edit(*index).in_progress();
  if (check == nullptr || now + check->rto >= check->connected_by) return false;
  check->transmissions = 0;
  check->deadline = now + check->rto;
  check->rto = 2 * check->rto;
  return true;
}

}  // namespace

// The check begins with the connection, and has as long as that may take; with
// all attempts of a simultaneous opening, if there are several.
void Agent::WantStream(absl::Time now, size_t index) {
  Generation& g = *current_;
  const Base& base = bases_[g.pairs[index].base];
  if (!streams_.Want(g.pairs[index].path,
                     /*from_any_port=*/base.tcp_type == TcpType::kActive)) {
    ++stats_.at<&AgentStats::stream_limit>();
    return FailPair(g, index);
  }
  ++stats_.at<&AgentStats::streams_wanted>();
  Pair& pair = g.pairs.Edit(index);
  ++pair.checks_sent;  // See Resume(): it is one of those that may be made.
  if (!pair.in_progress() ||
      pair.in_progress()->connected_by == absl::InfinitePast()) {
    InProgress& check = pair.check.emplace<InProgress>();
    check.connected_by = now + options_->stream_deadline;
    check.rto = options_->rto_initial;
  }
  pair.in_progress()->transmissions = 1;
  pair.in_progress()->deadline = pair.in_progress()->connected_by;
}

void Agent::StreamConnected(absl::Time now, StreamId id,
                            const TransportAddress& local) {
  PeerStream* stream = streams_.Find(id);
  if (stream == nullptr || stream->state != PeerStream::State::kConnecting) {
    return;
  }
  Generation& g = *current_;
  const std::optional<size_t> index = g.pairs.FindPath(stream->path);
  stream->state = PeerStream::State::kOpen;
  stream->path.local = local;
  if (index) g.pairs.SetPath(*index, stream->path);
  BeginCheck(g, stream->path);
  Update(now);
}

void Agent::StreamEnded(absl::Time now, StreamId id) {
  const PeerStream* found = streams_.Find(id);
  if (found == nullptr) return;
  const PeerStream stream = *found;
  streams_.Remove(id);
  const bool connecting = stream.state == PeerStream::State::kConnecting;
  if (connecting) ++stats_.at<&AgentStats::streams_failed>();
  if (!connecting || !OpenLater(now, bases_, *current_, stream.path)) {
    LoseStream(now, stream.path);
  }
  Update(now);
}

std::optional<StreamId> Agent::StreamAccepted(absl::Time now,
                                              const Path& path) {
  const std::optional<size_t> base = FindBase(path);
  std::optional<StreamId> id;
  if (state_ != AgentState::kClosed && base &&
      bases_[*base].tcp_type != TcpType::kActive && !bases_[*base].retired) {
    id = streams_.Accept(path, now + options_->stream_deadline);
  }
  // Of a pair that opens simultaneously: the peer was first, and there is no
  // other connection between the same two ports.
  if (id && streams_.GiveUp(path)) BeginCheck(*current_, path);
  ++(id ? stats_.at<&AgentStats::streams_accepted>()
        : stats_.at<&AgentStats::stream_limit>());
  Update(now);
  return id;
}

// A connection is no more. A pair of ours may be given another one; one that
// the peer made was the whole of its pair.
void Agent::LoseStream(absl::Time now, const Path& path) {
  for (Generation* g : {current_.get(), previous_.get()}) {
    if (g == nullptr) continue;
    const std::optional<size_t> index = g->pairs.FindPath(path);
    if (!index) continue;
    const bool in_use = g->InUse() == index;
    const Base& base = bases_[g->pairs[*index].base];
    const RemoteCandidate& remote = g->remotes()[g->pairs[*index].remote];
    if (base.tcp_type == TcpType::kActive ||
        (base.tcp_type == TcpType::kSimultaneousOpen &&
         remote.type != CandidateType::kPeerReflexive)) {
      FailPair(*g, *index);
      g->pairs.SetPath(*index, {base.address, path.remote, path.transport});
    } else {
      g->RemovePair(*index);
    }
    if (in_use) Bereave(now, *g, IpAddress());
  }
}

// Lets go what no pair needs.
void Agent::ReviewStreams(absl::Time now) {
  if (streams_.empty()) return;
  const std::vector<PeerStream> gone = streams_.Review([&](PeerStream& stream) {
    if (stream.state == PeerStream::State::kConnecting) {
      const std::optional<size_t> index = current_->pairs.FindPath(stream.path);
      return index && current_->pairs[*index].in_progress() != nullptr;
    }
    if (IsKnownPath(stream.path)) stream.state = PeerStream::State::kOpen;
    if (stream.state == PeerStream::State::kUnproven) {
      return now < stream.deadline;
    }
    for (const Generation* g : {current_.get(), previous_.get()}) {
      if (g == nullptr) continue;
      const std::optional<size_t> index = g->pairs.FindPath(stream.path);
      if (index && g->pairs[*index].state() != PairState::kFailed) {
        return true;
      }
      for (const internal::EarlyCheck& check : g->early) {
        if (check.path == stream.path) return true;
      }
    }
    return false;
  });
  for (const PeerStream& stream : gone) {
    if (stream.state == PeerStream::State::kConnecting) continue;
    LoseStream(now, stream.path);
  }
  timers_.Set(Timer::kStreams, streams_.NextDeadline());
}

}  // namespace kyuu::ice
