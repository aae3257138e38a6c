#include "ice/internal/bindings.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"

namespace kyuu::ice::internal {
namespace {

stun::Client::Options StunOptions(const GathererOptions& options) {
  stun::Client::Options stun;
  stun.retransmit.rto_initial = options.rto_initial;
  // From each host over UDP, and from its two ports of TCP.
  stun.transactions_max = 3 * options.max_hosts * 2 * options.max_servers;
  return stun;
}

}  // namespace

void Bindings::Add(const TransportAddress& local,
                   const TransportAddress& server) {
  all_.push_back({.local = local, .server = server});
}

void Bindings::AddTcp(absl::Time now, const TransportAddress& local,
                      TcpType tcp_type, const TransportAddress& server) {
  Binding binding{.local = local, .server = server, .tcp_type = tcp_type};
  if (tcp_type == TcpType::kPassive) {
    binding.due = now + options_->slower_after;
  }
  all_.push_back(binding);
}

void Bindings::Drop(Predicate is_it, Told told) {
  for (Binding& binding : all_) {
    if (!is_it(binding)) continue;
    Cancel(binding);
    EndStream(binding);
    if (told == Told::kYes) Forget(binding);
  }
  all_.EraseIf(is_it);
}

void Bindings::Restart(absl::Time now) {
  keepalives_ = true;
  for (Binding& binding : all_) {
    Cancel(binding);
    // The one that is being made asks when it is.
    if (binding.stream && !binding.connected) continue;
    binding.state = JobState::kQueued;
    binding.keepalive = absl::InfiniteFuture();
    binding.deadline = absl::InfiniteFuture();
    binding.due = binding.tcp_type == TcpType::kPassive
                      ? now + options_->slower_after
                      : absl::InfinitePast();
  }
}

// A port that only listens is not needed while UDP works from there.
bool Bindings::IsSpared(const Binding& binding) const {
  return binding.tcp_type == TcpType::kPassive && !binding.stream &&
         std::any_of(all_.begin(), all_.end(), [&](const Binding& other) {
           return !other.tcp_type && other.local.ip == binding.local.ip &&
                  other.state == JobState::kDone;
         });
}

void Bindings::Spare(Binding& binding) {
  binding.state = JobState::kDone;
  Forget(binding);
}

// What it has shown, if it has, is nobody's any more.
void Bindings::Forget(Binding& binding) {
  if (binding.mapped.port == 0) return;
  changes_.push_back({binding.local,
                      binding.server,
                      binding.tcp_type,
                      {},
                      std::exchange(binding.mapped, {})});
}

bool Bindings::StartNext(absl::Time now) {
  for (Binding& binding : all_) {
    const bool queued =
        binding.state == JobState::kQueued && now >= binding.due;
    if (queued && IsSpared(binding)) {
      Spare(binding);
      continue;
    }
    if (!queued && (!keepalives_ || now < binding.keepalive)) continue;
    Begin(now, binding);
    return true;
  }
  return false;
}

void Bindings::Begin(absl::Time now, Binding& binding) {
  if (binding.state == JobState::kQueued) binding.state = JobState::kRunning;
  binding.keepalive = absl::InfiniteFuture();
  binding.deadline = now + options_->server_deadline;
  if (!binding.tcp_type) return Ask(now, binding, Transport::kUdp);
  if (binding.connected) return Ask(now, binding, Transport::kTcp);
  binding.stream = StreamId{kFirstBindingStream + ++streams_wanted_};
  events_.push_back(StreamWanted{.id = *binding.stream,
                                 .server = binding.server,
                                 .protocol = RelayProtocol::kTcp,
                                 .from = binding.local});
}

void Bindings::Ask(absl::Time now, Binding& binding, Transport transport) {
  if (!stun_) {
    stun_ = std::make_unique<stun::Client>(random_, StunOptions(*options_));
  }
  const absl::StatusOr<stun::TransactionId> id =
      stun_->Bind(now, {binding.local, binding.server, transport});
  if (id.ok()) {
    binding.id = *id;
  } else {
    // At once: HandleTimeout tells it like any other failure.
    binding.state = JobState::kRunning;
    binding.deadline = now;
  }
}

void Bindings::StreamConnected(absl::Time now, StreamId id) {
  for (Binding& binding : all_) {
    if (binding.stream != id || binding.connected) continue;
    binding.connected = true;
    Ask(now, binding, Transport::kTcp);
  }
}

void Bindings::StreamEnded(absl::Time now, StreamId id,
                           const absl::Status& why) {
  for (Binding& binding : all_) {
    if (binding.stream != id) continue;
    binding.stream.reset();  // The driver knows.
    return Fail(now, binding, why, 0);
  }
}

bool Bindings::Take(absl::Time now, const Datagram& datagram) {
  if (stun_ && stun_->Expects(datagram.bytes)) {
    stun_->HandlePacket(now, datagram);
    TakeAnswers(now);
    return true;
  }
  // Nothing else is to be had from there: it is no peer.
  return datagram.path.transport == Transport::kTcp &&
         std::any_of(all_.begin(), all_.end(), [&](const Binding& binding) {
           return binding.connected && binding.local == datagram.path.local &&
                  binding.server == datagram.path.remote;
         });
}

void Bindings::HandleTimeout(absl::Time now) {
  if (stun_) stun_->HandleTimeout(now);
  TakeAnswers(now);
  for (Binding& binding : all_) {
    if (now < binding.deadline) continue;
    Fail(now, binding, absl::DeadlineExceededError("no answer"), 0);
  }
}

void Bindings::TakeAnswers(absl::Time now) {
  const auto find = [&](const stun::TransactionId& id) {
    const auto it = std::find_if(all_.begin(), all_.end(),
                                 [&](const Binding& b) { return b.id == id; });
    return it == all_.end() ? nullptr : &*it;
  };
  while (std::optional<stun::Client::Event> event =
             stun_ ? stun_->PollEvent() : std::nullopt) {
    if (const auto* mapped = std::get_if<stun::Client::Mapped>(&*event)) {
      Binding* binding = find(mapped->id);
      if (binding != nullptr) OnMapped(now, *binding, mapped->mapped);
    } else if (const auto* failed =
                   std::get_if<stun::Client::Failed>(&*event)) {
      Binding* binding = find(failed->id);
      if (binding == nullptr) continue;
      Fail(now, *binding, failed->status,
           static_cast<uint16_t>(failed->error.value_or(stun::Error{})));
    }
  }
}

// There is no NAT, or another connection shows and keeps the same.
bool Bindings::IsRedundant(const Binding& binding,
                           const TransportAddress& mapped) const {
  if (!binding.tcp_type) return false;
  return mapped == binding.local ||
         std::any_of(all_.begin(), all_.end(), [&](const Binding& other) {
           return &other != &binding && other.connected &&
                  other.local == binding.local &&
                  other.tcp_type == binding.tcp_type && other.mapped == mapped;
         });
}

void Bindings::OnMapped(absl::Time now, Binding& binding,
                        const TransportAddress& mapped) {
  binding.state = JobState::kDone;
  binding.id.reset();
  binding.deadline = absl::InfiniteFuture();
  binding.retry = absl::ZeroDuration();
  if (IsRedundant(binding, mapped)) {
    Forget(binding);
    return EndStream(binding);
  }
  binding.keepalive = now + options_->keepalive_interval;
  const TransportAddress before = std::exchange(binding.mapped, mapped);
  if (before != mapped) {
    changes_.push_back(
        {binding.local, binding.server, binding.tcp_type, mapped, before});
  }
  for (Binding& other : all_) {
    if (other.state == JobState::kQueued && IsSpared(other)) Spare(other);
  }
}

void Bindings::Fail(absl::Time now, Binding& binding,
                    const absl::Status& status, uint16_t code) {
  Cancel(binding);
  binding.deadline = absl::InfiniteFuture();
  const bool worked = binding.state == JobState::kDone;
  if (worked && !binding.tcp_type) {
    // Only a keepalive was lost.
    binding.keepalive = now + options_->keepalive_interval;
    return;
  }
  EndStream(binding);
  if (binding.tcp_type && binding.mapped.port != 0) LoseStream(now, binding);
  if (worked) return;
  if (binding.retry != absl::ZeroDuration()) {
    binding.state = JobState::kQueued;
    binding.due = now + binding.retry;
    binding.retry = std::min(2 * binding.retry, options_->relay_retry_max);
    return;
  }
  binding.state = JobState::kFailed;
  events_.push_back(GathererServerFailed{
      binding.server, binding.local, status, code,
      binding.tcp_type ? RelayProtocol::kTcp : RelayProtocol::kUdp});
}

// With the connection went what it has shown. All servers are asked again, as
// long as that is of use.
void Bindings::LoseStream(absl::Time now, Binding& binding) {
  Forget(binding);
  if (!keepalives_) return;
  for (Binding& other : all_) {
    if (other.local != binding.local || other.tcp_type != binding.tcp_type ||
        other.stream || other.state == JobState::kQueued) {
      continue;
    }
    other.state = JobState::kQueued;
    other.retry = options_->relay_retry_initial;
    other.due = now + other.retry;
  }
}

void Bindings::EndStream(Binding& binding) {
  if (!binding.tcp_type) return;
  if (binding.stream) events_.push_back(StreamUnwanted{*binding.stream});
  binding.stream.reset();
  binding.connected = false;
  binding.keepalive = absl::InfiniteFuture();
}

void Bindings::Cancel(Binding& binding) {
  if (binding.id) stun_->Cancel(*binding.id);
  binding.id.reset();
}

void Bindings::StopKeepalives() {
  keepalives_ = false;
  for (Binding& binding : all_) {
    if (!binding.tcp_type) continue;
    Cancel(binding);
    EndStream(binding);
    binding.state = JobState::kDone;
    binding.deadline = absl::InfiniteFuture();
  }
}

void Bindings::Close() {
  if (stun_) stun_->Close();
  for (Binding& binding : all_) EndStream(binding);
  all_.clear();
}

std::optional<Datagram> Bindings::PollTransmit(absl::Time now,
                                               absl::Span<uint8_t> out) {
  return stun_ ? stun_->PollTransmit(now, out) : std::nullopt;
}

std::optional<Bindings::Change> Bindings::PollChange() {
  if (changes_.empty()) return std::nullopt;
  const Change change = changes_.front();
  changes_.erase(changes_.begin());
  return change;
}

bool Bindings::open() const {
  return std::any_of(all_.begin(), all_.end(), [](const Binding& binding) {
    return binding.state == JobState::kQueued ||
           binding.state == JobState::kRunning;
  });
}

bool Bindings::Sees(const TransportAddress& local,
                    std::optional<TcpType> tcp_type,
                    const TransportAddress& mapped) const {
  return std::any_of(all_.begin(), all_.end(), [&](const Binding& binding) {
    return binding.local == local && binding.tcp_type == tcp_type &&
           binding.mapped == mapped;
  });
}

absl::Time Bindings::NextStart() const {
  absl::Time next = absl::InfiniteFuture();
  for (const Binding& binding : all_) {
    if (binding.state == JobState::kQueued) next = std::min(next, binding.due);
    if (keepalives_) next = std::min(next, binding.keepalive);
  }
  return next;
}

absl::Time Bindings::NextTimeout() const {
  absl::Time next = stun_ ? stun_->NextTimeout() : absl::InfiniteFuture();
  for (const Binding& binding : all_) next = std::min(next, binding.deadline);
  return next;
}

}  // namespace kyuu::ice::internal
