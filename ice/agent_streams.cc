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
using internal::PeerStream;

// The check begins with the connection, and has as long as that may take.
void Agent::WantStream(absl::Time now, size_t index) {
  Generation& g = *current_;
  if (!streams_.Want(g.pairs[index].path)) {
    ++stats_.stream_limit;
    return FailPair(g, index);
  }
  ++stats_.streams_wanted;
  Pair& pair = g.pairs.Edit(index);
  ++pair.checks_sent;  // See Resume(): it is one of those that may be made.
  internal::InProgress& check = pair.check.emplace<internal::InProgress>();
  check.transmissions = 1;
  check.deadline = now + options_.stream_deadline;
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
  if (index) {
    g.pairs.SetPath(*index, stream->path);
    Pair& pair = g.pairs.Edit(*index);
    pair.check = internal::Waiting{};
    // Who has accepted it takes a packet, too.
    pair.immediate = true;
    g.pairs.Trigger(*index);
  }
  Update(now);
}

void Agent::StreamEnded(absl::Time now, StreamId id) {
  const PeerStream* found = streams_.Find(id);
  if (found == nullptr) return;
  const PeerStream stream = *found;
  streams_.Remove(id);
  if (stream.state == PeerStream::State::kConnecting) ++stats_.streams_failed;
  LoseStream(now, stream.path);
  Update(now);
}

std::optional<StreamId> Agent::StreamAccepted(absl::Time now,
                                              const Path& path) {
  const std::optional<size_t> base = FindBase(path);
  std::optional<StreamId> id;
  if (state_ != AgentState::kClosed && base &&
      bases_[*base].tcp_type == TcpType::kPassive && !bases_[*base].retired) {
    id = streams_.Accept(path, now + options_.stream_deadline);
  }
  ++(id ? stats_.streams_accepted : stats_.stream_limit);
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
    const bool worked = g->InUse().has_value();
    const Base& base = bases_[g->pairs[*index].base];
    if (base.tcp_type == TcpType::kActive) {
      FailPair(*g, *index);
      g->pairs.SetPath(*index, {base.address, path.remote, path.transport});
    } else {
      g->RemovePair(*index);
    }
    if (worked) Bereave(now, *g);
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
