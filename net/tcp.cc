#include "net/tcp.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "net/internal/sockaddr.h"

namespace kyuu::net {
namespace {

using internal::SetOption;
using internal::SocketAddress;

TransportAddress PeerOf(int fd) {
  SocketAddress address{};
  socklen_t size = sizeof address;
  if (getpeername(fd, &address.any, &size) != 0) return {};
  return internal::FromSockaddr(&address.any);
}

}  // namespace

absl::StatusOr<TcpStream> TcpStream::Connect(const TransportAddress& remote,
                                             const StreamOptions& options) {
  const std::string what = absl::StrCat("tcp ", remote.ToString());
  SocketAddress address;
  const socklen_t size = internal::ToSockaddr(remote, address);
  if (size == 0) {
    return absl::InvalidArgumentError("tcp: an address to connect is needed");
  }
  Fd fd(socket(address.any.sa_family,
               SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd.valid()) return internal::ErrnoStatus(errno, what);
  const bool connected = connect(fd.get(), &address.any, size) == 0;
  if (!connected && errno != EINPROGRESS) {
    return internal::ErrnoStatus(errno, what);
  }
  const Path path{internal::LocalAddressOf(fd.get()), remote, Transport::kTcp};
  TcpStream stream(std::move(fd), path, options);
  stream.connecting_ = !connected;
  return stream;
}

TcpStream::TcpStream(Fd fd, const Path& path, const StreamOptions& options)
    : fd_(std::move(fd)), path_(path), options_(options) {
  // Messages are written whole; waiting to merge them only adds delay.
  const int on = 1;
  SetOption(fd_.get(), IPPROTO_TCP, TCP_NODELAY, on);
}

void TcpStream::Fail(int error) {
  if (!status_.ok()) return;
  status_ = internal::ErrnoStatus(
      error, absl::StrCat("tcp ", path_.remote.ToString()));
  pending_.clear();
  sent_ = 0;
}

ReadResult TcpStream::Read(absl::Span<uint8_t> out) {
  while (status_.ok()) {
    const ssize_t n = recv(fd_.get(), out.data(), out.size(), 0);
    if (n > 0) return {ReadState::kData, static_cast<size_t>(n)};
    if (n == 0) return {ReadState::kEnd, 0};
    // A socket that is still connecting answers EAGAIN.
    if (errno == EAGAIN) return {ReadState::kWouldBlock, 0};
    if (errno != EINTR) Fail(errno);
  }
  return {ReadState::kFailed, 0};
}

std::optional<uint8_t> TcpStream::PeekByte() const {
  uint8_t byte = 0;
  if (recv(fd_.get(), &byte, 1, MSG_PEEK) != 1) return std::nullopt;
  return byte;
}

// Sends from the front of `bytes` until all is sent or the socket blocks, and
// adds to `sent`. False if the connection has failed.
bool TcpStream::TrySend(absl::Span<const uint8_t> bytes, size_t& sent) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      connecting_ = false;
      sent += static_cast<size_t>(n);
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN || (connecting_ && errno == ENOTCONN)) {
      return true;
    } else if (errno != EINTR) {
      Fail(errno);
      return false;
    }
  }
  return true;
}

absl::Status TcpStream::Write(absl::Span<const uint8_t> bytes) {
  if (!status_.ok()) return status_;
  if (ending_) {
    return absl::FailedPreconditionError("tcp: written to after its end");
  }
  if (bytes.size() > write_space()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("tcp ", path_.remote.ToString(), ": ", buffered(),
                     " bytes wait to be read by the peer"));
  }
  size_t sent = 0;
  if (buffered() == 0 && !TrySend(bytes, sent)) return status_;
  bytes.remove_prefix(sent);
  if (!bytes.empty()) {
    // What was sent goes once it is the larger part, so that bytes move a
    // bounded number of times.
    if (sent_ > pending_.size() / 2) {
      pending_.erase(0, sent_);
      sent_ = 0;
    }
    pending_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return absl::OkStatus();
}

void TcpStream::Flush() {
  if (!status_.ok()) return;
  const absl::Span<const uint8_t> rest = absl::MakeConstSpan(
      reinterpret_cast<const uint8_t*>(pending_.data()) + sent_, buffered());
  if (connecting_) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Fail(error);
    if (PeerOf(fd_.get()).port == 0) return;
    connecting_ = false;
  }
  if (!TrySend(rest, sent_)) return;
  if (buffered() > 0) return;
  pending_.clear();
  sent_ = 0;
  if (ending_ && !shut_) {
    shut_ = true;
    shutdown(fd_.get(), SHUT_WR);
  }
}

void TcpStream::ShutdownWrite() {
  ending_ = true;
  Flush();
}

Interest TcpStream::interest() const {
  return connecting_ || buffered() > 0 ? Interest::kReadWrite : Interest::kRead;
}

absl::StatusOr<TcpListener> TcpListener::Open(const Options& options) {
  const std::string what = absl::StrCat("tcp ", options.bind.ToString());
  SocketAddress address;
  const socklen_t size = internal::ToSockaddr(options.bind, address);
  if (size == 0) {
    return absl::InvalidArgumentError("tcp: an address to bind is needed");
  }
  Fd fd(socket(address.any.sa_family,
               SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd.valid()) return internal::ErrnoStatus(errno, what);
  const int on = 1;
  // Without it a restart fails for as long as old connections linger.
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, on);
  if (options.bind.ip.is_v6()) SetOption(fd.get(), SOL_IPV6, IPV6_V6ONLY, on);
  if (options.reuse_port) SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, on);
  if (bind(fd.get(), &address.any, size) != 0 ||
      listen(fd.get(), options.backlog) != 0) {
    return internal::ErrnoStatus(errno, what);
  }
  const TransportAddress local = internal::LocalAddressOf(fd.get());
  return TcpListener(std::move(fd), local, options);
}

TcpListener::TcpListener(Fd fd, const TransportAddress& local,
                         const Options& options)
    : fd_(std::move(fd)),
      spare_(open("/dev/null", O_RDONLY | O_CLOEXEC)),
      local_(local),
      stream_options_(options.stream) {}

std::optional<TcpStream> TcpListener::Accept() {
  while (true) {
    SocketAddress address{};
    socklen_t size = sizeof address;
    Fd fd(
        accept4(fd_.get(), &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      const Path path{internal::LocalAddressOf(fd.get()),
                      internal::FromSockaddr(&address.any), Transport::kTcp};
      return TcpStream(std::move(fd), path, stream_options_);
    }
    if (errno == EMFILE || errno == ENFILE) {
      if (!spare_.valid()) return std::nullopt;
      ++refused_;
      spare_.Close();
      Fd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)).Close();
      spare_ = Fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
      continue;
    }
    if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) {
      return std::nullopt;
    }
  }
}

}  // namespace kyuu::net
