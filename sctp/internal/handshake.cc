// The handshake: RFC 9260 section 5, with simultaneous open and restart.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "sctp/event.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/core.h"
#include "sctp/internal/init_terms.h"
#include "sctp/internal/state_cookie.h"

namespace kyuu::sctp::internal {
namespace {

// Handshakes begun anew because the peer found our echo too old.
constexpr int kMaxStaleCookies = 3;

}  // namespace

absl::Status Core::ConnectWith(absl::Time now, Bytes local, Bytes remote) {
  Clamp(now);
  if (!In<state::Closed>()) {
    return absl::FailedPreconditionError("the association has begun already");
  }
  KYUU_ASSIGN_OR_RETURN(const InitChunk ours, ReadInit(local));
  KYUU_ASSIGN_OR_RETURN(const InitChunk theirs, ReadInit(remote));
  local_tag_ = ours.initiate_tag;
  local_initial_tsn_ = ours.initial_tsn;
  if (ours.extensions.zero_checksum) zero_checksum_ = ZeroChecksum::kAccepted;
  StateCookie terms = TermsOfPeer(theirs);
  terms.local_tag = local_tag_;
  terms.local_initial_tsn = local_initial_tsn_;
  Tcb& tcb = MakeTcb(terms, std::nullopt, state::Established());
  Establish(tcb, Afterwards::kStay);
  return absl::OkStatus();
}

// An INIT leaves nothing behind but the answer to send next: what it said is
// in the cookie (section 5.1.3).
void Core::HandleInit(const ChunkView& chunk) {
  const std::optional<InitChunk> init = InitChunk::Parse(chunk);
  if (!init || !IsAcceptable(*init)) {
    ++stats_.drop_invalid_init;
    return;
  }
  if (In<state::Ended>()) {
    // Section 5.1: no association is wanted any more.
    if (!reply_) {
      reply_ =
          Reply{init->initiate_tag, ChunkType::kAbort, 0, std::nullopt, ""};
    }
    return;
  }
  Tcb* tcb = FindTcb();
  if (tcb != nullptr) {
    if (auto* sent = std::get_if<state::ShutdownAckSent>(&tcb->phase)) {
      // Section 9.2: "it should discard the INIT chunk and retransmit the
      // SHUTDOWN ACK chunk".
      sent->shutdown_ack = Duty::kDue;
      return;
    }
  }
  StateCookie cookie = TermsOfPeer(*init);
  cookie.created = now_ + cookie_shift_;
  if (tcb == nullptr || tcb->In<state::CookieEchoed>()) {
    // Section 5.2.1: both opened at once; the answer repeats our own INIT. If
    // that is yet to come, it will say what this answer says.
    cookie.local_tag = local_tag_;
    cookie.local_initial_tsn = local_initial_tsn_;
  } else {
    do {
      cookie.local_tag = random_.U32();
    } while (cookie.local_tag == 0 || cookie.local_tag == local_tag_);
    cookie.local_initial_tsn = Tsn(random_.U32());
  }
  if (tcb != nullptr) {
    // Section 5.2.2: the tags of now tell a restart from a stale cookie.
    cookie.local_tie_tag = local_tag_;
    cookie.peer_tie_tag = tcb->peer_tag;
  }
  InitAckReply reply;
  reply.init = OwnInit(options_, cookie.local_tag, cookie.local_initial_tsn);
  reply.init.type = ChunkType::kInitAck;
  // Who has not heard of it might refuse it (RFC 9653 has it as an option).
  reply.init.extensions.zero_checksum =
      options_.zero_checksum && init->extensions.zero_checksum;
  reply.tag = init->initiate_tag;
  reply.cookie = cookie_key_.Seal(cookie);
  for (Bytes report : init->unrecognized) {
    if (PaddedSize(reply.unrecognized.size() + report.size()) >
        Tcb::kMaxReport) {
      ++stats_.drop_oversized_reply;
      break;
    }
    reply.unrecognized.resize(PaddedSize(reply.unrecognized.size()));
    reply.unrecognized.insert(reply.unrecognized.end(), report.begin(),
                              report.end());
  }
  init_ack_ = std::move(reply);
}

void Core::HandleInitAck(const ChunkView& chunk) {
  const auto* wait = std::get_if<state::CookieWait>(&state_);
  if (wait == nullptr) {
    // Section 5.2.3.
    ++stats_.drop_unexpected_chunk;
    return;
  }
  const std::optional<InitChunk> init = InitChunk::Parse(chunk);
  if (!init) {
    ++stats_.drop_malformed_chunk;
    return;
  }
  if (!IsAcceptable(*init)) {
    ++stats_.drop_invalid_init;
    End(absl::AbortedError("the peer's INIT ACK has a tag or streams of 0"));
    return;
  }
  const bool too_long =
      CommonHeader::kSize + kChunkHeaderSize + PaddedSize(init->cookie.size()) >
      mtu_;
  if (init->cookie.empty() || too_long) {
    ++stats_.drop_invalid_init;
    End(absl::AbortedError("the peer's INIT ACK has no usable cookie"));
    // Section 3.3.10.2: one parameter is missing, number 7.
    const uint8_t missing[] = {0, 0, 0, 1, 0, 7};
    reply_ = Reply{init->initiate_tag, ChunkType::kAbort, 0,
                   ErrorCause::kMissingMandatoryParameter,
                   std::string(AsText(missing))};
    return;
  }
  StateCookie terms = TermsOfPeer(*init);
  terms.local_initial_tsn = local_initial_tsn_;
  state::CookieEchoed echoed{
      .afterwards = wait->afterwards,
      .stale_cookies = wait->stale_cookies,
      .cookie = {init->cookie.begin(), init->cookie.end()}};
  Tcb& tcb = MakeTcb(terms, TakeBegun(), std::move(echoed));
  // Section 3.2.2: reported beside the COOKIE ECHO.
  std::vector<uint8_t> unrecognized;
  for (Bytes parameter : init->unrecognized) {
    unrecognized.resize(PaddedSize(unrecognized.size()));
    unrecognized.insert(unrecognized.end(), parameter.begin(), parameter.end());
  }
  if (!unrecognized.empty()) {
    ReportError(tcb, ErrorCause::kUnrecognizedParameters, unrecognized);
  }
  timers_.Stop(Timer::kT1Init);
  timers_.ResetBackoff(Timer::kT1Cookie);
  Arm(Timer::kT1Cookie);
}

Tcb& Core::MakeTcb(const StateCookie& terms,
                   std::optional<OutstandingData> begun, Phase phase) {
  const TcbOwner owner{options_, queue_, events_, stats_, mtu_, max_mtu_};
  Tcb& tcb = state_.emplace<Tcb>(owner, now_, terms, std::move(begun),
                                 std::move(phase));
  queue_.set_partial_reliability(tcb.partial_reliability()
                                     ? PartialReliability::kOn
                                     : PartialReliability::kOff);
  queue_.LimitStreams(tcb.streams.outgoing());
  // Whatever else is held at the peer, what is begun can be finished.
  queue_.set_mix_limit(
      tcb.data_type == ChunkType::kIData ? terms.peer_a_rwnd / 2 + 1 : 0);
  return tcb;
}

// What was sent behind a cookie that came to nothing. The peer has thrown it
// away with the cookie, or never got it.
std::optional<OutstandingData> Core::TakeBegun() {
  if (auto* wait = std::get_if<state::CookieWait>(&state_)) {
    return std::exchange(wait->begun, std::nullopt);
  }
  Tcb* tcb = FindTcb();
  if (tcb == nullptr) return std::nullopt;
  OutstandingData begun = std::move(tcb->outstanding);
  begun.OnTimeout();
  return begun;
}

CookieAction Core::ClassifyCookie(const StateCookie& cookie) const {
  if (In<state::Closed>()) return CookieAction::kEstablish;
  const bool local_matches = cookie.local_tag == local_tag_;
  const Tcb* tcb = FindTcb();
  if (tcb == nullptr) {
    // COOKIE-WAIT: the peer's tag is not known yet.
    return local_matches ? CookieAction::kCollision : CookieAction::kDiscard;
  }
  const bool peer_matches = cookie.peer_tag == tcb->peer_tag;
  if (local_matches && peer_matches) return CookieAction::kDuplicate;
  if (local_matches) {
    // Two INITs of the peer crossed ours. While the handshake goes on, the
    // later one counts; once data may have flowed, it would lose that.
    return tcb->In<state::CookieEchoed>() ? CookieAction::kCollision
                                          : CookieAction::kDiscard;
  }
  if (!peer_matches && cookie.local_tie_tag == local_tag_ &&
      cookie.peer_tie_tag == tcb->peer_tag) {
    return CookieAction::kRestart;
  }
  return CookieAction::kDiscard;
}

void Core::HandleCookieEcho(const CommonHeader& header,
                            const ChunkView& chunk) {
  const std::optional<StateCookie> cookie =
      cookie_key_.Open(CookieEchoChunk::Parse(chunk).cookie);
  // Section 5.1.5 rule 4: the tag of the packet is the one in the cookie.
  if (!cookie || cookie->local_tag != header.verification_tag) {
    ++stats_.drop_bad_cookie;
    return;
  }
  const CookieAction action = ClassifyCookie(*cookie);
  // Rule 5; a duplicate says nothing new, however old it is (section 5.2.4).
  const absl::Duration age = now_ + cookie_shift_ - cookie->created;
  if (age > options_.cookie_lifetime && action != CookieAction::kDuplicate) {
    ++stats_.drop_bad_cookie;
    std::array<uint8_t, 4> staleness{};
    Writer(absl::MakeSpan(staleness))
        .U32(static_cast<uint32_t>(std::min<int64_t>(
            absl::ToInt64Microseconds(age - options_.cookie_lifetime),
            UINT32_MAX)));
    reply_ = Reply{cookie->peer_tag, ChunkType::kError, 0,
                   ErrorCause::kStaleCookie, std::string(AsText(staleness))};
    return;
  }
  const Afterwards afterwards =
      is_ending() ? Afterwards::kShutDown : Afterwards::kStay;
  Tcb* tcb = FindTcb();
  switch (action) {
    case CookieAction::kDiscard:
      ++stats_.drop_bad_cookie;
      return;
    case CookieAction::kRestart:
      Restart(*tcb, *cookie);
      return;
    case CookieAction::kEstablish:
    case CookieAction::kCollision:
      local_tag_ = cookie->local_tag;
      local_initial_tsn_ = cookie->local_initial_tsn;
      tcb = &MakeTcb(*cookie, TakeBegun(), state::Established());
      Establish(*tcb, afterwards);
      break;
    case CookieAction::kDuplicate:
      if (tcb->In<state::CookieEchoed>()) Establish(*tcb, afterwards);
      break;
  }
  tcb->cookie_ack = Duty::kDue;
}

// Section 5.2.4 action A.
void Core::Restart(Tcb& old, const StateCookie& cookie) {
  if (auto* sent = std::get_if<state::ShutdownAckSent>(&old.phase)) {
    reply_ = Reply{cookie.peer_tag, ChunkType::kError, 0,
                   ErrorCause::kCookieReceivedWhileShuttingDown, ""};
    sent->shutdown_ack = Duty::kDue;
    return;
  }
  queue_.RestartAll();
  events_.ForgetDeliveries();
  ++stats_.restarts;
  local_tag_ = cookie.local_tag;
  local_initial_tsn_ = cookie.local_initial_tsn;
  Phase phase = state::Established();
  if (is_ending()) phase = state::ShutdownPending();
  Tcb& tcb = MakeTcb(cookie, std::nullopt, std::move(phase));
  timers_.StopAll();
  timers_.Set(Timer::kHeartbeat, now_ + options_.heartbeat_interval);
  tcb.cookie_ack = Duty::kDue;
  events_.Push(Restarted{tcb.terms()});
}

void Core::HandleCookieAck(Tcb& tcb) {
  const auto* echoed = std::get_if<state::CookieEchoed>(&tcb.phase);
  // Section 5.2.5: in any other state it is discarded.
  if (echoed == nullptr) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  Establish(tcb, echoed->afterwards);
}

void Core::Establish(Tcb& tcb, Afterwards afterwards) {
  timers_.Stop(Timer::kT1Init);
  timers_.Stop(Timer::kT1Cookie);
  timers_.Set(Timer::kHeartbeat, now_ + options_.heartbeat_interval);
  if (!tcb.outstanding.empty()) Arm(Timer::kT3Rtx);
  events_.Push(tcb.terms());
  if (afterwards == Afterwards::kStay) {
    tcb.phase = state::Established();
  } else {
    tcb.phase = state::ShutdownPending();
    AdvanceShutdown(tcb);
  }
}

// The peer found the echoed cookie too old (section 5.2.6): ask for another.
void Core::HandleStaleCookie(Tcb& tcb) {
  const auto* echoed = std::get_if<state::CookieEchoed>(&tcb.phase);
  if (echoed == nullptr || echoed->stale_cookies >= kMaxStaleCookies) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  state::CookieWait wait{.afterwards = echoed->afterwards,
                         .stale_cookies = echoed->stale_cookies + 1,
                         .begun = TakeBegun()};
  state_.emplace<state::CookieWait>(std::move(wait));
  timers_.Stop(Timer::kT1Cookie);
  Arm(Timer::kT1Init);
}

}  // namespace kyuu::sctp::internal
