#include "ice/testing/transport_script.h"

#include <algorithm>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "ice/agent_types.h"
#include "ice/gatherer.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "turn/channel_data.h"

namespace kyuu::ice::testing {
namespace {

using stun::IntegrityKey;
using stun::MessageClass;

constexpr int kMaxCandidates = 10;
constexpr size_t kMaxPairs = 20;
constexpr size_t kMaxStreams = 3;  // Of each kind.
constexpr uint16_t kListens = 5001;
const TransportAddress kStun{IpAddress::V4(192, 0, 2, 1), 3478};
const TransportAddress kTurn{IpAddress::V4(192, 0, 2, 2), 3478};

TransportAddress Host(uint8_t i) {
  return {IpAddress::V4(10, 0, 0, static_cast<uint8_t>(1 + i % 4)), 5000};
}
// Few, so that they meet.
TransportAddress Peer(uint8_t i) {
  return {IpAddress::V4(203, 0, 113, static_cast<uint8_t>(1 + i % 4)),
          static_cast<uint16_t>(6000 + i % 2)};
}
Credentials Name(const char* who, uint8_t generation) {
  return {absl::StrCat(who, "-ufrag-", generation),
          absl::StrCat(who, "-password0123456789abc-", generation)};
}
Credentials Ours(uint8_t generation) { return Name("our", generation); }
Credentials Theirs(uint8_t generation) { return Name("the", generation); }

absl::Span<const uint8_t> Noise(Reader& r) {
  const size_t size = r.U8();
  return r.Bytes(std::min(size, r.remaining()));
}

}  // namespace

IceTransportOptions TransportScript::Options(uint8_t start) {
  IceTransportOptions options;
  options.agent.max_remote_candidates = 20;
  options.agent.max_pairs = kMaxPairs;
  options.agent.max_streams = kMaxStreams;
  options.gatherer.hosts = {
      {Host(0), InterfaceKind::kUnknown, /*tcp_active=*/true, kListens},
      {Host(1)}};
  options.gatherer.stun_servers = {kStun};
  options.gatherer.turn_servers = {{kTurn, "user", "pass"}};
  options.gatherer.policy =
      (start & 2) != 0 ? GatherPolicy::kRelay : GatherPolicy::kAll;
  options.gatherer.max_candidates = kMaxCandidates;
  options.gatherer.max_peers = 4;
  return options;
}

TransportScript::TransportScript(uint8_t start)
    : transport_((start & 1) != 0 ? Role::kControlling : Role::kControlled,
                 Ours(0), random_, Options(start)) {
  if ((start & 4) != 0) {
    transport_.Gather(now_);
    for (int i = 0; i < 20; ++i) {
      Drain();
      Pass(absl::Milliseconds(5));
    }
  }
  if ((start & 8) != 0) {
    KYUU_CHECK(transport_.SetRemoteCredentials(now_, Theirs(0)).ok());
    AddRemote(0);
  }
  const uint8_t way = (start & 32) != 0 ? 4 : 0;
  if ((start & 16) != 0) {
    Check(way);
    Drain();
    Answer(0);
    // The seeds do get as far as they say.
    const bool gathered_and_known = (start & 12) == 12;
    const bool way_exists = (start & 32) != 0 || (start & 2) == 0;
    KYUU_CHECK(transport_.selected_path() ||
               !(gathered_and_known && way_exists));
  }
  if ((start & 64) != 0) {
    Check(way | 1);
    for (int i = 0; i < 4; ++i) {
      Pass(absl::Milliseconds(500));
      Drain();
      Answer(0);
    }
  }
}

void TransportScript::Step(Reader& r) {
  const uint8_t op = r.U8();
  const uint8_t arg = r.U8();
  switch (op % 16) {
    case 0:
      return Pass(absl::Milliseconds(arg));
    case 1:
      return Pass(absl::Milliseconds(10) * arg * arg);
    case 2:
      Serve(arg);
      return;
    case 3:
      return Drain();
    case 4:
      return Check(arg);
    case 5:
      return Answer(arg);
    case 6:
      return FromPeer((arg & 4) != 0 ? Way::kRelayed : Way::kDirect, Peer(arg),
                      Noise(r));
    case 7:
      // From a server, or so it says.
      return Receive(
          {{Host(arg), (arg & 8) != 0 ? kTurn : kStun, Transport::kUdp},
           Noise(r)});
    case 8:
      return Send(Noise(r));
    default:
      return Command(op % 16, arg);
  }
}

void TransportScript::Command(uint8_t op, uint8_t arg) {
  switch (op) {
    case 9:
      return AddRemote(arg);
    case 10:
      // Refused when others are set; that is a result like any other.
      (void)transport_.SetRemoteCredentials(
          now_, Theirs(generation_),
          (arg & 1) != 0 ? RemoteMode::kLite : RemoteMode::kFull);
      return;
    case 11:
      if (arg < 32) return Restart();
      if (arg < 64) transport_.EndOfRemoteCandidates(now_);
      return transport_.SetPacing(now_, absl::Milliseconds(arg));
    case 12:
      // As above: unknown ones, and too many.
      if ((arg & 128) != 0) return (void)transport_.RemoveHost(now_, Host(arg));
      if ((arg & 64) != 0) return (void)transport_.AddHost(now_, {Host(arg)});
      return transport_.NameResolved(now_, NameId{arg}, Peer(arg).ip);
    case 13:
      server_.errors.clear();
      if (arg > 99) {
        server_.errors[static_cast<stun::Method>(arg % 10)] =
            static_cast<stun::Error>(100 + 2 * arg);
      }
      server_.nonce.assign(1, static_cast<char>('a' + arg % 26));
      return;
    case 14:
      if (arg == 7) transport_.Close(now_);
      if (arg > 128) {
        transport_.SetRole(
            now_, (arg & 1) != 0 ? Role::kControlling : Role::kControlled);
      }
      if (arg >= 16 && arg < 24) return Configure(arg);
      if (arg == 24) return transport_.Prefetch(now_);
      if (arg == 25) return transport_.DiscardPrefetched(now_);
      return transport_.Gather(now_);
    default:
      TakeEvents();
      if ((arg & 128) != 0) Stream(arg);
  }
}

void TransportScript::Configure(uint8_t arg) {
  std::vector<TransportAddress> stun;
  if ((arg & 1) != 0) stun.push_back(kStun);
  std::vector<TurnServer> turn;
  if ((arg & 2) != 0) turn.push_back({kTurn, "user", "pass"});
  transport_.Configure(
      now_, std::move(stun), std::move(turn),
      (arg & 4) != 0 ? GatherPolicy::kRelay : GatherPolicy::kAll);
}

void TransportScript::Stream(uint8_t arg) {
  const size_t which = arg >> 4 & 7;
  const auto taken = [&](auto& list) {
    const auto it = list.begin() + static_cast<long>(which % list.size());
    const auto copy = *it;
    list.erase(it);
    return copy;
  };
  switch (arg % 4) {
    case 0: {
      const Path path{{Host(0).ip, kListens}, Peer(arg >> 2), Transport::kTcp};
      // The network knows a path once.
      for (const auto& [id, open] : streams_) {
        if (open == path) return;
      }
      if (const auto id = transport_.StreamAccepted(now_, path)) {
        streams_.emplace_back(*id, path);
      }
      return;
    }
    case 1: {
      if (wanted_.empty()) return;
      const PeerStreamWanted wanted = taken(wanted_);
      if ((arg & 4) != 0) {
        return transport_.StreamEnded(now_, wanted.id,
                                      absl::UnavailableError("refused"));
      }
      const TransportAddress local{
          wanted.local,
          static_cast<uint16_t>(static_cast<uint64_t>(wanted.id) % 20'000 +
                                40'000)};
      streams_.emplace_back(wanted.id,
                            Path{local, wanted.remote, Transport::kTcp});
      return transport_.StreamConnected(now_, wanted.id, local);
    }
    case 2:
      if (streams_.empty()) return;
      return transport_.StreamEnded(now_, taken(streams_).first,
                                    absl::OkStatus());
    default:
      if (streams_.empty()) return;
      stream_ = streams_[which % streams_.size()].second;
      Check(static_cast<uint8_t>(arg & ~4));
      stream_.reset();
  }
}

void TransportScript::Pass(absl::Duration duration) {
  now_ += duration;
  transport_.HandleTimeout(now_);
}

void TransportScript::AddRemote(uint8_t arg) {
  Candidate c;
  c.foundation = absl::StrCat(arg & 3);
  c.type = static_cast<CandidateType>(arg >> 6);
  c.priority = Priority(c.type, arg);
  c.address = Peer(arg);
  if (arg % 5 == 4) {
    c.transport = Transport::kTcp;
    c.tcp_type = static_cast<TcpType>(arg % 3);
  }
  if (arg % 7 == 6) {
    c.address.ip = IpAddress();
    c.name = "x.local";
  }
  transport_.AddRemoteCandidate(now_, c);
}

void TransportScript::Restart() {
  if (transport_.Restart(now_, Ours(++generation_)).ok()) asked_.reset();
}

bool TransportScript::Serve(uint8_t flip) {
  const auto datagram = transport_.PollTransmit(now_, absl::MakeSpan(out_));
  if (!datagram) return false;
  Look(*datagram);
  if (datagram->path.remote != kStun && datagram->path.remote != kTurn) {
    return true;
  }
  const auto request = stun::MessageView::Parse(datagram->bytes);
  if (!request.ok() || request->cls() != MessageClass::kRequest) return true;
  std::vector<uint8_t> answer;
  if (request->method() == stun::Method::kBinding) {
    stun::MessageWriter w(absl::MakeSpan(packet_), MessageClass::kSuccess,
                          stun::Method::kBinding, request->transaction_id());
    w.Add(stun::XorMappedAddress{Peer(flip)});
    answer = turn::ScriptedServer::Copy(w.Finish());
  } else {
    answer = server_.Answer(datagram->bytes);
  }
  if (flip > 200 && !answer.empty()) {
    const size_t bit = (flip - 200u) * 97 % (answer.size() * 8);
    answer[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
  Receive({datagram->path, answer});
  return true;
}

void TransportScript::Drain() {
  for (int i = 0; i < 1000; ++i) {
    if (!Serve(0)) return;
  }
  KYUU_CHECK(false && "the transport never runs dry");
}

// What leaves the machine is well made, and a check in it may be answered.
void TransportScript::Look(const Datagram& outer) {
  KYUU_CHECK(!outer.bytes.empty() && outer.bytes.size() <= out_.size());
  if (outer.path.remote == kStun) return;
  if (outer.path.remote != kTurn) {
    return LookInside(outer.path, Way::kDirect, outer.bytes);
  }
  if (turn::IsChannelData(outer.bytes)) {
    const auto data = turn::ReadChannelData(outer.bytes);
    KYUU_CHECK(data.has_value());
    // Whose channel it is, the number does not tell here.
    return LookInside({server_.relayed, server_.last_peer.value_or(Peer(0))},
                      Way::kRelayed, data->payload);
  }
  const auto message = stun::MessageView::Parse(outer.bytes);
  KYUU_CHECK(message.ok());
  const auto peer = message->Get<stun::XorPeerAddress>();
  const auto data = message->Get<stun::Data>();
  if (message->method() != stun::Method::kSend) return;
  KYUU_CHECK(peer && data);
  LookInside({server_.relayed, peer->address}, Way::kRelayed, data->value);
}

void TransportScript::LookInside(const Path& path, Way way,
                                 absl::Span<const uint8_t> bytes) {
  // Payload of ours begins as DTLS does.
  if (bytes.empty() || bytes[0] > 3) return;
  const auto message = stun::MessageView::Parse(bytes);
  KYUU_CHECK(message.ok() && message->CheckFingerprint());
  if (message->cls() == MessageClass::kRequest) {
    asked_ = Asked{path, message->transaction_id(), way};
  }
}

void TransportScript::Send(absl::Span<const uint8_t> payload) {
  std::vector<uint8_t> bytes(payload.begin(), payload.end());
  bytes.insert(bytes.begin(), 23);
  const auto path = transport_.selected_path();
  const auto datagram = transport_.Send(now_, bytes, absl::MakeSpan(out_));
  KYUU_CHECK(path || !datagram);
  if (!datagram) return;
  Look(*datagram);
  if (datagram->path == *path) KYUU_CHECK(datagram->bytes == bytes);
}

// An authenticated check of the peer; bits of `arg` make it less than right.
void TransportScript::Check(uint8_t arg) {
  stun::TransactionId id;
  id.bytes.fill(arg);
  stun::MessageWriter w(absl::MakeSpan(packet_), MessageClass::kRequest,
                        stun::Method::kBinding, id);
  const Credentials ours = transport_.agent().local_credentials();
  const std::string username =
      absl::StrCat(ours.ufrag, ":", Theirs(generation_).ufrag);
  w.Add(stun::Username{username});
  if ((arg & 1) != 0) w.Add(stun::UseCandidate{});
  const bool controlled =
      (transport_.agent().role() == Role::kControlling) != ((arg & 8) != 0);
  if (controlled) {
    w.Add(stun::IceControlled{(arg & 16) != 0 ? UINT64_MAX : 0});
  } else {
    w.Add(stun::IceControlling{(arg & 16) != 0 ? UINT64_MAX : 0});
  }
  w.Add(stun::Priority{uint32_t{arg} << 22 | 1});
  w.AddIntegrity(IntegrityKey::ShortTerm(ours.password));
  w.AddFingerprint();
  const absl::Span<const uint8_t> bytes = w.Finish();
  if ((arg & 0xe0) == 0xe0) packet_[arg % bytes.size()] ^= arg;
  FromPeer((arg & 4) != 0 ? Way::kRelayed : Way::kDirect, Peer(arg >> 5),
           bytes);
}

// An authenticated answer to the last check of ours.
void TransportScript::Answer(uint8_t arg) {
  if (!asked_) return;
  const Asked asked = *asked_;
  const bool error = (arg & 3) == 3;
  stun::MessageWriter w(absl::MakeSpan(packet_),
                        error ? MessageClass::kError : MessageClass::kSuccess,
                        stun::Method::kBinding, asked.id);
  if (error) {
    w.Add(stun::ErrorCode{
        (arg & 4) != 0 ? stun::Error::kRoleConflict : stun::Error::kServerError,
        ""});
  } else {
    w.Add(
        stun::XorMappedAddress{(arg & 8) != 0 ? Peer(arg) : asked.path.local});
  }
  w.AddIntegrity(IntegrityKey::ShortTerm(Theirs(generation_).password));
  w.AddFingerprint();
  const absl::Span<const uint8_t> bytes = w.Finish();
  if ((arg & 0xe0) == 0xe0) packet_[arg % bytes.size()] ^= arg;
  if (asked.way == Way::kDirect) return Receive({asked.path, bytes});
  FromPeer(Way::kRelayed, asked.path.remote, bytes);
}

void TransportScript::FromPeer(Way way, const TransportAddress& peer,
                               absl::Span<const uint8_t> bytes) {
  if (way == Way::kDirect) {
    const Path datagrams{Host(0), peer, Transport::kUdp};
    return Receive({stream_.value_or(datagrams), bytes});
  }
  const std::vector<uint8_t> data = server_.Data(peer, bytes);
  Receive({{Host(0), kTurn, Transport::kUdp}, data});
}

void TransportScript::Receive(const Datagram& datagram) {
  const auto payload = transport_.HandlePacket(now_, datagram);
  if (!payload) return;
  // A view into what came, of a protocol that runs over ICE (RFC 7983).
  KYUU_CHECK(!payload->bytes.empty());
  KYUU_CHECK(payload->bytes.data() >= datagram.bytes.data() &&
             payload->bytes.data() + payload->bytes.size() <=
                 datagram.bytes.data() + datagram.bytes.size());
  const uint8_t first = payload->bytes[0];
  KYUU_CHECK((first >= 20 && first <= 63) || (first >= 128 && first <= 191));
  KYUU_CHECK(transport_.agent().IsKnownPath(payload->path));
}

void TransportScript::TakeEvents() {
  while (const auto event = transport_.PollEvent()) {
    KYUU_CHECK(!closed_);
    closed_ = std::holds_alternative<Closed>(*event);
    candidates_ += std::holds_alternative<Gatherer::CandidateFound>(*event);
    candidates_ -= std::holds_alternative<Gatherer::CandidateGone>(*event);
    if (const auto* wanted = std::get_if<PeerStreamWanted>(&*event)) {
      wanted_.push_back(*wanted);
    }
    if (const auto* gone = std::get_if<StreamUnwanted>(&*event)) {
      // Told once, and of those alone that were asked for or accepted.
      KYUU_CHECK(
          std::erase_if(wanted_, [&](auto& w) { return w.id == gone->id; }) +
              std::erase_if(streams_,
                            [&](auto& s) { return s.first == gone->id; }) ==
          1);
    }
  }
  KYUU_CHECK(streams_.size() + wanted_.size() <= 2 * kMaxStreams);
  KYUU_CHECK(candidates_ <= kMaxCandidates);
  KYUU_CHECK(transport_.candidates().size() <= kMaxCandidates);
  KYUU_CHECK(transport_.agent().pairs().size() <= kMaxPairs);
}

void TransportScript::Settle() {
  for (int i = 0; i < 40; ++i) {
    Drain();
    TakeEvents();
    if (const auto path = transport_.selected_path()) {
      KYUU_CHECK(transport_.agent().IsKnownPath(*path));
    }
    if (transport_.NextTimeout() == absl::InfiniteFuture()) return;
    now_ = std::max(now_, transport_.NextTimeout());
    // What the servers answer meanwhile may be due at once, but not for ever.
    for (int round = 0; transport_.NextTimeout() <= now_; ++round) {
      KYUU_CHECK(round < 10);
      transport_.HandleTimeout(now_);
      Drain();
    }
  }
}

void TransportScript::Finish() {
  Settle();
  transport_.Close(now_);
  Settle();
  KYUU_CHECK(closed_);
  KYUU_CHECK(transport_.NextTimeout() == absl::InfiniteFuture());
  KYUU_CHECK(!transport_.selected_path());
}

}  // namespace kyuu::ice::testing
