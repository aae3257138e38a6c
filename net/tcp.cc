#include "net/tcp.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "net/internal/sockaddr.h"

namespace kyuu::net {
namespace {

using internal::SetOption;
using internal::SocketAddress;

// Calls made again after EINTR, which non-blocking sockets hardly know.
constexpr int kMaxInterruptions = 16;
// Broken connections that one Accept() steps over.
constexpr int kMaxBroken = 64;
// Waiting connections that one Accept() sheds: a queue is longer only if more
// come than a loop can close.
constexpr int kMaxShed = 256;

TransportAddress PeerOf(int fd) {
  SocketAddress address{};
  socklen_t size = sizeof address;
  if (getpeername(fd, &address.any, &size) != 0) return {};
  return internal::FromSockaddr(&address.any);
}

// Of a stream, or of a listener for all its streams.
void SetStreamOptions(int fd, const StreamOptions& options) {
  // Messages are written whole; waiting to merge them only adds delay.
  const int on = 1;
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, on);
  SetOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, options.unsent_bytes);
}

// A socket of the family of `address`.
absl::StatusOr<Fd> OpenSocket(const TransportAddress& address,
                              absl::string_view purpose) {
  SocketAddress any;
  if (internal::ToSockaddr(address, any) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("tcp: an address ", purpose, " is needed"));
  }
  Fd fd(socket(any.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
               IPPROTO_TCP));
  if (!fd.valid()) {
    return internal::ErrnoStatus(errno,
                                 absl::StrCat("tcp ", address.ToString()));
  }
  return fd;
}

}  // namespace

absl::StatusOr<TcpStream> TcpStream::Connect(const TransportAddress& remote,
                                             const StreamOptions& options) {
  KYUU_ASSIGN_OR_RETURN(Fd fd, OpenSocket(remote, "to connect"));
  return Begin(std::move(fd), remote, options);
}

absl::StatusOr<TcpStream> TcpStream::ConnectFrom(const TransportAddress& local,
                                                 const TransportAddress& remote,
                                                 const StreamOptions& options) {
  SocketAddress address;
  const socklen_t size = internal::ToSockaddr(local, address);
  KYUU_ASSIGN_OR_RETURN(Fd fd, OpenSocket(local, "to connect from"));
  // Both: others are connected from there, and one listens.
  const int on = 1;
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, on);
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, on);
  if (bind(fd.get(), &address.any, size) != 0) {
    return internal::ErrnoStatus(errno, absl::StrCat("tcp ", local.ToString()));
  }
  return Begin(std::move(fd), remote, options);
}

absl::StatusOr<TcpStream> TcpStream::Begin(Fd fd,
                                           const TransportAddress& remote,
                                           const StreamOptions& options) {
  const std::string what = absl::StrCat("tcp ", remote.ToString());
  SocketAddress address;
  const socklen_t size = internal::ToSockaddr(remote, address);
  if (size == 0) {
    return absl::InvalidArgumentError("tcp: an address to connect is needed");
  }
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
  SetStreamOptions(fd_.get(), options_);
}

TcpStream TcpStream::Accepted(Fd fd, const Path& path,
                              const StreamOptions& options) {
  TcpStream stream;
  stream.fd_ = std::move(fd);
  stream.path_ = path;
  stream.options_ = options;
  return stream;
}

void TcpStream::Fail(int error) {
  if (!status_.ok()) return;
  reset_ = error == ECONNRESET;
  status_ = internal::ErrnoStatus(
      error, absl::StrCat("tcp ", path_.remote.ToString()));
  pending_.clear();
  sent_ = 0;
}

void TcpStream::Unread(absl::Span<const uint8_t> bytes) {
  KYUU_CHECK(unread_ == nullptr);
  if (bytes.empty()) return;
  unread_ = std::make_unique<std::string>(AsText(bytes));
}

ReadResult TcpStream::TakeUnread(absl::Span<uint8_t> out) {
  const size_t bytes =
      unread_->copy(reinterpret_cast<char*>(out.data()), out.size());
  unread_->erase(0, bytes);
  if (unread_->empty()) unread_.reset();
  return {ReadState::kData, bytes};
}

ReadResult TcpStream::Read(absl::Span<uint8_t> out) {
  if (unread_ != nullptr && status_.ok()) return TakeUnread(out);
  for (int i = 0; status_.ok() && i < kMaxInterruptions; ++i) {
    const ssize_t n = recv(fd_.get(), out.data(), out.size(), 0);
    if (n > 0) return {ReadState::kData, static_cast<size_t>(n)};
    if (n == 0) return {ReadState::kEnd, 0};
    // A socket that is still connecting answers EAGAIN.
    if (errno == EAGAIN) return {ReadState::kWouldBlock, 0};
    if (errno != EINTR) Fail(errno);
  }
  return {status_.ok() ? ReadState::kWouldBlock : ReadState::kFailed, 0};
}

