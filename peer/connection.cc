#include "peer/connection.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

namespace kyuu::peer {

absl::string_view ToString(ConnectionState state) {
  switch (state) {
    case ConnectionState::kNew:
      return "new";
    case ConnectionState::kConnecting:
      return "connecting";
    case ConnectionState::kConnected:
      return "connected";
    case ConnectionState::kDisconnected:
      return "disconnected";
    case ConnectionState::kFailed:
      return "failed";
    case ConnectionState::kClosed:
      return "closed";
  }
  return "";
}

namespace {

ice::IceTransportOptions IceOptions(const Options& options) {
  ice::IceTransportOptions ice{options.ice, options.gatherer};
  ice.gatherer.hosts.clear();  // AddLocalAddress() names them.
  ice.gatherer.stun_servers = options.stun_servers;
  ice.gatherer.turn_servers = options.turn_servers;
  ice.gatherer.policy = options.policy;
  ice.agent.lite = options.lite;
  if (options.sped) ice.agent.embedded_dtls = ice::EmbeddedDtls::Use::kOn;
  return ice;
}

// What is promised to the peer and what is kept of it come from one number.
sdp::Session::Options SdpOptions(const Options& options) {
  sdp::Session::Options sdp = options.sdp;
  sdp.max_message_size =
      std::max(options.max_message_size, options.max_message_size_in_parts);
  return sdp;
}

sctp::DataChannels::Options ChannelOptions(const Options& options) {
  sctp::DataChannels::Options channels = options.channels;
  channels.association.max_message_in = options.max_message_size;
  channels.association.max_message_in_parts = options.max_message_size_in_parts;
  return channels;
}

// Whether what is under way on the path `before`, from which `agent` has moved,
// is lost with it: its address of ours is gone, or it does not answer. A path
// that a restart has replaced still delivers.
bool IsLost(const ice::Agent& agent, const Path& before) {
  if (agent.restarting()) return false;  // It may go on meanwhile.
  bool address = false;
  for (const ice::PairInfo& pair : agent.pairs()) {
    address |= pair.path.local == before.local;
    if (pair.path != before) continue;
    return !pair.valid || (agent.state() == ice::AgentState::kCompleted &&
                           !agent.nominated_path());
  }
  return !address;
}

}  // namespace

Connection::Connection(const dtls::Certificate& certificate,
                       const Options& options, Random& random)
    : options_(options),
      random_(random),
      certificate_(certificate),
      session_(SdpOptions(options), random),
      credentials_(ice::Credentials::Generate(random)),
      // Whoever offers controls; SetRemoteDescription with an offer changes it.
      ice_(ice::Role::kControlling, credentials_, random, IceOptions(options)),
      channels_(ChannelOptions(options), random) {
  server_names_.Add(options.stun_servers, options.turn_servers);
  if (options.snap) {
    sctp_init_ = sctp::MakeInit(ChannelOptions(options).association, random);
  }
}

Connection::~Connection() = default;

absl::StatusOr<ChannelId> Connection::CreateDataChannel(absl::Time now,
                                                        ChannelConfig config) {
  const absl::StatusOr<ChannelId> channel =
      channels_.Create(now, std::move(config));
  if (channel.ok()) session_.WantData();
  return channel;
}

absl::Status Connection::Send(absl::Time now, ChannelId channel,
                              PayloadType type, std::vector<uint8_t>&& payload,
                              std::optional<uint64_t> lifecycle) {
  return channels_.Send(now, channel, type, std::move(payload), lifecycle);
}

absl::Status Connection::BeginMessage(absl::Time now, ChannelId channel,
                                      PayloadType type,
                                      std::optional<size_t> size,
                                      std::optional<uint64_t> lifecycle) {
  return channels_.BeginMessage(now, channel, type, size, lifecycle);
}

absl::Status Connection::SendPart(absl::Time now, ChannelId channel,
                                  std::vector<uint8_t>&& bytes, Part part) {
  return channels_.SendPart(now, channel, std::move(bytes), part);
}

absl::Status Connection::CloseChannel(absl::Time now, ChannelId channel) {
  return channels_.CloseChannel(now, channel);
}

absl::Status Connection::SetBufferedAmountLowThreshold(ChannelId channel,
                                                       size_t bytes) {
  return channels_.SetBufferedAmountLowThreshold(channel, bytes);
}

size_t Connection::buffered_amount(ChannelId channel) const {
  const size_t amount = channels_.buffered_amount(channel);
  if (amount > 0) return amount;
  const sctp::ChannelClosed* closed = sctp::FindClosed(channel, events_);
  return closed == nullptr ? 0 : closed->buffered_amount;
}

std::optional<ChannelStats> Connection::channel_stats(ChannelId channel) const {
  if (const auto stats = channels_.channel_stats(channel)) return stats;
  const sctp::ChannelClosed* closed = sctp::FindClosed(channel, events_);
  return closed == nullptr ? std::nullopt : std::optional(closed->stats);
}

void Connection::HandleTimeout(absl::Time now) {
  last_now_ = std::max(last_now_, now);
  ice_.HandleTimeout(now);
  if (dtls_) dtls_->HandleTimeout(now);
  channels_.HandleTimeout(now);
  ReviewShutdown(now);
  if (closing_ && !closing_->over() && now >= closing_->deadline) {
    // An allocation that was not given back in time expires by itself.
    closing_->farewell.clear();
    closing_->step = internal::Closing::Step::kOver;
    UpdateConnectionState();
  }
  React(now);
}

absl::Time Connection::NextTimeout() const {
  absl::Time next = std::min(ice_.NextTimeout(), channels_.NextTimeout());
  if (shutdown_) next = std::min(next, shutdown_->next());
  if (closing_) {
    if (closing_->over()) return absl::InfiniteFuture();
    next = std::min(next, closing_->deadline);
  }
  if (dtls_) next = std::min(next, dtls_->NextTimeout());
  return next;
}

std::optional<Connection::Event> Connection::NextChannelEvent() {
  while (std::optional<sctp::DataChannels::Event> event =
             channels_.PollEvent()) {
    std::optional<Event> ours = std::visit(
        [](auto& e) -> std::optional<Event> {
          using T = std::decay_t<decltype(e)>;
          // Its own beginning and end are ours too, told in ConnectionState.
          if constexpr (std::is_constructible_v<Event, T> &&
                        !std::is_same_v<T, sctp::Closed>) {
            return Event(std::move(e));
          } else {
            return std::nullopt;
          }
        },
        *event);
    if (ours) return ours;
  }
  return std::nullopt;
}

std::optional<Connection::Event> Connection::PollEvent() {
  if (!events_.empty()) {
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  if (const std::optional<ice::Decision> decision = decisions_.Take()) {
    return *decision;
  }
  if (std::optional<Event> event = NextChannelEvent()) return event;
  // The end may have waited behind messages that nobody polled.
  if (channels_.ended() && !closing_) {
    Hangup(last_now_, *channels_.ended());
    return PollEvent();
  }
  if (!closing_ || closing_->step != internal::Closing::Step::kOver)
    return std::nullopt;
  closing_->step = internal::Closing::Step::kTold;
  return Closed{closing_->status};
}

void Connection::React(absl::Time now) {
  for (bool busy = true; busy;) {
    busy = false;
    while (std::optional<ice::IceTransport::Event> event = ice_.PollEvent()) {
      On(now, *event);
      busy = true;
    }
    FollowPath(now);
    StartDtls(now);
    while (const auto datagram = ice_.embedded_dtls().PollReceived()) {
      if (!closing_) HandleDtls(now, *datagram);
      busy = true;
    }
    while (dtls_) {
      std::optional<dtls::Session::Event> event = dtls_->PollEvent();
      if (!event) break;
      On(now, *event);
      busy = true;
    }
  }
  EmbedDtls(now);
  if (channels_.ended()) Hangup(now, *channels_.ended());
}

void Connection::On(absl::Time now, ice::IceTransport::Event& event) {
  if (std::holds_alternative<ice::Closed>(event)) {
    // It closes at our word alone, when the last records have left.
    if (closing_ && !closing_->over()) {
      closing_->step = internal::Closing::Step::kOver;
      UpdateConnectionState();
    }
    return;
  }
  // Allocations are given back by the streams that are there.
  if (auto* unwanted = std::get_if<ice::StreamUnwanted>(&event)) {
    events_.push_back(*unwanted);
    return;
  }
  if (closing_) return;
  if (const auto* state = std::get_if<ice::StateChanged>(&event)) {
    events_.push_back(IceStateChanged{state->state});
    UpdateConnectionState();
  } else if (const auto* pair = std::get_if<ice::SelectedPair>(&event)) {
    const bool moved = !selected_ || selected_->path != pair->path ||
                       selected_->local_type != pair->local_type ||
                       selected_->remote_type != pair->remote_type;
    selected_ =
        SelectedPathChanged{.path = pair->path,
                            .local_type = pair->local_type,
                            .remote_type = pair->remote_type,
                            .relay_protocol = RelayProtocolOf(pair->path)};
    if (moved) events_.push_back(*selected_);
    HastenDtls(now);
  } else if (const auto* decision = std::get_if<ice::Decision>(&event)) {
    decisions_.Add(now, *decision, options_.decisions_max);
  } else if (auto* name = std::get_if<ice::ResolveName>(&event)) {
    events_.push_back(
        ResolveName{.id = name->id, .name = std::move(name->name)});
  } else if (auto* found = std::get_if<ice::Gatherer::CandidateFound>(&event)) {
    Announce(found->candidate);
  } else if (auto* gathering = std::get_if<GatheringStateChanged>(&event)) {
    if (gathering->state == GatheringState::kComplete) AnnounceEnd();
    events_.push_back(*gathering);
  } else if (auto* failed = std::get_if<ice::Gatherer::ServerFailed>(&event)) {
    events_.push_back(ServerFailed{.server = failed->server,
                                   .status = std::move(failed->status),
                                   .code = failed->code,
                                   .protocol = failed->protocol});
  } else if (auto* lost = std::get_if<ice::Gatherer::RelayLost>(&event)) {
    // ICE notices by consent, and looks for another path.
    events_.push_back(
        ServerFailed{.server = lost->relayed, .status = lost->status});
  } else if (auto* wanted = std::get_if<ice::StreamWanted>(&event)) {
    events_.push_back(std::move(*wanted));
  } else if (auto* peer = std::get_if<ice::PeerStreamWanted>(&event)) {
    events_.push_back(*peer);
  }
}

std::optional<ice::RelayProtocol> Connection::RelayProtocolOf(
    const Path& path) const {
  for (const ice::Candidate& candidate : ice_.candidates()) {
    if (candidate.address == path.local && candidate.relay_protocol) {
      return candidate.relay_protocol;
    }
  }
  return std::nullopt;
}

void Connection::On(absl::Time now, dtls::Session::Event& event) {
  if (const auto* closed = std::get_if<dtls::Closed>(&event)) {
    Hangup(now, closed->status);
    return;
  }
  if (closing_) return;
  dtls_session_ = std::get<dtls::Connected>(event);
  EmbedDtls(now);
  ice_.embedded_dtls().Finish();
  // RFC 8832 section 6: the DTLS client has the even ids.
  channels_.Start(
      now,
      dtls_->role() == dtls::Role::kClient ? sctp::StreamParity::kEven
                                           : sctp::StreamParity::kOdd,
      session_.remote() ? session_.remote()->sctp_port : 5000, AgreedInits());
  UpdateConnectionState();
}

// Whether a path is there whose other end can do with DTLS. A check of the peer
// tells that it has our answer. Before that it drops a ClientHello, which costs
// a retransmission, or fails over it: libdatachannel starts ICE a moment before
// it knows the fingerprint to expect.
bool Connection::PeerAwaitsDtls() const {
  if (!ice_.selected_path()) return false;
  const std::optional<sdp::TransportParameters>& remote = session_.remote();
  const bool may_be_early = remote && !remote->ice_lite &&
                            remote->local_setup == sdp::Setup::kActive &&
                            !session_.offerer();
  return !may_be_early || ice_.agent().stats().requests_received > 0;
}

void Connection::HastenDtls(absl::Time now) {
  const std::optional<absl::Duration> rtt = ice_.agent().rtt();
  // Half again as long as an answer takes, and once more for the peer's work.
  if (dtls_ && rtt) dtls_->SetRetransmissionTimeout(now, 2 * *rtt);
}

void Connection::StartDtls(absl::Time now) {
  const std::optional<sdp::TransportParameters>& remote = session_.remote();
  if (dtls_ || closing_ || !remote || !remote->local_setup ||
      !(ice_.embedded_dtls().active() || PeerAwaitsDtls())) {
    return;
  }
  const bool active = *remote->local_setup == sdp::Setup::kActive;
  dtls::Options options = options_.dtls;
  if (ice_.embedded_dtls().active()) {
    options.mtu_bytes =
        std::min(options.mtu_bytes, ice::EmbeddedDtls::kDatagramMax);
  }
  dtls_ = std::make_unique<dtls::Session>(
      active ? dtls::Role::kClient : dtls::Role::kServer, certificate_,
      options);
  // Refused only if there is none, which sdp does not accept.
  dtls_->SetRemoteFingerprints(now, remote->fingerprints).IgnoreError();
  HastenDtls(now);
  dtls_->Start(now);
  while (!early_dtls_.empty()) {
    const std::vector<uint8_t> datagram = std::move(early_dtls_.front());
    early_dtls_.pop_front();
    FeedDtls(now, datagram);
  }
}

void Connection::FollowPath(absl::Time now) {
  // While consent is not answered (RFC 7675), data would not be either.
  const std::optional<Path> path =
      ice_.agent().state() == ice::AgentState::kDisconnected
          ? std::nullopt
          : ice_.selected_path();
  const bool doubted = ice_.agent().doubts_path();
  // The first answer after a silence: SCTP's timers have backed off.
  const bool answers = std::exchange(doubted_, doubted) && !doubted;
  if (closing_ || (path == sctp_path_ && !(path && answers))) return;
  if (path && sctp_path_ && IsLost(ice_.agent(), *sctp_path_)) {
    channels_.PathLost(now);
  }
  sctp_path_ = path;
  path ? channels_.PathReady(now, MaxPacket()) : channels_.PathLost(now);
}

// How large a packet of SCTP is worth trying. What goes through a relay, ours
// or the peer's, may be cut behind it, which a probe would not tell; and what
// goes by TCP has no such size.
size_t Connection::MaxPacket() const {
  const bool direct = selected_ && !selected_->relayed() &&
                      selected_->path.transport == Transport::kUdp;
  const size_t overhead = dtls::kRecordOverheadMax;
  return direct && options_.max_datagram_bytes > overhead
             ? options_.max_datagram_bytes - overhead
             : 0;
}

void Connection::SetMaxDatagramBytes(absl::Time now, size_t bytes) {
  const size_t before = MaxPacket();
  options_.max_datagram_bytes = bytes;
  if (sctp_path_ && !closing_ && MaxPacket() != before) {
    channels_.PathReady(now, MaxPacket());
  }
}

void Connection::UpdateConnectionState() {
  ConnectionState state = ConnectionState::kClosed;
  if (closing_) {
    const bool failed = !closing_->status.ok() &&
                        !absl::IsAborted(closing_->status) && !closing_->over();
    state = failed ? ConnectionState::kFailed : ConnectionState::kClosed;
  } else {
    switch (ice_.agent().state()) {
      case ice::AgentState::kNew:
        state = ConnectionState::kNew;
        break;
      case ice::AgentState::kChecking:
        state = ConnectionState::kConnecting;
        break;
      case ice::AgentState::kConnected:
      case ice::AgentState::kCompleted:
        state = dtls_session_ ? ConnectionState::kConnected
                              : ConnectionState::kConnecting;
        break;
      case ice::AgentState::kDisconnected:
        state = ConnectionState::kDisconnected;
        break;
      case ice::AgentState::kFailed:
        state = ConnectionState::kFailed;
        break;
      case ice::AgentState::kClosed:
        break;
    }
  }
  if (state == connection_state_) return;
  connection_state_ = state;
  events_.push_back(ConnectionStateChanged{state});
}

void Connection::Shutdown(absl::Time now) {
  if (closing_ || shutdown_) return;
  shutdown_ = {now + options_.shutdown_timeout,
               now + options_.shutdown_timeout_max, WhatIsLeft()};
  channels_.Shutdown(now);
  React(now);
}

internal::LeftToTake Connection::WhatIsLeft() const {
  return {channels_.association_stats().send_occupied_bytes,
          channels_.channel_count()};
}

void Connection::ReviewShutdown(absl::Time now) {
  if (!shutdown_ || now < shutdown_->next()) return;
  const internal::LeftToTake left = WhatIsLeft();
  if (now >= shutdown_->deadline || left == shutdown_->left) {
    return Hangup(now, absl::OkStatus());
  }
  shutdown_->left = left;
  shutdown_->review_at = now + options_.shutdown_timeout;
}

void Connection::Close(absl::Time now) {
  Hangup(now, absl::OkStatus());
  React(now);
}

void Connection::Hangup(absl::Time now, absl::Status status) {
  if (closing_) return;
  closing_ = internal::Closing{std::move(status), now + options_.linger, {}};
  shutdown_.reset();
  channels_.Close(now);
  if (dtls_ && ice_.selected_path()) {
    // The ABORT is sealed now, for DTLS closes too: both are under way within
    // one flight, and the peer knows after half a round trip.
    std::array<uint8_t, kDatagramMax> packet;
    if (const auto abort =
            channels_.PollTransmit(now, absl::MakeSpan(packet))) {
      std::vector<uint8_t>& farewell = closing_->farewell;
      farewell.resize(abort->size() + dtls::kRecordOverheadMax);
      const absl::StatusOr<size_t> size =
          dtls_->Seal(*abort, absl::MakeSpan(farewell));
      farewell.resize(size.value_or(0));
    }
  }
  if (dtls_) dtls_->Close(now);
  session_.Close();
  early_dtls_.clear();
  remote_ice_.pending.clear();
  decisions_.Clear();
  // The channels' ends come before that of what carried them.
  while (std::optional<Event> event = NextChannelEvent()) {
    events_.push_back(*std::move(event));
  }
  UpdateConnectionState();
  // With a path, the last records go first; PollTransmit looks again.
  if (!dtls_ || !ice_.selected_path()) ReviewClosing(now);
}

// Not before the last record has left: it needs the path.
void Connection::ReviewClosing(absl::Time now) {
  if (!closing_ || closing_->step != internal::Closing::Step::kLastRecords ||
      !closing_->farewell.empty()) {
    return;
  }
  closing_->step = internal::Closing::Step::kGivingBack;
  ice_.Close(now);
}

}  // namespace kyuu::peer
