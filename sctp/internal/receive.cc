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
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/core.h"

namespace kyuu::sctp::internal {
namespace {

// Chunks of a packet that carry no data, after which the rest of it is dropped.
// A peer has five kinds to bundle, and no reason for many of one kind; but 290
// fit, each of which may ask for some work. What was lost with them is asked
// for, or told, again.
constexpr int kMaxControlChunks = 8;

// Whether the chunk pays for what it asks for, with its size.
bool CarriesData(const ChunkView& chunk) {
  return (chunk.type == ChunkType::kData || chunk.type == ChunkType::kIData) &&
         chunk.whole.size() >= DataChunk::HeaderSize(chunk.type);
}

}  // namespace

void Core::HandlePacket(absl::Time now, Bytes packet) {
  Clamp(now);
  ++stats_.packets_received;
  stats_.bytes_received += packet.size();
  const PacketView view = ParsePacket(packet, zero_checksum());
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
  if (view.unchecked && (chunk->type == ChunkType::kInit ||
                         chunk->type == ChunkType::kCookieEcho)) {
    // RFC 9653 section 5.2: these always have their checksum.
    ++stats_.drop_bad_checksum;
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
  if (Tcb* tcb = FindTcb()) tcb->last_heard = now_;
  bool first = true;
  int control_chunks = 0;
  for (; chunk; chunk = NextChunk(reader)) {
    if (!CarriesData(*chunk) && ++control_chunks > kMaxControlChunks) {
      ++stats_.drop_excess_chunks;
      break;
    }
    if (chunk->type == ChunkType::kCookieEcho) {
      // Section 5.1: it comes first. Each further one would cost an HMAC.
      if (!std::exchange(first, false)) {
        ++stats_.drop_unexpected_chunk;
        continue;
      }
      HandleCookieEcho(view.header, *chunk);
      // Whatever follows a refused cookie belongs to no association.
      if (view.header.verification_tag != local_tag_ || FindTcb() == nullptr) {
        break;
      }
      continue;
    }
    first = false;
    if (!HandleChunk(*chunk)) break;
  }
  if (!reader.ok()) ++stats_.drop_malformed_chunk;
  if (Tcb* tcb = FindTcb()) AfterPacket(*tcb);
}

// RFC 9653 section 5.3: as far as we have declared it to this peer.
ZeroChecksum Core::zero_checksum() const {
  const Tcb* tcb = FindTcb();
  if (tcb != nullptr && tcb->sends_zero_checksum) {
    return ZeroChecksum::kAccepted;
  }
  return tcb != nullptr || In<state::CookieWait>() ? zero_checksum_
                                                   : ZeroChecksum::kRefused;
}

// Whether the packet belongs to this association, by its tag and first chunk.
bool Core::AcceptTag(const CommonHeader& header, const ChunkView& first) {
  const bool exists = !In<state::Closed>() && !In<state::Ended>();
  const Tcb* tcb = FindTcb();
  const uint32_t tag = header.verification_tag;
  // The cookie carries its own tag, and is checked against it.
  if (first.type == ChunkType::kCookieEcho && !In<state::Ended>()) {
    return true;
  }
  const bool can_reflect = first.type == ChunkType::kAbort ||
                           first.type == ChunkType::kShutdownComplete;
  if (can_reflect && (first.flags & kReflectedTag) != 0) {
    // Section 8.5.1 rules B and C: the T bit tells of our own tag come back.
    if (tcb != nullptr && tag == tcb->peer_tag) return true;
  } else if (exists && tag == local_tag_) {
    return true;
  }
  ++stats_.drop_bad_verification_tag;
  const bool starting = In<state::CookieWait>() ||
                        (tcb != nullptr && tcb->In<state::CookieEchoed>());
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
      return !In<state::Ended>();
    case ChunkType::kAbort:
      HandleAbort(chunk);
      return false;
    case ChunkType::kInit:
      // Never behind another chunk (section 3.3.2).
      ++stats_.drop_unexpected_chunk;
      return true;
    default:
      break;
  }
  Tcb* tcb = FindTcb();
  if (tcb == nullptr) {
    ++stats_.drop_unexpected_chunk;
    return true;
  }
  return HandleAssociationChunk(*tcb, chunk);
}

// The chunks that mean something only once both ends know each other.
bool Core::HandleAssociationChunk(Tcb& tcb, const ChunkView& chunk) {
  switch (chunk.type) {
    case ChunkType::kCookieAck:
      HandleCookieAck(tcb);
      break;
    case ChunkType::kData:
    case ChunkType::kIData:
      HandleData(tcb, chunk);
      break;
    case ChunkType::kSack:
      HandleSack(tcb, chunk);
      break;
    case ChunkType::kHeartbeat:
      HandleHeartbeat(tcb, chunk);
      break;
    case ChunkType::kHeartbeatAck:
      HandleHeartbeatAck(tcb, chunk);
      break;
    case ChunkType::kShutdown:
      HandleShutdown(tcb, chunk);
      break;
    case ChunkType::kShutdownAck:
      HandleShutdownAck(tcb);
      break;
    case ChunkType::kShutdownComplete:
      HandleShutdownComplete(tcb);
      break;
    case ChunkType::kError:
      HandleError(tcb, chunk);
      break;
    case ChunkType::kForwardTsn:
    case ChunkType::kIForwardTsn:
      HandleForwardTsn(tcb, chunk);
      break;
    case ChunkType::kReConfig:
      HandleReconfig(tcb, chunk);
      break;
    case ChunkType::kPad:
      break;
    default:
      return HandleUnknown(tcb, chunk);
  }
  return !In<state::Ended>();
}

bool Core::HandleUnknown(Tcb& tcb, const ChunkView& chunk) {
  ++stats_.drop_unknown_chunk;
  const UnknownAction action = UnknownChunkAction(chunk.type);
  if (action == UnknownAction::kStopAndReport ||
      action == UnknownAction::kSkipAndReport) {
    ReportError(tcb, ErrorCause::kUnrecognizedChunkType, chunk.whole);
  }
  return action == UnknownAction::kSkip ||
         action == UnknownAction::kSkipAndReport;
}

void Core::ReportError(Tcb& tcb, ErrorCause cause, Bytes information) {
  if (information.size() > Tcb::kMaxReport) {
    // It would be a burden.
    ++stats_.drop_oversized_reply;
    return;
  }
  tcb.report = Tcb::Report{cause, {information.begin(), information.end()}};
}

// RFC 9260 section 8.3.
void Core::HandleHeartbeat(Tcb& tcb, const ChunkView& chunk) {
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
  tcb.heartbeat_ack.emplace(heartbeat->info.begin(), heartbeat->info.end());
}

void Core::HandleHeartbeatAck(Tcb& tcb, const ChunkView& chunk) {
  const std::optional<HeartbeatChunk> ack = HeartbeatChunk::Parse(chunk);
  Reader reader(ack ? ack->info : Bytes());
  const uint64_t nonce = reader.U64();
  // Only the nonce comes from the peer; the time is our own.
  if (reader.Finish() && tcb.path_mtu.OnAnswer(nonce)) {
    tcb.PeerAnswered();
    return ArmPathMtu(tcb);
  }
  if (!reader.Finish() || !tcb.heartbeat || tcb.heartbeat->nonce != nonce) {
    ++stats_.drop_bad_heartbeat_ack;
    return;
  }
  tcb.rto.Measured(now_ - tcb.heartbeat->sent);
  tcb.PeerAnswered();
  tcb.heartbeat.reset();
  timers_.ResetBackoff(Timer::kHeartbeat);
  timers_.Set(Timer::kHeartbeat, now_ + options_.heartbeat_interval);
}

void Core::HandleReconfig(Tcb& tcb, const ChunkView& chunk) {
  const std::optional<ReconfigChunk> reconfig = ReconfigChunk::Parse(chunk);
  if (!reconfig || !tcb.peer_extensions.re_config ||
      tcb.In<state::CookieEchoed>()) {
    ++stats_.drop_invalid_reconfig;
    return;
  }
  tcb.reset.Handle(*reconfig, GroundOf(tcb));
  ApplyReset(tcb);
  if (tcb.reset.TakeAnswered()) {
    tcb.PeerAnswered();
    timers_.ResetBackoff(Timer::kReconfig);
  }
  if (!tcb.reset.awaits_response()) timers_.Stop(Timer::kReconfig);
}

ResetGround Core::GroundOf(const Tcb& tcb) const {
  return {.cumulative_tsn = tcb.tracker.cumulative_tsn(),
          .next_tsn = tcb.outstanding.next_tsn(),
          .grants_all = options_.grant_association_reset &&
                        tcb.In<state::Established>() &&
                        !tcb.tracker.has_gaps() && tcb.reassembly.idle()};
}

// A reset of the association has come about: what both sides sent before counts
// as arrived (RFC 6525 sections 5.2.4 and 5.2.7).
void Core::ApplyReset(Tcb& tcb) {
  const std::optional<Renumbering> next = tcb.reset.TakeRenumbering();
  if (!next) return;
  tcb.tracker.RestartAt(next->peer);
  tcb.reassembly.Restart(tcb.data_type, options_, next->peer, events_, stats_);
  events_.ForgetDeliveries();
  if (!next->own) return;
  tcb.outstanding.RestartAt(*next->own);
  tcb.forwarded_to = *next->own - 1;
  tcb.recovery_exit.reset();
  tcb.timeout_exit.reset();
  tcb.tail_probe.reset();
}

}  // namespace kyuu::sctp::internal
