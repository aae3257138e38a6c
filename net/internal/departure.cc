#include "net/internal/departure.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace kyuu::net::internal {

// The largest train, the datagram that ends it, and the one after.
Departure::Departure(size_t datagram_bytes)
    : datagram_bytes_(datagram_bytes),
      slab_(new uint8_t[UdpSocket::kMaxTrainBytes + 2 * datagram_bytes]) {
  pieces_.reserve(UdpSocket::kMaxTrainSegments);
}

void Departure::RemoveSocket(UdpSocket& socket) {
  sockets_.erase(std::remove(sockets_.begin(), sockets_.end(), &socket),
                 sockets_.end());
  if (blocked_ == &socket) blocked_ = nullptr;
  if (socket_ == &socket) {
    socket_ = nullptr;
    pieces_.clear();
  }
}

absl::Span<uint8_t> Departure::Space() {
  KYUU_CHECK(!next_);
  return absl::MakeSpan(slab_.get() + used_, datagram_bytes_);
}

UdpSocket* Departure::SocketFor(const Path& path) {
  if (path.transport != Transport::kUdp) return nullptr;
  if (socket_ != nullptr && path.local == path_.local) return socket_;
  UdpSocket* wildcard = nullptr;
  for (UdpSocket* socket : sockets_) {
    const TransportAddress& local = socket->local();
    if (local == path.local) return socket;
    if (local.port == path.local.port && local.ip.IsAny() &&
        local.ip.family() == path.local.ip.family()) {
      wildcard = socket;
    }
  }
  return wildcard;
}

// Empty datagrams travel alone: a train's segments have a size.
bool Departure::Joins(const UdpSocket* socket, const Datagram& datagram) const {
  const size_t size = datagram.bytes.size();
  return socket == socket_ && !complete_ && size > 0 && size <= segment_size_ &&
         pieces_.size() < UdpSocket::kMaxTrainSegments &&
         bytes_ + size <= UdpSocket::kMaxTrainBytes && datagram.path == path_;
}

void Departure::Start(UdpSocket* socket, const Datagram& datagram) {
  const size_t size = datagram.bytes.size();
  std::memmove(slab_.get(), datagram.bytes.data(), size);
  socket_ = socket;
  path_ = datagram.path;
  pieces_.assign(1, iovec{slab_.get(), size});
  segment_size_ = size;
  bytes_ = size;
  complete_ = false;
  used_ = size;
}

bool Departure::Add(const Datagram& datagram) {
  UdpSocket* socket = SocketFor(datagram.path);
  if (socket == nullptr) {
    ++unroutable_;
    return true;
  }
  if (Joins(socket, datagram)) {
    pieces_.push_back(Piece(datagram.bytes));
    bytes_ += datagram.bytes.size();
    complete_ = datagram.bytes.size() < segment_size_;
    used_ = static_cast<size_t>(datagram.bytes.data() - slab_.get()) +
            datagram.bytes.size();
    return true;
  }
  if (!SendTrain()) {
    next_ = datagram;
    return false;
  }
  Start(socket, datagram);
  return true;
}

bool Departure::SendTrain() {
  if (socket_ == nullptr) return true;
  const OutTrain train{path_, pieces_, segment_size_};
  const Sent sent = socket_->Send(absl::MakeConstSpan(&train, 1));
  if (sent.trains == 0) {
    // Some of it may have left datagram by datagram.
    pieces_.erase(pieces_.begin(),
                  pieces_.begin() + static_cast<ptrdiff_t>(sent.segments));
    blocked_ = socket_;
    return false;
  }
  blocked_ = nullptr;
  socket_ = nullptr;
  pieces_.clear();
  used_ = 0;
  return true;
}

bool Departure::Resume() {
  if (!SendTrain()) return false;
  if (!next_) return true;
  const Datagram datagram = *next_;
  next_.reset();
  if (UdpSocket* socket = SocketFor(datagram.path)) Start(socket, datagram);
  return SendTrain();
}

}  // namespace kyuu::net::internal
