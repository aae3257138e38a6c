// What stands for the WebSocket of a SignalingLink where none gets through: a
// stream of events, and posts, on two TCP or TLS streams.

#ifndef KYUU_TOOLS_KYUU_EVENT_LINK_H_
#define KYUU_TOOLS_KYUU_EVENT_LINK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "net/connect.h"
#include "net/loop.h"
#include "net/stream_driver.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "signaling/client_connection.h"
#include "signaling/events/event_source.h"
#include "signaling/events/poster.h"

namespace kyuu::tools {

// EventLink lives on one loop, and tells what a WebSocket would: opened,
// messages, and closed as the last. The handler must not destroy it.
class EventLink {
 public:
  using Event = signaling::ClientConnection::Event;
  using Handler = absl::AnyInvocable<void(Event)>;

  // The URLs of events and posts beside that of a WebSocket; nothing if that is
  // not signaling::kSignalingPath in some folder of the host.
  struct Urls {
    signaling::WebSocketUrl events;
    signaling::WebSocketUrl posts;
  };
  static std::optional<Urls> UrlsBeside(const signaling::WebSocketUrl& url);

  // `server` is where all of it goes: another address of the same name may be
  // another server, which does not know the stream. `tls`, if it is not null,
  // and `loop` must outlive the link.
  EventLink(net::Loop& loop, Urls urls, const TransportAddress& server,
            const net::TlsContext* tls, Handler handler);
  ~EventLink();

  // Behind WebSocketOpened; Flush() afterwards sends it.
  void Send(std::string message);
  void Flush();
  // Says goodbye behind all that was said, and tells nothing more but `done`,
  // once, within 2 s. `done` must not destroy the link.
  void Close(uint16_t code, absl::AnyInvocable<void()> done);
  // Gives both streams up without a word, and tells nothing more.
  void Drop();

 private:
  // One engine on the streams that it wants, one at a time.
  template <typename Engine>
  struct Line {
    std::optional<net::Connector> connector;
    std::optional<net::StreamDriver<Engine>> driver;
  };

  void ConnectEvents();
  void ConnectPosts();
  net::Stream StreamOf(net::TcpStream tcp) const;
  void OnSource(signaling::EventSource::Event event);
  void OnPoster(signaling::Poster::Event event);
  // Sends what the poster has to say, and hears it where no stream does.
  void PumpPoster();
  // It is over: `closed` is told, unless Close() or Drop() came before.
  void End(signaling::WebSocketClosed closed);
  void Done();

  net::Loop& loop_;
  const Urls urls_;
  const TransportAddress server_;
  const net::TlsContext* const tls_;
  Handler handler_;
  absl::AnyInvocable<void()> done_;  // Of Close(), until it was called.
  net::StreamBuffer buffer_;
  std::optional<signaling::EventSource> source_;
  std::optional<signaling::Poster> poster_;
  Line<signaling::EventSource> events_;
  Line<signaling::Poster> posts_;
  net::Alarm poster_alarm_;   // Its timers, while it has no stream.
  net::Alarm goodbye_alarm_;  // The goodbye takes too long.
  bool closed_ = false;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_EVENT_LINK_H_
