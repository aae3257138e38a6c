// Many IceTransports that share an address behind a Mux, as one engine for
// tests on sim.

#ifndef KYUU_ICE_TESTING_MUX_HOST_H_
#define KYUU_ICE_TESTING_MUX_HOST_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/deadline_queue.h"
#include "base/engine.h"
#include "base/testing.h"
#include "ice/mux.h"
#include "ice/testing/peer.h"

namespace kyuu::ice::testing {

// MuxHost looks at nobody but whom a datagram or a deadline is for.
class MuxHost {
 public:
  using Packet = Datagram;
  struct Event {
    MuxId id;
    Peer::Event event;
  };

  explicit MuxHost(const MuxOptions& options = {}) : mux(options) {}

  // An agent of `local`, which all share. It is to be told of by Changed() when
  // something was done to it.
  MuxId Add(Role role, uint64_t seed, const TransportAddress& local,
            const AgentOptions& agent = {}) {
    GathererOptions gatherer;
    gatherer.hosts = {{local}};
    const absl::StatusOr<MuxId> id = mux.Add();
    EXPECT_OK(id);
    peers_[*id] = std::make_unique<Peer>(role, seed, gatherer, agent);
    Changed(*id);
    return *id;
  }
  void Remove(MuxId id) {
    mux.Remove(id);
    deadlines_.Stop(id);
    ready_.erase(id);
    peers_.erase(id);
  }
  Peer& operator[](MuxId id) { return *peers_.at(id); }
  // Its credentials, too, may be others.
  void Changed(MuxId id) {
    EXPECT_TRUE(
        mux.AddUfrag(id, peers_.at(id)->ice.agent().local_credentials().ufrag));
    ready_.insert(id);
  }

  void HandlePacket(absl::Time now, const Datagram& datagram) {
    const std::optional<MuxId> id = mux.Route(datagram);
    if (!id) return;
    Peer& peer = *peers_.at(*id);
    peer.HandlePacket(now, datagram);
    ++handed;
    mux.Bind(*id, datagram.path, peer.ice.ProofOf(datagram.path));
    ready_.insert(*id);
  }
  void HandleTimeout(absl::Time now) {
    while (const std::optional<MuxId> id = deadlines_.PopDue(now)) {
      ++timeouts;
      peers_.at(*id)->HandleTimeout(now);
      ready_.insert(*id);
    }
  }
  std::optional<Datagram> PollTransmit(absl::Time now,
                                       absl::Span<uint8_t> out) {
    while (!ready_.empty()) {
      const MuxId id = *ready_.begin();
      Peer& peer = *peers_.at(id);
      if (const auto datagram = peer.PollTransmit(now, out)) {
        mux.NoteSent(now, id, *datagram);
        return datagram;
      }
      ready_.erase(id);
      events_.insert(id);
      deadlines_.Set(id, peer.NextTimeout());
    }
    return std::nullopt;
  }
  std::optional<Event> PollEvent() {
    while (!events_.empty()) {
      const MuxId id = *events_.begin();
      const auto peer = peers_.find(id);
      if (peer != peers_.end()) {
        if (auto event = peer->second->PollEvent()) {
          return Event{id, *std::move(event)};
        }
      }
      events_.erase(id);
    }
    return std::nullopt;
  }
  absl::Time NextTimeout() const {
    return ready_.empty() ? deadlines_.NextTimeout() : absl::InfinitePast();
  }

  Mux mux;
  uint64_t handed = 0;    // Datagrams, to agents.
  uint64_t timeouts = 0;  // Of agents.

 private:
  std::map<MuxId, std::unique_ptr<Peer>> peers_;
  DeadlineQueue<MuxId> deadlines_;
  std::set<MuxId> ready_;   // May have something to send.
  std::set<MuxId> events_;  // And to tell.
};
static_assert(Engine<MuxHost>);

}  // namespace kyuu::ice::testing

#endif  // KYUU_ICE_TESTING_MUX_HOST_H_
