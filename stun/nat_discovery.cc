#include "stun/nat_discovery.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "stun/attributes.h"
#include "stun/discovery.h"
#include "stun/message.h"

namespace kyuu::stun {
namespace {

// More than an Ethernet takes in one piece.
constexpr size_t kPaddingBytes = kAnswerPaddingMax;
// The tests beside those of probes.
constexpr size_t kTests = 8;

NatDiscoveryOptions Sorted(NatDiscoveryOptions options) {
  std::sort(options.probes.begin(), options.probes.end(),
            [](const auto& a, const auto& b) { return a.idle < b.idle; });
  return options;
}

// Whether `alternate` is what RFC 5780 section 3 wants of a second address.
bool IsAlternate(const TransportAddress& alternate,
                 const TransportAddress& server) {
  return alternate.ip.family() == server.ip.family() &&
         alternate.ip != server.ip && alternate.port != server.port &&
         alternate.port != 0;
}

}  // namespace

absl::string_view ToString(NatDependence dependence) {
  switch (dependence) {
    case NatDependence::kUnknown:
      return "unknown";
    case NatDependence::kNone:
      return "endpoint-independent";
    case NatDependence::kAddress:
      return "address-dependent";
    case NatDependence::kAddressAndPort:
      return "address- and port-dependent";
    case NatDependence::kSome:
      return "endpoint-dependent";
  }
  return "unknown";
}

NatDiscovery::NatDiscovery(Random& random, Options options)
    : options_(Sorted(std::move(options))),
      client_(random,
              {.retransmit = options_.retransmit,
               .transactions_max = kTests + 2 * options_.probes.size()}),
      probes_(options_.probes.size()) {
  report_.local = options_.local;
}

absl::Status NatDiscovery::Start(absl::Time now) {
  if (state_ != State::kNew) return absl::OkStatus();
  KYUU_RETURN_IF_ERROR(
      Ask(now, Test::kBasic, {options_.local, options_.server}));
  for (size_t i = 0; i < probes_.size(); ++i) {
    KYUU_RETURN_IF_ERROR(Ask(now, Test::kMapProbe,
                             {options_.probes[i].local, options_.server}, {},
                             i));
  }
  state_ = State::kFiltering;
  return absl::OkStatus();
}

void NatDiscovery::Close() { End(absl::CancelledError("closed")); }

absl::Status NatDiscovery::Ask(absl::Time now, Test test, const Path& path,
                               const Client::Behavior& behavior, size_t probe) {
  KYUU_ASSIGN_OR_RETURN(const TransactionId id,
                        client_.Bind(now, path, behavior));
  running_.push_back({test, id, probe});
  return absl::OkStatus();
}

void NatDiscovery::HandlePacket(absl::Time now, Packet in) {
  // What we have sent to ourselves is a request yet.
  if (const auto message = MessageView::Parse(in.bytes);
      message.ok() && message->cls() == MessageClass::kRequest) {
    const auto own = std::find_if(running_.begin(), running_.end(),
                                  [&message](const Running& run) {
                                    return run.test == Test::kHairpin &&
                                           run.id == message->transaction_id();
                                  });
    if (own == running_.end()) return;
    report_.hairpinning = NatAbility::kYes;
    client_.Cancel(own->id);
    running_.erase(own);
  } else {
    client_.HandlePacket(now, in);
  }
  Proceed(now);
}

void NatDiscovery::HandleTimeout(absl::Time now) {
  client_.HandleTimeout(now);
  for (size_t i = 0; i < probes_.size(); ++i) {
    Probe& probe = probes_[i];
    if (now < probe.ask_at) continue;
    probe.ask_at = absl::InfiniteFuture();
    probe.state = Probe::State::kAsking;
    const absl::Status asked =
        Ask(now, Test::kProbe, {options_.asker, options_.server},
            {.response_port = ResponsePort{probe.mapped.port},
             .answered_at = options_.probes[i].local},
            i);
    if (!asked.ok()) probe.state = Probe::State::kUnknown;
  }
  Proceed(now);
}

void NatDiscovery::Proceed(absl::Time now) {
  while (const auto event = client_.PollEvent()) {
    const auto* answer = std::get_if<Client::Mapped>(&*event);
    const auto* failed = std::get_if<Client::Failed>(&*event);
    if (answer == nullptr && failed == nullptr) continue;  // Closed.
    const TransactionId& id = answer != nullptr ? answer->id : failed->id;
    const auto it =
        std::find_if(running_.begin(), running_.end(),
                     [&id](const Running& run) { return run.id == id; });
    if (it == running_.end()) continue;
    const Running run = *it;
    running_.erase(it);
    if (answer != nullptr) {
      On(now, run, *answer);
    } else {
      On(run, *failed);
    }
    if (state_ == State::kClosed) return;
  }
  if (state_ == State::kFiltering && !IsAskingOurselves()) AskMappings(now);
  if (state_ == State::kMapping && !IsAskingOurselves()) Report();
  if (state_ == State::kReported) JudgeLifetime();
}

bool NatDiscovery::IsAskingOurselves() const {
  return std::any_of(running_.begin(), running_.end(), [](const Running& run) {
    return run.test != Test::kMapProbe && run.test != Test::kProbe;
  });
}

void NatDiscovery::On(absl::Time now, const Running& run,
                      const Client::Mapped& answer) {
  switch (run.test) {
    case Test::kBasic:
      report_.mapped = answer.mapped;
      report_.round_trip = answer.round_trip;
      AskMore(now, answer);
      break;
    case Test::kOtherServer:
      report_.mapping = answer.mapped == report_.mapped ? NatDependence::kNone
                                                        : NatDependence::kSome;
      break;
    case Test::kHairpin:
      break;  // Somebody else has our address: that is no hairpin.
    case Test::kFragments:
      // A server that does not pad its answer tells half of it.
      if (answer.padding_bytes >= kPaddingBytes) {
        report_.fragments = NatAbility::kYes;
      }
      break;
    case Test::kFilterAddressPort:
      // A server that does not change its address tells nothing.
      if (answer.from == alternate_) report_.filtering = NatDependence::kNone;
      break;
    case Test::kFilterPort:
      if (answer.from.port == alternate_->port &&
          report_.filtering == NatDependence::kUnknown) {
        report_.filtering = NatDependence::kAddress;
      }
      break;
    case Test::kMapAddress:
      mapped_by_address_ = answer.mapped;
      break;
    case Test::kMapAddressPort:
      mapped_by_port_ = answer.mapped;
      break;
    case Test::kMapProbe:
      probes_[run.probe].mapped = answer.mapped;
      probes_[run.probe].state = Probe::State::kIdle;
      probes_[run.probe].ask_at = now + options_.probes[run.probe].idle;
      break;
    case Test::kProbe:
      probes_[run.probe].state = Probe::State::kAlive;
      break;
  }
}

void NatDiscovery::On(const Running& run, const Client::Failed& failed) {
  const bool silent = absl::IsDeadlineExceeded(failed.status);
  switch (run.test) {
    case Test::kBasic:
      End(failed.status);
      break;
    case Test::kHairpin:
      report_.hairpinning = NatAbility::kNo;
      break;
    case Test::kFragments:
      if (silent) report_.fragments = NatAbility::kNo;
      break;
    case Test::kFilterAddressPort:
    case Test::kFilterPort:
      if (silent && ++silent_filters_ == 2) {
        report_.filtering = NatDependence::kAddressAndPort;
      }
      break;
    case Test::kOtherServer:
    case Test::kMapAddress:
    case Test::kMapAddressPort:
      break;  // Remains unknown.
    case Test::kMapProbe:
      probes_[run.probe].state = Probe::State::kUnknown;
      break;
    case Test::kProbe:
      probes_[run.probe].state =
          silent ? Probe::State::kDead : Probe::State::kUnknown;
      break;
  }
}

// In the order of RFC 5780 section 4: what is asked of the alternate address
// opens the filter for it, so filters come first.
void NatDiscovery::AskMore(absl::Time now, const Client::Mapped& basic) {
  const Path path = basic.path;
  if (!report_.translated()) {
    report_.mapping = NatDependence::kNone;
  } else if (!Ask(now, Test::kHairpin, {path.local, basic.mapped}).ok()) {
    report_.hairpinning = NatAbility::kUnknown;
  }
  const auto& other = basic.other_address;
  if (!other || !IsAlternate(*other, options_.server)) return;
  alternate_ = other;
  for (const auto& [test, behavior] :
       {std::pair(
            Test::kFilterAddressPort,
            Client::Behavior{.change_request = ChangeRequest{.change_ip = true,
                                               .change_port = true}}),
        std::pair(Test::kFilterPort,
                  Client::Behavior{.change_request =
                                       ChangeRequest{.change_port = true}}),
        std::pair(Test::kFragments,
                  Client::Behavior{.padding_bytes = kPaddingBytes})}) {
    if (!Ask(now, test, path, behavior).ok()) {
      alternate_.reset();
      return;
    }
  }
}

void NatDiscovery::AskMappings(absl::Time now) {
  state_ = State::kMapping;
  if (!report_.translated()) return;
  absl::Status asked;
  if (alternate_) {
    const TransportAddress by_address = {alternate_->ip, options_.server.port};
    asked = Ask(now, Test::kMapAddress, {options_.local, by_address});
    asked.Update(
        Ask(now, Test::kMapAddressPort, {options_.local, *alternate_}));
  } else if (options_.other_server) {
    asked =
        Ask(now, Test::kOtherServer, {options_.local, *options_.other_server});
  }
  // What could not be asked remains unknown.
  if (!asked.ok()) alternate_.reset();
}

void NatDiscovery::JudgeMappings() {
  if (!mapped_by_address_) return;
  if (*mapped_by_address_ == report_.mapped) {
    report_.mapping = NatDependence::kNone;
  } else if (!mapped_by_port_) {
    report_.mapping = NatDependence::kSome;
  } else if (*mapped_by_port_ == *mapped_by_address_) {
    report_.mapping = NatDependence::kAddress;
  } else {
    report_.mapping = NatDependence::kAddressAndPort;
  }
}

void NatDiscovery::Report() {
  JudgeMappings();
  events_.push_back(Found{report_});
  state_ = State::kReported;
}

void NatDiscovery::JudgeLifetime() {
  if (probes_.empty()) return End(absl::OkStatus());
  NatLifetime lifetime{absl::ZeroDuration(), absl::InfiniteDuration()};
  bool known = false;
  for (size_t i = 0; i < probes_.size(); ++i) {
    const absl::Duration idle = options_.probes[i].idle;
    switch (probes_[i].state) {
      case Probe::State::kAlive:
        lifetime.at_least = idle;
        known = true;
        break;
      case Probe::State::kDead:
        lifetime.below = idle;
        known = true;
        break;
      case Probe::State::kUnknown:
        break;
      case Probe::State::kMapping:
      case Probe::State::kIdle:
      case Probe::State::kAsking:
        return;
    }
    // Those that keep silent for longer have nothing to add.
    if (probes_[i].state == Probe::State::kDead) break;
  }
  if (!known) {
    return End(absl::UnimplementedError(
        "the server does not answer to another port (RESPONSE-PORT)"));
  }
  events_.push_back(LifetimeFound{lifetime});
  End(absl::OkStatus());
}

void NatDiscovery::End(absl::Status status) {
  if (std::exchange(state_, State::kClosed) == State::kClosed) return;
  client_.Close();
  running_.clear();
  for (Probe& probe : probes_) probe.ask_at = absl::InfiniteFuture();
  events_.push_back(Closed{std::move(status)});
}

std::optional<NatDiscovery::Packet> NatDiscovery::PollTransmit(
    absl::Time now, absl::Span<uint8_t> out) {
  return client_.PollTransmit(now, out);
}

std::optional<NatDiscovery::Event> NatDiscovery::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

absl::Time NatDiscovery::NextTimeout() const {
  absl::Time next = client_.NextTimeout();
  for (const Probe& probe : probes_) next = std::min(next, probe.ask_at);
  return next;
}

std::string NatDiscovery::DebugString() const {
  return absl::StrCat("stun::NatDiscovery ", report_.mapped.ToString(),
                      ": mapping ", ToString(report_.mapping), ", filtering ",
                      ToString(report_.filtering), "; ", client_.DebugString());
}

}  // namespace kyuu::stun
