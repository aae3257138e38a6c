// The messages of `kyuu peer`: sending, echoing, comparing, and the result.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tools/kyuu/overload.h"
#include "tools/kyuu/pattern.h"
#include "tools/kyuu/peer_session.h"

namespace kyuu::tools {
namespace {

// How long a peer that has closed all channels may take to end the connection,
// and how long our channels may take to close before the engine's own, patient
// end takes over.
constexpr absl::Duration kClosingTime = absl::Seconds(5);

double Milliseconds(absl::Duration duration) {
  return static_cast<double>(absl::ToInt64Microseconds(duration)) / 1000;
}

}  // namespace

using nlohmann::json;

void PeerSession::OnChannelEvent(peer::ConnectionEvent& event) {
  std::visit(
      Overload{
          [&](sctp::ChannelOpened& opened) {
            OnChannel(opened.channel, static_cast<uint16_t>(opened.stream),
                      configs_[opened.channel], false);
          },
          [&](sctp::ChannelIncoming& incoming) {
            OnChannel(incoming.channel, static_cast<uint16_t>(incoming.stream),
                      configs_[incoming.channel] = std::move(incoming.config),
                      true);
          },
          [&](sctp::ChannelMessage& message) {
            OnData(message.channel, message.type, std::move(message.payload));
          },
          [&](sctp::ChannelBufferedAmountLow&) { Pump(); },
          [&](sctp::WritableAgain&) { Pump(); },
          [&](sctp::ChannelClosed& closed) { OnChannelClosed(closed.channel); },
          [](auto&) {},
      },
      event);
}

void PeerSession::OnChannel(peer::ChannelId id, uint16_t stream,
                            const peer::ChannelConfig& config, bool incoming) {
  if (opened_++ == 0) {
    first_open_ = Now();
    KeepStats();  // The peer may end it.
  }
  channels_[id].report = {.label = config.label,
                          .protocol = config.protocol,
                          .data_channel_identifier = stream};
  json line{{"event", "channel"},
            {"id", stream},
            {"label", config.label},
            {"protocol", config.protocol},
            {"ordered", config.ordering == sctp::Ordering::kOrdered},
            {"priority", config.priority},
            {"incoming", incoming}};
  if (config.max_retransmits) {
    line["maxRetransmits"] = *config.max_retransmits;
  }
  if (config.max_packet_life_time) {
    line["maxPacketLifeTime"] =
        absl::ToInt64Milliseconds(*config.max_packet_life_time);
  }
  Write(line);
  // Refused if it has closed again; its event follows.
  (void)engine().SetBufferedAmountLowThreshold(id, kQueueBytes / 4);
  Pump();
}

void PeerSession::OnData(peer::ChannelId id, peer::PayloadType type,
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
  if (options_.scripted) WriteMessage(id, type, index, payload);
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
             {"label", configs_[id].label},
             {"index", index},
             {"size", payload.size()},
             {"first", payload.empty() ? 0 : payload[0]},
             {"text", type == peer::PayloadType::kText}});
    }
  }
  Pump();
}

void PeerSession::Pump() {
  if (!started_here_) return;
  PumpEchoes();
  absl::Time next = absl::InfiniteFuture();
  for (auto& [id, channel] : channels_) {
    PumpChannel(id, channel);
    PumpScript(id, channel);
    if (channel.sent < options_.send && channel.next_send > Now()) {
      next = std::min(next, channel.next_send);
    }
  }
  pump_alarm_->Set(next);
  if (IsDone()) End();
}

void PeerSession::PumpChannel(peer::ChannelId id, Channel& channel) {
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
    bytes_sent_ += size_;
    first_send_ = std::min(first_send_, Now());
    channel.next_send = Now() + absl::Milliseconds(options_.interval_ms);
  }
}

void PeerSession::PumpEchoes() {
  size_t done = 0;
  for (Echo& echo : echoes_) {
    const size_t size = echo.payload.size();
    const absl::Status status =
        engine().Send(Now(), echo.channel, echo.type, std::move(echo.payload));
    if (absl::IsResourceExhausted(status)) break;
    if (status.ok()) {
      ++echoed_;
      bytes_sent_ += size;
      first_send_ = std::min(first_send_, Now());
    }
    ++done;
  }
  echoes_.erase(echoes_.begin(),
                echoes_.begin() + static_cast<std::ptrdiff_t>(done));
}

bool PeerSession::IsDone() const {
  if (options_.echo || (options_.send == 0 && options_.expect == 0)) {
    return false;
  }
  return opened_ >= options_.channels &&
         sent_ == options_.send * channels_.size() &&
         received_ >= options_.expect;
}

void PeerSession::OnChannelClosed(peer::ChannelId id) {
  const std::string& label = configs_[id].label;
  Write({{"event", "closed"}, {"id", label}, {"label", label}});
  channels_[id].closing = channels_[id].closed = true;
  all_sent_ = Now();
  // A script may open others.
  if (!AllClosed() || (options_.scripted && ending_ == Ending::kNot)) return;
  // Who closed the last one ends the connection.
  if (ending_ == Ending::kChannels) {
    EndConnection();
  } else if (ending_ == Ending::kNot && !commanded_close_) {
    ending_ = Ending::kWaiting;
    ending_alarm_->Set(Now() + kClosingTime);
  }
}

bool PeerSession::AllClosed() const {
  return std::all_of(channels_.begin(), channels_.end(),
                     [](const auto& entry) { return entry.second.closed; });
}

