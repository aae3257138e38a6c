#include "peer/internal/peer_connection_core.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "net/resolver.h"
#include "net/tcp.h"
#include "net/udp_socket.h"
#include "peer/ice_servers.h"
#include "peer/internal/peer_connection_drive.h"

namespace kyuu::peer::internal {

static_assert(Engine<Core>);

// Threads may cause events faster than handlers take them; the sockets must
// have their turn all the same.
constexpr size_t kEventsPerTurn = 256;

Core::Core(std::shared_ptr<Workplace> workplace,
           const dtls::Certificate& certificate, const Options& options,
           ServerStreamOptions streams, PeerStreamOptions peer_streams,
           std::optional<HostSockets> sockets,
           std::vector<ServerUrl> named_servers,
           PeerConnectionHandlers handlers)
    : workplace_(std::move(workplace)),
      sockets_(std::move(sockets)),
      stream_options_(std::move(streams)),
      peer_stream_options_(peer_streams),
      named_servers_(std::move(named_servers)),
      mutex_(*workplace_),
      connection_(certificate, options, random_),
      handlers_(std::make_shared<PeerConnectionHandlers>(std::move(handlers))) {
  std::vector<ice::HostAddress> hosts;
  if (sockets_) {
    for (const HostSocket& host : sockets_->sockets()) {
      hosts.push_back(host.address());
    }
  } else {
    hosts = workplace_->port->addresses();
  }
  connection_.AwaitServers(named_servers_.size());
  for (const ice::HostAddress& host : hosts) {
    // There is room for as many as were opened; if not, ICE does without.
    (void)connection_.AddLocalAddress(net::Loop::Now(), host);
  }
}

Core::~Core() = default;

// --- Any thread ---

absl::Time Core::Now(absl::Time now) {
  // The loop reads its clock before it waits for the mutex.
  return now_ = std::max(now_, now);
}

void Core::Wake() {
  // A flush in progress will see to it.
  if (handler_runs_ && workplace_->IsCurrent()) return;
  if (wake_posted_ || departed_) return;
  wake_posted_ = true;
  workplace_->loop->Post([weak = weak_from_this()] {
    if (const std::shared_ptr<Core> core = weak.lock()) core->Flush();
  });
}

std::shared_ptr<DataChannel> Core::Find(ChannelId channel) {
  const auto it = channels_.find(channel);
  return it == channels_.end() ? nullptr : it->second;
}

void Core::AwaitHandler(std::unique_lock<Mutex>& lock) {
  if (Workplace::current != nullptr) return;
  const uint64_t call = handler_calls_;
  handler_returned_.wait(
      lock, [&] { return !handler_runs_ || handler_calls_ != call; });
}

absl::StatusOr<std::shared_ptr<DataChannel>> Core::CreateDataChannel(
    ChannelConfig config, DataChannelHandlers handlers) {
  const std::lock_guard lock(mutex_);
  const absl::StatusOr<ChannelId> id =
      connection_.CreateDataChannel(Now(), config);
  if (!id.ok()) return id.status();
  auto channel = std::make_shared<DataChannel>(
      shared_from_this(), *id, std::move(config), std::move(handlers));
  channels_[*id] = channel;
  Wake();
  return channel;
}

template <typename F>
absl::Status Core::SendOn(const DataChannel& channel, F send) {
  const std::lock_guard lock(mutex_);
  if (channel.state_ != DataChannelState::kOpen) {
    return absl::FailedPreconditionError("the channel is not open");
  }
  absl::Status status = send();
  if (absl::IsResourceExhausted(status) &&
      std::find(refused_.begin(), refused_.end(), channel.channel_) ==
          refused_.end()) {
    refused_.push_back(channel.channel_);
  }
  Wake();
  return status;
}

absl::Status Core::Send(DataChannel& channel, PayloadType type,
                        std::vector<uint8_t>&& payload,
                        std::optional<uint64_t> lifecycle) {
  return SendOn(channel, [&] {
    return connection_.Send(Now(), channel.channel_, type, std::move(payload),
                            lifecycle);
  });
}

absl::Status Core::BeginMessage(DataChannel& channel, PayloadType type,
                                std::optional<size_t> size,
                                std::optional<uint64_t> lifecycle) {
  return SendOn(channel, [&] {
    return connection_.BeginMessage(Now(), channel.channel_, type, size,
                                    lifecycle);
  });
}

absl::Status Core::SendPart(DataChannel& channel, std::vector<uint8_t>&& bytes,
                            Part part) {
  return SendOn(channel, [&] {
    return connection_.SendPart(Now(), channel.channel_, std::move(bytes),
                                part);
  });
}

void Core::CloseChannel(DataChannel& channel) {
  const std::lock_guard lock(mutex_);
  if (channel.state_ == DataChannelState::kClosing ||
      channel.state_ == DataChannelState::kClosed) {
    return;
  }
  channel.state_ = DataChannelState::kClosing;
  // Fails if the peer was faster; its event is on its way.
  connection_.CloseChannel(Now(), channel.channel_).IgnoreError();
  Wake();
}

void Core::SetHandlers(DataChannel& channel, DataChannelHandlers handlers) {
  // Destroyed without the mutex: they may own anything.
  auto old = std::make_shared<DataChannelHandlers>(std::move(handlers));
  std::unique_lock lock(mutex_);
  if (channel.state_ != DataChannelState::kClosed) {
    channel.handlers_.swap(old);
    AwaitHandler(lock);
  }
  lock.unlock();
}

void Core::SetBufferedAmountLowThreshold(DataChannel& channel, size_t bytes) {
  const std::lock_guard lock(mutex_);
  channel.low_threshold_ = bytes;
  // Fails for a channel that is closed, which no longer matters.
  connection_.SetBufferedAmountLowThreshold(channel.channel_, bytes)
      .IgnoreError();
  Wake();
}

std::vector<DataChannelReport> Core::ChannelReports() const {
  std::vector<DataChannelReport> reports;
  for (const auto& [id, channel] : channels_) {
    DataChannelReport& report = reports.emplace_back();
    report.id = absl::StrCat("D", static_cast<uint32_t>(id));
    report.label = channel->config_.label;
    report.protocol = channel->config_.protocol;
    report.data_channel_identifier = channel->id_;
    report.state = std::string(ToString(channel->state_));
    report.counters = connection_.channel_stats(id).value_or(ChannelStats{});
  }
  return reports;
}

void Core::Shutdown() {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  for (const auto& [id, channel] : channels_) {
    channel->state_ = DataChannelState::kClosing;
  }
  connection_.Shutdown(Now());
  Wake();
}

void Core::Close() {
  // Destroyed without the mutex: they may own anything.
  std::shared_ptr<PeerConnectionHandlers> handlers;
  std::map<ChannelId, std::shared_ptr<DataChannel>> channels;
  std::vector<std::shared_ptr<DataChannelHandlers>> channel_handlers;
  std::unique_lock lock(mutex_);
  if (!closed_) {
    closed_ = true;
    for (const auto& [id, channel] : channels_) {
      channel->buffered_at_close_ = connection_.buffered_amount(id);
      channel->stats_at_close_ =
          connection_.channel_stats(id).value_or(ChannelStats{});
    }
    connection_.Close(Now());
    ice_state_ = ice::AgentState::kClosed;
    connection_state_ = ConnectionState::kClosed;
    handlers = std::move(handlers_);
    channels.swap(channels_);
    for (const auto& [id, channel] : channels) {
      channel->state_ = DataChannelState::kClosed;
      channel_handlers.push_back(std::move(channel->handlers_));
    }
    Wake();
  }
  AwaitHandler(lock);
  lock.unlock();
}

// --- The driver's verbs ---

void Core::HandlePacket(absl::Time now, const Datagram& datagram) {
  const std::lock_guard lock(mutex_);
  connection_.HandlePacket(Now(now), datagram);
}

void Core::HandleTimeout(absl::Time now) {
  const std::lock_guard lock(mutex_);
  connection_.HandleTimeout(Now(now));
}

std::optional<Datagram> Core::PollTransmit(absl::Time now,
                                           absl::Span<uint8_t> out) {
  const std::lock_guard lock(mutex_);
  return connection_.PollTransmit(Now(now), out);
}

bool Core::transmit_urgent() const {
  const std::lock_guard lock(mutex_);
  return connection_.transmit_urgent();
}

absl::Status Core::AddLocalAddress(absl::Time now,
                                   const ice::HostAddress& host) {
  const std::lock_guard lock(mutex_);
  return connection_.AddLocalAddress(Now(now), host);
}

absl::Status Core::RemoveLocalAddress(absl::Time now,
                                      const TransportAddress& address) {
  const std::lock_guard lock(mutex_);
  return connection_.RemoveLocalAddress(Now(now), address);
}

ice::PathProof Core::ProofOf(const Path& path) const {
  const std::lock_guard lock(mutex_);
  return connection_.ProofOf(path);
}

std::string Core::local_ufrag() const {
  const std::lock_guard lock(mutex_);
  return connection_.local_ufrag();
}

void Core::StreamConnected(absl::Time now, ice::StreamId id,
                           const TransportAddress& local) {
  const std::lock_guard lock(mutex_);
  connection_.StreamConnected(Now(now), id, local);
}

void Core::StreamEnded(absl::Time now, ice::StreamId id,
                       const absl::Status& why) {
  const std::lock_guard lock(mutex_);
  connection_.StreamEnded(Now(now), id, why);
}

std::optional<ice::StreamId> Core::StreamAccepted(absl::Time now,
                                                  const Path& path) {
  const std::lock_guard lock(mutex_);
  return connection_.StreamAccepted(Now(now), path);
}

std::optional<Core::Event> Core::PollEvent() {
  const std::lock_guard lock(mutex_);
  if (events_in_turn_ == kEventsPerTurn) {
    Wake();
    return std::nullopt;
  }
  ++events_in_turn_;
  if (std::optional<ConnectionEvent> event = connection_.PollEvent()) {
    // With the event the connection forgets the channel, whom others may ask
    // before it is told.
    if (const auto* closed = std::get_if<sctp::ChannelClosed>(&*event)) {
      if (const auto channel = Find(closed->channel)) {
        channel->buffered_at_close_ = closed->buffered_amount;
        channel->stats_at_close_ = closed->stats;
      }
    }
    return Event(*std::move(event));
  }
  if (connection_.TakeNegotiationNeeded()) return NegotiationNeeded{};
  events_in_turn_ = 0;
  return std::nullopt;
}

absl::Time Core::NextTimeout() const {
  const std::lock_guard lock(mutex_);
  return connection_.NextTimeout();
}

// --- The workplace ---

void Core::Start() {
  workplace_->loop->Post([core = shared_from_this()] { core->Arrive(); });
}

Core::Drive::Drive(Core& c)
    : core(c),
      driver(*core.workplace_->loop, core,
             core.workplace_->loop->Shared<net::ReceiveBuffer>(),
             [this](Event event) {
               std::visit([this](auto& e) { core.On(e); }, event);
             }),
      peer_streams(*core.workplace_->loop, core.peer_stream_options_,
                   JoinPeerStreams(core, driver)) {
  driver.SendStreamsBy([this](const Datagram& message) {
    if (!peer_streams.Send(message) && streams) streams->Send(message);
  });
  if (core.sockets_) {
    for (const HostSocket& host : core.sockets_->sockets()) Add(host);
    watch.emplace(*core.workplace_->loop, [this] { core.FollowAddresses(); });
  } else {
    seat.emplace(*core.workplace_->port, core, driver, &peer_streams);
  }
}

ServerStreams& Core::Drive::Streams() {
  if (streams == nullptr) {
    streams = std::make_unique<ServerStreams>(*core.workplace_->loop,
                                              core.stream_options_,
                                              JoinStreams(core, driver));
  }
  return *streams;
}

net::Resolver& Core::Drive::Resolver() {
  if (resolver == nullptr) {
    resolver = std::make_unique<net::Resolver>(*core.workplace_->loop);
  }
  return *resolver;
}

void Core::Drive::Add(const HostSocket& host) {
  driver.AddSocket(*host.socket);
  for (net::TcpListener* listener : host.listeners()) {
    peer_streams.AddListener(*listener);
  }
  if (!host.name.empty()) {
    // Too many on this thread: the peer finds us by our checks.
    (void)core.workplace_->Names().Publish(host.name, host.ip, host.interface);
  }
}

void Core::Drive::Remove(const HostSocket& host) {
  driver.RemoveSocket(*host.socket);
  for (net::TcpListener* listener : host.listeners()) {
    peer_streams.RemoveListener(*listener);
  }
  if (!host.name.empty()) core.workplace_->Names().Withdraw(host.name);
}

Core::Drive::~Drive() {
  if (!core.sockets_) return;
  for (const HostSocket& host : core.sockets_->sockets()) {
    if (!host.name.empty()) core.workplace_->Names().Withdraw(host.name);
  }
}

void Core::Arrive() {
  workplace_->cores.insert(shared_from_this());
  drive_ = std::make_unique<Drive>(*this);
  for (const ServerUrl& server : std::exchange(named_servers_, {})) {
    Resolve(server, /*configuration=*/0);
  }
  drive_->driver.Flush();
}

void Core::AddServers(std::vector<ServerUrl> named) {
  const size_t configuration =
      Ask([](const Core& core) { return core.configuration_; });
  workplace_->loop->Post(
      [weak = weak_from_this(), named = std::move(named), configuration] {
        const std::shared_ptr<Core> core = weak.lock();
        if (core == nullptr || core->drive_ == nullptr) return;
        for (const ServerUrl& server : named) {
          core->Resolve(server, configuration);
        }
      });
}

absl::Status Core::Configure(ConnectionConfiguration wanted,
                             std::vector<ServerUrl> named) {
  wanted.names = named.size();
  const absl::Status status = Do([&](Connection& connection, absl::Time now) {
    const absl::Status result = connection.SetConfiguration(now, wanted);
    if (result.ok()) ++configuration_;
    return result;
  });
  if (status.ok()) AddServers(std::move(named));
  return status;
}

void Core::Resolve(const ServerUrl& server, size_t configuration) {
  // The drive drops the question when it goes.
  drive_->Resolver().Resolve(
      server.host, server.port,
      [this, server, configuration](net::Resolver::Addresses addresses) {
        const bool wanted = configuration == Ask([](const Core& core) {
                              return core.configuration_;
                            });
        if (!addresses.ok() && wanted) {
          ServerFailed failed{
              .server = {}, .status = addresses.status(), .code = 0};
          failed.protocol = server.protocol;
          On(failed);
        }
        std::vector<TransportAddress> stun;
        std::vector<ice::TurnServer> turn;
        if (addresses.ok()) AddResolved(server, *addresses, stun, turn);
        {
          const std::lock_guard lock(mutex_);
          if (configuration == configuration_) {
            connection_.UpdateServers(std::move(stun), std::move(turn),
                                      server.host);
          }
          connection_.ServersKnown(Now());
        }
        // Last: it may depart.
        if (drive_) drive_->driver.Flush();
      });
}

void Core::FollowAddresses() {
  const HostSockets::Changes changes = sockets_->Refresh();
  if (changes.empty()) return;
  for (const HostSocket& gone : changes.gone) drive_->Remove(gone);
  for (const HostSocket* added : changes.added) drive_->Add(*added);
  {
    const std::lock_guard lock(mutex_);
    for (const HostSocket& gone : changes.gone) {
      // Refused once closed, and then nobody needs them.
      (void)connection_.RemoveLocalAddress(Now(), gone.address().address);
    }
    for (const HostSocket* added : changes.added) {
      // As above.
      (void)connection_.AddLocalAddress(Now(), added->address());
    }
  }
  drive_->driver.Flush();  // Last: it may depart.
}

void Core::Flush() {
  {
    const std::lock_guard lock(mutex_);
    wake_posted_ = false;
    events_in_turn_ = 0;
  }
  if (drive_) drive_->driver.Flush();
}

void Core::Depart() {
  {
    const std::lock_guard lock(mutex_);
    departed_ = true;
  }
  drive_.reset();
  if (sockets_) sockets_->Clear();
  workplace_->Depart(shared_from_this());
}

}  // namespace kyuu::peer::internal
