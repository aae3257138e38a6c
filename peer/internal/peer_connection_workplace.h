// Workplace: what a peer::Thread and the connections on it share, and what is
// left of them while they take their leave.

#ifndef KYUU_PEER_INTERNAL_PEER_CONNECTION_WORKPLACE_H_
#define KYUU_PEER_INTERNAL_PEER_CONNECTION_WORKPLACE_H_

#include <memory>
#include <set>
#include <utility>

#include "net/loop.h"
#include "peer/name_resolver.h"
#include "peer/shared_port.h"

namespace kyuu::peer::internal {

class Core;

// Owned by its thread, its Thread and the cores on it. All but the loop's
// Post() and IsCurrent() belongs to the thread.
struct Workplace {
  explicit Workplace(std::unique_ptr<net::Loop> l) : loop(std::move(l)) {}

  bool IsCurrent() const { return current == this; }
  // The loop ends once its Thread is gone and the last core has departed.
  void Leave() {
    leaving = true;
    if (cores.empty()) loop->Stop();
  }
  void Depart(const std::shared_ptr<Core>& core) {
    cores.erase(core);
    if (leaving) Leave();
  }

  NameResolver& Names() {
    if (names == nullptr) names = std::make_unique<NameResolver>(*loop);
    return *names;
  }

  static inline thread_local const Workplace* current = nullptr;

  const std::unique_ptr<net::Loop> loop;
  // One for all, made when it is first needed, gone with the loop's last turn.
  std::unique_ptr<NameResolver> names;
  // What all share, if they do: from before the thread until its end.
  std::unique_ptr<SharedPort> port;
  std::set<std::shared_ptr<Core>> cores;  // Until each has said goodbye.
  bool leaving = false;
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_PEER_CONNECTION_WORKPLACE_H_
