// Transmission: what goes into the next packet, in which order (RFC 9260
// sections 6.1, 6.10 and 7.2).

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
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
#include "sctp/internal/init_terms.h"

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
// A RE-CONFIG with the answer that grants a reset of the association.
constexpr size_t kGrantSize = 4 + 20;

// Whether the duty was due; it is done now.
bool Take(Duty& duty) { return std::exchange(duty, Duty::kDone) == Duty::kDue; }

}  // namespace

std::optional<Bytes> Core::PollTransmit(absl::Time now,
                                        absl::Span<uint8_t> out) {
  Clamp(now);
  if (out.size() < mtu_) return std::nullopt;
  Tcb* tcb = FindTcb();
  const size_t probe = ProbeDue(out.size());
  sent_probe_ = probe != 0;
  const size_t size = sent_probe_      ? probe
                      : tcb == nullptr ? mtu_
                                       : tcb->path_mtu.size();
  Writer writer(out.first(std::min(size, out.size())));
  bool unchecked = false;
  if (!WriteReply(writer) && !WriteInit(writer)) {
    if (tcb == nullptr) return std::nullopt;
    CommonHeader{options_.local_port, options_.remote_port, tcb->peer_tag}
        .Write(writer);
    // RFC 9653 section 5.2: not with a COOKIE ECHO.
    unchecked = tcb->sends_zero_checksum && !tcb->In<state::CookieEchoed>();
    if (sent_probe_) {
      WriteProbe(*tcb, writer);
    } else {
      WriteChunks(*tcb, writer);
    }
    if (writer.size() == CommonHeader::kSize) return std::nullopt;
  }
  if (!unchecked) FinishPacket(writer.mutable_written());
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
  auto* wait = std::get_if<state::CookieWait>(&state_);
  if (wait == nullptr || !Take(wait->init)) return false;
  // Section 8.5.1 rule A: an INIT has no tag to send to yet.
  CommonHeader{options_.local_port, options_.remote_port, 0}.Write(writer);
  InitChunk init = OwnInit(options_, local_tag_, local_initial_tsn_);
  // Told once: there are peers that take no INIT with a parameter unknown to
  // them, against RFC 9260 section 3.2.1.
  if (options_.zero_checksum && wait->inits_sent == 0) {
    init.extensions.zero_checksum = true;
    zero_checksum_ = ZeroChecksum::kAccepted;
  }
  ++wait->inits_sent;
  init.Write(writer);
  return true;
}

// The size of the probe that is to leave now; 0 for none. Answers go first.
size_t Core::ProbeDue(size_t space) const {
  const Tcb* tcb = FindTcb();
  if (tcb == nullptr || !tcb->carries_data() || init_ack_ || reply_) return 0;
  const size_t due = tcb->path_mtu.probe_due();
  return due <= space ? due : 0;
}

// RFC 8899 section 6.2.1.2: a HEARTBEAT, and padding up to the size (RFC 4820
// section 3), which nobody answers.
void Core::WriteProbe(Tcb& tcb, Writer& writer) {
  std::array<uint8_t, 8> info{};
  const uint64_t nonce = random_.U64();
  Writer(absl::MakeSpan(info)).U64(nonce);
  HeartbeatChunk{ChunkType::kHeartbeat, info}.Write(writer);
  {
    const ChunkWriter pad(writer, ChunkType::kPad);
    writer.Zeros(writer.remaining());
  }
  ++stats_.mtu_probes_sent;
  tcb.path_mtu.OnProbeSent(now_, nonce, tcb.rto.rto());
  ArmPathMtu(tcb);
}

void Core::WriteChunks(Tcb& tcb, Writer& writer) {
  if (auto* echoed = std::get_if<state::CookieEchoed>(&tcb.phase)) {
    // Section 5.1 D: data may ride behind the cookie, and nothing else may
    // leave until the COOKIE ACK.
    if (!Take(echoed->cookie_echo)) return;
    CookieEchoChunk{echoed->cookie}.Write(writer);
    WriteReport(tcb, writer);
    WriteData(tcb, writer);
    return;
  }
  const Writer empty = writer;
  // A grant alone would be for nothing.
  const auto drop_lone_grant = [&] {
    if (writer.size() == CommonHeader::kSize + kGrantSize &&
        tcb.reset.TakeGrantWritten()) {
      writer = empty;
    }
  };
  WriteControl(tcb, writer);
  WriteData(tcb, writer);
  drop_lone_grant();
  // The last message may just have been given up.
  AdvanceShutdown(tcb);
  if (writer.size() > CommonHeader::kSize) return;
  WriteControl(tcb, writer);
  drop_lone_grant();
}

