#include "turn/internal/authorizations.h"

#include <algorithm>
#include <utility>

namespace kyuu::turn::internal {

Authorizations::Standing Authorizations::Hold(absl::Time now,
                                              const Options& options,
                                              const Who& who, const Path& path,
                                              absl::Span<const uint8_t> bytes,
                                              const Arrival& arrival) {
  if (IsIn(now, denied_, who)) return Standing::kUnknown;
  if (IsIn(now, failed_, who)) return Standing::kFailed;
  auto it = waiting_.find(who);
  const bool is_new = it == waiting_.end();
  if (is_new) {
    if (waiting_.size() >= options.questions_max) return Standing::kFull;
    it = waiting_.try_emplace(who).first;
  }
  std::vector<Held>& held = it->second;
  // A retransmission says nothing new.
  const bool is_there =
      std::any_of(held.begin(), held.end(), [&](const Held& h) {
        return h.path == path && absl::MakeConstSpan(h.bytes) == bytes;
      });
  if (!is_there) {
    if (held.size() >= options.held_per_user_max) return Standing::kFull;
    held.push_back({path,
                    {bytes.begin(), bytes.end()},
                    arrival.reach,
                    std::string(arrival.host)});
  }
  return is_new ? Standing::kAsk : Standing::kAsked;
}

std::vector<Authorizations::Held> Authorizations::Take(const Who& who) {
  const auto it = waiting_.find(who);
  if (it == waiting_.end()) return {};
  std::vector<Held> held = std::move(it->second);
  waiting_.erase(it);
  return held;
}

bool Authorizations::IsIn(absl::Time now, Names& names, const Who& who) {
  if (!names.IsSet(who)) return false;
  if (names.deadline(who) > now) return true;
  names.Stop(who);
  return false;
}

void Authorizations::Note(const Options& options, Names& names, const Who& who,
                          absl::Time until) {
  // Whoever is forgotten too early is asked about again.
  while (names.size() >= options.remembered_max && !names.IsSet(who)) {
    if (!names.PopDue(absl::InfiniteFuture())) return;
  }
  names.Set(who, until);
}

void Authorizations::Forget(const Path& path) {
  for (auto& [who, held] : waiting_) {
    held.erase(std::remove_if(held.begin(), held.end(),
                              [&](const Held& h) { return h.path == path; }),
               held.end());
  }
}

}  // namespace kyuu::turn::internal
