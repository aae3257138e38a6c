#include "ice/mux.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/counters.h"
#include "stun/attributes.h"
#include "stun/message.h"

namespace kyuu::ice {
namespace {

// Implementations put USERNAME first or nearly so; a message that hides it
// behind hundreds is nobody's.
constexpr int kAttributesMax = 32;

struct Header {
  stun::MessageClass cls;
  stun::TransactionId id;
};

// `stun` is one by its header (stun::IsStun).
Header ReadHeader(absl::Span<const uint8_t> stun) {
  Header header;
  Reader r(stun);
  header.cls = stun::ClassOf(r.U16());
  r.Skip(6);
  const absl::Span<const uint8_t> id = r.Bytes(header.id.bytes.size());
  std::copy(id.begin(), id.end(), header.id.bytes.begin());
  return header;
}

// An id is a slot, and above it a number that tells it from those who had the
// slot before: one trillion of them.
constexpr int kSlotBits = 24;
constexpr uint64_t kSlotMask = (uint64_t{1} << kSlotBits) - 1;

uint32_t SlotOf(MuxId id) {
  return static_cast<uint32_t>(static_cast<uint64_t>(id) & kSlotMask);
}

template <typename T>
uint32_t Hash(const T& key) {
  return static_cast<uint32_t>(absl::Hash<T>()(key));
}

}  // namespace

absl::string_view UfragOf(absl::Span<const uint8_t> stun) {
  Reader r(stun);
  r.Skip(stun::kHeaderSize);
  for (int i = 0; i < kAttributesMax && !r.empty(); ++i) {
    const uint16_t type = r.U16();
    const size_t size = r.U16();
    if (type == stun::Username::kType) {
      const absl::string_view name = r.Text(size);
      const size_t colon = name.find(':');
      return colon == absl::string_view::npos ? absl::string_view()
                                              : name.substr(0, colon);
    }
    r.Skip((size + 3) / 4 * 4);
  }
  return {};
}

Mux::Agent* Mux::Find(MuxId id) {
  const uint32_t slot = SlotOf(id);
  if (slot >= slots_.size() || slots_[slot].id != id) return nullptr;
  return &slots_[slot];
}

const Mux::Agent* Mux::Find(MuxId id) const {
  return const_cast<Mux*>(this)->Find(id);
}

std::optional<uint32_t> Mux::SlotOfUfrag(absl::string_view ufrag) const {
  return ufrags_.Find(Hash(ufrag), [&](uint32_t slot) {
    const auto& own = slots_[slot].ufrags;
    return std::find(own.begin(), own.end(), ufrag) != own.end();
  });
}

std::optional<uint32_t> Mux::SlotOfPath(const Path& path) const {
  return paths_.Find(Hash(path), [&](uint32_t slot) {
    const auto& own = slots_[slot].paths;
    return std::any_of(own.begin(), own.end(), [&](const OwnPath& other) {
      return !other.lost && other.path == path;
    });
  });
}

void Mux::ForgetUfrag(uint32_t slot, absl::string_view ufrag) {
  ufrags_.Remove(Hash(ufrag), slot);
}

void Mux::ForgetPath(uint32_t slot, const Path& path) {
  paths_.Remove(Hash(path), slot);
}

absl::StatusOr<MuxId> Mux::Add() {
  if (agents() >= std::min<size_t>(options_.agents_max, kSlotMask)) {
    return absl::ResourceExhaustedError("too many agents share the port");
  }
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  slots_[slot].id = MuxId{++last_id_ << kSlotBits | slot};
  return slots_[slot].id;
}

void Mux::Remove(MuxId id) {
  Agent* const agent = Find(id);
  if (agent == nullptr) return;
  const uint32_t slot = SlotOf(id);
  for (const std::string& ufrag : agent->ufrags) ForgetUfrag(slot, ufrag);
  for (const OwnPath& own : agent->paths) {
    if (!own.lost) ForgetPath(slot, own.path);
  }
  // Its transactions lead to nobody until they are forgotten.
  *agent = Agent();
  free_slots_.push_back(slot);
}

bool Mux::AddUfrag(MuxId id, absl::string_view ufrag) {
  Agent* const agent = Find(id);
  if (agent == nullptr || ufrag.empty()) return false;
  auto& own = agent->ufrags;
  const std::optional<uint32_t> known = SlotOfUfrag(ufrag);
  if (known && *known != SlotOf(id)) {
    ++stats_.ufrag_collisions;
    return false;
  }
  if (known) {
    own.erase(std::find(own.begin(), own.end(), ufrag));
  } else {
    ufrags_.Add(Hash(ufrag), SlotOf(id));
  }
  own.emplace_back(ufrag);
  if (own.size() > options_.ufrags_max) {
    ForgetUfrag(SlotOf(id), own.front());
    own.erase(own.begin());
  }
  return true;
}

bool Mux::KnowsUfrag(MuxId id, absl::string_view ufrag) const {
  const Agent* const agent = Find(id);
  return agent != nullptr && !agent->ufrags.empty() &&
         agent->ufrags.back() == ufrag;
}

void Mux::NoteSent(absl::Time now, MuxId id, const Datagram& datagram) {
  if (!stun::IsStun(datagram.bytes)) return;
  const Header header = ReadHeader(datagram.bytes);
  if (header.cls != stun::MessageClass::kRequest) return;
  // The answer finds its way without.
  if (Owner(datagram.path) == id) return MakeRoom(now);
  const auto [it, is_new] = transactions_.try_emplace(header.id);
  it->second = {id, now + options_.transaction_lifetime};
  if (!is_new) return;
  oldest_.push_back(header.id);
  MakeRoom(now);
}

// Two of the oldest for each that comes, so that there are soon no more than
// are of use. One that was sent again holds up those behind it for as long.
void Mux::MakeRoom(absl::Time now) {
  for (int i = 0; i < 2 && !oldest_.empty(); ++i) {
    const auto it = transactions_.find(oldest_.front());
    const bool over = it->second.deadline <= now;
    if (!over) {
      if (transactions_.size() <= options_.transactions_max) return;
      ++stats_.transaction_limit;
    }
    transactions_.erase(it);
    oldest_.pop_front();
  }
  // The memory of a storm is not kept when it is over.
  if (oldest_.empty() && transactions_.capacity() > 0) {
    transactions_ = {};
    oldest_ = {};
  }
}

std::optional<MuxId> Mux::Owner(const Path& path) const {
  const std::optional<uint32_t> slot = SlotOfPath(path);
  if (!slot) return std::nullopt;
  return slots_[*slot].id;
}

std::optional<MuxId> Mux::Route(const Datagram& datagram) {
  if (stun::IsStun(datagram.bytes)) {
    const Header header = ReadHeader(datagram.bytes);
    switch (header.cls) {
      case stun::MessageClass::kRequest:
        return RouteRequest(datagram);
      case stun::MessageClass::kSuccess:
      case stun::MessageClass::kError: {
        const auto asked = transactions_.find(header.id);
        if (asked != transactions_.end() && Find(asked->second.id) != nullptr) {
          ++stats_.by_transaction;
          return asked->second.id;
        }
        const std::optional<MuxId> owner = Owner(datagram.path);
        ++(owner ? stats_.by_path : stats_.drop_unknown_transaction);
        return owner;
      }
      case stun::MessageClass::kIndication:
        break;
    }
  }
  const std::optional<MuxId> owner = Owner(datagram.path);
  ++(owner ? stats_.by_path : stats_.drop_unknown_path);
  return owner;
}

std::optional<MuxId> Mux::RouteRequest(const Datagram& datagram) {
  const absl::string_view ufrag = UfragOf(datagram.bytes);
  if (const std::optional<uint32_t> named =
          ufrag.empty() ? std::nullopt : SlotOfUfrag(ufrag)) {
    ++stats_.by_ufrag;
    return slots_[*named].id;
  }
  // One of a generation that is forgotten here; its agent knows.
  const std::optional<MuxId> owner =
      ufrag.empty() ? std::nullopt : Owner(datagram.path);
  ++(owner ? stats_.by_path : stats_.drop_unknown_ufrag);
  return owner;
}

void Mux::Bind(MuxId id, const Path& path, PathProof proof) {
  Agent* const agent = Find(id);
  if (agent == nullptr || proof == PathProof::kNone) return;
  const uint32_t slot = SlotOf(id);
  auto& own = agent->paths;
  auto* const known =
      std::find_if(own.begin(), own.end(),
                   [&](const OwnPath& other) { return other.path == path; });
  const std::optional<uint32_t> owner = SlotOfPath(path);
  if (owner == slot) return;
  if (owner) {
    const bool was_mine = known != own.end();  // A newer one has it.
    if (was_mine || proof != PathProof::kProven) return;
    ++stats_.paths_moved;
    ForgetPath(*owner, path);
    Lose(slots_[*owner], path);
  }
  paths_.Add(Hash(path), slot);
  if (known != own.end()) own.erase(known);
  own.push_back({path});
  if (own.size() <= options_.paths_max) return;
  ++stats_.path_limit;
  if (!own.front().lost) ForgetPath(slot, own.front().path);
  own.erase(own.begin());
}

void Mux::Lose(Agent& agent, const Path& path) {
  for (OwnPath& own : agent.paths) {
    if (own.path == path) own.lost = true;
  }
}

std::string Mux::DebugString() const {
  return absl::StrCat("mux of ", agents(), " agents, ", ufrags_.size(),
                      " ufrags, ", paths_.size(), " paths, ",
                      transactions_.size(), " transactions; ",
                      CountersToString(stats_));
}

}  // namespace kyuu::ice
