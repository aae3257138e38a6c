// UdpSocket: UDP in batches and trains.
//
// A train is a run of equal-size datagrams (the last may be shorter) between
// the same two addresses. The kernel hands trains up in one piece (UDP_GRO) and
// takes them in one piece (UDP_SEGMENT), so that its network stack is walked
// once per train instead of once per datagram. That is where the time goes:
// a datagram costs 0.5 us to receive alone and 0.05 us in a train of 32.

#ifndef KYUU_NET_UDP_SOCKET_H_
#define KYUU_NET_UDP_SOCKET_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/compact_time.h"
#include "base/counters.h"
#include "base/sparse_counters.h"
#include "net/fd.h"
#include "net/train.h"

namespace kyuu::net {

// ReceiveBuffer is the memory that UdpSocket::Receive fills. It is large
// (1 MiB of address space, touched only as far as used), so one serves all the
// sockets of a loop.
class ReceiveBuffer {
 public:
  // Trains per Receive. More do not make a datagram cheaper (measured at 8 and
  // 32).
  static constexpr size_t kTrains = 16;

  ReceiveBuffer();
  ~ReceiveBuffer();

 private:
  friend class UdpSocket;
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

// How a socket is opened.
struct UdpOptions {
  // The address to bind. Port 0 lets the kernel choose one. IPv6 sockets take
  // IPv6 only.
  TransportAddress bind;
  // SO_REUSEPORT: several sockets share the address, the kernel spreads remote
  // addresses over them.
  bool reuse_port = false;
  // The address need not be this machine's yet (IP_FREEBIND): what comes to it
  // once it is, comes here. For listeners that are started before the network.
  bool await_address = false;
  // Bytes asked of the kernel for each direction. A burst of 1 MB, a video key
  // frame, has to fit while the loop is busy. The kernel may grant less.
  int buffer_bytes = 4 << 20;
  // Whether to use trains, where the kernel can.
  bool offload = true;
  // How long trains that a route has refused go datagram by datagram. Routes
  // change; a verdict that stays would outlive them.
  absl::Duration train_retry = absl::Seconds(5);
  // Whether to set the don't-fragment bit and refuse to send what exceeds the
  // path's MTU.
  bool dont_fragment = false;
  // Whether errors about what was sent wait for TakeErrors().
  enum class Errors : uint8_t { kCount, kKeep };
  Errors errors = Errors::kCount;
  // When the kernel is told what is about datagrams only, in up to ten calls:
  // at once, or before the first is sent or taken, for sockets of which many
  // never have any. Until then buffers are the system's default.
  enum class Setup : uint8_t { kAtOnce, kAtFirstUse };
  Setup setup = Setup::kAtOnce;
};

// What a router or host has said by ICMP of a datagram that was sent, or our
// own host of one that is larger than its interface takes (as if by ICMP).
struct SendError {
  TransportAddress remote;  // Where it was sent.
  uint8_t type = 0;         // Of ICMP, or of ICMPv6 if `remote` is of IPv6.
  uint8_t code = 0;
  uint32_t mtu = 0;  // Of "too big": what the next hop takes.
};

// What a socket has seen. All counters count datagrams unless they say else.
struct UdpStats {
  uint64_t received = 0;
  uint64_t received_trains = 0;     // Lone datagrams included.
  uint64_t received_truncated = 0;  // Larger than a buffer; dropped.
  uint64_t receive_errors = 0;      // ICMP errors reported by the kernel.
  uint64_t kernel_drops = 0;        // Lost for lack of space (SO_RXQ_OVFL).
  uint64_t sent = 0;
  uint64_t sent_trains = 0;  // Lone datagrams included.
  uint64_t would_block = 0;  // Times that the socket took no more.
  uint64_t send_errors = 0;  // Refused by the kernel and dropped.
  uint64_t gso_refused = 0;  // Trains sent one by one instead.

  static constexpr Counter<UdpStats> kCounters[] = {
      KYUU_COUNTER(UdpStats, received),
      KYUU_COUNTER(UdpStats, received_trains),
      KYUU_COUNTER(UdpStats, received_truncated),
      KYUU_COUNTER(UdpStats, receive_errors),
      KYUU_COUNTER(UdpStats, kernel_drops),
      KYUU_COUNTER(UdpStats, sent),
      KYUU_COUNTER(UdpStats, sent_trains),
      KYUU_COUNTER(UdpStats, would_block),
      KYUU_COUNTER(UdpStats, send_errors),
      KYUU_COUNTER(UdpStats, gso_refused)};
};
static_assert(Countable<UdpStats>);

// How far a Send came.
struct Sent {
  size_t trains = 0;    // Done with: sent, or refused for good and counted.
  size_t segments = 0;  // Sent of the train after those.
};

// UdpSocket is a non-blocking UDP socket. Wait for readiness with a Watch on
// fd(). Nothing the network does makes it fail: errors of single datagrams are
// counted.
class UdpSocket {
 public:
  // Segments in one train, and bytes in one: what Linux takes (UDP_MAX_SEGMENTS
  // before 6.7, and the largest UDP payload over IPv4).
  static constexpr size_t kMaxTrainSegments = 64;
  static constexpr size_t kMaxTrainBytes = 65507;

