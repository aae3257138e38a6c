// What the signaling client makes of each message of the server.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "signaling/client.h"
#include "signaling/internal/json.h"

namespace kyuu::signaling {
namespace {

// Nobody is to be sent away for longer.
constexpr absl::Duration kReturnMax = absl::Hours(1);

// What to tell a person about a call that ended.
std::string EndText(absl::string_view peer, absl::string_view reason) {
  if (reason == "hangup") return absl::StrCat(peer, " hung up");
  if (reason == "done") return absl::StrCat(peer, " is done");
  if (reason == "page") {
    return absl::StrCat(peer, " closed or reloaded the page");
  }
  if (reason == "declined") return absl::StrCat(peer, " declined");
  if (reason == "busy") return absl::StrCat(peer, " is busy");
  if (reason == "unsupported") {
    return absl::StrCat("the program of ", peer,
                        " does not take calls of this kind");
  }
  if (reason == "timeout") return absl::StrCat(peer, " did not answer");
  if (reason == "peer_left") return absl::StrCat(peer, " left");
  if (reason == "peer_lost") {
    return absl::StrCat(peer, " lost the connection to the server");
  }
  if (reason == "failed") {
    return absl::StrCat("no connection to ", peer, " could be made");
  }
  return absl::StrCat("the call with ", peer, " ended: ", reason);
}

// The status of a join or call that the server refused.
absl::Status RefusalStatus(const Error& error, absl::string_view subject) {
  switch (error.code) {
    case ErrorCode::kNameTaken:
      return absl::AlreadyExistsError(absl::StrCat(
          "the name \"", subject, "\" is taken; choose another one"));
    case ErrorCode::kInvalidName:
      return absl::InvalidArgumentError(absl::StrCat(
          "the name \"", subject, "\" cannot be used: ", error.message));
    case ErrorCode::kNotFound:
      return absl::NotFoundError(absl::StrCat("\"", subject, "\" is not here"));
    case ErrorCode::kRoomFull:
    case ErrorCode::kServerFull:
    case ErrorCode::kTooManyCalls:
    case ErrorCode::kRateLimited:
      return absl::ResourceExhaustedError(error.message);
    case ErrorCode::kForbidden:
    case ErrorCode::kWrongSecret:
      return absl::PermissionDeniedError(error.message);
    default:
      return absl::FailedPreconditionError(
          absl::StrCat(error.message, " (", ErrorCodeName(error.code), ")"));
  }
}

// Reads an RTCIceCandidateInit; nullopt if it is none.
std::optional<CandidateInit> ReadCandidate(RawJson text) {
  const auto object = internal::JsonObject::Parse(text, {});
  if (!object.ok()) return std::nullopt;
  const auto text_of = [&](absl::string_view name) {
    const std::optional<internal::JsonValue> value = object->Find(name);
    return value.has_value() ? internal::JsonText(*value) : std::nullopt;
  };
  CandidateInit init;
  std::optional<std::string> candidate = text_of("candidate");
  if (!candidate.has_value()) return std::nullopt;
  init.candidate = *std::move(candidate);
  init.sdp_mid = text_of("sdpMid");
  init.username_fragment = text_of("usernameFragment");
  if (const auto index = object->Find("sdpMLineIndex")) {
    const std::optional<int64_t> number = internal::JsonInteger(*index);
    if (number.has_value() && *number >= 0 && *number <= 0xffff) {
      init.sdp_m_line_index = static_cast<int>(*number);
    }
  }
  return init;
}

}  // namespace

void Client::On(absl::Time now, const std::string&, Welcome& message) {
  if (state_ != State::kHello) {
    ++stats_.stale;
    return;
  }
  if (message.version != kProtocolVersion) {
    return Finish(absl::InvalidArgumentError(absl::StrCat(
        "the server speaks version ", message.version,
        " of the protocol, this program version ", kProtocolVersion)));
  }
  timers_.Stop(Timer::kHello);
  state_ = State::kReady;
  // Depth and members stay ours: they bound what a message costs to read.
  limits_.max_message_bytes = message.limits.max_message_bytes;
  limits_.max_name_bytes = message.limits.max_name_bytes;
  limits_.max_meta_bytes = message.limits.max_meta_bytes;
  ice_servers_ = message.ice_servers;
  if (message.resume.has_value() && !secret_.empty() &&
      message.resume->origin == SessionOrigin::kResumed) {
    return Resume(now, *message.resume);
  }
  if (!session_.empty()) LoseSession();
  session_ = message.session;
  secret_ = message.resume.has_value() ? message.resume->secret : "";
  received_ = 0;
  received_acknowledged_ = 0;
  sent_ = internal::Outbox();
  resent_ = 0;
  events_.push_back(Ready{std::move(message.session), std::move(message.server),
                          std::move(message.ice_servers)});
}

void Client::Resume(absl::Time now, const ResumeGrant& grant) {
  if (!sent_.CanResumeAfter(grant.received)) {
    return Finish(absl::UnavailableError(
        "the server has missed messages that cannot be said again"));
  }
  ++stats_.resumed;
  Acknowledge(grant.received);
  resent_ = 0;
  received_acknowledged_ = received_;
  for (auto& [number, request] : requests_) {
    request.deadline = now + options_.request_timeout;
  }
  events_.push_back(Resumed{ice_servers_});
}

void Client::Acknowledge(uint64_t received) {
  const size_t before = sent_.messages().size();
  if (!sent_.Acknowledge(received)) {
    ++stats_.stale;
    return;
  }
  resent_ -= std::min(resent_, before - sent_.messages().size());
}

void Client::LoseSession() {
  ++stats_.sessions_lost;
  SessionLost lost = {std::exchange(room_, ""), std::exchange(name_, ""), {}};
  for (const auto& [call, record] : calls_) lost.calls.push_back(call);
  const absl::Status status =
      absl::UnavailableError("the server has lost this session");
  const bool was_joining = std::exchange(joining_, false);
  for (const auto& [number, request] : requests_) {
    if (request.kind != RequestKind::kCall) continue;
    events_.push_back(CallFailed{request.to, status});
  }
  if (was_joining) events_.push_back(JoinFailed{status});
  joined_ = false;
  peers_.clear();
  calls_.clear();
  requests_.clear();
  out_.clear();
  events_.push_back(std::move(lost));
}

void Client::On(absl::Time, const std::string& id, IceServers& message) {
  // Told unasked, too.
  if (!id.empty() && !Settle(id, RequestKind::kCredentials)) return;
  ice_servers_ = message.ice_servers;
  events_.push_back(IceServersChanged{std::move(message.ice_servers)});
}

void Client::On(absl::Time, const std::string&, Ack& message) {
  Acknowledge(message.received);
}

void Client::On(absl::Time, const std::string& id, Found& message) {
  if (!Settle(id, RequestKind::kFind)) return;
  events_.push_back(
      PeersFound{std::move(message.peers), std::move(message.after)});
}

void Client::On(absl::Time, const std::string& id, Blocked& message) {
  if (!Settle(id, RequestKind::kBlock)) return;
  blocked_.insert(message.name);
  events_.push_back(BlockChanged{std::move(message.name), true});
}

void Client::On(absl::Time, const std::string& id, Unblocked& message) {
  if (!Settle(id, RequestKind::kUnblock)) return;
  blocked_.erase(message.name);
  events_.push_back(BlockChanged{std::move(message.name), false});
}

void Client::On(absl::Time, const std::string& id, Sent&) {
  Settle(id, RequestKind::kSay);
}

void Client::On(absl::Time, const std::string&, Said& message) {
  if (!joined_) {
    ++stats_.stale;
    return;
  }
  events_.push_back(MessageReceived{std::move(message.from), message.is_for_all,
                                    std::string(message.data)});
}

void Client::On(absl::Time now, const std::string& id, Joined& message) {
  if (!Settle(id, RequestKind::kJoin)) return;
  joining_ = false;
  joined_ = true;
  room_ = std::move(message.room);
  name_ = std::move(message.name);
  peers_.clear();
  for (Peer& peer : message.peers) {
    if (peers_.size() >= options_.max_peers) break;
    peers_[peer.name] = std::move(peer.meta);
  }
  events_.push_back(JoinedRoom{room_, name_});
  // Of a session that was lost. What is refused is told by ErrorReceived.
  for (const std::string& name : blocked_) (void)Block(now, name);
  if (message.more && !message.peers.empty()) {
    ListOn(now, message.peers.back().name);
  }
}

void Client::On(absl::Time now, const std::string& id, Peers& message) {
  if (!Settle(id, RequestKind::kList)) return;
  if (!joined_ || message.room != room_) {
    ++stats_.stale;
    return;
  }
  const std::string last =
      message.peers.empty() ? "" : message.peers.back().name;
  for (Peer& peer : message.peers) AddPeer(std::move(peer));
  if (message.more && !last.empty() && peers_.size() < options_.max_peers) {
    ListOn(now, last);
  }
}

void Client::ListOn(absl::Time now, const std::string& after) {
  // Without it the list is as far as it has come.
  if (!SendRequest(now, RequestKind::kList, {"", List{after}}).ok()) {
    ++stats_.stale;
  }
}

void Client::AddPeer(Peer peer) {
  const auto it = peers_.find(peer.name);
  if (it == peers_.end() && peers_.size() >= options_.max_peers) {
    ++stats_.stale;
    return;
  }
  if (it != peers_.end() && it->second == peer.meta) return;
  const PresenceChange change =
      it == peers_.end() ? PresenceChange::kJoined : PresenceChange::kUpdated;
  peers_[peer.name] = peer.meta;
  events_.push_back(PeerChanged{change, std::move(peer)});
}

void Client::On(absl::Time, const std::string&, Presence& message) {
  if (!joined_) {
    ++stats_.stale;
    return;
  }
  if (message.change != PresenceChange::kLeft) {
    return AddPeer(std::move(message.peer));
  }
  if (peers_.erase(message.peer.name) > 0) {
    events_.push_back(PeerChanged{message.change, std::move(message.peer)});
  }
}

void Client::On(absl::Time, const std::string& id, Updated&) {
  Settle(id, RequestKind::kUpdate);
}

void Client::On(absl::Time, const std::string& id, Left&) {
  Settle(id, RequestKind::kLeave);
}

void Client::On(absl::Time, const std::string&, Pong&) {}

void Client::On(absl::Time now, const std::string& id, Calling& message) {
  if (!Settle(id, RequestKind::kCall)) return;
  if (!joined_) {
    ++stats_.stale;
    return;
  }
  // In glare the call is known already, as an incoming one.
  calls_.try_emplace(message.call, CallRecord{message.to, CallState::kRinging,
                                              now + options_.ring_timeout});
  events_.push_back(CallStarted{std::move(message.call), std::move(message.to),
                                message.polite});
}

void Client::On(absl::Time, const std::string&, Incoming& message) {
  if (!joined_ || calls_.contains(message.call)) {
    ++stats_.stale;
    return;
  }
  if (calls_.size() >= options_.max_calls) {
    out_.push_back(WriteMessage(
        ClientMessage{"", Reject{std::move(message.call), "busy"}}));
    return;
  }
  calls_[message.call] = {message.from, CallState::kIncoming};
  events_.push_back(IncomingCall{std::move(message.call),
                                 std::move(message.from), message.polite,
                                 std::move(message.meta)});
}

void Client::On(absl::Time, const std::string&, Accepted& message) {
  const auto it = calls_.find(message.call);
  if (it == calls_.end() || it->second.state == CallState::kAccepted) {
    ++stats_.stale;
    return;
  }
  it->second.state = CallState::kAccepted;
  it->second.deadline = absl::InfiniteFuture();
  events_.push_back(CallAccepted{std::move(message.call), it->second.peer});
}

void Client::On(absl::Time, const std::string&, Rejected& message) {
  FinishCall(message.call, std::move(message.reason));
}

void Client::On(absl::Time, const std::string&, Hangup& message) {
  FinishCall(message.call, std::move(message.reason));
}

void Client::FinishCall(const std::string& call, std::string reason) {
  const auto it = calls_.find(call);
  if (it == calls_.end()) {
    ++stats_.stale;
    return;
  }
  std::string text = EndText(it->second.peer, reason);
  events_.push_back(CallEnded{it->first, it->second.peer, std::move(reason),
                              std::move(text)});
  calls_.erase(it);
}

void Client::On(absl::Time, const std::string&, Signal& message) {
  if (!RequireCall(message.call, CallState::kAccepted).ok()) {
    ++stats_.stale;
    return;
  }
  CandidateReceived received;
  switch (message.kind) {
    case SignalKind::kOffer:
    case SignalKind::kAnswer:
    case SignalKind::kPranswer: {
      std::optional<std::string> sdp =
          internal::JsonText({internal::JsonKind::kString, message.payload});
      events_.push_back(DescriptionReceived{std::move(message.call),
                                            message.kind, *std::move(sdp)});
      return;
    }
    case SignalKind::kRollback:
      events_.push_back(
          DescriptionReceived{std::move(message.call), message.kind, ""});
      return;
    case SignalKind::kCandidate: {
      std::optional<CandidateInit> init = ReadCandidate(message.payload);
      if (!init.has_value()) {
        ++stats_.stale;
        return;
      }
      received.candidate = *std::move(init);
      break;
    }
    case SignalKind::kEndOfCandidates:
      break;
  }
  received.call = std::move(message.call);
  events_.push_back(std::move(received));
}

void Client::On(absl::Time, const std::string& id, Error& message) {
  if (state_ == State::kHello) {
    const bool denied = message.code == ErrorCode::kUnauthorized ||
                        message.code == ErrorCode::kTokenExpired;
    return Finish(
        absl::Status(denied ? absl::StatusCode::kPermissionDenied
                            : absl::StatusCode::kUnavailable,
                     absl::StrCat("the server refuses: ", message.message)));
  }
  const std::optional<Request> request = TakeRequest(id);
  if (request.has_value() && request->kind == RequestKind::kJoin) {
    joining_ = false;
    events_.push_back(
        JoinFailed{RefusalStatus(message, std::exchange(name_, ""))});
  } else if (request.has_value() && request->kind == RequestKind::kCall) {
    events_.push_back(
        CallFailed{request->to, RefusalStatus(message, request->to)});
  } else {
    events_.push_back(ErrorReceived{std::move(message)});
  }
}

void Client::On(absl::Time now, const std::string&, Drain& message) {
  // Without a session that goes on there is nothing to leave early for.
  if (state_ != State::kReady || options_.on_loss == OnLoss::kEnd) return;
  return_at_ = now + std::min(message.retry_after, kReturnMax);
  timers_.Set(Timer::kDrain, *return_at_);
}

}  // namespace kyuu::signaling
