// Transmission: what goes into the next packet, in which order (RFC 9260
// sections 6.1, 6.10 and 7.2).

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/core.h"

namespace kyuu::sctp::internal {
namespace {

// A message that does not fit into one packet anyway fills up the room that
// others left, unless that would make a sliver of it.
constexpr size_t kSmallestFragment = 64;
// With fewer packets than this allowed in flight, waiting for a delayed SACK
// costs throughput (RFC 7053 section 4).
constexpr size_t kSmallWindowPackets = 10;
// A SACK with a few gaps and the answer to a reset, in front of an ABORT whose
// reason has 128 bytes, in the smallest packet that Options allows.
constexpr size_t kMaxLastControl = 128;

}  // namespace

std::optional<Bytes> Core::PollTransmit(absl::Time now,
                                        absl::Span<uint8_t> out) {
  Clamp(now);
  if (out.size() < mtu_) return std::nullopt;
  Writer writer(out.first(mtu_));
  if (!WriteReply(writer) && !WriteInit(writer)) {
    if (!tcb_ || state_ == State::kEnded) return std::nullopt;
    CommonHeader{options_.local_port, options_.remote_port, tcb_->peer_tag}
        .Write(writer);
    WriteChunks(writer);
    if (writer.size() == CommonHeader::kSize) return std::nullopt;
  }
  FinishPacket(writer.mutable_written());
  ++stats_.packets_sent;
  stats_.bytes_sent += writer.size();
  return writer.written();
}

// Answers under tags of their own: to an INIT, to a packet out of the blue, or
// our last word.
bool Core::WriteReply(Writer& writer) {
  if (init_ack_) {
    CommonHeader{options_.local_port, options_.remote_port, init_ack_->tag}
        .Write(writer);
    init_ack_->init.cookie = init_ack_->cookie;
    Reader reader(init_ack_->unrecognized);
    while (std::optional<ParameterView> report = NextParameter(reader)) {
      init_ack_->init.unrecognized.push_back(report->whole);
    }
    init_ack_->init.Write(writer);
    init_ack_.reset();
    return true;
  }
  if (!reply_) return false;
  CommonHeader{options_.local_port, options_.remote_port, reply_->tag}.Write(
      writer);
  writer.Bytes(reply_->control);
  if (reply_->cause) {
    WriteCauseChunk(writer, reply_->type, reply_->flags, *reply_->cause,
                    AsBytes(reply_->information));
  } else {
    WriteEmptyChunk(writer, reply_->type, reply_->flags);
  }
  reply_.reset();
  return true;
}

bool Core::WriteInit(Writer& writer) {
  if (!send_init_) return false;
  send_init_ = false;
  // Section 8.5.1 rule A: an INIT has no tag to send to yet.
  CommonHeader{options_.local_port, options_.remote_port, 0}.Write(writer);
  OwnInit(ChunkType::kInit, local_tag_, local_initial_tsn_).Write(writer);
  return true;
}

void Core::WriteChunks(Writer& writer) {
  if (state_ == State::kCookieEchoed) {
    // Section 5.1 D allows data behind the cookie. There is none: it would be
    // lost with a stale cookie or a collision, and comes a moment later.
    if (!send_cookie_echo_) return;
    send_cookie_echo_ = false;
    CookieEchoChunk{cookie_}.Write(writer);
    WriteReport(writer);
    return;
  }
  WriteControl(writer);
  WriteData(writer);
  // The last message may just have been given up.
  AdvanceShutdown();
  if (writer.size() == CommonHeader::kSize) WriteControl(writer);
}

// Control chunks go in front of data (section 6.10).
void Core::WriteControl(Writer& writer) {
  if (send_cookie_ack_) {
    send_cookie_ack_ = false;
    WriteEmptyChunk(writer, ChunkType::kCookieAck);
  }
  WriteSack(writer);
  WriteHeartbeat(writer);
  WriteReport(writer);
  WriteForwardTsn(writer);
  WriteReconfig(writer);
  if (send_shutdown_ && writer.remaining() >= 8) {
    send_shutdown_ = false;
    ShutdownChunk{tcb_->tracker.cumulative_tsn()}.Write(writer);
  }
  if (send_shutdown_ack_ && writer.remaining() >= 4) {
    send_shutdown_ack_ = false;
    WriteEmptyChunk(writer, ChunkType::kShutdownAck);
  }
}

void Core::WriteSack(Writer& writer) {
  DataTracker& tracker = tcb_->tracker;
  const bool due =
      tracker.sack_due() == DataTracker::Due::kNow ||
      // A SACK that may wait rides along with data.
      (tracker.sack_due() == DataTracker::Due::kLater && HasSendableData());
  if (!due || writer.remaining() < SackChunk::kHeaderSize) return;
  tcb_->advertised_rwnd = a_rwnd();
  tracker
      .TakeSack(static_cast<uint32_t>(tcb_->advertised_rwnd),
                writer.remaining())
      .Write(writer);
  tcb_->received_since_sack = 0;
  timers_.Stop(Timer::kSack);
}

void Core::WriteReport(Writer& writer) {
  if (!report_ ||
      writer.remaining() < 8 + PaddedSize(report_->information.size())) {
    return;
  }
  WriteCauseChunk(writer, ChunkType::kError, 0, report_->cause,
                  report_->information);
  report_.reset();
}

// What an ABORT leaves behind for a peer that has closed its channels: that its
// data and its reset have arrived (RFC 9260 section 3.3.7 allows control chunks
// in front of an ABORT).
std::vector<uint8_t> Core::LastControl() {
  std::array<uint8_t, kMaxLastControl> buffer{};
  Writer writer(absl::MakeSpan(buffer));
  if (tcb_->tracker.sack_due() != DataTracker::Due::kNot) {
    tcb_->tracker.RequireSackNow();
    WriteSack(writer);
  }
  if (const auto answer = tcb_->reset.TakeAnswer();
      answer && writer.remaining() >= 4 + 12) {
    ReconfigChunk{{*answer}}.Write(writer);
  }
  const Bytes written = writer.written();
  return {written.begin(), written.end()};
}

void Core::WriteHeartbeat(Writer& writer) {
  if (heartbeat_ack_ &&
      writer.remaining() >= 8 + PaddedSize(heartbeat_ack_->size())) {
    HeartbeatChunk{ChunkType::kHeartbeatAck, *heartbeat_ack_}.Write(writer);
    heartbeat_ack_.reset();
  }
  if (heartbeat_ && heartbeat_->send && writer.remaining() >= 16) {
    heartbeat_->send = false;
    std::array<uint8_t, 8> info{};
    Writer(absl::MakeSpan(info)).U64(heartbeat_->nonce);
    HeartbeatChunk{ChunkType::kHeartbeat, info}.Write(writer);
  }
}

// RFC 3758 section 3.5: about what is new, and again when there is a reason.
void Core::WriteForwardTsn(Writer& writer) {
  const OutstandingData& outstanding = tcb_->outstanding;
  if (tcb_->forward_version == outstanding.forward_version() &&
      !tcb_->forward_again) {
    return;
  }
  if (!outstanding.ShouldForward()) {
    tcb_->forward_version = outstanding.forward_version();
    tcb_->forward_again = false;
    return;
  }
  if (writer.remaining() < ForwardTsnChunk::kHeaderSize + 4) return;
  const ForwardTsnChunk forward = outstanding.Forward(writer.remaining());
  tcb_->forward_version = outstanding.forward_version();
  if (!tcb_->forward_again &&
      forward.new_cumulative_tsn <= tcb_->forwarded_to) {
    return;
  }
  tcb_->forward_again = false;
  tcb_->forwarded_to = forward.new_cumulative_tsn;
  tcb_->last_forward = now_;
  forward.Write(writer);
  if (!timers_.IsSet(Timer::kT3Rtx)) {
    Arm(Timer::kT3Rtx);
  }
}

void Core::WriteReconfig(Writer& writer) {
  // The fixed parts of a RE-CONFIG with a request and an answer.
  constexpr size_t kFixedSize = 4 + 16 + 12;
  if (!tcb_->reset.HasOutput() || writer.remaining() < kFixedSize + 4) return;
  // A request that does not fit beside other chunks goes alone.
  const size_t most = (mtu_ - CommonHeader::kSize - kFixedSize) / 2;
  if (writer.size() > CommonHeader::kSize && writer.remaining() < mtu_ / 2) {
    return;
  }
  Writer whole(writer);
  tcb_->reset
      .Build(tcb_->outstanding.next_tsn(),
             std::min(most, (writer.remaining() - kFixedSize) / 2))
      .Write(whole);
  if (whole.ok()) {
    writer = whole;
  } else {
    tcb_->reset.OnTimeout();
  }
  if (tcb_->reset.awaits_response() && !timers_.IsSet(Timer::kReconfig)) {
    Arm(Timer::kReconfig);
  }
}

bool Core::MaySendData() const {
  return state_ == State::kEstablished || state_ == State::kShutdownPending ||
         state_ == State::kShutdownReceived;
}

bool Core::HasSendableData() const {
  if (!MaySendData()) return false;
  const size_t flight = tcb_->outstanding.flight_bytes();
  if (flight > 0 && flight >= tcb_->congestion.cwnd()) return false;
  if (tcb_->outstanding.has_lost()) return true;
  return !queue_.empty() && (flight == 0 || flight < tcb_->peer_a_rwnd);
}

void Core::WriteData(Writer& writer) {
  if (!MaySendData()) return;
  tcb_->outstanding.BeginPacket();
  const bool was_idle = tcb_->outstanding.flight_bytes() == 0;
  size_t last_chunk = 0;  // Where the last DATA chunk begins; 0 for none.
  if (WriteLost(writer, last_chunk)) WriteNew(writer, last_chunk);
  if (last_chunk == 0) return;
  tcb_->last_data_sent = now_;
  if (!timers_.IsSet(Timer::kT3Rtx)) {
    Arm(Timer::kT3Rtx);
  }
  // The last packet for now asks for its SACK at once (RFC 7053) where no
  // second packet would call for it, or where the window is small.
  const bool small_window =
      tcb_->congestion.cwnd() < kSmallWindowPackets * mtu_;
  // Or where the end of a stream waits for it.
  if ((queue_.empty() && (was_idle || queue_.is_settling())) || small_window ||
      state_ != State::kEstablished) {
    writer.mutable_written()[last_chunk + 1] |= DataChunk::kImmediate;
  }
}

// What was lost goes first. False: it is not all sent, or the packet is full.
bool Core::WriteLost(Writer& writer, size_t& last_chunk) {
  OutstandingData& outstanding = tcb_->outstanding;
  while (const size_t size = outstanding.NextLostSize(now_)) {
    const size_t flight = outstanding.flight_bytes();
    // Section 7.2.4 rule 3: the first packet of a fast retransmission goes out
    // whatever the window says.
    if (flight > 0 && flight >= tcb_->congestion.cwnd() &&
        !tcb_->fast_retransmit) {
      return false;
    }
    if (size > writer.remaining()) {
      if (last_chunk != 0) tcb_->fast_retransmit = false;
      return false;
    }
    last_chunk = writer.size();
    const DataChunk chunk = outstanding.Resend(now_);
    chunk.Write(writer);
    ++stats_.chunks_retransmitted;
    // Section 6.3.2 rule R1 and section 7.2.4 rule 4.
    if (chunk.tsn == outstanding.cumulative_tsn_ack() + 1) {
      Arm(Timer::kT3Rtx);
    }
  }
  tcb_->fast_retransmit = false;
  return true;
}

void Core::WriteNew(Writer& writer, size_t& last_chunk) {
  OutstandingData& outstanding = tcb_->outstanding;
  if (queue_.empty()) return;
  if (outstanding.empty()) {
    tcb_->congestion.OnIdle(now_ - tcb_->last_data_sent, tcb_->rto.rto());
  }
  while (OutMessage* message = queue_.Current(now_)) {
    if (message->started && queue_.IsExpired(now_, *message)) {
      outstanding.Abandon(queue_.current_id());
      continue;
    }
    if (writer.remaining() <= DataChunk::kHeaderSize) return;
    const size_t size =
        NextFragment(*message, writer.remaining() - DataChunk::kHeaderSize);
    if (size == 0) return;
    if (outstanding.next_tsn() - outstanding.cumulative_tsn_ack() >
        options_.max_tsn_window) {
      queue_.OnWindowFull();
      return;
    }
    // Section 6.1 rules A and B. One chunk may always be in flight: towards a
    // closed window, that is the probe.
    const size_t flight = outstanding.flight_bytes();
    const size_t wire = DataChunk::kHeaderSize + PaddedSize(size);
    if (flight > 0 && (flight >= tcb_->congestion.cwnd() ||
                       flight + wire > tcb_->peer_a_rwnd)) {
      queue_.OnWindowFull();
      return;
    }
    last_chunk = writer.size();
    outstanding.Send(now_, *message, size).Write(writer);
    ++stats_.data_chunks_sent;
  }
}

// How much of a message goes into `space` bytes; 0 for nothing now.
size_t Core::NextFragment(const OutMessage& message, size_t space) const {
  const size_t rest = message.payload.size() - message.offset;
  if (rest <= space) return rest;
  const size_t largest = mtu_ - CommonHeader::kSize - DataChunk::kHeaderSize;
  // What fits into a packet of its own is not torn.
  if (rest <= largest) return 0;
  space &= ~size_t{3};
  return space >= kSmallestFragment ? space : 0;
}

}  // namespace kyuu::sctp::internal
