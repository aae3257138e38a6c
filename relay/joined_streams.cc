#include "relay/joined_streams.h"

#include <algorithm>
#include <utility>

namespace kyuu::relay {

JoinedStreams::JoinedStreams(net::Loop& loop, net::Stream client,
                             net::Stream peer, net::StreamBuffer& buffer,
                             net::StreamMemory* memory,
                             const JoinedStreamsOptions& options,
                             Handlers handlers)
    : buffer_(buffer),
      options_(options),
      handlers_(std::move(handlers)),
      client_(loop, std::move(client),
              [this](net::Readiness ready) { OnReady(client_, ready); }),
      peer_(loop, std::move(peer),
            [this](net::Readiness ready) { OnReady(peer_, ready); }),
      share_(memory),
      alarm_(loop, [this] { Turn(); }),
      silent_since_(net::Loop::Now()) {}

JoinedStreams::~JoinedStreams() = default;

void JoinedStreams::Start(absl::Span<const uint8_t> first) {
  if (!first.empty()) {
    (void)peer_.stream.Write(first);  // A failure shows in its status.
    handlers_.on_passed(first.size(), 0);
  }
  Turn();
}

void JoinedStreams::OnReady(Side& side, net::Readiness ready) {
  if (ready.writable) side.stream.Flush();
  Turn();
}

bool JoinedStreams::Wants(const Side& from, const Side& to) const {
  return !from.ended && to.stream.buffered() < options_.held_bytes_max;
}

// Returns the bytes that were read.
size_t JoinedStreams::Pass(Side& from, Side& to) {
  size_t passed = 0;
  for (size_t i = 0; i < options_.reads_per_turn && Wants(from, to); ++i) {
    const size_t room = options_.held_bytes_max - to.stream.buffered();
    const auto bytes =
        buffer_.bytes().first(std::min(room, buffer_.bytes().size()));
    const net::ReadResult got = from.stream.Read(bytes);
    if (got.state == net::ReadState::kEnd) {
      from.ended = true;
      to.stream.ShutdownWrite();
    }
    if (got.state != net::ReadState::kData) break;
    passed += got.bytes;
    if (!to.stream.Write(bytes.first(got.bytes)).ok()) break;
  }
  return passed;
}

void JoinedStreams::Turn() {
  const size_t to_peer = Pass(client_, peer_);
  const size_t to_client = Pass(peer_, client_);
  const absl::Time now = net::Loop::Now();
  if (to_peer + to_client > 0) {
    silent_since_ = now;
    handlers_.on_passed(to_peer, to_client);
  }
  if (!client_.stream.status().ok() || !peer_.stream.status().ok()) {
    return Finish(End::kFailed);
  }
  const size_t held = client_.stream.buffered() + peer_.stream.buffered();
  if (client_.ended && peer_.ended && held == 0) return Finish(End::kClosed);
  const bool half_open = client_.ended || peer_.ended;
  const absl::Time deadline = half_open
                                  ? silent_since_ + options_.half_open_timeout
                                  : absl::InfiniteFuture();
  if (now >= deadline) return Finish(End::kSilent);
  share_.Hold(held);
  Await(client_, peer_);
  Await(peer_, client_);
  // What TLS holds already is not shown by the descriptor.
  const bool reads_on =
      (client_.stream.has_pending() && Wants(client_, peer_)) ||
      (peer_.stream.has_pending() && Wants(peer_, client_));
  alarm_.Set(reads_on ? absl::InfinitePast() : deadline);
}

void JoinedStreams::Await(Side& side, const Side& other) {
  const net::Interest all = side.stream.interest();
  if (Wants(side, other)) return side.watch.SetInterest(all);
  side.watch.SetInterest(all == net::Interest::kReadWrite
                             ? net::Interest::kWrite
                             : net::Interest::kNone);
}

void JoinedStreams::Cut() {
  Stop();
  client_.stream.Cut();
  peer_.stream.Cut();
}

void JoinedStreams::Stop() {
  alarm_.Stop();
  share_.Hold(0);
  client_.watch.SetInterest(net::Interest::kNone);
  peer_.watch.SetInterest(net::Interest::kNone);
}

void JoinedStreams::Finish(End end) {
  if (end == End::kClosed) {
    Stop();
  } else {
    Cut();
  }
  // Last: it may destroy us.
  auto on_end = std::move(handlers_.on_end);
  on_end(end);
}

}  // namespace kyuu::relay
