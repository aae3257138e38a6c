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

void StreamReset::RequestAll() {
  queue_.PauseAll();
  all_wanted_ = true;
}

bool StreamReset::HasOutput() const {
  return !answers_.empty() || send_request_ || CanBegin();
}

void StreamReset::Begin(Tsn next_tsn, size_t max_streams) {
  if (streams_.has_request()) {
    std::visit([this](auto request) { in_flight_ = request; },
               streams_.TakeRequest(next_request_sn_));
  } else if (all_wanted_) {
    all_wanted_ = false;
    in_flight_ = SsnTsnResetRequest{next_request_sn_};
  } else {
    OutgoingResetRequest request;
    request.request_sn = next_request_sn_;
    // What was sent on the streams ends before (section 5.1.2 rule A2).
    request.last_assigned_tsn = next_tsn - 1;
    request.streams = queue_.TakeSettled(max_streams);
    in_flight_ = std::move(request);
  }
  ++next_request_sn_;
  send_request_ = true;
}

ReconfigChunk StreamReset::Build(Tsn next_tsn, size_t max_streams) {
  ReconfigChunk chunk;
  if (CanBegin()) Begin(next_tsn, max_streams);
  if (send_request_) {
    auto* reset = std::get_if<OutgoingResetRequest>(&*in_flight_);
    if (reset != nullptr) reset->response_sn = expected_request_sn_ - 1;
    // Section 3.1: beside an answer there may be another one, or a reset.
    if (answers_.empty() || (answers_.size() == 1 && reset != nullptr)) {
      std::visit(
          [&](const auto& request) { chunk.parameters.push_back(request); },
          *in_flight_);
      send_request_ = false;
    }
  }
  chunk.parameters.insert(chunk.parameters.end(), answers_.begin(),
                          answers_.end());
  answers_.clear();
  return chunk;
}

ReconfigChunk StreamReset::TakeAnswers() {
  ReconfigChunk chunk;
  chunk.parameters.assign(answers_.begin(), answers_.end());
  answers_.clear();
  return chunk;
}

void StreamReset::OnTimeout() {
  if (in_flight_ && streams_.OnTimeout()) in_flight_.reset();
  send_request_ = in_flight_.has_value();
}

void StreamReset::Handle(const ReconfigChunk& chunk,
                         const ResetGround& ground) {
  for (const ReconfigParameter& parameter : chunk.parameters) {
    if (auto* outgoing = std::get_if<OutgoingResetRequest>(&parameter)) {
      HandleOutgoing(*outgoing, ground.cumulative_tsn);
    } else if (auto* incoming = std::get_if<IncomingResetRequest>(&parameter)) {
      HandleIncoming(*incoming);
    } else if (auto* all = std::get_if<SsnTsnResetRequest>(&parameter)) {
      HandleAll(*all, ground);
    } else if (auto* out = std::get_if<AddOutgoingStreamsRequest>(&parameter)) {
      if (IsNew(out->request_sn)) {
        Settle(out->request_sn, streams_.PeerAddsOutgoing(out->new_streams));
      }
    } else if (auto* in = std::get_if<AddIncomingStreamsRequest>(&parameter)) {
      if (IsNew(in->request_sn)) {
        Settle(in->request_sn, streams_.PeerAddsIncoming(in->new_streams));
      }
    } else {
      HandleResponse(std::get<ReconfigResponse>(parameter));
    }
  }
}

RequestClass StreamReset::Classify(ReconfigSn sn) const {
  if (sn == expected_request_sn_) return RequestClass::kNew;
  if (sn == expected_request_sn_ - 1 || sn == expected_request_sn_ - 2) {
    return RequestClass::kRepeat;
  }
  return RequestClass::kBad;
}

bool StreamReset::IsNew(ReconfigSn sn) {
  switch (Classify(sn)) {
    case RequestClass::kNew:
      return true;
    case RequestClass::kRepeat:
      // A deferred one answers itself as soon as its data is here.
      Reply(AnswerOf(sn));
      return false;
    case RequestClass::kBad:
      break;
  }
  ++stats_.drop_invalid_reconfig;
  Reply({sn, ReconfigResult::kBadSequenceNumber, {}});
  return false;
}

