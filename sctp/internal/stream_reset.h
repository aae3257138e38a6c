// RE-CONFIG (RFC 6525): our requests, one at a time, and the answers to those
// of the peer. What resets do is here; additions of streams are counted in
// stream_count.h, and the TSNs are their owner's.

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

// What the owner knows when a request of the peer is looked at.
struct ResetGround {
  Tsn cumulative_tsn;  // Of what has arrived.
  Tsn next_tsn;        // The next to be assigned.
  // All of the association may be reset: it is allowed, and nothing that has
  // arrived is incomplete.
  bool grants_all = false;
};

// The TSNs that both sides go on with once the association was reset.
struct Renumbering {
  std::optional<Tsn> own;  // Unset: as they were.
  Tsn peer;
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
  // RequestAll asks for a reset of the association, once all that was sent is
  // acknowledged.
  void RequestAll();
  // Whether one is under way: asked for by us, or by the peer and not answered.
  bool resets_all() const {
    return all_wanted_ || owed_ ||
           (in_flight_ &&
            std::holds_alternative<SsnTsnResetRequest>(*in_flight_));
  }
  // Whether any streams are being reset, by our requests.
  bool resets_streams() const { return queue_.any_paused(); }
  // Takes note of those whose delay is over.
  void Ripen(absl::Time now) { queue_.Ripen(now); }
  // When there are more of them that can be asked for.
  absl::Time next_begin() const {
    return in_flight_ ? absl::InfiniteFuture() : queue_.next_ripe();
  }

  // Handle takes a RE-CONFIG from the peer.
  void Handle(const ReconfigChunk& chunk, const ResetGround& ground);
  // OnCumulativeTsn performs a reset that waited for data.
  void OnCumulativeTsn(Tsn cumulative_tsn);
  // Performs a reset of the association that waited for what we have sent to be
  // acknowledged.
  bool awaits_quiet() const { return owed_.has_value(); }
  void OnQuiet(const ResetGround& ground);
  // What came of it, for the owner to apply.
  std::optional<Renumbering> TakeRenumbering() {
    return std::exchange(renumbering_, std::nullopt);
  }
  // The peer must not take what we send after a reset for what was sent before:
  // until it has acknowledged any of it, as `cumulative_tsn_ack` shows, every
  // packet with data, or with word of what was given up, has the answer that
  // grants the reset in front. OfferGrant returns it, if it is needed, and it
  // is due until OnGrantWritten.
  std::optional<ReconfigChunk> OfferGrant(Tsn cumulative_tsn_ack);
  void OnGrantWritten() { grant_due_ = false, grant_written_ = true; }
  bool grant_due() const { return grant_due_; }
  // Whether it was written since this was asked last.
  bool TakeGrantWritten() { return std::exchange(grant_written_, false); }
  // Whether packets with data need it.
  bool grants() const { return grant_ && !grant_->confirmed; }

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
  using Asked =
      std::variant<OutgoingResetRequest, SsnTsnResetRequest,
                   AddOutgoingStreamsRequest, AddIncomingStreamsRequest>;
  // How we have granted a reset of the association.
  struct Grant {
    ReconfigResponse answer;
    bool confirmed = false;  // The peer has acknowledged what came after.
  };

  RequestClass Classify(ReconfigSn sn) const;
  // True for a request to be looked at. Answers any other.
  bool IsNew(ReconfigSn sn);
  // Counts a request as looked at; it supersedes a reset of the association
  // that waits.
  void Expect();
  bool HasRoomForEvent(ReconfigSn sn);
  void HandleOutgoing(const OutgoingResetRequest& request, Tsn cumulative_tsn);
  void HandleIncoming(const IncomingResetRequest& request);
  void HandleAll(const SsnTsnResetRequest& request, const ResetGround& ground);
  void HandleResponse(const ReconfigResponse& response);
  void OnAnswer(OutgoingResetRequest request, ReconfigResult result);
  void OnAnswerAboutAll(const ReconfigResponse& response);
  // Answers the request that is expected with the last word about it.
  void Settle(ReconfigSn sn, ReconfigResult result);
  // Answer remembers the answer for when the request is repeated; Reply only
  // gives it.
  void Answer(const ReconfigResponse& answer);
  void Answer(ReconfigSn sn, ReconfigResult result) {
    Answer(ReconfigResponse{sn, result, {}});
  }
  void Reply(const ReconfigResponse& answer);
  void Perform(const OutgoingResetRequest& request);
  // Section 5.1.1: one request at a time.
  bool CanBegin() const {
    return !in_flight_ && (streams_.has_request() || queue_.has_settled() ||
                           (all_wanted_ && queue_.all_settled()));
  }
  void Begin(Tsn next_tsn, size_t max_streams);
  // Two numbers that follow each other have places of their own.
  ReconfigResponse& AnswerOf(ReconfigSn sn) { return given_[sn.value() % 2]; }

  SendQueue& queue_;
  Inbox& reassembly_;
  StreamCount& streams_;
  EventQueue& events_;
  Stats& stats_;
  size_t max_waiting_resets_;

  // Ours.
  std::optional<Asked> in_flight_;
  bool all_wanted_ = false;  // A reset of the association, not begun.
  bool send_request_ = false;
  bool answered_ = false;
  ReconfigSn next_request_sn_;

  // The peer's.
  ReconfigSn expected_request_sn_;
  // Of the last two: a RE-CONFIG has as many, and is repeated as it was
  // (section 3.1).
  std::array<ReconfigResponse, 2> given_{};
  absl::InlinedVector<ReconfigResponse, 2> answers_;
  std::optional<OutgoingResetRequest> deferred_;
  std::optional<ReconfigSn> owed_;  // A reset of the association that waits.
  std::optional<Grant> grant_;
  bool grant_due_ = false;
  bool grant_written_ = false;
  std::optional<Renumbering> renumbering_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_STREAM_RESET_H_
