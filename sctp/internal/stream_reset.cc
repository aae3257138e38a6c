#include "sctp/internal/stream_reset.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

void StreamReset::Request(absl::Span<const StreamId> streams,
                          ResetTiming timing) {
  for (StreamId stream : streams) queue_.Pause(stream, timing);
}

bool StreamReset::HasOutput() const {
  return answer_ || send_request_ || CanBegin();
}

ReconfigChunk StreamReset::Build(Tsn next_tsn, size_t max_streams) {
  ReconfigChunk chunk;
  if (CanBegin()) {
    OutgoingResetRequest request;
    request.request_sn = next_request_sn_;
    // What was sent on the streams ends before (section 5.1.2 rule A2).
    request.last_assigned_tsn = next_tsn - 1;
    request.streams = queue_.TakeSettled(max_streams);
    ++next_request_sn_;
    in_flight_ = std::move(request);
    send_request_ = true;
  }
  if (send_request_) {
    in_flight_->response_sn = expected_request_sn_ - 1;
    chunk.parameters.push_back(*in_flight_);
    send_request_ = false;
  }
  if (answer_) chunk.parameters.push_back(*answer_);
  answer_.reset();
  return chunk;
}

void StreamReset::Handle(const ReconfigChunk& chunk, Tsn cumulative_tsn) {
  for (const ReconfigParameter& parameter : chunk.parameters) {
    if (auto* outgoing = std::get_if<OutgoingResetRequest>(&parameter)) {
      HandleOutgoing(*outgoing, cumulative_tsn);
    } else if (auto* incoming = std::get_if<IncomingResetRequest>(&parameter)) {
      HandleIncoming(*incoming);
    } else if (auto* other = std::get_if<OtherRequest>(&parameter)) {
      HandleOther(*other);
    } else {
      HandleResponse(std::get<ReconfigResponse>(parameter));
    }
  }
}

RequestClass StreamReset::Classify(ReconfigSn sn) const {
  if (sn == expected_request_sn_) return RequestClass::kNew;
  if (sn == expected_request_sn_ - 1) return RequestClass::kRepeat;
  return RequestClass::kBad;
}

void StreamReset::Answer(ReconfigSn sn, ReconfigResult result) {
  last_result_ = result;
  answer_ = ReconfigResponse{sn, result};
}

void StreamReset::HandleOutgoing(const OutgoingResetRequest& request,
                                 Tsn cumulative_tsn) {
  switch (Classify(request.request_sn)) {
    case RequestClass::kBad:
      ++stats_.drop_invalid_reconfig;
      answer_ = ReconfigResponse{request.request_sn,
                                 ReconfigResult::kBadSequenceNumber};
      return;
    case RequestClass::kRepeat:
      // A deferred one answers itself as soon as its data is here.
      answer_ = ReconfigResponse{request.request_sn, last_result_};
      return;
    case RequestClass::kNew:
      break;
  }
  if (events_.waiting_resets() >= max_waiting_resets_) {
    // As if it had not come, but for the peer to know that it has.
    ++stats_.deferred_resets;
    answer_ = ReconfigResponse{request.request_sn, ReconfigResult::kInProgress};
    return;
  }
  ++expected_request_sn_;
  // The peer may answer an incoming reset request of ours this way, and the
  // next request supersedes one whose data never came.
  deferred_.reset();
  if (request.last_assigned_tsn > cumulative_tsn) {
    // Section 5.2.2 rule E2: not before all data until there has arrived.
    deferred_ = request;
    Answer(request.request_sn, ReconfigResult::kInProgress);
    return;
  }
  Perform(request);
}

void StreamReset::Perform(const OutgoingResetRequest& request) {
  reassembly_.ResetStreams(request.streams);
  // What comes next is another's, who says how he wants it.
  if (request.streams.empty()) events_.ForgetDeliveries();
  for (StreamId stream : request.streams) {
    events_.SetDelivery(stream, Delivery::kWhole);
  }
  events_.Push(StreamsReset{ResetDirection::kIncoming, request.streams,
                            absl::OkStatus()});
  Answer(request.request_sn, ReconfigResult::kPerformed);
}

void StreamReset::OnCumulativeTsn(Tsn cumulative_tsn) {
  if (!deferred_ || deferred_->last_assigned_tsn > cumulative_tsn) return;
  Perform(*std::exchange(deferred_, std::nullopt));
}

void StreamReset::HandleIncoming(const IncomingResetRequest& request) {
  switch (Classify(request.request_sn)) {
    case RequestClass::kBad:
      ++stats_.drop_invalid_reconfig;
      answer_ = ReconfigResponse{request.request_sn,
                                 ReconfigResult::kBadSequenceNumber};
      return;
    case RequestClass::kRepeat:
      answer_ = ReconfigResponse{request.request_sn, last_result_};
      return;
    case RequestClass::kNew:
      break;
  }
  ++expected_request_sn_;
  // Section 5.2.3: our own outgoing request is the answer, since it carries
  // this number as its response number; the result tells that it will come.
  // Streams that we never sent on are as good as reset already, and a request
  // for all of them would be one for 65535 states.
  bool any = false;
  for (StreamId stream : request.streams) {
    if (queue_.PauseUsed(stream)) any = true;
  }
  if (request.streams.empty()) {
    Answer(request.request_sn, ReconfigResult::kDenied);
  } else {
    Answer(request.request_sn,
           any ? ReconfigResult::kInProgress : ReconfigResult::kNothingToDo);
  }
}

void StreamReset::HandleOther(const OtherRequest& request) {
  if (Classify(request.request_sn) == RequestClass::kBad) {
    ++stats_.drop_invalid_reconfig;
    answer_ = ReconfigResponse{request.request_sn,
                               ReconfigResult::kBadSequenceNumber};
    return;
  }
  if (Classify(request.request_sn) == RequestClass::kNew) {
    ++expected_request_sn_;
  }
  Answer(request.request_sn, ReconfigResult::kDenied);
}

void StreamReset::HandleResponse(const ReconfigResponse& response) {
  if (!in_flight_ || response.response_sn != in_flight_->request_sn) {
    ++stats_.drop_invalid_reconfig;
    return;
  }
  answered_ = true;
  absl::Status status;
  SendQueue::Numbering numbering = SendQueue::Numbering::kFromZero;
  switch (response.result) {
    case ReconfigResult::kInProgress:
    case ReconfigResult::kRequestInProgress:
      // The same request is repeated when the timer expires, until the peer
      // has what was sent before it.
      return;
    case ReconfigResult::kNothingToDo:
    case ReconfigResult::kPerformed:
      break;
    default:
      status = absl::UnavailableError("the peer refused to reset the streams");
      numbering = SendQueue::Numbering::kContinue;
  }
  OutgoingResetRequest done = *std::exchange(in_flight_, std::nullopt);
  for (StreamId stream : done.streams) queue_.Restart(stream, numbering);
  events_.Push(StreamsReset{ResetDirection::kOutgoing, std::move(done.streams),
                            std::move(status)});
}

}  // namespace kyuu::sctp::internal
