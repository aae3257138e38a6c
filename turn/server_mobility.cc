// Allocations whose clients come from another address (RFC 8016).
//
// A client that has moved shows its ticket in a Refresh from its new 5-tuple.
// Both 5-tuples are the allocation's then, and peers' data goes on to the old
// one, until the client says something by the new one: its answer has arrived
// there (section 3.2.2).

#include <memory>

#include "turn/server.h"

namespace kyuu::turn {

using internal::Mobility;
using internal::Ticket;

// The ticket of a request; an empty one asks for the first.
std::optional<stun::Error> Server::CheckTicket(const Request& request) const {
  const auto ticket = request.message.Get<stun::MobilityTicket>();
  if (!ticket.has_value()) return std::nullopt;
  if (options_.mobility == Options::Mobility::kForbid) {
    return stun::Error::kMobilityForbidden;
  }
  const bool asks = ticket->value.empty();
  if (asks != (request.message.method() == stun::Method::kAllocate)) {
    return stun::Error::kBadRequest;
  }
  return std::nullopt;
}

// The allocation that the ticket of a Refresh names, or null.
Server::Allocation* Server::ByTicket(absl::Time now,
                                     absl::Span<const uint8_t> sealed) const {
  const std::optional<Ticket> ticket = tickets_.Open(sealed);
  if (!ticket.has_value() || ticket->holder.instance != options_.instance) {
    return nullptr;
  }
  Allocation* allocation = allocations_.ById(ticket->holder.relay);
  if (allocation == nullptr || allocation->mobility == nullptr ||
      allocation->expires <= now) {
    return nullptr;
  }
  // The last but one is good as long as the client may not have the last.
  const Mobility& mobility = *allocation->mobility;
  const bool last = ticket->number == mobility.number;
  const bool before =
      mobility.next.has_value() && ticket->number + 1 == mobility.number;
  return last || before ? allocation : nullptr;
}

internal::TicketMaker::Sealed Server::TicketOf(
    const Allocation& allocation) const {
  return tickets_.Seal(
      {{options_.instance, allocation.id}, allocation.mobility->number});
}

// Gives an allocation, which has proven itself by `path`, that 5-tuple too.
void Server::Move(Allocation& allocation, const Path& path) {
  Mobility& mobility = *allocation.mobility;
  if (path == allocation.client || path == mobility.next) return;
  // One at a time: whoever shows tickets from many addresses holds one more.
  if (mobility.next.has_value()) allocations_.Forget(*mobility.next);
  ++mobility.number;
  mobility.next = path;
  allocations_.Learn(path, allocation);
}

void Server::Arrive(Allocation& allocation, const Path& path) {
  if (allocation.mobility->next != path) return;
  ++stats_.moves;
  allocations_.Forget(allocation.client);
  events_.push_back(AllocationMoved{allocation.id, allocation.client, path});
  allocation.client = path;
  allocation.mobility->next.reset();
}

void Server::ClientGone(const Path& path) {
  Allocation* allocation = allocations_.ByClient(path);
  if (allocation == nullptr) return;
  Mobility* mobility = allocation->mobility.get();
  if (mobility == nullptr || !allocation->open) {
    return End(*allocation, EndReason::kDisconnected);
  }
  if (mobility->next == path) {
    allocations_.Forget(path);
    mobility->next.reset();
  } else if (mobility->next.has_value()) {
    Settle(*allocation, Path(*mobility->next));
  } else if (!IsStream(path.transport)) {
    // Its session of DTLS is over: what peers send would go there in the clear,
    // and anybody could send in its name.
    End(*allocation, EndReason::kDisconnected);
  }
  // Else it may come back with its ticket, by whatever way, until the end of
  // its lifetime.
}

}  // namespace kyuu::turn
