// ServerStreams: the TCP and TLS connections, and the DTLS sessions, to STUN
// and TURN servers of one connection, on a loop.

#ifndef KYUU_PEER_SERVER_STREAMS_H_
#define KYUU_PEER_SERVER_STREAMS_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "dtls/authorities.h"
#include "ice/gatherer_types.h"
#include "net/drive.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/stream_options.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "turn/message_stream.h"

namespace kyuu::peer {

struct ServerStreamOptions {
  // PEM file of the authorities that may vouch for servers (turns:); empty for
  // the system's.
  std::string ca_file;
  // Bounds on what waits for a slow stream; `pieces` follows the protocol.
  turn::MessageStreamOptions queue;
  // Bytes that the kernel may hold unsent beside it (TCP_NOTSENT_LOWAT).
  uint32_t unsent_bytes = 16 * 1024;
};

// What is told of streams, from the loop.
struct ServerStreamHandlers {
  absl::AnyInvocable<void(ice::StreamId, const TransportAddress& local)>
      on_connected;
  // A whole message, along Path{local, server, ice::TransportTo(protocol)}.
  absl::AnyInvocable<void(const Datagram&)> on_message;
  // It could not be connected, or has ended: not by Drop().
  absl::AnyInvocable<void(ice::StreamId, const absl::Status&)> on_ended;
  // After some of the others: time to see what follows from them. It may
  // destroy the ServerStreams; the others may not.
  absl::AnyInvocable<void()> on_turn;
};

// ServerStreams does what an engine's StreamWanted and StreamUnwanted ask for.
// TLS offers the protocol `stun.turn` (RFC 7443) and names the host (SNI).
class ServerStreams {
 public:
  // `loop` must outlive it.
  ServerStreams(net::Loop& loop, ServerStreamOptions options,
                ServerStreamHandlers handlers);
  // Ends all, at once.
  ~ServerStreams();
  ServerStreams(const ServerStreams&) = delete;
  ServerStreams& operator=(const ServerStreams&) = delete;

  void Open(const ice::StreamWanted& wanted);
  // Ends the stream when what it was given has left, or its peer is too slow;
  // at once, by a reset, if it is from a port of ours (StreamWanted::from).
  void Drop(ice::StreamId id);
  // Queues a message for the stream of its path; it leaves in the loop's next
  // turn, by DTLS at once. Dropped, and counted, beyond `queue`, or if there is
  // none.
  void Send(const Datagram& message);

  // Of all streams, those that are gone included.
  turn::MessageStreamStats stats() const;

 private:
  struct Link;

  void OpenSession(Link& link);
  void FailLater(Link& link, const absl::Status& why);
  void OnConnected(Link& link, absl::StatusOr<net::TcpStream> tcp);
  void OnEvent(Link& link, turn::MessageStream::Event event);
  absl::StatusOr<net::Stream> Secured(const Link& link, net::TcpStream tcp);
  void Tell(Link& link, const absl::Status& why);
  void OnTurn();

  net::Loop& loop_;
  const ServerStreamOptions options_;
  ServerStreamHandlers handlers_;
  std::map<std::string, net::TlsContext> tls_;    // By the server's name.
  std::optional<dtls::Authorities> authorities_;  // Once one is asked for.
  std::map<ice::StreamId, std::unique_ptr<Link>> links_;
  std::map<Path, Link*> by_path_;
  std::set<ice::StreamId> waiting_;  // With something to send, or over.
  turn::MessageStreamStats past_;    // Of streams that are gone.
  net::Alarm turn_;
};

// What joins the streams of `engine`, which has StreamConnected and StreamEnded
// as peer::Connection has, and `driver`.
template <typename E>
ServerStreamHandlers JoinStreams(E& engine, net::Driver<E>& driver) {
  return {.on_connected =
              [&engine](ice::StreamId id, const TransportAddress& local) {
                engine.StreamConnected(net::Loop::Now(), id, local);
              },
          .on_message =
              [&engine](const Datagram& message) {
                engine.HandlePacket(net::Loop::Now(), message);
              },
          .on_ended =
              [&engine](ice::StreamId id, const absl::Status& why) {
                engine.StreamEnded(net::Loop::Now(), id, why);
              },
          .on_turn = [&driver] { driver.Flush(); }};
}

}  // namespace kyuu::peer

#endif  // KYUU_PEER_SERVER_STREAMS_H_
