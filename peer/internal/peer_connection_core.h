// Core: a peer connection shared by the thread that drives it and the threads
// that use it.

#ifndef KYUU_PEER_INTERNAL_PEER_CONNECTION_CORE_H_
#define KYUU_PEER_INTERNAL_PEER_CONNECTION_CORE_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/system_random.h"
#include "dtls/certificate.h"
#include "net/loop.h"
#include "peer/connection.h"
#include "peer/data_channel.h"
#include "peer/host_sockets.h"
#include "peer/internal/peer_connection_mutex.h"
#include "peer/internal/peer_connection_workplace.h"
#include "peer/peer_connection.h"
#include "peer/peer_streams.h"
#include "peer/server_streams.h"
#include "peer/server_url.h"
#include "peer/stats_report.h"

namespace kyuu::peer::internal {

struct NegotiationNeeded {};

// Core is a monitor around a Connection: the driver's verbs and the
// application's commands each hold its mutex, handlers run without it. That is
// why no command ever waits for the loop's thread, and two connections whose
// handlers call each other cannot block one another. A command leaves the
// sending to the loop, which it wakes.
//
// It is owned by its PeerConnection, its channels, and its workplace until the
// connection has said goodbye.
class Core : public std::enable_shared_from_this<Core> {
 public:
  using Packet = Datagram;
  using Event = std::variant<ConnectionEvent, NegotiationNeeded>;

  Core(std::shared_ptr<Workplace> workplace,
       const dtls::Certificate& certificate, const Options& options,
       ServerStreamOptions streams, PeerStreamOptions peer_streams,
       std::optional<HostSockets> sockets, std::vector<ServerUrl> named_servers,
       PeerConnectionHandlers handlers);
  ~Core();

  // Sends the core to work. Once, before any command.
  void Start();

  // --- For any thread ---

  // Runs `command(Connection&, absl::Time)` and has the loop do what follows
  // from it.
  template <typename Command>
  auto Do(Command command) {
    const std::lock_guard lock(mutex_);
    auto result = command(connection_, Now());
    Wake();
    return result;
  }
  absl::StatusOr<std::shared_ptr<DataChannel>> CreateDataChannel(
      ChannelConfig config, DataChannelHandlers handlers);
  absl::Status Send(DataChannel& channel, PayloadType type,
                    std::vector<uint8_t>&& payload,
                    std::optional<uint64_t> lifecycle);
  absl::Status BeginMessage(DataChannel& channel, PayloadType type,
                            std::optional<size_t> size,
                            std::optional<uint64_t> lifecycle);
  absl::Status SendPart(DataChannel& channel, std::vector<uint8_t>&& bytes,
                        Part part);
  void CloseChannel(DataChannel& channel);
  void SetHandlers(DataChannel& channel, DataChannelHandlers handlers);
  void SetBufferedAmountLowThreshold(DataChannel& channel, size_t bytes);
  // Resolves the names of servers that the connection awaits.
  void AddServers(std::vector<ServerUrl> named);
  // Connection::SetConfiguration() with those, too, for which it waits.
  absl::Status Configure(ConnectionConfiguration wanted,
                         std::vector<ServerUrl> named);
  // See PeerConnection::Shutdown and Close.
  void Shutdown();
  void Close();

  // Runs `query(const Core&)` on a state that stands still.
  template <typename Query>
  auto Ask(Query query) const {
    const std::lock_guard lock(mutex_);
    return query(*this);
  }
  // For queries.
  std::vector<DataChannelReport> ChannelReports() const;
  const Connection& connection() const { return connection_; }
  GatheringState gathering_state() const { return gathering_state_; }
  ice::AgentState ice_state() const { return ice_state_; }
  ConnectionState connection_state() const { return connection_state_; }

  // --- The driver's verbs ---

  void HandlePacket(absl::Time now, const Datagram& datagram);
  void HandleTimeout(absl::Time now);
  std::optional<Datagram> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;
  bool transmit_urgent() const;
  absl::Status AddLocalAddress(absl::Time now, const ice::HostAddress& host);
  absl::Status RemoveLocalAddress(absl::Time now,
                                  const TransportAddress& address);
  ice::PathProof ProofOf(const Path& path) const;
  std::string local_ufrag() const;
  void StreamConnected(absl::Time now, ice::StreamId id,
                       const TransportAddress& local);
  void StreamEnded(absl::Time now, ice::StreamId id, const absl::Status& why);
  std::optional<ice::StreamId> StreamAccepted(absl::Time now, const Path& path);

