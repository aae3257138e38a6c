// The JSON form of messages.

#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "signaling/internal/json.h"
#include "signaling/internal/message_fields.h"
#include "signaling/message.h"

namespace kyuu::signaling {
namespace {

using internal::AppendJsonText;

// ObjectWriter writes one object, member by member. Names are ours and need
// no escapes.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_.push_back('{'); }
  ~ObjectWriter() { out_.push_back('}'); }
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;

  ObjectWriter& Text(absl::string_view name, absl::string_view text) {
    Name(name);
    AppendJsonText(text, out_);
    return *this;
  }
  ObjectWriter& TextIfAny(absl::string_view name, absl::string_view text) {
    return text.empty() ? *this : Text(name, text);
  }
  ObjectWriter& Number(absl::string_view name, int64_t number) {
    Name(name);
    absl::StrAppend(&out_, number);
    return *this;
  }
  ObjectWriter& Bool(absl::string_view name, bool value) {
    return Raw(name, value ? "true" : "false");
  }
  ObjectWriter& Raw(absl::string_view name, RawJson value) {
    Name(name);
    absl::StrAppend(&out_, value);
    return *this;
  }
  // Writes `"name":` and leaves the value to the caller.
  std::string& Name(absl::string_view name) {
    absl::StrAppend(&out_, first_ ? "\"" : ",\"", name, "\":");
    first_ = false;
    return out_;
  }

 private:
  std::string& out_;
  bool first_ = true;
};

void WritePeer(const Peer& peer, bool with_meta, std::string& out) {
  ObjectWriter w(out);
  w.Text("name", peer.name);
  if (with_meta) w.Raw("meta", peer.meta);
}

template <typename List, typename Write>
void WriteList(const List& list, std::string& out, Write write) {
  out.push_back('[');
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out.push_back(',');
    write(list[i]);
  }
  out.push_back(']');
}

void WritePeers(const std::vector<Peer>& peers, bool more, ObjectWriter& w) {
  std::string& out = w.Name("peers");
  WriteList(peers, out, [&](const Peer& p) { WritePeer(p, true, out); });
  w.Bool("more", more);
}

void WriteIceServers(const std::vector<IceServer>& servers, ObjectWriter& w) {
  std::string& out = w.Name("ice_servers");
  WriteList(servers, out, [&](const IceServer& server) {
    ObjectWriter inside(out);
    inside.Name("urls");
    WriteList(server.urls, out,
              [&](const std::string& url) { AppendJsonText(url, out); });
    inside.TextIfAny("username", server.username);
    inside.TextIfAny("credential", server.credential);
  });
}

ObjectWriter& Type(ObjectWriter& w, absl::string_view type) {
  return w.Text("type", type);
}

