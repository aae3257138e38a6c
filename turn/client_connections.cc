// TCP allocations, the client's half (RFC 6062 section 4).
//
//     peer                    server                     client
//      |                        |<------- Connect --------|  Connect()
//      |<-- SYN --- SYN, ACK -->|                         |
//      |                        |-- success, id --------->|  PeerConnected
//      |                        |<== another stream ======|
//      |                        |<-- ConnectionBind, id --|  Bind()
//      |                        |-- success ------------->|  PeerJoined
//      |<---- bytes ----------->|<==== bytes ============>|
//
// A peer that connects is told by a ConnectionAttempt indication with its id.

#include "turn/client_connections.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "stun/attributes.h"
#include "stun/retransmit.h"

namespace kyuu::turn {

using internal::ClientCredential;
using internal::ClientRequest;
using internal::Failure;
using internal::Verdict;
using stun::Method;

absl::Status ClientConnections::Connect(absl::Time,
                                        const TransportAddress& peer) {
  if (parts_.options.relayed_transport != Transport::kTcp ||
      parts_.relays.First().port == 0) {
    return absl::FailedPreconditionError("no allocation of TCP");
  }
  if (parts_.relays.Live(peer.ip.family()) == nullptr || peer.port == 0) {
    return absl::InvalidArgumentError("peer cannot be reached");
  }
  if (connections_.size() >= parts_.options.connections_max) {
    return absl::ResourceExhaustedError("too many connections to peers");
  }
  Ask(Add({.peer = peer}), 0);
  return absl::OkStatus();
}

absl::Status ClientConnections::Bind(absl::Time, ClientConnectionId id,
                                     const TransportAddress& local) {
  const std::optional<Key> key = Find(id);
  if (!key.has_value()) {
    return absl::NotFoundError("no connection of this id waits");
  }
  Connection& connection = connections_.at(*key);
  if (connection.local.has_value()) {
    return absl::FailedPreconditionError("it is bound to a stream");
  }
  connection.local = local;
  connection.credential.emplace(parts_.credential);
  Ask(*key, 0);
  return absl::OkStatus();
}

void ClientConnections::Drop(ClientConnectionId id, const absl::Status& why) {
  const std::optional<Key> key = Find(id);
  if (!key.has_value()) return;
  Fail(*key, {why.ok() ? absl::UnavailableError("the stream has ended") : why,
              {},
              {}});
}

void ClientConnections::Attempted(absl::Time now, ClientConnectionId id,
                                  const TransportAddress& peer) {
  if (Find(id).has_value()) {
    ++parts_.stats.unexpected;
    return;
  }
  if (connections_.size() >= parts_.options.connections_max) {
    ++parts_.stats.peers_ignored;
    return;
  }
  const Key key = Add({.peer = peer, .id = id});
  deadlines_.Set(key, now + parts_.options.bind_within);
  ++parts_.stats.peers_connected;
  parts_.events.push_back(
      ClientPeerConnected{id, peer, ClientPeerConnected::By::kPeer});
}

ClientConnections::Key ClientConnections::Add(Connection connection) {
  const Key key{++last_key_};
  connections_.emplace(key, std::move(connection));
  return key;
}

// There are connections_max of them at most.
std::optional<ClientConnections::Key> ClientConnections::Find(
    ClientConnectionId id) const {
  for (const auto& [key, connection] : connections_) {
    if (connection.id == id) return key;
  }
  return std::nullopt;
}

bool ClientConnections::Binds(const Path& path) const {
  if (path.remote != parts_.server || path.transport != Transport::kTcp) {
    return false;
  }
  for (const auto& [key, connection] : connections_) {
    if (connection.local == path.local) return true;
  }
  return false;
}

void ClientConnections::Ask(Key key, int challenges) {
  Connection& connection = connections_.at(key);
  connection.awaits = Awaits::kNothing;
  connection.request.emplace(ClientRequest{
      .id = stun::TransactionId::Generate(parts_.random),
      .retransmission = stun::Retransmission(stun::kReliableTransport),
      .challenges = challenges});
  due_.insert(key);
}

void ClientConnections::AskAgain(Awaits what) {
  for (auto& [key, connection] : connections_) {
    if (connection.awaits == what) Ask(key, connection.request->challenges + 1);
  }
}

// Its deadline is what it was.
ClientConnections::Heard ClientConnections::Await(Connection& connection,
                                                  Awaits what) {
  connection.awaits = what;
  if (what == Awaits::kRefresh) return Heard::kOurs;
  return connection.request->token_number == 0 ? Heard::kWantsToken
                                               : Heard::kWantsAnother;
}

void ClientConnections::UseToken(const ClientToken& token) {
  for (auto& [key, connection] : connections_) {
    if (connection.credential.has_value()) {
      connection.credential->UseToken(token);
    }
  }
  AskAgain(Awaits::kToken);
}

ClientCredential& ClientConnections::CredentialOf(Connection& connection) {
  return connection.credential.has_value() ? *connection.credential
                                           : parts_.credential;
}

// RFC 6062 sections 4.3 and 4.5.
absl::Span<const uint8_t> ClientConnections::Write(Connection& connection,
                                                   absl::Span<uint8_t> out) {
  stun::MessageWriter writer(
      out, stun::MessageClass::kRequest,
      connection.local ? Method::kConnectionBind : Method::kConnect,
      connection.request->id);
  if (connection.local) {
    writer.Add(stun::ConnectionId{static_cast<uint32_t>(*connection.id)});
  } else {
    writer.Add(stun::XorPeerAddress{connection.peer});
  }
  if (!parts_.options.software.empty()) {
    writer.Add(stun::Software{parts_.options.software});
  }
  CredentialOf(connection).Authenticate(writer, *connection.request);
  return writer.Finish();
}

std::optional<Datagram> ClientConnections::PollTransmit(
    absl::Time now, absl::Span<uint8_t> out) {
  while (!due_.empty()) {
    const Key key = *due_.begin();
    due_.erase(due_.begin());
    Connection& connection = connections_.at(key);
    connection.request->retransmission.OnSent(now);
    if (!connection.local) {
      deadlines_.Set(key, connection.request->retransmission.deadline());
    }
    const absl::Span<const uint8_t> bytes = Write(connection, out);
    // A buffer too small for it: it is as if nobody answered.
    if (bytes.empty()) continue;
    ++parts_.stats.requests_sent;
    return Datagram{{connection.local.value_or(parts_.options.local),
                     parts_.server, Transport::kTcp},
                    bytes};
  }
  return std::nullopt;
}

ClientConnections::Heard ClientConnections::HandleResponse(
    absl::Time now, const Path& path, const stun::MessageView& response) {
  for (auto& [key, connection] : connections_) {
    std::optional<ClientRequest>& request = connection.request;
    if (!request || connection.awaits != Awaits::kNothing ||
        request->id != response.transaction_id() ||
        connection.local.value_or(parts_.options.local) != path.local ||
        response.method() !=
            (connection.local ? Method::kConnectionBind : Method::kConnect)) {
      continue;
    }
    Failure failure;
    switch (CredentialOf(connection)
                .Judge(response, *request, failure, parts_.stats)) {
      case Verdict::kDrop:
        break;
      case Verdict::kRetry:
        Ask(key, request->challenges + 1);
        break;
      case Verdict::kSuccess:
        OnSuccess(now, key, response);
        break;
      case Verdict::kTokenWanted:
        return Await(connection, Awaits::kToken);
      case Verdict::kError:
        // A token of another key, of which the server hears first by a request
        // of this stream: the allocation's refresh says that it is ours.
        if (failure.error == stun::Error::kWrongCredentials &&
            request->token_number > 0 &&
            request->challenges < parts_.options.challenges_max) {
          return Await(connection, Awaits::kRefresh);
        }
        Fail(key, std::move(failure));
        break;
    }
    return Heard::kOurs;
  }
  return Heard::kNotOurs;
}

void ClientConnections::OnSuccess(absl::Time now, Key key,
                                  const stun::MessageView& response) {
  Connection& connection = connections_.at(key);
  connection.request.reset();
  if (connection.local) {
    ++parts_.stats.peers_joined;
    parts_.events.push_back(
        ClientPeerJoined{*connection.id, connection.peer, *connection.local});
    return Erase(key);
  }
  const auto id = response.Get<stun::ConnectionId>();
  if (!id || Find(ClientConnectionId{id->value}).has_value()) {
    return Fail(
        key, {absl::InternalError("Connect response without an id"), {}, {}});
  }
  connection.id = ClientConnectionId{id->value};
  deadlines_.Set(key, now + parts_.options.bind_within);
  ++parts_.stats.peers_connected;
  parts_.events.push_back(ClientPeerConnected{*connection.id, connection.peer,
                                              ClientPeerConnected::By::kUs});
}

void ClientConnections::HandleTimeout(absl::Time now) {
  while (const std::optional<Key> due = deadlines_.PopDue(now)) {
    const Connection& connection = connections_.at(*due);
    std::optional<stun::Error> hint =
        connection.request ? connection.request->unverified : std::nullopt;
    std::string why = connection.id ? "the connection was not bound in time"
                                    : absl::StrCat("no answer from ",
                                                   parts_.server.ToString());
    if (connection.awaits != Awaits::kNothing) {
      hint = connection.awaits == Awaits::kToken
                 ? stun::Error::kUnauthenticated
                 : stun::Error::kWrongCredentials;
      why = "no token came in time that the server takes";
    }
    Fail(*due, {absl::DeadlineExceededError(why), hint, {}});
  }
}

void ClientConnections::Fail(Key key, Failure failure) {
  const Connection& connection = connections_.at(key);
  ++parts_.stats.peers_failed;
  parts_.events.push_back(ClientPeerFailed{connection.peer, connection.id,
                                           std::move(failure.status),
                                           failure.error});
  Erase(key);
}

void ClientConnections::Erase(Key key) {
  connections_.erase(key);
  due_.erase(key);
  deadlines_.Stop(key);
}

void ClientConnections::Clear() {
  connections_.clear();
  due_.clear();
  deadlines_.Clear();
}

}  // namespace kyuu::turn
