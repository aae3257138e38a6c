#include "relay/node.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <variant>

#include "base/status_macros.h"
#include "dtls/record.h"
#include "relay/internal/node_parts.h"

namespace kyuu::relay {
namespace {

// Answers sent by one system call.
constexpr size_t kAnswers = 16;
constexpr size_t kAnswerBytes = 2048;
turn::ServerOptions WithUtc(turn::ServerOptions options) {
  options.utc_offset = internal::UtcOffset();
  return options;
}

}  // namespace

Node::Node(net::Loop& loop, std::vector<net::UdpSocket> listeners,
           turn::ServerOptions options, turn::Ledger& ledger,
           ReservedSockets& reserved, Handlers handlers,
           const StreamSettings& streams, const DtlsClientsOptions& dtls)
    : loop_(loop),
      instance_(options.instance),
      server_(random_, WithUtc(std::move(options)), ledger),
      reserved_(reserved),
      reserved_alarm_(loop, [this] { reserved_.Expire(net::Loop::Now()); }),
      handlers_(std::move(handlers)),
      dtls_options_(dtls),
      stream_options_(streams.client),
      shed_alarm_(loop, [this] { ShedMemory(); }),
      stream_memory_(streams.bytes_max,
                     [this] { shed_alarm_.Set(absl::InfinitePast()); }),
      peers_(loop, server_.connections(), stream_buffer_, &stream_memory_,
             streams.joined, [this] { Service(); }),
      answers_(kAnswers * kAnswerBytes),
      alarm_(loop,
             [this] {
               const absl::Time now = net::Loop::Now();
               server_.HandleTimeout(now);
               if (dtls_ != nullptr) dtls_->clients.HandleTimeout(now);
               Service();
             }),
      flows_alarm_(loop, [this] {
        flows_->Tick(net::Loop::Now());
        flows_alarm_.Set(flows_->NextTick());
      }) {
  for (net::UdpSocket& socket : listeners) Listen(std::move(socket));
  Service();
}

Node::~Node() = default;

void Node::SetFlowPath(FlowPath& path) {
  flows_.emplace(server_.flows(), path);
  for (const auto& [id, relay] : relays_) relay->socket.SetUp();
  ServeFlows();
}

void Node::ServeFlows() {
  if (!flows_.has_value()) return;
  flows_->Serve(net::Loop::Now());
  const absl::Time next = flows_->NextTick();
  if (next != flows_alarm_.deadline()) flows_alarm_.Set(next);
}

absl::Status Node::Grant(absl::string_view username,
                         absl::string_view password) {
  return server_.Grant(net::Loop::Now(), username, password);
}

void Node::Authorize(const turn::Authorization& answer) {
  server_.Authorize(net::Loop::Now(), answer);
  Service();
}

void Node::Revoke(absl::string_view username) {
  server_.Revoke(net::Loop::Now(), username);
  Service();
}

void Node::EndAllocations(absl::string_view username) {
  server_.EndAllocations(username);
  Service();
}

void Node::Deliver(Handover handover) {
  const absl::Time now = net::Loop::Now();
  stats_.taken_over += handover.datagrams;
  server_.SetUtcOffset(internal::UtcOffset());
  for (Handover::Item& item : handover.items) {
    const auto bytes =
        absl::MakeConstSpan(handover.bytes).subspan(item.begin, item.size);
    if (item.client && item.client->transport == Transport::kDtls) {
      DeliverSealed(now, item, handover.from, bytes);
      SendAnswers();
      continue;
    }
    Execute(
        item.client.has_value()
            ? server_.FromClient(now, *item.client, bytes, item.segment_size,
                                 {.reach = item.reach, .from = handover.from})
            : server_.FromPeer(now, item.relay, item.source, bytes,
                               item.segment_size),
        item.marks);
    // As in Read(): before the data that depends on them.
    if (item.client.has_value()) SendAnswers();
  }
  Flush();
  if (dtls_ != nullptr) dtls_->used = 0;
  Service();
}

SessionPage Node::ListSessions(size_t place, const SessionFilter& filter) {
  SessionPage page;
  const std::optional<size_t> next =
      server_.ListSessions(net::Loop::Now(), place, SessionPage::kPlaces,
                           [&](const turn::SessionInfo& info) {
                             if (!filter.Matches(info))
                               return turn::SessionVerdict::kKeep;
                             page.sessions.push_back(info);
                             return filter.verdict;
                           });
  if (next.has_value()) page.next = SessionCursor{0, *next};
  if (filter.verdict == turn::SessionVerdict::kEnd) Service();
  return page;
}

void Node::SetAddresses(std::vector<turn::ServerOptions::RelayAddress> relay,
                        std::vector<TransportAddress> listeners,
                        std::vector<IpAddress> own) {
  server_.SetAddresses(std::move(relay), std::move(listeners), std::move(own));
  Service();
}

void Node::SetOptions(turn::ServerOptions options) {
  server_.SetOptions(net::Loop::Now(), std::move(options));
  Service();
}

Stats Node::stats() const {
  Stats stats;
  stats.server = server_.stats();
  stats.node = stats_;
  if (flows_.has_value()) stats.flows = flows_->stats();
  stats.turns = loop_.turn_times();
  stats.node.trains_dropped = outbox_.dropped_trains();
  stats.listeners = given_listeners_;
  for (const auto& listener : listeners_) {
    AddCounters(stats.listeners, listener->Counted());
  }
  if (dtls_ != nullptr) stats.dtls = dtls_->clients.stats();
  stats.relays = closed_relays_;
  for (const auto& [id, relay] : relays_) {
    AddCounters(stats.relays, relay->socket.stats());
  }
  return stats;
}

void Node::Close() {
  if (dtls_ != nullptr) dtls_->clients.Close(net::Loop::Now());
  server_.Close();
  Service();
  guests_.clear();
}

bool Node::Read(net::UdpSocket& socket, int receives,
                absl::FunctionRef<absl::Span<const turn::Forward>(
                    absl::Time now, const net::Train& train)>
                    judge) {
  // The wall clock may have been set, or the machine slept: it is read anew.
  server_.SetUtcOffset(internal::UtcOffset());
  bool empty = false;
  for (int i = 0; i < receives && !empty; ++i) {
    const absl::Span<const net::Train> trains = socket.Receive(buffer_);
    const absl::Time now = net::Loop::Now();
    for (const net::Train& train : trains) {
      Execute(judge(now, train), train.marks);
    }
    if (dtls_ != nullptr) ServeDtls();
    // What data depends on leaves before it: a client must hear that its
    // channel is bound before something comes by that channel.
    SendAnswers();
    Flush();
    if (dtls_ != nullptr) dtls_->used = 0;
    empty = trains.size() < net::ReceiveBuffer::kTrains;
  }
  Service();  // May close the socket.
  return empty;
}

void Node::ReadRelay(Relay& relay) {
  Read(relay.socket, internal::kReceivesPerTurn,
       [this, &relay](absl::Time now, const net::Train& train) {
         return server_.FromPeer(now, relay.id, train.path.remote, train.bytes,
                                 train.segment_size);
       });
}

void Node::ReadErrors(Relay& relay) {
  std::array<net::SendError, 16> errors;
  const size_t count = relay.socket.TakeErrors(absl::MakeSpan(errors));
  for (size_t i = 0; i < count; ++i) {
    server_.HandleIcmp(net::Loop::Now(), relay.id, errors[i].remote,
                       {errors[i].type, errors[i].code, errors[i].mtu});
  }
}

void Node::Execute(absl::Span<const turn::Forward> forwards,
                   const net::IpMarks& marks) {
  for (const turn::Forward& forward : forwards) {
    if (forward.exit == turn::Forward::Exit::kClient &&
        IsStream(forward.path.transport)) {
      SendToGuest(forward);
    } else if (forward.exit == turn::Forward::Exit::kClient &&
               forward.path.transport == Transport::kDtls) {
      SendSealed(forward);
    } else if (forward.exit == turn::Forward::Exit::kClient) {
      if (net::UdpSocket* socket = listener_table_.Find(forward.path.local)) {
        outbox_.Add(*socket, forward, marks);
      } else {
        stats_.no_socket += forward.segments;
      }
    } else if (forward.exit == turn::Forward::Exit::kRelay ||
               forward.exit == turn::Forward::Exit::kServer) {
      Collect(forward, marks);
    } else if (const auto it = relays_.find(forward.relay);
               it != relays_.end()) {
      outbox_.Add(it->second->socket, forward, marks);
    } else {
      stats_.no_socket += forward.segments;
    }
  }
}

void Node::Collect(const turn::Forward& forward, const net::IpMarks& marks) {
  const auto instance = static_cast<size_t>(forward.instance);
  if (handovers_.size() <= instance) handovers_.resize(instance + 1);
  Handover& handover = handovers_[instance];
  const size_t begin = handover.bytes.size();
  for (size_t i = 0; i < forward.segments; ++i) {
    const absl::Span<const uint8_t> payload = forward.payload(i);
    handover.bytes.insert(handover.bytes.end(), payload.begin(), payload.end());
  }
  handover.datagrams += forward.segments;
  std::optional<Path> client;
  if (forward.exit == turn::Forward::Exit::kServer) client = forward.path;
  handover.items.push_back({forward.relay, forward.path.local, client,
                            forward.reach, forward.visit, nullptr, begin,
                            handover.bytes.size() - begin,
                            forward.payload_bytes, marks});
}

void Node::Flush() {
  outbox_.Flush();
  FlushGuests();
  for (size_t i = 0; i < handovers_.size(); ++i) {
    if (handovers_[i].items.empty()) continue;
    const size_t datagrams = handovers_[i].datagrams;
    handovers_[i].from = instance_;
    const bool taken = handlers_.hand_over(static_cast<int>(i),
                                           std::exchange(handovers_[i], {}));
    (taken ? stats_.handed_over : stats_.handover_drops) += datagrams;
  }
}

void Node::Service() {
  if (dtls_ != nullptr) ServeDtls();
  while (true) {
    SendAnswers();
    std::optional<turn::Server::Event> event = server_.PollEvent();
    if (!event) break;
    do {
      std::visit([this](const auto& e) { On(e); }, *event);
      event = server_.PollEvent();
    } while (event);
  }
  FlushGuests();
  alarm_.Set(dtls_ == nullptr ? server_.NextTimeout()
                              : std::min(server_.NextTimeout(),
                                         dtls_->clients.NextTimeout()));
}

// Answers that the socket does not take are dropped: clients ask again.
void Node::SendAnswers() {
  // A client that hears of its channel may use it at once.
  ServeFlows();
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
      if (IsStream(answer->path.transport)) {
        Guest* guest = FindGuest(answer->path);
        if (guest == nullptr) continue;
        guest->client.SendAnswer(answer->bytes);
        FlushLater(*guest);
        continue;
      }
      net::UdpSocket* through = listener_table_.Find(answer->path.local);
      if (through == nullptr) continue;
      if (answer->path.transport == Transport::kDtls) {
        std::array<uint8_t, kAnswerBytes + dtls::kRecordOverheadMax> record;
        if (const auto sealed =
                dtls_->clients.Seal(internal::OverUdp(answer->path), {},
                                    answer->bytes, 0, absl::MakeSpan(record))) {
          through->SendOne(internal::OverUdp(answer->path), *sealed);
        }
        continue;
      }
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

absl::StatusOr<net::UdpSocket> Node::OpenSocket(const TransportAddress& bind) {
  if (auto reserved = reserved_.Take(bind)) return *std::move(reserved);
  net::UdpOptions options;
  options.bind = bind;
  options.errors = net::UdpOptions::Errors::kKeep;
  // What a flow path relays never comes by here, and the errors about it do.
  options.setup = flows_.has_value() ? net::UdpOptions::Setup::kAtOnce
                                     : net::UdpOptions::Setup::kAtFirstUse;
  return net::UdpSocket::Open(options);
}

absl::Status Node::OpenUdp(const turn::Server::OpenRelay& open) {
  KYUU_ASSIGN_OR_RETURN(net::UdpSocket socket, OpenSocket(open.bind));
  std::optional<net::UdpSocket> next;
  if (open.next_reserved_until.has_value()) {
    KYUU_ASSIGN_OR_RETURN(
        next,
        OpenSocket({open.bind.ip, static_cast<uint16_t>(open.bind.port + 1)}));
  }
  auto relay = std::make_unique<Relay>(open.relay, std::move(socket));
  relay->watch.emplace(loop_, relay->socket.fd(), net::Interest::kRead,
                       [this, r = relay.get()](net::Readiness ready) {
                         // It waits for reading only: writable is what errors
                         // show as.
                         if (ready.writable) ReadErrors(*r);
                         ReadRelay(*r);
                       });
  // The host has no room to watch it: a relay that hears nothing is none.
  KYUU_RETURN_IF_ERROR(relay->watch->status());
  if (next.has_value()) {
    reserved_.Put(net::Loop::Now(), *std::move(next),
                  *open.next_reserved_until);
    reserved_alarm_.Set(*open.next_reserved_until);
  }
  relay->by = reading_;
  if (reading_ != nullptr) ++reading_->relays;
  relays_[open.relay] = std::move(relay);
  CountClients();
  return absl::OkStatus();
}

void Node::On(const turn::Server::OpenRelay& open) {
  const absl::Status opened = open.transport == Transport::kTcp
                                  ? peers_.Open(open.relay, open.bind)
                                  : OpenUdp(open);
  const absl::Time now = net::Loop::Now();
  if (opened.ok()) return server_.RelayOpened(now, open.relay);
  ++stats_.open_failures;
  handlers_.on_event(OpenFailed{open.bind, std::string(opened.message())});
  server_.RelayFailed(now, open.relay);
}

void Node::On(const turn::Server::CloseRelay& close) {
  peers_.Close(close.relay);
  const auto it = relays_.find(close.relay);
  if (it == relays_.end()) return;
  AddCounters(closed_relays_, it->second->socket.stats());
  it->second->watch->Forsake();
  if (it->second->by != nullptr) --it->second->by->relays;
  relays_.erase(it);
  CountClients();
}

void Node::On(const turn::Server::ConnectPeer& connect) {
  peers_.Connect(connect.connection, connect.bind, connect.peer);
}

void Node::On(const turn::Server::ClosePeer& close) {
  peers_.Close(close.connection);
}

void Node::Gained(const Path& client) {
  if (Guest* guest = FindGuest(client)) guest->client.Allocated();
  if (client.transport == Transport::kDtls) {
    dtls_->clients.Allocated(internal::OverUdp(client));
  }
}

void Node::Lost(const Path& client) {
  if (Guest* guest = FindGuest(client)) {
    guest->client.Released(net::Loop::Now());
    FlushLater(*guest);  // Its timer is set anew.
  }
  if (client.transport == Transport::kDtls) {
    dtls_->clients.Released(net::Loop::Now(), internal::OverUdp(client));
  }
}

void Node::On(const turn::Server::AllocationMade& made) {
  Gained(made.client);
  GiveListeners();
  handlers_.on_event(made);
}

void Node::On(const turn::Server::AllocationMoved& moved) {
  Lost(moved.from);
  Gained(moved.to);
}

void Node::On(const turn::Server::AllocationEnded& ended) {
  Lost(ended.client);
  if (!flows_.has_value()) return handlers_.on_event(ended);
  ServeFlows();
  turn::Server::AllocationEnded whole = ended;
  flows_->Complete(whole);
  handlers_.on_event(whole);
}

void Node::On(const turn::Server::AllocationRefused& refused) {
  handlers_.on_event(refused);
}

void Node::On(const turn::Server::AuthorizationWanted& wanted) {
  keeps_listeners_ = true;  // What is made then is of whoever asked here.
  handlers_.on_event(wanted);
}

void Node::On(const turn::Server::Closed&) {}

}  // namespace kyuu::relay