// Sends from the front of `bytes` until all is sent or the socket blocks, and
// adds to `sent`. False if the connection has failed.
bool TcpStream::TrySend(absl::Span<const uint8_t> bytes, size_t& sent) {
  for (int i = 0; !bytes.empty() && i < kMaxInterruptions;) {
    const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      connecting_ = false;
      sent += static_cast<size_t>(n);
      taken_bytes_ += static_cast<uint64_t>(n);
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (n == 0 || errno == EINTR) {
      ++i;
    } else if (errno == EAGAIN || (connecting_ && errno == ENOTCONN)) {
      return true;
    } else {
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
  if (buffered() == 0 && !corked_ && !TrySend(bytes, sent)) return status_;
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
  corked_ = false;
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
  pending_ = std::string();  // An idle stream keeps nothing.
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

void TcpStream::Cut() {
  if (!fd_.valid()) return;
  // Whom the peer has reset is as far already.
  if (!reset_) {
    const linger now{1, 0};
    SetOption(fd_.get(), SOL_SOCKET, SO_LINGER, now);
  }
  fd_.Close();
  Fail(ECONNABORTED);
}

size_t TcpStream::unacknowledged() const {
  int bytes = 0;
  return ioctl(fd_.get(), SIOCOUTQ, &bytes) == 0 && bytes > 0
             ? static_cast<size_t>(bytes)
             : 0;
}

Interest TcpStream::interest() const {
  return connecting_ || buffered() > 0 ? Interest::kReadWrite : Interest::kRead;
}

absl::StatusOr<TcpListener> TcpListener::Open(const Options& options) {
  const std::string what = absl::StrCat("tcp ", options.bind.ToString());
  SocketAddress address;
  const socklen_t size = internal::ToSockaddr(options.bind, address);
  KYUU_ASSIGN_OR_RETURN(Fd fd, OpenSocket(options.bind, "to bind"));
  const int on = 1;
  // Without it a restart fails for as long as old connections linger.
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, on);
  if (options.bind.ip.is_v6()) SetOption(fd.get(), SOL_IPV6, IPV6_V6ONLY, on);
  if (options.reuse_port) SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, on);
  if (options.await_address) internal::AwaitAddress(fd.get());
  if (bind(fd.get(), &address.any, size) != 0 ||
      listen(fd.get(), options.backlog) != 0) {
    return internal::ErrnoStatus(errno, what);
  }
  // Only now: another program is refused the address, and who connects from it
  // is not.
  if (options.lend_address) SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, on);
  const TransportAddress local = internal::LocalAddressOf(fd.get());
  return TcpListener(std::move(fd), local, options);
}

TcpListener::TcpListener(Fd fd, const TransportAddress& local,
                         const Options& options)
    : fd_(std::move(fd)),
      spare_(open("/dev/null", O_RDONLY | O_CLOEXEC)),
      local_(local),
      stream_options_(options.stream) {
  SetStreamOptions(fd_.get(), stream_options_);
}

TcpListener::Outcome TcpListener::Classify(int error) {
  switch (error) {
    case EAGAIN:
      return Outcome::kEmpty;
    case EMFILE:
    case ENFILE:
      return Outcome::kNoDescriptor;
    // Errors of the connection and of the network, which Linux passes on
    // (accept(2), "Error handling"); EPERM is a firewall's word.
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case ETIMEDOUT:
      return Outcome::kBroken;
    // ENOBUFS, ENOMEM, and whatever no one has thought of.
    default:
      return Outcome::kExhausted;
  }
}

std::optional<TcpStream> TcpListener::Accept() {
  exhausted_ = false;
  for (int i = 0; i < kMaxBroken; ++i) {
    SocketAddress address{};
    socklen_t size = sizeof address;
    Fd fd(
        accept4(fd_.get(), &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      ++stats_.accepted;
      const Path path{local_.port == 0 || local_.ip.IsAny()
                          ? internal::LocalAddressOf(fd.get())
                          : local_,
                      internal::FromSockaddr(&address.any), Transport::kTcp};
      return TcpStream::Accepted(std::move(fd), path, stream_options_);
    }
    const Outcome outcome = Classify(errno);
    if (outcome == Outcome::kEmpty) return std::nullopt;
    if (outcome == Outcome::kBroken) {
      ++stats_.broken;
      continue;
    }
    if (outcome == Outcome::kNoDescriptor) Shed();
    break;
  }
  exhausted_ = true;
  ++stats_.exhausted;
  return std::nullopt;
}

// The spare is given up only once and taken again only once, so this ends
// whatever the kernel says. Others may be quicker to take it: then there is
// none until a later call finds a descriptor free.
void TcpListener::Shed() {
  spare_.Close();
  for (int i = 0; i < kMaxShed; ++i) {
    const Fd surplus(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!surplus.valid()) break;
    ++stats_.shed;
  }
  spare_ = Fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace kyuu::net
