#include "peer/server_streams.h"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/counters.h"
#include "base/status_macros.h"
#include "net/connect.h"
#include "net/stream.h"
#include "net/stream_driver.h"
#include "net/tcp.h"
#include "peer/server_session.h"

namespace kyuu::peer {

// One stream. Its parts are made one after the other, and go from the last.
struct ServerStreams::Link {
  // Whether its owner still wants to hear of it.
  enum class Told : uint8_t { kAll, kNothing };

  Link(const ice::StreamWanted& w, const turn::MessageStreamOptions& options)
      : wanted(w), messages(options) {}

  const ice::StreamWanted wanted;
  turn::MessageStream messages;
  Told told = Told::kAll;
  bool over = false;     // To be erased in the next turn.
  absl::Status failure;  // To be told in the next turn, and it is over.
  Path path;
  std::optional<net::Connector> connector;  // Until connected.
  std::optional<net::StreamDriver<turn::MessageStream>> driver;
  std::unique_ptr<ServerSession> session;  // Instead of both, with DTLS.

  // What the server has to prove to be.
  std::string name() const {
    return wanted.host.empty() ? wanted.server.ip.ToString() : wanted.host;
  }
};

ServerStreams::ServerStreams(net::Loop& loop, ServerStreamOptions options,
                             ServerStreamHandlers handlers)
    : loop_(loop),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      turn_(loop, [this] { OnTurn(); }) {}

ServerStreams::~ServerStreams() = default;

void ServerStreams::Open(const ice::StreamWanted& wanted) {
  turn::MessageStreamOptions queue = options_.queue;
  queue.pieces = wanted.protocol == ice::RelayProtocol::kTls
                     ? turn::OutgoingMessages::Pieces::kMessages
                     : turn::OutgoingMessages::Pieces::kBytes;
  const auto [it, is_new] =
      links_.try_emplace(wanted.id, std::make_unique<Link>(wanted, queue));
  if (!is_new) return;
  Link& link = *it->second;
  if (wanted.protocol == ice::RelayProtocol::kDtls) return OpenSession(link);
  net::ConnectOptions connect;
  connect.from = wanted.from;
  connect.stream.unsent_bytes = options_.unsent_bytes;
  // It tells from the loop, so that the caller may be an engine's driver.
  link.connector.emplace(
      loop_, std::vector<TransportAddress>{wanted.server},
      [this, &link](absl::StatusOr<net::TcpStream> tcp) {
        OnConnected(link, std::move(tcp));
      },
      connect);
}

absl::StatusOr<net::Stream> ServerStreams::Secured(const Link& link,
                                                   net::TcpStream tcp) {
  if (link.wanted.protocol != ice::RelayProtocol::kTls) {
    return net::Stream(std::move(tcp));
  }
  const std::string name = link.name();
  auto known = tls_.find(name);
  if (known == tls_.end()) {
    KYUU_ASSIGN_OR_RETURN(net::TlsContext context,
                          net::TlsContext::Client({.server_name = name,
                                                   .ca_file = options_.ca_file,
                                                   .alpn = {"stun.turn"}}));
    known = tls_.emplace(name, std::move(context)).first;
  }
  return net::Stream(net::TlsStream(known->second, std::move(tcp)));
}

void ServerStreams::OpenSession(Link& link) {
  if (!authorities_) {
    absl::StatusOr<dtls::Authorities> loaded =
        dtls::Authorities::Load(options_.ca_file);
    if (!loaded.ok()) return FailLater(link, loaded.status());
    authorities_ = *std::move(loaded);
  }
  auto session = ServerSession::Open(
      loop_, *authorities_, link.wanted.server, link.name(),
      {.on_connected =
           [this, &link] {
             handlers_.on_connected(link.wanted.id, link.path.local);
             turn_.Set(absl::InfinitePast());
           },
       .on_message =
           [this, &link](absl::Span<const uint8_t> message) {
             handlers_.on_message({link.path, message});
             turn_.Set(absl::InfinitePast());
           },
       .on_ended = [this,
                    &link](const absl::Status& why) { Tell(link, why); }});
  if (!session.ok()) return FailLater(link, session.status());
  link.session = *std::move(session);
  link.path = {link.session->local(), link.wanted.server, Transport::kDtls};
  by_path_[link.path] = &link;
}

// From the loop, as all is told.
void ServerStreams::FailLater(Link& link, const absl::Status& why) {
  link.failure = why;
  waiting_.insert(link.wanted.id);
  turn_.Set(absl::InfinitePast());
}

void ServerStreams::OnConnected(Link& link,
                                absl::StatusOr<net::TcpStream> tcp) {
  link.connector.reset();
  if (!tcp.ok()) return Tell(link, tcp.status());
  absl::StatusOr<net::Stream> stream = Secured(link, *std::move(tcp));
  if (!stream.ok()) return Tell(link, stream.status());
  link.path = stream->path();
  by_path_[link.path] = &link;
  link.driver.emplace(
      loop_, *std::move(stream), link.messages,
      loop_.Shared<net::StreamBuffer>(),
      [this, &link](turn::MessageStream::Event event) {
        OnEvent(link, std::move(event));
      },
      [this, &link](net::StreamEnd, const absl::Status& why) {
        Tell(link, why);
      });
  // Begins the handshake of TLS.
  link.driver->Flush();
  handlers_.on_connected(link.wanted.id, link.path.local);
  turn_.Set(absl::InfinitePast());
}

void ServerStreams::OnEvent(Link& link, turn::MessageStream::Event event) {
  if (link.told == Link::Told::kNothing) return;
  if (const auto* message = std::get_if<turn::MessageStream::Message>(&event)) {
    handlers_.on_message({link.path, message->bytes});
    turn_.Set(absl::InfinitePast());
    return;
  }
  // Nothing is to be had from it any more; its end follows, some time.
  const absl::Status& why = std::get<turn::MessageStream::Closed>(event).status;
  link.told = Link::Told::kNothing;
  handlers_.on_ended(link.wanted.id, why);
  turn_.Set(absl::InfinitePast());
}

// The stream is over, or never was.
void ServerStreams::Tell(Link& link, const absl::Status& why) {
  link.over = true;
  by_path_.erase(link.path);
  waiting_.insert(link.wanted.id);
  turn_.Set(absl::InfinitePast());
  if (std::exchange(link.told, Link::Told::kNothing) == Link::Told::kNothing) {
    return;
  }
  handlers_.on_ended(link.wanted.id, why);
}

void ServerStreams::Drop(ice::StreamId id) {
  const auto it = links_.find(id);
  if (it == links_.end()) return;
  Link& link = *it->second;
  link.told = Link::Told::kNothing;
  if (link.session) {
    link.session->Close();
    by_path_.erase(link.path);
    link.over = true;
  } else if (!link.driver) {
    link.connector.reset();
    link.over = true;
  } else if (link.wanted.from) {
    link.driver->Cut();
  }
  link.messages.Close();
  waiting_.insert(id);
  turn_.Set(absl::InfinitePast());
}

void ServerStreams::Send(const Datagram& message) {
  const auto it = by_path_.find(message.path);
  if (it == by_path_.end()) {
    ++past_.messages_dropped;
    return;
  }
  if (it->second->session) return it->second->session->Send(message.bytes);
  it->second->messages.Send(message.bytes);
  waiting_.insert(it->second->wanted.id);
  turn_.Set(absl::InfinitePast());
}

// Sends what has come together in a turn of the loop, and has the engine say
// more.
void ServerStreams::OnTurn() {
  for (const ice::StreamId id : std::exchange(waiting_, {})) {
    const auto it = links_.find(id);
    if (it == links_.end()) continue;
    if (!it->second->failure.ok()) Tell(*it->second, it->second->failure);
    if (!it->second->over && it->second->driver) it->second->driver->Flush();
    if (!it->second->over) continue;
    AddCounters(past_, it->second->messages.stats());
    links_.erase(it);
  }
  handlers_.on_turn();  // Last: it may destroy us.
}

turn::MessageStreamStats ServerStreams::stats() const {
  turn::MessageStreamStats sum = past_;
  for (const auto& [id, link] : links_) {
    AddCounters(sum, link->messages.stats());
  }
  return sum;
}

}  // namespace kyuu::peer
