// Stream reset (RFC 6525): our requests, one at a time, and the answers to
// those of the peer.

#ifndef KYUU_SCTP_INTERNAL_STREAM_RESET_H_
#define KYUU_SCTP_INTERNAL_STREAM_RESET_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/inbox.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

// What a request of the peer is, by its sequence number (section 5.2.1).
enum class RequestClass : uint8_t {
  kNew,     // The number that we expect.
  kRepeat,  // The one before: our answer was lost, or not final.
  kBad,     // Any other.
};

class StreamReset {
 public:
  // All references must outlive this. RFC 6525 section 4.1: the numbers of
  // requests begin at the initial TSNs.
  StreamReset(Tsn local_initial_tsn, Tsn peer_initial_tsn, SendQueue& queue,
              Inbox& reassembly, EventQueue& events, Stats& stats,
              size_t max_waiting_resets)
      : queue_(queue),
        reassembly_(reassembly),
        events_(events),
        stats_(stats),
        max_waiting_resets_(max_waiting_resets),
        next_request_sn_(local_initial_tsn.value()),
        expected_request_sn_(peer_initial_tsn.value()) {}

  // Request asks for `streams` to be reset once all that was sent on them is
  // acknowledged; those that are under way already are left alone. RFC 6525
  // section 5.1.2 would allow to ask as soon as it is sent, but there are peers
  // that drop what comes after the request.
  void Request(absl::Span<const StreamId> streams, ResetTiming timing);
  // Takes note of those whose delay is over.
  void Ripen(absl::Time now) { queue_.Ripen(now); }
  // When there are more of them that can be asked for.
  absl::Time next_begin() const {
    return in_flight_ ? absl::InfiniteFuture() : queue_.next_ripe();
  }

  // Handle takes a RE-CONFIG from the peer. `cumulative_tsn` is ours.
  void Handle(const ReconfigChunk& chunk, Tsn cumulative_tsn);
  // OnCumulativeTsn performs a reset that waited for data.
  void OnCumulativeTsn(Tsn cumulative_tsn);

  // True if Build has something to write: an answer, a new request, or one to
  // repeat.
  bool HasOutput() const;
  // Builds the RE-CONFIG to send now. `next_tsn` is the next to be assigned;
  // at most `max_streams` fit.
  ReconfigChunk Build(Tsn next_tsn, size_t max_streams);

  // A request waits for its answer, so its timer must run.
  bool awaits_response() const { return in_flight_.has_value(); }
  // The answer that is due, without anything that would need one.
  std::optional<ReconfigResponse> TakeAnswer() {
    return std::exchange(answer_, std::nullopt);
  }
  // The timer expired: the request is sent again, unchanged.
  void OnTimeout() { send_request_ = in_flight_.has_value(); }
  // Set when the peer has answered anything, which shows that it lives.
  bool TakeAnswered() { return std::exchange(answered_, false); }

 private:
  RequestClass Classify(ReconfigSn sn) const;
  void HandleOutgoing(const OutgoingResetRequest& request, Tsn cumulative_tsn);
  void HandleIncoming(const IncomingResetRequest& request);
  void HandleOther(const OtherRequest& request);
  void HandleResponse(const ReconfigResponse& response);
  void Answer(ReconfigSn sn, ReconfigResult result);
  void Perform(const OutgoingResetRequest& request);
  // Section 5.1.1: one request at a time.
  bool CanBegin() const { return !in_flight_ && queue_.has_settled(); }

  SendQueue& queue_;
  Inbox& reassembly_;
  EventQueue& events_;
  Stats& stats_;
  size_t max_waiting_resets_;

  // Ours.
  std::optional<OutgoingResetRequest> in_flight_;
  bool send_request_ = false;
  bool answered_ = false;
  ReconfigSn next_request_sn_;

  // The peer's.
  ReconfigSn expected_request_sn_;
  ReconfigResult last_result_ = ReconfigResult::kNothingToDo;
  std::optional<ReconfigResponse> answer_;
  std::optional<OutgoingResetRequest> deferred_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_STREAM_RESET_H_
