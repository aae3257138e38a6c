#include "signaling/internal/rooms.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "openssl/evp.h"
#include "openssl/hmac.h"
#include "signaling/internal/peer_query.h"
#include "signaling/internal/secret.h"

namespace kyuu::signaling::internal {
namespace {

// What a peer costs in a list or a presence message beside name and metadata.
constexpr size_t kPeerBytes = 24;
constexpr size_t kPresenceBytes = 60;
// What one receiver is told at one time: 130 ms at 1 Mbit/s.
constexpr size_t kMaxToldBytes = 16 * 1024;

size_t BytesOf(const effect::PeersChanged::Change& change) {
  return change.peer.name.size() + change.peer.meta.size() + kPresenceBytes;
}

Refusal Refused(ErrorCode code, absl::string_view message) {
  Refusal refusal;
  refusal.code = code;
  refusal.message = std::string(message);
  return refusal;
}

}  // namespace

Rooms::Rooms(RoomOptions options)
    : options_(std::move(options)),
      default_room_(
          PrepareName(options_.default_room, options_.max_name_bytes).value()),
      wrong_secrets_(options_.wrong_secrets) {}

std::variant<Rooms::RoomMap::iterator, Refusal> Rooms::Open(
    const PreparedName& name, const Source& source) {
  const auto known = rooms_.find(name.folded);
  if (known != rooms_.end()) return known;
  // The default room needs nobody's share: nobody can keep all others out of
  // it by making rooms.
  const bool is_default = name.folded == default_room_.folded;
  if (!is_default) {
    const size_t made = rooms_.size() - rooms_.count(default_room_.folded);
    if (made >= options_.max_rooms) {
      return Refused(ErrorCode::kServerFull,
                     "the server has no place for another room");
    }
    if (!founded_.Take(source, options_.max_rooms_per_source)) {
      return Refused(ErrorCode::kServerFull,
                     "too many rooms were made from your address");
    }
  }
  const auto room = rooms_.try_emplace(name.folded).first;
  room->second.shown = is_default ? default_room_.shown : name.shown;
  room->second.founder = is_default ? Source() : source;
  return room;
}

std::optional<Refusal> Rooms::CheckPlace(const Room& room,
                                         const PreparedName& name,
                                         const std::string& look_alike,
                                         const Source& source) const {
  if (room.people.contains(name.shown)) {
    return Refused(ErrorCode::kNameTaken, "somebody in the room has this name");
  }
  if (room.look_alikes.contains(look_alike)) {
    return Refused(ErrorCode::kNameTaken,
                   "somebody in the room has a name that looks the same");
  }
  if (room.people.size() >= options_.max_peers_per_room) {
    return Refused(ErrorCode::kRoomFull, "the room is full");
  }
  if (room.places.held(source) >= options_.max_peers_per_source) {
    return Refused(ErrorCode::kRoomFull,
                   "too many are in the room from your address");
  }
  return std::nullopt;
}

std::variant<PreparedName, Refusal> Rooms::PrepareRoom(
    absl::string_view name) const {
  if (name.empty()) return default_room_;
  auto prepared = PrepareName(name, options_.max_name_bytes);
  if (!prepared.ok()) {
    return Refused(ErrorCode::kInvalidName,
                   absl::StrCat("of the room: ", prepared.status().message()));
  }
  return *std::move(prepared);
}

// No name has a line feed.
std::string Rooms::HashOf(const PreparedName& room,
                          absl::string_view secret) const {
  const std::string text = absl::StrCat(room.folded, "\n", secret);
  std::string hash(kLockBytes, '\0');
  KYUU_CHECK(HMAC(EVP_sha256(), options_.secret_key.data(),
                  static_cast<int>(options_.secret_key.size()),
                  AsBytes(text).data(), text.size(),
                  reinterpret_cast<uint8_t*>(hash.data()), nullptr) != nullptr);
  return hash;
}

std::variant<std::string, Refusal> Rooms::Unlock(absl::Time now,
                                                 const Source& source,
                                                 absl::string_view room,
                                                 absl::string_view secret) {
  const auto prepared = PrepareRoom(room);
  if (const auto* refusal = std::get_if<Refusal>(&prepared)) return *refusal;
  const PreparedName& name = std::get<PreparedName>(prepared);
  const auto known = rooms_.find(name.folded);
  const bool is_locked = known != rooms_.end() && !known->second.lock.empty();
  if (secret.empty()) {
    if (!is_locked) return "";
    return Refused(ErrorCode::kWrongSecret, "the room has a secret");
  }
  // Nobody can keep all others out of the default room.
  if (name.folded == default_room_.folded ||
      (known != rooms_.end() && !is_locked)) {
    return Refused(ErrorCode::kWrongSecret, "the room has no secret");
  }
  if (known == rooms_.end()) return HashOf(name, secret);
  const std::pair<Source, std::string> who = {source, name.folded};
  const absl::Duration wait = wrong_secrets_.Take(now, who);
  if (wait > absl::ZeroDuration()) {
    Refusal refusal =
        Refused(ErrorCode::kRateLimited, "too many wrong secrets");
    refusal.retry_after = wait;
    return refusal;
  }
  std::string lock = HashOf(name, secret);
  if (!IsSameSecret(lock, known->second.lock)) {
    return Refused(ErrorCode::kWrongSecret, "this is not the room's secret");
  }
  wrong_secrets_.Return(now, who);
  return lock;
}

std::variant<Joining, Refusal> Rooms::Join(absl::Time now, Member member,
                                           const Source& source,
                                           const JoinRequest& request) {
  KYUU_CHECK(!places_.contains(member));
  const auto name = PrepareName(request.name, options_.max_name_bytes);
  if (!name.ok()) {
    return Refused(ErrorCode::kInvalidName, name.status().message());
  }
  const auto prepared = PrepareRoom(request.room);
  if (const auto* refusal = std::get_if<Refusal>(&prepared)) return *refusal;
  const PreparedName& place = std::get<PreparedName>(prepared);
  std::string look_alike = LookAlike(*name);
  const auto known = rooms_.find(place.folded);
  const bool is_open =
      known != rooms_.end()
          ? IsSameSecret(known->second.lock, request.lock)
          : request.lock.empty() || place.folded != default_room_.folded;
  if (!is_open) {
    return Refused(ErrorCode::kWrongSecret, "the room has another secret");
  }
  if (known != rooms_.end()) {
    if (auto refusal = CheckPlace(known->second, *name, look_alike, source)) {
      return *std::move(refusal);
    }
  }
  auto opened = Open(place, source);
  if (auto* refusal = std::get_if<Refusal>(&opened)) return *refusal;
  const auto it = std::get<RoomMap::iterator>(opened);
  Room& room = it->second;
  KYUU_CHECK(room.places.Take(source, options_.max_peers_per_source));
  room.look_alikes.insert(look_alike);
  room.lock = request.lock;
  room.people[name->shown] = {member, request.meta, std::move(look_alike),
                              room.changes + 1};
  places_[member] = {place.folded, name->shown, source};
  Change(now, it, name->shown, {.known = false, .about = member});
  return Joining{room.shown, name->shown, ListRoom(room, name->shown, "")};
}

void Rooms::Update(absl::Time now, Member member, absl::string_view meta) {
  const Place& place = places_.at(member);
  const auto room = rooms_.find(place.room);
  room->second.people.at(place.name).meta = std::string(meta);
  Change(now, room, place.name, {.known = true, .about = member});
}

Page Rooms::List(Member member, absl::string_view after) {
  const Place& place = places_.at(member);
  return ListRoom(rooms_.at(place.room), place.name, after);
}

Page Rooms::ListRoom(Room& room, absl::string_view self,
                     absl::string_view after) {
  Page page;
  size_t bytes = 0;
  for (auto it = after.empty() ? room.people.begin()
                               : room.people.upper_bound(after);
       it != room.people.end(); ++it) {
    if (it->first == self) continue;
    bytes += it->first.size() + it->second.meta.size() + kPeerBytes;
    // At least one, so that who asks on gets on.
    if (bytes > options_.max_list_bytes && !page.peers.empty()) {
      page.more = true;
      break;
    }
    page.peers.push_back({it->first, it->second.meta});
  }
  NoteListed(room, self, after, page.more ? page.peers.back().name : "");
  return page;
}

void Rooms::NoteListed(Room& room, absl::string_view self,
                       absl::string_view after, absl::string_view last) {
  const auto end =
      last.empty() ? room.untold.end() : room.untold.upper_bound(last);
  for (auto it = room.untold.upper_bound(after); it != end; ++it) {
    if (it->first != self) it->second.listed = true;
  }
}

std::variant<Findings, Refusal> Rooms::Find(Member member, const Query& query) {
  auto read = PeerQuery::Make(query, options_.max_name_bytes);
  if (auto* refusal = std::get_if<Refusal>(&read)) return std::move(*refusal);
  const PeerQuery& wanted = std::get<PeerQuery>(read);
  const Place& place = places_.at(member);
  Room& room = rooms_.at(place.room);
  Findings found;
  size_t looked_at = 0;
  size_t bytes = 0;
  std::string last;
  for (auto it = query.after.empty() ? room.people.begin()
                                     : room.people.upper_bound(query.after);
       it != room.people.end(); ++it) {
    if (it->first == place.name) continue;
    if (++looked_at > options_.max_looked_at) {
      found.after = std::move(last);
      break;
    }
    if (wanted.Matches(it->first, it->second.meta)) {
      bytes += it->first.size() + it->second.meta.size() + kPeerBytes;
      if (bytes > options_.max_list_bytes && !found.peers.empty()) {
        found.after = std::move(last);
        break;
      }
      found.peers.push_back({it->first, it->second.meta});
    }
    last = it->first;
  }
  NoteListed(room, place.name, query.after, found.after);
  return found;
}

void Rooms::Leave(absl::Time now, Member member) {
  const auto it = places_.find(member);
  KYUU_CHECK(it != places_.end());
  const Place place = std::move(it->second);
  places_.erase(it);
  const auto room = rooms_.find(place.room);
  const auto person = room->second.people.find(place.name);
  room->second.look_alikes.erase(person->second.look_alike);
  room->second.people.erase(person);
  room->second.places.Return(place.source);
  if (room->second.people.empty()) {
    windows_.Stop(place.room);
    if (place.room != default_room_.folded) {
      founded_.Return(room->second.founder);
    }
    rooms_.erase(room);
    return;
  }
  Change(now, room, place.name, {.known = true, .about = member});
}

std::variant<std::vector<Member>, Refusal> Rooms::AddressAll(absl::Time now,
                                                             Member member,
                                                             size_t bytes) {
  Room& room = rooms_.at(places_.at(member).room);
  const size_t cost = bytes * (room.people.size() - 1);
  if (cost > options_.max_said_bytes) {
    return Refused(ErrorCode::kTooLarge,
                   "this is too much for all who are in the room");
  }
  if (now < room.say_after) {
    Refusal refusal =
        Refused(ErrorCode::kRateLimited, "too much is said in the room");
    refusal.retry_after = room.say_after - now;
    return refusal;
  }
  // What was not said for a while may be said at once.
  room.say_after =
      std::max(room.say_after, now - options_.said_at_once) +
      absl::Seconds(static_cast<double>(cost) / options_.said_bytes_per_second);
  std::vector<Member> others;
  for (const auto& [name, person] : room.people) {
    if (person.member != member) others.push_back(person.member);
  }
  return others;
}

std::optional<Member> Rooms::Find(Member member, absl::string_view name) const {
  const Room& room = rooms_.at(places_.at(member).room);
  const auto prepared = PrepareName(name, options_.max_name_bytes);
  if (!prepared.ok()) return std::nullopt;
  const auto it = room.people.find(prepared->shown);
  if (it == room.people.end()) return std::nullopt;
  return it->second.member;
}

const Rooms::Place* Rooms::PlaceOf(Member member) const {
  const auto it = places_.find(member);
  return it == places_.end() ? nullptr : &it->second;
}

std::variant<std::string, Refusal> Rooms::LooksOf(
    absl::string_view name) const {
  const auto prepared = PrepareName(name, options_.max_name_bytes);
  if (!prepared.ok()) {
    return Refused(ErrorCode::kInvalidName, prepared.status().message());
  }
  return LookAlike(*prepared);
}

std::variant<std::string, Refusal> Rooms::KeyOf(absl::string_view name,
                                                absl::string_view room) const {
  auto looks = LooksOf(name);
  if (std::holds_alternative<Refusal>(looks)) return looks;
  const auto place = PrepareRoom(room);
  if (const auto* refusal = std::get_if<Refusal>(&place)) return *refusal;
  // No name has a line feed.
  return absl::StrCat(std::get<PreparedName>(place).folded, "\n",
                      std::get<std::string>(looks));
}

Peer Rooms::PeerOf(Member member) const {
  const Place& place = places_.at(member);
  return {place.name, rooms_.at(place.room).people.at(place.name).meta};
}

void Rooms::Change(absl::Time now, RoomMap::iterator room,
                   const std::string& name, Untold untold) {
  // Only the first change since the others were told says what they know.
  Room& changed = room->second;
  const auto [it, inserted] = changed.untold.try_emplace(name, untold);
  it->second.about = untold.about;
  it->second.last = ++changed.changes;
  if (inserted) {
    Waiting& waiting = changed.waiting;
    (untold.known ? waiting.known : waiting.newcomers).push_back(name);
  }
  Tell(now, room);
}

void Rooms::HandleTimeout(absl::Time now) {
  while (const std::optional<std::string> room = windows_.PopDue(now)) {
    Tell(now, rooms_.find(*room));
  }
  if (telling_.empty()) return;
  const std::string key = std::move(telling_.front());
  telling_.pop_front();
  const auto room = rooms_.find(key);
  if (room == rooms_.end()) return;
  if (TellSome(room)) {
    telling_.push_back(key);
  } else if (!room->second.untold.empty()) {
    Tell(now, room);
  }
}

void Rooms::Tell(absl::Time now, RoomMap::iterator it) {
  Room& room = it->second;
  if (!room.telling.receivers.empty()) return;
  if (now < room.tell_after) return windows_.Set(it->first, room.tell_after);
  windows_.Stop(it->first);
  room.telling = TakeUntold(room);
  if (room.telling.changes.empty()) return;
  size_t bytes = 0;
  for (const auto& change : room.telling.changes) bytes += BytesOf(change);
  const double cost =
      static_cast<double>(bytes * room.telling.receivers.size());
  room.tell_after =
      now + std::max(options_.presence_window,
                     absl::Seconds(cost / options_.presence_bytes_per_second));
  if (TellSome(it)) {
    telling_.push_back(it->first);
  } else if (!room.untold.empty()) {
    windows_.Set(it->first, room.tell_after);
  }
}

std::optional<effect::PeersChanged::Change> Rooms::ChangeOf(
    const Room& room, const std::string& name, const Untold& untold) {
  const auto person = room.people.find(name);
  const bool is_here = person != room.people.end();
  // Came and went unseen.
  if (!is_here && !untold.known && !untold.listed) return std::nullopt;
  effect::PeersChanged::Change change;
  change.about = untold.about;
  change.change = !is_here       ? PresenceChange::kLeft
                  : untold.known ? PresenceChange::kUpdated
                                 : PresenceChange::kJoined;
  change.peer.name = name;
  if (is_here) change.peer.meta = person->second.meta;
  return change;
}

effect::PeersChanged Rooms::TakeUntold(Room& room) const {
  effect::PeersChanged told;
  Waiting& waiting = room.waiting;
  const bool is_for_new =
      std::exchange(waiting.is_for_new, !waiting.is_for_new);
  const double window_bytes = options_.presence_bytes_per_second *
                              absl::ToDoubleSeconds(options_.presence_window);
  // Who has come behind the last of these changes has them from his list.
  uint64_t newest = 0;
  size_t bytes = 0, receivers = 0;
  while (!waiting.empty()) {
    Queue<std::string>& from =
        waiting.known.empty() || (is_for_new && !waiting.newcomers.empty())
            ? waiting.newcomers
            : waiting.known;
    const auto untold = room.untold.find(from.front());
    const uint64_t last = std::max(newest, untold->second.last);
    if (auto change = ChangeOf(room, from.front(), untold->second)) {
      // With each change one has come at most.
      receivers = told.changes.empty()
                      ? CountUntil(room, last)
                      : std::min<size_t>(receivers + (last - newest),
                                         room.people.size());
      bytes += BytesOf(*change);
      const bool fits = bytes <= kMaxToldBytes &&
                        static_cast<double>(bytes * receivers) <= window_bytes;
      if (!fits && !told.changes.empty()) break;
      told.changes.push_back(*std::move(change));
      newest = last;
    }
    room.untold.erase(untold);
    from.pop_front();
  }
  if (told.changes.empty()) return told;
  // As lists are.
  std::sort(
      told.changes.begin(), told.changes.end(),
      [](const auto& a, const auto& b) { return a.peer.name < b.peer.name; });
  for (const auto& [name, person] : room.people) {
    if (person.joined <= newest) told.receivers.push_back(person.member);
  }
  return told;
}

size_t Rooms::CountUntil(const Room& room, uint64_t change) {
  return static_cast<size_t>(std::count_if(
      room.people.begin(), room.people.end(),
      [&](const auto& entry) { return entry.second.joined <= change; }));
}

bool Rooms::TellSome(RoomMap::iterator it) {
  effect::PeersChanged& telling = it->second.telling;
  // Nobody, if the room is one that has been made anew.
  if (telling.receivers.empty()) return false;
  const size_t count = std::clamp<size_t>(
      options_.presence_messages_per_step / telling.changes.size(), 1,
      telling.receivers.size());
  if (count == telling.receivers.size()) {
    effect::PeersChanged last = std::exchange(telling, {});
    KeepThere(it->first, last.receivers);
    changes_.push_back(std::move(last));
    return false;
  }
  const auto first =
      telling.receivers.end() - static_cast<std::ptrdiff_t>(count);
  effect::PeersChanged some{{first, telling.receivers.end()}, telling.changes};
  telling.receivers.erase(first, telling.receivers.end());
  KeepThere(it->first, some.receivers);
  changes_.push_back(std::move(some));
  return true;
}

void Rooms::KeepThere(const std::string& room,
                      std::vector<Member>& members) const {
  members.erase(std::remove_if(members.begin(), members.end(),
                               [&](Member member) {
                                 const Place* place = PlaceOf(member);
                                 return place == nullptr || place->room != room;
                               }),
                members.end());
}

std::optional<effect::PeersChanged> Rooms::PollChanges() {
  if (changes_.empty()) return std::nullopt;
  effect::PeersChanged told = std::move(changes_.front());
  changes_.pop_front();
  return told;
}

}  // namespace kyuu::signaling::internal
