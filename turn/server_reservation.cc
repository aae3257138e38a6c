// Ports that wait for the client with their token (EVEN-PORT, RFC 8656 section
// 18.7), and ports that several servers on one address lend each other.
//
// A client's second allocation comes from another port than its first, so the
// kernel may give it to another instance than the one with the reservation. The
// token says which port is meant: whoever is shown it opens the socket, without
// asking, and the kernel sees to it that there is but one. Telling the owner
// afterwards keeps its account right.

#include "turn/server.h"

namespace kyuu::turn {

bool Server::TakeReservation(const stun::ReservationToken& token,
                             Allocation& allocation, absl::Time now) {
  allocation.reserved_port = true;
  for (internal::Reservation& reservation : reservations_) {
    if (reservation.token != token.value || reservation.expires <= now) {
      continue;
    }
    const internal::PortPool& pool = pools_[reservation.pool];
    allocation.pool = reservation.pool;
    allocation.port = Allocation::Port::kOwn;
    allocation.bind = {pool.bind(), reservation.port};
    allocation.relayed = {pool.advertised(), reservation.port};
    reservation = reservations_.back();
    reservations_.pop_back();
    return true;
  }
  const auto place =
      tokens_.Open(Utc(now), token.value, options_.reservation_lifetime);
  if (!place.has_value() || place->pool >= pools_.size()) return false;
  const internal::PortPool& pool = pools_[place->pool];
  const TransportAddress bind = {pool.bind(), place->port};
  if (pool.Owns(place->port) || by_relay_.contains(bind)) return false;
  allocation.pool = place->pool;
  allocation.port = Allocation::Port::kBorrowed;
  allocation.bind = bind;
  allocation.relayed = {pool.advertised(), place->port};
  return true;
}

// Gives the upper port of a pair back, if it still waits for its client.
void Server::DropReservation(Allocation& allocation) {
  if (!allocation.reservation.has_value()) return;
  for (internal::Reservation& reservation : reservations_) {
    if (reservation.token != *allocation.reservation) continue;
    GiveBack(reservation.pool, reservation.port);
    reservation = reservations_.back();
    reservations_.pop_back();
    return;
  }
}

// Ends the allocation's hold on its port, to whomever that belongs.
void Server::ReleasePort(Allocation& allocation) {
  const Allocation::Port port = allocation.port;
  allocation.port = Allocation::Port::kNone;
  if (port == Allocation::Port::kOwn) {
    GiveBack(allocation.pool, allocation.bind.port);
  } else if (port == Allocation::Port::kBorrowed && allocation.open) {
    // Only what was bound was told to be borrowed.
    events_.push_back(PortLoan{
        PortLoan::Change::kEnded,
        pools_[allocation.pool].Owner(allocation.bind.port), allocation.bind});
  }
}

void Server::GiveBack(size_t pool, uint16_t port) {
  // What is lent by now comes back with HandleLoan().
  if (lent_.contains({pools_[pool].bind(), port})) return;
  pools_[pool].Release(port);
}

void Server::HandleLoan(const PortLoan& loan) {
  if (closed_) return;
  const TransportAddress& bind = loan.bind;
  if (loan.change == PortLoan::Change::kEnded) return ReturnPort(bind);
  for (size_t i = 0; i < pools_.size(); ++i) {
    if (pools_[i].bind() != bind.ip || !pools_[i].Owns(bind.port)) continue;
    // A count, because the word of the next instance to have the port may
    // overtake that of the last.
    if (lent_[bind]++ > 0) return;
    for (internal::Reservation& reservation : reservations_) {
      if (reservation.pool != i || reservation.port != bind.port) continue;
      reservation = reservations_.back();
      reservations_.pop_back();
      return;
    }
    // The reservation ran out while the word was on its way. If the port was
    // given out again, the driver finds that it cannot be bound.
    pools_[i].TakeThis(bind.port);
    return;
  }
}

void Server::ReturnPort(const TransportAddress& bind) {
  const auto it = lent_.find(bind);
  if (it == lent_.end() || --it->second > 0) return;
  lent_.erase(it);
  // Given out while the word was on its way: whoever has it gives it back.
  if (by_relay_.contains(bind)) return;
  for (internal::PortPool& pool : pools_) {
    if (pool.bind() == bind.ip) return pool.Release(bind.port);
  }
}

}  // namespace kyuu::turn
