// Who the other side is: a code that both have to prove, or a number that two
// people compare (docs/application_protocol.md, "Codes", "The short number").

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tools/kyuu/call.h"
#include "tools/kyuu/code/code_meeting.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

absl::Status StatusOf(CodeRole role, CodeOutcome outcome) {
  const std::string text = OutcomeText(role, outcome);
  switch (outcome) {
    case CodeOutcome::kProven:
      return absl::OkStatus();
    case CodeOutcome::kWrong:
      return absl::PermissionDeniedError(text);
    case CodeOutcome::kMiddle:
      return absl::UnauthenticatedError(text);
    case CodeOutcome::kBroken:
      return absl::InvalidArgumentError(text);
    case CodeOutcome::kSilent:
      return absl::DeadlineExceededError(text);
  }
  return absl::OkStatus();
}

}  // namespace

// Behind the handshake of DTLS, in which its certificate was shown.
dtls::Fingerprint Call::PeerFingerprint() {
  const auto session = engine().stats().dtls_session;
  return session ? session->remote_fingerprint : dtls::Fingerprint();
}

void Call::BeginCode() {
  exchange_.emplace(net::Loop::Now(), required_->role, required_->code,
                    CodeChannel{fingerprint_, PeerFingerprint()}, random_);
  FlushCode();
}

void Call::OnCodeMessage(absl::string_view text) {
  if (verdict_) return;
  const json message = json::parse(text.begin(), text.end(), nullptr, false);
  const auto it = message.is_object() ? message.find("type") : message.end();
  if (it == message.end() || !it->is_string()) return;
  const auto& type = it->get_ref<const std::string&>();
  if (type == "bye") {
    return Over(absl::UnavailableError(
        "the other side hung up before it had proven the code"));
  }
  if (!CodeExchange::IsType(type)) return;
  exchange_->HandleMessage(message);
  FlushCode();
}

void Call::FlushCode() {
  const absl::Time now = net::Loop::Now();
  // The last word has had its time.
  if (verdict_) return Over(absl::OkStatus());
  exchange_->HandleTimeout(now);
  if (const auto message = exchange_->PollMessage()) SendControl(*message);
  code_alarm_.Set(exchange_->NextTimeout());
  const std::optional<CodeOutcome> outcome = exchange_->outcome();
  if (!outcome) return;
  if (outcome == CodeOutcome::kProven) {
    code_alarm_.Stop();
    exchange_.reset();
    Emit(CodeEnded{*outcome});
    return BeginTalk();
  }
  verdict_ = StatusOf(required_->role, *outcome);
  code_alarm_.Set(now + kLastWordMax);
  Emit(CodeEnded{*outcome});
  // The channel's end comes behind what is queued on it.
  (void)engine().CloseChannel(now, *control_);
  connection_->Flush();
}

void Call::BeginNumber() {
  number_.emplace(
      role_ == CallRole::kCaller ? NumberRole::kCaller : NumberRole::kCallee,
      fingerprint_, PeerFingerprint(), random_);
  if (const auto message = number_->PollMessage()) SendControl(*message);
}

void Call::OnNumberMessage(const json& message) {
  if (number_->number()) return;
  number_->HandleMessage(message);
  if (const auto answer = number_->PollMessage()) SendControl(*answer);
  if (number_->number()) Emit(NumberKnown{});
}

}  // namespace kyuu::tools
