#include "ice/internal/peer_streams.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/stream_types.h"

namespace kyuu::ice::internal {

size_t PeerStreams::Count(bool accepted) const {
  return static_cast<size_t>(std::count_if(
      streams_.begin(), streams_.end(),
      [&](const PeerStream& s) { return s.accepted == accepted; }));
}

bool PeerStreams::Want(const Path& path, bool from_any_port) {
  if (Count(/*accepted=*/false) >= max_) return false;
  const StreamId id{last_++};
  streams_.push_back({id, path, PeerStream::State::kConnecting});
  const uint16_t port = from_any_port ? uint16_t{0} : path.local.port;
  events_.push_back(PeerStreamWanted{id, path.local.ip, path.remote, port});
  return true;
}

bool PeerStreams::Carries(const Path& path) const {
  return std::any_of(
      streams_.begin(), streams_.end(), [&](const PeerStream& s) {
        return s.path == path && s.state != PeerStream::State::kConnecting;
      });
}

bool PeerStreams::GiveUp(const Path& path) {
  const auto it =
      std::find_if(streams_.begin(), streams_.end(), [&](const PeerStream& s) {
        return s.path == path && s.state == PeerStream::State::kConnecting;
      });
  if (it == streams_.end()) return false;
  events_.push_back(StreamUnwanted{it->id});
  streams_.erase(it);
  return true;
}

std::optional<StreamId> PeerStreams::Accept(const Path& path,
                                            absl::Time deadline) {
  if (Count(/*accepted=*/true) >= max_) {
    const auto oldest =
        std::find_if(streams_.begin(), streams_.end(), [](const PeerStream& s) {
          return s.state == PeerStream::State::kUnproven;
        });
    if (oldest == streams_.end()) return std::nullopt;
    events_.push_back(StreamUnwanted{oldest->id});
    streams_.erase(oldest);
  }
  const StreamId id{last_++};
  streams_.push_back({id, path, PeerStream::State::kUnproven,
                      /*accepted=*/true, deadline});
  return id;
}

PeerStream* PeerStreams::Find(StreamId id) {
  const auto it = std::find_if(streams_.begin(), streams_.end(),
                               [&](const PeerStream& s) { return s.id == id; });
  return it == streams_.end() ? nullptr : &*it;
}

void PeerStreams::Remove(StreamId id) {
  std::erase_if(streams_, [&](const PeerStream& s) { return s.id == id; });
}

std::vector<PeerStream> PeerStreams::Review(
    absl::FunctionRef<bool(PeerStream&)> wanted) {
  std::vector<PeerStream> gone;
  std::erase_if(streams_, [&](PeerStream& stream) {
    if (wanted(stream)) return false;
    events_.push_back(StreamUnwanted{stream.id});
    gone.push_back(stream);
    return true;
  });
  return gone;
}

std::optional<PeerStreams::Event> PeerStreams::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = events_.front();
  events_.pop_front();
  return event;
}

absl::Time PeerStreams::NextDeadline() const {
  absl::Time next = absl::InfiniteFuture();
  for (const PeerStream& stream : streams_) {
    if (stream.state == PeerStream::State::kUnproven) {
      next = std::min(next, stream.deadline);
    }
  }
  return next;
}

}  // namespace kyuu::ice::internal
