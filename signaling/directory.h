// The directory: rooms, who is in them, and calls, as values. Commands go in,
// effects (what others are to be told) come out. It knows no connection, no
// session and no message format: those are a dialect's (server.h).

#ifndef KYUU_SIGNALING_DIRECTORY_H_
#define KYUU_SIGNALING_DIRECTORY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "signaling/directory_types.h"
#include "signaling/internal/calls.h"
#include "signaling/internal/rooms.h"

namespace kyuu::signaling {

class Directory {
 public:
  // `random` must outlive the directory.
  Directory(RoomOptions rooms, CallOptions calls, Random& random);

  // Commands. A Refusal says that nothing has changed.

  // What stands for `secret` in this room: a keyed hash, or "" for no secret.
  // kWrongSecret if the room has another one, or none; kRateLimited, unlooked
  // at, if `source` has shown too many wrong ones.
  std::variant<std::string, Refusal> Unlock(absl::Time now,
                                            const IpAddress& source,
                                            absl::string_view room,
                                            absl::string_view secret) {
    return rooms_.Unlock(now, internal::SourceOf(source), room, secret);
  }
  // `source` is the member's own address, IpAddress() if it is not known.
  std::variant<Joining, Refusal> Join(absl::Time now, Member member,
                                      const IpAddress& source,
                                      const JoinRequest& request);
  std::optional<Refusal> Update(absl::Time now, Member member,
                                absl::string_view meta);
  // The peers of the member's room behind the name `after`.
  std::variant<Page, Refusal> List(Member member, absl::string_view after);
  // Those of them to whom the query applies: nobody finds whom List() does not
  // show.
  std::variant<Findings, Refusal> Find(Member member, const Query& query);
  // The member's calls end with it, for that reason ("peer_left").
  std::optional<Refusal> Leave(absl::Time now, Member member,
                               absl::string_view reason);

  std::variant<CallStart, Refusal> StartCall(absl::Time now, Member caller,
                                             absl::string_view to,
                                             absl::string_view meta);
  std::optional<Refusal> AcceptCall(Member member, const std::string& call);
  std::optional<Refusal> RejectCall(Member member, const std::string& call,
                                    absl::string_view reason);
  std::optional<Refusal> EndCall(Member member, const std::string& call,
                                 absl::string_view reason);
  // Whom a description or candidate of `member` goes to. Those carry
  // addresses: nobody gets them before the callee has agreed.
  std::variant<Member, Refusal> OtherSide(Member member,
                                          const std::string& call) const;

  // Who else in the member's room has this name.
  std::variant<Member, Refusal> PeerCalled(Member member,
                                           absl::string_view name) const;
  // All others of the room, for a message to them of `bytes`. kRateLimited
  // while the room is told as much as it may cost (RoomOptions), kTooLarge for
  // what is too much for so many.
  std::variant<std::vector<Member>, Refusal> AddressAll(absl::Time now,
                                                        Member member,
                                                        size_t bytes);
  // Once by each side of an accepted call.
  std::optional<Refusal> ReportCall(Member member, const std::string& call);

  // For members of other servers, who are in rooms like all others.

  // Where in all rooms somebody of this name would be: equal for two who cannot
  // be there at once. kInvalidName if it is no name.
  std::variant<std::string, Refusal> PlaceOf(absl::string_view name,
                                             absl::string_view room) const {
    return rooms_.KeyOf(name, room);
  }
  // Of the room that a member is in.
  const std::string& LockOf(Member member) const {
    return rooms_.LockOf(member);
  }
  // A form of `name` that those have in common who cannot be in one room with
  // it. kInvalidName if it is no name.
  std::variant<std::string, Refusal> LooksOf(absl::string_view name) const {
    return rooms_.LooksOf(name);
  }
  // Name and metadata of a member who is in a room.
  Peer PeerOf(Member member) const { return rooms_.PeerOf(member); }
  // A call that was begun where `caller` is rings at `callee`. If the callee is
  // calling the caller, of the two calls the one of the lesser id goes on, on
  // both sides; the other one ends there where it began ("glare").
  std::optional<Refusal> Ring(absl::Time now, const std::string& call,
                              Member caller, Member callee,
                              absl::string_view meta);
  // A call that there is elsewhere is here, too, or is not any more; nobody is
  // told.
  void AddCall(absl::Time now, Member member, const CallSide& side);
  void ForgetCall(const std::string& call) { calls_.End(call); }
  std::vector<CallSide> CallsOf(Member member) const;
  // The other side of a call that `member` takes part in.
  std::optional<Member> OtherIn(const std::string& call, Member member) const;

  bool IsInRoom(Member member) const {
    return rooms_.PlaceOf(member) != nullptr;
  }
  // Of a member who is in a room.
  const std::string& NameOf(Member member) const {
    return rooms_.PlaceOf(member)->name;
  }
  const std::string& RoomOf(Member member) const {
    return rooms_.RoomOf(member);
  }

  void HandleTimeout(absl::Time now);
  absl::Time NextTimeout() const;
  // The oldest thing to tell somebody. To the one whose command it was the
  // command's result says it, except that a CallEnded comes for each call that
  // Leave() ends.
  std::optional<Effect> PollEffect();

  size_t room_count() const { return rooms_.room_count(); }
  size_t peer_count() const { return rooms_.peer_count(); }
  size_t call_count() const { return calls_.size(); }

 private:
  // The call of that id if `member` takes part in it.
  std::variant<const internal::Calls::Record*, Refusal> FindCall(
      Member member, const std::string& call) const;
  // As FindCall, and it rings at `member`.
  std::variant<const internal::Calls::Record*, Refusal> FindRinging(
      Member member, const std::string& call) const;

  // Ends the call and tells `tell` of its two sides.
  enum class Tell : uint8_t { kBoth, kOther };
  void Finish(const std::string& call, Tell tell, Member member,
              absl::string_view reason);
  // Presence that the last step has made goes behind its other effects.
  void TakeChanges();

  internal::Rooms rooms_;
  internal::Calls calls_;
  std::deque<Effect> effects_;
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_DIRECTORY_H_
