// TcpListener and TcpStream: non-blocking TCP.

#ifndef KYUU_NET_TCP_H_
#define KYUU_NET_TCP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "net/fd.h"
#include "net/loop.h"

namespace kyuu::net {

// What a read found. kEnd is the peer's orderly end of its direction; kFailed
// leaves the reason in the stream's status().
enum class ReadState : uint8_t { kData, kWouldBlock, kEnd, kFailed };
struct ReadResult {
  ReadState state = ReadState::kWouldBlock;
  size_t bytes = 0;  // Only with kData, and then positive.
};

struct StreamOptions {
  // Bytes that may wait for a peer that does not read. A writer that would
  // exceed them is refused: a slow reader must not cost the server memory.
  size_t write_buffer_bytes = 1 << 20;
  // Bytes that the kernel takes ahead of what the network does
  // (TCP_NOTSENT_LOWAT): without a limit it keeps megabytes for a peer that
  // does not read, beside our own buffer. Two large TLS records and more keep
  // a fast path busy until we are called again.
  uint32_t unsent_bytes = 64 * 1024;
};

// TcpStream is one connection. TlsStream has the same members, so code may be
// written for both as a template. Watch fd() with interest(), call Flush() when
// it is writable and Read() when it is readable.
class TcpStream {
 public:
  // Starts to connect; the stream may be written to at once. A connection that
  // fails shows in the first Read().
  static absl::StatusOr<TcpStream> Connect(const TransportAddress& remote,
                                           const StreamOptions& options = {});
  // The same from `local`, where a TcpListener with `lend_address` may listen.
  // Only one connection of it to `remote` can be.
  static absl::StatusOr<TcpStream> ConnectFrom(
      const TransportAddress& local, const TransportAddress& remote,
      const StreamOptions& options = {});
  TcpStream(Fd fd, const Path& path, const StreamOptions& options = {});
  // One that was accepted: the kernel has given it the listener's options.
  static TcpStream Accepted(Fd fd, const Path& path,
                            const StreamOptions& options);
  TcpStream(TcpStream&&) = default;
  TcpStream& operator=(TcpStream&&) = default;

  int fd() const { return fd_.get(); }
  const Path& path() const { return path_; }
  // Between whom a proxy has said that it is (net/proxy/proxy_header.h).
  void SetEnds(const TransportAddress& local, const TransportAddress& remote) {
    path_.local = local;
    path_.remote = remote;
  }

  ReadResult Read(absl::Span<uint8_t> out);
  // Puts back what was read, for the next owner to read again, before all else.
  // Only once, until that is done.
  void Unread(absl::Span<const uint8_t> bytes);
  // Bytes were put back, which the descriptor does not show: read on.
  bool has_pending() const { return unread_ != nullptr; }

  // Takes all of `bytes` (sends what it can now, keeps the rest) or nothing:
  // RESOURCE_EXHAUSTED when the write buffer would overflow,
  // FAILED_PRECONDITION after ShutdownWrite(), the stream's status() if it has
  // failed.
  absl::Status Write(absl::Span<const uint8_t> bytes);
  // Sends what is kept. A failure shows in status() and in Read().
  void Flush();
  // What is written from now on waits for Flush(): many small pieces then leave
  // by one system call.
  void Cork() { corked_ = true; }
  // Ends our direction once everything written has been sent; reading goes on.
  void ShutdownWrite();
  // Gives the descriptor back; what the kernel has taken still leaves. Watches
  // of fd() go first.
  void Close() { fd_.Close(); }
  // Ends both directions at once by a reset (RFC 9293 section 3.10.7.4):
  // whatever is kept, here or in the kernel, is thrown away. Watches of fd() go
  // first.
  void Cut();

  // Bytes that one Write() would take now.
  size_t write_space() const {
    return options_.write_buffer_bytes - buffered();
  }
  // Bytes written but not taken by the kernel yet.
  size_t buffered() const { return pending_.size() - sent_; }
  // Bytes that the kernel has taken, in all: a stream that has progress to show
  // has a peer that reads.
  uint64_t taken_bytes() const { return taken_bytes_; }
  // Bytes that the kernel has taken and the peer has not acknowledged.
  size_t unacknowledged() const;
  // What to watch for: always reading, and writing while something waits.
  Interest interest() const;
  // Why the connection failed; OK as long as it has not.
  const absl::Status& status() const { return status_; }

 private:
  TcpStream() = default;
  static absl::StatusOr<TcpStream> Begin(Fd fd, const TransportAddress& remote,
                                         const StreamOptions& options);
  void Fail(int error);
  ReadResult TakeUnread(absl::Span<uint8_t> out);
  bool TrySend(absl::Span<const uint8_t> bytes, size_t& sent);

  Fd fd_;
  Path path_;
  StreamOptions options_;
  std::unique_ptr<std::string> unread_;  // Hardly anybody has some.
  std::string pending_;                  // [sent_, size()) waits.
  size_t sent_ = 0;
  uint64_t taken_bytes_ = 0;
  bool connecting_ = false;
  bool corked_ = false;
  bool ending_ = false;  // ShutdownWrite() was called.
  bool shut_ = false;    // ... and done.
  bool reset_ = false;   // By the peer.
  absl::Status status_;
};

// What a listener has seen.
struct AcceptStats {
  uint64_t accepted = 0;
  uint64_t broken = 0;     // Gone before they were accepted.
  uint64_t shed = 0;       // Closed unread for want of descriptors.
  uint64_t exhausted = 0;  // Times that Accept() gave up.
};

// TcpListener accepts connections.
class TcpListener {
 public:
  struct Options {
    TransportAddress bind;  // Port 0: the kernel chooses.
    bool reuse_port = false;
    bool await_address = false;  // As UdpOptions'.
    bool lend_address = false;   // For TcpStream::ConnectFrom().
    int backlog = 1024;          // Capped by net.core.somaxconn.
    StreamOptions stream;
  };
  // ALREADY_EXISTS if the address is in use; see UdpSocket::Open.
  static absl::StatusOr<TcpListener> Open(const Options& options);
  // A socket that listens already, not of TCP perhaps (net/unix_socket.h).
  static TcpListener Adopt(Fd fd, const StreamOptions& stream) {
    return TcpListener(std::move(fd), {}, {.bind = {}, .stream = stream});
  }

  int fd() const { return fd_.get(); }
  const TransportAddress& local() const { return local_; }

  // The next connection; nullopt if none can be had now: then either none
  // waits, or exhausted() is true.
  //
  // Every errno of accept4 ends the call. Connections that broke while they
  // waited (ECONNABORTED, EPROTO, EPERM and what accept(2) names beside them)
  // are stepped over. Without descriptors (EMFILE, ENFILE; Linux says so before
  // it looks at the queue) what waits is closed, so that clients learn of it.
  std::optional<TcpStream> Accept();
  // True if the last Accept() failed for want of descriptors or memory, or for
  // a reason that no further call mends: the listener stays readable, so stop
  // watching it for some 10 to 100 ms.
  bool exhausted() const { return exhausted_; }
  const AcceptStats& stats() const { return stats_; }

 private:
  enum class Outcome : uint8_t { kEmpty, kBroken, kNoDescriptor, kExhausted };

  TcpListener(Fd fd, const TransportAddress& local, const Options& options);
  static Outcome Classify(int error);
  void Shed();

  Fd fd_;
  Fd spare_;  // Given up for a moment to close a connection we cannot take.
  TransportAddress local_;
  StreamOptions stream_options_;
  bool exhausted_ = false;
  AcceptStats stats_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_TCP_H_
