#include "tools/kyuu/call.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "tools/kyuu/overload.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

constexpr char kControlLabel[] = "kyuu";
constexpr char kControlProtocol[] = "kyuu.app.v1";
constexpr char kFilePrefix[] = "file:";

}  // namespace

absl::StatusOr<std::unique_ptr<Call>> Call::Create(
    net::Loop& loop, const dtls::Certificate& certificate,
    const peer::LoopConnectionOptions& options, Random& random,
    std::string name, CallRole role, Handler handler) {
  std::unique_ptr<Call> call(new Call(
      loop, certificate, random, std::move(name), role, std::move(handler)));
  KYUU_ASSIGN_OR_RETURN(call->connection_,
                        peer::LoopConnection::Create(
                            loop, certificate, options, random,
                            [raw = call.get()](peer::ConnectionEvent event) {
                              raw->OnEvent(std::move(event));
                            }));
  return call;
}

Call::Call(net::Loop& loop, const dtls::Certificate& certificate,
           Random& random, std::string name, CallRole role, Handler handler)
    : random_(random),
      name_(std::move(name)),
      fingerprint_(certificate.fingerprint()),
      role_(role),
      handler_(std::move(handler)),
      mend_alarm_(
          loop,
          [this] { Over(absl::UnavailableError("the connection was lost")); }),
      code_alarm_(loop, [this] { FlushCode(); }),
      offer_alarm_(loop, [this] { OfferMore(); }),
      check_alarm_(loop, [this] { CheckFiles(); }),
      unfinished_(
          absl::UnavailableError("the call ended before the file did")) {}

absl::Status Call::Start() {
  const absl::Time now = net::Loop::Now();
  KYUU_RETURN_IF_ERROR(
      engine()
          .CreateDataChannel(
              now, {.label = kControlLabel, .protocol = kControlProtocol})
          .status());
  KYUU_ASSIGN_OR_RETURN(std::string sdp, engine().CreateOffer());
  KYUU_RETURN_IF_ERROR(
      engine().SetLocalDescription(now, peer::SdpType::kOffer));
  Emit(LocalDescription{signaling::SignalKind::kOffer, std::move(sdp)});
  connection_->Flush();
  return absl::OkStatus();
}

absl::Status Call::RestartIce() {
  const absl::Time now = net::Loop::Now();
  // An offer without an answer went to nobody.
  if (engine().signaling_state() == peer::SignalingState::kHaveLocalOffer) {
    KYUU_RETURN_IF_ERROR(engine().Rollback(now));
  }
  KYUU_ASSIGN_OR_RETURN(std::string sdp,
                        engine().CreateOffer(peer::IceRestart::kYes));
  KYUU_RETURN_IF_ERROR(
      engine().SetLocalDescription(now, peer::SdpType::kOffer));
  Emit(LocalDescription{signaling::SignalKind::kOffer, std::move(sdp)});
  return absl::OkStatus();
}

void Call::UseServers(const peer::Options& servers) {
  if (!over_) {
    engine().UpdateServers(servers.stun_servers, servers.turn_servers);
  }
}

void Call::HandleSignalingBack() {
  if (over_ || !connected_ || role_ != CallRole::kCaller) return;
  const bool stable =
      engine().signaling_state() == peer::SignalingState::kStable;
  const bool well =
      engine().connection_state() == peer::ConnectionState::kConnected;
  if (stable && well && !relayed_) return;
  if (absl::Status status = RestartIce(); !status.ok()) {
    return Over(std::move(status));
  }
  connection_->Flush();
}

absl::Status Call::Answer() {
  KYUU_ASSIGN_OR_RETURN(std::string sdp, engine().CreateAnswer());
  KYUU_RETURN_IF_ERROR(
      engine().SetLocalDescription(net::Loop::Now(), peer::SdpType::kAnswer));
  Emit(LocalDescription{signaling::SignalKind::kAnswer, std::move(sdp)});
  return absl::OkStatus();
}

void Call::HandleDescription(signaling::SignalKind kind,
                             const std::string& sdp) {
  if (over_) return;
  // An offer is answered at once: there is nothing that could be taken back.
  if (kind == signaling::SignalKind::kRollback) return;
  const bool offer = kind == signaling::SignalKind::kOffer;
  // Perfect negotiation: the impolite side lets a colliding offer lie; the
  // polite one yields, which setting it does by itself.
  if (offer && role_ == CallRole::kCaller &&
      engine().signaling_state() != peer::SignalingState::kStable) {
    return;
  }
  // An answer to an offer that was taken back.
  const peer::SignalingState state = engine().signaling_state();
  if (!offer && state != peer::SignalingState::kHaveLocalOffer &&
      state != peer::SignalingState::kHaveRemotePranswer) {
    return;
  }
  absl::Status status = engine().SetRemoteDescription(
      net::Loop::Now(),
      offer                                      ? peer::SdpType::kOffer
      : kind == signaling::SignalKind::kPranswer ? peer::SdpType::kPranswer
                                                 : peer::SdpType::kAnswer,
      sdp);
  if (status.ok() && offer) status = Answer();
  if (!status.ok()) {
    Over(absl::Status(
        status.code(),
        absl::StrCat("the other side's description: ", status.message())));
    return;
  }
  connection_->Flush();
}

