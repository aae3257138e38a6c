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
    // Whether to pause is asked after what is read next.
    (void)handlers_.on_passed(turn::Direction::kToPeers, first.size());
  }
  Turn();
}

void JoinedStreams::OnReady(Side& side, net::Readiness ready) {
  if (ready.writable) side.stream.Flush();
  Turn();
}

bool JoinedStreams::Wants(const Side& from, const Side& to) const {
  return !from.ended && !from.paused_until.has_value() &&
         to.stream.buffered() < options_.held_bytes_max;
}

void JoinedStreams::Pass(absl::Time now, turn::Direction direction, Side& from,
                         Side& to) {
  const auto tell = [&](size_t bytes) {
    const absl::Duration pause = handlers_.on_passed(direction, bytes);
    from.paused_until = pause > absl::ZeroDuration()
                            ? std::optional(now + pause)
                            : std::nullopt;
  };
  if (from.paused_until.has_value() && now >= *from.paused_until) tell(0);
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
  if (passed == 0) return;
  silent_since_ = now;
  tell(passed);
}

void JoinedStreams::Turn() {
  const absl::Time now = net::Loop::Now();
  Pass(now, turn::Direction::kToPeers, client_, peer_);
  Pass(now, turn::Direction::kToClients, peer_, client_);
  if (!client_.stream.status().ok() || !peer_.stream.status().ok()) {
    return Finish(End::kFailed);
  }
  const size_t held = client_.stream.buffered() + peer_.stream.buffered();
  if (client_.ended && peer_.ended && held == 0) return Finish(End::kClosed);
  absl::Time wake = absl::InfiniteFuture();
  if (client_.ended || peer_.ended) {
    wake = silent_since_ + options_.half_open_timeout;
    if (now >= wake) return Finish(End::kSilent);
  }
  share_.Hold(held);
  Await(client_, peer_);
  Await(peer_, client_);
  for (const Side* side : {&client_, &peer_}) {
    if (side->paused_until.has_value())
      wake = std::min(wake, *side->paused_until);
  }
  // What TLS holds already is not shown by the descriptor.
  const bool reads_on =
      (client_.stream.has_pending() && Wants(client_, peer_)) ||
      (peer_.stream.has_pending() && Wants(peer_, client_));
  alarm_.Set(reads_on ? absl::InfinitePast() : wake);
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
