#include "tools/kyuu/peer_command.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "dtls/certificate.h"
#include "tools/kyuu/ice_servers.h"
#include "tools/kyuu/lines.h"
#include "tools/kyuu/overload.h"
#include "tools/kyuu/peer_session.h"

namespace kyuu::tools {

using nlohmann::json;

absl::StatusOr<int> PeerSession::Run() {
  KYUU_ASSIGN_OR_RETURN(loop_, net::Loop::Create());
  KYUU_ASSIGN_OR_RETURN(
      const std::unique_ptr<net::SignalWatch> signals,
      net::SignalWatch::Create(*loop_, {SIGINT, SIGTERM}, [this](int) {
        interrupted_ = true;
        Close();
      }));
  peer::LoopConnectionOptions options;
  if (options_.relay) {
    options.connection.policy = ice::GatherPolicy::kRelay;
  }
  options_.network.ApplyTo(options);
  options.connection.sdp.media = options_.media;
  options.hide_addresses = options_.hide_addresses;
  options.nat_mappings = options_.nat_mappings;
  options.connection.lite = options_.lite;
  options.tcp = options_.tcp;
  options.connection.snap = options_.snap;
  options.connection.sped = options_.sped;
  options.connection.ice.decisions_max = kDecisionsMax;
  if (options_.max_datagram) {
    options.connection.max_datagram_bytes = *options_.max_datagram;
  }
  for (const std::string& server : options_.stun_servers) {
    KYUU_RETURN_IF_ERROR(
        AddIceServer(server, ServerKind::kStun, "", "", options.connection));
  }
  for (const std::string& server : options_.turn_servers) {
    KYUU_RETURN_IF_ERROR(
        AddIceServer(server, ServerKind::kTurn, "", "", options.connection));
  }
  KYUU_ASSIGN_OR_RETURN(const dtls::Certificate certificate,
                        dtls::Certificate::Generate(absl::Now()));
  KYUU_ASSIGN_OR_RETURN(connection_, peer::LoopConnection::Create(
                                         *loop_, certificate, options, random_,
                                         [this](peer::ConnectionEvent e) {
                                           OnEvent(std::move(e));
                                         }));
  pump_alarm_ = std::make_unique<net::Alarm>(*loop_, [this] {
    Pump();
    connection_->Flush();
  });
  ending_alarm_ =
      std::make_unique<net::Alarm>(*loop_, [this] { OnEndingAlarm(); });
  if (options_.offer || options_.negotiated_id) {
    KYUU_RETURN_IF_ERROR(CreateChannels());
  }
  Write({{"event", "ready"}});
  if (!options_.wait) Start();
  const StdinLines lines(*loop_, [this](std::optional<std::string> line) {
    OnLine(std::move(line));
  });
  connection_->Flush();
  loop_->Run();
  const bool ok = !damaged_ && !interrupted_ && opened_ > 0 &&
                  received_ >= options_.expect &&
                  sent_ == options_.send * channels_.size();
  Write(Result(ok));
  pump_alarm_.reset();
  ending_alarm_.reset();
  connection_.reset();
  return ok ? 0 : 1;
}

void PeerSession::OnLine(std::optional<std::string> line) {
  if (finished_) return;
  if (!line) {
    if (!described_) {
      Fail(absl::UnavailableError(
          "stdin ended before the other side's description came"));
    }
    return;
  }
  const json message = json::parse(*line, nullptr, false);
  if (!message.is_object()) {
    if (!line->empty()) {
      Complain(absl::InvalidArgumentError("ignored a line that is no object"));
    }
    return;
  }
  OnMessage(message);
  connection_->Flush();
}

void PeerSession::OnMessage(const json& message) {
  const auto text = [&](const char* key) {
    const auto it = message.find(key);
    return it != message.end() && it->is_string() ? it->get<std::string>()
                                                  : std::string();
  };
  if (message.contains("sdp")) {
    const auto type = sdp::ParseSdpType(text("type"));
    if (!type) {
      return Complain(absl::InvalidArgumentError("unknown description type"));
    }
    if (Collides(*type)) return;
    const absl::Status status =
        engine().SetRemoteDescription(Now(), *type, text("sdp"));
    if (!status.ok()) return Fail(status);
    described_ = true;
    if (*type == peer::SdpType::kOffer) {
      if (const absl::Status answered = Describe(peer::SdpType::kAnswer);
          !answered.ok()) {
        Fail(answered);
      }
    }
  } else if (const std::string type = text("type"); !type.empty()) {
    OnCommand(type, message);
  } else if (message.contains("candidate")) {
    const auto index = message.find("sdpMLineIndex");
    Complain(engine().AddIceCandidate(
        Now(), text("candidate"), text("sdpMid"),
        index != message.end() && index->is_number_unsigned()
            ? index->get<size_t>()
            : 0,
        text("usernameFragment")));
  }
}

// Perfect negotiation (W3C webrtc-pc section 10.7): of two offers that cross
// each other the polite side takes its own back, which is what setting the
// other one does.
bool PeerSession::Collides(peer::SdpType type) {
  if (type != peer::SdpType::kOffer || !options_.impolite ||
      engine().signaling_state() != peer::SignalingState::kHaveLocalOffer) {
    return false;
  }
  Write({{"event", "ignored"}});
  return true;
}

// What another program asks of this one, beside signaling.
void PeerSession::OnCommand(const std::string& type, const json& message) {
  if (type == "start") return Start();
  if (type == "open") return Complain(OpenScripted(message));
  if (type == "send") return Complain(SendScripted(message));
  if (type == "close") {
    const auto label = message.find("label");
    if (label == message.end()) return CloseChannels();
    return Complain(label->is_string()
                        ? CloseScripted(label->get<std::string>())
                        : absl::InvalidArgumentError("a label is a text"));
  }
  if (type == "stats") return WriteStats();
  if (type == "bye") return End();
  if (type == "restart" || type == "negotiate") {
    if (engine().signaling_state() != peer::SignalingState::kStable) {
      return Complain(absl::FailedPreconditionError(
          "no " + type + " while a negotiation is under way"));
    }
    return Complain(Describe(
        peer::SdpType::kOffer,
        type == "restart" ? peer::IceRestart::kYes : peer::IceRestart::kNo));
  }
  Complain(absl::InvalidArgumentError("unknown type " + type));
}

void PeerSession::Start() {
  if (started_here_) return;
  started_here_ = true;
  if (options_.offer) {
    if (const absl::Status status = Describe(peer::SdpType::kOffer);
        !status.ok()) {
      return Fail(status);
    }
  }
  Pump();
}

absl::Status PeerSession::CreateChannels() {
  for (size_t i = 0; i < options_.channels; ++i) {
    peer::ChannelConfig config;
    config.label = options_.label + (i == 0 ? "" : std::to_string(i));
    config.protocol = options_.protocol;
    if (options_.unordered) config.ordering = sctp::Ordering::kUnordered;
    config.max_retransmits = options_.max_retransmits;
    if (options_.max_packet_life_time_ms) {
      config.max_packet_life_time =
          absl::Milliseconds(*options_.max_packet_life_time_ms);
    }
    if (options_.negotiated_id) {
      config.negotiated_id =
          static_cast<sctp::StreamId>(*options_.negotiated_id + i);
    }
    KYUU_ASSIGN_OR_RETURN(const peer::ChannelId id,
                          engine().CreateDataChannel(Now(), config));
    configs_[id] = std::move(config);
  }
  return absl::OkStatus();
}

absl::Status PeerSession::Describe(peer::SdpType type,
                                   peer::IceRestart restart) {
  // Of the first description: a renegotiation is no new connect.
  started_ = std::min(started_, Now());
  KYUU_ASSIGN_OR_RETURN(const std::string sdp,
                        type == peer::SdpType::kOffer
                            ? engine().CreateOffer(restart)
                            : engine().CreateAnswer());
  KYUU_RETURN_IF_ERROR(engine().SetLocalDescription(Now(), type));
  if (!options_.no_trickle) {
    WriteDescription(type, sdp);
  } else {
    waiting_description_ = type;
    WriteWhenGathered();
  }
  return absl::OkStatus();
}

// Without trickling a description waits for all candidates; there may be
// nothing to wait for, where it is not the first and restarts nothing.
void PeerSession::WriteWhenGathered() {
  if (!waiting_description_ ||
      engine().gathering_state() != peer::GatheringState::kComplete) {
    return;
  }
  const auto sdp = engine().LocalDescription();
  if (!sdp.ok()) return Fail(sdp.status());
  WriteDescription(*waiting_description_, *sdp);
  waiting_description_.reset();
}

void PeerSession::WriteDescription(peer::SdpType type, const std::string& sdp) {
  Write({{"type", std::string(sdp::SdpTypeName(type))}, {"sdp", sdp}});
}

void PeerSession::OnEvent(peer::ConnectionEvent event) {
  OnChannelEvent(event);
  std::visit(
      Overload{
          [&](peer::CandidateFound& found) {
            if (!options_.no_trickle) {
              json line{{"candidate", found.candidate}};
              if (!found.candidate.empty()) {
                line["sdpMid"] = found.mid;
                line["sdpMLineIndex"] = found.mline_index;
              }
              Write(line);
            }
          },
          [&](peer::GatheringStateChanged& changed) {
            Write({{"event", "state"},
                   {"gathering", std::string(peer::ToString(changed.state))}});
            WriteWhenGathered();
          },
          [&](peer::IceStateChanged& changed) {
            Write({{"event", "state"},
                   {"ice", std::string(ice::ToString(changed.state))}});
          },
          [&](peer::ConnectionStateChanged& changed) {
            Write({{"event", "state"},
                   {"connection", std::string(peer::ToString(changed.state))}});
            if (changed.state == peer::ConnectionState::kFailed) {
              Fail(engine().stats().ice_state == ice::AgentState::kFailed
                       ? absl::UnavailableError(
                             "no way to the other side was found, or it was "
                             "lost")
                       : absl::UnauthenticatedError(
                             "the handshake with the other side failed"));
            }
          },
          [&](peer::SelectedPathChanged& changed) {
            if (connected_ == absl::InfinitePast()) connected_ = Now();
            path_ = changed;
            json line{
                {"event", "path"},
                {"local", std::string(ice::ToString(changed.local_type))},
                {"remote", std::string(ice::ToString(changed.remote_type))},
                {"transport", std::string(ToText(changed.path.transport))},
                {"relayed", changed.relayed()}};
            if (changed.relay_protocol) {
              line["relay_protocol"] =
                  std::string(ice::ToString(*changed.relay_protocol));
            }
            Write(line);
          },
          [&](peer::Decision& decision) {
            json line = DecisionLine(decision);
            line["event"] = "decision";
            Write(line);
          },
          [&](peer::ServerFailed& failed) {
            Complain(absl::UnavailableError(
                "server " + failed.server.ToString() +
                (failed.protocol == ice::RelayProtocol::kUdp
                     ? std::string()
                     : " over " + std::string(ice::ToString(failed.protocol))) +
                ": " + std::string(failed.status.message())));
          },
          [&](peer::Closed& closed) { Finish(closed.status); },
          [](auto&) {},
      },
      event);
}

int RunPeer(const PeerOptions& options) {
  PeerSession peer(options);
  const absl::StatusOr<int> status = peer.Run();
  if (status.ok()) return *status;
  std::fprintf(stderr, "kyuu peer: %s\n",
               PrintableLine(status.status().message()).c_str());
  return 1;
}

}  // namespace kyuu::tools
