// What handlers are told: one function for each event, all by way of Deliver
// and DeliverTo, which alone call handlers.

#include <utility>

#include "peer/internal/peer_connection_core.h"
#include "peer/internal/peer_connection_drive.h"

namespace kyuu::peer::internal {

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

template <typename Handler, typename... Args>
void Core::Tell(Handler PeerConnectionHandlers::*handler, Args&&... args) {
  Deliver([] {},
          [&](PeerConnectionHandlers& handlers) {
            if (handlers.*handler) {
              (handlers.*handler)(std::forward<Args>(args)...);
            }
          });
}

template <typename Handler, typename... Args>
void Core::TellChannel(ChannelId id, Handler DataChannelHandlers::*handler,
                       Args&&... args) {
  DeliverTo(
      id, [](DataChannel&) {},
      [&](DataChannel& channel, DataChannelHandlers& handlers) {
        if (handlers.*handler) {
          (handlers.*handler)(channel, std::forward<Args>(args)...);
        }
      });
}

void Core::On(NegotiationNeeded&) {
  Tell(&PeerConnectionHandlers::on_negotiation_needed);
}

void Core::On(ConnectionEvent& event) {
  std::visit([this](auto& e) { On(e); }, event);
}

void Core::On(SignalingStateChanged& event) {
  Tell(&PeerConnectionHandlers::on_signaling_state_change, event.state);
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
  Tell(&PeerConnectionHandlers::on_ice_candidate,
       IceCandidate{.candidate = std::move(event.candidate),
                    .sdp_mid = std::move(event.mid),
                    .sdp_mline_index = event.mline_index,
                    .username_fragment = std::move(event.ufrag)});
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
  Tell(&PeerConnectionHandlers::on_selected_path_change, event);
}

void Core::On(Decision& event) {
  Tell(&PeerConnectionHandlers::on_path_decision, event);
}

// A peer whose name nobody answers for finds us, and shows itself by its
// checks.
void Core::On(ResolveName& event) {
  workplace_->Names().Resolve(
      event.name,
      [weak = weak_from_this(), id = event.id](std::optional<IpAddress> ip) {
        const std::shared_ptr<Core> core = weak.lock();
        if (core == nullptr || core->drive_ == nullptr) return;
        {
          const std::lock_guard lock(core->mutex_);
          core->connection_.NameResolved(core->Now(), id, ip);
        }
        core->drive_->driver.Flush();  // Last: it may depart.
      });
}

void Core::On(ServerFailed& event) {
  Tell(&PeerConnectionHandlers::on_ice_candidate_error, event);
}

void Core::On(StreamWanted& event) { drive_->Streams().Open(event); }

void Core::On(PeerStreamWanted& event) { drive_->peer_streams.Open(event); }

void Core::On(StreamUnwanted& event) {
  drive_->peer_streams.Drop(event.id);  // Ids say whose they are.
  if (drive_->streams) drive_->streams->Drop(event.id);
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
  TellChannel(event.channel, &DataChannelHandlers::on_message,
              Message{.type = event.type, .payload = std::move(event.payload)});
}

void Core::On(sctp::ChannelMessagePart& event) {
  TellChannel(event.channel, &DataChannelHandlers::on_message_part,
              MessagePart{.type = event.type,
                          .message = event.message,
                          .offset = event.offset,
                          .part = event.part,
                          .payload = std::move(event.payload)});
}

void Core::On(sctp::ChannelBufferedAmountLow& event) {
  TellChannel(event.channel, &DataChannelHandlers::on_buffered_amount_low);
}

void Core::On(sctp::ChannelMessageSettled& event) {
  TellChannel(event.channel, &DataChannelHandlers::on_message_settled,
              event.lifecycle, event.fate);
}

void Core::On(sctp::ChannelClosing& event) {
  bool changed = false;
  DeliverTo(
      event.channel,
      [&](DataChannel& channel) {
        // It may have been closed here meanwhile.
        changed = std::exchange(channel.state_, DataChannelState::kClosing) !=
                  DataChannelState::kClosing;
      },
      [&](DataChannel& channel, DataChannelHandlers& handlers) {
        if (changed && handlers.on_closing) handlers.on_closing(channel);
      });
}

void Core::On(sctp::ChannelClosed& event) {
  DeliverTo(
      event.channel,
      [&](DataChannel& channel) { channel.state_ = DataChannelState::kClosed; },
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
    TellChannel(id, &DataChannelHandlers::on_writable);
  }
}

void Core::On(Closed& event) {
  Tell(&PeerConnectionHandlers::on_closed, event.status);
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