 private:
  // With the mutex held.
  absl::Time Now(absl::Time now = net::Loop::Now());
  void Wake();
  std::shared_ptr<DataChannel> Find(ChannelId channel);
  // Runs `send()` on an open channel, and remembers whom it told to wait.
  template <typename F>
  absl::Status SendOn(const DataChannel& channel, F send);
  // Waits until a handler that is running now has returned; not on a Thread of
  // peer, where it could be for itself, or for one that waits for it.
  void AwaitHandler(std::unique_lock<Mutex>& lock);

  // On the workplace.
  void Arrive();
  void FollowAddresses();
  void Resolve(const ServerUrl& server, size_t configuration);
  void Flush();
  void Depart();
  // Runs `update()` with the mutex held, unless the connection was closed by
  // the application, and then `call(handlers)` without.
  template <typename Update, typename Call>
  void Deliver(Update update, Call call);
  // The same for a channel; its handlers are dropped if `update` closes it.
  template <typename Update, typename Call>
  void DeliverTo(ChannelId channel, Update update, Call call);
  // Calls one handler, if it is set.
  template <typename Handler, typename... Args>
  void Tell(Handler PeerConnectionHandlers::*handler, Args&&... args);
  template <typename Handler, typename... Args>
  void TellChannel(ChannelId channel, Handler DataChannelHandlers::*handler,
                   Args&&... args);
  void BeginHandler();
  void EndHandler();

  void On(NegotiationNeeded& event);
  void On(ConnectionEvent& event);
  void On(SignalingStateChanged& event);
  void On(GatheringStateChanged& event);
  void On(CandidateFound& event);
  void On(IceStateChanged& event);
  void On(ConnectionStateChanged& event);
  void On(SelectedPathChanged& event);
  void On(Decision& event);
  void On(ResolveName& event);
  void On(ServerFailed& event);
  void On(StreamWanted& event);
  void On(PeerStreamWanted& event);
  void On(StreamUnwanted& event);
  void On(sctp::ChannelOpened& event);
  void On(sctp::ChannelIncoming& event);
  void On(sctp::ChannelMessage& event);
  void On(sctp::ChannelMessagePart& event);
  void On(sctp::ChannelBufferedAmountLow& event);
  void On(sctp::ChannelMessageSettled& event);
  void On(sctp::ChannelClosing& event);
  void On(sctp::ChannelClosed& event);
  void On(sctp::WritableAgain& event);
  void On(Closed& event);

  const std::shared_ptr<Workplace> workplace_;

  // The workplace's.
  std::optional<HostSockets> sockets_;  // Else the workplace's port.
  const ServerStreamOptions stream_options_;
  const PeerStreamOptions peer_stream_options_;
  std::vector<ServerUrl> named_servers_;  // Until Arrive.
  struct Drive;                           // peer_connection_drive.h.
  std::unique_ptr<Drive> drive_;          // From Arrive to Depart.

  mutable Mutex mutex_;
  std::condition_variable_any handler_returned_;
  // All that follows is guarded by the mutex.
  SystemRandom random_;
  Connection connection_;
  absl::Time now_ = absl::InfinitePast();
  // Calls to them are the workplace's alone; null when they are not to be
  // called any more.
  std::shared_ptr<PeerConnectionHandlers> handlers_;
  std::map<ChannelId, std::shared_ptr<DataChannel>> channels_;
  std::vector<ChannelId> refused_;  // Whose Send met a full buffer.
  GatheringState gathering_state_ = GatheringState::kNew;
  ice::AgentState ice_state_ = ice::AgentState::kNew;
  ConnectionState connection_state_ = ConnectionState::kNew;
  size_t configuration_ = 0;  // How often it was replaced.
  bool closed_ = false;       // By the application.
  bool departed_ = false;     // Nobody drives it any more.
  bool wake_posted_ = false;
  size_t events_in_turn_ = 0;  // Since the loop did something else.
  bool handler_runs_ = false;
  uint64_t handler_calls_ = 0;
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_PEER_CONNECTION_CORE_H_