// One overload for each message.
void Write(const Hello& m, ObjectWriter& w) {
  Type(w, "hello").Number("version", m.version).TextIfAny("client", m.client);
}
void Write(const Join& m, ObjectWriter& w) {
  Type(w, "join").Text("name", m.name).TextIfAny("room", m.room);
  w.Raw("meta", m.meta);
}
void Write(const Update& m, ObjectWriter& w) {
  Type(w, "update").Raw("meta", m.meta);
}
void Write(const List& m, ObjectWriter& w) {
  Type(w, "list").TextIfAny("after", m.after);
}
void Write(const Leave&, ObjectWriter& w) { Type(w, "leave"); }
void Write(const Call& m, ObjectWriter& w) {
  Type(w, "call").Text("to", m.to).Raw("meta", m.meta);
}
void Write(const Accept& m, ObjectWriter& w) {
  Type(w, "accept").Text("call", m.call);
}
void Write(const Reject& m, ObjectWriter& w) {
  Type(w, "reject").Text("call", m.call).TextIfAny("reason", m.reason);
}
void Write(const Ping&, ObjectWriter& w) { Type(w, "ping"); }
void Write(const Hangup& m, ObjectWriter& w) {
  Type(w, "hangup").Text("call", m.call).TextIfAny("reason", m.reason);
}
void Write(const Signal& m, ObjectWriter& w) {
  Type(w, "signal").Text("call", m.call);
  w.Text("kind", internal::SignalKindName(m.kind));
  if (m.kind == SignalKind::kOffer || m.kind == SignalKind::kAnswer) {
    w.Raw("sdp", m.payload);
  } else if (m.kind == SignalKind::kCandidate) {
    w.Raw("candidate", m.payload);
  }
}
void Write(const Welcome& m, ObjectWriter& w) {
  Type(w, "welcome").Number("version", m.version).Text("server", m.server);
  w.Text("session", m.session);
  WriteIceServers(m.ice_servers, w);
  std::string& out = w.Name("limits");
  {
    const auto number = [](size_t size) { return static_cast<int64_t>(size); };
    ObjectWriter inside(out);
    inside.Number("message_bytes", number(m.limits.max_message_bytes))
        .Number("name_bytes", number(m.limits.max_name_bytes))
        .Number("meta_bytes", number(m.limits.max_meta_bytes))
        .Number("depth", number(m.limits.max_depth))
        .Number("members", number(m.limits.max_members));
  }
  w.Number("ping_interval_s", absl::ToInt64Seconds(m.ping_interval));
}
void Write(const IceServers& m, ObjectWriter& w) {
  Type(w, "ice_servers");
  WriteIceServers(m.ice_servers, w);
}
void Write(const Joined& m, ObjectWriter& w) {
  Type(w, "joined").Text("room", m.room).Text("name", m.name);
  WritePeers(m.peers, m.more, w);
}
void Write(const Peers& m, ObjectWriter& w) {
  Type(w, "peers").Text("room", m.room);
  WritePeers(m.peers, m.more, w);
}
void Write(const Presence& m, ObjectWriter& w) {
  Type(w, "presence").Text("change", internal::PresenceChangeName(m.change));
  WritePeer(m.peer, m.change != PresenceChange::kLeft, w.Name("peer"));
}
void Write(const Updated&, ObjectWriter& w) { Type(w, "updated"); }
void Write(const Left&, ObjectWriter& w) { Type(w, "left"); }
void Write(const Calling& m, ObjectWriter& w) {
  Type(w, "calling").Text("call", m.call).Text("to", m.to);
  w.Bool("polite", m.polite);
}
void Write(const Incoming& m, ObjectWriter& w) {
  Type(w, "incoming").Text("call", m.call).Text("from", m.from);
  w.Bool("polite", m.polite).Raw("meta", m.meta);
}
void Write(const Accepted& m, ObjectWriter& w) {
  Type(w, "accepted").Text("call", m.call);
}
void Write(const Rejected& m, ObjectWriter& w) {
  Type(w, "rejected").Text("call", m.call).TextIfAny("reason", m.reason);
}
void Write(const Pong&, ObjectWriter& w) { Type(w, "pong"); }
void Write(const Error& m, ObjectWriter& w) {
  Type(w, "error").Text("code", ErrorCodeName(m.code));
  w.Text("message", m.message).TextIfAny("call", m.call);
  if (m.retry_after > absl::ZeroDuration()) {
    w.Number("retry_after_ms", absl::ToInt64Milliseconds(m.retry_after));
  }
}

template <typename Message>
std::string WriteAny(const Message& message) {
  std::string out;
  {
    ObjectWriter w(out);
    std::visit([&](const auto& body) { Write(body, w); }, message.body);
    if (!message.id.empty()) w.Raw("id", message.id);
  }
  return out;
}

}  // namespace

std::string WriteMessage(const ClientMessage& message) {
  return WriteAny(message);
}
std::string WriteMessage(const ServerMessage& message) {
  return WriteAny(message);
}

}  // namespace kyuu::signaling
