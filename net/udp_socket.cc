#include "net/udp_socket.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "net/internal/sockaddr.h"
#include "net/internal/udp_message.h"

namespace kyuu::net {
namespace {

using internal::SetOption;
using internal::SocketAddress;
using internal::UdpMessage;

// A buffer takes the largest train. The odd stride keeps the beginnings of the
// buffers, often the only parts in use, from sharing the same cache sets.
constexpr size_t kBufferBytes = 65536;
constexpr size_t kStride = kBufferBytes + 2304;
// Ancillary data in: GRO size, ECN, packet info, drop counter.
constexpr size_t kControlIn = CMSG_SPACE(sizeof(int)) * 2 +
                              CMSG_SPACE(sizeof(in6_pktinfo)) +
                              CMSG_SPACE(sizeof(uint32_t));
// Trains per sendmmsg.
constexpr size_t kSendBatch = 16;
// Errors that one Receive, or one datagram to send, steps over: those of
// earlier datagrams are told once each, and what the kernel repeats must end.
constexpr int kMaxErrors = 16;

struct alignas(cmsghdr) ControlIn {
  std::array<uint8_t, kControlIn> bytes;
};

size_t TotalBytes(absl::Span<const iovec> pieces) {
  size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  return total;
}

// An empty datagram is one segment too.
size_t Segments(size_t total, size_t segment_size) {
  if (segment_size == 0 || total <= segment_size) return 1;
  return (total + segment_size - 1) / segment_size;
}

// Collects the pieces that make up `size` bytes from `offset` on.
void Slice(absl::Span<const iovec> pieces, size_t offset, size_t size,
           absl::InlinedVector<iovec, 8>& out) {
  out.clear();
  for (const iovec& piece : pieces) {
    if (size == 0) return;
    if (offset >= piece.iov_len) {
      offset -= piece.iov_len;
      continue;
    }
    const size_t taken = std::min(size, piece.iov_len - offset);
    out.push_back({static_cast<uint8_t*>(piece.iov_base) + offset, taken});
    offset = 0;
    size -= taken;
  }
}

template <typename T>
T ControlValue(const cmsghdr* control) {
  T value;
  std::memcpy(&value, CMSG_DATA(control), sizeof value);
  return value;
}

// To the tick: what it is for lasts seconds.
absl::Time CoarseNow() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return absl::TimeFromTimespec(time);
}

void SetBufferSize(int fd, int force, int name, int bytes) {
  // FORCE exceeds the system's limit, and needs CAP_NET_ADMIN.
  if (!SetOption(fd, SOL_SOCKET, force, bytes)) {
    SetOption(fd, SOL_SOCKET, name, bytes);
  }
}

void SetBuffers(int fd, int bytes) {
  SetBufferSize(fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
  SetBufferSize(fd, SO_SNDBUFFORCE, SO_SNDBUF, bytes);
}

}  // namespace

struct ReceiveBuffer::Memory {
  std::unique_ptr<uint8_t[]> bytes{new uint8_t[kTrains * kStride]};
  std::array<mmsghdr, kTrains> headers{};
  std::array<iovec, kTrains> pieces{};
  std::array<SocketAddress, kTrains> remotes{};
  std::array<ControlIn, kTrains> controls{};
  std::array<Train, kTrains> trains;
};

ReceiveBuffer::ReceiveBuffer() : memory_(std::make_unique<Memory>()) {
  Memory& m = *memory_;
  for (size_t i = 0; i < kTrains; ++i) {
    m.pieces[i] = {m.bytes.get() + i * kStride, kBufferBytes};
    m.headers[i].msg_hdr.msg_name = &m.remotes[i];
    m.headers[i].msg_hdr.msg_iov = &m.pieces[i];
    m.headers[i].msg_hdr.msg_iovlen = 1;
    m.headers[i].msg_hdr.msg_control = &m.controls[i];
  }
}

ReceiveBuffer::~ReceiveBuffer() = default;

void UdpSocket::SetBufferBytes(int bytes) {
  buffer_bytes_ = bytes;
  SetBuffers(fd_.get(), bytes);
}

double UdpSocket::Fullness() const {
  std::array<uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t size = sizeof(memory);
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_MEMINFO, memory.data(), &size) !=
          0 ||
      memory[SK_MEMINFO_RCVBUF] == 0) {
    return 0;
  }
  return static_cast<double>(memory[SK_MEMINFO_RMEM_ALLOC]) /
         memory[SK_MEMINFO_RCVBUF];
}

