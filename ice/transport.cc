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

// ChannelData's header, in front of what is relayed.
constexpr size_t kRelayHeadroom = 4;

}  // namespace

absl::string_view ToString(GatheringState state) {
  switch (state) {
    case GatheringState::kNew:
      return "new";
    case GatheringState::kGathering:
      return "gathering";
    case GatheringState::kComplete:
      return "complete";
  }
  return "";
}

IceTransport::IceTransport(Role role, const Credentials& local, Random& random,
                           const IceTransportOptions& options)
    : agent_(role, local, random, options.agent),
      gatherer_(options.gatherer, random) {}

absl::Status IceTransport::AddHost(absl::Time, const HostAddress& host) {
  return gatherer_.AddHost(host);
}

void IceTransport::Gather(absl::Time now) {
  last_now_ = std::max(last_now_, now);
  if (!gatherer_.Start(now).ok()) return;
  gathering_state_ = GatheringState::kGathering;
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
  if (!candidate.is_name()) gatherer_.Permit(now, candidate.address);
  agent_.AddRemoteCandidate(now, candidate);
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
  return agent_.Restart(now, local);
}

void IceTransport::Close(absl::Time now) {
  agent_.Close(now);
  gatherer_.Close(now);
  held_.reset();
}

std::optional<Datagram> IceTransport::HandlePacket(absl::Time now,
                                                   const Datagram& datagram) {
  last_now_ = std::max(last_now_, now);
  const Protocol protocol = Classify(datagram.bytes);
  if (protocol == Protocol::kStun || protocol == Protocol::kTurnChannel) {
    const Gatherer::Taken taken = gatherer_.Take(now, datagram);
    if (taken.relayed) return HandleInner(now, *taken.relayed);
    if (taken.claimed) return std::nullopt;
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
      if (!agent_.IsKnownPath(inner.path)) {
        ++stats_.drop_unknown_path;
        return std::nullopt;
      }
      ++stats_.payloads_received;
      return inner;
    case Protocol::kTurnChannel:
    case Protocol::kUnknown:
      ++stats_.drop_unknown_protocol;
      return std::nullopt;
  }
  return std::nullopt;
}

void IceTransport::HandleTimeout(absl::Time now) {
  last_now_ = std::max(last_now_, now);
  gatherer_.HandleTimeout(now);
  agent_.HandleTimeout(now);
}

std::optional<Datagram> IceTransport::PollTransmit(absl::Time now,
                                                   absl::Span<uint8_t> out) {
  last_now_ = std::max(last_now_, now);
  // Requests first: what comes after depends on them.
  if (auto request = gatherer_.PollTransmit(now, out)) return request;
  if (held_) {
    const Held held = *std::exchange(held_, std::nullopt);
    if (auto datagram = Wrap(now, {held.path, held.bytes}, out)) {
      return datagram;
    }
  }
  while (const auto check = agent_.PollTransmit(now, out)) {
    if (auto datagram = Wrap(now, *check, out)) return datagram;
  }
  return std::nullopt;
}

size_t IceTransport::headroom() const {
  const std::optional<Path> path = selected_path();
  return path && gatherer_.IsRelayed(path->local) ? kRelayHeadroom : 0;
}

std::optional<Datagram> IceTransport::Send(absl::Time now,
                                           absl::Span<const uint8_t> payload,
                                           absl::Span<uint8_t> out) {
  last_now_ = std::max(last_now_, now);
  const std::optional<Path> path = selected_path();
  if (!path || payload.size() > out.size()) {
    ++stats_.drop_no_path;
    return std::nullopt;
  }
  std::optional<Datagram> datagram = Wrap(now, {*path, payload}, out);
  if (datagram) ++stats_.payloads_sent;
  return datagram;
}

// Makes what leaves the machine of `inner`. Returns a request instead, and
// holds `inner`, if one must leave first.
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
  if (absl::IsUnavailable(outer.status()) && !held_) {
    held_ = Held{inner.path, {inner.bytes.begin(), inner.bytes.end()}};
    if (auto request = gatherer_.PollTransmit(now, out)) return request;
    held_.reset();
  }
  ++stats_.drop_unwrappable;
  return std::nullopt;
}

std::optional<IceTransport::Event> IceTransport::PollEvent() {
  if (gathering_state_ == GatheringState::kGathering &&
      std::exchange(told_gathering_state_, gathering_state_) !=
          gathering_state_) {
    return GatheringStateChanged{gathering_state_};
  }
  while (std::optional<Gatherer::Event> event = gatherer_.PollEvent()) {
    if (std::optional<Event> told = On(*event)) return told;
  }
  while (std::optional<AgentEvent> event = agent_.PollEvent()) {
    if (std::holds_alternative<Closed>(*event)) continue;  // The gatherer's is.
    if (const auto* selected = std::get_if<SelectedPair>(&*event)) {
      if (selected->nominated) gatherer_.BindChannel(last_now_, selected->path);
    }
    return std::visit([](auto& e) { return Event(std::move(e)); }, *event);
  }
  return std::nullopt;
}

std::optional<IceTransport::Event> IceTransport::On(Gatherer::Event& event) {
  if (auto* found = std::get_if<Gatherer::CandidateFound>(&event)) {
    if (!agent_.AddLocalCandidate(last_now_, found->candidate).ok()) {
      ++stats_.drop_candidate;
      return std::nullopt;
    }
    candidates_.push_back(found->candidate);
    return std::move(*found);
  }
  if (std::holds_alternative<Gatherer::Finished>(event)) {
    gathering_state_ = told_gathering_state_ = GatheringState::kComplete;
    return GatheringStateChanged{gathering_state_};
  }
  if (auto* failed = std::get_if<Gatherer::ServerFailed>(&event)) {
    return std::move(*failed);
  }
  if (auto* lost = std::get_if<Gatherer::RelayLost>(&event)) {
    return std::move(*lost);
  }
  return Closed{std::get<Gatherer::Closed>(event).status};
}

absl::Time IceTransport::NextTimeout() const {
  return std::min(agent_.NextTimeout(), gatherer_.NextTimeout());
}

std::string IceTransport::DebugString() const {
  return absl::StrCat(agent_.DebugString(), "\n", gatherer_.DebugString());
}

}  // namespace kyuu::ice
