#include "tools/kyuu/code/code_meeting.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace kyuu::tools {
namespace {

using nlohmann::json;

std::string Text(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

const char* WordOf(CodeRole role) {
  return role == CodeRole::kSender ? "send" : "receive";
}

}  // namespace

CodeMeeting::CodeMeeting(absl::Time now, CodeRole role, const Code& code,
                         Random& random)
    : role_(role), code_(code), random_(random), deadline_(now + kWaitMax) {
  UseNames();
}

// One sender has a number, but any number of receivers may come.
void CodeMeeting::UseNames() {
  name_ =
      role_ == CodeRole::kSender
          ? absl::StrCat("sender-", code_.number())
          : absl::StrFormat("receiver-%s-%04x", code_.number(), random_.U16());
}

std::string CodeMeeting::Room() const {
  return absl::StrCat("code-", code_.number());
}

std::string CodeMeeting::PeerMeta() const {
  return json{{"app", "kyuu"},
              {"kind", "cli"},
              {"code", code_.number()},
              {"role", WordOf(role_)}}
      .dump();
}

std::string CodeMeeting::CallMeta() const {
  return json{{"code", code_.number()}}.dump();
}

bool CodeMeeting::IsCall(absl::string_view meta) const {
  const json object = json::parse(meta.begin(), meta.end(), nullptr, false);
  return role_ == CodeRole::kReceiver && object.is_object() &&
         Text(object, "code") == code_.number();
}

bool CodeMeeting::HandleNameTaken() {
  if (role_ == CodeRole::kSender) {
    if (numbers_ == kNumbersMax) return false;
    ++numbers_;
    code_ = code_.WithOtherNumber(random_);
  }
  UseNames();
  return true;
}

void CodeMeeting::HandleJoined() {
  waiting_.clear();
  senders_.clear();
}

void CodeMeeting::HandlePeer(absl::string_view name, absl::string_view meta) {
  const json object = json::parse(meta.begin(), meta.end(), nullptr, false);
  if (!object.is_object() || Text(object, "code") != code_.number()) return;
  const std::string role = Text(object, "role");
  if (role_ == CodeRole::kReceiver && role == WordOf(CodeRole::kSender)) {
    senders_.insert(std::string(name));
    sender_gone_ = false;
  } else if (role_ == CodeRole::kSender &&
             role == WordOf(CodeRole::kReceiver) &&
             std::find(waiting_.begin(), waiting_.end(), name) ==
                 waiting_.end()) {
    if (waiting_.size() == kWaitingMax) waiting_.pop_front();
    waiting_.emplace_back(name);
  }
}

void CodeMeeting::HandlePeerLeft(absl::string_view name) {
  waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), name),
                 waiting_.end());
  if (senders_.erase(std::string(name)) > 0) sender_gone_ = senders_.empty();
}

std::optional<std::string> CodeMeeting::WhomToCall() {
  if (waiting_.empty() || proven() || burnt()) return std::nullopt;
  std::string next = std::move(waiting_.front());
  waiting_.pop_front();
  return next;
}

std::string OutcomeText(CodeRole role, CodeOutcome outcome) {
  const bool sender = role == CodeRole::kSender;
  switch (outcome) {
    case CodeOutcome::kProven:
      return "the code is right";
    case CodeOutcome::kWrong:
      return sender ? "somebody tried a wrong code; nothing was sent, and this "
                      "code is good for nothing any more: send again, with "
                      "another one"
                    : "the code is wrong, and is good for nothing any more: "
                      "have it sent again, with another one";
    case CodeOutcome::kMiddle:
      return "the code is right, but somebody sits in the middle of the "
             "connection, the server most likely: the other side has another "
             "certificate than the one shown here. Nothing was sent";
    case CodeOutcome::kBroken:
      return "what the other side says is no proof of a code";
    case CodeOutcome::kSilent:
      return "the other side says nothing about the code";
  }
  return "";
}

}  // namespace kyuu::tools
