#include "tools/kyuud/front_door.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"
#include "tools/kyuud/front_door_guest.h"

namespace kyuu::tools {

using signaling::ConnectionId;

namespace {

// WebSocket: messages of a kind that is not spoken here.
constexpr uint16_t kCloseUnsupportedData = 1003;

absl::string_view ToText(net::StreamRefusal why) {
  switch (why) {
    case net::StreamRefusal::kTotal:
      return "all connections are taken";
    case net::StreamRefusal::kSource:
      return "its address has its share of connections "
             "(--connections-per-address)";
    case net::StreamRefusal::kHeader:
      return "its proxy does not say by the PROXY protocol whose it is "
             "(--proxy-protocol-from)";
    case net::StreamRefusal::kUnaskedHeader:
      return "it begins with the PROXY protocol, and is no proxy that is "
             "trusted (--proxy-protocol-from)";
    case net::StreamRefusal::kUnwatched:
      return "the system watches no more descriptors";
    case net::StreamRefusal::kExhausted:
      return "the process has no descriptor or memory left";
  }
  return "?";
}

// A client that means to come back closes by another code, or not at all.
signaling::Departure DepartureOf(const signaling::WebSocketClosed& closed) {
  const bool is_goodbye =
      closed.status.ok() && (closed.code == signaling::kCloseNormal ||
                             closed.code == signaling::kCloseGoingAway ||
                             closed.code == signaling::kCloseNoStatus);
  return is_goodbye ? signaling::Departure::kGoodbye
                    : signaling::Departure::kLost;
}

FrontDoorOptions WithDeflate(FrontDoorOptions options,
                             signaling::Deflate* deflate) {
  options.connection.deflate = deflate;
  return options;
}

}  // namespace

FrontDoor::FrontDoor(net::Loop& loop, Random& random,
                     std::vector<net::TcpListener> listeners,
                     const StaticPages& pages, IceProvider& ice,
                     FrontDoorOptions options)
    : loop_(loop),
      random_(random),
      pages_(pages),
      ice_(ice),
      deflate_(options.deflate.has_value()
                   ? std::make_unique<signaling::Deflate>(*options.deflate)
                   : nullptr),
      options_(WithDeflate(std::move(options), deflate_.get())),
      routes_(options_.routes),
      admission_(options_.admission),
      server_(options_.signaling, random, &admission_),
      posts_(random),
      dialects_(options_.dialects, random, admission_),
      codes_({}, random),
      memory_(options_.max_memory_bytes, [this] { RunSoon(); }),
      farewell_alarm_(loop, [this] { SayFarewells(); }),
      alarm_(loop, [this] { Run(); }),
      port_(
          loop, std::move(listeners), options_.port,
          [this](net::AcceptedStream accepted) { Admit(std::move(accepted)); },
          [this](net::StreamRefusal why, const TransportAddress& from) {
            LogRefusal(from.port == 0 ? "a connection" : from.ToString(),
                       ToText(why));
          }) {
  if (options_.backplane.has_value() &&
      options_.sockets == FrontDoorOptions::Signaling::kServed) {
    backplane_ = std::make_unique<Backplane>(
        loop, random, *options_.backplane, options_.backplane_tls, server_,
        dialects_.peerjs(), [this] { RunSoon(); },
        [this](absl::string_view text) { dialects_.HandlePublished(text); });
  }
}

FrontDoor::~FrontDoor() = default;

void FrontDoor::Admit(net::AcceptedStream accepted) {
  if (accepted.kind == net::StreamKind::kTurn) {
    if (turn_) return turn_(std::move(accepted));
    LogRefusal(accepted.stream.path().remote.ToString(),
               "STUN and TURN are not served here");
    accepted.watch->Forsake();
    return accepted.stream.Cut();
  }
  if (accepted.kind == net::StreamKind::kTls) {
    LogRefusal(accepted.stream.path().remote.ToString(),
               "it speaks TLS to a port of plain HTTP: an https:// where "
               "http:// is meant, or a proxy's work");
  }
  // TLS and whatever else is no HTTP is told so by the connection, at once: 400
  // in plain text, which clients of TLS show as a wrong version.
  const ConnectionId id{next_id_++};
  auto owned = std::make_unique<Guest>(id, std::move(accepted.permit),
                                       options_.connection, random_);
  Guest& guest = *owned;
  guest.in_clear = options_.port.tls && !accepted.stream.is_tls();
  guests_[static_cast<uint64_t>(id)] = std::move(owned);
  guest.driver.emplace(
      loop_, std::move(accepted.stream), guest.connection, buffer_,
      [this, &guest](signaling::ServerConnection::Event event) {
        std::visit([&](auto& e) { On(guest, std::move(e)); }, event);
      },
      [this, &guest](net::StreamEnd end, const absl::Status& why) {
        OnEnd(guest, end, why);
      },
      options_.driver, &memory_, std::move(accepted.watch));
}

void FrontDoor::OnEnd(Guest& guest, net::StreamEnd end,
                      const absl::Status& why) {
  if (end == net::StreamEnd::kStalled) {
    ++stats_.stalled;
    LogRefusal(guest.who(), "it does not read what it has asked for");
  } else if (!why.ok() && LogsDetails()) {
    spdlog::debug("http: {}: {}", guest.who(), why.ToString());
  }
  Depart(guest, signaling::Departure::kLost);
  guests_.erase(static_cast<uint64_t>(guest.id));
}

void FrontDoor::Depart(Guest& guest, signaling::Departure departure) {
  if (std::exchange(guest.session, Guest::Session::kNone) ==
      Guest::Session::kNone) {
    return;
  }
  if (guest.dialect == Dialect::kNone) {
    CloseEvents(guest.id, departure);
  } else {
    dialects_.Disconnect(guest.dialect, guest.id);
  }
  RunSoon();
}

FrontDoor::Guest* FrontDoor::Find(ConnectionId id) {
  const auto it = guests_.find(static_cast<uint64_t>(id));
  return it == guests_.end() ? nullptr : it->second.get();
}

void FrontDoor::RunSoon() { alarm_.Set(absl::InfinitePast()); }

void FrontDoor::Run() {
  EndLingering();
  server_.HandleTimeout(net::Loop::Now());
  dialects_.HandleTimeout(net::Loop::Now());
  do {
    PumpServers();
    // A flush has events, and those may have answers: they come into the next
    // round. Its end may be the guest's.
    for (const uint64_t id : std::exchange(dirty_, {})) {
      if (Guest* guest = Find(ConnectionId{id})) guest->driver->Flush();
    }
    if (memory_.over()) ShedMemory();
    PumpServers();
  } while (!dirty_.empty());
  // What is due at once, as the next step of telling a large room is, waits for
  // the next turn of the loop: others come first. In the past it would run once
  // for each alarm of the loop, and those are thousands.
  alarm_.Set(std::max(net::Loop::Now(),
                      std::min({server_.NextTimeout(), dialects_.NextTimeout(),
                                posts_.NextTimeout()})));
}

void FrontDoor::PumpServers() {
  while (true) {
    if (backplane_ != nullptr) {
      while (auto text = dialects_.PollPublished()) {
        server_.Publish(*std::move(text));
      }
      backplane_->Pump();
    }
    while (auto envelope = server_.PollTransmit(net::Loop::Now(), {})) {
      Deliver(*std::move(envelope));
    }
    while (auto envelope = dialects_.PollTransmit(net::Loop::Now())) {
      Deliver(*std::move(envelope));
    }
    if (const auto event = server_.PollEvent()) {
      std::visit([this](const auto& e) { On(e); }, *event);
    } else if (const auto close = dialects_.PollEvent()) {
      On(*close);
    } else {
      return;
    }
  }
}

void FrontDoor::Deliver(signaling::Envelope envelope) {
  Guest* guest = Find(envelope.connection);
  if (guest == nullptr) return;
  // A reader too slow for its queue is cut by its WebSocket or stream, which
  // says so by an event.
  const absl::Status sent =
      guest->connection.SendUtf8(net::Loop::Now(), std::move(envelope.text));
  if (!sent.ok() && LogsDetails()) {
    spdlog::debug("signaling: {}", sent.ToString());
  }
  if (dirty_.empty() || dirty_.back() != static_cast<uint64_t>(guest->id)) {
    dirty_.push_back(static_cast<uint64_t>(guest->id));
  }
}

// Down to seven eighths, so that the next message does not begin it anew.
void FrontDoor::ShedMemory() {
  std::vector<std::pair<size_t, uint64_t>> holders;
  holders.reserve(guests_.size());
  for (const auto& [id, guest] : guests_) {
    holders.emplace_back(guest->driver->held_bytes(), id);
  }
  for (const auto& [size, id] :
       net::LargestHolders(std::move(holders), memory_.used_bytes(),
                           memory_.limit_bytes() / 8 * 7)) {
    Guest* guest = Find(ConnectionId{id});
    if (guest == nullptr) continue;
    ++stats_.memory_cuts;
    LogRefusal(guest->who(),
               absl::StrCat("all clients together make us hold too much, and "
                            "it most: ",
                            size, " bytes"));
    guest->driver->Cut();
  }
}

void FrontDoor::LogRefusal(absl::string_view who, absl::string_view why) {
  const std::optional<uint64_t> held_back = refusals_.Pass(net::Loop::Now());
  if (!held_back) return;
  if (*held_back > 0) {
    spdlog::info("http: {} more were refused meanwhile", *held_back);
  }
  spdlog::info("http: {} is refused: {}", std::string(who), std::string(why));
}

IpAddress FrontDoor::ShareOf(const Guest& guest) const {
  if (guest.told.has_value()) return *guest.told;
  const IpAddress& remote = guest.driver->path().remote.ip;
  // A proxy stands for many: no share. On loopback there is most likely one.
  const auto& proxies = options_.port.shared_sources;
  const bool is_proxy =
      remote.IsLoopback() ||
      std::any_of(proxies.begin(), proxies.end(),
                  [&](const IpPrefix& p) { return p.Contains(remote); });
  return is_proxy ? IpAddress() : remote;
}

void FrontDoor::On(Guest& guest, signaling::WebSocketMessage message) {
  const absl::Time now = net::Loop::Now();
  if (guest.dialect != Dialect::kNone) {
    dialects_.HandlePacket(now, guest.dialect,
                           {guest.id, std::move(message.data)});
    message_times_.Observe(absl::ToDoubleSeconds(net::Loop::Now() - now));
    return RunSoon();
  }
  if (message.kind != signaling::MessageKind::kText) {
    // Fails only before the upgrade.
    (void)guest.connection.Close(now, kCloseUnsupportedData,
                                 "messages are JSON text");
    return;
  }
  TellUtc();
  server_.HandlePacket(now, {guest.id, std::move(message.data)});
  message_times_.Observe(absl::ToDoubleSeconds(net::Loop::Now() - now));
  RunSoon();
}

void FrontDoor::On(Guest& guest, signaling::WebSocketClosed closed) {
  if (closed.status.code() == absl::StatusCode::kResourceExhausted) {
    LogRefusal(guest.who(), closed.status.message());
  } else if (LogsDetails()) {
    spdlog::debug("signaling: {} closed: {} {}", guest.who(), closed.code,
                  closed.status.ToString());
  }
  Depart(guest, DepartureOf(closed));
}

void FrontDoor::On(Guest& guest, signaling::HttpClosed closed) {
  if (closed.status.ok()) return;
  if (closed.status.code() == absl::StatusCode::kInvalidArgument) {
    ++stats_.malformed;
    return LogRefusal(guest.who(), closed.status.message());
  }
  if (LogsDetails()) {
    spdlog::debug("http: {}: {}", guest.who(), closed.status.ToString());
  }
}

void FrontDoor::On(const signaling::SessionOpened& opened) {
  AskForServers(opened.connection, opened.session);
}

void FrontDoor::On(const signaling::CredentialsWanted& wanted) {
  AskForServers(wanted.connection, wanted.session);
}

void FrontDoor::AskForServers(ConnectionId id, const std::string& session) {
  const Guest* guest = Find(id);
  ice_.Open(session, guest == nullptr ? "" : guest->name,
            [this, session, alive = std::weak_ptr<bool>(alive_)](
                IceProvider::Servers servers) {
              if (alive.expired()) return;
              // The session may be over: then there is nobody to tell.
              (void)server_.SetIceServers(net::Loop::Now(), session,
                                          std::move(servers));
              RunSoon();
            });
}

void FrontDoor::On(const signaling::SessionExpired& expired) {
  // What is relayed goes on for the grace of what was taken back.
  ice_.Close(expired.session);
}

void FrontDoor::On(const signaling::SessionClosed& closed) {
  ice_.Close(closed.session);
}

void FrontDoor::On(const signaling::CloseConnection& close) {
  // The server has forgotten it already.
  posts_.Close(close.connection);
  Guest* guest = Find(close.connection);
  if (guest == nullptr) return;
  guest->session = Guest::Session::kNone;
  // Who has left, or has connected anew, was not turned away.
  if (close.code != signaling::kCloseNormal) {
    LogRefusal(guest->who(), close.reason);
  }
  // Fails only before the upgrade.
  (void)guest->connection.Close(net::Loop::Now(), close.code, close.reason);
  dirty_.push_back(static_cast<uint64_t>(guest->id));
}

void FrontDoor::Tell(Metrics& metrics) const {
  metrics.port = port_.stats();
  metrics.door = stats_;
  metrics.signaling = server_.stats();
  metrics.admission = admission_.stats();
  metrics.codes = codes_.stats();
  if (deflate_ != nullptr) metrics.deflate = deflate_->stats();
  metrics.handshakes = port_.handshake_times();
  metrics.messages = message_times_;
  metrics.call_round_trips = server_.round_trips();
  metrics.now = {.connections = port_.open_streams(),
                 .held_bytes = memory_.used_bytes(),
                 .sessions = server_.connection_count(),
                 .waiting_sessions = server_.waiting_session_count(),
                 .peers = server_.peer_count(),
                 .remote_peers = server_.remote_peer_count(),
                 .rooms = server_.room_count(),
                 .calls = server_.call_count()};
  dialects_.Tell(metrics);
  if (backplane_ == nullptr) return;
  metrics.federation = server_.federation_stats();
  metrics.links = backplane_->link_stats();
  metrics.backplane = backplane_->stats();
  metrics.now.backplane_up = backplane_->state() == Backplane::State::kThere;
  metrics.now.backplane_nodes = backplane_->node_count();
}

std::string FrontDoor::Status() const {
  return absl::StrCat(
      port_.open_streams(), " connections, ", server_.connection_count(),
      " sessions, ", server_.peer_count(), " peers in ", server_.room_count(),
      " rooms, ", server_.call_count(), " calls, ", dialects_.Status(), "; ",
      memory_.used_bytes(), " bytes held; http: ", CountersToString(stats_),
      "; port: ", CountersToString(port_.stats()));
}

}  // namespace kyuu::tools
