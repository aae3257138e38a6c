#include "signaling/session_message.h"

#include <algorithm>
#include <utility>

namespace kyuu::signaling {

using internal::AppendJsonText;
using internal::Fields;
using internal::Need;
using internal::ObjectWriter;

namespace {

int ReadVersion(Fields& f) {
  return static_cast<int>(
      std::clamp<int64_t>(f.Integer("version", Need::kRequired), -1, 1000));
}

std::vector<IceServer> ReadIceServers(Fields& f) {
  return f.List<IceServer>("ice_servers", [](Fields& inside) {
    IceServer server;
    server.urls = inside.Texts("urls");
    server.username = inside.Text("username", Need::kOptional);
    server.credential = inside.Text("credential", Need::kOptional);
    return server;
  });
}

void WriteIceServers(const std::vector<IceServer>& servers, ObjectWriter& w) {
  w.Array("ice_servers", servers,
          [](const IceServer& server, std::string& out) {
            ObjectWriter inside(out);
            inside.Array("urls", server.urls, AppendJsonText);
            inside.TextIfAny("username", server.username);
            inside.TextIfAny("credential", server.credential);
          });
}

void ReadLimits(Fields& f, MessageLimits& limits) {
  const auto size = [&](absl::string_view name, size_t otherwise) {
    return static_cast<size_t>(std::max<int64_t>(
        0, f.Integer(name, Need::kOptional, static_cast<int64_t>(otherwise))));
  };
  limits.max_message_bytes = size("message_bytes", limits.max_message_bytes);
  limits.max_name_bytes = size("name_bytes", limits.max_name_bytes);
  limits.max_meta_bytes = size("meta_bytes", limits.max_meta_bytes);
  limits.max_depth = size("depth", limits.max_depth);
  limits.max_members = size("members", limits.max_members);
}

void WriteLimits(const MessageLimits& limits, std::string& out) {
  ObjectWriter w(out);
  w.Count("message_bytes", limits.max_message_bytes)
      .Count("name_bytes", limits.max_name_bytes)
      .Count("meta_bytes", limits.max_meta_bytes)
      .Count("depth", limits.max_depth)
      .Count("members", limits.max_members);
}

}  // namespace

void Read(Fields& f, Hello& m) {
  m.version = ReadVersion(f);
  m.client = f.Text("client", Need::kOptional, f.limits().max_meta_bytes);
  m.token = f.Text("token", Need::kOptional, kMaxTokenBytes);
  if (!f.Has("resume")) return;
  m.resume.emplace();
  f.Inside("resume", [&](Fields& inside) {
    const size_t max_bytes = f.limits().max_name_bytes;
    m.resume->session = inside.Text("session", Need::kOptional, max_bytes);
    m.resume->secret = inside.Text("secret", Need::kOptional, max_bytes);
    m.resume->received = inside.Count("received", Need::kOptional);
  });
}
void Write(const Hello& m, ObjectWriter& w) {
  w.Type(m).Number("version", m.version).TextIfAny("client", m.client);
  w.TextIfAny("token", m.token);
  if (!m.resume.has_value()) return;
  ObjectWriter inside(w.Name("resume"));
  if (m.resume->session.empty()) return;
  inside.Text("session", m.resume->session).Text("secret", m.resume->secret);
  inside.Count("received", m.resume->received);
}

void Read(Fields&, Ping&) {}
void Write(const Ping& m, ObjectWriter& w) { w.Type(m); }

void Read(Fields& f, Credentials& m) {
  m.token = f.Text("token", Need::kOptional, kMaxTokenBytes);
}
void Write(const Credentials& m, ObjectWriter& w) {
  w.Type(m).TextIfAny("token", m.token);
}

void Read(Fields& f, Ack& m) {
  m.received = f.Count("received", Need::kRequired);
}
void Write(const Ack& m, ObjectWriter& w) {
  w.Type(m).Count("received", m.received);
}

void Read(Fields& f, Welcome& m) {
  m.version = ReadVersion(f);
  m.server = f.Text("server", Need::kOptional);
  m.session = f.Text("session", Need::kRequired);
  m.user = f.Text("user", Need::kOptional);
  m.ice_servers = ReadIceServers(f);
  m.ping_interval =
      absl::Seconds(f.Integer("ping_interval_s", Need::kOptional));
  f.Inside("limits", [&](Fields& inside) { ReadLimits(inside, m.limits); });
  if (!f.Has("resume")) return;
  m.resume.emplace();
  f.Inside("resume", [&](Fields& inside) {
    m.resume->secret = inside.Text("secret", Need::kRequired);
    m.resume->grace = absl::Seconds(inside.Count("grace_s", Need::kRequired));
    m.resume->origin = inside.Bool("resumed", Need::kRequired)
                           ? SessionOrigin::kResumed
                           : SessionOrigin::kNew;
    m.resume->received = inside.Count("received", Need::kOptional);
  });
}
void Write(const Welcome& m, ObjectWriter& w) {
  w.Type(m).Number("version", m.version).Text("server", m.server);
  w.Text("session", m.session).TextIfAny("user", m.user);
  WriteIceServers(m.ice_servers, w);
  WriteLimits(m.limits, w.Name("limits"));
  w.Number("ping_interval_s", absl::ToInt64Seconds(m.ping_interval));
  if (!m.resume.has_value()) return;
  ObjectWriter inside(w.Name("resume"));
  inside.Text("secret", m.resume->secret)
      .Number("grace_s", absl::ToInt64Seconds(m.resume->grace))
      .Bool("resumed", m.resume->origin == SessionOrigin::kResumed)
      .Count("received", m.resume->received);
}

void Read(Fields& f, IceServers& m) { m.ice_servers = ReadIceServers(f); }
void Write(const IceServers& m, ObjectWriter& w) {
  WriteIceServers(m.ice_servers, w.Type(m));
}

void Read(Fields&, Pong&) {}
void Write(const Pong& m, ObjectWriter& w) { w.Type(m); }

void Read(Fields& f, Error& m) {
  m.code = ErrorCodeFrom(f.Text("code", Need::kRequired));
  m.message = f.Text("message", Need::kOptional);
  m.call = f.Text("call", Need::kOptional);
  m.retry_after =
      absl::Milliseconds(f.Integer("retry_after_ms", Need::kOptional));
}
void Write(const Error& m, ObjectWriter& w) {
  w.Type(m).Text("code", ErrorCodeName(m.code));
  w.Text("message", m.message).TextIfAny("call", m.call);
  if (m.retry_after > absl::ZeroDuration()) {
    w.Number("retry_after_ms", absl::ToInt64Milliseconds(m.retry_after));
  }
}

void Read(Fields& f, Drain& m) {
  m.retry_after =
      absl::Milliseconds(f.Count("retry_after_ms", Need::kRequired));
}
void Write(const Drain& m, ObjectWriter& w) {
  w.Type(m).Number("retry_after_ms", absl::ToInt64Milliseconds(m.retry_after));
}

}  // namespace kyuu::signaling
