#include "ice/mux.h"

#include <algorithm>
#include <utility>

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

absl::StatusOr<MuxId> Mux::Add() {
  if (agents_.size() >= options_.agents_max) {
    return absl::ResourceExhaustedError("too many agents share the port");
  }
  const MuxId id{++last_id_};
  agents_.try_emplace(id);
  return id;
}

void Mux::Remove(MuxId id) {
  const auto it = agents_.find(id);
  if (it == agents_.end()) return;
  for (const std::string& ufrag : it->second.ufrags) ufrags_.erase(ufrag);
  for (const OwnPath& own : it->second.paths) {
    if (!own.lost) paths_.erase(own.path);
  }
  // Its transactions lead to nobody until they are forgotten.
  agents_.erase(it);
}

bool Mux::AddUfrag(MuxId id, absl::string_view ufrag) {
  const auto it = agents_.find(id);
  if (it == agents_.end() || ufrag.empty()) return false;
  auto& own = it->second.ufrags;
  const auto [entry, is_new] = ufrags_.try_emplace(std::string(ufrag), id);
  if (!is_new) {
    if (entry->second != id) {
      ++stats_.ufrag_collisions;
      return false;
    }
    own.erase(std::find(own.begin(), own.end(), ufrag));
  }
  own.emplace_back(ufrag);
  if (own.size() > options_.ufrags_max) {
    ufrags_.erase(own.front());
    own.erase(own.begin());
  }
  return true;
}

void Mux::NoteSent(absl::Time now, MuxId id, const Datagram& datagram) {
  if (!stun::IsStun(datagram.bytes)) return;
  const Header header = ReadHeader(datagram.bytes);
  if (header.cls != stun::MessageClass::kRequest) return;
  // The answer finds its way without.
  if (Owner(datagram.path) == id) return;
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
}

std::optional<MuxId> Mux::Owner(const Path& path) const {
  const auto it = paths_.find(path);
  if (it == paths_.end()) return std::nullopt;
  return it->second;
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
        if (asked != transactions_.end() &&
            agents_.contains(asked->second.id)) {
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
  const auto named = ufrag.empty() ? ufrags_.end() : ufrags_.find(ufrag);
  if (named != ufrags_.end()) {
    ++stats_.by_ufrag;
    return named->second;
  }
  // One of a generation that is forgotten here; its agent knows.
  const std::optional<MuxId> owner =
      ufrag.empty() ? std::nullopt : Owner(datagram.path);
  ++(owner ? stats_.by_path : stats_.drop_unknown_ufrag);
  return owner;
}

void Mux::Bind(MuxId id, const Path& path, PathProof proof) {
  const auto it = agents_.find(id);
  if (it == agents_.end() || proof == PathProof::kNone) return;
  auto& own = it->second.paths;
  const auto known =
      std::find_if(own.begin(), own.end(),
                   [&](const OwnPath& other) { return other.path == path; });
  const auto [owner, is_free] = paths_.try_emplace(path, id);
  if (!is_free && owner->second == id) return;
  if (!is_free) {
    const bool was_mine = known != own.end();  // A newer one has it.
    if (was_mine || proof != PathProof::kProven) return;
    ++stats_.paths_moved;
    Lose(owner->second, path);
    owner->second = id;
  }
  if (known != own.end()) own.erase(known);
  own.push_back({path});
  if (own.size() <= options_.paths_max) return;
  ++stats_.path_limit;
  if (!own.front().lost) paths_.erase(own.front().path);
  own.erase(own.begin());
}

void Mux::Lose(MuxId id, const Path& path) {
  for (OwnPath& own : agents_[id].paths) {
    if (own.path == path) own.lost = true;
  }
}

std::string Mux::DebugString() const {
  return absl::StrCat("mux of ", agents_.size(), " agents, ", ufrags_.size(),
                      " ufrags, ", paths_.size(), " paths, ",
                      transactions_.size(), " transactions; ",
                      CountersToString(stats_));
}

}  // namespace kyuu::ice
