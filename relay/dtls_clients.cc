#include "relay/dtls_clients.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"

namespace kyuu::relay {

DtlsClients::DtlsClients(const DtlsClientsOptions& options,
                         const dtls::ServerContext& context, Random& random)
    : options_(options), acceptor_(context, random, options.session) {}

void DtlsClients::HandlePacket(absl::Time now, const Datagram& in) {
  heard_.reset();
  const auto it = clients_.find(in.path);
  if (it == clients_.end()) return Meet(now, in);
  dtls::Session& session = it->second.session;
  // A client that has begun anew from its old address (RFC 6347 section 4.2.8)
  // shows by a cookie that it is there; its old session ends then only.
  if (session.connected() && acceptor_.IsClientHello(in.bytes)) {
    return Meet(now, in);
  }
  session.HandlePacket(now, in.bytes);
  heard_ = in.path;
  Settle(now, in.path);
}

void DtlsClients::Meet(absl::Time now, const Datagram& in) {
  dtls::Acceptor::Heard heard = acceptor_.Hear(now, in.path.remote, in.bytes);
  if (const auto* reply = std::get_if<dtls::Acceptor::Reply>(&heard)) {
    ++stats_.cookies;
    return Send(in.path, reply->bytes);
  }
  if (auto* session = std::get_if<dtls::Session>(&heard)) {
    if (Admit(now, in.path, std::move(*session),
              dtls::Acceptor::ServerName(in.bytes), std::nullopt)) {
      ++stats_.sessions;
    }
    return;
  }
  ++stats_.drop_noise;
}

bool DtlsClients::Admit(absl::Time now, const Path& path,
                        dtls::Session&& session, absl::string_view host,
                        const std::optional<Visit>& visit) {
  if (const auto it = clients_.find(path); it != clients_.end()) {
    events_.push_back(Gone{path, it->second.visit});
    it->second.session = std::move(session);
    it->second.host = std::string(host);
    it->second.idle_deadline = now + options_.idle_timeout;
    it->second.visit = visit;
    Settle(now, path);
    return true;
  }
  if (clients_.size() >= options_.sessions_max) {
    ++stats_.refused_full;
    return false;
  }
  const Source source = SourceOf(path.remote.ip);
  if (!shares_.Take(source, options_.sessions_per_source_max)) {
    ++stats_.refused_source;
    return false;
  }
  clients_.try_emplace(path,
                       Client{std::move(session), std::string(host), source,
                              now + options_.idle_timeout, visit});
  Settle(now, path);
  return true;
}

std::unique_ptr<DtlsClients::Client> DtlsClients::Release() {
  const auto it = heard_ ? clients_.find(*heard_) : clients_.end();
  heard_.reset();
  if (it == clients_.end()) return nullptr;
  auto client = std::make_unique<Client>(std::move(it->second));
  it->second.visit.reset();  // The session is its end, where it goes.
  Erase(it);
  ++stats_.moved;
  return client;
}

bool DtlsClients::Arrive(absl::Time now, const Path& path, Client client) {
  heard_.reset();
  if (!Admit(now, path, std::move(client.session), client.host, client.visit)) {
    events_.push_back(Gone{path, client.visit});
    client.session.Close(now);
    std::array<uint8_t, 2048> buffer;
    while (const auto bytes =
               client.session.PollTransmit(now, absl::MakeSpan(buffer))) {
      Send(path, *bytes);
    }
    return false;
  }
  heard_ = path;
  return true;
}

void DtlsClients::Settle(absl::Time now, const Path& path) {
  const auto it = clients_.find(path);
  dtls::Session& session = it->second.session;
  std::array<uint8_t, 2048> buffer;
  while (const auto bytes = session.PollTransmit(now, absl::MakeSpan(buffer))) {
    Send(path, *bytes);
  }
  while (const auto event = session.PollEvent()) {
    const auto* closed = std::get_if<dtls::Closed>(&*event);
    if (closed == nullptr) continue;
    if (!closed->status.ok()) ++stats_.failed;
    return Erase(it);
  }
  deadlines_.Set(path,
                 std::min(session.NextTimeout(), it->second.idle_deadline));
}

void DtlsClients::Send(const Path& path, absl::Span<const uint8_t> bytes) {
  if (outgoing_.size() >= options_.outgoing_max) {
    ++stats_.drop_outgoing;
    return;
  }
  outgoing_.push_back({path, {bytes.begin(), bytes.end()}});
}

std::optional<absl::Span<const uint8_t>> DtlsClients::ReadPlaintext(
    absl::Span<uint8_t> out) {
  const auto it = heard_ ? clients_.find(*heard_) : clients_.end();
  if (it == clients_.end()) return std::nullopt;
  return it->second.session.ReadPlaintext(out);
}

absl::string_view DtlsClients::host() const {
  const auto it = heard_ ? clients_.find(*heard_) : clients_.end();
  return it == clients_.end() ? absl::string_view() : it->second.host;
}

std::optional<absl::Span<const uint8_t>> DtlsClients::Seal(
    const Path& path, absl::Span<const uint8_t> prefix,
    absl::Span<const uint8_t> payload, size_t padding,
    absl::Span<uint8_t> out) {
  const auto it = clients_.find(path);
  plaintext_.assign(prefix.begin(), prefix.end());
  plaintext_.insert(plaintext_.end(), payload.begin(), payload.end());
  plaintext_.resize(plaintext_.size() + padding);
  if (it != clients_.end()) {
    const auto size = it->second.session.Seal(plaintext_, out);
    if (size.ok()) return out.first(*size);
  }
  ++stats_.drop_unsealed;
  return std::nullopt;
}

void DtlsClients::Allocated(const Path& path) {
  const auto it = clients_.find(path);
  if (it == clients_.end()) return;
  it->second.idle_deadline = absl::InfiniteFuture();
  deadlines_.Set(path, it->second.session.NextTimeout());
}

void DtlsClients::Released(absl::Time now, const Path& path) {
  const auto it = clients_.find(path);
  if (it == clients_.end()) return;
  it->second.idle_deadline = now + options_.idle_timeout;
  Settle(now, path);
}

void DtlsClients::Close(absl::Time now) {
  while (!clients_.empty()) {
    const Path path = clients_.begin()->first;
    clients_.begin()->second.session.Close(now);
    Settle(now, path);
  }
}

void DtlsClients::HandleTimeout(absl::Time now) {
  while (const std::optional<Path> due = deadlines_.PopDue(now)) {
    Client& client = clients_.find(*due)->second;
    client.session.HandleTimeout(now);
    if (client.idle_deadline <= now) client.session.Close(now);
    Settle(now, *due);
  }
}

void DtlsClients::Drop(const Path& path) {
  const auto it = clients_.find(path);
  if (it != clients_.end()) Erase(it);
}

void DtlsClients::Erase(absl::node_hash_map<Path, Client>::iterator it) {
  const Gone gone{it->first, it->second.visit};
  shares_.Return(it->second.source);
  deadlines_.Stop(gone.path);
  clients_.erase(it);
  events_.push_back(gone);
}

std::optional<Datagram> DtlsClients::PollTransmit(absl::Time,
                                                  absl::Span<uint8_t> out) {
  if (outgoing_.empty() || outgoing_.front().bytes.size() > out.size()) {
    return std::nullopt;
  }
  const Outgoing first = std::move(outgoing_.front());
  outgoing_.pop_front();
  std::copy(first.bytes.begin(), first.bytes.end(), out.begin());
  return Datagram{first.path, out.first(first.bytes.size())};
}

std::optional<DtlsClients::Event> DtlsClients::PollEvent() {
  if (events_.empty()) return std::nullopt;
  const Event event = events_.front();
  events_.pop_front();
  return event;
}

std::string DtlsClients::DebugString() const {
  return absl::StrCat("relay::DtlsClients ", clients_.size(), " sessions, ",
                      outgoing_.size(), " datagrams wait");
}

}  // namespace kyuu::relay
