#include "ice/internal/peer_streams.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/stream_types.h"

namespace kyuu::ice::internal {

PeerStreams::Parts& PeerStreams::parts() {
  if (parts_ == nullptr) parts_ = std::make_unique<Parts>();
  return *parts_;
}

size_t PeerStreams::Count(bool accepted) const {
  if (empty()) return 0;
  return static_cast<size_t>(std::count_if(
      parts_->streams.begin(), parts_->streams.end(),
      [&](const PeerStream& s) { return s.accepted == accepted; }));
}

bool PeerStreams::Want(const Path& path, bool from_any_port) {
  if (Count(/*accepted=*/false) >= max_) return false;
  Parts& own = parts();
  const StreamId id{own.last++};
  own.streams.push_back({id, path, PeerStream::State::kConnecting});
  const uint16_t port = from_any_port ? uint16_t{0} : path.local.port;
  own.events.push_back(PeerStreamWanted{id, path.local.ip, path.remote, port});
  return true;
}

bool PeerStreams::Carries(const Path& path) const {
  if (empty()) return false;
  return std::any_of(
      parts_->streams.begin(), parts_->streams.end(), [&](const PeerStream& s) {
        return s.path == path && s.state != PeerStream::State::kConnecting;
      });
}

bool PeerStreams::GiveUp(const Path& path) {
  if (empty()) return false;
  Parts& own = *parts_;
  const auto it = std::find_if(
      own.streams.begin(), own.streams.end(), [&](const PeerStream& s) {
        return s.path == path && s.state == PeerStream::State::kConnecting;
      });
  if (it == own.streams.end()) return false;
  own.events.push_back(StreamUnwanted{it->id});
  own.streams.erase(it);
  return true;
}

std::optional<StreamId> PeerStreams::Accept(const Path& path,
                                            absl::Time deadline) {
  Parts& own = parts();
  if (Count(/*accepted=*/true) >= max_) {
    const auto oldest = std::find_if(
        own.streams.begin(), own.streams.end(), [](const PeerStream& s) {
          return s.state == PeerStream::State::kUnproven;
        });
    if (oldest == own.streams.end()) return std::nullopt;
    own.events.push_back(StreamUnwanted{oldest->id});
    own.streams.erase(oldest);
  }
  const StreamId id{own.last++};
  own.streams.push_back({id, path, PeerStream::State::kUnproven,
                         /*accepted=*/true, deadline});
  return id;
}

PeerStream* PeerStreams::Find(StreamId id) {
  if (empty()) return nullptr;
  Parts& own = *parts_;
  const auto it = std::find_if(own.streams.begin(), own.streams.end(),
                               [&](const PeerStream& s) { return s.id == id; });
  return it == own.streams.end() ? nullptr : &*it;
}

void PeerStreams::Remove(StreamId id) {
  if (empty()) return;
  std::erase_if(parts_->streams,
                [&](const PeerStream& s) { return s.id == id; });
}

std::vector<PeerStream> PeerStreams::Review(
    absl::FunctionRef<bool(PeerStream&)> wanted) {
  std::vector<PeerStream> gone;
  if (empty()) return gone;
  Parts& own = *parts_;
  std::erase_if(own.streams, [&](PeerStream& stream) {
    if (wanted(stream)) return false;
    own.events.push_back(StreamUnwanted{stream.id});
    gone.push_back(stream);
    return true;
  });
  return gone;
}

std::optional<PeerStreams::Event> PeerStreams::PollEvent() {
  if (parts_ == nullptr || parts_->events.empty()) return std::nullopt;
  Event event = parts_->events.front();
  parts_->events.pop_front();
  return event;
}

absl::Time PeerStreams::NextDeadline() const {
  absl::Time next = absl::InfiniteFuture();
  if (empty()) return next;
  for (const PeerStream& stream : parts_->streams) {
    if (stream.state == PeerStream::State::kUnproven) {
      next = std::min(next, stream.deadline);
    }
  }
  return next;
}

}  // namespace kyuu::ice::internal