void StreamReset::Expect() {
  ++expected_request_sn_;
  if (std::exchange(owed_, std::nullopt)) {
    queue_.ResumeAll(SendQueue::Numbering::kContinue);
  }
}

void StreamReset::Settle(ReconfigSn sn, ReconfigResult result) {
  Expect();
  Answer(sn, result);
}

void StreamReset::Answer(const ReconfigResponse& answer) {
  const ReconfigSn sn = answer.response_sn;
  if (Classify(sn) == RequestClass::kRepeat) AnswerOf(sn) = answer;
  Reply(answer);
}

void StreamReset::Reply(const ReconfigResponse& answer) {
  for (ReconfigResponse& other : answers_) {
    if (other.response_sn != answer.response_sn) continue;
    other = answer;
    return;
  }
  if (answers_.size() == 2) answers_.erase(answers_.begin());
  answers_.push_back(answer);
}

bool StreamReset::HasRoomForEvent(ReconfigSn sn) {
  if (events_.waiting_resets() < max_waiting_resets_) return true;
  // As if it had not come, but for the peer to know that it has.
  ++stats_.deferred_resets;
  Reply({sn, ReconfigResult::kInProgress, {}});
  return false;
}

void StreamReset::HandleOutgoing(const OutgoingResetRequest& request,
                                 Tsn cumulative_tsn) {
  if (!IsNew(request.request_sn) || !HasRoomForEvent(request.request_sn)) {
    return;
  }
  Expect();
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
  events_.Push(StreamsReset{StreamDirection::kIncoming, request.streams,
                            absl::OkStatus()});
  Answer(request.request_sn, ReconfigResult::kPerformed);
}

void StreamReset::OnCumulativeTsn(Tsn cumulative_tsn) {
  if (!deferred_ || deferred_->last_assigned_tsn > cumulative_tsn) return;
  Perform(*std::exchange(deferred_, std::nullopt));
}

