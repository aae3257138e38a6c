#include "tools/kyuu/peer_command.h"

#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "dtls/certificate.h"
#include "net/loop.h"
#include "nlohmann/json.hpp"
#include "peer/loop_connection.h"
#include "tools/kyuu/ice_servers.h"
#include "tools/kyuu/lines.h"
#include "tools/kyuu/pattern.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

// What may wait in a channel's send queue before the next message is made.
constexpr size_t kQueueBytes = size_t{1} << 20;
constexpr size_t kQueueLowBytes = kQueueBytes / 4;
constexpr size_t kDefaultMessageBytes = 64;
// How long the orderly closing of channels may take at the end.
constexpr absl::Duration kClosingTime = absl::Seconds(5);

template <typename... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overload(Fs...) -> Overload<Fs...>;

double Milliseconds(absl::Duration duration) {
  return static_cast<double>(absl::ToInt64Microseconds(duration)) / 1000;
}

class Peer {
 public:
  explicit Peer(const PeerOptions& options)
      : options_(options), size_(options.size.value_or(kDefaultMessageBytes)) {}

  absl::StatusOr<int> Run();

 private:
  struct Channel {
    uint64_t sent = 0;
    uint64_t received = 0;
    absl::Time next_send = absl::InfinitePast();
    bool closing = false;
  };
  // An echo that did not fit into the send buffer.
  struct Echo {
    peer::ChannelId channel;
    peer::PayloadType type;
    std::vector<uint8_t> payload;
  };

  peer::Connection& engine() { return connection_->engine(); }
  static absl::Time Now() { return net::Loop::Now(); }

  // Signaling.
  void OnLine(std::optional<std::string> line);
  void OnMessage(const json& message);
  absl::Status CreateChannels();
  absl::Status Describe(peer::SdpType type);
  void WriteDescription(peer::SdpType type, const std::string& sdp);

  // Events.
  void OnEvent(peer::ConnectionEvent event);
  void OnChannel(peer::ChannelId id, uint16_t stream, const std::string& label,
                 const std::string& protocol, bool incoming);
  void OnData(peer::ChannelId id, peer::PayloadType type,
              std::vector<uint8_t> payload);

  // Data.
  void Pump();
  void PumpChannel(peer::ChannelId id, Channel& channel);
  void PumpEchoes();
  bool IsDone() const;
  void BeginClosing();
  void Finish(const absl::Status& status);
  json Result(bool ok);

  // Writes one line; `ok` is false if the other program no longer reads.
  static void Write(const json& line) {
    const std::string text =
        line.dump(-1, ' ', false, json::error_handler_t::replace);
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  }
  void Complain(const absl::Status& status) {
    if (status.ok()) return;
    std::fprintf(stderr, "kyuu peer: %s\n",
                 std::string(status.message()).c_str());
  }
  void Fail(const absl::Status& status) {
    Complain(status);
    damaged_ = true;
    engine().Close(Now());
    connection_->Flush();
  }

  const PeerOptions options_;
  const size_t size_;
  SystemRandom random_;
  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<peer::LoopConnection> connection_;
  std::unique_ptr<net::Alarm> pump_alarm_;
  std::unique_ptr<net::Alarm> closing_alarm_;

  bool described_ = false;  // The peer's description was applied.
  std::optional<peer::SdpType> waiting_description_;  // For all candidates.
  std::map<peer::ChannelId, Channel> channels_;
  std::map<peer::ChannelId, std::string> labels_;  // Of our own channels.
  std::vector<Echo> echoes_;
  uint64_t sent_ = 0, echoed_ = 0, received_ = 0, bytes_ = 0, opened_ = 0;
  bool damaged_ = false;
  bool closing_ = false;
  bool finished_ = false;
  bool interrupted_ = false;

  absl::Time started_ = absl::InfiniteFuture();
  absl::Time connected_ = absl::InfinitePast();
  absl::Time first_open_ = absl::InfinitePast();
  absl::Time first_data_ = absl::InfiniteFuture();
  absl::Time last_data_ = absl::InfinitePast();
  std::optional<peer::SelectedPathChanged> path_;
  std::optional<absl::Duration> rtt_;
};

