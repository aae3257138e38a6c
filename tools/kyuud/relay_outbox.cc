#include "tools/kyuud/relay_outbox.h"

#include <cstring>

namespace kyuu::tools {
namespace {

// What padding is made of (RFC 8656 section 12.5).
constexpr std::array<uint8_t, 4> kZeros{};

}  // namespace

RelayOutbox::RelayOutbox() : bundles_(kMaxBundles), headers_(kHeaderBytes) {}

// Segments of one bundle have the same size, so that the kernel can cut them
// apart; a shorter one can only be its last. Only the newest bundle of a path
// is asked, so the order within a path stays.
RelayOutbox::Bundle& RelayOutbox::BundleFor(net::UdpSocket& socket,
                                            const Path& path, size_t bytes) {
  for (size_t i = used_; i-- > 0;) {
    Bundle& bundle = bundles_[i];
    if (bundle.socket != &socket || bundle.path != path) continue;
    if (bundle.complete || bytes == 0 || bytes > bundle.segment_bytes ||
        bundle.segments >= net::UdpSocket::kMaxTrainSegments ||
        bundle.bytes + bytes > net::UdpSocket::kMaxTrainBytes) {
      break;
    }
    return bundle;
  }
  if (used_ == kMaxBundles) Flush();
  Bundle& bundle = bundles_[used_++];
  bundle.socket = &socket;
  bundle.path = path;
  bundle.segment_bytes = bytes;
  bundle.segments = 0;
  bundle.bytes = 0;
  bundle.complete = bytes == 0;
  bundle.pieces.clear();
  return bundle;
}

void RelayOutbox::Add(net::UdpSocket& socket, const turn::Forward& forward) {
  for (size_t i = 0; i < forward.segments; ++i) {
    const absl::Span<const uint8_t> prefix = forward.prefix(i);
    const absl::Span<const uint8_t> payload = forward.payload(i);
    const size_t padding = forward.padding(i);
    const size_t bytes = prefix.size() + payload.size() + padding;
    if (header_bytes_ + prefix.size() > headers_.size()) Flush();
    Bundle& bundle = BundleFor(socket, forward.path, bytes);
    if (!prefix.empty()) {
      uint8_t* copy = headers_.data() + header_bytes_;
      std::memcpy(copy, prefix.data(), prefix.size());
      header_bytes_ += prefix.size();
      bundle.pieces.push_back({copy, prefix.size()});
    }
    if (!payload.empty()) bundle.pieces.push_back(net::Piece(payload));
    if (padding > 0) {
      bundle.pieces.push_back(
          net::Piece(absl::MakeConstSpan(kZeros).first(padding)));
    }
    ++bundle.segments;
    bundle.bytes += bytes;
    bundle.complete = bundle.complete || bytes < bundle.segment_bytes;
  }
}

void RelayOutbox::Flush() {
  for (size_t begin = 0; begin < used_;) {
    net::UdpSocket& socket = *bundles_[begin].socket;
    size_t end = begin;
    trains_.clear();
    for (; end < used_ && bundles_[end].socket == &socket; ++end) {
      const Bundle& bundle = bundles_[end];
      trains_.push_back({bundle.path, bundle.pieces,
                         bundle.segments > 1 ? bundle.segment_bytes : 0});
    }
    dropped_trains_ += trains_.size() - socket.Send(trains_).trains;
    begin = end;
  }
  used_ = 0;
  header_bytes_ = 0;
}

}  // namespace kyuu::tools
