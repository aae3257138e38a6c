#include "signaling/peerjs/internal/kept_messages.h"

#include <utility>

namespace kyuu::signaling::internal {
namespace {

size_t CostOf(const std::string& to, const KeptMessage& message) {
  return to.size() + message.from.size() + message.text.size() +
         KeptMessages::kMessageBytes;
}

template <typename Key>
size_t Held(const absl::flat_hash_map<Key, size_t>& held, const Key& key) {
  const auto it = held.find(key);
  return it == held.end() ? 0 : it->second;
}

template <typename Key>
void Release(absl::flat_hash_map<Key, size_t>& held, const Key& key,
             size_t bytes) {
  const auto it = held.find(key);
  it->second -= bytes;
  if (it->second == 0) held.erase(it);
}

}  // namespace

bool KeptMessages::Keep(absl::Time now, const std::string& to,
                        KeptMessage message) {
  const size_t cost = CostOf(to, message);
  // The source that is not known has no share of its own.
  const bool known = message.source != Source();
  if (bytes_ + cost > options_.max_kept_bytes ||
      Held(per_peer_, message.number) + cost >
          options_.max_kept_bytes_per_peer ||
      (known && Held(per_source_, message.source) + cost >
                    options_.max_kept_bytes_per_source)) {
    return false;
  }
  bytes_ += cost;
  per_peer_[message.number] += cost;
  if (known) per_source_[message.source] += cost;
  std::vector<KeptMessage>& queue = queues_[to];
  if (queue.empty()) deadlines_.Set(to, now + options_.expire_timeout);
  queue.push_back(std::move(message));
  return true;
}

std::vector<KeptMessage> KeptMessages::Take(const std::string& to) {
  const auto it = queues_.find(to);
  if (it == queues_.end()) return {};
  std::vector<KeptMessage> messages = std::move(it->second);
  for (const KeptMessage& message : messages) {
    const size_t cost = CostOf(to, message);
    bytes_ -= cost;
    Release(per_peer_, message.number, cost);
    if (message.source != Source()) Release(per_source_, message.source, cost);
  }
  deadlines_.Stop(to);
  queues_.erase(it);
  return messages;
}

}  // namespace kyuu::signaling::internal
