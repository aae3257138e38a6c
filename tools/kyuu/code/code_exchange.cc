#include "tools/kyuu/code/code_exchange.h"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "tools/kyuu/code/hex_field.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

constexpr char kStart[] = "code-start";
constexpr char kAnswer[] = "code-answer";
constexpr char kConfirm[] = "code-confirm";
constexpr char kWrong[] = "code-wrong";
constexpr absl::string_view kProtocol = "kyuu.code.v1";
constexpr absl::string_view kChannelPurpose = "kyuu.code.v1 channel";

absl::string_view NameOf(CodeRole role) {
  return role == CodeRole::kSender ? "sender" : "receiver";
}
CodeRole Other(CodeRole role) {
  return role == CodeRole::kSender ? CodeRole::kReceiver : CodeRole::kSender;
}

std::string Hex(absl::Span<const uint8_t> bytes) {
  return absl::BytesToHexString(AsText(bytes));
}

std::string TypeOf(const json& message) {
  const auto it = message.is_object() ? message.find("type") : message.end();
  return it != message.end() && it->is_string() ? it->get<std::string>() : "";
}

}  // namespace

CodeExchange::CodeExchange(absl::Time now, CodeRole role, const Code& code,
                           const CodeChannel& channel, Random& random)
    : role_(role),
      code_(code),
      channel_(channel),
      random_(random),
      deadline_(now + kTimeMax) {
  if (role_ == CodeRole::kReceiver) return;
  std::array<uint8_t, kSessionBytes> session;
  random_.Fill(absl::MakeSpan(session));
  Begin(AsText(session));
  message_ = json{{"type", kStart},
                  {"session", Hex(session)},
                  {"share", Hex(cpace_->share())}};
}

bool CodeExchange::IsType(absl::string_view type) {
  return type == kStart || type == kAnswer || type == kConfirm ||
         type == kWrong;
}

void CodeExchange::Begin(absl::string_view session) {
  const std::string channel = LvCat({kProtocol, code_.number()});
  cpace_.emplace(
      role_ == CodeRole::kSender ? CpaceRole::kInitiator
                                 : CpaceRole::kResponder,
      CpaceInputs{
          .password = code_.words(), .channel = channel, .session_id = session},
      NameOf(role_), random_);
}

std::string CodeExchange::ChannelText(CodeRole role) const {
  const bool sender = role_ == CodeRole::kSender;
  return LvCat({NameOf(role),
                AsText((sender ? channel_.own : channel_.peer).digest()),
                AsText((sender ? channel_.peer : channel_.own).digest())});
}

bool CodeExchange::SeesTheSame(const json& message) const {
  const auto mac = HexField(message, "channel", Cpace::kMacBytes);
  return mac && cpace_->IsMacOf(kChannelPurpose, ChannelText(Other(role_)),
                                AsBytes(*mac));
}

void CodeExchange::HandleMessage(const json& message) {
  if (outcome_) return;
  const std::string type = TypeOf(message);
  const bool has_key = cpace_ && cpace_->has_key();
  if (role_ == CodeRole::kReceiver && type == kStart && !cpace_) {
    HandleStart(message);
  } else if (role_ == CodeRole::kSender && type == kAnswer) {
    HandleAnswer(message);
  } else if (role_ == CodeRole::kReceiver && type == kConfirm && has_key) {
    HandleConfirm(message);
  } else if (role_ == CodeRole::kReceiver && type == kWrong && has_key) {
    outcome_ = CodeOutcome::kWrong;
  } else {
    outcome_ = CodeOutcome::kBroken;
  }
}

void CodeExchange::HandleStart(const json& message) {
  const auto session = HexField(message, "session", kSessionBytes);
  const auto share = HexField(message, "share", Cpace::kShareBytes);
  if (session && share) {
    Begin(*session);
    if (cpace_->HandleShare(AsBytes(*share), NameOf(CodeRole::kSender)).ok()) {
      message_ = json{
          {"type", kAnswer},
          {"share", Hex(cpace_->share())},
          {"tag", Hex(cpace_->Tag())},
          {"channel", Hex(cpace_->MacOf(kChannelPurpose, ChannelText(role_)))}};
      return;
    }
  }
  outcome_ = CodeOutcome::kBroken;
}

void CodeExchange::HandleAnswer(const json& message) {
  const auto share = HexField(message, "share", Cpace::kShareBytes);
  const auto tag = HexField(message, "tag", Cpace::kMacBytes);
  if (!share || !tag ||
      !cpace_->HandleShare(AsBytes(*share), NameOf(CodeRole::kReceiver)).ok()) {
    outcome_ = CodeOutcome::kBroken;
    return;
  }
  if (!cpace_->IsPeerTag(AsBytes(*tag))) {
    message_ = json{{"type", kWrong}};
    outcome_ = CodeOutcome::kWrong;
    return;
  }
  // Sent in any case, so that both sides find who sits in the middle. It tells
  // that one nothing.
  message_ = json{
      {"type", kConfirm},
      {"tag", Hex(cpace_->Tag())},
      {"channel", Hex(cpace_->MacOf(kChannelPurpose, ChannelText(role_)))}};
  outcome_ = SeesTheSame(message) ? CodeOutcome::kProven : CodeOutcome::kMiddle;
}

void CodeExchange::HandleConfirm(const json& message) {
  const auto tag = HexField(message, "tag", Cpace::kMacBytes);
  if (!tag || !cpace_->IsPeerTag(AsBytes(*tag))) {
    outcome_ = CodeOutcome::kWrong;
  } else {
    outcome_ =
        SeesTheSame(message) ? CodeOutcome::kProven : CodeOutcome::kMiddle;
  }
}

void CodeExchange::HandleTimeout(absl::Time now) {
  if (!outcome_ && now >= deadline_) outcome_ = CodeOutcome::kSilent;
}

std::optional<json> CodeExchange::PollMessage() {
  return std::exchange(message_, std::nullopt);
}

}  // namespace kyuu::tools