// Closes the channels one by one, which delivers what is queued first.
void PeerSession::CloseChannels() {
  commanded_close_ = true;
  KeepStats();
  for (auto& [id, channel] : channels_) {
    if (!std::exchange(channel.closing, true)) {
      // Refused if it has closed by itself.
      (void)engine().CloseChannel(Now(), id);
    }
  }
  connection_->Flush();
}

// Ends when the peer has read everything, or takes nothing any more: the
// channels first, then the connection. The engine gives the peer's program the
// time that it needs to read.
void PeerSession::End() {
  if (ending_ != Ending::kNot && ending_ != Ending::kWaiting) return;
  KeepStats();
  ending_ = Ending::kChannels;
  CloseChannels();
  if (AllClosed()) return EndConnection();
  ending_alarm_->Set(Now() + kClosingTime);
}

void PeerSession::OnEndingAlarm() {
  if (ending_ == Ending::kWaiting) return End();
  EndConnection();
}

void PeerSession::EndConnection() {
  if (std::exchange(ending_, Ending::kEnding) == Ending::kEnding) return;
  engine().Shutdown(Now());
  connection_->Flush();
}

// As long as there is an association to tell of.
void PeerSession::KeepStats() {
  peer::ConnectionStats stats = engine().stats();
  if (!stats_.selected || stats.sctp.terms) stats_ = std::move(stats);
}

void PeerSession::Close() {
  KeepStats();
  ending_ = Ending::kEnding;
  engine().Close(Now());
  connection_->Flush();
}

void PeerSession::Finish(const absl::Status& status) {
  if (opened_ == 0 && !interrupted_) Complain(status);
  finished_ = true;
  loop_->Stop();
}

void PeerSession::WriteStats() {
  std::vector<peer::DataChannelReport> reports;
  for (const auto& [id, channel] : channels_) {
    if (channel.closed) continue;
    peer::DataChannelReport& report = reports.emplace_back(channel.report);
    report.id = "D" + std::to_string(static_cast<uint32_t>(id));
    report.state = channel.closing ? "closing" : "open";
    // A channel that has ended here a moment ago has none.
    report.counters = engine().channel_stats(id).value_or(peer::ChannelStats{});
  }
  const peer::ConnectionStats stats = engine().stats();
  json decisions = json::array();
  for (const peer::PathDecision& decision : stats.decisions) {
    json line = DecisionLine(decision.decision);
    line["ms_ago"] = Milliseconds(stats.taken - decision.at);
    decisions.push_back(std::move(line));
  }
  const peer::StatsReport report =
      peer::MakeStatsReport(absl::Now(), stats, std::move(reports));
  json counters = json::object();
  for (const auto& counter : sctp::Counters::kCounters) {
    counters[std::string(counter.name)] = stats.sctp.*counter.field;
  }
  Write({{"event", "stats"},
         {"report", json::parse(report.ToJson())},
         {"sctp", std::move(counters)},
         {"decisions", std::move(decisions)}});
}

json PeerSession::DecisionLine(const peer::Decision& decision) {
  return {{"what", std::string(ice::ToString(decision.kind))},
          {"transport", std::string(ToText(decision.path.transport))},
          {"local",
           {{"type", std::string(ice::ToString(decision.local_type))},
            {"address", decision.path.local.ToString()}}},
          {"remote",
           {{"type", std::string(ice::ToString(decision.remote_type))},
            {"address", decision.path.remote.ToString()}}},
          {"reason", std::string(decision.reason)}};
}

json PeerSession::Result(bool ok) {
  json result{{"event", "result"},     {"sent", sent_ + scripted_ + echoed_},
              {"received", received_}, {"bytes", bytes_},
              {"opened", opened_},     {"ok", ok}};
  if (connected_ > started_) {
    result["connect_ms"] = Milliseconds(connected_ - started_);
  }
  if (first_open_ > started_) {
    result["open_ms"] = Milliseconds(first_open_ - started_);
  }
  const auto rate = [](uint64_t bytes, absl::Duration time) {
    return static_cast<double>(bytes) / 1e6 / absl::ToDoubleSeconds(time);
  };
  if (last_data_ > first_data_) {
    result["mb_per_s"] = rate(bytes_, last_data_ - first_data_);
    result["receive_mb_per_s"] = result["mb_per_s"];
  }
  if (all_sent_ > first_send_) {
    result["send_mb_per_s"] = rate(bytes_sent_, all_sent_ - first_send_);
  }
  if (path_) {
    result["path"] = std::string(ice::ToString(path_->local_type)) + "-" +
                     std::string(ice::ToString(path_->remote_type));
    result["transport"] = std::string(ToText(path_->path.transport));
    result["relayed"] = path_->relayed();
    if (path_->relay_protocol) {
      result["relay_protocol"] =
          std::string(ice::ToString(*path_->relay_protocol));
    }
    result["local"] = {{"type", std::string(ice::ToString(path_->local_type))},
                       {"address", path_->path.local.ToString()}};
    result["remote"] = {
        {"type", std::string(ice::ToString(path_->remote_type))},
        {"address", path_->path.remote.ToString()}};
  }
  if (stats_.dtls_session) {
    result["dtls"] = {{"version", stats_.dtls_session->version},
                      {"cipher", stats_.dtls_session->cipher},
                      {"embedded", stats_.embedded_dtls.received}};
  }
  if (const auto& terms = stats_.sctp.terms) {
    result["sctp"] = {{"interleaving", terms->interleaving},
                      {"zero_checksum", terms->zero_checksum}};
  }
  if (stats_.rtt) result["rtt_ms"] = Milliseconds(*stats_.rtt);
  return result;
}

}  // namespace kyuu::tools
