#include "sctp/association.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/random.h"
#include "sctp/internal/core.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp {

Association::Association(const Options& options, Random& random)
    : core_(std::make_unique<internal::Core>(options, random)) {}
Association::~Association() = default;
Association::Association(Association&&) noexcept = default;
Association& Association::operator=(Association&&) noexcept = default;

absl::Status Association::Connect(absl::Time now) {
  return core_->Connect(now);
}

absl::Status Association::ConnectWith(absl::Time now,
                                      const OutOfBandInits& inits) {
  return core_->ConnectWith(now, inits.local, inits.remote);
}

absl::Status Association::Send(absl::Time now, Message&& message,
                               const SendOptions& how) {
  return core_->Send(now, std::move(message), how);
}

absl::Status Association::BeginMessage(absl::Time now, StreamId stream,
                                       Ppid ppid, std::optional<size_t> size,
                                       const SendOptions& how) {
  return core_->BeginMessage(now, stream, ppid, size, how);
}

absl::Status Association::SendPart(absl::Time now, StreamId stream,
                                   std::vector<uint8_t>&& bytes, Part part) {
  return core_->SendPart(now, stream, std::move(bytes), part);
}

absl::Status Association::ResetStreams(absl::Time now,
                                       absl::Span<const StreamId> streams,
                                       ResetTiming timing) {
  return core_->ResetStreams(now, streams, timing);
}

absl::Status Association::ResetAssociation(absl::Time now) {
  return core_->ResetAssociation(now);
}

absl::Status Association::AddStreams(absl::Time now, uint16_t outgoing,
                                     uint16_t incoming) {
  return core_->AddStreams(now, outgoing, incoming);
}

void Association::HurryReset(absl::Time now, StreamId stream) {
  core_->HurryReset(now, stream);
}

void Association::Shutdown(absl::Time now) { core_->Shutdown(now); }

void Association::Abort(absl::Time now, absl::string_view reason) {
  core_->Abort(now, absl::CancelledError(reason), reason);
}

void Association::Close(absl::Time now) {
  core_->Abort(now, absl::OkStatus(), "");
}

void Association::PathLost(absl::Time now) { core_->PathLost(now); }

void Association::PathReady(absl::Time now, std::optional<size_t> max_mtu) {
  core_->PathReady(now, max_mtu);
}

bool Association::sent_probe() const { return core_->sent_probe(); }

void Association::HandlePacket(absl::Time now, Packet packet) {
  core_->HandlePacket(now, packet);
}

void Association::HandleTimeout(absl::Time now) { core_->HandleTimeout(now); }

std::optional<Association::Packet> Association::PollTransmit(
    absl::Time now, absl::Span<uint8_t> out) {
  return core_->PollTransmit(now, out);
}

std::optional<Association::Event> Association::PollEvent() {
  return core_->PollEvent();
}

absl::Time Association::NextTimeout() const { return core_->NextTimeout(); }

bool Association::transmit_urgent() const { return core_->transmit_urgent(); }

uint64_t Association::restarts() const { return core_->restarts(); }

bool Association::is_connected() const { return core_->is_connected(); }

size_t Association::buffered_amount(StreamId stream) const {
  return core_->queue().buffered(stream);
}

void Association::SetBufferedAmountLowThreshold(StreamId stream, size_t bytes) {
  core_->queue().SetLowThreshold(stream, bytes);
}

void Association::SetDelivery(StreamId stream, Delivery delivery) {
  core_->events().SetDelivery(stream, delivery);
}

void Association::SetMaxMessageOut(size_t bytes) {
  core_->SetMaxMessageOut(bytes);
}

Stats Association::stats() const { return core_->stats(); }

std::string Association::DebugString() const { return core_->DebugString(); }

}  // namespace kyuu::sctp