  // ALREADY_EXISTS if the address is in use; INVALID_ARGUMENT, NOT_FOUND or
  // PERMISSION_DENIED if it cannot be bound.
  static absl::StatusOr<UdpSocket> Open(const UdpOptions& options);

  UdpSocket(UdpSocket&&) = default;
  UdpSocket& operator=(UdpSocket&&) = default;

  int fd() const { return fd_.get(); }
  // The bound address, with the real port.
  const TransportAddress& local() const { return local_; }
  UdpStats stats() const { return stats_.Get(); }

  // Hears of `remote` alone from now on (connect(2)), so that the kernel can
  // say when its host refuses what was sent. May be called again, for another.
  // INVALID_ARGUMENT for an address of another family.
  absl::Status Connect(const TransportAddress& remote);
  // The one that it is connected to; unspecified for others.
  TransportAddress remote() const {
    return connected_ ? connected_->remote : TransportAddress();
  }

  // Has Setup::kAtFirstUse end here, for who does not send and receive by this.
  void SetUp();

  // Replaces UdpOptions::buffer_bytes.
  void SetBufferBytes(int bytes);

  // How much of the room for what waits to be received is taken, from 0 to 1:
  // beyond that the kernel drops. 0 if it does not say.
  double Fullness() const;
  // How many it has dropped, as far as what was received tells; wraps.
  uint32_t dropped() const { return overflow_; }

  // Receives up to ReceiveBuffer::kTrains trains; empty when nothing is there.
  // The views live in `buffer` until its next use.
  absl::Span<const Train> Receive(ReceiveBuffer& buffer);

  // What the host of remote() has said by ICMP since the last call: UNAVAILABLE
  // for a port where nobody listens. Always OK without a remote(), as nobody
  // knows whose datagram it was about.
  absl::Status TakeRefusal() {
    return connected_ ? std::exchange(connected_->refusal, absl::OkStatus())
                      : absl::OkStatus();
  }

  // Takes the oldest errors that Errors::kKeep has kept, as many as `out` has
  // room for, and returns how many. While there are any, a Watch on fd() finds
  // it readable and writable.
  size_t TakeErrors(absl::Span<SendError> out);

  // Sends trains in as few system calls as it can. All are done with unless
  // the socket would block: then the rest stays with the caller, to be sent
  // again (from `segments` on) when the socket is writable, or dropped.
  Sent Send(absl::Span<const OutTrain> trains);
  // Sends one datagram; false if the socket would block.
  bool SendOne(const Path& path, absl::Span<const uint8_t> bytes,
               const IpMarks& marks = {});

 private:
  UdpSocket(Fd fd, const TransportAddress& local, const UdpOptions& options);

  enum class Outcome : uint8_t { kSent, kBlocked, kRefused, kAgain };

  // Notes an error that is about what was sent before.
  void NoteRefusal(int error);
  // `header` is a msghdr.
  void ReadControl(const void* header, Train& train);
  Outcome Classify(int error);
  bool IsEarlier(int error);
  void SetDontFragment(bool wanted);
  // A train that its route does not take: what is learnt holds for that
  // destination alone, since other clients are reached by the same socket.
  struct Refusal {
    IpAddress ip;
    size_t segment_bytes = 0;  // The smallest refused; 0: any.
    absl::Time until;
  };
  static constexpr size_t kRefusals = 8;
  // Of one that hears one host alone.
  struct Connected {
    TransportAddress remote;
    absl::Status refusal;
  };
  // Whether `error` says so; notes it then.
  bool IsTrainRefusal(int error, const OutTrain& train);
  bool MayTrain(const OutTrain& train);
  Outcome SendParts(const OutTrain& train, size_t part_bytes, size_t& offset);
  bool SendLong(const OutTrain& train, Sent& done);
  bool AfterError(int error, const OutTrain& train, size_t segments,
                  Sent& done);

  Fd fd_;
  TransportAddress local_;
  std::unique_ptr<Connected> connected_;
  bool wildcard_;
  bool set_up_ = false;
  bool offload_;
  bool gso_ = false;  // The kernel can, and shall.
  UdpOptions::Errors errors_;
  int buffer_bytes_;
  int earlier_error_ = 0;  // What IsEarlier() took for one since the last
                           // datagram that has left.
  bool always_whole_;      // UdpOptions::dont_fragment.
  bool whole_;             // The don't-fragment bit is set now.
  uint32_t overflow_ = 0;
  CompactDuration train_retry_;
  // At most kRefusals, the oldest first; null while there are none.
  std::unique_ptr<std::vector<Refusal>> refusals_;
  SparseCounters<UdpStats> stats_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_UDP_SOCKET_H_
