// StreamPort: one TCP port for several protocols. It accepts, hears of proxies
// whom they bring, tells by the first byte who is there, and holds the limits
// that stand before any protocol.

#ifndef KYUU_NET_STREAM_PORT_H_
#define KYUU_NET_STREAM_PORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/counters.h"
#include "base/histogram.h"
#include "base/shares.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace kyuu::net {

// What a stream begins with, as RFC 7983 tells datagrams apart.
enum class StreamKind : uint8_t {
  kTls,    // 0x16, a handshake record.
  kHttp,   // A letter, as all methods begin with one.
  kTurn,   // 0x00..0x03 STUN, 0x40..0x4f ChannelData (RFC 8656 section 12.4).
           // The letters A to O are no channels that kyuu's clients use.
  kOther,  // None of these.
};
StreamKind KindOf(uint8_t first_byte);

struct StreamPortOptions {
  // Open streams: those that have not said anything yet, and those handed out
  // whose permit lives. What a process may open divides them: net/limits.h.
  size_t max_streams = 12'000;
  // Of one source: an IPv4 address or an IPv6 /64.
  size_t max_streams_per_source = 3'000;
  // Sources without such a share: proxies, behind which are many.
  std::vector<IpPrefix> shared_sources;
  // Proxies that say whose connection each is, before all else, by a header of
  // the PROXY protocol (net/proxy/proxy_header.h). One of them that does not,
  // or not in first_byte_timeout, is refused. Whoever is told counts for its
  // own source. The stream's path is between the client and what it has
  // reached. Such a header of anybody else is refused at its first bytes.
  std::vector<IpPrefix> header_sources;
  // From the accept to the first byte, and again to the first byte inside TLS.
  absl::Duration first_byte_timeout = absl::Seconds(10);
  // Accepts per listener and wake-up.
  size_t accepts_per_turn = 64;
  // How long no connection is accepted when none can be had for want of
  // descriptors or memory: at first, and when it goes on.
  absl::Duration pause_min = absl::Milliseconds(10);
  absl::Duration pause_max = absl::Milliseconds(100);
  // With it, TLS is taken off and the first byte inside tells the kind. Without
  // it, TLS is a kind like others.
  std::optional<TlsContext> tls;
};

struct StreamPortStats {
  uint64_t accepted = 0;        // Handed out.
  uint64_t refused_full = 0;    // At max_streams; reset.
  uint64_t refused_source = 0;  // At max_streams_per_source; reset.
  uint64_t refused_header = 0;  // A proxy's header that is none; reset.
  uint64_t unasked_header = 0;  // A header of whom none is asked of; reset.
  uint64_t proxied = 0;         // Whose proxy has sent one.
  uint64_t unwatched = 0;       // The kernel watches no more; reset.
  uint64_t silent = 0;          // Said nothing in time, or left.
  uint64_t exhausted = 0;       // Times that accepting paused.

  static constexpr Counter<StreamPortStats> kCounters[] = {
      KYUU_COUNTER(StreamPortStats, accepted),
      KYUU_COUNTER(StreamPortStats, refused_full),
      KYUU_COUNTER(StreamPortStats, refused_source),
      KYUU_COUNTER(StreamPortStats, refused_header),
      KYUU_COUNTER(StreamPortStats, unasked_header),
      KYUU_COUNTER(StreamPortStats, proxied),
      KYUU_COUNTER(StreamPortStats, unwatched),
      KYUU_COUNTER(StreamPortStats, silent),
      KYUU_COUNTER(StreamPortStats, exhausted)};
};
static_assert(Countable<StreamPortStats>);

// Why somebody was not let in.
enum class StreamRefusal : uint8_t {
  kTotal,
  kSource,
  kHeader,         // Its proxy has not said whose it is.
  kUnaskedHeader,  // It says whose it is, and is no proxy of ours.
  kUnwatched,
  kExhausted,
};

class StreamPort;

