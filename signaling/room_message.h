// Messages about a room and who is in it (docs/signaling_protocol.md). Values,
// and their JSON form.

#ifndef KYUU_SIGNALING_ROOM_MESSAGE_H_
#define KYUU_SIGNALING_ROOM_MESSAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "signaling/internal/message_fields.h"
#include "signaling/internal/object_writer.h"
#include "signaling/message_limits.h"
#include "signaling/peer.h"

namespace kyuu::signaling {

// From the client.
struct Join {
  static constexpr absl::string_view kType = "join";
  std::string name;
  std::string room;  // Empty: the server's default room.
  RawJson meta = "{}";
  std::string secret;  // Of the room; empty: it has none.
};
struct Update {
  static constexpr absl::string_view kType = "update";
  RawJson meta = "{}";
};
struct List {
  static constexpr absl::string_view kType = "list";
  std::string after;  // Go on behind this name.
};
// Looks for peers of the room (Query).
struct Find {
  static constexpr absl::string_view kType = "find";
  std::string prefix;
  RawJson meta = "{}";
  std::string after;
};
struct Leave {
  static constexpr absl::string_view kType = "leave";
};
// Nothing is to be heard of whoever has this name in the room.
struct Block {
  static constexpr absl::string_view kType = "block";
  std::string name;
};
struct Unblock {
  static constexpr absl::string_view kType = "unblock";
  std::string name;
};

// Something between applications: for one peer of the room, or for all others.
struct Say {
  static constexpr absl::string_view kType = "message";
  std::string to;  // Unless it is for all.
  bool is_for_all = false;
  RawJson data;  // Any value but null.
};

// From the server.
struct Joined {
  static constexpr absl::string_view kType = "joined";
  std::string room;
  std::string name;
  std::vector<Peer> peers;  // The others, by name.
  bool more = false;        // Ask with `list` for those behind the last one.
  bool has_secret = false;  // The room lets in only who shows its secret.
};
struct Peers {
  static constexpr absl::string_view kType = "peers";
  std::string room;
  std::vector<Peer> peers;
  bool more = false;
};
// The answer to `find` (Findings).
struct Found {
  static constexpr absl::string_view kType = "found";
  std::string room;
  std::vector<Peer> peers;
  std::string after;  // Ask with `find` for those behind this name, if any.
};
struct Presence {
  static constexpr absl::string_view kType = "presence";
  PresenceChange change = PresenceChange::kJoined;
  Peer peer;  // No metadata with kLeft.
};
struct Updated {
  static constexpr absl::string_view kType = "updated";
};
struct Left {
  static constexpr absl::string_view kType = "left";
};
struct Sent {
  static constexpr absl::string_view kType = "sent";
};
struct Said {
  static constexpr absl::string_view kType = "message";
  std::string from;
  bool is_for_all = false;
  RawJson data;
};
struct Blocked {
  static constexpr absl::string_view kType = "blocked";
  std::string name;
};
struct Unblocked {
  static constexpr absl::string_view kType = "unblocked";
  std::string name;
};

// Each message's JSON form: `kType`, and how its members are read and written.
// Read leaves what is wrong in Fields::error().
void Read(internal::Fields& f, Join& m);
void Write(const Join& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Update& m);
void Write(const Update& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, List& m);
void Write(const List& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Find& m);
void Write(const Find& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Leave& m);
void Write(const Leave& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Block& m);
void Write(const Block& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Unblock& m);
void Write(const Unblock& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Say& m);
void Write(const Say& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Joined& m);
void Write(const Joined& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Peers& m);
void Write(const Peers& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Found& m);
void Write(const Found& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Presence& m);
void Write(const Presence& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Updated& m);
void Write(const Updated& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Left& m);
void Write(const Left& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Sent& m);
void Write(const Sent& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Said& m);
void Write(const Said& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Blocked& m);
void Write(const Blocked& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Unblocked& m);
void Write(const Unblocked& m, internal::ObjectWriter& w);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_ROOM_MESSAGE_H_