absl::StatusOr<UdpSocket> UdpSocket::Open(const UdpOptions& options) {
  const std::string what = absl::StrCat("udp ", options.bind.ToString());
  SocketAddress address;
  const socklen_t size = internal::ToSockaddr(options.bind, address);
  if (size == 0) {
    return absl::InvalidArgumentError("udp: an address to bind is needed");
  }
  const bool v4 = options.bind.ip.is_v4();
  Fd fd(socket(address.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
               IPPROTO_UDP));
  if (!fd.valid()) return internal::ErrnoStatus(errno, what);
  const int on = 1;
  if (!v4) SetOption(fd.get(), SOL_IPV6, IPV6_V6ONLY, on);
  if (options.reuse_port) SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, on);
  if (options.await_address) internal::AwaitAddress(fd.get());
  if (bind(fd.get(), &address.any, size) != 0) {
    return internal::ErrnoStatus(errno, what);
  }
  const TransportAddress local = options.bind.port != 0
                                     ? options.bind
                                     : internal::LocalAddressOf(fd.get());
  UdpSocket opened(std::move(fd), local, options);
  if (options.setup == UdpOptions::Setup::kAtOnce) opened.SetUp();
  return opened;
}

// What is told with a datagram, its marks and addresses, the kernel finds in
// its header when it is taken: of one that has come before this nothing is
// lost.
void UdpSocket::SetUp() {
  if (std::exchange(set_up_, true)) return;
  const int fd = fd_.get();
  const int on = 1;
  const bool v4 = local_.ip.is_v4();
  const int level = v4 ? SOL_IP : SOL_IPV6;
  SetBuffers(fd, buffer_bytes_);
  SetOption(fd, SOL_SOCKET, SO_RXQ_OVFL, on);
  SetOption(fd, level, v4 ? IP_RECVTOS : IPV6_RECVTCLASS, on);
  if (wildcard_) SetOption(fd, level, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, on);
  if (errors_ == UdpOptions::Errors::kKeep) {
    SetOption(fd, level, v4 ? IP_RECVERR : IPV6_RECVERR, on);
  }
  if (offload_) {
    SetOption(fd, SOL_UDP, UDP_GRO, on);
    // A kernel that knows trains takes "no segments" as the socket's default.
    gso_ = SetOption(fd, SOL_UDP, UDP_SEGMENT, 0);
  }
  SetDontFragment(always_whole_);
}

UdpSocket::UdpSocket(Fd fd, const TransportAddress& local,
                     const UdpOptions& options)
    : fd_(std::move(fd)),
      local_(local),
      wildcard_(local.ip.IsAny()),
      offload_(options.offload),
      errors_(options.errors),
      buffer_bytes_(options.buffer_bytes),
      always_whole_(options.dont_fragment),
      whole_(!always_whole_),  // To be set now.
      train_retry_(options.train_retry) {}

void UdpSocket::SetDontFragment(bool wanted) {
  if (wanted == whole_) return;
  whole_ = wanted;
  // PROBE sets DF and leaves path MTU discovery to the protocol above. Both
  // families have the same numbers for it. With DONT, IPv4 keeps to itself what
  // routers say of datagrams that were sent with DF a moment ago.
  static_assert(IP_PMTUDISC_PROBE == IPV6_PMTUDISC_PROBE &&
                IP_PMTUDISC_DONT == IPV6_PMTUDISC_DONT);
  const bool v4 = local_.ip.is_v4();
  const int otherwise = v4 && errors_ == UdpOptions::Errors::kKeep
                            ? IP_PMTUDISC_OMIT
                            : IP_PMTUDISC_DONT;
  SetOption(fd_.get(), v4 ? SOL_IP : SOL_IPV6,
            v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER,
            whole_ ? IP_PMTUDISC_PROBE : otherwise);
}