// Control chunks go in front of data (section 6.10).
void Core::WriteControl(Tcb& tcb, Writer& writer) {
  if (Take(tcb.cookie_ack)) WriteEmptyChunk(writer, ChunkType::kCookieAck);
  WriteSack(tcb, writer);
  WriteHeartbeat(tcb, writer);
  WriteReport(tcb, writer);
  WriteGrant(tcb, writer);
  WriteForwardTsn(tcb, writer);
  WriteReconfig(tcb, writer);
  auto* sent = std::get_if<state::ShutdownSent>(&tcb.phase);
  if (sent != nullptr && writer.remaining() >= 8 && Take(sent->shutdown)) {
    ShutdownChunk{tcb.tracker.cumulative_tsn()}.Write(writer);
  }
  auto* ack = std::get_if<state::ShutdownAckSent>(&tcb.phase);
  if (ack != nullptr && writer.remaining() >= 4 && Take(ack->shutdown_ack)) {
    WriteEmptyChunk(writer, ChunkType::kShutdownAck);
  }
}

void Core::WriteSack(Tcb& tcb, Writer& writer) {
  DataTracker& tracker = tcb.tracker;
  const bool due =
      tracker.sack_due() == DataTracker::Due::kNow ||
      // A SACK that may wait rides along with data.
      (tracker.sack_due() == DataTracker::Due::kLater && HasSendableData(tcb));
  if (!due || writer.remaining() < SackChunk::kHeaderSize) return;
  tcb.advertised_rwnd = a_rwnd(tcb);
  tracker
      .TakeSack(static_cast<uint32_t>(tcb.advertised_rwnd), writer.remaining())
      .Write(writer);
  tcb.received_since_sack = 0;
  timers_.Stop(Timer::kSack);
}

void Core::WriteReport(Tcb& tcb, Writer& writer) {
  if (!tcb.report ||
      writer.remaining() < 8 + PaddedSize(tcb.report->information.size())) {
    return;
  }
  WriteCauseChunk(writer, ChunkType::kError, 0, tcb.report->cause,
                  tcb.report->information);
  tcb.report.reset();
}

// What an ABORT leaves behind for a peer that has closed its channels: that its
// data and its reset have arrived (RFC 9260 section 3.3.7 allows control chunks
// in front of an ABORT).
std::vector<uint8_t> Core::LastControl(Tcb& tcb) {
  std::array<uint8_t, kMaxLastControl> buffer{};
  Writer writer(absl::MakeSpan(buffer));
  if (tcb.tracker.sack_due() != DataTracker::Due::kNot) {
    tcb.tracker.RequireSackNow();
    WriteSack(tcb, writer);
  }
  const ReconfigChunk answers = tcb.reset.TakeAnswers();
  if (!answers.parameters.empty() &&
      writer.remaining() >= 4 + 12 * answers.parameters.size()) {
    answers.Write(writer);
  }
  const Bytes written = writer.written();
  return {written.begin(), written.end()};
}

void Core::WriteHeartbeat(Tcb& tcb, Writer& writer) {
  if (tcb.heartbeat_ack &&
      writer.remaining() >= 8 + PaddedSize(tcb.heartbeat_ack->size())) {
    HeartbeatChunk{ChunkType::kHeartbeatAck, *tcb.heartbeat_ack}.Write(writer);
    tcb.heartbeat_ack.reset();
  }
  if (tcb.heartbeat && writer.remaining() >= 16 && Take(tcb.heartbeat->due)) {
    std::array<uint8_t, 8> info{};
    Writer(absl::MakeSpan(info)).U64(tcb.heartbeat->nonce);
    HeartbeatChunk{ChunkType::kHeartbeat, info}.Write(writer);
  }
}

// Where there is no room for it, what it must come before waits as well: the
// next packet has both.
void Core::WriteGrant(Tcb& tcb, Writer& writer) {
  const OutstandingData& outstanding = tcb.outstanding;
  tcb.reset.TakeGrantWritten();
  if (!outstanding.ShouldForward() && !HasSendableData(tcb)) return;
  Writer whole(writer);
  if (const auto grant =
          tcb.reset.OfferGrant(outstanding.cumulative_tsn_ack())) {
    grant->Write(whole);
    if (!whole.ok()) return;
    writer = whole;
    tcb.reset.OnGrantWritten();
  }
}

