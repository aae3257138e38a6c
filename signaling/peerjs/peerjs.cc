#include "signaling/peerjs/peerjs.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "signaling/close_code.h"
#include "signaling/internal/dialect_json.h"
#include "signaling/internal/json.h"
#include "signaling/internal/object_writer.h"
#include "signaling/internal/secret.h"
#include "signaling/internal/utf8.h"

namespace kyuu::signaling {

using internal::JsonObject;
using internal::JsonValue;
using internal::KeptMessage;
using internal::KeptMessages;
using internal::ObjectWriter;

namespace {

// {"type":TYPE,"payload":{"msg":WHY}}, the form of all refusals.
std::string Refusal(absl::string_view type, absl::string_view why) {
  std::string payload;
  ObjectWriter(payload).Text("msg", why);
  std::string text;
  ObjectWriter(text).Text("type", type).Raw("payload", payload);
  return text;
}

enum class Kind : uint8_t {
  kHeartbeat,
  kImportant,  // Kept for a peer that is not there.
  kPassing,    // Passed on to one that is.
  kLeave,
  kUnknown,
};

Kind KindOf(absl::string_view type) {
  if (type == "HEARTBEAT") return Kind::kHeartbeat;
  if (type == "OFFER" || type == "ANSWER" || type == "CANDIDATE") {
    return Kind::kImportant;
  }
  if (type == "LEAVE") return Kind::kLeave;
  return type == "EXPIRE" ? Kind::kPassing : Kind::kUnknown;
}

}  // namespace

PeerJsServer::PeerJsServer(PeerJsOptions options, Random& random)
    : options_(std::move(options)), random_(random), kept_(options_) {}

// Ids are shown to other peers: text without control characters.
bool PeerJsServer::IsId(absl::string_view id) const {
  return id.size() <= options_.max_id_bytes && internal::IsUtf8(id) &&
         std::none_of(id.begin(), id.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

PeerJsServer::Verdict PeerJsServer::Judge(
    const PeerJsIdentity& identity) const {
  if (identity.id.empty() || identity.token.empty() || identity.key.empty()) {
    return {"ERROR", "No id, token, or key supplied to websocket server"};
  }
  if (!internal::IsSameSecret(identity.key, options_.key)) {
    return {"INVALID-KEY", "Invalid key provided"};
  }
  if (!identity.refusal.empty()) return {"ERROR", identity.refusal};
  if (!IsId(identity.id) || identity.token.size() > options_.max_token_bytes) {
    return {"ERROR", "Invalid id or token"};
  }
  return {};
}

absl::Status PeerJsServer::Connect(absl::Time now, ConnectionId connection,
                                   const IpAddress& address,
                                   const PeerJsIdentity& identity) {
  if (out_.bytes() >= options_.max_queued_bytes) {
    ++stats_.overloaded;
    return absl::ResourceExhaustedError("too much is waiting");
  }
  if (ids_.contains(connection)) {
    return absl::AlreadyExistsError("connection id in use");
  }
  if (const Verdict verdict = Judge(identity); !verdict.type.empty()) {
    ++stats_.refused_identity;
    TurnAway(connection, verdict, kClosePolicyViolation);
    return absl::OkStatus();
  }
  const internal::Source source = internal::SourceOf(address);
  bool fits = true;
  bool is_new = false;
  auto it = peers_.find(identity.id);
  if (it == peers_.end()) {
    is_new = fits =
        peers_.size() < options_.max_peers &&
        peers_per_source_.Take(source, options_.max_peers_per_source);
    if (fits) {
      it = peers_
               .emplace(
                   identity.id,
                   Peer{next_number_++, connection, identity.token, source,
                        internal::TokenBucket(options_.message_rate, now), 0})
               .first;
    }
  } else if (!internal::IsSameSecret(it->second.token, identity.token)) {
    ++stats_.refused_taken;
    TurnAway(connection, kIdTaken, kClosePolicyViolation);
    return absl::OkStatus();
  } else {
    fits = TakeOver(it->second, connection, source);
  }
  if (!fits) {
    ++stats_.refused_full;
    TurnAway(connection,
             {"ERROR", "Server has reached its concurrent user limit"},
             kCloseTryAgainLater);
    return absl::OkStatus();
  }
  ids_[connection] = identity.id;
  if (is_new && nodes_ != nullptr) {
    it->second.said = std::make_unique<Said>();
    nodes_->Claim(now, identity.id, identity.token);
    Settle(now);
  } else if (it->second.is_open()) {
    Open(connection, identity.id);
  }
  return absl::OkStatus();
}

bool PeerJsServer::TakeOver(Peer& peer, ConnectionId connection,
                            const internal::Source& source) {
  if (source != peer.source) {
    if (!peers_per_source_.Take(source, options_.max_peers_per_source)) {
      return false;
    }
    peers_per_source_.Return(peer.source);
    peer.source = source;
  }
  ++stats_.taken_over;
  ids_.erase(peer.connection);
  events_.push_back(CloseConnection{peer.connection, kCloseNormal,
                                    "its peer has connected anew"});
  peer.connection = connection;
  return true;
}

void PeerJsServer::Open(ConnectionId connection, const std::string& id) {
  ++stats_.opened;
  Send(connection, R"({"type":"OPEN"})");
  for (KeptMessage& message : kept_.Take(id)) {
    ++stats_.kept_passed_on;
    Send(connection, std::move(message.text));
  }
}

void PeerJsServer::TurnAway(ConnectionId connection, const Verdict& why,
                            uint16_t code) {
  Send(connection, Refusal(why.type, why.reason));
  events_.push_back(CloseConnection{connection, code, std::string(why.reason)});
}

void PeerJsServer::Disconnect(ConnectionId connection) {
  const auto it = ids_.find(connection);
  if (it == ids_.end()) return;
  if (nodes_ != nullptr) nodes_->Free(it->second);
  Forget(connection);
}

void PeerJsServer::Forget(ConnectionId connection) {
  const auto it = ids_.find(connection);
  const auto peer = peers_.find(it->second);
  if (!peer->second.is_open()) said_bytes_ -= peer->second.said->bytes;
  peers_per_source_.Return(peer->second.source);
  peers_.erase(peer);
  ids_.erase(it);
}

void PeerJsServer::HandlePacket(absl::Time now, Packet in) {
  const auto it = ids_.find(in.connection);
  if (it == ids_.end()) {
    ++stats_.unknown_connection;
    return;
  }
  ++stats_.messages_received;
  if (out_.bytes() >= options_.max_queued_bytes) {
    ++stats_.overloaded;
    return Close(in.connection, kCloseTryAgainLater, "too much is waiting");
  }
  const std::string id = it->second;
  Peer& peer = peers_.find(id)->second;
  if (peer.messages.Take(now) > absl::ZeroDuration()) {
    constexpr char kTooMany[] = "Too many messages in a short time";
    ++stats_.rate_limited;
    if (++peer.dropped >= options_.max_dropped_messages) {
      return Close(in.connection, kClosePolicyViolation, kTooMany);
    }
    return Send(in.connection, Refusal("ERROR", kTooMany));
  }
  if (!peer.is_open()) return Wait(in.connection, peer, std::move(in.text));
  Handle(now, id, peer, in.text);
}

void PeerJsServer::Wait(ConnectionId connection, Peer& peer, std::string text) {
  const size_t bytes = text.size() + KeptMessages::kMessageBytes;
  if (peer.said->bytes + bytes > options_.max_waiting_bytes ||
      said_bytes_ + bytes > options_.max_kept_bytes) {
    ++stats_.overloaded;
    return Close(connection, kCloseTryAgainLater, "too much is waiting");
  }
  peer.said->bytes += bytes;
  said_bytes_ += bytes;
  peer.said->texts.push_back(std::move(text));
}

void PeerJsServer::Handle(absl::Time now, const std::string& id, Peer& peer,
                          absl::string_view text) {
  const ConnectionId connection = peer.connection;
  const absl::string_view wrong = Judge(now, id, peer, text);
  if (wrong.empty()) return;
  ++stats_.messages_refused;
  Send(connection, Refusal("ERROR", wrong));
}

absl::string_view PeerJsServer::Judge(absl::Time now, const std::string& id,
                                      Peer& peer, absl::string_view text) {
  if (text.size() > options_.max_message_bytes) return "Message too long";
  const absl::StatusOr<JsonObject> message =
      JsonObject::Parse(text, internal::kDialectJson);
  if (!message.ok()) return "Message is not an object of JSON";
  const auto text_of = [&](absl::string_view name) {
    const std::optional<JsonValue> value = message->Find(name);
    return value ? internal::JsonText(*value).value_or("") : "";
  };
  const std::string type = text_of("type");
  const std::string to = text_of("dst");
  const Kind kind = KindOf(type);
  if (kind == Kind::kHeartbeat) return "";
  if (kind == Kind::kLeave && to.empty()) {
    // The reference server forgets the id and lets its connection go on.
    Close(peer.connection, kCloseNormal, "it has left");
    return "";
  }
  if (kind == Kind::kUnknown || to.empty() ||
      to.size() > options_.max_id_bytes) {
    ++stats_.messages_unknown;
    return "";
  }
  const std::optional<JsonValue> payload = message->Find("payload");
  peerjs::Passed passed{id, to, peer.number, kind == Kind::kImportant, {}};
  {
    ObjectWriter w(passed.text);
    w.Text("type", type).Text("src", id).Text("dst", to);
    if (payload) w.Raw("payload", payload->raw);
  }
  PassOn(now, peer.source, std::move(passed));
  return "";
}

void PeerJsServer::PassOn(absl::Time now, const internal::Source& source,
                          peerjs::Passed message) {
  const auto it = peers_.find(message.to);
  if (it != peers_.end() && it->second.is_open()) {
    ++stats_.passed_on;
    return Send(it->second.connection, std::move(message.text));
  }
  if (nodes_ != nullptr) {
    if (const std::optional<NodeId> home = nodes_->HomeOf(message.to)) {
      ++stats_.passed_elsewhere;
      return nodes_->Tell(*home, std::move(message));
    }
  }
  if (!message.is_important) {
    ++stats_.messages_unknown;
    return;
  }
  const std::string to = message.to, from = message.from;
  const uint64_t number = message.number;
  if (kept_.Keep(now, to, {from, number, source, std::move(message.text)})) {
    ++stats_.kept;
    return;
  }
  ++stats_.expired;
  Expire(from, number, to);
}

void PeerJsServer::Expire(const std::string& to, uint64_t number,
                          const std::string& absent) {
  const auto it = peers_.find(to);
  if (it == peers_.end() || it->second.number != number) return;
  std::string text;
  ObjectWriter(text).Text("type", "EXPIRE").Text("src", absent).Text("dst", to);
  Send(it->second.connection, std::move(text));
}

void PeerJsServer::HandleTimeout(absl::Time now) {
  if (nodes_ != nullptr) {
    nodes_->HandleTimeout(now);
    Settle(now);
  }
  while (const std::optional<std::string> absent = kept_.PopDue(now)) {
    // Each sender is told once.
    absl::flat_hash_set<uint64_t> told;
    for (const KeptMessage& message : kept_.Take(*absent)) {
      ++stats_.expired;
      if (told.insert(message.number).second) {
        Expire(message.from, message.number, *absent);
      }
    }
  }
}

absl::Time PeerJsServer::NextTimeout() const {
  return std::min(kept_.NextTimeout(), nodes_ == nullptr
                                           ? absl::InfiniteFuture()
                                           : nodes_->NextTimeout());
}

void PeerJsServer::Close(ConnectionId connection, uint16_t code,
                         absl::string_view reason) {
  events_.push_back(CloseConnection{connection, code, std::string(reason)});
  Disconnect(connection);
}

void PeerJsServer::Send(ConnectionId connection, std::string text) {
  out_.Push(connection, absl::Cord(std::move(text)));
}

std::optional<PeerJsServer::Packet> PeerJsServer::PollTransmit(
    absl::Time /*now*/, absl::Span<uint8_t> /*out*/) {
  return out_.Pop();
}

std::optional<PeerJsServer::Event> PeerJsServer::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::string PeerJsServer::NewId() {
  while (true) {
    std::array<uint8_t, 16> bytes{};
    random_.Fill(absl::MakeSpan(bytes));
    bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);
    bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
    const std::string hex = absl::BytesToHexString(AsText(bytes));
    std::string id = absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-",
                                  hex.substr(12, 4), "-", hex.substr(16, 4),
                                  "-", hex.substr(20));
    if (!peers_.contains(id) &&
        (nodes_ == nullptr || !nodes_->HomeOf(id).has_value())) {
      return id;
    }
  }
}

std::string PeerJsServer::ListPeers() const {
  std::vector<std::string> ids;
  if (nodes_ != nullptr) ids = nodes_->RemoteIds();
  for (const auto& [id, peer] : peers_) {
    if (peer.is_open()) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::string list = "[";
  for (const std::string& id : ids) {
    if (list.size() > 1) list.push_back(',');
    internal::AppendJsonText(id, list);
  }
  return list.append("]");
}

std::string PeerJsServer::DebugString() const {
  return absl::StrCat("PeerJS: ", peer_count(), " peers, ", queued_bytes(),
                      " bytes queued, ", kept_bytes(), " kept, next timeout ",
                      absl::FormatTime(NextTimeout()), "; ",
                      CountersToString(stats_));
}

}  // namespace kyuu::signaling
