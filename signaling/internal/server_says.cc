// What applications say to each other beside calls, and what they report of
// those.

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "signaling/internal/federation.h"
#include "signaling/server.h"

namespace kyuu::signaling {
namespace {

// A message counts as one more for each so many of its bytes, and of those
// whom it is for: who may send 50 a second says 100 kB a second to one peer.
constexpr double kBytesPerMessage = 2048;
constexpr double kReceiversPerMessage = 100;

// When to try again what found too much waiting for others.
constexpr absl::Duration kSayAgainAfter = absl::Milliseconds(500);

}  // namespace

void Server::On(const Context& context, const Say& say) {
  Session& session = context.session;
  const Member from = session.member;
  if (!directory_.IsInRoom(from)) {
    return Refuse(context, ErrorCode::kNotJoined, "join a room first");
  }
  const std::string name = directory_.NameOf(from);
  const double bytes = static_cast<double>(say.data.size());
  if (!TakeRate(context, session.message_rate, "bytes in messages",
                bytes / kBytesPerMessage)) {
    return;
  }
  absl::Cord text(
      WriteMessage(ServerMessage{"", Said{name, say.is_for_all, say.data}}));
  Refusal busy;
  busy.code = ErrorCode::kRateLimited;
  busy.message = "too much is waiting there";
  busy.retry_after = kSayAgainAfter;
  if (!say.is_for_all) {
    const auto found = directory_.PeerCalled(from, say.to);
    if (const auto* refusal = std::get_if<Refusal>(&found)) {
      return Refuse(context, *refusal);
    }
    if (!Deliver(from, name, std::get<Member>(found), text)) {
      return Refuse(context, busy);
    }
    return Reply(context, {"", Sent{}});
  }
  if (sayings_.size() >= options_.max_sayings) return Refuse(context, busy);
  auto all = directory_.AddressAll(context.now, from, text.size());
  if (const auto* refusal = std::get_if<Refusal>(&all)) {
    return Refuse(context, *refusal);
  }
  auto& receivers = std::get<std::vector<Member>>(all);
  if (!TakeRate(context, session.message_rate, "messages to all",
                static_cast<double>(receivers.size()) / kReceiversPerMessage)) {
    return;
  }
  // Others have to have it before the client hears that it was received.
  const auto elsewhere =
      std::partition(receivers.begin(), receivers.end(),
                     [&](Member to) { return sessions_.Find(to) != nullptr; });
  for (auto to = elsewhere; to != receivers.end(); ++to) {
    (void)Deliver(from, name, *to, text);  // Only of sessions here it is false.
  }
  receivers.erase(elsewhere, receivers.end());
  const bool is_told_in_steps =
      receivers.size() > options_.rooms.presence_messages_per_step ||
      std::any_of(sayings_.begin(), sayings_.end(), [&](const auto& saying) {
        return saying.room == directory_.RoomOf(from);
      });
  sayings_.push_back({from, name, directory_.RoomOf(from), std::move(text),
                      std::move(receivers)});
  if (!is_told_in_steps) {
    // In its turn that of another room would be told.
    std::rotate(sayings_.begin(), sayings_.end() - 1, sayings_.end());
    SaySome();
  }
  Reply(context, {"", Sent{}});
}

void Server::SaySome() {
  if (sayings_.empty()) return;
  internal::Saying& saying = sayings_.front();
  size_t count = std::min(options_.rooms.presence_messages_per_step,
                          saying.receivers.size());
  for (; count > 0; --count) {
    const Member to = saying.receivers.back();
    saying.receivers.pop_back();
    if (directory_.IsInRoom(to) && directory_.RoomOf(to) == saying.room) {
      // Whose session has too much to keep does without.
      (void)Deliver(saying.from, saying.name, to, saying.text);
    }
  }
  if (saying.receivers.empty()) sayings_.pop_front();
}

bool Server::Deliver(Member from, const std::string& name, Member to,
                     const absl::Cord& text) {
  Session* session = sessions_.Find(to);
  if (session == nullptr) {
    if (federation_ != nullptr) {
      federation_->Send(
          to, node::Said{federation_->IdOf(from), federation_->IdOf(to),
                         std::string(text)});
    }
    return true;
  }
  if (IsBlocked(*session, name)) {
    ++stats_.messages_blocked;
    return true;
  }
  // Half of what is kept for a client that is away is for what calls need:
  // nobody can end its session by talking to it.
  if (!session->connection.has_value() &&
      session->outbox.bytes() + text.size() > options_.max_outbox_bytes / 2) {
    ++stats_.messages_dropped;
    return false;
  }
  ++stats_.messages_passed_on;
  SendText(*session, text);
  return true;
}

void Server::On(const Context& context, const Report& report) {
  if (const auto refusal =
          directory_.ReportCall(context.session.member, report.call)) {
    return Refuse(context, *refusal);
  }
  switch (report.outcome) {
    case CallOutcome::kDirect:
      ++stats_.reports_direct;
      break;
    case CallOutcome::kRelayed:
      ++stats_.reports_relayed;
      break;
    case CallOutcome::kFailed:
      ++stats_.reports_failed;
      break;
  }
  if (report.round_trip_ms.has_value()) {
    round_trips_.Observe(static_cast<double>(*report.round_trip_ms) / 1000);
  }
}

}  // namespace kyuu::signaling