// RFC 3758 section 3.5: about what is new, and again when there is a reason.
void Core::WriteForwardTsn(Tcb& tcb, Writer& writer) {
  const OutstandingData& outstanding = tcb.outstanding;
  if (tcb.reset.grant_due()) return;
  if (tcb.forward_version == outstanding.forward_version() &&
      !tcb.forward_again) {
    return;
  }
  if (!outstanding.ShouldForward()) {
    tcb.forward_version = outstanding.forward_version();
    tcb.forward_again = false;
    return;
  }
  if (writer.remaining() < ForwardTsnChunk::kHeaderSize +
                               ForwardTsnChunk::EntrySize(tcb.forward_type())) {
    return;
  }
  const ForwardTsnChunk forward = outstanding.Forward(writer.remaining());
  tcb.forward_version = outstanding.forward_version();
  if (!tcb.forward_again && forward.new_cumulative_tsn <= tcb.forwarded_to) {
    return;
  }
  tcb.forward_again = false;
  tcb.forwarded_to = forward.new_cumulative_tsn;
  tcb.last_forward = now_;
  forward.Write(writer);
  if (!timers_.IsSet(Timer::kT3Rtx)) ArmT3(tcb);
}

void Core::WriteReconfig(Tcb& tcb, Writer& writer) {
  // The fixed parts of a RE-CONFIG with a request and an answer.
  constexpr size_t kFixedSize = 4 + 16 + 20;
  tcb.reset.Ripen(now_);
  timers_.Set(Timer::kResetDelay, tcb.reset.next_begin());
  if (!tcb.reset.HasOutput() || writer.remaining() < kFixedSize + 4) return;
  // usrsctp, and with it libdatachannel, reads no parameter beyond 512 bytes,
  // and asks for as many itself.
  constexpr size_t kStreamsMax = 200;
  // A request that does not fit beside other chunks goes alone.
  const size_t most =
      std::min(kStreamsMax, (mtu_ - CommonHeader::kSize - kFixedSize) / 2);
  if (writer.size() > CommonHeader::kSize && writer.remaining() < mtu_ / 2) {
    return;
  }
  Writer whole(writer);
  tcb.reset
      .Build(tcb.outstanding.next_tsn(),
             std::min(most, (writer.remaining() - kFixedSize) / 2))
      .Write(whole);
  if (whole.ok()) {
    writer = whole;
  } else {
    tcb.reset.OnUnsent();
  }
  if (tcb.reset.awaits_response() && !timers_.IsSet(Timer::kReconfig)) {
    Arm(Timer::kReconfig);
  }
}

bool Core::MayTransmit(const Tcb& tcb, Payload payload, size_t size) const {
  return WindowAllows(tcb, payload, size) &&
         (now_ >= tcb.pacer.release() ||
          (payload == Payload::kLost && tcb.fast_retransmit));
}

bool Core::WindowAllows(const Tcb& tcb, Payload payload, size_t size) const {
  // In COOKIE-ECHOED the only packet is that of the cookie.
  if (!tcb.carries_data() && !tcb.In<state::CookieEchoed>()) return false;
  const OutstandingData& outstanding = tcb.outstanding;
  const size_t flight = outstanding.flight_bytes();
  if (payload == Payload::kNew) {
    if (outstanding.next_tsn() - outstanding.cumulative_tsn_ack() >
        options_.max_tsn_window) {
      return false;
    }
    // Section 6.1 rule A. One chunk may be in flight whatever the window is:
    // that is the probe.
    if (flight + size > tcb.peer_a_rwnd &&
        (flight > 0 || now_ < tcb.window_probe_at)) {
      return false;
    }
  } else if (tcb.fast_retransmit) {
    // Section 7.2.4 rule 3: the first packet of a fast retransmission goes out
    // whatever the window says.
    return true;
  }
  // Rule B, and section 7.2.1.
  return flight == 0 || flight < tcb.congestion.cwnd();
}

bool Core::HasSendableData(const Tcb& tcb) const {
  if (tcb.outstanding.has_lost()) return MayTransmit(tcb, Payload::kLost, 1);
  return !queue_.empty() && MayTransmit(tcb, Payload::kNew, 1);
}

