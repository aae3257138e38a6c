#include "signaling/internal/session.h"

#include <array>

#include "absl/strings/escaping.h"
#include "base/bytes.h"
#include "base/check.h"
#include "signaling/internal/secret.h"

namespace kyuu::signaling::internal {
namespace {

// 128 bits, as hexadecimal digits.
std::string RandomId(Random& random) {
  std::array<uint8_t, 16> bytes;
  random.Fill(absl::MakeSpan(bytes));
  return absl::BytesToHexString(AsText(bytes));
}

}  // namespace

Session& Sessions::Add(absl::Time now, const Source& source, Member member) {
  return sessions_.try_emplace(member, member, source, *options_, now)
      .first->second;
}

void Sessions::Name(Session& session, bool resumable) {
  session.id = RandomId(*random_);
  if (resumable) session.secret = RandomId(*random_);
  by_id_.emplace(session.id, session.member);
}

void Sessions::Restore(Session& session, std::string id, std::string secret,
                       uint64_t forgotten,
                       const std::vector<std::string>& kept) {
  session.id = std::move(id);
  session.secret = std::move(secret);
  session.outbox = Outbox(forgotten);
  for (const std::string& text : kept) session.outbox.Push(absl::Cord(text));
  kept_bytes_ += session.outbox.bytes();
  by_id_.emplace(session.id, session.member);
}

Session* Sessions::Find(Member member) {
  const auto it = sessions_.find(member);
  return it == sessions_.end() ? nullptr : &it->second;
}

Session* Sessions::Find(absl::string_view id) {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : Find(it->second);
}

Session* Sessions::FindResumable(const ResumeRequest& request) {
  Session* session = Find(request.session);
  if (session == nullptr || !session->resumable() ||
      !IsSameSecret(session->secret, request.secret) ||
      !session->is_numbered() ||
      !session->outbox.CanResumeAfter(request.received)) {
    return nullptr;
  }
  return session;
}

bool Sessions::BeginGrace(absl::Time now, Session& session) {
  session.connection.reset();
  if (in_grace_ >= options_->max_sessions_in_grace ||
      !grace_.Take(session.source,
                   options_->max_sessions_in_grace_per_source)) {
    return false;
  }
  ++in_grace_;
  Set(Timer::kGrace, session, now + options_->grace);
  return true;
}

void Sessions::EndGrace(Session& session) {
  --in_grace_;
  grace_.Return(session.source);
  Stop(Timer::kGrace, session);
}

void Sessions::Remove(Session& session) {
  for (const Timer timer :
       {Timer::kHello, Timer::kGrace, Timer::kCredentials, Timer::kToken}) {
    Stop(timer, session);
  }
  kept_bytes_ -= session.outbox.bytes();
  by_id_.erase(session.id);
  sessions_.erase(session.member);
}

bool Sessions::Keep(Session& session, const absl::Cord& text) {
  Outbox& outbox = session.outbox;
  const size_t before = outbox.bytes();
  outbox.Push(text);
  kept_bytes_ += outbox.bytes() - before;
  while (outbox.bytes() > options_->max_outbox_bytes ||
         kept_bytes_ > options_->max_kept_bytes) {
    if (!session.connection.has_value() || !session.is_open()) return false;
    if (outbox.messages().empty()) break;
    // It is on its way. Should it be lost with the connection, the session
    // cannot go on, and its client is told so.
    const size_t with_oldest = outbox.bytes();
    outbox.Forget();
    kept_bytes_ -= with_oldest - outbox.bytes();
  }
  return true;
}

bool Sessions::Acknowledge(Session& session, uint64_t number) {
  const size_t before = session.outbox.bytes();
  const bool was_sent = session.outbox.Acknowledge(number);
  kept_bytes_ -= before - session.outbox.bytes();
  return was_sent;
}

std::optional<Sessions::Due> Sessions::PopDue(absl::Time now) {
  const std::optional<std::pair<Timer, Member>> due = deadlines_.PopDue(now);
  if (!due.has_value()) return std::nullopt;
  Session* session = Find(due->second);
  KYUU_CHECK(session != nullptr);
  return Due{due->first, session};
}

}  // namespace kyuu::signaling::internal
