#include "signaling/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "signaling/close_code.h"
#include "signaling/internal/json.h"
#include "signaling/internal/name.h"
#include "signaling/internal/utf8.h"

namespace kyuu::signaling {
namespace {

// Requests are numbered from 1.
constexpr absl::string_view kHelloId = "0";

// As the server does.
constexpr uint64_t kAcknowledgeEvery = 16;
// And bytes: a server keeps 256 KiB.
constexpr size_t kAcknowledgeBytes = 64 * 1024;

absl::Status UnknownCall() { return absl::NotFoundError("no such call"); }

}  // namespace

Client::Client(ClientOptions options, absl::Time now)
    : options_(std::move(options)),
      limits_(options_.limits),
      token_(options_.token) {
  SayHello(now);
}

void Client::SayHello(absl::Time now) {
  Hello hello = {kProtocolVersion, options_.client_name, token_, std::nullopt};
  if (options_.on_loss == OnLoss::kKeep) {
    hello.resume.emplace();
    if (!secret_.empty()) hello.resume = {session_, secret_, received_};
  }
  state_ = State::kHello;
  hello_ = WriteMessage(ClientMessage{std::string(kHelloId), hello});
  timers_.StopAll();
  return_at_.reset();
  timers_.Set(Timer::kHello, now + options_.request_timeout);
}

void Client::HandlePacket(absl::Time now, Packet in) {
  if (state_ == State::kClosed || state_ == State::kAway) return;
  ++stats_.messages_received;
  if (events_.size() + out_.size() > options_.max_queued) {
    return Finish(absl::ResourceExhaustedError("the server sends too much"));
  }
  CountReceived(in.size());
  absl::StatusOr<ServerMessage> message = ParseServerMessage(in, limits_);
  if (absl::IsUnimplemented(message.status())) {
    ++stats_.unknown_types;
    return;
  }
  if (!message.ok()) {
    return Finish(absl::InvalidArgumentError(
        absl::StrCat("the server does not speak kyuu's protocol: ",
                     message.status().message())));
  }
  std::visit([&](auto& body) { On(now, message->id, body); }, message->body);
  Arm();
}

void Client::CountReceived(size_t bytes) {
  if (state_ != State::kReady || secret_.empty()) return;
  ++received_;
  unacknowledged_bytes_ += bytes;
  if (received_ < received_acknowledged_ + kAcknowledgeEvery &&
      unacknowledged_bytes_ < kAcknowledgeBytes) {
    return;
  }
  unacknowledged_bytes_ = 0;
  received_acknowledged_ = received_;
  out_.push_back(WriteMessage(ClientMessage{"", Ack{received_}}));
}

void Client::HandleTimeout(absl::Time now) {
  while (const std::optional<Timer> due = timers_.PopDue(now)) {
    switch (*due) {
      case Timer::kHello:
      case Timer::kRequest:
        // An answer takes a round trip; without one the server is gone or
        // stuck.
        LoseConnection(
            now, absl::DeadlineExceededError("the server does not answer"));
        break;
      case Timer::kRing:
        EndRinging(now);
        break;
      case Timer::kDrain:
        LoseConnection(now, absl::UnavailableError("the server is going away"));
        break;
      case Timer::kCount:
        break;
    }
  }
  if (state_ == State::kReady) Arm();
}

void Client::EndRinging(absl::Time now) {
  std::vector<std::string> late;
  for (const auto& [call, record] : calls_) {
    if (record.deadline <= now) late.push_back(call);
  }
  for (const std::string& call : late) {
    // Refused only beyond max_queued, and then the connection is stuck as well.
    (void)Post(WriteMessage(ClientMessage{"", Hangup{call, "timeout"}}));
    FinishCall(call, "timeout");
  }
}

absl::Time Client::NextTimeout() const { return timers_.NextTimeout(); }

void Client::Arm() {
  absl::Time request = absl::InfiniteFuture();
  absl::Time ring = absl::InfiniteFuture();
  if (state_ == State::kReady) {
    if (!requests_.empty()) request = requests_.begin()->second.deadline;
    for (const auto& [call, record] : calls_) {
      ring = std::min(ring, record.deadline);
    }
  }
  timers_.Set(Timer::kRequest, request);
  timers_.Set(Timer::kRing, ring);
}

std::optional<Client::Packet> Client::PollTransmit(absl::Time /*now*/,
                                                   absl::Span<uint8_t>) {
  if (!hello_.empty()) return std::exchange(hello_, "");
  if (state_ != State::kReady) return std::nullopt;
  if (resent_ < sent_.messages().size()) {
    return std::string(sent_.messages()[resent_++]);
  }
  if (out_.empty()) return std::nullopt;
  std::string text = std::move(out_.front());
  out_.pop_front();
  if (!secret_.empty()) {
    sent_.Push(absl::Cord(text));
    ++resent_;
    while (sent_.bytes() > options_.max_kept_bytes) {
      sent_.Forget();
      --resent_;
    }
  }
  return text;
}

std::optional<Client::Event> Client::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Client::HandleConnectionClosed(absl::Time now, uint16_t code,
                                    const absl::Status& status) {
  switch (code) {
    case kCloseGoingAway:
    case kCloseServiceRestart:
      return LoseConnection(
          now, absl::UnavailableError("the server is shutting down"));
    case kClosePolicyViolation:
      return LoseConnection(
          now, absl::UnavailableError(
                   "the server closed the connection: policy violation"));
    case kCloseTryAgainLater:
      return LoseConnection(now, absl::UnavailableError("the server is full"));
    case kCloseResumedElsewhere:
      return Finish(absl::UnavailableError(
          "another connection has taken over this session"));
    default:
      return LoseConnection(
          now,
          absl::UnavailableError(absl::StrCat(
              "the connection to the server is lost",
              status.ok() ? "" : absl::StrCat(" (", status.message(), ")"))));
  }
}

void Client::LoseConnection(absl::Time now, absl::Status status) {
  if (state_ == State::kClosed || state_ == State::kAway) return;
  if (options_.on_loss == OnLoss::kEnd) return Finish(std::move(status));
  state_ = State::kAway;
  hello_.clear();
  timers_.StopAll();
  std::optional<absl::Duration> retry_after;
  if (return_at_.has_value()) {
    retry_after = std::max(*return_at_ - now, absl::ZeroDuration());
  }
  events_.push_back(ConnectionLost{std::move(status), retry_after});
}

absl::Status Client::HandleConnectionOpened(absl::Time now) {
  if (state_ != State::kAway) {
    return absl::FailedPreconditionError("the connection is not lost");
  }
  SayHello(now);
  return absl::OkStatus();
}

absl::Status Client::JoinRoom(absl::Time now, absl::string_view name,
                              absl::string_view room, absl::string_view meta,
                              absl::string_view secret) {
  if (state_ != State::kReady) {
    return absl::FailedPreconditionError("not connected to the server");
  }
  if (joined_ || joining_) {
    return absl::FailedPreconditionError("already in a room");
  }
  const size_t max_name = limits_.max_name_bytes;
  KYUU_RETURN_IF_ERROR(internal::PrepareName(name, max_name).status());
  if (!room.empty()) {
    KYUU_RETURN_IF_ERROR(internal::PrepareName(room, max_name).status());
  }
  if (!IsValidMeta(meta, limits_)) {
    return absl::InvalidArgumentError("metadata must be a small JSON object");
  }
  if (secret.size() > kMaxRoomSecretBytes || !internal::IsUtf8(secret)) {
    return absl::InvalidArgumentError("the room's secret cannot be used");
  }
  KYUU_RETURN_IF_ERROR(SendRequest(
      now, RequestKind::kJoin,
      {"",
       Join{std::string(name), std::string(room), meta, std::string(secret)}}));
  joining_ = true;
  name_ = std::string(name);
  return absl::OkStatus();
}

absl::Status Client::LeaveRoom(absl::Time now) {
  if (!joined_) return absl::FailedPreconditionError("not in a room");
  KYUU_RETURN_IF_ERROR(SendRequest(now, RequestKind::kLeave, {"", Leave{}}));
  joined_ = false;
  room_.clear();
  name_.clear();
  peers_.clear();
  blocked_.clear();
  while (!calls_.empty()) FinishCall(calls_.begin()->first, "hangup");
  return absl::OkStatus();
}

absl::Status Client::SetMeta(absl::Time now, absl::string_view meta) {
  if (!joined_) return absl::FailedPreconditionError("not in a room");
  if (!IsValidMeta(meta, limits_)) {
    return absl::InvalidArgumentError("metadata must be a small JSON object");
  }
  return SendRequest(now, RequestKind::kUpdate, {"", Update{meta}});
}

absl::Status Client::Find(absl::Time now, absl::string_view prefix,
                          absl::string_view meta, absl::string_view after) {
  if (!joined_) return absl::FailedPreconditionError("not in a room");
  if (!prefix.empty()) {
    KYUU_RETURN_IF_ERROR(
        internal::PrepareName(prefix, limits_.max_name_bytes).status());
  }
  if (!IsValidMeta(meta, limits_)) {
    return absl::InvalidArgumentError("metadata must be a small JSON object");
  }
  return SendRequest(
      now, RequestKind::kFind,
      {"", signaling::Find{std::string(prefix), meta, std::string(after)}});
}

absl::Status Client::Block(absl::Time now, absl::string_view name) {
  if (!joined_) return absl::FailedPreconditionError("not in a room");
  KYUU_RETURN_IF_ERROR(
      internal::PrepareName(name, limits_.max_name_bytes).status());
  return SendRequest(now, RequestKind::kBlock,
                     {"", signaling::Block{std::string(name)}});
}

absl::Status Client::Unblock(absl::Time now, absl::string_view name) {
  if (!joined_) return absl::FailedPreconditionError("not in a room");
  KYUU_RETURN_IF_ERROR(
      internal::PrepareName(name, limits_.max_name_bytes).status());
  return SendRequest(now, RequestKind::kUnblock,
                     {"", signaling::Unblock{std::string(name)}});
}

absl::Status Client::StartCall(absl::Time now, absl::string_view to,
                               absl::string_view meta) {
  if (!joined_) return absl::FailedPreconditionError("not in a room");
  KYUU_RETURN_IF_ERROR(
      internal::PrepareName(to, limits_.max_name_bytes).status());
  if (!IsValidMeta(meta, limits_)) {
    return absl::InvalidArgumentError("metadata must be a small JSON object");
  }
  if (calls_.size() >= options_.max_calls) {
    return absl::ResourceExhaustedError("too many calls");
  }
  return SendRequest(now, RequestKind::kCall, {"", Call{std::string(to), meta}},
                     std::string(to));
}

absl::Status Client::RequireCall(absl::string_view call,
                                 CallState state) const {
  const auto it = calls_.find(call);
  if (it == calls_.end()) return UnknownCall();
  if (it->second.state != state) {
    return absl::FailedPreconditionError("the call is in another state");
  }
  return absl::OkStatus();
}

absl::Status Client::AcceptCall(absl::Time /*now*/, absl::string_view call) {
  const absl::Status status = RequireCall(call, CallState::kIncoming);
  if (!status.ok()) return status;
  return Post(WriteMessage(ClientMessage{"", Accept{std::string(call)}}));
}

absl::Status Client::RejectCall(absl::Time /*now*/, absl::string_view call,
                                absl::string_view reason) {
  const absl::Status status = RequireCall(call, CallState::kIncoming);
  if (!status.ok()) return status;
  KYUU_RETURN_IF_ERROR(Post(WriteMessage(
      ClientMessage{"", Reject{std::string(call), std::string(reason)}})));
  calls_.erase(calls_.find(call));
  return absl::OkStatus();
}

absl::Status Client::EndCall(absl::Time /*now*/, absl::string_view call,
                             absl::string_view reason) {
  const auto it = calls_.find(call);
  if (it == calls_.end()) return UnknownCall();
  KYUU_RETURN_IF_ERROR(Post(WriteMessage(
      ClientMessage{"", Hangup{std::string(call), std::string(reason)}})));
  calls_.erase(it);
  return absl::OkStatus();
}

absl::Status Client::SendDescription(absl::Time /*now*/, absl::string_view call,
                                     SignalKind kind, absl::string_view sdp) {
  const bool is_rollback = kind == SignalKind::kRollback && sdp.empty();
  if ((!IsDescription(kind) && !is_rollback) || !internal::IsUtf8(sdp)) {
    return absl::InvalidArgumentError("not a description");
  }
  KYUU_RETURN_IF_ERROR(RequireCall(call, CallState::kAccepted));
  std::string text;
  internal::AppendJsonText(sdp, text);
  text = WriteMessage(ClientMessage{"", Signal{std::string(call), kind, text}});
  if (text.size() > limits_.max_message_bytes) {
    return absl::OutOfRangeError("the description is too large");
  }
  return Post(std::move(text));
}

absl::Status Client::SendCandidate(absl::Time /*now*/, absl::string_view call,
                                   const CandidateInit& candidate) {
  const absl::Status status = RequireCall(call, CallState::kAccepted);
  if (!status.ok()) return status;
  if (candidate.candidate.empty()) {
    return Post(WriteMessage(ClientMessage{
        "", Signal{std::string(call), SignalKind::kEndOfCandidates, ""}}));
  }
  std::string text = "{\"candidate\":";
  internal::AppendJsonText(candidate.candidate, text);
  if (candidate.sdp_mid.has_value()) {
    absl::StrAppend(&text, ",\"sdpMid\":");
    internal::AppendJsonText(*candidate.sdp_mid, text);
  }
  if (candidate.sdp_m_line_index.has_value()) {
    absl::StrAppend(&text, ",\"sdpMLineIndex\":", *candidate.sdp_m_line_index);
  }
  if (candidate.username_fragment.has_value()) {
    absl::StrAppend(&text, ",\"usernameFragment\":");
    internal::AppendJsonText(*candidate.username_fragment, text);
  }
  text.push_back('}');
  if (!internal::IsUtf8(text)) {
    return absl::InvalidArgumentError("not a candidate");
  }
  return Post(WriteMessage(ClientMessage{
      "", Signal{std::string(call), SignalKind::kCandidate, text}}));
}

absl::Status Client::ReportCall(absl::Time /*now*/, absl::string_view call,
                                CallOutcome outcome,
                                std::optional<absl::Duration> round_trip) {
  KYUU_RETURN_IF_ERROR(RequireCall(call, CallState::kAccepted));
  Report report{std::string(call), outcome, std::nullopt};
  if (round_trip.has_value()) {
    report.round_trip_ms = static_cast<uint64_t>(
        std::max<int64_t>(absl::ToInt64Milliseconds(*round_trip), 0));
  }
  return Post(WriteMessage(ClientMessage{"", std::move(report)}));
}

absl::Status Client::Say(absl::Time now, absl::string_view to,
                         absl::string_view data) {
  if (!joined_) return absl::FailedPreconditionError("not in a room");
  if (!to.empty()) {
    KYUU_RETURN_IF_ERROR(
        internal::PrepareName(to, limits_.max_name_bytes).status());
  }
  if (!IsValidData(data, limits_)) {
    return absl::InvalidArgumentError(
        "what is said must be a JSON value of at most 16 KiB");
  }
  return SendRequest(now, RequestKind::kSay,
                     {"", signaling::Say{std::string(to), to.empty(), data}});
}

absl::Status Client::RequestCredentials(absl::Time now) {
  if (state_ != State::kReady) {
    return absl::FailedPreconditionError("not connected to the server");
  }
  return SendRequest(now, RequestKind::kCredentials, {"", Credentials{token_}});
}

absl::Status Client::SendRequest(absl::Time now, RequestKind kind,
                                 ClientMessage message, std::string to) {
  if (requests_.size() >= options_.max_requests) {
    return absl::ResourceExhaustedError("too many requests");
  }
  message.id = absl::StrCat(next_request_);
  KYUU_RETURN_IF_ERROR(Post(WriteMessage(message)));
  requests_[next_request_++] = {kind, std::move(to),
                                now + options_.request_timeout};
  Arm();
  return absl::OkStatus();
}

absl::Status Client::Post(std::string text) {
  if (out_.size() >= options_.max_queued) {
    return absl::ResourceExhaustedError("too many messages are waiting");
  }
  out_.push_back(std::move(text));
  return absl::OkStatus();
}

std::optional<Client::Request> Client::TakeRequest(const std::string& id) {
  uint64_t number = 0;
  if (!absl::SimpleAtoi(id, &number)) return std::nullopt;
  const auto it = requests_.find(number);
  if (it == requests_.end()) return std::nullopt;
  Request request = std::move(it->second);
  requests_.erase(it);
  return request;
}

bool Client::Settle(const std::string& id, RequestKind kind) {
  uint64_t number = 0;
  const auto it =
      absl::SimpleAtoi(id, &number) ? requests_.find(number) : requests_.end();
  if (it == requests_.end() || it->second.kind != kind) {
    ++stats_.stale;
    return false;
  }
  requests_.erase(it);
  return true;
}

void Client::Finish(absl::Status status) {
  state_ = State::kClosed;
  joined_ = false;
  requests_.clear();
  timers_.StopAll();
  hello_.clear();
  out_.clear();
  events_.push_back(ClientClosed{std::move(status)});
}

std::string Client::DebugString() const {
  const char* state = state_ == State::kHello   ? "hello"
                      : state_ == State::kReady ? "ready"
                      : state_ == State::kAway  ? "away"
                                                : "closed";
  return absl::StrCat("signaling client ", state, joined_ ? ", joined " : "",
                      room_, ", ", peers_.size(), " peers, ", calls_.size(),
                      " calls, ", requests_.size(), " requests, next timeout ",
                      absl::FormatTime(NextTimeout()));
}

}  // namespace kyuu::signaling