void UdpSocket::ReadControl(const void* header, Train& train) {
  msghdr message = *static_cast<const msghdr*>(header);
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr;
       c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      train.segment_size = static_cast<size_t>(ControlValue<int>(c));
    } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TOS) {
      train.marks = IpMarks::OfTrafficClass(ControlValue<uint8_t>(c));
    } else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_TCLASS) {
      train.marks =
          IpMarks::OfTrafficClass(static_cast<uint8_t>(ControlValue<int>(c)));
    } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
      train.path.local.ip =
          internal::FromInAddr(ControlValue<in_pktinfo>(c).ipi_addr);
    } else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      const in6_pktinfo info = ControlValue<in6_pktinfo>(c);
      train.path.local.ip =
          internal::FromIn6Addr(info.ipi6_addr, info.ipi6_ifindex);
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
      // The kernel's counter is a running total that wraps.
      const uint32_t total = ControlValue<uint32_t>(c);
      stats_.at<&UdpStats::kernel_drops>() +=
          total - std::exchange(overflow_, total);
    }
  }
}

absl::Status UdpSocket::Connect(const TransportAddress& remote) {
  const std::string what = absl::StrCat("udp ", remote.ToString());
  SocketAddress address;
  const socklen_t size = internal::ToSockaddr(remote, address);
  if (size == 0 || remote.ip.family() != local_.ip.family()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": of another family than ", local_.ToString()));
  }
  if (connect(fd_.get(), &address.any, size) != 0) {
    return internal::ErrnoStatus(errno, what);
  }
  connected_ = std::make_unique<Connected>(Connected{remote, absl::Status()});
  return absl::OkStatus();
}

void UdpSocket::NoteRefusal(int error) {
  ++stats_.at<&UdpStats::receive_errors>();
  if (connected_ == nullptr) return;
  connected_->refusal = internal::ErrnoStatus(
      error, absl::StrCat("udp ", connected_->remote.ToString()));
}

absl::Span<const Train> UdpSocket::Receive(ReceiveBuffer& buffer) {
  SetUp();
  ReceiveBuffer::Memory& m = *buffer.memory_;
  for (size_t i = 0; i < ReceiveBuffer::kTrains; ++i) {
    m.headers[i].msg_hdr.msg_namelen = sizeof m.remotes[i];
    m.headers[i].msg_hdr.msg_controllen = sizeof m.controls[i];
  }
  int count = -1;
  for (int errors = 0; count < 0 && errors < kMaxErrors; ++errors) {
    count = recvmmsg(fd_.get(), m.headers.data(), ReceiveBuffer::kTrains, 0,
                     nullptr);
    if (count < 0 && errno == EAGAIN) return {};
    if (count < 0 && errno != EINTR) NoteRefusal(errno);
  }
  size_t kept = 0;
  for (size_t i = 0; count > 0 && i < static_cast<size_t>(count); ++i) {
    const mmsghdr& message = m.headers[i];
    if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0) {
      ++stats_.at<&UdpStats::received_truncated>();
      continue;
    }
    Train& train = m.trains[kept++];
    train.path = {local_, internal::FromSockaddr(&m.remotes[i].any)};
    train.bytes = {m.bytes.get() + i * kStride, message.msg_len};
    train.segment_size = message.msg_len;
    train.marks = {};
    ReadControl(&message.msg_hdr, train);
    stats_.at<&UdpStats::received>() += train.segments();
    ++stats_.at<&UdpStats::received_trains>();
  }
  return absl::MakeConstSpan(m.trains).first(kept);
}

