// Balance: which loop has how many clients, and which should have more.

#ifndef KYUU_RELAY_BALANCE_H_
#define KYUU_RELAY_BALANCE_H_

#include <atomic>
#include <cstddef>
#include <optional>
#include <vector>

namespace kyuu::relay {

// Balance spreads clients over loops. The kernel gives a new client to any of
// the sockets that share an address, by a hash; of few clients some loops get
// twice as many as others. So each loop has several sockets, and one that has
// more clients than another gives away those that none of its clients comes
// by: the next clients go there.
//
// Safe for several threads. What they know of each other may be old for a
// moment; a socket is then given to a loop that is not the best.
class Balance {
 public:
  // The loops [begin, end) serve, with `sockets_each` of each address.
  Balance(size_t begin, size_t end, size_t sockets_each)
      : begin_(begin), loops_(end) {
    for (Loop& loop : loops_) loop.sockets = sockets_each;
  }

  // How many sockets each of so many loops should have of an address: a hash
  // spreads a hundred clients over two or three well enough, and sockets cost a
  // call each for what one would bring together.
  static size_t SocketsEach(int loops) {
    return loops >= 8 ? 16 : loops >= 4 ? 8 : 1;
  }

  void SetClients(size_t loop, size_t clients) {
    loops_[loop].clients.store(clients, std::memory_order_relaxed);
  }
  // Who is to have a socket of `loop` that nobody comes by; nullopt if it may
  // keep it. Counts it as given.
  std::optional<size_t> HeirOf(size_t loop) {
    size_t heir = begin_;
    for (size_t i = begin_; i < loops_.size(); ++i) {
      if (Before(i, heir)) heir = i;
    }
    if (Clients(heir) >= Clients(loop)) return std::nullopt;
    loops_[loop].sockets.fetch_sub(1, std::memory_order_relaxed);
    loops_[heir].sockets.fetch_add(1, std::memory_order_relaxed);
    return heir;
  }

 private:
  struct Loop {
    std::atomic<size_t> clients{0};
    std::atomic<size_t> sockets{0};
  };

  size_t Clients(size_t loop) const {
    return loops_[loop].clients.load(std::memory_order_relaxed);
  }
  // Fewer clients, and then fewer sockets for more to come by.
  bool Before(size_t a, size_t b) const {
    if (Clients(a) != Clients(b)) return Clients(a) < Clients(b);
    return loops_[a].sockets.load(std::memory_order_relaxed) <
           loops_[b].sockets.load(std::memory_order_relaxed);
  }

  const size_t begin_;
  std::vector<Loop> loops_;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_BALANCE_H_
