#include "net/internal/departure.h"

#include <cstring>
#include <utility>

#include "base/check.h"

namespace kyuu::net::internal {
namespace {

IpMarks MarksOf(const Datagram& datagram) {
  return {.dont_fragment = datagram.dont_fragment};
}

}  // namespace

Departure::Departure(SlabPool& slabs, size_t datagram_bytes)
    : slabs_(slabs), datagram_bytes_(datagram_bytes) {}

Departure::~Departure() { ReturnSlab(); }

void Departure::ReturnSlab() {
  if (slab_) slabs_.Return(std::move(slab_));
}

void Departure::RemoveSocket(UdpSocket& socket) {
  sockets_.Remove(socket);
  if (blocked_ == &socket) blocked_ = nullptr;
  if (socket_ == &socket) {
    socket_ = nullptr;
    slab_->train.Clear();
    slab_->used = 0;
  }
}

absl::Span<uint8_t> Departure::Space() {
  KYUU_CHECK(!slab_ || !slab_->next);
  if (!slab_) {
    // The largest train, the datagram that ends it, and the one after.
    slab_ = slabs_.Take(UdpSocket::kMaxTrainBytes + 2 * datagram_bytes_);
  }
  return absl::MakeSpan(slab_->bytes.get() + slab_->used, datagram_bytes_);
}

UdpSocket* Departure::SocketFor(const Path& path) const {
  if (path.transport != Transport::kUdp) return nullptr;
  if (socket_ != nullptr && path.local == slab_->train.path().local) {
    return socket_;
  }
  return sockets_.Find(path.local);
}

void Departure::Start(UdpSocket* socket, const Datagram& datagram) {
  const size_t size = datagram.bytes.size();
  std::memmove(slab_->bytes.get(), datagram.bytes.data(), size);
  socket_ = socket;
  slab_->train.Begin(datagram.path, size, MarksOf(datagram));
  slab_->train.Add(absl::MakeConstSpan(slab_->bytes.get(), size));
  slab_->used = size;
}

bool Departure::Add(const Datagram& datagram) {
  UdpSocket* socket = SocketFor(datagram.path);
  if (socket == nullptr) {
    ++unroutable_;
    return true;
  }
  const size_t size = datagram.bytes.size();
  if (socket == socket_ &&
      slab_->train.Accepts(datagram.path, size, MarksOf(datagram))) {
    slab_->train.Continue(size);
    slab_->train.Add(datagram.bytes);
    slab_->used =
        static_cast<size_t>(datagram.bytes.data() - slab_->bytes.get()) + size;
    return true;
  }
  if (!SendTrain()) {
    slab_->next = datagram;
    return false;
  }
  Start(socket, datagram);
  return true;
}

bool Departure::SendTrain() {
  if (socket_ == nullptr) return true;
  const OutTrain train = slab_->train.train();
  const Sent sent = socket_->Send(absl::MakeConstSpan(&train, 1));
  if (sent.trains == 0) {
    // Some of it may have left datagram by datagram.
    slab_->train.DropFront(sent.segments);
    blocked_ = socket_;
    return false;
  }
  blocked_ = nullptr;
  socket_ = nullptr;
  slab_->train.Clear();
  slab_->used = 0;
  return true;
}

bool Departure::Resume() {
  if (!SendTrain()) return false;
  if (slab_ && slab_->next) {
    const Datagram datagram = *std::exchange(slab_->next, std::nullopt);
    if (UdpSocket* socket = SocketFor(datagram.path)) Start(socket, datagram);
    if (!SendTrain()) return false;
  }
  ReturnSlab();
  return true;
}

}  // namespace kyuu::net::internal
