// From chunks to messages, in the format that both ends agreed on.

#ifndef KYUU_SCTP_INTERNAL_INBOX_H_
#define KYUU_SCTP_INTERNAL_INBOX_H_

#include <cstddef>
#include <variant>

#include "absl/types/span.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/interleaved_reassembly.h"
#include "sctp/internal/reassembly.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

// Inbox is a Reassembly for DATA, or an InterleavedReassembly for I-DATA; their
// functions, which say what it does.
class Inbox {
 public:
  using Outcome = Reassembly::Outcome;

  // `type` is that of all chunks to come.
  Inbox(ChunkType type, const Options& options, Tsn peer_initial_tsn,
        EventQueue& events, Stats& stats)
      : parts_(Make(type, options, peer_initial_tsn, events, stats)) {}

  [[nodiscard]] Outcome Add(const DataChunk& chunk, Tsn cumulative) {
    if (auto* mixed = interleaved()) return mixed->Add(chunk);
    return std::get<Reassembly>(parts_).Add(chunk, cumulative);
  }
  [[nodiscard]] Outcome Skip(Tsn tsn, Tsn cumulative) {
    if (interleaved() != nullptr) return Outcome::kOk;
    return std::get<Reassembly>(parts_).Skip(tsn, cumulative);
  }
  [[nodiscard]] Outcome ForwardTo(const ForwardTsnChunk& forward,
                                  Tsn cumulative) {
    if (auto* mixed = interleaved()) {
      mixed->ForwardTo(forward);
      return Outcome::kOk;
    }
    return std::get<Reassembly>(parts_).ForwardTo(forward, cumulative);
  }
  void ResetStreams(absl::Span<const StreamId> streams) {
    std::visit([&](auto& parts) { parts.ResetStreams(streams); }, parts_);
  }
  // Restart begins anew, as if constructed; what is not complete is forgotten.
  void Restart(ChunkType type, const Options& options, Tsn next_tsn,
               EventQueue& events, Stats& stats) {
    if (type == ChunkType::kIData) {
      parts_.emplace<InterleavedReassembly>(options, events, stats);
    } else {
      parts_.emplace<Reassembly>(options, next_tsn, events, stats);
    }
  }
  // Whether nothing that is not complete is here.
  bool idle() const {
    return std::visit([](const auto& parts) { return parts.idle(); }, parts_);
  }
  size_t held_bytes() const {
    return std::visit([](const auto& parts) { return parts.held_bytes(); },
                      parts_);
  }

 private:
  using Parts = std::variant<Reassembly, InterleavedReassembly>;
  static Parts Make(ChunkType type, const Options& options,
                    Tsn peer_initial_tsn, EventQueue& events, Stats& stats) {
    if (type == ChunkType::kIData) {
      return Parts(std::in_place_type<InterleavedReassembly>, options, events,
                   stats);
    }
    return Parts(std::in_place_type<Reassembly>, options, peer_initial_tsn,
                 events, stats);
  }
  InterleavedReassembly* interleaved() {
    return std::get_if<InterleavedReassembly>(&parts_);
  }

  Parts parts_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_INBOX_H_