void Core::WriteData(Tcb& tcb, Writer& writer) {
  if (tcb.reset.grant_due()) return;
  tcb.outstanding.BeginPacket();
  const bool was_idle = tcb.outstanding.flight_bytes() == 0;
  if (queue_.buffered_bytes() > tcb.path_mtu.size()) {
    tcb.path_mtu.OnDemand(now_);
  }
  size_t last_chunk = 0;  // Where the last DATA chunk begins; 0 for none.
  // What was lost goes in packets that every path carries.
  if (WriteLost(tcb, writer, last_chunk) &&
      (last_chunk == 0 || tcb.path_mtu.size() == mtu_)) {
    WriteNew(tcb, writer, last_chunk);
  }
  absl::Time wake = tcb.pacer.release();
  if (!queue_.empty() && tcb.outstanding.flight_bytes() == 0) {
    wake = std::max(wake, tcb.window_probe_at);
  }
  if (wake > now_) timers_.Set(Timer::kPacing, wake);
  if (queue_.empty() && !tcb.outstanding.has_lost() &&
      tcb.outstanding.flight_bytes() < tcb.congestion.cwnd()) {
    tcb.outstanding.LimitedByApplication();
  }
  if (last_chunk == 0) return;
  if (!timers_.IsSet(Timer::kT3Rtx)) ArmT3(tcb);
  tcb.sack_asked = false;
  // The last packet for now asks for its SACK at once (RFC 7053) where no
  // second packet would call for it, or where the window is small.
  const bool small_window = tcb.congestion.cwnd() < kSmallWindowPackets * mtu_;
  // Or where the end of a stream waits for it.
  if ((queue_.empty() && (was_idle || queue_.is_settling())) || small_window ||
      !tcb.In<state::Established>()) {
    writer.mutable_written()[last_chunk + 1] |= DataChunk::kImmediate;
    tcb.sack_asked = true;
  }
  ArmTailLoss(tcb);
}

// What was lost goes first. False: it is not all sent, or the packet is full.
bool Core::WriteLost(Tcb& tcb, Writer& writer, size_t& last_chunk) {
  OutstandingData& outstanding = tcb.outstanding;
  while (const size_t size = outstanding.NextLostSize(now_)) {
    if (!MayTransmit(tcb, Payload::kLost, size)) return false;
    if (writer.size() + size > mtu_) {
      if (last_chunk != 0) tcb.fast_retransmit = false;
      return false;
    }
    last_chunk = writer.size();
    const DataChunk chunk = outstanding.Resend(now_);
    chunk.Write(writer);
    OnSent(tcb, size, SentSample::Before::kBusy);
    ++stats_.chunks_retransmitted;
    // Section 6.3.2 rule R1 and section 7.2.4 rule 4.
    if (chunk.tsn == outstanding.cumulative_tsn_ack() + 1) ArmT3(tcb);
  }
  tcb.fast_retransmit = false;
  return true;
}

void Core::WriteNew(Tcb& tcb, Writer& writer, size_t& last_chunk) {
  OutstandingData& outstanding = tcb.outstanding;
  if (queue_.empty()) return;
  while (OutMessage* message = queue_.Current(now_)) {
    if (message->started && queue_.IsExpired(now_, *message)) {
      outstanding.Abandon(queue_.current_id());
      continue;
    }
    const size_t header = outstanding.header_size();
    if (writer.remaining() <= header) return;
    const size_t size = NextFragment(*message, header, writer.remaining());
    if (size == 0) return;
    // A message that was begun could not be put off to another handshake.
    if (tcb.In<state::CookieEchoed>() && !message->ends_with(size)) return;
    const size_t wire = header + PaddedSize(size);
    if (!MayTransmit(tcb, Payload::kNew, wire)) return;
    if (wire > tcb.peer_a_rwnd && outstanding.flight_bytes() == 0) {
      tcb.window_probe_at =
          now_ + std::min(tcb.rto.rto() * (2 << std::min(tcb.window_probes, 8)),
                          options_.rto_max);
      ++tcb.window_probes;
    }
    last_chunk = writer.size();
    const auto before = outstanding.empty() ? SentSample::Before::kIdle
                                            : SentSample::Before::kBusy;
    outstanding.Send(now_, *message, size).Write(writer);
    OnSent(tcb, wire, before);
    ++stats_.data_chunks_sent;
  }
}

// What rides behind a cookie is repeated with it, by T1.
void Core::ArmT3(const Tcb& tcb) {
  if (!tcb.In<state::CookieEchoed>()) Arm(Timer::kT3Rtx);
}

void Core::OnSent(Tcb& tcb, size_t size, SentSample::Before before) {
  tcb.congestion.OnSent({now_, size, before, tcb.rto.rto()});
  tcb.pacer.OnSent(now_, size, tcb.congestion.pacing_rate());
}

// How much of a message goes into `space` bytes beside its `header`; 0 for
// nothing now.
size_t Core::NextFragment(const OutMessage& message, size_t header,
                          size_t space) const {
  const Tcb* tcb = FindTcb();
  const size_t in_front =
      CommonHeader::kSize +
      (tcb != nullptr && tcb->reset.grants() ? kGrantSize : 0);
  const size_t largest = mtu_ - in_front - header;
  space = std::min(space - header, largest);
  const size_t rest = message.sendable();
  if (rest <= space) return rest;
  // What fits into a packet of its own is not torn.
  if (rest <= largest) return 0;
  space &= ~size_t{3};
  return space >= kSmallestFragment ? space : 0;
}

}  // namespace kyuu::sctp::internal
