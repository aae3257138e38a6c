// The handshake: RFC 9260 section 5, with simultaneous open and restart.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "sctp/event.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/core.h"
#include "sctp/internal/state_cookie.h"

namespace kyuu::sctp::internal {
namespace {

// Handshakes begun anew because the peer found our echo too old.
constexpr int kMaxStaleCookies = 3;

bool IsAcceptable(const InitChunk& init) {
  // Sections 3.3.2 and 3.3.3: neither the tag nor a number of streams is 0.
  return init.initiate_tag != 0 && init.outbound_streams != 0 &&
         init.inbound_streams != 0;
}

}  // namespace

InitChunk Core::OwnInit(ChunkType type, uint32_t tag, Tsn initial_tsn) const {
  InitChunk init;
  init.type = type;
  init.initiate_tag = tag;
  init.a_rwnd = static_cast<uint32_t>(options_.receive_window_bytes);
  init.outbound_streams = options_.outgoing_streams;
  init.inbound_streams = options_.incoming_streams;
  init.initial_tsn = initial_tsn;
  init.extensions = {.forward_tsn = true, .re_config = true};
  return init;
}

// An INIT leaves nothing behind but the answer to send next: what it said is
// in the cookie (section 5.1.3).
void Core::HandleInit(const ChunkView& chunk) {
  const std::optional<InitChunk> init = InitChunk::Parse(chunk);
  if (!init || !IsAcceptable(*init)) {
    ++stats_.drop_invalid_init;
    return;
  }
  if (state_ == State::kEnded) {
    // Section 5.1: no association is wanted any more.
    if (!reply_) {
      reply_ =
          Reply{init->initiate_tag, ChunkType::kAbort, 0, std::nullopt, ""};
    }
    return;
  }
  if (state_ == State::kShutdownAckSent) {
    // Section 9.2: "it should discard the INIT chunk and retransmit the
    // SHUTDOWN ACK chunk".
    send_shutdown_ack_ = true;
    return;
  }
  StateCookie cookie;
  cookie.created = now_ + cookie_shift_;
  cookie.peer_tag = init->initiate_tag;
  cookie.peer_initial_tsn = init->initial_tsn;
  cookie.peer_a_rwnd = init->a_rwnd;
  cookie.peer_outbound_streams = init->outbound_streams;
  cookie.peer_inbound_streams = init->inbound_streams;
  cookie.peer_extensions = init->extensions;
  if (state_ <= State::kCookieEchoed) {
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
  if (tcb_) {
    // Section 5.2.2: the tags of now tell a restart from a stale cookie.
    cookie.local_tie_tag = local_tag_;
    cookie.peer_tie_tag = tcb_->peer_tag;
  }
  InitAckReply reply;
  reply.init =
      OwnInit(ChunkType::kInitAck, cookie.local_tag, cookie.local_initial_tsn);
  reply.tag = init->initiate_tag;
  reply.cookie = cookie_key_.Seal(cookie);
  for (Bytes report : init->unrecognized) {
    if (PaddedSize(reply.unrecognized.size() + report.size()) > kMaxReport) {
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
  if (state_ != State::kCookieWait) {
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
  StateCookie terms;
  terms.peer_tag = init->initiate_tag;
  terms.local_initial_tsn = local_initial_tsn_;
  terms.peer_initial_tsn = init->initial_tsn;
  terms.peer_a_rwnd = init->a_rwnd;
  terms.peer_outbound_streams = init->outbound_streams;
  terms.peer_inbound_streams = init->inbound_streams;
  terms.peer_extensions = init->extensions;
  MakeTcb(terms);
  // Section 3.2.2: reported beside the COOKIE ECHO.
  std::vector<uint8_t> unrecognized;
  for (Bytes parameter : init->unrecognized) {
    unrecognized.resize(PaddedSize(unrecognized.size()));
    unrecognized.insert(unrecognized.end(), parameter.begin(), parameter.end());
  }
  if (!unrecognized.empty()) {
    ReportError(ErrorCause::kUnrecognizedParameters, unrecognized);
  }
  state_ = State::kCookieEchoed;
  cookie_.assign(init->cookie.begin(), init->cookie.end());
  send_init_ = false;
  send_cookie_echo_ = true;
  timers_.Stop(Timer::kT1Init);
  timers_.ResetBackoff(Timer::kT1Cookie);
  Arm(Timer::kT1Cookie);
}

void Core::MakeTcb(const StateCookie& terms) {
  tcb_ = std::make_unique<Tcb>(options_, mtu_, terms, queue_, events_, stats_);
}

CookieAction Core::ClassifyCookie(const StateCookie& cookie) const {
  if (state_ == State::kClosed) return CookieAction::kEstablish;
  const bool local_matches = cookie.local_tag == local_tag_;
  if (!tcb_) {
    // COOKIE-WAIT: the peer's tag is not known yet.
    return local_matches ? CookieAction::kCollision : CookieAction::kDiscard;
  }
  const bool peer_matches = cookie.peer_tag == tcb_->peer_tag;
  if (local_matches && peer_matches) return CookieAction::kDuplicate;
  if (local_matches) {
    // Two INITs of the peer crossed ours. While the handshake goes on, the
    // later one counts; once data may have flowed, it would lose that.
    return state_ == State::kCookieEchoed ? CookieAction::kCollision
                                          : CookieAction::kDiscard;
  }
  if (!peer_matches && cookie.local_tie_tag == local_tag_ &&
      cookie.peer_tie_tag == tcb_->peer_tag) {
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
  switch (action) {
    case CookieAction::kDiscard:
      ++stats_.drop_bad_cookie;
      return;
    case CookieAction::kRestart:
      Restart(*cookie);
      return;
    case CookieAction::kEstablish:
    case CookieAction::kCollision:
      local_tag_ = cookie->local_tag;
      local_initial_tsn_ = cookie->local_initial_tsn;
      MakeTcb(*cookie);
      Establish();
      break;
    case CookieAction::kDuplicate:
      if (state_ == State::kCookieEchoed) Establish();
      break;
  }
  send_cookie_ack_ = true;
}

// Section 5.2.4 action A.
void Core::Restart(const StateCookie& cookie) {
  if (state_ == State::kShutdownAckSent) {
    reply_ = Reply{cookie.peer_tag, ChunkType::kError, 0,
                   ErrorCause::kCookieReceivedWhileShuttingDown, ""};
    send_shutdown_ack_ = true;
    return;
  }
  queue_.RestartAll();
  ++stats_.restarts;
  local_tag_ = cookie.local_tag;
  local_initial_tsn_ = cookie.local_initial_tsn;
  MakeTcb(cookie);
  queue_.set_partial_reliability(tcb_->peer_extensions.forward_tsn
                                     ? PartialReliability::kOn
                                     : PartialReliability::kOff);
  state_ = State::kEstablished;
  timers_.StopAll();
  timers_.Set(Timer::kHeartbeat, now_ + options_.heartbeat_interval);
  heartbeat_.reset();
  heartbeat_ack_.reset();
  report_.reset();
  PeerAnswered();
  send_init_ = false;
  send_cookie_echo_ = false;
  send_shutdown_ = false;
  send_shutdown_ack_ = false;
  send_cookie_ack_ = true;
  events_.Push(Restarted{Terms()});
  if (shutdown_wanted_) state_ = State::kShutdownPending;
}

void Core::HandleCookieAck() {
  // Section 5.2.5: in any other state it is discarded.
  if (state_ != State::kCookieEchoed) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  Establish();
}

Connected Core::Terms() const {
  return {
      .outgoing_streams = tcb_->outgoing_streams,
      .incoming_streams = tcb_->incoming_streams,
      .partial_reliability = tcb_->peer_extensions.forward_tsn,
      .stream_reset = tcb_->peer_extensions.re_config,
  };
}

void Core::Establish() {
  state_ = State::kEstablished;
  timers_.Stop(Timer::kT1Init);
  timers_.Stop(Timer::kT1Cookie);
  timers_.Set(Timer::kHeartbeat, now_ + options_.heartbeat_interval);
  send_init_ = false;
  send_cookie_echo_ = false;
  cookie_ = {};
  queue_.set_partial_reliability(tcb_->peer_extensions.forward_tsn
                                     ? PartialReliability::kOn
                                     : PartialReliability::kOff);
  queue_.LimitStreams(tcb_->outgoing_streams);
  events_.Push(Terms());
  if (shutdown_wanted_) {
    state_ = State::kShutdownPending;
    AdvanceShutdown();
  }
}

// The peer found the echoed cookie too old (section 5.2.6): ask for another.
void Core::HandleStaleCookie() {
  if (state_ != State::kCookieEchoed || ++stale_cookies_ > kMaxStaleCookies) {
    ++stats_.drop_unexpected_chunk;
    return;
  }
  tcb_.reset();
  state_ = State::kCookieWait;
  send_cookie_echo_ = false;
  send_init_ = true;
  timers_.Stop(Timer::kT1Cookie);
  Arm(Timer::kT1Init);
}

}  // namespace kyuu::sctp::internal
