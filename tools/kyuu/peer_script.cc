// Single channels of `kyuu peer`, as stdin asks for them: opening, sending,
// closing, and a line for each message that comes (docs/kyuu.md).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "tools/kyuu/pattern.h"
#include "tools/kyuu/peer_session.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

// Messages that one line may ask for.
constexpr size_t kMessagesMax = 100'000;
// Bytes of a text that are told with it.
constexpr size_t kToldBytesMax = 1024;

absl::Status WrongType(const char* key) {
  return absl::InvalidArgumentError(std::string(key) + " is not of its type");
}

// `message[key]`, unset without it or where it is null.
template <typename T>
absl::StatusOr<std::optional<T>> Optional(const json& message, const char* key,
                                          bool (json::*is)() const noexcept) {
  const auto it = message.find(key);
  if (it == message.end() || it->is_null()) return std::optional<T>();
  if (!((*it).*is)()) return WrongType(key);
  return std::optional<T>(it->get<T>());
}

absl::StatusOr<std::optional<uint16_t>> Number(const json& message,
                                               const char* key) {
  KYUU_ASSIGN_OR_RETURN(
      const std::optional<uint64_t> number,
      Optional<uint64_t>(message, key, &json::is_number_unsigned));
  if (!number) return std::optional<uint16_t>();
  if (*number > UINT16_MAX) return WrongType(key);
  return std::optional<uint16_t>(static_cast<uint16_t>(*number));
}

// The members of RTCDataChannelInit, `priority` as the number that DCEP has
// (RFC 8831 section 6.4).
absl::StatusOr<peer::ChannelConfig> ToConfig(const json& message) {
  peer::ChannelConfig config;
  KYUU_ASSIGN_OR_RETURN(
      std::optional<std::string> label,
      Optional<std::string>(message, "label", &json::is_string));
  if (!label) return WrongType("label");
  config.label = *std::move(label);
  KYUU_ASSIGN_OR_RETURN(
      std::optional<std::string> protocol,
      Optional<std::string>(message, "protocol", &json::is_string));
  if (protocol) config.protocol = *std::move(protocol);
  KYUU_ASSIGN_OR_RETURN(const std::optional<bool> ordered,
                        Optional<bool>(message, "ordered", &json::is_boolean));
  if (!ordered.value_or(true)) config.ordering = sctp::Ordering::kUnordered;
  KYUU_ASSIGN_OR_RETURN(config.max_retransmits,
                        Number(message, "maxRetransmits"));
  KYUU_ASSIGN_OR_RETURN(const std::optional<uint16_t> life_time,
                        Number(message, "maxPacketLifeTime"));
  if (life_time) config.max_packet_life_time = absl::Milliseconds(*life_time);
  KYUU_ASSIGN_OR_RETURN(const std::optional<uint16_t> priority,
                        Number(message, "priority"));
  if (priority) config.priority = *priority;
  KYUU_ASSIGN_OR_RETURN(
      const std::optional<bool> negotiated,
      Optional<bool>(message, "negotiated", &json::is_boolean));
  if (negotiated.value_or(false)) {
    KYUU_ASSIGN_OR_RETURN(const std::optional<uint16_t> id,
                          Number(message, "id"));
    if (!id) return WrongType("id");
    config.negotiated_id = static_cast<sctp::StreamId>(*id);
  }
  return config;
}

}  // namespace

absl::Status PeerSession::OpenScripted(const json& message) {
  KYUU_ASSIGN_OR_RETURN(peer::ChannelConfig config, ToConfig(message));
  KYUU_ASSIGN_OR_RETURN(const peer::ChannelId id,
                        engine().CreateDataChannel(Now(), config));
  configs_[id] = std::move(config);
  return absl::OkStatus();
}

std::optional<peer::ChannelId> PeerSession::FindOpen(
    const std::string& label) const {
  for (auto it = channels_.rbegin(); it != channels_.rend(); ++it) {
    if (!it->second.closing && it->second.report.label == label) {
      return it->first;
    }
  }
  return std::nullopt;
}

absl::Status PeerSession::SendScripted(const json& message) {
  KYUU_ASSIGN_OR_RETURN(
      const std::optional<std::string> label,
      Optional<std::string>(message, "label", &json::is_string));
  const auto id = label ? FindOpen(*label) : std::nullopt;
  if (!id) return absl::NotFoundError("no open channel has that label");
  KYUU_ASSIGN_OR_RETURN(const std::optional<bool> text,
                        Optional<bool>(message, "text", &json::is_boolean));
  Queue<Scripted>& script = channels_[*id].script;
  for (const json& size : message.value("sizes", json::array())) {
    if (!size.is_number_unsigned()) return WrongType("sizes");
    if (script.size() >= kMessagesMax) break;
    script.push_back({.kind = text.value_or(false) ? PatternKind::kText
                                                   : PatternKind::kBinary,
                      .size = size.get<size_t>()});
  }
  for (const json& said : message.value("say", json::array())) {
    if (!said.is_string()) return WrongType("say");
    if (script.size() >= kMessagesMax) break;
    script.push_back({.said = said.get<std::string>()});
  }
  Pump();
  return absl::OkStatus();
}

absl::Status PeerSession::CloseScripted(const std::string& label) {
  const auto id = FindOpen(label);
  if (!id) return absl::NotFoundError("no open channel has that label");
  channels_[*id].close_behind = true;
  Pump();
  return absl::OkStatus();
}

void PeerSession::PumpScript(peer::ChannelId id, Channel& channel) {
  while (!channel.closing && !channel.script.empty() &&
         engine().buffered_amount(id) <= kQueueBytes) {
    const Scripted& next = channel.script.front();
    const bool is_text = next.said || next.kind == PatternKind::kText;
    std::vector<uint8_t> payload =
        next.said ? std::vector<uint8_t>(next.said->begin(), next.said->end())
                  : MakePatternMessage(next.kind, channel.sent, next.size);
    const size_t size = payload.size();
    const absl::Status status = engine().Send(
        Now(), id,
        is_text ? peer::PayloadType::kText : peer::PayloadType::kBinary,
        std::move(payload));
    if (absl::IsResourceExhausted(status)) return;  // WritableAgain follows.
    channel.script.pop_front();
    if (!status.ok()) {
      Write({{"event", "refused"},
             {"label", channel.report.label},
             {"size", size},
             {"reason", std::string(status.message())}});
      continue;
    }
    ++channel.sent;
    ++scripted_;
    bytes_sent_ += size;
  }
  if (channel.close_behind && channel.script.empty() &&
      !std::exchange(channel.closing, true)) {
    // Refused if it has closed by itself.
    (void)engine().CloseChannel(Now(), id);
  }
}

// `number` is what the pattern begins with: the index modulo 256, of a text
// modulo 26.
void PeerSession::WriteMessage(peer::ChannelId id, peer::PayloadType type,
                               uint64_t index,
                               absl::Span<const uint8_t> payload) {
  const bool is_text = type == peer::PayloadType::kText;
  json line{{"event", "message"},
            {"label", configs_[id].label},
            {"index", index},
            {"size", payload.size()},
            {"text", is_text},
            {"intact",
             IsSomePatternMessage(
                 is_text ? PatternKind::kText : PatternKind::kBinary, payload)},
            {"number", nullptr}};
  if (!payload.empty()) line["number"] = payload[0] - (is_text ? 'a' : 0);
  if (is_text && payload.size() <= kToldBytesMax) {
    line["said"] = std::string(payload.begin(), payload.end());
  }
  Write(line);
}

}  // namespace kyuu::tools
