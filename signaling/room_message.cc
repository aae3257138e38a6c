#include "signaling/room_message.h"

#include <array>

namespace kyuu::signaling {

using internal::Fields;
using internal::Need;
using internal::ObjectWriter;

namespace {

struct ChangeName {
  PresenceChange change;
  absl::string_view name;
};
constexpr std::array<ChangeName, 3> kChangeNames = {{
    {PresenceChange::kJoined, "joined"},
    {PresenceChange::kLeft, "left"},
    {PresenceChange::kUpdated, "updated"},
}};

Peer ReadPeer(Fields& f) {
  Peer peer;
  peer.name = f.Text("name", Need::kRequired, f.limits().max_name_bytes);
  peer.meta = std::string(
      f.RawObject("meta", Need::kOptional, f.limits().max_meta_bytes));
  return peer;
}

void WritePeers(const std::vector<Peer>& peers, ObjectWriter& w) {
  w.Array("peers", peers, [](const Peer& peer, std::string& out) {
    ObjectWriter(out).Text("name", peer.name).Raw("meta", peer.meta);
  });
}

}  // namespace

void Read(Fields& f, Join& m) {
  m.name = f.Text("name", Need::kRequired);
  m.room = f.Text("room", Need::kOptional);
  m.meta = f.RawObject("meta", Need::kOptional, f.limits().max_meta_bytes);
  m.secret = f.Text("secret", Need::kOptional, kMaxRoomSecretBytes);
}
void Write(const Join& m, ObjectWriter& w) {
  w.Type(m).Text("name", m.name).TextIfAny("room", m.room);
  w.Raw("meta", m.meta).TextIfAny("secret", m.secret);
}

void Read(Fields& f, Update& m) {
  m.meta = f.RawObject("meta", Need::kRequired, f.limits().max_meta_bytes);
}
void Write(const Update& m, ObjectWriter& w) { w.Type(m).Raw("meta", m.meta); }

void Read(Fields& f, List& m) {
  m.after = f.Text("after", Need::kOptional, f.limits().max_name_bytes);
}
void Write(const List& m, ObjectWriter& w) {
  w.Type(m).TextIfAny("after", m.after);
}

void Read(Fields& f, Find& m) {
  m.prefix = f.Text("prefix", Need::kOptional, f.limits().max_name_bytes);
  m.meta = f.RawObject("meta", Need::kOptional, f.limits().max_meta_bytes);
  m.after = f.Text("after", Need::kOptional, f.limits().max_name_bytes);
}
void Write(const Find& m, ObjectWriter& w) {
  w.Type(m).TextIfAny("prefix", m.prefix).Raw("meta", m.meta);
  w.TextIfAny("after", m.after);
}

void Read(Fields&, Leave&) {}
void Write(const Leave& m, ObjectWriter& w) { w.Type(m); }

void Read(Fields& f, Joined& m) {
  m.room = f.Text("room", Need::kRequired);
  m.name = f.Text("name", Need::kRequired);
  m.peers = f.List<Peer>("peers", ReadPeer);
  m.more = f.Bool("more", Need::kOptional);
  m.has_secret = f.Bool("secret", Need::kOptional);
}
void Write(const Joined& m, ObjectWriter& w) {
  w.Type(m).Text("room", m.room).Text("name", m.name);
  WritePeers(m.peers, w);
  w.Bool("more", m.more);
  if (m.has_secret) w.Bool("secret", true);
}

void Read(Fields& f, Peers& m) {
  m.room = f.Text("room", Need::kRequired);
  m.peers = f.List<Peer>("peers", ReadPeer);
  m.more = f.Bool("more", Need::kOptional);
}
void Write(const Peers& m, ObjectWriter& w) {
  w.Type(m).Text("room", m.room);
  WritePeers(m.peers, w);
  w.Bool("more", m.more);
}

void Read(Fields& f, Found& m) {
  m.room = f.Text("room", Need::kRequired);
  m.peers = f.List<Peer>("peers", ReadPeer);
  m.after = f.Text("after", Need::kOptional, f.limits().max_name_bytes);
}
void Write(const Found& m, ObjectWriter& w) {
  w.Type(m).Text("room", m.room);
  WritePeers(m.peers, w);
  w.TextIfAny("after", m.after);
}

void Read(Fields& f, Presence& m) {
  const std::string change = f.Text("change", Need::kRequired);
  bool known = false;
  for (const ChangeName& entry : kChangeNames) {
    if (entry.name != change) continue;
    m.change = entry.change;
    known = true;
  }
  if (!known) f.Fail(ErrorCode::kBadMessage, "unknown \"change\"");
  f.Inside("peer", [&](Fields& inside) { m.peer = ReadPeer(inside); });
}
void Write(const Presence& m, ObjectWriter& w) {
  w.Type(m);
  for (const ChangeName& entry : kChangeNames) {
    if (entry.change == m.change) w.Text("change", entry.name);
  }
  ObjectWriter peer(w.Name("peer"));
  peer.Text("name", m.peer.name);
  if (m.change != PresenceChange::kLeft) peer.Raw("meta", m.peer.meta);
}

void Read(Fields&, Updated&) {}
void Write(const Updated& m, ObjectWriter& w) { w.Type(m); }

void Read(Fields&, Left&) {}
void Write(const Left& m, ObjectWriter& w) { w.Type(m); }

void Read(Fields& f, Say& m) {
  m.to = f.Text("to", Need::kOptional, f.limits().max_name_bytes);
  m.is_for_all = f.Bool("all", Need::kOptional);
  m.data = f.RawValue("data", f.limits().max_data_bytes);
  if (m.to.empty() != m.is_for_all) {
    f.Fail(ErrorCode::kBadMessage,
           "a message is \"to\" a peer, or for \"all\"");
  }
}
void Write(const Say& m, ObjectWriter& w) {
  w.Type(m).TextIfAny("to", m.to);
  if (m.is_for_all) w.Bool("all", true);
  w.Raw("data", m.data);
}

void Read(Fields&, Sent&) {}
void Write(const Sent& m, ObjectWriter& w) { w.Type(m); }

void Read(Fields& f, Said& m) {
  m.from = f.Text("from", Need::kRequired);
  m.is_for_all = f.Bool("all", Need::kOptional);
  m.data = f.RawValue("data");
}
void Write(const Said& m, ObjectWriter& w) {
  w.Type(m).Text("from", m.from);
  if (m.is_for_all) w.Bool("all", true);
  w.Raw("data", m.data);
}

void Read(Fields& f, Block& m) { m.name = f.Text("name", Need::kRequired); }
void Write(const Block& m, ObjectWriter& w) { w.Type(m).Text("name", m.name); }

void Read(Fields& f, Unblock& m) { m.name = f.Text("name", Need::kRequired); }
void Write(const Unblock& m, ObjectWriter& w) {
  w.Type(m).Text("name", m.name);
}

void Read(Fields& f, Blocked& m) { m.name = f.Text("name", Need::kRequired); }
void Write(const Blocked& m, ObjectWriter& w) {
  w.Type(m).Text("name", m.name);
}

void Read(Fields& f, Unblocked& m) { m.name = f.Text("name", Need::kRequired); }
void Write(const Unblocked& m, ObjectWriter& w) {
  w.Type(m).Text("name", m.name);
}

}  // namespace kyuu::signaling
