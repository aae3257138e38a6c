#include "turn/internal/visitors.h"

#include <algorithm>

namespace kyuu::turn::internal {

std::optional<uint64_t> Visitors::Add(absl::Time now, const Path& path,
                                      const Ledger::Holder& holder,
                                      absl::Duration lifetime) {
  const Key key{holder.instance, static_cast<uint64_t>(holder.relay)};
  const auto known = by_path_.find(path);
  if (known == by_path_.end() && by_path_.size() >= max_) return std::nullopt;
  // The 5-tuple may have another allocation now.
  if (known != by_path_.end() && known->second.key != key) Remove(path);
  Host& host = hosts_[key];
  host.used = now;
  host.lifetime = lifetime;
  deadlines_.Set(key, now + lifetime);
  if (std::find(host.paths.begin(), host.paths.end(), path) ==
      host.paths.end()) {
    host.paths.push_back(path);
  }
  if (host.paths.size() > 2) {
    by_path_.erase(host.paths.front());
    host.paths.erase(host.paths.begin());
  }
  by_path_.insert_or_assign(path, Entry{key, ++visits_});
  return visits_;
}

std::optional<Visitors::Visit> Visitors::Find(absl::Time now,
                                              const Path& path) {
  const auto it = by_path_.find(path);
  if (it == by_path_.end()) return std::nullopt;
  hosts_.at(it->second.key).used = now;
  return Visit{it->second.key.first, it->second.number};
}

void Visitors::Expect(absl::Time now, const Path& path,
                      absl::Duration lifetime) {
  const auto it = by_path_.find(path);
  if (it == by_path_.end()) return;
  Host& host = hosts_.at(it->second.key);
  host.used = now;
  host.lifetime = lifetime;
  deadlines_.Set(it->second.key, now + lifetime);
}

void Visitors::Remove(const Path& path) {
  const auto it = by_path_.find(path);
  if (it == by_path_.end()) return;
  const Key key = it->second.key;
  by_path_.erase(it);
  auto& paths = hosts_.at(key).paths;
  paths.erase(std::find(paths.begin(), paths.end(), path));
  if (paths.empty()) Drop(key);
}

void Visitors::End(const Path& path, uint64_t number) {
  const auto it = by_path_.find(path);
  if (it != by_path_.end() && it->second.number == number) Remove(path);
}

void Visitors::HandleTimeout(absl::Time now) {
  while (const std::optional<Key> key = deadlines_.PopDue(now)) {
    const Host& host = hosts_.at(*key);
    if (host.used + host.lifetime > now) {
      deadlines_.Set(*key, host.used + host.lifetime);
    } else {
      Drop(*key);
    }
  }
}

void Visitors::Drop(const Key& key) {
  for (const Path& path : hosts_.at(key).paths) by_path_.erase(path);
  hosts_.erase(key);
  deadlines_.Stop(key);
}

}  // namespace kyuu::turn::internal