void StreamReset::HandleIncoming(const IncomingResetRequest& request) {
  if (!IsNew(request.request_sn)) return;
  // Section 5.2.3: our own outgoing request is the answer, since it carries
  // this number as its response number; the result tells that it will come.
  // Streams that we never sent on are as good as reset already, and a request
  // for all of them would be one for 65535 states.
  if (resets_all() && !owed_) {
    Settle(request.request_sn, ReconfigResult::kRequestInProgress);
    return;
  }
  Expect();
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

void StreamReset::HandleAll(const SsnTsnResetRequest& request,
                            const ResetGround& ground) {
  const ReconfigSn sn = request.request_sn;
  if (!IsNew(sn)) return;
  // libusrsctp hears no refusal without TSNs.
  ReconfigResponse answer{
      sn, ReconfigResult::kDenied,
      ReconfigResponse::NextTsns{ground.next_tsn, ground.cumulative_tsn + 1}};
  if (!ground.grants_all || deferred_) {
    Expect();
    Answer(answer);
  } else if (all_wanted_ || in_flight_ || queue_.any_paused()) {
    Expect();
    answer.result = ReconfigResult::kRequestInProgress;
    Answer(answer);
  } else if (HasRoomForEvent(sn)) {
    Expect();
    // Section 5.2.4 takes what we have sent for acknowledged, arrived or not:
    // so it arrives first. Only who asks again is told that this takes its
    // time: libusrsctp takes it for a refusal.
    queue_.PauseAll();
    owed_ = sn;
    AnswerOf(sn) = {sn, ReconfigResult::kInProgress, {}};
    OnQuiet(ground);
  }
}

void StreamReset::OnQuiet(const ResetGround& ground) {
  if (!owed_ || !queue_.all_settled()) return;
  const ReconfigSn sn = *std::exchange(owed_, std::nullopt);
  if (!ground.grants_all) {
    queue_.ResumeAll(SendQueue::Numbering::kContinue);
    Answer(sn, ReconfigResult::kDenied);
    return;
  }
  // Section 5.2.4: "the smallest TSN not acknowledged by the receiver of the
  // request plus 2^31", and "the highest TSN sent [...] plus 1".
  const Tsn receiver = ground.cumulative_tsn + 1 + (uint32_t{1} << 31);
  grant_ = Grant{{sn, ReconfigResult::kPerformed,
                  ReconfigResponse::NextTsns{ground.next_tsn, receiver}}};
  renumbering_ = Renumbering{std::nullopt, receiver};
  queue_.ResumeAll(SendQueue::Numbering::kFromZero);
  events_.Push(AssociationReset{absl::OkStatus()});
  Answer(grant_->answer);
}

std::optional<ReconfigChunk> StreamReset::OfferGrant(Tsn cumulative_tsn_ack) {
  if (!grant_ || grant_->confirmed) return std::nullopt;
  if (cumulative_tsn_ack >= grant_->answer.next_tsns->sender) {
    grant_->confirmed = true;
    return std::nullopt;
  }
  grant_due_ = true;
  return ReconfigChunk{{grant_->answer}};
}

void StreamReset::HandleResponse(const ReconfigResponse& response) {
  // A request that was repeated is answered more than once.
  if (!in_flight_ && response.response_sn == next_request_sn_ - 1) return;
  if (!in_flight_ ||
      response.response_sn !=
          std::visit([](const auto& request) { return request.request_sn; },
                     *in_flight_)) {
    ++stats_.drop_invalid_reconfig;
    return;
  }
  const bool about_all =
      std::holds_alternative<SsnTsnResetRequest>(*in_flight_);
  if (about_all && response.result == ReconfigResult::kPerformed &&
      !response.next_tsns) {
    ++stats_.drop_invalid_reconfig;
    return;
  }
  answered_ = true;
  // The same request is repeated when the timer expires.
  if (response.result == ReconfigResult::kInProgress) return;
  auto* reset = std::get_if<OutgoingResetRequest>(&*in_flight_);
  if (reset != nullptr &&
      response.result == ReconfigResult::kRequestInProgress) {
    return;
  }
  send_request_ = false;
  if (about_all) {
    in_flight_.reset();
    OnAnswerAboutAll(response);
    return;
  }
  Asked done = *std::exchange(in_flight_, std::nullopt);
  reset = std::get_if<OutgoingResetRequest>(&done);
  if (reset != nullptr) {
    OnAnswer(std::move(*reset), response.result);
  } else {
    streams_.OnAnswer(response.result);
  }
}

void StreamReset::OnAnswer(OutgoingResetRequest request,
                           ReconfigResult result) {
  absl::Status status;
  SendQueue::Numbering numbering = SendQueue::Numbering::kFromZero;
  switch (result) {
    case ReconfigResult::kNothingToDo:
    case ReconfigResult::kPerformed:
      break;
    default:
      status = absl::UnavailableError("the peer refused to reset the streams");
      numbering = SendQueue::Numbering::kContinue;
  }
  for (StreamId stream : request.streams) queue_.Restart(stream, numbering);
  events_.Push(StreamsReset{StreamDirection::kOutgoing,
                            std::move(request.streams), std::move(status)});
}

void StreamReset::OnAnswerAboutAll(const ReconfigResponse& response) {
  if (response.result != ReconfigResult::kPerformed) {
    queue_.ResumeAll(SendQueue::Numbering::kContinue);
    events_.Push(AssociationReset{
        absl::UnavailableError("the peer refused to reset the association")});
    return;
  }
  // What it waited for counts as arrived.
  if (deferred_) Perform(*std::exchange(deferred_, std::nullopt));
  renumbering_ =
      Renumbering{response.next_tsns->receiver, response.next_tsns->sender};
  queue_.ResumeAll(SendQueue::Numbering::kFromZero);
  events_.Push(AssociationReset{absl::OkStatus()});
}

}  // namespace kyuu::sctp::internal
