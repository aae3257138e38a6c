// Allocations whose clients come from another address (RFC 8016).
//
// A client that has moved shows its ticket in a Refresh from its new 5-tuple.
// Both 5-tuples are the allocation's then, and peers' data goes on to the old
// one, until the client says something by the new one: its answer has arrived
// there (section 3.2.2).

#include <memory>

#include "turn/internal/lifetime.h"
#include "turn/server.h"

namespace kyuu::turn {

using internal::Mobility;
using internal::Ticket;

namespace {

// A client may say once more that its allocation ends, if no answer comes (RFC
// 8489 section 6.2.1: Rc and Rm).
constexpr absl::Duration kReleaseRepeated = absl::Seconds(40);

// How long a client whose allocation is another server's may be silent there
// after a Refresh. Of DTLS only the one that it has moved by can be read here,
// and its server says when it is over (Reach::kOver).
absl::Duration VisitLifetime(const ServerOptions& options, const Path& path,
                             const stun::MessageView& refresh) {
  if (path.transport == Transport::kDtls) return options.lifetime_max;
  if (internal::IsRelease(refresh)) return kReleaseRepeated;
  return internal::GrantLifetime(options, refresh);
}

Forward ToServer(int instance, const Path& path,
                 absl::Span<const uint8_t> bytes, size_t segment_size,
                 Reach reach, uint64_t visit) {
  Forward forward;
  forward.exit = Forward::Exit::kServer;
  forward.instance = instance;
  forward.reach = reach;
  forward.visit = visit;
  forward.path = path;
  forward.SetWhole(bytes, segment_size);
  return forward;
}

// The allocation that the ticket of a Refresh names, or null.
internal::Allocation* ByTicket(absl::Time now,
                               const internal::AllocationTable& allocations,
                               const Ticket& ticket) {
  internal::Allocation* allocation = allocations.ById(ticket.holder.relay);
  if (allocation == nullptr || allocation->mobility == nullptr ||
      allocation->expires <= now) {
    return nullptr;
  }
  // The last but one is good as long as the client may not have the last.
  const Mobility& mobility = *allocation->mobility;
  const bool last = ticket.number == mobility.number;
  const bool before =
      mobility.next.has_value() && ticket.number + 1 == mobility.number;
  return last || before ? allocation : nullptr;
}

// The ticket of a Refresh, if it is of our making.
std::optional<Ticket> TicketIn(const internal::TicketMaker& tickets,
                               const stun::MessageView& message) {
  const auto sealed = message.Get<stun::MobilityTicket>();
  if (!sealed.has_value() || message.method() != stun::Method::kRefresh) {
    return std::nullopt;
  }
  return tickets.Open(sealed->value);
}

// What a ConnectionBind names, if it has come by a stream.
std::optional<ConnectionId> ConnectionIn(const Path& path,
                                         const stun::MessageView& message) {
  const auto id = message.Get<stun::ConnectionId>();
  if (!id.has_value() || message.method() != stun::Method::kConnectionBind ||
      !IsStream(path.transport)) {
    return std::nullopt;
  }
  return ConnectionId{id->value};
}

}  // namespace

// Sees whether what a request means is not its 5-tuple's: the allocation of a
// ticket or of a connection. True if it is another server's, and is on its way
// there, or back to the one that it has come from.
bool Server::FindElsewhere(Request& request) {
  const Path& path = request.path;
  const absl::Span<const uint8_t> bytes = request.message.bytes();
  const auto connection = ConnectionIn(path, request.message);
  const auto ticket = options_.mobility == Options::Mobility::kAllow
                          ? TicketIn(tickets_, request.message)
                          : std::nullopt;
  std::optional<Ledger::Holder> holder;
  if (ticket.has_value()) holder = ticket->holder;
  if (connection.has_value()) holder = {InstanceOf(*connection), {}};
  if (holder.has_value() && holder->instance == options_.instance) {
    request.allocation = ticket.has_value()
                             ? ByTicket(request.now, allocations_, *ticket)
                             : connections_.OwnerOf(*connection);
    return false;
  }
  // Who had moved here has no allocation any more. Another server may have what
  // it means now, and the one that hands on what it says must know.
  if (arrival_.reach == Reach::kHere && arrival_.from.has_value()) {
    forwards_.push_back(ToServer(*arrival_.from, path, bytes, bytes.size(),
                                 Reach::kReturned, 0));
    ++stats_.handed_on;
    return true;
  }
  if (!holder.has_value()) {
    if (!HandVisitorOn(request.now, path, bytes, bytes.size())) return false;
    if (request.message.method() == stun::Method::kRefresh &&
        NonceHolds(request)) {
      visitors_.Expect(request.now, path,
                       VisitLifetime(options_, path, request.message));
    }
    return true;
  }
  // The nonce shows that the source is no forged one: others' packets would go
  // astray.
  if (arrival_.reach == Reach::kHere || arrival_.from == holder->instance ||
      holder->instance >= options_.instances || !NonceHolds(request)) {
    return false;
  }
  std::optional<uint64_t> visit = 0;
  if (!IsStream(path.transport)) {
    visit = visitors_.Add(request.now, path, *holder,
                          VisitLifetime(options_, path, request.message));
  }
  if (!visit.has_value()) {
    ++stats_.visitors_refused;
    return false;
  }
  forwards_.push_back(ToServer(holder->instance, path, bytes, bytes.size(),
                               Reach::kHere, *visit));
  ++stats_.handed_on;
  return true;
}

// A client that has moved here with an allocation of another server's: what it
// says goes there.
bool Server::HandVisitorOn(absl::Time now, const Path& path,
                           absl::Span<const uint8_t> bytes,
                           size_t segment_size) {
  if (visitors_.empty() || arrival_.reach == Reach::kHere) return false;
  const auto visit = visitors_.Find(now, path);
  if (!visit.has_value()) return false;
  forwards_.push_back(ToServer(visit->instance, path, bytes, segment_size,
                               Reach::kHere, visit->number));
  // It has begun anew, and this is what tells that server.
  if (bytes.empty()) visitors_.Remove(path);
  stats_.handed_on += forwards_.back().segments;
  return true;
}

// Gives an allocation, which has proven itself by `path`, that 5-tuple too.
void Server::Move(Allocation& allocation, const Path& path) {
  Mobility& mobility = *allocation.mobility;
  if (path == allocation.client || path == mobility.next) return;
  // One at a time: whoever shows tickets from many addresses holds one more.
  ++mobility.number;
  ++stats_.tickets_shown;
  allocations_.Offer(allocation, path);
}

void Server::Arrive(Allocation& allocation, const Path& path) {
  if (allocation.mobility->next != path) return;
  ++stats_.moves;
  events_.push_back(AllocationMoved{allocation.id, allocation.client, path});
  allocations_.Arrive(allocation);
  flows_.Touch(allocation);
}

void Server::ClientGone(const Path& path) {
  authorizations_.Forget(path);
  Allocation* allocation = allocations_.ByClient(path);
  if (allocation == nullptr) return;
  Mobility* mobility = allocation->mobility.get();
  if (mobility == nullptr || !allocation->open) {
    return End(*allocation, EndReason::kDisconnected);
  }
  if (mobility->next == path) {
    allocations_.Withdraw(*allocation);
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