void Call::HandleCandidate(const signaling::CandidateInit& candidate) {
  if (over_) return;
  // One that cannot be used must not end a call that others may save.
  (void)engine().AddIceCandidate(
      net::Loop::Now(), candidate.candidate, candidate.sdp_mid.value_or("0"),
      static_cast<size_t>(candidate.sdp_m_line_index.value_or(0)),
      candidate.username_fragment.value_or(""));
  connection_->Flush();
}

absl::Status Call::SendChat(absl::string_view text) {
  if (!connected_) {
    return absl::FailedPreconditionError("not connected yet");
  }
  if (text.size() > kChatBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a message may have ", kChatBytesMax, " bytes"));
  }
  SendControl({{"type", "chat"},
               {"text", std::string(text)},
               {"time", absl::ToUnixMillis(absl::Now())}});
  return absl::OkStatus();
}

uint64_t Call::heard() const {
  return connection_->engine().stats().sctp.packets_received;
}

// SCTP acknowledges what the other side's program does not know.
void Call::Probe() {
  if (connected_) SendControl({{"type", "probe"}});
}

void Call::HangUp() {
  if (over_) return;
  goodbye_ = true;
  unfinished_ = absl::CancelledError("stopped before it was through");
  if (connected_) SendControl({{"type", "bye"}});
  // The channel's end comes behind what is queued on it.
  if (control_) (void)engine().CloseChannel(net::Loop::Now(), *control_);
  if (!connected_) engine().Close(net::Loop::Now());
  connection_->Flush();
}

void Call::SendControl(const json& message) {
  const std::string text =
      message.dump(-1, ' ', false, json::error_handler_t::replace);
  // Fails only when the connection is ending, which CallOver tells.
  (void)engine().Send(net::Loop::Now(), *control_, peer::PayloadType::kText,
                      {text.begin(), text.end()});
  connection_->Flush();
}

void Call::OnEvent(peer::ConnectionEvent event) {
  if (over_) return;
  std::visit(Overload{
                 [&](peer::CandidateFound& found) {
                   signaling::CandidateInit init;
                   init.candidate = std::move(found.candidate);
                   init.sdp_mid = std::move(found.mid);
                   init.sdp_m_line_index = static_cast<int>(found.mline_index);
                   Emit(LocalCandidate{std::move(init)});
                 },
                 [&](peer::SelectedPathChanged& path) {
                   relayed_ = path.relayed();
                   datagram_size_.HandlePath(path.path.remote);
                   UseDatagramSize();
                   std::string local(ice::ToString(path.local_type));
                   if (path.relay_protocol &&
                       *path.relay_protocol != ice::RelayProtocol::kUdp) {
                     absl::StrAppend(&local, " over ",
                                     ice::ToString(*path.relay_protocol));
                   } else if (IsStream(path.path.transport)) {
                     absl::StrAppend(&local, " over ",
                                     ToText(path.path.transport));
                   }
                   Emit(PathFound{path.relayed(), std::move(local),
                                  std::string(ice::ToString(path.remote_type)),
                                  path.path.local.ToString(),
                                  path.path.remote.ToString()});
                 },
                 [&](peer::ConnectionStateChanged& changed) {
                   OnState(changed.state);
                 },
                 [&](sctp::ChannelOpened& opened) { OnOpened(opened.channel); },
                 [&](sctp::ChannelIncoming& incoming) { OnIncoming(incoming); },
                 [&](sctp::ChannelMessage& message) { OnMessage(message); },
                 [&](sctp::ChannelBufferedAmountLow&) { OnWritable(); },
                 [&](sctp::WritableAgain&) { OnWritable(); },
                 [&](sctp::ChannelClosed& closed) { OnClosed(closed); },
                 [&](peer::Closed& closed) {
                   // Browsers hang up by an ABORT.
                   Over(closed.status.ok() || absl::IsAborted(closed.status)
                            ? absl::OkStatus()
                            : closed.status);
                 },
                 [](auto&) {},
             },
             event);
}

