// RE-CONFIG (RFC 6525): our requests, one at a time, and the answers to those
// of the peer. What resets do is here; additions of streams are counted in
// stream_count.h.

#ifndef KYUU_SCTP_INTERNAL_STREAM_RESET_H_
#define KYUU_SCTP_INTERNAL_STREAM_RESET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>

#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/inbox.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/stream_count.h"
#include "sctp/message.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

// What a request of the peer is, by its sequence number (section 5.2.1).
enum class RequestClass : uint8_t {
  kNew,     // The number that we expect.
  kRepeat,  // One of the two before: our answer was lost, or not final.
  kBad,     // Any other.
};

class StreamReset {
 public:
  // All references must outlive this. RFC 6525 section 4.1: the numbers of
  // requests begin at the initial TSNs.
  StreamReset(Tsn local_initial_tsn, Tsn peer_initial_tsn, SendQueue& queue,
              Inbox& reassembly, StreamCount& streams, EventQueue& events,
              Stats& stats, size_t max_waiting_resets)
      : queue_(queue),
        reassembly_(reassembly),
        streams_(streams),
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
  // Builds the RE-CONFIG to send now; what may not be in the same stays for the
  // next one. `next_tsn` is the next to be assigned; at most `max_streams` fit.
  ReconfigChunk Build(Tsn next_tsn, size_t max_streams);

  // A request waits for its answer, so its timer must run.
  bool awaits_response() const { return in_flight_.has_value(); }
  // The answers that are due, without anything that would need one.
  ReconfigChunk TakeAnswers();
  // The timer expired: the request is sent again, unchanged.
  void OnTimeout();
  // What Build has written did not fit.
  void OnUnsent() { send_request_ = in_flight_.has_value(); }
  // Set when the peer has answered anything, which shows that it lives.
  bool TakeAnswered() { return std::exchange(answered_, false); }

 private:
  using Asked = std::variant<OutgoingResetRequest, AddOutgoingStreamsRequest,
                             AddIncomingStreamsRequest>;

  RequestClass Classify(ReconfigSn sn) const;
  // True for a request to be looked at. Answers any other.
  bool IsNew(ReconfigSn sn);
  void HandleOutgoing(const OutgoingResetRequest& request, Tsn cumulative_tsn);
  void HandleIncoming(const IncomingResetRequest& request);
  void HandleResponse(const ReconfigResponse& response);
  void OnAnswer(OutgoingResetRequest request, ReconfigResult result);
  // Answers the request that is expected with the last word about it.
  void Settle(ReconfigSn sn, ReconfigResult result);
  // Answer remembers the result for when the request is repeated; Reply only
  // gives it.
  void Answer(ReconfigSn sn, ReconfigResult result);
  void Reply(ReconfigSn sn, ReconfigResult result);
  void Perform(const OutgoingResetRequest& request);
  // Section 5.1.1: one request at a time.
  bool CanBegin() const {
    return !in_flight_ && (streams_.has_request() || queue_.has_settled());
  }
  void Begin(Tsn next_tsn, size_t max_streams);
  // Two numbers that follow each other have places of their own.
  ReconfigResult& ResultOf(ReconfigSn sn) { return results_[sn.value() % 2]; }

  SendQueue& queue_;
  Inbox& reassembly_;
  StreamCount& streams_;
  EventQueue& events_;
  Stats& stats_;
  size_t max_waiting_resets_;

  // Ours.
  std::optional<Asked> in_flight_;
  bool send_request_ = false;
  bool answered_ = false;
  ReconfigSn next_request_sn_;

  // The peer's.
  ReconfigSn expected_request_sn_;
  // Of the last two: a RE-CONFIG has as many, and is repeated as it was
  // (section 3.1).
  std::array<ReconfigResult, 2> results_{};
  absl::InlinedVector<ReconfigResponse, 2> answers_;
  std::optional<OutgoingResetRequest> deferred_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_STREAM_RESET_H_
