// Clients of a node on TCP and TLS.

#include <optional>
#include <utility>
#include <variant>

#include "net/stream_driver.h"
#include "relay/internal/node_parts.h"
#include "relay/node.h"

namespace kyuu::relay {

void Node::Admit(net::Stream stream, std::shared_ptr<void> place,
                 std::optional<net::Watch> watch) {
  Path path = stream.path();
  StreamClientOptions options = stream_options_;
  if (stream.is_tls()) {
    path.transport = Transport::kTls;
    options.pieces = StreamClientOptions::Pieces::kMessages;
  }
  ++stats_.streams;
  std::string host = stream.server_name();
  Seat(path, std::move(host), std::move(stream), std::move(place),
       StreamClient(options, net::Loop::Now()), turn::Reach::kEverywhere,
       std::move(watch));
}

void Node::Arrive(Departure departure) {
  const Path path = departure.path;
  Guest& guest = Seat(path, std::move(departure.host),
                      std::move(departure.stream), std::move(departure.place),
                      std::move(departure.client), turn::Reach::kHere);
  Hear(guest, {departure.message, departure.message.size()});
  // What has come behind it.
  if (Guest* there = FindGuest(path)) {
    there->reach = turn::Reach::kEverywhere;
    there->driver->Flush();
  }
}

Node::Guest& Node::Seat(const Path& path, std::string host, net::Stream stream,
                        std::shared_ptr<void> place, StreamClient client,
                        turn::Reach reach, std::optional<net::Watch> watch) {
  // A proxy may tell the same address twice: of two connections by which one
  // client cannot be, the older one is dead.
  if (Guest* old = FindGuest(path)) old->driver->Cut();
  auto owned = std::make_unique<Guest>(path, std::move(host), std::move(place),
                                       std::move(client), reach);
  Guest& guest = *owned;
  guests_[path] = std::move(owned);
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
      net::StreamDriverOptions(), &stream_memory_, std::move(watch));
  return guest;
}

void Node::Hear(Guest& guest, const StreamClient::Message& message) {
  server_.SetUtcOffset(internal::UtcOffset());
  const absl::Span<const turn::Forward> forwards =
      server_.FromClient(net::Loop::Now(), guest.path, message.bytes,
                         message.segment_size, {guest.reach, guest.host});
  if (!forwards.empty() && forwards[0].exit == turn::Forward::Exit::kServer) {
    return Depart(guest, forwards[0].instance, message);
  }
  if (!forwards.empty() && forwards[0].exit == turn::Forward::Exit::kJoin) {
    return Join(guest, forwards[0].connection);
  }
  Execute(forwards);
  // All that one read brought leaves together.
  if (guest.client.has_message()) return;
  SendAnswers();
  Flush();
  Service();
}

void Node::Depart(Guest& guest, int instance,
                  const StreamClient::Message& message) {
  ++stats_.streams_moved;
  std::vector<uint8_t> bytes(message.bytes.begin(), message.bytes.end());
  Departure departure{guest.path,
                      guest.host,
                      guest.driver->Release(),
                      std::move(guest.place),
                      std::move(guest.client),
                      std::move(bytes)};
  guests_.erase(departure.path);
  handlers_.move(instance, std::move(departure));
}

void Node::Join(Guest& guest, turn::ConnectionId connection) {
  // The last of our own words, and then the peer's only.
  SendAnswers();
  net::Stream stream = guest.driver->Release();
  while (const auto words = guest.client.PollTransmit(net::Loop::Now(),
                                                      stream_buffer_.bytes())) {
    (void)stream.Write(*words);  // A failure shows in its status.
  }
  const absl::Span<const uint8_t> unread = guest.client.unread();
  const std::vector<uint8_t> first(unread.begin(), unread.end());
  std::shared_ptr<void> place = std::move(guest.place);
  guests_.erase(Path(guest.path));
  peers_.Join(connection, std::move(stream), std::move(place), first);
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
  peers_.AddHolders(holders);
  for (const auto& [bytes, path] :
       net::LargestHolders(std::move(holders), stream_memory_.used_bytes(),
                           stream_memory_.limit_bytes() / 8 * 7)) {
    ++stats_.streams_cut;
    if (Guest* guest = FindGuest(path)) {
      guest->driver->Cut();
    } else {
      peers_.Cut(path);
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
