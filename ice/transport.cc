#include "ice/transport.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/gatherer.h"
#include "ice/internal/peer_streams.h"

namespace kyuu::ice {
namespace {

// RFC 7983 section 7: what the first byte of a datagram says.
enum class Protocol { kStun, kTurnChannel, kPayload, kUnknown };

Protocol Classify(absl::Span<const uint8_t> bytes) {
  if (bytes.empty()) return Protocol::kUnknown;
  const uint8_t first = bytes[0];
  if (first <= 3) return Protocol::kStun;
  if (first >= 64 && first <= 79) return Protocol::kTurnChannel;
  const bool dtls = first >= 20 && first <= 63;
  const bool rtp = first >= 128 && first <= 191;
  return dtls || rtp ? Protocol::kPayload : Protocol::kUnknown;
}

bool IsOfAgent(StreamId id) {
  return static_cast<uint64_t>(id) >= internal::kFirstPeerStream;
}

// ChannelData's header, in front of what is relayed.
constexpr size_t kRelayHeadroom = 4;

// RFC 9147 section 4: the content type of what flows once keys are agreed on.
constexpr uint8_t kDtlsApplicationData = 23;

// A path that answers checks but no payload is not asked more often.
constexpr absl::Duration kProbeDistance = absl::Seconds(1);

// A lite agent has host candidates only (RFC 8445 section 2.5).
GathererOptions OfAgent(const IceTransportOptions& options) {
  GathererOptions gatherer = options.gatherer;
  if (options.agent.lite) {
    gatherer.stun_servers.clear();
    gatherer.turn_servers.clear();
    gatherer.mapped_type = CandidateType::kHost;
  }
  return gatherer;
}

void HideRelated(Candidate& relayed) {
  const bool v4 = relayed.address.ip.is_v4();
  relayed.related =
      TransportAddress{v4 ? IpAddress::V4(0) : IpAddress::V6({}), 0};
}

}  // namespace

IceTransport::IceTransport(Role role, const Credentials& local, Random& random,
                           const IceTransportOptions& options)
    : lite_(options.agent.lite),
      probe_after_(options.agent.probe_after),
      agent_(role, local, random, options.agent),
      gatherer_(OfAgent(options), random) {}

void IceTransport::StreamConnected(absl::Time now, StreamId id,
                                   const TransportAddress& local) {
  if (IsOfAgent(id)) return agent_.StreamConnected(now, id, local);
  gatherer_.StreamConnected(now, id, local);
  TakeGathered(now);
}

void IceTransport::StreamEnded(absl::Time now, StreamId id,
                               const absl::Status& why) {
  if (IsOfAgent(id)) return agent_.StreamEnded(now, id);
  gatherer_.StreamEnded(now, id, why);
  TakeGathered(now);
}

std::optional<StreamId> IceTransport::StreamAccepted(absl::Time now,
                                                     const Path& path) {
  return agent_.StreamAccepted(now, path);
}

void IceTransport::SetRole(absl::Time now, Role role) {
  agent_.SetRole(now, role);
}

absl::Status IceTransport::SetRemoteCredentials(absl::Time now,
                                                const Credentials& remote,
                                                RemoteMode mode) {
  return agent_.SetRemoteCredentials(now, remote, mode);
}

void IceTransport::AddRemoteCandidate(absl::Time now,
                                      const Candidate& candidate) {
  // Also when there is no relay yet: the next one begins with it.
  if (!candidate.is_name() && candidate.transport == Transport::kUdp) {
    gatherer_.Permit(now, candidate.address);
  }
  agent_.AddRemoteCandidate(now, candidate);
}

void IceTransport::SetPacing(absl::Time now, absl::Duration ta) {
  agent_.SetPacing(now, ta);
}

void IceTransport::EndOfRemoteCandidates(absl::Time now) {
  agent_.EndOfRemoteCandidates(now);
}

void IceTransport::NameResolved(absl::Time now, NameId id,
                                std::optional<IpAddress> ip) {
  if (ip) gatherer_.Permit(now, {*ip, 1});
  agent_.NameResolved(now, id, ip);
}

absl::Status IceTransport::Restart(absl::Time now, const Credentials& local) {
  const absl::Status status = agent_.Restart(now, local);
  if (!status.ok()) return status;
  gatherer_.Restart(now);
  if (gatherer_.policy() == GatherPolicy::kRelay) {
    // It tells what the policy hides (RFC 8828 section 5.2).
    std::vector<Candidate> hidden = candidates();
    for (Candidate& candidate : hidden) HideRelated(candidate);
    candidates_.Assign(hidden);
  }
  TakeGathered(now);
  return absl::OkStatus();
}

absl::Status IceTransport::UndoRestart(absl::Time now,
                                       const Credentials& local) {
  return agent_.Restart(now, local);
}

void IceTransport::Close(absl::Time now) {
  // Again: Closed may be waiting to be told.
  if (agent_.state() == AgentState::kClosed) return;
  agent_.Close(now);
  gatherer_.Close(now);
  events_.clear();
  // The agent's last ones; the end is the gatherer's to tell.
  while (std::optional<AgentEvent> event = agent_.PollEvent()) {
    if (auto* gone = std::get_if<StreamUnwanted>(&*event)) {
      events_.push_back(*gone);
    }
  }
  TakeGathered(now);
}

std::optional<Datagram> IceTransport::HandlePacket(absl::Time now,
                                                   const Datagram& datagram) {
  const Protocol protocol = Classify(datagram.bytes);
  if (protocol == Protocol::kStun || protocol == Protocol::kTurnChannel) {
    const Gatherer::Taken taken = gatherer_.Take(now, datagram);
    if (taken.relayed) return HandleInner(now, *taken.relayed);
    if (taken.claimed) {
      TakeGathered(now);
      return std::nullopt;
    }
  }
  // TLS and DTLS lead to servers, and to nobody else.
  if (datagram.path.transport != Transport::kUdp &&
      datagram.path.transport != Transport::kTcp) {
    ++stats_.at<&IceTransportStats::drop_unknown_path>();
    return std::nullopt;
  }
  return HandleInner(now, datagram);
}

// What came from a peer, by whatever way.
std::optional<Datagram> IceTransport::HandleInner(absl::Time now,
                                                  const Datagram& inner) {
  switch (Classify(inner.bytes)) {
    case Protocol::kStun:
      agent_.HandlePacket(now, inner);
      return std::nullopt;
    case Protocol::kPayload:
      if (!agent_.TakePayload(now, inner.path, inner.bytes.size())) {
        ++stats_.at<&IceTransportStats::drop_unknown_path>();
        // An application record: the peer's own, from behind a NAT that gave
        // it another address, or nobody's.
        if (inner.bytes[0] == kDtlsApplicationData) {
          agent_.CheckStranger(now, inner.path);
        }
        return std::nullopt;
      }
      ++stats_.at<&IceTransportStats::payloads_received>();
      if (inner.path == selected_path()) {
        unanswered_since_ = absl::InfiniteFuture();
      }
      return inner;
    case Protocol::kTurnChannel:
    case Protocol::kUnknown:
      ++stats_.at<&IceTransportStats::drop_unknown_protocol>();
      return std::nullopt;
  }
  return std::nullopt;
}

void IceTransport::HandleTimeout(absl::Time now) {
  gatherer_.HandleTimeout(now);
  TakeGathered(now);
  if (now >= ProbeTime()) {
    next_probe_ = now + kProbeDistance;
    agent_.Probe(now);
  }
  agent_.HandleTimeout(now);
  // A server that was restarted, or behind a NAT that was, drops in silence
  // what goes through its relays.
  const bool doubts = agent_.doubts_path();
  if (doubts && !doubts_) {
    gatherer_.ReviewRelays(now);
    TakeGathered(now);
  }
  doubts_ = doubts;
  ReleaseUnwanted(now);
}

std::optional<Datagram> IceTransport::PollTransmit(absl::Time now,
                                                   absl::Span<uint8_t> out) {
  FollowSelection(now);
  ReleaseUnwanted(now);
  // Requests first: what comes after depends on them.
  if (auto request = gatherer_.PollTransmit(now, out)) return request;
  while (const auto check = agent_.PollTransmit(now, out)) {
    if (auto datagram = Wrap(now, *check, out)) return datagram;
  }
  return std::nullopt;
}

PathProof IceTransport::ProofOf(const Path& path) const {
  if (!agent_.IsKnownPath(path)) return PathProof::kNone;
  if (lite_) return PathProof::kProven;
  for (const PairInfo& pair : agent_.pairs()) {
    if (pair.path == path && pair.responses_received > 0) {
      return PathProof::kProven;
    }
  }
  return PathProof::kHeard;
}

size_t IceTransport::headroom() const {
  const std::optional<Path> path = selected_path();
  return path && gatherer_.IsRelayed(path->local) ? kRelayHeadroom : 0;
}

std::optional<Datagram> IceTransport::Send(absl::Time now,
                                           absl::Span<const uint8_t> payload,
                                           absl::Span<uint8_t> out) {
  const std::optional<Path> path = selected_path();
  if (!path || payload.size() > out.size()) {
    ++stats_.at<&IceTransportStats::drop_no_path>();
    return std::nullopt;
  }
  std::optional<Datagram> datagram = Wrap(now, {*path, payload}, out);
  if (datagram) {
    ++stats_.at<&IceTransportStats::payloads_sent>();
    agent_.CountSent(now, payload.size());
    unanswered_since_ = std::min<absl::Time>(unanswered_since_, now);
  }
  return datagram;
}

// Makes what leaves the machine of `inner`: a relay may give a request that
// must leave first, and keep `inner` until PollTransmit().
std::optional<Datagram> IceTransport::Wrap(absl::Time now,
                                           const Datagram& inner,
                                           absl::Span<uint8_t> out) {
  if (!gatherer_.IsRelayed(inner.path.local)) {
    // Of the agent, or lying in `out` already.
    if (inner.bytes.data() >= out.data() &&
        inner.bytes.data() < out.data() + out.size()) {
      return inner;
    }
    std::memcpy(out.data(), inner.bytes.data(), inner.bytes.size());
    return Datagram{inner.path, out.first(inner.bytes.size())};
  }
  const absl::StatusOr<Datagram> outer = gatherer_.Wrap(now, inner, out);
  if (outer.ok()) return *outer;
  ++stats_.at<&IceTransportStats::drop_unwrappable>();
  return std::nullopt;
}

std::optional<IceTransport::Event> IceTransport::PollEvent() {
  if (!events_.empty()) {
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  while (std::optional<AgentEvent> event = agent_.PollEvent()) {
    if (std::holds_alternative<Closed>(*event)) continue;  // The gatherer's is.
    return std::visit([](auto& e) { return Event(std::move(e)); }, *event);
  }
  return std::nullopt;
}

// The path of before the restart is no more, and needs nothing.
void IceTransport::ReleaseUnwanted(absl::Time now) {
  if (!unwanted_ || agent_.restarting()) return;
  unwanted_ = false;
  gatherer_.ReleaseUnwanted(now);
  TakeGathered(now);
}

// A channel costs less than indications, and nothing to bind; a nominated pair
// keeps itself, so that no server need be asked for addresses any more. Unless
// it is relayed: a direct one is looked for then, to which they are a way.
void IceTransport::FollowSelection(absl::Time now) {
  const std::optional<Path> nominated = agent_.nominated_path();
  if (nominated == nominated_) return;
  nominated_ = nominated;
  if (!nominated) return;
  gatherer_.BindChannel(now, *nominated);
  const std::vector<PairInfo> pairs = agent_.pairs();
  const auto pair = std::find_if(
      pairs.begin(), pairs.end(),
      [&](const PairInfo& info) { return info.path == *nominated; });
  if (pair == pairs.end() || (pair->local_type != CandidateType::kRelayed &&
                              pair->remote_type != CandidateType::kRelayed)) {
    gatherer_.StopKeepalives();
  }
}

// When the silence after our payload has lasted too long.
absl::Time IceTransport::ProbeTime() const {
  const absl::Time never = absl::InfiniteFuture();
  if (unanswered_since_.is_infinite_future() || !selected_path()) return never;
  const absl::Duration wait = std::max<absl::Duration>(
      probe_after_, 2 * agent_.rtt().value_or(absl::ZeroDuration()));
  return std::max<absl::Time>(unanswered_since_ + wait, next_probe_);
}

absl::Time IceTransport::NextTimeout() const {
  return std::min({agent_.NextTimeout(), gatherer_.NextTimeout(), ProbeTime()});
}

std::string IceTransport::DebugString() const {
  return absl::StrCat(agent_.DebugString(), "\n", gatherer_.DebugString());
}

}  // namespace kyuu::ice
