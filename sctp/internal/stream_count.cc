#include "sctp/internal/stream_count.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "base/check.h"
#include "sctp/event.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {
namespace {

// Ids have 16 bits, and so has the number of streams in an INIT (RFC 9260
// section 3.3.2).
constexpr uint32_t kMaxStreams = 65535;

// The sum of up to three numbers of 16 bits.
uint32_t Sum(uint32_t a, uint32_t b, uint32_t c = 0) { return a + b + c; }

absl::Status Refused() {
  return absl::UnavailableError("the peer refused to add the streams");
}

}  // namespace

StreamCount::StreamCount(const Options& options, uint16_t peer_inbound,
                         uint16_t peer_outbound, EventQueue& events,
                         Stats& stats)
    : options_(options),
      events_(events),
      stats_(stats),
      outgoing_(std::min(options.outgoing_streams, peer_inbound)),
      incoming_(std::min(options.incoming_streams, peer_outbound)),
      max_outgoing_(
          std::max(options.outgoing_streams, options.max_outgoing_streams)),
      max_incoming_(
          std::max(options.incoming_streams, options.max_incoming_streams)) {}

absl::Status StreamCount::Ask(uint16_t outgoing, uint16_t incoming) {
  if (outgoing == 0 && incoming == 0) {
    return absl::InvalidArgumentError("no stream is to be added");
  }
  if (Sum(outgoing_, owed_, outgoing) > kMaxStreams ||
      Sum(incoming_, incoming) > kMaxStreams) {
    return absl::InvalidArgumentError("an association has 65535 streams");
  }
  if (wanted_outgoing_ != 0 || wanted_incoming_ != 0) {
    return absl::FailedPreconditionError("streams are being added already");
  }
  wanted_outgoing_ = outgoing;
  wanted_incoming_ = incoming;
  // Who asks for them wants them.
  max_incoming_ =
      std::max(max_incoming_, static_cast<uint16_t>(incoming_ + incoming));
  return absl::OkStatus();
}

StreamCount::Request StreamCount::TakeRequest(ReconfigSn sn) {
  KYUU_CHECK(has_request());
  if (wanted_outgoing_ != 0) {
    asking_ = Asking::kOutgoing;
    return AddOutgoingStreamsRequest{sn, wanted_outgoing_};
  }
  if (wanted_incoming_ != 0) {
    asking_ = Asking::kIncoming;
    shown_ = Shown::kNothing;
    return AddIncomingStreamsRequest{sn, wanted_incoming_};
  }
  asking_ = Asking::kOwed;
  return AddOutgoingStreamsRequest{sn, owed_};
}

void StreamCount::OnAnswer(ReconfigResult result) {
  const bool performed = result == ReconfigResult::kPerformed;
  switch (std::exchange(asking_, Asking::kNothing)) {
    case Asking::kNothing:
      break;
    case Asking::kOutgoing: {
      const uint16_t added = std::exchange(wanted_outgoing_, 0);
      if (performed) outgoing_ += added;
      Tell(StreamDirection::kOutgoing,
           performed ? absl::OkStatus() : Refused());
      break;
    }
    case Asking::kIncoming:
      wanted_incoming_ = 0;
      // Otherwise the peer's own request tells of them.
      if (!performed) Tell(StreamDirection::kIncoming, Refused());
      break;
    case Asking::kOwed: {
      const uint16_t added = std::exchange(owed_, 0);
      if (!performed) break;
      outgoing_ += added;
      Tell(StreamDirection::kOutgoing, absl::OkStatus());
      break;
    }
  }
}

bool StreamCount::OnTimeout() {
  if (asking_ != Asking::kIncoming) return false;
  switch (shown_) {
    case Shown::kNothing:
      break;
    case Shown::kAdded:
      // The peer's request and ours may have crossed, and ours was lost.
      shown_ = Shown::kAddedAndAskedAgain;
      break;
    case Shown::kAddedAndAskedAgain:
      OnAnswer(ReconfigResult::kPerformed);
      return true;
  }
  return false;
}

ReconfigResult StreamCount::PeerAddsOutgoing(uint16_t new_streams) {
  if (new_streams == 0) return ReconfigResult::kNothingToDo;
  if (Sum(incoming_, new_streams) > max_incoming_ || is_crowded()) {
    return Deny();
  }
  incoming_ += new_streams;
  if (asking_ == Asking::kIncoming && new_streams == wanted_incoming_) {
    shown_ = Shown::kAdded;
  }
  Tell(StreamDirection::kIncoming, absl::OkStatus());
  return ReconfigResult::kPerformed;
}

ReconfigResult StreamCount::PeerAddsIncoming(uint16_t new_streams) {
  if (new_streams == 0) return ReconfigResult::kNothingToDo;
  if (owed_ != 0) return ReconfigResult::kRequestInProgress;
  if (Sum(outgoing_, wanted_outgoing_, new_streams) > max_outgoing_ ||
      is_crowded()) {
    return Deny();
  }
  owed_ = new_streams;
  return ReconfigResult::kPerformed;
}

ReconfigResult StreamCount::Deny() {
  ++stats_.denied_additions;
  return ReconfigResult::kDenied;
}

void StreamCount::Tell(StreamDirection direction, absl::Status status) {
  events_.Push(
      StreamsAdded{direction, outgoing_, incoming_, std::move(status)});
}

}  // namespace kyuu::sctp::internal
