#include "stun/server.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace kyuu::stun {
namespace {

// Addresses that nobody can be at: an answer would go astray, or to many.
bool CanBeAnswered(const TransportAddress& source) {
  return source.port != 0 && source.ip.family() != IpFamily::kUnspecified &&
         !source.ip.IsAny() && !source.ip.IsMulticast();
}

}  // namespace

std::optional<Server::Plan> Server::DecideClassic(const Datagram& in) {
  const std::optional<ClassicBinding> binding = ReadClassicBinding(in.bytes);
  if (!binding) {
    ++stats_.malformed;
    return std::nullopt;
  }
  if (!CanBeAnswered(in.path.remote)) {
    ++stats_.bad_source;
    return std::nullopt;
  }
  ++stats_.requests;
  ++stats_.classic_requests;
  Plan plan{.path = in.path, .mapped = in.path.remote, .classic = *binding};
  if (!binding->unknown.empty()) plan.error = Error::kUnknownAttribute;
  return plan;
}

std::optional<Server::Plan> Server::Decide(const Datagram& in) {
  if (!IsStun(in.bytes)) return DecideClassic(in);
  const absl::StatusOr<MessageView> request = MessageView::Parse(in.bytes);
  if (!request.ok() ||
      (request->HasFingerprint() && !request->CheckFingerprint())) {
    ++stats_.malformed;
    return std::nullopt;
  }
  if (!request->Is(MessageClass::kRequest, Method::kBinding)) {
    ++stats_.unexpected;
    return std::nullopt;
  }
  if (!CanBeAnswered(in.path.remote)) {
    ++stats_.bad_source;
    return std::nullopt;
  }
  ++stats_.requests;
  Plan plan{.path = in.path,
            .id = request->transaction_id(),
            .mapped = in.path.remote,
            .fingerprint = request->HasFingerprint()};
  plan.unknown = request->UnknownComprehensionRequired(
      options_.discovery ? kDiscoveryAttributes : kStunAttributes);
  if (!plan.unknown.empty()) plan.error = Error::kUnknownAttribute;
  if (options_.discovery && !plan.error) Redirect(*request, plan);
  return plan;
}

void Server::Redirect(const MessageView& request, Plan& plan) const {
  const Redirection redirection =
      RedirectionOf(*options_.discovery, request, plan.path);
  plan.path = redirection.path;
  plan.whereabouts = redirection.whereabouts;
  plan.error = redirection.error;
}

absl::Span<const uint8_t> Server::Write(const Plan& plan,
                                        absl::Span<uint8_t> out) {
  MessageWriter writer(
      out, plan.error ? MessageClass::kError : MessageClass::kSuccess,
      Method::kBinding, plan.id);
  if (plan.error) {
    writer.Add(ErrorCode{*plan.error, ""});
    if (!plan.unknown.empty()) writer.Add(plan.unknown);
  } else {
    writer.Add(XorMappedAddress{plan.mapped});
    if (plan.whereabouts) plan.whereabouts->Write(writer, plan.path.local);
  }
  if (plan.fingerprint) writer.AddFingerprint();
  return writer.Finish();
}

std::optional<Datagram> Server::Build(const Plan& plan,
                                      absl::Span<uint8_t> out) {
  const absl::Span<const uint8_t> bytes =
      plan.classic ? WriteClassicAnswer(*plan.classic, plan.mapped, out)
                   : Write(plan, out);
  if (bytes.empty()) return std::nullopt;
  ++(plan.error ? stats_.errors : stats_.successes);
  return Datagram{plan.path, bytes};
}

std::optional<Datagram> Server::Answer(const Datagram& in,
                                       absl::Span<uint8_t> out) {
  const std::optional<Plan> plan = Decide(in);
  if (!plan) return std::nullopt;
  return Build(*plan, out);
}

void Server::HandlePacket(absl::Time, Packet in) {
  if (closed_) return;
  const std::optional<Plan> plan = Decide(in);
  if (!plan) return;
  if (waiting_.size() >= options_.answers_max) {
    ++stats_.dropped;
    return;
  }
  waiting_.push_back(*plan);
}

void Server::HandleTimeout(absl::Time) {}

std::optional<Server::Packet> Server::PollTransmit(absl::Time,
                                                   absl::Span<uint8_t> out) {
  while (!waiting_.empty()) {
    const std::optional<Datagram> answer = Build(waiting_.front(), out);
    waiting_.pop_front();
    if (answer) return answer;
  }
  return std::nullopt;
}

std::optional<Server::Event> Server::PollEvent() {
  if (!closed_event_) return std::nullopt;
  return *std::exchange(closed_event_, std::nullopt);
}

absl::Time Server::NextTimeout() const { return absl::InfiniteFuture(); }

void Server::Close() {
  if (closed_) return;
  closed_ = true;
  waiting_.clear();
  closed_event_ = Closed{absl::OkStatus()};
}

std::string Server::DebugString() const {
  return absl::StrCat("stun::Server ", stats_.requests, " requests, ",
                      stats_.errors, " errors, ", waiting_.size(), " waiting");
}

}  // namespace kyuu::stun
