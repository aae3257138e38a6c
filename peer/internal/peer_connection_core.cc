#include "peer/internal/peer_connection_core.h"

#include <algorithm>

#include "net/drive.h"

namespace kyuu::peer::internal {

static_assert(Engine<Core>);

// Threads may cause events faster than handlers take them; the sockets must
// have their turn all the same.
constexpr size_t kEventsPerTurn = 256;

struct Core::Drive {
  net::Driver<Core> driver;
  HostWatch watch;
};

Core::Core(std::shared_ptr<Workplace> workplace,
           const dtls::Certificate& certificate, const Options& options,
           HostSockets sockets, PeerConnectionHandlers handlers)
    : workplace_(std::move(workplace)),
      sockets_(std::move(sockets)),
      mutex_(*workplace_),
      connection_(certificate, options, random_),
      handlers_(std::make_shared<PeerConnectionHandlers>(std::move(handlers))) {
  for (const HostSocket& host : sockets_.sockets()) {
    // There is room for as many as were opened; if not, ICE does without.
    (void)connection_.AddLocalAddress(net::Loop::Now(), host.address());
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

absl::Status Core::Send(DataChannel& channel, PayloadType type,
                        std::vector<uint8_t>&& payload) {
  const std::lock_guard lock(mutex_);
  if (channel.state_ != DataChannelState::kOpen) {
    return absl::FailedPreconditionError("the channel is not open");
  }
  absl::Status status =
      connection_.Send(Now(), channel.channel_, type, std::move(payload));
  if (absl::IsResourceExhausted(status) &&
      std::find(refused_.begin(), refused_.end(), channel.channel_) ==
          refused_.end()) {
    refused_.push_back(channel.channel_);
  }
  Wake();
  return status;
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

std::optional<Core::Event> Core::PollEvent() {
  const std::lock_guard lock(mutex_);
  if (events_in_turn_ == kEventsPerTurn) {
    Wake();
    return std::nullopt;
  }
  ++events_in_turn_;
  if (std::optional<ConnectionEvent> event = connection_.PollEvent()) {
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

void Core::Arrive() {
  workplace_->cores.insert(shared_from_this());
  drive_.reset(
      new Drive{.driver = {*workplace_->loop, *this, workplace_->buffer,
                           [this](Event event) {
                             std::visit([this](auto& e) { On(e); }, event);
                           }},
                .watch = {*workplace_->loop, [this] { FollowAddresses(); }}});
  for (const HostSocket& host : sockets_.sockets()) {
    drive_->driver.AddSocket(*host.socket);
  }
  drive_->driver.Flush();
}

void Core::FollowAddresses() {
  const HostSockets::Changes changes = sockets_.Refresh();
  if (changes.empty()) return;
  for (const HostSocket& gone : changes.gone) {
    drive_->driver.RemoveSocket(*gone.socket);
  }
  for (const HostSocket* added : changes.added) {
    drive_->driver.AddSocket(*added->socket);
  }
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
  sockets_.Clear();
  workplace_->Depart(shared_from_this());
}

void Core::BeginHandler() {
  handler_runs_ = true;
  ++handler_calls_;
}

void Core::EndHandler() {
  {
    const std::lock_guard lock(mutex_);
    handler_runs_ = false;
  }
  handler_returned_.notify_all();
}

template <typename Update, typename Call>
void Core::Deliver(Update update, Call call) {
  std::shared_ptr<PeerConnectionHandlers> handlers;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || handlers_ == nullptr) return;
    update();
    handlers = handlers_;
    BeginHandler();
  }
  call(*handlers);
  handlers.reset();  // Perhaps the last owner; silence includes destructors.
  EndHandler();
}

template <typename Update, typename Call>
void Core::DeliverTo(ChannelId id, Update update, Call call) {
  std::shared_ptr<DataChannel> channel;
  std::shared_ptr<DataChannelHandlers> handlers;
  {
    const std::lock_guard lock(mutex_);
    channel = Find(id);
    if (channel == nullptr) return;
    update(*channel);
    handlers = channel->handlers_;
    if (channel->state_ == DataChannelState::kClosed) {
      channels_.erase(id);
      channel->handlers_ = nullptr;
    }
    BeginHandler();
  }
  call(*channel, *handlers);
  handlers.reset();
  channel.reset();
  EndHandler();
}

void Core::On(NegotiationNeeded&) {
  Deliver([] {},
          [](PeerConnectionHandlers& handlers) {
            if (handlers.on_negotiation_needed) {
              handlers.on_negotiation_needed();
            }
          });
}

void Core::On(ConnectionEvent& event) {
  std::visit([this](auto& e) { On(e); }, event);
}

void Core::On(SignalingStateChanged& event) {
  Deliver([] {},
          [&](PeerConnectionHandlers& handlers) {
            if (handlers.on_signaling_state_change) {
              handlers.on_signaling_state_change(event.state);
            }
          });
}

void Core::On(GatheringStateChanged& event) {
  Deliver([&] { gathering_state_ = event.state; },
          [&](PeerConnectionHandlers& handlers) {
            if (handlers.on_ice_gathering_state_change) {
              handlers.on_ice_gathering_state_change(event.state);
            }
          });
}

void Core::On(CandidateFound& event) {
  const IceCandidate candidate{.candidate = std::move(event.candidate),
                               .sdp_mid = std::move(event.mid),
                               .sdp_mline_index = event.mline_index};
  Deliver([] {},
          [&](PeerConnectionHandlers& handlers) {
            if (handlers.on_ice_candidate) handlers.on_ice_candidate(candidate);
          });
}

void Core::On(IceStateChanged& event) {
  Deliver([&] { ice_state_ = event.state; },
          [&](PeerConnectionHandlers& handlers) {
            if (handlers.on_ice_connection_state_change) {
              handlers.on_ice_connection_state_change(event.state);
            }
          });
}

void Core::On(ConnectionStateChanged& event) {
  Deliver([&] { connection_state_ = event.state; },
          [&](PeerConnectionHandlers& handlers) {
            if (handlers.on_connection_state_change) {
              handlers.on_connection_state_change(event.state);
            }
          });
}

void Core::On(SelectedPathChanged& event) {
  Deliver([] {},
          [&](PeerConnectionHandlers& handlers) {
            if (handlers.on_selected_path_change) {
              handlers.on_selected_path_change(event);
            }
          });
}

// Looking a name up takes a resolver that does not block. The peer that hides
// its address finds ours, and shows itself by its checks.
void Core::On(ResolveName&) {}

void Core::On(ServerFailed& event) {
  Deliver([] {},
          [&](PeerConnectionHandlers& handlers) {
            if (handlers.on_ice_candidate_error) {
              handlers.on_ice_candidate_error(event);
            }
          });
}

void Core::On(sctp::ChannelOpened& event) {
  DeliverTo(
      event.channel,
      [&](DataChannel& channel) {
        channel.id_ = static_cast<uint16_t>(event.stream);
        if (channel.state_ == DataChannelState::kConnecting) {
          channel.state_ = DataChannelState::kOpen;
        }
      },
      [](DataChannel& channel, DataChannelHandlers& handlers) {
        // It may have been closed meanwhile.
        if (channel.ready_state() == DataChannelState::kOpen &&
            handlers.on_open) {
          handlers.on_open(channel);
        }
      });
}

void Core::On(sctp::ChannelIncoming& event) {
  std::shared_ptr<DataChannel> channel;
  Deliver(
      [&] {
        channel = std::make_shared<DataChannel>(
            shared_from_this(), event.channel, std::move(event.config),
            DataChannelHandlers{});
        channel->state_ = DataChannelState::kOpen;
        channel->id_ = static_cast<uint16_t>(event.stream);
        channels_[event.channel] = channel;
      },
      [&](PeerConnectionHandlers& handlers) {
        if (handlers.on_data_channel) {
          handlers.on_data_channel(std::move(channel));
        }
      });
  sctp::ChannelOpened opened{.channel = event.channel, .stream = event.stream};
  On(opened);
}

void Core::On(sctp::ChannelMessage& event) {
  DeliverTo(
      event.channel, [](DataChannel&) {},
      [&](DataChannel& channel, DataChannelHandlers& handlers) {
        if (handlers.on_message) {
          handlers.on_message(
              channel,
              Message{.type = event.type, .payload = std::move(event.payload)});
        }
      });
}

void Core::On(sctp::ChannelBufferedAmountLow& event) {
  DeliverTo(
      event.channel, [](DataChannel&) {},
      [](DataChannel& channel, DataChannelHandlers& handlers) {
        if (handlers.on_buffered_amount_low) {
          handlers.on_buffered_amount_low(channel);
        }
      });
}

void Core::On(sctp::ChannelClosed& event) {
  DeliverTo(
      event.channel,
      [](DataChannel& channel) { channel.state_ = DataChannelState::kClosed; },
      [&](DataChannel& channel, DataChannelHandlers& handlers) {
        if (handlers.on_close) {
          handlers.on_close(channel, std::move(event.status));
        }
      });
}

void Core::On(sctp::WritableAgain&) {
  std::vector<ChannelId> refused;
  {
    const std::lock_guard lock(mutex_);
    refused.swap(refused_);
  }
  for (const ChannelId id : refused) {
    DeliverTo(
        id, [](DataChannel&) {},
        [](DataChannel& channel, DataChannelHandlers& handlers) {
          if (handlers.on_writable) handlers.on_writable(channel);
        });
  }
}

void Core::On(Closed& event) {
  Deliver([] {},
          [&](PeerConnectionHandlers& handlers) {
            if (handlers.on_closed) handlers.on_closed(event.status);
          });
  // Not called again, they need not keep alive what they own.
  std::shared_ptr<PeerConnectionHandlers> handlers;
  {
    const std::lock_guard lock(mutex_);
    handlers = std::move(handlers_);
  }
  // Later, since this is the driver calling. Tasks that still hold us run
  // before.
  workplace_->loop->Post([core = shared_from_this()] { core->Depart(); });
}

}  // namespace kyuu::peer::internal
