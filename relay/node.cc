#include "relay/node.h"

#include <sys/uio.h>

#include <array>
#include <optional>
#include <utility>
#include <variant>

#include "absl/time/clock.h"
#include "net/stream_driver.h"

namespace kyuu::relay {
namespace {

// Answers sent by one system call.
constexpr size_t kAnswers = 16;
constexpr size_t kAnswerBytes = 2048;
// Receive calls per socket and wake-up, so that one flow cannot keep the others
// waiting.
constexpr int kReceivesPerTurn = 4;

// What to add to the loop's clock to get UTC.
absl::Duration UtcOffset() {
  return (absl::Now() - absl::UnixEpoch()) -
         (net::Loop::Now() - absl::UnixEpoch());
}

turn::ServerOptions WithUtc(turn::ServerOptions options) {
  options.utc_offset = UtcOffset();
  return options;
}

}  // namespace

struct Node::Guest {
  Guest(std::shared_ptr<void> p, const StreamClientOptions& options)
      : place(std::move(p)), client(options, net::Loop::Now()) {}

  const std::shared_ptr<void> place;
  StreamClient client;
  std::optional<net::StreamDriver<StreamClient>> driver;
  bool dirty = false;  // Its path is in dirty_guests_.
};

Node::Node(net::Loop& loop, std::vector<net::UdpSocket> listeners,
           turn::ServerOptions options, turn::Ledger& ledger, Handlers handlers,
           const StreamSettings& streams)
    : loop_(loop),
      server_(random_, WithUtc(std::move(options)), ledger),
      handlers_(std::move(handlers)),
      stream_options_(streams.client),
      shed_alarm_(loop, [this] { ShedMemory(); }),
      stream_memory_(streams.bytes_max,
                     [this] { shed_alarm_.Set(absl::InfinitePast()); }),
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
    listener_table_.Add(listener->socket);
    listeners_.push_back(std::move(listener));
  }
  Service();
}

Node::~Node() = default;

absl::Status Node::Grant(absl::string_view username,
                         absl::string_view password) {
  return server_.Grant(net::Loop::Now(), username, password);
}

void Node::Revoke(absl::string_view username) {
  server_.Revoke(net::Loop::Now(), username);
  Service();
}

void Node::EndAllocations(absl::string_view username) {
  server_.EndAllocations(username);
  Service();
}

void Node::Deliver(const Handover& handover) {
  const absl::Time now = net::Loop::Now();
  stats_.taken_over += handover.datagrams;
  for (const Handover::Item& item : handover.items) {
    const auto bytes =
        absl::MakeConstSpan(handover.bytes).subspan(item.begin, item.size);
    Execute(server_.FromPeer(now, item.relay, item.source, bytes,
                             item.segment_size));
  }
  Flush();
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
  stats.node.trains_dropped = outbox_.dropped_trains();
  for (const auto& listener : listeners_) {
    AddCounters(stats.listeners, listener->socket.stats());
  }
  stats.relays = closed_relays_;
  for (const auto& [id, relay] : relays_) {
    AddCounters(stats.relays, relay->socket.stats());
  }
  return stats;
}

void Node::Close() {
  server_.Close();
  Service();
  guests_.clear();
}

void Node::Read(net::UdpSocket& socket,
                absl::FunctionRef<absl::Span<const turn::Forward>(
                    absl::Time now, const net::Train& train)>
                    judge) {
  // The wall clock may have been set, or the machine slept: it is read anew.
  server_.SetUtcOffset(UtcOffset());
  for (int i = 0; i < kReceivesPerTurn; ++i) {
    const absl::Span<const net::Train> trains = socket.Receive(buffer_);
    const absl::Time now = net::Loop::Now();
    for (const net::Train& train : trains) Execute(judge(now, train));
    // What data depends on leaves before it: a client must hear that its
    // channel is bound before something comes by that channel.
    SendAnswers();
    Flush();
    if (trains.size() < net::ReceiveBuffer::kTrains) break;
  }
  Service();  // May close the socket.
}

void Node::ReadListener(Listener& listener) {
  Read(listener.socket, [this](absl::Time now, const net::Train& train) {
    return server_.FromClient(now, train.path, train.bytes, train.segment_size);
  });
}