UdpSocket::Outcome UdpSocket::Classify(int error) {
  switch (error) {
    case EAGAIN:
      ++stats_.at<&UdpStats::would_block>();
      return Outcome::kBlocked;
    case EINTR:
      return Outcome::kAgain;
    case ECONNREFUSED:
      // Tells of an earlier datagram, and is told once.
      NoteRefusal(error);
      return Outcome::kAgain;
    default:
      return Outcome::kRefused;
  }
}

// EIO: the device of this route cannot compute checksums, which trains need.
// EINVAL, EMSGSIZE: a segment is larger than the route's MTU.
bool UdpSocket::IsTrainRefusal(int error, const OutTrain& train) {
  if (error != EIO && error != EINVAL && error != EMSGSIZE) return false;
  ++stats_.at<&UdpStats::gso_refused>();
  const IpAddress& ip = train.path.remote.ip;
  if (!refusals_) refusals_ = std::make_unique<std::vector<Refusal>>();
  std::vector<Refusal>& refusals = *refusals_;
  refusals.erase(std::remove_if(refusals.begin(), refusals.end(),
                                [&ip](const Refusal& r) { return r.ip == ip; }),
                 refusals.end());
  if (refusals.size() >= kRefusals) refusals.erase(refusals.begin());
  refusals.push_back(
      {ip, error == EIO ? 0 : train.segment_size, CoarseNow() + train_retry_});
  return true;
}

bool UdpSocket::MayTrain(const OutTrain& train) {
  if (!gso_) return false;
  if (!refusals_) return true;
  const absl::Time now = CoarseNow();
  std::vector<Refusal>& refusals = *refusals_;
  refusals.erase(
      std::remove_if(refusals.begin(), refusals.end(),
                     [now](const Refusal& r) { return r.until <= now; }),
      refusals.end());
  const bool may = std::none_of(refusals.begin(), refusals.end(),
                                [&train](const Refusal& r) {
                                  return r.ip == train.path.remote.ip &&
                                         r.segment_bytes <= train.segment_size;
                                });
  if (refusals.empty()) refusals_.reset();
  return may;
}

UdpSocket::Outcome UdpSocket::SendParts(const OutTrain& train,
                                        size_t part_bytes, size_t& offset) {
  const size_t total = TotalBytes(train.pieces);
  absl::InlinedVector<iovec, 8> pieces;
  UdpMessage message;
  msghdr header;
  int errors = 0;
  while (offset < total) {
    const size_t size = std::min(part_bytes, total - offset);
    const size_t segments = Segments(size, train.segment_size);
    Slice(train.pieces, offset, size, pieces);
    message.Fill(train.path, wildcard_, train.marks.traffic_class(),
                 segments > 1 ? train.segment_size : 0, pieces, header);
    if (sendmsg(fd_.get(), &header, MSG_NOSIGNAL) >= 0) {
      stats_.at<&UdpStats::sent>() += segments;
      ++stats_.at<&UdpStats::sent_trains>();
      offset += size;
      errors = 0;
      earlier_error_ = 0;
      continue;
    }
    const int error = errno;
    if (errors < kMaxErrors && IsEarlier(error)) {
      ++errors;
      continue;
    }
    if (segments > 1 && IsTrainRefusal(error, train)) {
      part_bytes = train.segment_size;
      continue;
    }
    Outcome outcome = Classify(error);
    if (outcome == Outcome::kBlocked) return outcome;
    if (++errors >= kMaxErrors) outcome = Outcome::kRefused;
    if (outcome == Outcome::kRefused) {
      stats_.at<&UdpStats::send_errors>() += segments;
      offset += size;
      errors = 0;
    }
  }
  return Outcome::kSent;
}

