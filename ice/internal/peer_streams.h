// The TCP connections of an agent's pairs (RFC 6544): which there are, and
// which are wanted.

#ifndef KYUU_ICE_INTERNAL_PEER_STREAMS_H_
#define KYUU_ICE_INTERNAL_PEER_STREAMS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/queue.h"
#include "ice/stream_types.h"

namespace kyuu::ice::internal {

// Ids of an agent's streams begin here, so that a transport tells them from
// those of its gatherer.
constexpr uint64_t kFirstPeerStream = uint64_t{1} << 63;

struct PeerStream {
  enum class State : uint8_t {
    kConnecting,  // We were asked for it, and are making it.
    kUnproven,    // Somebody made it; no check of the peer came on it yet.
    kOpen,
  };

  StreamId id;
  Path path;  // While it is connecting, from the base of its pair.
  State state;
  bool accepted = false;                         // Made to us.
  absl::Time deadline = absl::InfiniteFuture();  // Of what is unproven.
};

// PeerStreams is bookkeeping only; ice::Agent decides.
class PeerStreams {
 public:
  using Event = std::variant<PeerStreamWanted, StreamUnwanted>;

  // `max` of those that we make, and as many of those that are made to us.
  explicit PeerStreams(size_t max) : max_(max) {}

  // Asks for one, from the port of `path` or from any; false if there are too
  // many.
  bool Want(const Path& path, bool from_any_port);
  // Whether there is one, connected, along `path`.
  bool Carries(const Path& path) const;
  // The one along `path` that is being made is of no more use; false if there
  // is none.
  bool GiveUp(const Path& path);
  // One came. When there are too many, the oldest that is unproven makes room;
  // nullopt if none is.
  std::optional<StreamId> Accept(const Path& path, absl::Time deadline);
  PeerStream* Find(StreamId id);
  // It is no more.
  void Remove(StreamId id);
  // Lets those go for which `wanted` does not hold, and returns them.
  std::vector<PeerStream> Review(absl::FunctionRef<bool(PeerStream&)> wanted);
  std::optional<Event> PollEvent();

  bool empty() const { return parts_ == nullptr || parts_->streams.empty(); }
  absl::Time NextDeadline() const;

 private:
  struct Parts {
    uint64_t last = kFirstPeerStream;
    std::vector<PeerStream> streams;  // Oldest first.
    Queue<Event, 0> events;
  };

  size_t Count(bool accepted) const;

  // Made if there are none.
  Parts& parts();

  const size_t max_;
  std::unique_ptr<Parts> parts_;  // Null until there is the first one.
};

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_PEER_STREAMS_H_