void Node::ReadRelay(Relay& relay) {
  Read(relay.socket, [this, &relay](absl::Time now, const net::Train& train) {
    return server_.FromPeer(now, relay.id, train.path.remote, train.bytes,
                            train.segment_size);
  });
}

void Node::Execute(absl::Span<const turn::Forward> forwards) {
  for (const turn::Forward& forward : forwards) {
    if (forward.exit == turn::Forward::Exit::kClient &&
        forward.path.transport == Transport::kTcp) {
      SendToGuest(forward);
    } else if (forward.exit == turn::Forward::Exit::kClient) {
      if (net::UdpSocket* socket = listener_table_.Find(forward.path.local)) {
        outbox_.Add(*socket, forward);
      } else {
        stats_.no_socket += forward.segments;
      }
    } else if (forward.exit == turn::Forward::Exit::kRelay) {
      Collect(forward);
    } else if (const auto it = relays_.find(forward.relay);
               it != relays_.end()) {
      outbox_.Add(it->second->socket, forward);
    } else {
      stats_.no_socket += forward.segments;
    }
  }
}

void Node::Admit(net::Stream stream, std::shared_ptr<void> place) {
  const Path path = stream.path();
  StreamClientOptions options = stream_options_;
  if (stream.is_tls()) {
    options.pieces = StreamClientOptions::Pieces::kMessages;
  }
  auto owned = std::make_unique<Guest>(std::move(place), options);
  Guest& guest = *owned;
  guests_[path] = std::move(owned);
  ++stats_.streams;
  guest.driver.emplace(
      loop_, std::move(stream), guest.client, stream_buffer_,
      [this, &guest](StreamClient::Event event) {
        if (const auto* message = std::get_if<StreamClient::Message>(&event)) {
          return Hear(guest, *message);
        }
        if (!std::get<StreamClient::Closed>(event).status.ok()) {
          ++stats_.streams_cut;
        }
      },
      [this, path](net::StreamEnd, const absl::Status&) {
        server_.ClientGone(path);
        guests_.erase(path);
        Service();
      },
      net::StreamDriverOptions(), &stream_memory_);
}

void Node::Hear(Guest& guest, const StreamClient::Message& message) {
  server_.SetUtcOffset(UtcOffset());
  Execute(server_.FromClient(net::Loop::Now(), guest.driver->path(),
                             message.bytes, message.bytes.size()));
  // All that one read brought leaves together.
  if (guest.client.has_message()) return;
  SendAnswers();
  Flush();
  Service();
}

Node::Guest* Node::FindGuest(const Path& path) {
  const auto it = guests_.find(path);
  return it == guests_.end() ? nullptr : it->second.get();
}

void Node::SendToGuest(const turn::Forward& forward) {
  Guest* guest = FindGuest(forward.path);
  if (guest == nullptr) {
    stats_.no_socket += forward.segments;
    return;
  }
  for (size_t i = 0; i < forward.segments; ++i) {
    if (!HasRoomFor(*guest) ||
        !guest->client.SendData(forward.prefix(i), forward.payload(i),
                                forward.padding(i))) {
      ++stats_.stream_drops;
    }
  }
  FlushLater(*guest);
}

bool Node::HasRoomFor(const Guest& guest) const {
  const size_t half = stream_memory_.limit_bytes() / 2;
  return stream_memory_.used_bytes() <= half ||
         guest.client.held_bytes() <= half / guests_.size();
}

void Node::ShedMemory() {
  if (!stream_memory_.over()) return;
  std::vector<std::pair<size_t, Path>> holders;
  holders.reserve(guests_.size());
  for (const auto& [path, guest] : guests_) {
    holders.emplace_back(guest->driver->held_bytes(), path);
  }
  for (const auto& [bytes, path] :
       net::LargestHolders(std::move(holders), stream_memory_.used_bytes(),
                           stream_memory_.limit_bytes() / 8 * 7)) {
    if (Guest* guest = FindGuest(path)) {
      ++stats_.streams_cut;
      guest->driver->Cut();
    }
  }
}

void Node::FlushLater(Guest& guest) {
  if (!std::exchange(guest.dirty, true)) {
    dirty_guests_.push_back(guest.driver->path());
  }
}

