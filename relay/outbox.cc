#include "relay/outbox.h"

#include <array>
#include <cstring>

namespace kyuu::relay {
namespace {

// What padding is made of (RFC 8656 section 12.5).
constexpr std::array<uint8_t, 4> kZeros{};

}  // namespace

Outbox::Outbox() : bundles_(kMaxBundles), headers_(kHeaderBytes) {}

// Only the newest train of a path is asked, so the order within a path stays.
net::TrainBuilder& Outbox::TrainFor(net::UdpSocket& socket, const Path& path,
                                    size_t bytes, const net::IpMarks& marks) {
  for (size_t i = used_; i-- > 0;) {
    Bundle& bundle = bundles_[i];
    if (bundle.socket != &socket || bundle.train.path() != path) continue;
    if (!bundle.train.Accepts(path, bytes, marks)) break;
    bundle.train.Continue(bytes);
    return bundle.train;
  }
  if (used_ == kMaxBundles) Flush();
  Bundle& bundle = bundles_[used_++];
  bundle.socket = &socket;
  bundle.train.Begin(path, bytes, marks);
  return bundle.train;
}

void Outbox::Add(net::UdpSocket& socket, const turn::Forward& forward,
                 net::IpMarks marks) {
  marks.dont_fragment = forward.dont_fragment;
  for (size_t i = 0; i < forward.segments; ++i) {
    const absl::Span<const uint8_t> prefix = forward.prefix(i);
    const absl::Span<const uint8_t> payload = forward.payload(i);
    const size_t padding = forward.padding(i);
    if (header_bytes_ + prefix.size() > headers_.size()) Flush();
    net::TrainBuilder& train = TrainFor(
        socket, forward.path, prefix.size() + payload.size() + padding, marks);
    if (!prefix.empty()) {
      uint8_t* copy = headers_.data() + header_bytes_;
      std::memcpy(copy, prefix.data(), prefix.size());
      header_bytes_ += prefix.size();
      train.Add(absl::MakeConstSpan(copy, prefix.size()));
    }
    train.Add(payload);
    train.Add(absl::MakeConstSpan(kZeros).first(padding));
  }
}

void Outbox::Flush() {
  for (size_t begin = 0; begin < used_;) {
    net::UdpSocket& socket = *bundles_[begin].socket;
    size_t end = begin;
    trains_.clear();
    for (; end < used_ && bundles_[end].socket == &socket; ++end) {
      trains_.push_back(bundles_[end].train.train());
    }
    dropped_trains_ += trains_.size() - socket.Send(trains_).trains;
    begin = end;
  }
  used_ = 0;
  header_bytes_ = 0;
}

}  // namespace kyuu::relay
