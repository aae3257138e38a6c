// The listening sockets of a node, of which those that nobody uses may go to
// another one.

#include <memory>
#include <optional>
#include <utility>

#include "base/counters.h"
#include "relay/internal/node_parts.h"
#include "relay/node.h"

namespace kyuu::relay {

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
  reading_ = &listener;
  Read(listener.socket, [&](absl::Time now, const net::Train& train) {
    if (dtls_ != nullptr && HearDtls(now, train)) {
      listener.stays = true;
      return absl::Span<const turn::Forward>();
    }
    return server_.FromClient(now, train.path, train.bytes, train.segment_size);
  });
  reading_ = nullptr;
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
