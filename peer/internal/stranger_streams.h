// StrangerStreams: TCP connections to a shared port whose first packet has not
// come yet, so that nobody knows whose they are.

#ifndef KYUU_PEER_INTERNAL_STRANGER_STREAMS_H_
#define KYUU_PEER_INTERNAL_STRANGER_STREAMS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/counters.h"
#include "base/shares.h"
#include "net/loop.h"
#include "net/tcp.h"

namespace kyuu::peer::internal {

struct StrangerOptions {
  // Connections that wait, and of one source. Beyond the first the oldest is
  // cut: a peer sends its check at once, a round trip after it is accepted.
  // Beyond the second the new one is.
  size_t streams_max = 1024;
  size_t streams_of_source_max = 64;
  // How long the first packet may take: twice what three lost segments cost.
  absl::Duration deadline = absl::Seconds(10);
  // Accepts per listener and wake-up, and how long none are made when there
  // are no descriptors.
  size_t accepts_per_turn = 64;
  absl::Duration accept_pause = absl::Milliseconds(100);
};

struct StrangerStats {
  uint64_t accepted = 0;
  uint64_t introduced = 0;      // Their first packet has come.
  uint64_t drop_malformed = 0;  // It is no STUN message.
  uint64_t drop_silent = 0;     // It has not come in time.
  uint64_t drop_ended = 0;      // The peer has ended it before.
  uint64_t drop_for_newer = 0;  // StrangerOptions::streams_max.
  uint64_t drop_of_source = 0;  // streams_of_source_max.

  static constexpr Counter<StrangerStats> kCounters[] = {
      KYUU_COUNTER(StrangerStats, accepted),
      KYUU_COUNTER(StrangerStats, introduced),
      KYUU_COUNTER(StrangerStats, drop_malformed),
      KYUU_COUNTER(StrangerStats, drop_silent),
      KYUU_COUNTER(StrangerStats, drop_ended),
      KYUU_COUNTER(StrangerStats, drop_for_newer),
      KYUU_COUNTER(StrangerStats, drop_of_source)};
};
static_assert(Countable<StrangerStats>);

class StrangerStreams {
 public:
  // The first packet of a connection (RFC 4571), a STUN message by its header,
  // is `packet`; `bytes` is all that was read.
  using Handler =
      absl::AnyInvocable<void(net::TcpStream, absl::Span<const uint8_t> bytes,
                              absl::Span<const uint8_t> packet)>;

  // `loop` must outlive it, and the handler not destroy it.
  StrangerStreams(net::Loop& loop, const StrangerOptions& options,
                  Handler on_introduced);
  ~StrangerStreams();
  StrangerStreams(const StrangerStreams&) = delete;
  StrangerStreams& operator=(const StrangerStreams&) = delete;

  // Accepts from `listener`, which must live until it is taken away again.
  void AddListener(net::TcpListener& listener);
  void RemoveListener(net::TcpListener& listener);

  size_t waiting() const { return strangers_.size(); }
  const StrangerStats& stats() const { return stats_; }

 private:
  struct Stranger;

  void Accept(net::TcpListener& listener);
  void Resume();
  void Read(uint64_t id);
  void End(uint64_t id, uint64_t StrangerStats::*why);
  void Expire();
  void Arm();

  net::Loop& loop_;
  const StrangerOptions options_;
  Handler on_introduced_;
  // Null while accepting pauses.
  std::map<net::TcpListener*, std::unique_ptr<net::Watch>> listeners_;
  std::map<uint64_t, std::unique_ptr<Stranger>> strangers_;  // Oldest first.
  uint64_t last_id_ = 0;
  Shares shares_;
  StrangerStats stats_;
  net::Alarm expiry_;
  net::Alarm resume_;
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_STRANGER_STREAMS_H_
