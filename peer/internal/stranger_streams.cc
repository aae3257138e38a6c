#include "peer/internal/stranger_streams.h"

#include <utility>

#include "stun/message.h"

namespace kyuu::peer::internal {
namespace {

// RFC 4571 section 2.
constexpr size_t kLengthBytes = 2;
// A check is at most of the size of a datagram, with embedded DTLS too.
constexpr size_t kPacketMax = 2048;
constexpr size_t kPacketMin = 20;  // STUN's header.

}  // namespace

struct StrangerStreams::Stranger {
  Stranger(net::TcpStream t, const Source& s, absl::Time d)
      : tcp(std::move(t)), source(s), deadline(d) {}

  net::TcpStream tcp;
  Source source;
  absl::Time deadline;
  std::vector<uint8_t> bytes;
  std::optional<net::Watch> watch;  // Goes first.
};

StrangerStreams::StrangerStreams(net::Loop& loop,
                                 const StrangerOptions& options,
                                 Handler on_introduced)
    : loop_(loop),
      options_(options),
      on_introduced_(std::move(on_introduced)),
      expiry_(loop, [this] { Expire(); }),
      resume_(loop, [this] { Resume(); }) {}

StrangerStreams::~StrangerStreams() = default;

void StrangerStreams::AddListener(net::TcpListener& listener) {
  listeners_[&listener] = nullptr;
  Resume();
}

void StrangerStreams::RemoveListener(net::TcpListener& listener) {
  listeners_.erase(&listener);
}

void StrangerStreams::Resume() {
  for (auto& [listener, watch] : listeners_) {
    if (watch != nullptr) continue;
    watch = std::make_unique<net::Watch>(
        loop_, listener->fd(), net::Interest::kRead,
        [this, l = listener](net::Readiness) { Accept(*l); });
  }
}

void StrangerStreams::Accept(net::TcpListener& listener) {
  for (size_t i = 0; i < options_.accepts_per_turn; ++i) {
    std::optional<net::TcpStream> tcp = listener.Accept();
    if (!tcp) break;
    ++stats_.accepted;
    const Source source = SourceOf(tcp->path().remote.ip);
    if (!shares_.Take(source, options_.streams_of_source_max)) {
      ++stats_.drop_of_source;
      tcp->Cut();
      continue;
    }
    if (strangers_.size() >= options_.streams_max) {
      End(strangers_.begin()->first, &StrangerStats::drop_for_newer);
    }
    const uint64_t id = ++last_id_;
    const int fd = tcp->fd();
    Stranger& stranger =
        *strangers_
             .try_emplace(id, std::make_unique<Stranger>(
                                  *std::move(tcp), source,
                                  net::Loop::Now() + options_.deadline))
             .first->second;
    stranger.watch.emplace(loop_, fd, net::Interest::kRead,
                           [this, id](net::Readiness) { Read(id); });
  }
  if (listener.exhausted()) {
    for (auto& [other, watch] : listeners_) watch.reset();
    resume_.Set(net::Loop::Now() + options_.accept_pause);
  }
  Arm();
}

void StrangerStreams::Read(uint64_t id) {
  Stranger& stranger = *strangers_.at(id);
  std::vector<uint8_t>& bytes = stranger.bytes;
  const size_t before = bytes.size();
  bytes.resize(kLengthBytes + kPacketMax);
  const net::ReadResult got =
      stranger.tcp.Read(absl::MakeSpan(bytes).subspan(before));
  bytes.resize(before + got.bytes);
  if (got.state == net::ReadState::kWouldBlock) return;
  if (got.state != net::ReadState::kData) {
    return End(id, &StrangerStats::drop_ended);
  }
  if (bytes.size() < kLengthBytes) return;
  const size_t length = size_t{bytes[0]} << 8 | bytes[1];
  if (length < kPacketMin || length > kPacketMax) {
    return End(id, &StrangerStats::drop_malformed);
  }
  if (bytes.size() < kLengthBytes + length) return;
  const auto packet = absl::MakeConstSpan(bytes).subspan(kLengthBytes, length);
  if (!stun::IsStun(packet)) return End(id, &StrangerStats::drop_malformed);
  const std::unique_ptr<Stranger> known =
      std::move(strangers_.extract(id).mapped());
  shares_.Return(known->source);
  Arm();
  ++stats_.introduced;
  known->watch.reset();
  on_introduced_(std::move(known->tcp), known->bytes, packet);
}

void StrangerStreams::End(uint64_t id, uint64_t StrangerStats::*why) {
  const auto it = strangers_.find(id);
  ++(stats_.*why);
  shares_.Return(it->second->source);
  it->second->watch.reset();
  it->second->tcp.Cut();
  strangers_.erase(it);
  Arm();
}

void StrangerStreams::Expire() {
  const absl::Time now = net::Loop::Now();
  while (!strangers_.empty() && strangers_.begin()->second->deadline <= now) {
    End(strangers_.begin()->first, &StrangerStats::drop_silent);
  }
  Arm();
}

void StrangerStreams::Arm() {
  expiry_.Set(strangers_.empty() ? absl::InfiniteFuture()
                                 : strangers_.begin()->second->deadline);
}

}  // namespace kyuu::peer::internal
