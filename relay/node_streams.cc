// Clients of a node on TCP and TLS.

#include <optional>
#include <utility>
#include <variant>

#include "net/stream_driver.h"
#include "relay/internal/node_parts.h"
#include "relay/node.h"

namespace kyuu::relay {

void Node::Admit(net::Stream stream, std::shared_ptr<void> place) {
  Path path = stream.path();
  StreamClientOptions options = stream_options_;
  if (stream.is_tls()) {
    path.transport = Transport::kTls;
    options.pieces = StreamClientOptions::Pieces::kMessages;
  }
  // A proxy may tell the same address twice: of two connections by which one
  // client cannot be, the older one is dead.
  if (Guest* old = FindGuest(path)) old->driver->Cut();
  auto owned = std::make_unique<Guest>(path, std::move(place), options);
  Guest& guest = *owned;
  guests_[path] = std::move(owned);
  ++stats_.streams;
  guest.driver.emplace(
      loop_, std::move(stream), guest.client, stream_buffer_,
      [this, &guest](StreamClient::Event event) {
        if (const auto* message = std::get_if<StreamClient::Message>(&event)) {
          return Hear(guest, *message);
        }
        if (!std::get<StreamClient::Closed>(event).status.ok()) {
          ++stats_.streams_cut;
        }
      },
      [this, path](net::StreamEnd, const absl::Status&) {
        server_.ClientGone(path);
        guests_.erase(path);
        Service();
      },
      net::StreamDriverOptions(), &stream_memory_);
}

void Node::Hear(Guest& guest, const StreamClient::Message& message) {
  server_.SetUtcOffset(internal::UtcOffset());
  Execute(server_.FromClient(net::Loop::Now(), guest.path, message.bytes,
                             message.bytes.size()));
  // All that one read brought leaves together.
  if (guest.client.has_message()) return;
  SendAnswers();
  Flush();
  Service();
}

Node::Guest* Node::FindGuest(const Path& path) {
  const auto it = guests_.find(path);
  return it == guests_.end() ? nullptr : it->second.get();
}

void Node::SendToGuest(const turn::Forward& forward) {
  Guest* guest = FindGuest(forward.path);
  if (guest == nullptr) {
    stats_.no_socket += forward.segments;
    return;
  }
  for (size_t i = 0; i < forward.segments; ++i) {
    if (!HasRoomFor(*guest) ||
        !guest->client.SendData(forward.prefix(i), forward.payload(i),
                                forward.padding(i))) {
      ++stats_.stream_drops;
    }
  }
  FlushLater(*guest);
}

bool Node::HasRoomFor(const Guest& guest) const {
  const size_t half = stream_memory_.limit_bytes() / 2;
  return stream_memory_.used_bytes() <= half ||
         guest.client.held_bytes() <= half / guests_.size();
}

void Node::ShedMemory() {
  if (!stream_memory_.over()) return;
  std::vector<std::pair<size_t, Path>> holders;
  holders.reserve(guests_.size());
  for (const auto& [path, guest] : guests_) {
    holders.emplace_back(guest->driver->held_bytes(), path);
  }
  for (const auto& [bytes, path] :
       net::LargestHolders(std::move(holders), stream_memory_.used_bytes(),
                           stream_memory_.limit_bytes() / 8 * 7)) {
    if (Guest* guest = FindGuest(path)) {
      ++stats_.streams_cut;
      guest->driver->Cut();
    }
  }
}

void Node::FlushLater(Guest& guest) {
  if (!std::exchange(guest.dirty, true)) {
    dirty_guests_.push_back(guest.path);
  }
}

// One that is inside of its own handler goes on by itself. Handlers come back
// here: what they make dirty is in a list of its own.
void Node::FlushGuests() {
  std::vector<Path> dirty = std::exchange(flushed_guests_, {});
  dirty.swap(dirty_guests_);
  for (const Path& path : dirty) {
    if (Guest* guest = FindGuest(path)) {
      guest->dirty = false;
      guest->driver->Flush();
    }
  }
  dirty.clear();
  flushed_guests_ = std::move(dirty);  // Its memory, for the next time.
}

}  // namespace kyuu::relay
