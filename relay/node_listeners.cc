// The listening sockets of a node, of which those that nobody uses may go to
// another one.

#include <memory>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "base/counters.h"
#include "net/loop.h"
#include "relay/internal/node_parts.h"
#include "relay/node.h"

namespace kyuu::relay {
namespace {

// A queue that is nearly full is about to lose what anybody sends, as one does
// that was full while this loop had no processor. Bursts, and senders that wait
// for answers, have their place below.
constexpr double kFull = 3.0 / 4;
// From then on so much of it may wait before those who send too much are not
// waited for, until none of them was for this long.
constexpr double kCrowded = 1.0 / 8;
constexpr absl::Duration kCalm = absl::Seconds(1);
// As many as empty a queue of small datagrams, and no more than a loop may take
// from what else it has to do.
constexpr int kReceivesInCrowd = 64;

}  // namespace

// What is sent leaves by the first of an address, which therefore stays.
void Node::Listen(net::UdpSocket socket) {
  listeners_.push_back(std::make_unique<Listener>(std::move(socket)));
  Listener& listener = *listeners_.back();
  listener.watch = std::make_unique<net::Watch>(
      loop_, listener.socket.fd(), net::Interest::kRead,
      [this, &listener](net::Readiness) { ReadListener(listener); });
  const net::UdpSocket* first = listener_table_.Find(listener.socket.local());
  if (first != nullptr && first->local() == listener.socket.local()) return;
  listener_table_.Add(listener.socket);
  listener.stays = true;
}

void Node::ReadListener(Listener& listener) {
  const uint64_t tickets = server_.stats().tickets_shown;
  const uint64_t handed_on = server_.stats().handed_on;
  const absl::Time begin = net::Loop::Now();
  // Asked only where it can be, for that is a call of its own.
  const bool asks = listener.behind || begin < listener.crowded_until;
  const double fullness = asks ? listener.socket.Fullness() : 0;
  const uint64_t dropped = stats_.crowd_drops;
  const uint32_t dropped_before = listener.socket.dropped();
  if (fullness > kFull) listener.crowded_until = begin + kCalm;
  const bool crowded = fullness > kCrowded && begin < listener.crowded_until;
  if (crowded) listener.crowd.Begin();
  const int receives = crowded ? kReceivesInCrowd : internal::kReceivesPerTurn;
  reading_ = &listener;
  const bool empty = Read(
      listener.socket, receives, [&](absl::Time now, const net::Train& train) {
        if (crowded &&
            !listener.crowd.Admits(train.path.remote, train.bytes.size())) {
          stats_.crowd_drops += train.segments();
          return absl::Span<const turn::Forward>();
        }
        if (dtls_ != nullptr && HearDtls(now, train)) {
          listener.stays = true;
          return absl::Span<const turn::Forward>();
        }
        return server_.FromClient(now, train.path, train.bytes,
                                  train.segment_size);
      });
  reading_ = nullptr;
  listener.behind = !empty;
  if (dropped != stats_.crowd_drops ||
      dropped_before != listener.socket.dropped()) {
    listener.crowded_until = begin + kCalm;
  }
  // A client that has moved here, or whose words go to another node.
  if (tickets != server_.stats().tickets_shown ||
      handed_on != server_.stats().handed_on) {
    listener.stays = true;
  }
}

// Gives sockets that none of its clients comes by to nodes that have fewer
// clients. What waits in them, of strangers, is heard there as well as here.
void Node::GiveListeners() {
  if (handlers_.balance == nullptr || keeps_listeners_) return;
  for (auto it = listeners_.begin(); it != listeners_.end();) {
    Listener& listener = **it;
    if (listener.stays || listener.relays > 0 || &listener == reading_) {
      ++it;
      continue;
    }
    const auto heir = handlers_.balance->HeirOf(static_cast<size_t>(instance_));
    if (!heir.has_value()) return;
    AddCounters(given_listeners_, listener.Counted());
    listener.watch.reset();
    handlers_.give(*heir, std::move(listener.socket));
    it = listeners_.erase(it);
  }
}

void Node::CountClients() {
  if (handlers_.balance == nullptr) return;
  handlers_.balance->SetClients(static_cast<size_t>(instance_), relays_.size());
}

}  // namespace kyuu::relay