// StreamPermit is the place that a stream takes among those of its port and
// its source; it is given back when the permit goes. The port must outlive it.
class StreamPermit {
 public:
  StreamPermit(StreamPermit&& other) noexcept
      : port_(std::exchange(other.port_, nullptr)), source_(other.source_) {}
  StreamPermit& operator=(StreamPermit&&) = delete;
  ~StreamPermit();

 private:
  friend class StreamPort;
  StreamPermit(StreamPort* port, std::optional<Source> source)
      : port_(port), source_(source) {}

  StreamPort* port_;
  std::optional<Source> source_;  // Whose share it counts for.
};

// A stream that has said its first byte, which is still to be read: all that
// was read of it was put back (Stream::has_pending).
struct AcceptedStream {
  Stream stream;
  StreamKind kind;
  StreamPermit permit;
  // Of the stream: for whoever goes on with it on the port's loop (Watch::Take)
  // and is to go before the handler returns.
  std::optional<Watch> watch;
};

// StreamPort lives on one loop. Its handlers must not destroy it.
class StreamPort {
 public:
  using Handler = absl::AnyInvocable<void(AcceptedStream)>;
  // For logs; `from` is the unspecified address if nobody knows.
  using RefusalHandler =
      absl::AnyInvocable<void(StreamRefusal, const TransportAddress& from)>;

  StreamPort(Loop& loop, std::vector<TcpListener> listeners,
             StreamPortOptions options, Handler on_stream,
             RefusalHandler on_refusal);
  ~StreamPort();
  StreamPort(const StreamPort&) = delete;
  StreamPort& operator=(const StreamPort&) = delete;

  // Connections from now on use `tls` instead of StreamPortOptions::tls:
  // certificates were renewed. Only for a port that had one.
  void SetTls(TlsContext tls) { options_.tls = std::move(tls); }

  size_t open_streams() const { return open_; }
  const StreamPortStats& stats() const { return stats_; }
  // How long handshakes of TLS took that came to an end, in seconds: some round
  // trips and our part.
  static constexpr double kHandshakeSeconds[] = {1e-3, 3e-3, 0.01, 0.03, 0.1,
                                                 0.3,  1,    3,    10};
  const Histogram& handshake_times() const { return handshake_times_; }

 private:
  friend class StreamPermit;
  // One of which nothing was heard yet.
  struct Newcomer;
  struct Door;

  void Accept(Door& door);
  void Admit(TcpStream tcp);
  void Refuse(StreamRefusal why, TcpStream tcp);
  void Refuse(StreamRefusal why, Newcomer& newcomer);
  // Takes a share of the source of `ip`; false if it has none left.
  bool TakeShare(const IpAddress& ip, std::optional<Source>& source);
  void Listen(Newcomer& newcomer);
  // The same, of one that speaks TLS.
  void ListenInside(Newcomer& newcomer);
  // Takes the proxy's header from the front of `bytes`. False if the newcomer
  // is still to send a part of it, or is gone.
  bool HearProxy(Newcomer& newcomer, absl::Span<const uint8_t>& bytes);
  // Whether a stream that begins with `bytes` may be handed out. If not, they
  // are kept and more is waited for, or it is gone: it has begun with a proxy's
  // header.
  bool MayPass(Newcomer& newcomer, absl::Span<const uint8_t> bytes);
  void HandOut(Newcomer& newcomer, StreamKind kind);
  void WrapInTls(Newcomer& newcomer);
  void Pause();
  void Resume();

  Loop& loop_;
  StreamPortOptions options_;
  Handler on_stream_;
  RefusalHandler on_refusal_;
  size_t open_ = 0;
  Shares shares_;
  StreamPortStats stats_;
  Histogram handshake_times_{kHandshakeSeconds};
  std::vector<std::unique_ptr<Door>> doors_;
  absl::flat_hash_map<Newcomer*, std::unique_ptr<Newcomer>> newcomers_;
  absl::Duration pause_;
  Alarm resume_alarm_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_STREAM_PORT_H_
