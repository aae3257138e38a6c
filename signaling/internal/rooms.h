// Who is where: rooms, the people in them, and what the others have yet to be
// told about them.

#ifndef KYUU_SIGNALING_INTERNAL_ROOMS_H_
#define KYUU_SIGNALING_INTERNAL_ROOMS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/deadline_queue.h"
#include "base/queue.h"
#include "signaling/directory_types.h"
#include "signaling/internal/name.h"
#include "signaling/internal/shares.h"
#include "signaling/internal/token_bucket.h"

namespace kyuu::signaling::internal {

class Rooms {
 public:
  explicit Rooms(RoomOptions options);

  // Where a member is.
  struct Place {
    std::string room;  // Its key.
    std::string name;
    Source source;
  };

  // See Directory.
  std::variant<std::string, Refusal> Unlock(absl::Time now,
                                            const Source& source,
                                            absl::string_view room,
                                            absl::string_view secret);
  std::variant<Joining, Refusal> Join(absl::Time now, Member member,
                                      const Source& source,
                                      const JoinRequest& request);
  // The member is in a room (PlaceOf() is not nullptr) for all of these.
  void Update(absl::Time now, Member member, absl::string_view meta);
  Page List(Member member, absl::string_view after);
  std::variant<Findings, Refusal> Find(Member member, const Query& query);
  void Leave(absl::Time now, Member member);
  // See Directory.
  std::variant<std::vector<Member>, Refusal> AddressAll(absl::Time now,
                                                        Member member,
                                                        size_t bytes);
  // Whoever has this name in the member's room.
  std::optional<Member> Find(Member member, absl::string_view name) const;

  // The name of the member's room.
  const std::string& RoomOf(Member member) const {
    return rooms_.at(places_.at(member).room).shown;
  }
  const std::string& LockOf(Member member) const {
    return rooms_.at(places_.at(member).room).lock;
  }
  // nullptr for a member that is in no room.
  const Place* PlaceOf(Member member) const;

  // See Directory::PlaceOf.
  std::variant<std::string, Refusal> KeyOf(absl::string_view name,
                                           absl::string_view room) const;
  std::variant<std::string, Refusal> LooksOf(absl::string_view name) const;
  Peer PeerOf(Member member) const;

  // Does one step of what is being told, too.
  void HandleTimeout(absl::Time now);
  absl::Time NextTimeout() const {
    return telling_.empty() ? windows_.NextTimeout() : absl::InfinitePast();
  }
  std::optional<effect::PeersChanged> PollChanges();

  size_t room_count() const { return rooms_.size(); }
  size_t peer_count() const { return places_.size(); }

 private:
  struct Person {
    Member member{};
    std::string meta;
    std::string look_alike;
    uint64_t joined = 0;  // Which change of the room that was.
  };
  // What has happened to a name since the others were last told.
  struct Untold {
    bool known = false;  // The others know somebody of this name.
    // Somebody has seen the name in a list meanwhile: its end is told.
    bool listed = false;
    Member about{};     // Who is not told, being it himself.
    uint64_t last = 0;  // The number of the last change.
  };
  // The names of `untold`, oldest first: of people whom the others know, and of
  // newcomers. They take turns, so that what has changed of those who are known
  // does not wait until a crowd of others is told.
  struct Waiting {
    Queue<std::string> known;
    Queue<std::string> newcomers;
    bool is_for_new = false;  // Whose turn it is.

    bool empty() const { return known.empty() && newcomers.empty(); }
  };
  struct Room {
    std::string shown;
    std::string lock;  // Empty: everybody may come.
    Source founder;
    absl::btree_map<std::string, Person> people;  // In the order of lists.
    // No two names in a room look alike: a person could not tell who calls.
    absl::flat_hash_set<std::string> look_alikes;
    Shares places;         // By source.
    uint64_t changes = 0;  // So far.
    absl::btree_map<std::string, Untold> untold;
    Waiting waiting;
    absl::Time tell_after = absl::InfinitePast();
    absl::Time say_after = absl::InfinitePast();
    // What is being told, and those who have not been, the next one last; or
    // nobody. Who has gone meanwhile may still be there.
    effect::PeersChanged telling;
  };
  // By names folded for comparison.
  using RoomMap = absl::node_hash_map<std::string, Room>;

  // A name of a room as it was asked for; empty is the default room.
  std::variant<PreparedName, Refusal> PrepareRoom(absl::string_view name) const;
  std::string HashOf(const PreparedName& room, absl::string_view secret) const;
  // The room of that name, made if there is none.
  std::variant<RoomMap::iterator, Refusal> Open(const PreparedName& name,
                                                const Source& source);
  // Why somebody who is called `name` does not fit in; OK otherwise.
  std::optional<Refusal> CheckPlace(const Room& room, const PreparedName& name,
                                    const std::string& look_alike,
                                    const Source& source) const;
  Page ListRoom(Room& room, absl::string_view self, absl::string_view after);
  // Peers of the room were shown to `self`: those behind `after` up to `last`,
  // or all if that is empty.
  static void NoteListed(Room& room, absl::string_view self,
                         absl::string_view after, absl::string_view last);
  void Change(absl::Time now, RoomMap::iterator room, const std::string& name,
              Untold untold);
  // Begins to tell the room, if it is time and all others have been told what
  // was before.
  void Tell(absl::Time now, RoomMap::iterator room);
  // What is to be told next, taken out of what is untold, and to whom.
  effect::PeersChanged TakeUntold(Room& room) const;
  // How many had come when that change happened.
  static size_t CountUntil(const Room& room, uint64_t change);
  // Nothing if the others have nothing to be told of `name`.
  static std::optional<effect::PeersChanged::Change> ChangeOf(
      const Room& room, const std::string& name, const Untold& untold);
  // Takes out those who have gone to another room, or to none.
  void KeepThere(const std::string& room, std::vector<Member>& members) const;
  // Does a step of it. True if there are more.
  bool TellSome(RoomMap::iterator room);

  const RoomOptions options_;
  const PreparedName default_room_;
  RoomMap rooms_;
  Shares founded_;  // Rooms, by the source that made them.
  // By source and room.
  RateTable<std::pair<Source, std::string>> wrong_secrets_;
  absl::node_hash_map<Member, Place> places_;
  // Rooms with something untold, until they may tell it.
  DeadlineQueue<std::string> windows_;
  std::deque<std::string> telling_;  // Rooms, in whose turn.
  std::deque<effect::PeersChanged> changes_;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_ROOMS_H_
