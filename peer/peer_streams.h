// PeerStreams: the TCP connections between a connection and its peer (RFC
// 6544), those that are made and those that are accepted, on a loop.

#ifndef KYUU_PEER_PEER_STREAMS_H_
#define KYUU_PEER_PEER_STREAMS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "ice/packet_stream.h"
#include "ice/stream_types.h"
#include "net/drive.h"
#include "net/loop.h"
#include "net/tcp.h"

namespace kyuu::peer {

struct PeerStreamOptions {
  // Bounds on what waits for a slow stream.
  ice::PacketStreamOptions queue;
  // Bytes that the kernel may hold unsent beside it (TCP_NOTSENT_LOWAT), of
  // streams that are connected; those accepted have their listener's.
  uint32_t unsent_bytes = 16 * 1024;
  // Accepts per listener and wake-up, and how long none are made when there are
  // no descriptors.
  size_t accepts_per_turn = 8;
  absl::Duration accept_pause = absl::Milliseconds(100);
};

// What is told of streams, from the loop.
struct PeerStreamHandlers {
  absl::AnyInvocable<void(ice::StreamId, const TransportAddress& local)>
      on_connected;
  // nullopt: it is closed at once.
  absl::AnyInvocable<std::optional<ice::StreamId>(const Path&)> on_accepted;
  // A packet, along Path{local, remote, Transport::kTcp}.
  absl::AnyInvocable<void(const Datagram&)> on_packet;
  // It could not be connected, or has ended: not by Drop().
  absl::AnyInvocable<void(ice::StreamId, const absl::Status&)> on_ended;
  // After some of the others: time to see what follows from them. It may
  // destroy the PeerStreams; the others may not.
  absl::AnyInvocable<void()> on_turn;
};

// PeerStreams does what an engine's PeerStreamWanted and StreamUnwanted ask
// for, and accepts.
class PeerStreams {
 public:
  // `loop` must outlive it.
  PeerStreams(net::Loop& loop, const PeerStreamOptions& options,
              PeerStreamHandlers handlers);
  // Ends all, at once.
  ~PeerStreams();
  PeerStreams(const PeerStreams&) = delete;
  PeerStreams& operator=(const PeerStreams&) = delete;

  // Accepts from `listener`, which must live until it is taken away again. What
  // was accepted goes on without it.
  void AddListener(net::TcpListener& listener);
  void RemoveListener(net::TcpListener& listener);
  // Takes a connection that somebody else has accepted, and read `first` from;
  // or cuts it, as if it were one of a listener's.
  void Adopt(net::TcpStream tcp, absl::Span<const uint8_t> first);

  void Open(const ice::PeerStreamWanted& wanted);
  // Ends the stream when what it was given has left, or its peer is too slow;
  // at once, by a reset, if it was given nothing: strangers must not linger.
  // Nothing for unknown ones.
  void Drop(ice::StreamId id);
  // Queues a packet for the stream of its path; it leaves in the loop's next
  // turn. False if there is no such stream. Dropped, and counted, beyond
  // `queue`.
  bool Send(const Datagram& packet);

  // Of all streams, those that are gone included.
  ice::PacketStreamStats stats() const;

 private:
  struct Link;
  struct Door;

  void Accept(Door& door);
  void Resume();
  void OnConnected(Link& link, absl::StatusOr<net::TcpStream> tcp);
  void Drive(Link& link, net::TcpStream tcp);
  void OnEvent(Link& link, ice::PacketStream::Event event);
  void Tell(Link& link, const absl::Status& why);
  void OnTurn();

  net::Loop& loop_;
  const PeerStreamOptions options_;
  PeerStreamHandlers handlers_;
  std::map<ice::StreamId, std::unique_ptr<Link>> links_;
  std::map<Path, Link*> by_path_;
  std::set<ice::StreamId> waiting_;  // With something to send, or over.
  std::map<net::TcpListener*, std::unique_ptr<Door>> doors_;
  ice::PacketStreamStats past_;  // Of streams that are gone.
  net::Alarm turn_;
  net::Alarm resume_;
};

// What joins the streams of `engine`, which has StreamConnected, StreamAccepted
// and StreamEnded as peer::Connection has, and `driver`.
template <typename E>
PeerStreamHandlers JoinPeerStreams(E& engine, net::Driver<E>& driver) {
  return {.on_connected =
              [&engine](ice::StreamId id, const TransportAddress& local) {
                engine.StreamConnected(net::Loop::Now(), id, local);
              },
          .on_accepted =
              [&engine](const Path& path) {
                return engine.StreamAccepted(net::Loop::Now(), path);
              },
          .on_packet =
              [&engine](const Datagram& packet) {
                engine.HandlePacket(net::Loop::Now(), packet);
              },
          .on_ended =
              [&engine](ice::StreamId id, const absl::Status& why) {
                engine.StreamEnded(net::Loop::Now(), id, why);
              },
          .on_turn = [&driver] { driver.Flush(); }};
}

}  // namespace kyuu::peer

#endif  // KYUU_PEER_PEER_STREAMS_H_
