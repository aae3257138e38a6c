// The server of PeerJS as one of several.

#include <utility>
#include <variant>

#include "signaling/close_code.h"
#include "signaling/internal/dialect_json.h"
#include "signaling/internal/json.h"
#include "signaling/internal/secret.h"
#include "signaling/peerjs/peerjs.h"

namespace kyuu::signaling {

using internal::KeptMessage;
using internal::PeerJsNodes;

void PeerJsServer::Federate() {
  nodes_ = std::make_unique<PeerJsNodes>(options_, random_, stats_);
}

void PeerJsServer::HandleNode(absl::Time now, const Links::Event& event) {
  if (const auto* up = std::get_if<NodeUp>(&event)) {
    nodes_->HandleUp(up->node);
  } else if (const auto* lost = std::get_if<NodeLost>(&event)) {
    nodes_->HandleLost(now, lost->node);
  } else if (const auto* message = std::get_if<NodeMessage>(&event)) {
    HandleMessage(now, message->from, message->message);
  }
  Settle(now);
}

void PeerJsServer::HandleMessage(absl::Time now, NodeId from,
                                 absl::string_view bytes) {
  if (!nodes_->IsUp(from)) {
    ++stats_.stale;
    return;
  }
  auto message = peerjs::ParseNodeMessage(bytes);
  if (!message.ok()) {
    ++stats_.malformed;
    return;
  }
  if (auto* passed = std::get_if<peerjs::Passed>(&*message)) {
    On(from, *passed);
  } else if (auto* returned = std::get_if<peerjs::Returned>(&*message)) {
    On(now, *returned);
  } else if (const auto* wanted = std::get_if<peerjs::Wanted>(&*message)) {
    On(from, *wanted);
  } else if (const auto* here = std::get_if<peerjs::Here>(&*message)) {
    if (!IsId(here->id)) {
      ++stats_.malformed;
      return;
    }
    nodes_->Handle(now, from, *here);
  } else if (const auto* gone = std::get_if<peerjs::Gone>(&*message)) {
    nodes_->Handle(from, *gone);
  } else {
    nodes_->Handle(now, from, std::get<peerjs::Answer>(*message));
  }
}

bool PeerJsServer::IsText(const peerjs::Passed& passed) const {
  // Ids stand in it as well, each byte of them as six at most.
  const size_t longest = options_.max_message_bytes +
                         6 * (passed.from.size() + passed.to.size()) + 100;
  if (!IsId(passed.from) || !IsId(passed.to) || passed.text.size() > longest) {
    return false;
  }
  const auto message =
      internal::JsonObject::Parse(passed.text, internal::kDialectJson);
  if (!message.ok()) return false;
  const auto type = message->Find("type");
  return type && type->kind == internal::JsonKind::kString;
}

void PeerJsServer::On(NodeId from, peerjs::Passed& passed) {
  if (!IsText(passed)) {
    ++stats_.malformed;
    return;
  }
  const auto it = peers_.find(passed.to);
  if (it != peers_.end() && it->second.is_open()) {
    if (out_.bytes() >= options_.max_queued_bytes) {
      ++stats_.overloaded;
      return;
    }
    ++stats_.passed_on;
    return Send(it->second.connection, std::move(passed.text));
  }
  if (!passed.is_important) {
    ++stats_.messages_unknown;
    return;
  }
  ++stats_.returned;
  nodes_->Tell(from, peerjs::Returned{std::move(passed)});
}

void PeerJsServer::On(absl::Time now, peerjs::Returned& returned) {
  peerjs::Passed& passed = returned.passed;
  const auto it = peers_.find(passed.from);
  if (!IsText(passed) || !passed.is_important) {
    ++stats_.malformed;
  } else if (it == peers_.end() || it->second.number != passed.number) {
    ++stats_.stale;
  } else {
    PassOn(now, it->second.source, std::move(passed));
  }
}

void PeerJsServer::On(NodeId from, const peerjs::Wanted& wanted) {
  peerjs::Answer answer{wanted.request, wanted.id, peerjs::Verdict::kNotHere};
  const auto it = peers_.find(wanted.id);
  if (it != peers_.end() && it->second.is_open()) {
    if (!internal::IsSameSecret(it->second.token, wanted.token)) {
      answer.verdict = peerjs::Verdict::kTaken;
    } else {
      answer.verdict = peerjs::Verdict::kGiven;
      ++stats_.given;
      nodes_->GiveAway(wanted.id);
      const ConnectionId connection = it->second.connection;
      events_.push_back(CloseConnection{connection, kCloseNormal,
                                        "its peer has connected anew"});
      Forget(connection);
    }
  }
  nodes_->Tell(from, std::move(answer));
}

void PeerJsServer::HandleClaim(absl::Time now, const ClaimAnswer& answer) {
  nodes_->Handle(now, answer);
  Settle(now);
}

void PeerJsServer::HandleBackplane(absl::Time now, BackplaneState state) {
  nodes_->HandleBackplane(now, state);
  Settle(now);
}

std::optional<NodeCommand> PeerJsServer::PollNodeCommand() {
  return nodes_ == nullptr ? std::nullopt : nodes_->PollCommand();
}

void PeerJsServer::Settle(absl::Time now) {
  while (const auto outcome = nodes_->PollOutcome()) {
    const std::string& id = outcome->id;
    const auto it = peers_.find(id);
    switch (outcome->kind) {
      case PeerJsNodes::Outcome::Kind::kOurs:
        HandleOurs(now, id, it->second);
        break;
      case PeerJsNodes::Outcome::Kind::kTaken:
      case PeerJsNodes::Outcome::Kind::kLost: {
        const bool is_lost = outcome->kind == PeerJsNodes::Outcome::Kind::kLost;
        ++(is_lost ? stats_.ids_lost : stats_.refused_taken);
        const ConnectionId connection = it->second.connection;
        TurnAway(connection, kIdTaken, kClosePolicyViolation);
        Forget(connection);
        break;
      }
      case PeerJsNodes::Outcome::Kind::kArrived:
        for (KeptMessage& message : kept_.Take(id)) {
          ++stats_.kept_passed_on;
          PassOn(now, message.source,
                 {message.from, id, message.number, /*is_important=*/true,
                  std::move(message.text)});
        }
        break;
    }
  }
}

void PeerJsServer::HandleOurs(absl::Time now, const std::string& id,
                              Peer& peer) {
  const std::unique_ptr<Said> said = std::move(peer.said);
  const uint64_t number = peer.number;
  said_bytes_ -= said->bytes;
  Open(peer.connection, id);
  for (const std::string& text : said->texts) {
    // One of them may have been its last.
    const auto it = peers_.find(id);
    if (it == peers_.end() || it->second.number != number) return;
    Handle(now, id, it->second, text);
  }
}

}  // namespace kyuu::signaling