absl::StatusOr<int> Peer::Run() {
  KYUU_ASSIGN_OR_RETURN(loop_, net::Loop::Create());
  KYUU_ASSIGN_OR_RETURN(
      const std::unique_ptr<net::SignalWatch> signals,
      net::SignalWatch::Create(*loop_, {SIGINT, SIGTERM}, [this](int) {
        interrupted_ = true;
        engine().Close(Now());
        connection_->Flush();
      }));
  peer::LoopConnectionOptions options;
  if (options_.relay) {
    options.connection.policy = ice::GatherPolicy::kRelay;
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
  closing_alarm_ = std::make_unique<net::Alarm>(*loop_, [this] {
    engine().Close(Now());
    connection_->Flush();
  });
  if (options_.offer || options_.negotiated_id) {
    KYUU_RETURN_IF_ERROR(CreateChannels());
  }
  if (options_.offer) {
    KYUU_RETURN_IF_ERROR(Describe(peer::SdpType::kOffer));
  }
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
  closing_alarm_.reset();
  connection_.reset();
  return ok ? 0 : 1;
}

void Peer::OnLine(std::optional<std::string> line) {
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

void Peer::OnMessage(const json& message) {
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
  } else if (message.contains("candidate")) {
    const auto index = message.find("sdpMLineIndex");
    Complain(engine().AddIceCandidate(
        Now(), text("candidate"), text("sdpMid"),
        index != message.end() && index->is_number_unsigned()
            ? index->get<size_t>()
            : 0));
  }
}

absl::Status Peer::CreateChannels() {
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
    const std::string label = config.label;
    KYUU_ASSIGN_OR_RETURN(const peer::ChannelId id,
                          engine().CreateDataChannel(Now(), std::move(config)));
    labels_[id] = label;
  }
  return absl::OkStatus();
}

absl::Status Peer::Describe(peer::SdpType type) {
  started_ = Now();
  KYUU_ASSIGN_OR_RETURN(const std::string sdp, type == peer::SdpType::kOffer
                                                   ? engine().CreateOffer()
                                                   : engine().CreateAnswer());
  KYUU_RETURN_IF_ERROR(engine().SetLocalDescription(Now(), type));
  if (options_.no_trickle) {
    waiting_description_ = type;
  } else {
    WriteDescription(type, sdp);
  }
  return absl::OkStatus();
}

void Peer::WriteDescription(peer::SdpType type, const std::string& sdp) {
  Write({{"type", std::string(sdp::SdpTypeName(type))}, {"sdp", sdp}});
}

void Peer::OnEvent(peer::ConnectionEvent event) {
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
            if (changed.state != peer::GatheringState::kComplete ||
                !waiting_description_) {
              return;
            }
            const auto sdp = engine().LocalDescription();
            if (!sdp.ok()) return Fail(sdp.status());
            WriteDescription(*waiting_description_, *sdp);
            waiting_description_.reset();
          },
          [&](peer::IceStateChanged& changed) {
            Write({{"event", "state"},
                   {"ice", std::string(ice::ToString(changed.state))}});
          },
          [&](peer::ConnectionStateChanged& changed) {
            Write({{"event", "state"},
                   {"connection", std::string(peer::ToString(changed.state))}});
            if (changed.state == peer::ConnectionState::kFailed) {
              Fail(
                  absl::UnavailableError("no way to the other side was found, "
                                         "or it was lost"));
            }
          },
          [&](peer::SelectedPathChanged& changed) {
            if (connected_ == absl::InfinitePast()) connected_ = Now();
            path_ = changed;
            Write({{"event", "path"},
                   {"local", std::string(ice::ToString(changed.local_type))},
                   {"remote", std::string(ice::ToString(changed.remote_type))},
                   {"relayed", changed.relayed()}});
          },
          [&](peer::ServerFailed& failed) {
            Complain(absl::UnavailableError(
                "server " + failed.server.ToString() + ": " +
                std::string(failed.status.message())));
          },
          [&](sctp::ChannelOpened& opened) {
            OnChannel(opened.channel, static_cast<uint16_t>(opened.stream),
                      labels_[opened.channel], options_.protocol, false);
          },
          [&](sctp::ChannelIncoming& incoming) {
            OnChannel(incoming.channel, static_cast<uint16_t>(incoming.stream),
                      incoming.config.label, incoming.config.protocol, true);
          },
          [&](sctp::ChannelMessage& message) {
            OnData(message.channel, message.type, std::move(message.payload));
          },
          [&](sctp::ChannelBufferedAmountLow&) { Pump(); },
          [&](sctp::WritableAgain&) { Pump(); },
          [&](sctp::ChannelClosed& closed) {
            Write({{"event", "closed"}, {"id", labels_[closed.channel]}});
            channels_[closed.channel].closing = true;
            // The other side hung up on a channel: all is said.
            bool all = true;
            for (const auto& [id, channel] : channels_) all &= channel.closing;
            if (all) engine().Close(Now());
          },
          [&](peer::Closed& closed) { Finish(closed.status); },
          [](auto&) {},
      },
      event);
}

void Peer::OnChannel(peer::ChannelId id, uint16_t stream,
                     const std::string& label, const std::string& protocol,
                     bool incoming) {
  if (opened_++ == 0) first_open_ = Now();
  labels_[id] = label;
  channels_[id];
  Write({{"event", "channel"},
         {"id", stream},
         {"label", label},
         {"protocol", protocol},
         {"incoming", incoming}});
  (void)engine().SetBufferedAmountLowThreshold(id, kQueueLowBytes);
  Pump();
}