// Sends a train in parts that the kernel takes. False if the socket blocks.
bool UdpSocket::SendLong(const OutTrain& train, Sent& done) {
  size_t part_segments = 1;
  if (MayTrain(train)) {
    part_segments = std::clamp<size_t>(kMaxTrainBytes / train.segment_size, 1,
                                       kMaxTrainSegments);
  }
  size_t offset = 0;
  if (SendParts(train, part_segments * train.segment_size, offset) ==
      Outcome::kBlocked) {
    done.segments = offset / train.segment_size;
    return false;
  }
  ++done.trains;
  return true;
}

// Deals with the first train of a sendmmsg that failed on it.
bool UdpSocket::AfterError(int error, const OutTrain& train, size_t segments,
                           Sent& done) {
  if (IsEarlier(error)) return true;
  if (segments > 1 && IsTrainRefusal(error, train)) {
    size_t offset = 0;
    if (SendParts(train, train.segment_size, offset) == Outcome::kBlocked) {
      done.segments = offset / train.segment_size;
      return false;
    }
    ++done.trains;
    return true;
  }
  const Outcome outcome = Classify(error);
  if (outcome == Outcome::kRefused) {
    stats_.at<&UdpStats::send_errors>() += segments;
    ++done.trains;
  }
  return outcome != Outcome::kBlocked;
}

Sent UdpSocket::Send(absl::Span<const OutTrain> trains) {
  SetUp();
  Sent done;
  std::array<UdpMessage, kSendBatch> messages;
  std::array<mmsghdr, kSendBatch> headers;
  std::array<size_t, kSendBatch> segments;
  int errors = 0;
  while (done.trains < trains.size()) {
    const OutTrain& first = trains[done.trains];
    if (first.path.remote.ip.family() != local_.ip.family()) {
      ++stats_.at<&UdpStats::send_errors>();
      ++done.trains;
      continue;
    }
    SetDontFragment(first.marks.dont_fragment || always_whole_);
    size_t count = 0;
    while (count < kSendBatch && done.trains + count < trains.size()) {
      const OutTrain& train = trains[done.trains + count];
      const size_t total = TotalBytes(train.pieces);
      segments[count] = Segments(total, train.segment_size);
      // Trains that need to be cut leave by themselves, in their turn.
      if (segments[count] > 1 && (segments[count] > kMaxTrainSegments ||
                                  total > kMaxTrainBytes || !MayTrain(train))) {
        break;
      }
      if (train.path.remote.ip.family() != local_.ip.family() ||
          train.marks.dont_fragment != first.marks.dont_fragment) {
        break;
      }
      messages[count].Fill(train.path, wildcard_, train.marks.traffic_class(),
                           segments[count] > 1 ? train.segment_size : 0,
                           train.pieces, headers[count].msg_hdr);
      ++count;
    }
    if (count == 0) {
      if (!SendLong(first, done)) return done;
      continue;
    }
    const int sent = sendmmsg(fd_.get(), headers.data(),
                              static_cast<unsigned>(count), MSG_NOSIGNAL);
    if (sent < 0) {
      // The last of too many is what it would be without another try.
      const int error = ++errors < kMaxErrors ? errno : EPERM;
      const size_t before = done.trains;
      if (!AfterError(error, first, segments[0], done)) return done;
      if (done.trains > before) errors = 0;
      continue;
    }
    errors = 0;
    earlier_error_ = 0;
    for (size_t i = 0; i < static_cast<size_t>(sent); ++i) {
      stats_.at<&UdpStats::sent>() += segments[i];
    }
    stats_.at<&UdpStats::sent_trains>() += static_cast<uint64_t>(sent);
    done.trains += static_cast<size_t>(sent);
  }
  return done;
}

bool UdpSocket::SendOne(const Path& path, absl::Span<const uint8_t> bytes,
                        const IpMarks& marks) {
  const iovec piece = Piece(bytes);
  const OutTrain train{path, absl::MakeConstSpan(&piece, 1), 0, marks};
  return Send(absl::MakeConstSpan(&train, 1)).trains == 1;
}

}  // namespace kyuu::net