void Call::OnState(peer::ConnectionState state) {
  if (state == peer::ConnectionState::kConnected) {
    mending_ = false;
    mend_alarm_.Stop();
  }
  if (state != peer::ConnectionState::kFailed) return;
  if (!connected_) {
    // With a way there was only the handshake of DTLS left to fail.
    return Over(
        engine().stats().ice_state == ice::AgentState::kFailed
            ? absl::UnavailableError("no way to the other side was found")
            : absl::UnauthenticatedError(
                  "the handshake with the other side failed, as it does if "
                  "somebody has exchanged a certificate on the way"));
  }
  // Both wait; the caller restarts.
  if (!mending_) {
    mending_ = true;
    mend_alarm_.Set(net::Loop::Now() + kMendMax);
    Emit(WayLost{});
    if (over_) return;
  }
  // An offer that is under way restarts it already.
  if (role_ != CallRole::kCaller ||
      engine().signaling_state() != peer::SignalingState::kStable) {
    return;
  }
  if (absl::Status status = RestartIce(); !status.ok()) Over(std::move(status));
}

void Call::OnWritable() {
  PumpFiles();
  if (!aside_.empty()) Emit(Aside(AsideWritable{}));
}

void Call::OnOpened(peer::ChannelId id) {
  if (aside_.count(id) > 0) return Emit(Aside(AsideOpened{id}));
  for (auto& [file_id, sending] : sending_) {
    if (sending.channel != id) continue;
    sending.opened = true;
    Pump(file_id, sending);
    return;
  }
  if (!control_) UseControl(id);
}

void Call::UseControl(peer::ChannelId id) {
  control_ = id;
  if (required_) return BeginCode();
  BeginTalk();
}

void Call::BeginTalk() {
  connected_ = true;
  json hello{{"type", "hello"}, {"name", name_}, {"agent", "kyuu/0.1"}};
  DatagramSize::Say(hello);
  SendControl(hello);
  BeginNumber();
  Emit(Connected{});
}

void Call::OnIncoming(const sctp::ChannelIncoming& incoming) {
  if (role_ == CallRole::kCallee && !control_ &&
      incoming.config.label == kControlLabel) {
    return UseControl(incoming.channel);
  }
  absl::string_view label = incoming.config.label;
  if (!absl::ConsumePrefix(&label, kFilePrefix)) {
    // Nobody is heard about anything before a code is proven.
    if (connected_) {
      Emit(Aside(AsideIncoming{incoming.channel, incoming.config.label}));
    }
    return;
  }
  const auto it = receiving_.find(std::string(label));
  if (it == receiving_.end() || !it->second.accepted || it->second.channel) {
    // Nobody accepted that file.
    (void)engine().CloseChannel(net::Loop::Now(), incoming.channel);
    return;
  }
  it->second.channel = incoming.channel;
}

void Call::OnMessage(sctp::ChannelMessage& message) {
  if (message.channel == control_) {
    if (message.type == peer::PayloadType::kText &&
        message.payload.size() <= kControlBytesMax) {
      const absl::string_view text = AsText(message.payload);
      // Nobody is heard about anything else before a code is proven.
      exchange_ ? OnCodeMessage(text) : OnControl(text);
    }
    return;
  }
  if (aside_.count(message.channel) > 0) {
    return Emit(Aside(AsideMessage{message.channel, message.type,
                                   std::move(message.payload)}));
  }
  for (auto& [id, receiving] : receiving_) {
    if (receiving.channel == message.channel) {
      return OnFileMessage(id, receiving, message);
    }
  }
}

void Call::OnClosed(const sctp::ChannelClosed& closed) {
  if (closed.channel == control_) {
    const absl::Status status =
        goodbye_ ? absl::OkStatus()
                 : absl::UnavailableError("the other side has gone");
    FailFiles(unfinished_);
    engine().Close(net::Loop::Now());
    if (!goodbye_ || over_) Over(status);
    return;
  }
  if (aside_.erase(closed.channel) > 0) {
    return Emit(Aside(AsideClosed{closed.channel}));
  }
  for (auto& [id, sending] : sending_) {
    if (sending.channel != closed.channel) continue;
    return FinishSending(
        id, absl::UnavailableError("the other side stopped the transfer"));
  }
  for (auto& [id, receiving] : receiving_) {
    if (receiving.channel != closed.channel) continue;
    return FinishReceiving(
        id, "", absl::UnavailableError("the other side stopped the transfer"));
  }
}

void Call::Over(absl::Status status) {
  if (over_) return;
  // Signaling may tell of the end before the data channel does.
  if (verdict_) status = *verdict_;
  FailFiles(unfinished_);
  over_ = true;
  connected_ = false;
  mend_alarm_.Stop();
  code_alarm_.Stop();
  engine().Close(net::Loop::Now());
  connection_->Flush();
  Emit(CallOver{std::move(status)});
}

}  // namespace kyuu::tools
