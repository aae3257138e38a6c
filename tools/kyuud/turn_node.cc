#include "tools/kyuud/turn_node.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {
namespace {

const char* NameOf(turn::Server::EndReason reason) {
  switch (reason) {
    case turn::Server::EndReason::kReleased:
      return "released";
    case turn::Server::EndReason::kExpired:
      return "expired";
    case turn::Server::EndReason::kRevoked:
      return "credential revoked";
    case turn::Server::EndReason::kClosed:
      return "server closed";
  }
  return "?";
}

}  // namespace

TurnNode::TurnNode(net::Loop& loop, std::vector<net::UdpSocket> listeners,
                   turn::ServerOptions options, TellOwner tell_owner)
    : loop_(loop),
      server_(random_, std::move(options)),
      tell_owner_(std::move(tell_owner)),
      answers_(kAnswers * kAnswerBytes),
      alarm_(loop, [this] {
        server_.HandleTimeout(net::Loop::Now());
        Service();
      }) {
  for (net::UdpSocket& socket : listeners) {
    auto listener = std::make_unique<Listener>(Listener{std::move(socket), {}});
    listener->watch = std::make_unique<net::Watch>(
        loop_, listener->socket.fd(), net::Interest::kRead,
        [this, l = listener.get()](net::Readiness) { ReadListener(*l); });
    listeners_.push_back(std::move(listener));
  }
  Service();
}

void TurnNode::Grant(absl::string_view username, absl::string_view password) {
  const absl::Status status =
      server_.Grant(net::Loop::Now(), username, password);
  if (!status.ok()) {
    spdlog::warn("turn: a session gets no credential: {}", status.ToString());
  }
}

void TurnNode::Revoke(absl::string_view username) {
  server_.Revoke(username);
  Service();
}

void TurnNode::HandleLoan(const turn::Server::PortLoan& loan) {
  server_.HandleLoan(loan);
  Service();
}

void TurnNode::ReadListener(Listener& listener) {
  for (int i = 0; i < kReceivesPerTurn; ++i) {
    const absl::Span<const net::Train> trains =
        listener.socket.Receive(buffer_);
    const absl::Time now = net::Loop::Now();
    for (const net::Train& train : trains) {
      Execute(
          server_.FromClient(now, train.path, train.bytes, train.segment_size));
    }
    outbox_.Flush();
    if (trains.size() < net::ReceiveBuffer::kTrains) break;
  }
  Service();
}

void TurnNode::ReadRelay(Relay& relay) {
  for (int i = 0; i < kReceivesPerTurn; ++i) {
    const absl::Span<const net::Train> trains = relay.socket.Receive(buffer_);
    const absl::Time now = net::Loop::Now();
    for (const net::Train& train : trains) {
      Execute(server_.FromPeer(now, relay.id, train.path.remote, train.bytes,
                               train.segment_size));
    }
    outbox_.Flush();
    if (trains.size() < net::ReceiveBuffer::kTrains) break;
  }
  Service();  // May close this relay.
}

void TurnNode::Execute(absl::Span<const turn::Forward> forwards) {
  for (const turn::Forward& forward : forwards) {
    if (forward.exit == turn::Forward::Exit::kClient) {
      if (net::UdpSocket* socket = ListenerFor(forward.path.local)) {
        outbox_.Add(*socket, forward);
      }
    } else if (const auto it = relays_.find(forward.relay);
               it != relays_.end()) {
      outbox_.Add(it->second->socket, forward);
    }
  }
}

net::UdpSocket* TurnNode::ListenerFor(const TransportAddress& local) {
  for (const auto& listener : listeners_) {
    const TransportAddress& bound = listener->socket.local();
    if (bound == local || (bound.ip.IsAny() && bound.port == local.port &&
                           bound.ip.family() == local.ip.family())) {
      return &listener->socket;
    }
  }
  return nullptr;
}

void TurnNode::Service() {
  while (true) {
    SendAnswers();
    std::optional<turn::Server::Event> event = server_.PollEvent();
    if (!event) break;
    do {
      std::visit([this](const auto& e) { On(e); }, *event);
      event = server_.PollEvent();
    } while (event);
  }
  alarm_.Set(server_.NextTimeout());
}

// Answers that the socket does not take are dropped: clients ask again.
void TurnNode::SendAnswers() {
  std::array<iovec, kAnswers> pieces;
  std::array<net::OutTrain, kAnswers> trains;
  bool more = true;
  while (more) {
    size_t count = 0;
    net::UdpSocket* socket = nullptr;
    while (count < kAnswers) {
      const std::optional<Datagram> answer = server_.PollTransmit(
          net::Loop::Now(),
          absl::MakeSpan(answers_).subspan(count * kAnswerBytes, kAnswerBytes));
      more = answer.has_value();
      if (!more) break;
      net::UdpSocket* through = ListenerFor(answer->path.local);
      if (through == nullptr) continue;
      if (socket != nullptr && socket != through) {
        socket->Send(absl::MakeConstSpan(trains).first(count));
        through->SendOne(answer->path, answer->bytes);
        count = 0;
        continue;
      }
      socket = through;
      pieces[count] = net::Piece(answer->bytes);
      trains[count] = {answer->path, absl::MakeConstSpan(&pieces[count], 1)};
      ++count;
    }
    if (count > 0) socket->Send(absl::MakeConstSpan(trains).first(count));
  }
}

void TurnNode::On(const turn::Server::OpenRelay& open) {
  const absl::Time now = net::Loop::Now();
  net::UdpOptions options;
  options.bind = open.bind;
  absl::StatusOr<net::UdpSocket> socket = net::UdpSocket::Open(options);
  if (!socket.ok()) {
    spdlog::debug("turn: {}", socket.status().ToString());
    return server_.RelayFailed(now, open.relay);
  }
  auto relay =
      std::make_unique<Relay>(Relay{open.relay, *std::move(socket), nullptr});
  relay->watch = std::make_unique<net::Watch>(
      loop_, relay->socket.fd(), net::Interest::kRead,
      [this, r = relay.get()](net::Readiness) { ReadRelay(*r); });
  relays_[open.relay] = std::move(relay);
  server_.RelayOpened(now, open.relay);
}

void TurnNode::On(const turn::Server::CloseRelay& close) {
  relays_.erase(close.relay);
}

// Names come from clients: what is not printable is escaped.
void TurnNode::On(const turn::Server::AllocationMade& made) {
  spdlog::info("turn: {} relays from {} for {}", made.client.remote.ToString(),
               made.relayed.ToString(), absl::CHexEscape(made.username));
}

void TurnNode::On(const turn::Server::AllocationEnded& ended) {
  spdlog::info("turn: a relay of {} ended: {}",
               absl::CHexEscape(ended.username), NameOf(ended.reason));
}

void TurnNode::On(const turn::Server::PortLoan& loan) { tell_owner_(loan); }

void TurnNode::On(const turn::Server::Closed& closed) {
  spdlog::info("turn: closed: {}", closed.status.ToString());
}

}  // namespace kyuu::tools
