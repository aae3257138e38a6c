// Reception: verification tags (RFC 9260 section 8.5), packets out of the
// blue (section 8.4) and the way of each chunk to its procedure.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/core.h"

namespace kyuu::sctp::internal {

void Core::HandlePacket(absl::Time now, Bytes packet) {
  Clamp(now);
  ++stats_.packets_received;
  stats_.bytes_received += packet.size();
  const PacketView view = ParsePacket(packet);
  switch (view.error) {
    case PacketError::kTooShort:
      ++stats_.drop_malformed_packet;
      return;
    case PacketError::kBadChecksum:
      ++stats_.drop_bad_checksum;
      return;
    case PacketError::kNone:
      break;
  }
  if (view.header.destination_port != options_.local_port ||
      view.header.source_port != options_.remote_port) {
    ++stats_.drop_bad_port;
    return;
  }
  Reader reader(view.chunks);
  std::optional<ChunkView> chunk = NextChunk(reader);
  if (!chunk) {
    ++stats_.drop_malformed_packet;
    return;
  }
  if (chunk->type == ChunkType::kInit) {
    // Section 8.5.1 rule A, and section 3.3.2: an INIT travels alone.
    if (view.header.verification_tag != 0 || !reader.empty()) {
      ++stats_.drop_bad_verification_tag;
      return;
    }
    HandleInit(*chunk);
    return;
  }
  if (!AcceptTag(view.header, *chunk)) return;
  last_heard_ = now_;
  bool first = true;
  for (; chunk && state_ != State::kEnded; chunk = NextChunk(reader)) {
    if (chunk->type == ChunkType::kCookieEcho) {
      // Section 5.1: it comes first. Each further one would cost an HMAC.
      if (!std::exchange(first, false)) {
        ++stats_.drop_unexpected_chunk;
        continue;
      }
      HandleCookieEcho(view.header, *chunk);
      // Whatever follows a refused cookie belongs to no association.
      if (view.header.verification_tag != local_tag_ || !tcb_) break;
      continue;
    }
    first = false;
    if (!HandleChunk(*chunk)) break;
  }
  if (!reader.ok()) ++stats_.drop_malformed_chunk;
  if (state_ == State::kEnded) {
    tcb_.reset();
    return;
  }
  if (tcb_) AfterPacket();
}

// Whether the packet belongs to this association, by its tag and first chunk.
bool Core::AcceptTag(const CommonHeader& header, const ChunkView& first) {
  const bool exists = state_ != State::kClosed && state_ != State::kEnded;
  const uint32_t tag = header.verification_tag;
  // The cookie carries its own tag, and is checked against it.
  if (first.type == ChunkType::kCookieEcho && state_ != State::kEnded) {
    return true;
  }
  const bool can_reflect = first.type == ChunkType::kAbort ||
                           first.type == ChunkType::kShutdownComplete;
  if (can_reflect && (first.flags & kReflectedTag) != 0) {
    // Section 8.5.1 rules B and C: the T bit tells of our own tag come back.
    if (exists && tcb_ && tag == tcb_->peer_tag) return true;
  } else if (exists && tag == local_tag_) {
    return true;
  }
  ++stats_.drop_bad_verification_tag;
  const bool starting =
      state_ == State::kCookieWait || state_ == State::kCookieEchoed;
  if (!exists || (starting && first.type == ChunkType::kShutdownAck)) {
    HandleOutOfTheBlue(header, first);
  }
  return false;
}

// RFC 9260 section 8.4. One answer, no longer than what it answers, is kept.
void Core::HandleOutOfTheBlue(const CommonHeader& header,
                              const ChunkView& first) {
  if (reply_) return;
  switch (first.type) {
    case ChunkType::kAbort:
    case ChunkType::kShutdownComplete:
    case ChunkType::kCookieAck:
    case ChunkType::kError:
    case ChunkType::kInitAck:
      return;
    case ChunkType::kShutdownAck:
      reply_ = Reply{header.verification_tag, ChunkType::kShutdownComplete,
                     kReflectedTag, std::nullopt, ""};
      return;
    default:
      reply_ = Reply{header.verification_tag, ChunkType::kAbort, kReflectedTag,
                     std::nullopt, ""};
  }
}

bool Core::HandleChunk(const ChunkView& chunk) {
  switch (chunk.type) {
    case ChunkType::kInitAck:
      HandleInitAck(chunk);
      return true;
    case ChunkType::kCookieAck:
      HandleCookieAck();
      return true;
    case ChunkType::kAbort:
      HandleAbort(chunk);
      return true;
    case ChunkType::kInit:
      // Never behind another chunk (section 3.3.2).
      ++stats_.drop_unexpected_chunk;
      return true;
    default:
      break;
  }
  if (!tcb_) {
    ++stats_.drop_unexpected_chunk;
    return true;
  }
  return HandleAssociationChunk(chunk);
}

// The chunks that mean something only once both ends know each other.
bool Core::HandleAssociationChunk(const ChunkView& chunk) {
  switch (chunk.type) {
    case ChunkType::kData:
      HandleData(chunk);
      return true;
    case ChunkType::kSack:
      HandleSack(chunk);
      return true;
    case ChunkType::kHeartbeat:
      HandleHeartbeat(chunk);
      return true;
    case ChunkType::kHeartbeatAck:
      HandleHeartbeatAck(chunk);
      return true;
    case ChunkType::kShutdown:
      HandleShutdown(chunk);
      return true;
    case ChunkType::kShutdownAck:
      HandleShutdownAck();
      return true;
    case ChunkType::kShutdownComplete:
      HandleShutdownComplete();
      return true;
    case ChunkType::kError:
      HandleError(chunk);
      return true;
    case ChunkType::kForwardTsn:
      HandleForwardTsn(chunk);
      return true;
    case ChunkType::kReConfig:
      HandleReconfig(chunk);
      return true;
    case ChunkType::kPad:
      return true;
    case ChunkType::kIData:
    case ChunkType::kIForwardTsn:
      // RFC 8260 section 2.2.1: only where both ends have agreed on it.
      AbortWith(absl::AbortedError("the peer used I-DATA without agreement"),
                ErrorCause::kProtocolViolation, "I-DATA was not negotiated");
      return false;
    default:
      return HandleUnknown(chunk);
  }
}

bool Core::HandleUnknown(const ChunkView& chunk) {
  ++stats_.drop_unknown_chunk;
  const UnknownAction action = UnknownChunkAction(chunk.type);
  if (action == UnknownAction::kStopAndReport ||
      action == UnknownAction::kSkipAndReport) {
    ReportError(ErrorCause::kUnrecognizedChunkType, chunk.whole);
  }
  return action == UnknownAction::kSkip ||
         action == UnknownAction::kSkipAndReport;
}

void Core::ReportError(ErrorCause cause, Bytes information) {
  if (information.size() > kMaxReport) {
    // It would be a burden.
    ++stats_.drop_oversized_reply;
    return;
  }
  if (!report_) report_.emplace();
  report_->cause = cause;
  report_->information.assign(information.begin(), information.end());
}

// RFC 9260 section 8.3.
void Core::HandleHeartbeat(const ChunkView& chunk) {
  const std::optional<HeartbeatChunk> heartbeat = HeartbeatChunk::Parse(chunk);
  if (!heartbeat) {
    ++stats_.drop_malformed_chunk;
    return;
  }
  // The answer is as long as the question: it must fit into a packet of ours.
  if (CommonHeader::kSize + heartbeat->size() > mtu_) {
    ++stats_.drop_oversized_reply;
    return;
  }
  heartbeat_ack_.emplace(heartbeat->info.begin(), heartbeat->info.end());
}

void Core::HandleHeartbeatAck(const ChunkView& chunk) {
  const std::optional<HeartbeatChunk> ack = HeartbeatChunk::Parse(chunk);
  Reader reader(ack ? ack->info : Bytes());
  const uint64_t nonce = reader.U64();
  // Only the nonce comes from the peer; the time is our own.
  if (!reader.Finish() || !heartbeat_ || heartbeat_->nonce != nonce) {
    ++stats_.drop_bad_heartbeat_ack;
    return;
  }
  tcb_->rto.Measured(now_ - heartbeat_->sent);
  PeerAnswered();
  heartbeat_.reset();
  timers_.ResetBackoff(Timer::kHeartbeat);
  timers_.Set(Timer::kHeartbeat, now_ + options_.heartbeat_interval);
}

void Core::HandleReconfig(const ChunkView& chunk) {
  const std::optional<ReconfigChunk> reconfig = ReconfigChunk::Parse(chunk);
  if (!reconfig || !tcb_->peer_extensions.re_config ||
      state_ == State::kCookieEchoed) {
    ++stats_.drop_invalid_reconfig;
    return;
  }
  tcb_->reset.Handle(*reconfig, tcb_->tracker.cumulative_tsn());
  if (tcb_->reset.TakeAnswered()) {
    PeerAnswered();
    timers_.ResetBackoff(Timer::kReconfig);
  }
  if (!tcb_->reset.awaits_response()) timers_.Stop(Timer::kReconfig);
}

}  // namespace kyuu::sctp::internal