void Peer::OnData(peer::ChannelId id, peer::PayloadType type,
                  std::vector<uint8_t> payload) {
  Channel& channel = channels_[id];
  last_data_ = Now();
  if (first_data_ == absl::InfiniteFuture()) first_data_ = last_data_;
  bytes_ += payload.size();
  const uint64_t index = channel.received++;
  ++received_;
  if (options_.echo) {
    echoes_.push_back({id, type, std::move(payload)});
    return Pump();
  }
  if (options_.size && options_.expect > 0) {
    const PatternKind kind = type == peer::PayloadType::kText
                                 ? PatternKind::kText
                                 : PatternKind::kBinary;
    const bool intact =
        kind == options_.kind && payload.size() == size_ &&
        (options_.unordered ? IsSomePatternMessage(kind, payload)
                            : IsPatternMessage(kind, index, payload));
    if (!intact) {
      damaged_ = true;
      Write({{"event", "damaged"},
             {"label", labels_[id]},
             {"index", index},
             {"size", payload.size()},
             {"first", payload.empty() ? 0 : payload[0]},
             {"text", type == peer::PayloadType::kText}});
    }
  }
  Pump();
}

void Peer::Pump() {
  PumpEchoes();
  absl::Time next = absl::InfiniteFuture();
  for (auto& [id, channel] : channels_) {
    PumpChannel(id, channel);
    if (channel.sent < options_.send && channel.next_send > Now()) {
      next = std::min(next, channel.next_send);
    }
  }
  pump_alarm_->Set(next);
  if (IsDone()) BeginClosing();
}

void Peer::PumpChannel(peer::ChannelId id, Channel& channel) {
  while (!channel.closing && channel.sent < options_.send &&
         engine().buffered_amount(id) <= kQueueBytes) {
    if (options_.interval_ms > 0 && Now() < channel.next_send) return;
    const absl::Status status = engine().Send(
        Now(), id,
        options_.kind == PatternKind::kText ? peer::PayloadType::kText
                                            : peer::PayloadType::kBinary,
        MakePatternMessage(options_.kind, channel.sent, size_));
    if (absl::IsResourceExhausted(status)) return;  // WritableAgain follows.
    if (!status.ok()) return Fail(status);
    ++channel.sent;
    ++sent_;
    channel.next_send = Now() + absl::Milliseconds(options_.interval_ms);
  }
}

void Peer::PumpEchoes() {
  size_t done = 0;
  for (Echo& echo : echoes_) {
    const absl::Status status =
        engine().Send(Now(), echo.channel, echo.type, std::move(echo.payload));
    if (absl::IsResourceExhausted(status)) break;
    if (status.ok()) ++echoed_;
    ++done;
  }
  echoes_.erase(echoes_.begin(),
                echoes_.begin() + static_cast<std::ptrdiff_t>(done));
}

bool Peer::IsDone() const {
  if (options_.echo || (options_.send == 0 && options_.expect == 0)) {
    return false;
  }
  // In the offering role all channels are ours; else any number may come.
  return opened_ > 0 && (!options_.offer || opened_ == options_.channels) &&
         sent_ == options_.send * channels_.size() &&
         received_ >= options_.expect;
}

// Closes the channels one by one, which delivers what is queued first.
void Peer::BeginClosing() {
  if (closing_) return;
  closing_ = true;
  rtt_ = engine().stats().rtt;
  for (auto& [id, channel] : channels_) {
    if (!channel.closing) (void)engine().CloseChannel(Now(), id);
  }
  closing_alarm_->Set(Now() + kClosingTime);
}

void Peer::Finish(const absl::Status& status) {
  if (opened_ == 0 && !interrupted_) Complain(status);
  finished_ = true;
  loop_->Stop();
}

json Peer::Result(bool ok) {
  json result{{"event", "result"},     {"sent", sent_ + echoed_},
              {"received", received_}, {"bytes", bytes_},
              {"opened", opened_},     {"ok", ok}};
  if (connected_ > started_) {
    result["connect_ms"] = Milliseconds(connected_ - started_);
  }
  if (first_open_ > started_) {
    result["open_ms"] = Milliseconds(first_open_ - started_);
  }
  if (last_data_ > first_data_) {
    result["mb_per_s"] = static_cast<double>(bytes_) / 1e6 /
                         absl::ToDoubleSeconds(last_data_ - first_data_);
  }
  if (path_) {
    result["path"] = std::string(ice::ToString(path_->local_type)) + "-" +
                     std::string(ice::ToString(path_->remote_type));
    result["relayed"] = path_->relayed();
  }
  if (rtt_) result["rtt_ms"] = Milliseconds(*rtt_);
  return result;
}

}  // namespace

int RunPeer(const PeerOptions& options) {
  Peer peer(options);
  const absl::StatusOr<int> status = peer.Run();
  if (status.ok()) return *status;
  std::fprintf(stderr, "kyuu peer: %s\n",
               std::string(status.status().message()).c_str());
  return 1;
}

}  // namespace kyuu::tools
