#include "net/stream_port.h"

#include <algorithm>

namespace kyuu::net {

StreamKind KindOf(uint8_t first_byte) {
  if (first_byte == 0x16) return StreamKind::kTls;
  if (first_byte <= 0x03) return StreamKind::kTurn;
  const uint8_t lower = first_byte | 0x20;
  // ChannelData shares 0x41..0x4f with methods (CONNECT to OPTIONS). A channel
  // number comes behind requests on a TURN stream, never first.
  if (lower >= 'a' && lower <= 'z') return StreamKind::kHttp;
  return first_byte == 0x40 ? StreamKind::kTurn : StreamKind::kOther;
}

struct StreamPort::Door {
  explicit Door(TcpListener l) : listener(std::move(l)) {}

  TcpListener listener;
  std::optional<Watch> watch;
};

struct StreamPort::Newcomer {
  Newcomer(Stream s, StreamPermit p)
      : stream(std::move(s)), permit(std::move(p)) {}

  Stream stream;
  StreamPermit permit;
  std::optional<Watch> watch;
  std::optional<Alarm> alarm;
};

StreamPermit::~StreamPermit() {
  if (port_ == nullptr) return;
  --port_->open_;
  if (source_) port_->shares_.Return(*source_);
}

StreamPort::StreamPort(Loop& loop, std::vector<TcpListener> listeners,
                       StreamPortOptions options, Handler on_stream,
                       RefusalHandler on_refusal)
    : loop_(loop),
      options_(std::move(options)),
      on_stream_(std::move(on_stream)),
      on_refusal_(std::move(on_refusal)),
      pause_(options_.pause_min),
      resume_alarm_(loop, [this] { Resume(); }) {
  for (TcpListener& listener : listeners) {
    doors_.push_back(std::make_unique<Door>(std::move(listener)));
    Door& door = *doors_.back();
    door.watch.emplace(loop_, door.listener.fd(), Interest::kRead,
                       [this, &door](Readiness) { Accept(door); });
  }
}

StreamPort::~StreamPort() = default;

void StreamPort::Accept(Door& door) {
  for (size_t i = 0; i < options_.accepts_per_turn; ++i) {
    std::optional<TcpStream> tcp = door.listener.Accept();
    if (!tcp) {
      if (door.listener.exhausted()) Pause();
      return;
    }
    pause_ = options_.pause_min;
    Admit(*std::move(tcp));
  }
}

void StreamPort::Admit(TcpStream tcp) {
  if (open_ >= options_.max_streams) {
    ++stats_.refused_full;
    return Refuse(StreamRefusal::kTotal, std::move(tcp));
  }
  const IpAddress& ip = tcp.path().remote.ip;
  std::optional<Source> source;
  if (std::none_of(options_.shared_sources.begin(),
                   options_.shared_sources.end(),
                   [&](const IpPrefix& p) { return p.Contains(ip); })) {
    source = SourceOf(ip);
    if (!shares_.Take(*source, options_.max_streams_per_source)) {
      ++stats_.refused_source;
      return Refuse(StreamRefusal::kSource, std::move(tcp));
    }
  }
  ++open_;
  auto owned = std::make_unique<Newcomer>(Stream(std::move(tcp)),
                                          StreamPermit(this, source));
  Newcomer& newcomer = *owned;
  newcomers_[&newcomer] = std::move(owned);
  newcomer.watch.emplace(loop_, newcomer.stream.fd(), Interest::kRead,
                         [this, &newcomer](Readiness) { Listen(newcomer); });
  if (!newcomer.watch->status().ok()) {
    ++stats_.unwatched;
    newcomer.watch.reset();
    on_refusal_(StreamRefusal::kUnwatched, newcomer.stream.path().remote);
    newcomer.stream.Cut();
    newcomers_.erase(&newcomer);
    return;
  }
  newcomer.alarm.emplace(loop_, [this, &newcomer] {
    ++stats_.silent;
    newcomers_.erase(&newcomer);
  });
  newcomer.alarm->Set(Loop::Now() + options_.first_byte_timeout);
}

// A reset costs the least: no state is left for one who was not let in.
void StreamPort::Refuse(StreamRefusal why, TcpStream tcp) {
  on_refusal_(why, tcp.path().remote);
  tcp.Cut();
}

void StreamPort::Listen(Newcomer& newcomer) {
  uint8_t first_byte = 0;
  newcomer.stream.Flush();
  const ReadResult got = newcomer.stream.Peek({&first_byte, 1});
  if (got.state == ReadState::kData) return HandOut(newcomer, first_byte);
  if (got.state == ReadState::kWouldBlock) {
    return newcomer.watch->SetInterest(newcomer.stream.interest());
  }
  ++stats_.silent;
  newcomers_.erase(&newcomer);
}

void StreamPort::HandOut(Newcomer& newcomer, uint8_t first_byte) {
  const StreamKind kind = KindOf(first_byte);
  if (kind == StreamKind::kTls && options_.tls && !newcomer.stream.is_tls()) {
    return WrapInTls(newcomer);
  }
  ++stats_.accepted;
  newcomer.watch.reset();
  AcceptedStream accepted{std::move(newcomer.stream), kind,
                          std::move(newcomer.permit)};
  newcomers_.erase(&newcomer);
  on_stream_(std::move(accepted));
}

void StreamPort::WrapInTls(Newcomer& newcomer) {
  newcomer.stream = Stream(TlsStream(*options_.tls, newcomer.stream.TakeTcp()));
  newcomer.alarm->Set(Loop::Now() + options_.first_byte_timeout);
  // The handshake goes on by peeking.
  Listen(newcomer);
}

// The listeners stay readable, so they are not watched meanwhile.
void StreamPort::Pause() {
  ++stats_.exhausted;
  for (const auto& door : doors_) door->watch->SetInterest(Interest::kNone);
  resume_alarm_.Set(Loop::Now() + pause_);
  pause_ = std::min(pause_ * 2, options_.pause_max);
  on_refusal_(StreamRefusal::kExhausted, {});
}

void StreamPort::Resume() {
  for (const auto& door : doors_) door->watch->SetInterest(Interest::kRead);
}

}  // namespace kyuu::net