// One that is inside of its own handler goes on by itself. Handlers come back
// here: what they make dirty is in a list of its own.
void Node::FlushGuests() {
  std::vector<Path> dirty = std::exchange(flushed_guests_, {});
  dirty.swap(dirty_guests_);
  for (const Path& path : dirty) {
    if (Guest* guest = FindGuest(path)) {
      guest->dirty = false;
      guest->driver->Flush();
    }
  }
  dirty.clear();
  flushed_guests_ = std::move(dirty);  // Its memory, for the next time.
}

void Node::Collect(const turn::Forward& forward) {
  const auto instance = static_cast<size_t>(forward.instance);
  if (handovers_.size() <= instance) handovers_.resize(instance + 1);
  Handover& handover = handovers_[instance];
  const size_t begin = handover.bytes.size();
  for (size_t i = 0; i < forward.segments; ++i) {
    const absl::Span<const uint8_t> payload = forward.payload(i);
    handover.bytes.insert(handover.bytes.end(), payload.begin(), payload.end());
  }
  handover.datagrams += forward.segments;
  handover.items.push_back({forward.relay, forward.path.local, begin,
                            handover.bytes.size() - begin,
                            forward.payload_bytes});
}

void Node::Flush() {
  outbox_.Flush();
  FlushGuests();
  for (size_t i = 0; i < handovers_.size(); ++i) {
    if (handovers_[i].items.empty()) continue;
    const size_t datagrams = handovers_[i].datagrams;
    const bool taken = handlers_.hand_over(static_cast<int>(i),
                                           std::exchange(handovers_[i], {}));
    (taken ? stats_.handed_over : stats_.handover_drops) += datagrams;
  }
}

void Node::Service() {
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
  alarm_.Set(server_.NextTimeout());
}

// Answers that the socket does not take are dropped: clients ask again.
void Node::SendAnswers() {
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
      if (answer->path.transport == Transport::kTcp) {
        Guest* guest = FindGuest(answer->path);
        if (guest == nullptr) continue;
        guest->client.SendAnswer(answer->bytes);
        FlushLater(*guest);
        continue;
      }
      net::UdpSocket* through = listener_table_.Find(answer->path.local);
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

void Node::On(const turn::Server::OpenRelay& open) {
  const absl::Time now = net::Loop::Now();
  net::UdpOptions options;
  options.bind = open.bind;
  absl::StatusOr<net::UdpSocket> socket = net::UdpSocket::Open(options);
  if (!socket.ok()) {
    ++stats_.open_failures;
    handlers_.on_event(OpenFailed{open.bind, socket.status()});
    return server_.RelayFailed(now, open.relay);
  }
  auto relay =
      std::make_unique<Relay>(Relay{open.relay, *std::move(socket), nullptr});
  relay->watch = std::make_unique<net::Watch>(
      loop_, relay->socket.fd(), net::Interest::kRead,
      [this, r = relay.get()](net::Readiness) { ReadRelay(*r); });
  // The host has no room to watch it: a relay that hears nothing is none.
  if (const absl::Status watched = relay->watch->status(); !watched.ok()) {
    ++stats_.open_failures;
    handlers_.on_event(OpenFailed{open.bind, watched});
    relay.reset();
    return server_.RelayFailed(now, open.relay);
  }
  relays_[open.relay] = std::move(relay);
  server_.RelayOpened(now, open.relay);
}

void Node::On(const turn::Server::CloseRelay& close) {
  const auto it = relays_.find(close.relay);
  if (it == relays_.end()) return;
  AddCounters(closed_relays_, it->second->socket.stats());
  relays_.erase(it);
}

void Node::On(const turn::Server::AllocationMade& made) {
  if (Guest* guest = FindGuest(made.client)) guest->client.Allocated();
  handlers_.on_event(made);
}

void Node::On(const turn::Server::AllocationEnded& ended) {
  if (Guest* guest = FindGuest(ended.client)) {
    guest->client.Released(net::Loop::Now());
    FlushLater(*guest);  // Its timer is set anew.
  }
  handlers_.on_event(ended);
}

void Node::On(const turn::Server::AllocationRefused& refused) {
  handlers_.on_event(refused);
}

void Node::On(const turn::Server::Closed&) {}

}  // namespace kyuu::relay
