#include "net/stream_port.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "net/proxy/proxy_header.h"

namespace kyuu::net {
namespace {

// Most requests of HTTP, a ClientHello and whatever TURN begins with; the rest
// of a longer one is read by whom it is for.
constexpr size_t kFirstReadBytes = 2048;

bool IsListed(const std::vector<IpPrefix>& list, const IpAddress& ip) {
  return std::any_of(list.begin(), list.end(),
                     [&](const IpPrefix& p) { return p.Contains(ip); });
}

}  // namespace

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
  ~Newcomer() {
    if (watch) watch->Forsake();  // The stream goes next.
  }

  Stream stream;
  StreamPermit permit;
  std::optional<ProxyHeader> header;  // Until it has come.
  std::string heard;                  // That may be a stranger's header.
  std::optional<absl::Time> handshake_began;  // While it is under way.
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
  const bool has_header = IsListed(options_.header_sources, ip);
  std::optional<Source> source;
  if (!has_header && !TakeShare(ip, source)) {
    return Refuse(StreamRefusal::kSource, std::move(tcp));
  }
  ++open_;
  auto owned = std::make_unique<Newcomer>(Stream(std::move(tcp)),
                                          StreamPermit(this, source));
  Newcomer& newcomer = *owned;
  newcomers_[&newcomer] = std::move(owned);
  if (has_header) newcomer.header.emplace();
  newcomer.watch.emplace(loop_, newcomer.stream.fd(), Interest::kRead,
                         [this, &newcomer](Readiness) { Listen(newcomer); });
  if (!newcomer.watch->status().ok()) {
    ++stats_.unwatched;
    return Refuse(StreamRefusal::kUnwatched, newcomer);
  }
  newcomer.alarm.emplace(loop_, [this, &newcomer] {
    if (newcomer.header) {
      ++stats_.refused_header;
      return Refuse(StreamRefusal::kHeader, newcomer);
    }
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

void StreamPort::Refuse(StreamRefusal why, Newcomer& newcomer) {
  newcomer.watch->Forsake();
  on_refusal_(why, newcomer.stream.path().remote);
  newcomer.stream.Cut();
  newcomers_.erase(&newcomer);
}

bool StreamPort::TakeShare(const IpAddress& ip, std::optional<Source>& source) {
  if (IsListed(options_.shared_sources, ip)) return true;
  if (!shares_.Take(SourceOf(ip), options_.max_streams_per_source)) {
    ++stats_.refused_source;
    return false;
  }
  source = SourceOf(ip);
  return true;
}

bool StreamPort::HearProxy(Newcomer& newcomer,
                           absl::Span<const uint8_t>& bytes) {
  bytes.remove_prefix(newcomer.header->Take(bytes));
  if (newcomer.header->state() == ProxyHeader::State::kReading) return false;
  if (newcomer.header->state() == ProxyHeader::State::kRefused) {
    ++stats_.refused_header;
    Refuse(StreamRefusal::kHeader, newcomer);
    return false;
  }
  ++stats_.proxied;
  const std::optional<ProxyHeader::Ends> told = newcomer.header->ends();
  newcomer.header.reset();
  newcomer.alarm->Set(Loop::Now() + options_.first_byte_timeout);
  if (!told) return true;
  newcomer.stream.SetEnds(told->destination, told->source);
  if (TakeShare(told->source.ip, newcomer.permit.source_)) return true;
  Refuse(StreamRefusal::kSource, newcomer);
  return false;
}

// What is read goes with the stream to whoever it is for: to look at it first,
// and then to read it, would be a call more for each.
void StreamPort::Listen(Newcomer& newcomer) {
  if (newcomer.stream.is_tls()) return ListenInside(newcomer);
  std::array<uint8_t, kFirstReadBytes> buffer;
  const ReadResult got = newcomer.stream.Read(absl::MakeSpan(buffer));
  if (got.state == ReadState::kWouldBlock) return;
  // With its end come, whoever speaks what the first byte says hears of that.
  const bool ended = got.state == ReadState::kEnd && !newcomer.heard.empty();
  if (got.state != ReadState::kData && !ended) {
    ++stats_.silent;
    newcomers_.erase(&newcomer);
    return;
  }
  absl::Span<const uint8_t> bytes =
      absl::MakeConstSpan(buffer).first(got.bytes);
  if (newcomer.header && !HearProxy(newcomer, bytes)) return;
  if (!newcomer.heard.empty()) {
    absl::StrAppend(&newcomer.heard, AsText(bytes));
    bytes = AsBytes(newcomer.heard);
  }
  if (bytes.empty() || !(ended || MayPass(newcomer, bytes))) return;
  const StreamKind kind = KindOf(bytes[0]);
  newcomer.stream.Unread(bytes);
  if (kind == StreamKind::kTls && options_.tls) return WrapInTls(newcomer);
  HandOut(newcomer, kind);
}

void StreamPort::ListenInside(Newcomer& newcomer) {
  uint8_t first_byte = 0;
  newcomer.stream.Flush();
  const ReadResult got = newcomer.stream.Peek({&first_byte, 1});
  if (newcomer.handshake_began && newcomer.stream.handshake_done()) {
    handshake_times_.Observe(
        absl::ToDoubleSeconds(Loop::Now() - *newcomer.handshake_began));
    newcomer.handshake_began.reset();
  }
  if (got.state == ReadState::kData) {
    return HandOut(newcomer, KindOf(first_byte));
  }
  if (got.state == ReadState::kWouldBlock) {
    return newcomer.watch->SetInterest(newcomer.stream.interest());
  }
  ++stats_.silent;
  newcomers_.erase(&newcomer);
}

bool StreamPort::MayPass(Newcomer& newcomer, absl::Span<const uint8_t> bytes) {
  switch (ProxyHeader::Recognize(
      bytes.first(std::min(bytes.size(), ProxyHeader::kBeginningBytes)))) {
    case ProxyHeader::Beginning::kHeader:
      ++stats_.unasked_header;
      Refuse(StreamRefusal::kUnaskedHeader, newcomer);
      return false;
    case ProxyHeader::Beginning::kPerhaps:
      newcomer.heard = std::string(AsText(bytes));
      return false;
    case ProxyHeader::Beginning::kNone:
      break;
  }
  return true;
}

void StreamPort::HandOut(Newcomer& newcomer, StreamKind kind) {
  ++stats_.accepted;
  AcceptedStream accepted{std::move(newcomer.stream), kind,
                          std::move(newcomer.permit),
                          Watch(*std::move(newcomer.watch), nullptr)};
  newcomers_.erase(&newcomer);
  on_stream_(std::move(accepted));
}

void StreamPort::WrapInTls(Newcomer& newcomer) {
  newcomer.stream = Stream(TlsStream(*options_.tls, newcomer.stream.TakeTcp()));
  newcomer.handshake_began = Loop::Now();
  newcomer.alarm->Set(*newcomer.handshake_began + options_.first_byte_timeout);
  // The handshake goes on by peeking.
  ListenInside(newcomer);
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
