// The signaling of y-webrtc (the provider of Yjs that syncs documents between
// browsers) as its clients, version 10, speak it: topics to which messages are
// published. An engine over messages; WebSockets are the caller's. The
// protocol, and what differs from its reference server: docs/dialects.md.

#ifndef KYUU_SIGNALING_YWEBRTC_H_
#define KYUU_SIGNALING_YWEBRTC_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/counters.h"
#include "base/engine.h"
#include "signaling/envelope.h"
#include "signaling/internal/send_queue.h"
#include "signaling/internal/shares.h"
#include "signaling/internal/token_bucket.h"
#include "signaling/rate.h"
#include "signaling/token/room_patterns.h"

namespace kyuu::signaling {

// A source is an IPv4 address or an IPv6 /64 (base/shares.h): what one may have
// leaves room for others.
struct YWebrtcOptions {
  size_t max_connections = 10000;
  size_t max_connections_per_source = 500;
  // An offer with its candidates is some 10 KiB, a third more if encrypted.
  size_t max_message_bytes = 64 * 1024;
  // A topic is the name of a document's room.
  size_t max_topic_bytes = 256;
  size_t max_topics = 10000;
  size_t max_topics_per_source = 500;  // That it was the first to subscribe to.
  // A page has one connection for all its documents.
  size_t max_topics_per_connection = 100;
  size_t max_subscriptions = 100'000;  // Of 100 bytes or so each.
  size_t max_subscriptions_per_source = 2000;
  size_t max_subscribers_per_topic = 1000;
  size_t max_subscribers_per_topic_per_source = 200;
  // Of one connection, in the long run and at once: who joins a room connects
  // to at most some 35 others, with 12 or so messages each.
  Rate message_rate = {.per_second = 50, .burst = 500};
  // Bytes that are sent because of one connection's messages, each as often as
  // its topic has subscribers.
  Rate fanout_rate = {.per_second = 1 << 20, .burst = 16 << 20};
  // So many messages dropped by the two close the connection.
  size_t max_dropped_messages = 1000;
  // Whether there are other servers whose clients are in the same topics.
  enum class Reach : uint8_t { kHere, kAll };
  Reach reach = Reach::kHere;
  // Bytes waiting for PollTransmit for all connections together. Beyond it
  // whose message comes is cut off, so that it knows (1013).
  size_t max_queued_bytes = 64 * 1024 * 1024;
};

struct YWebrtcStats {
  uint64_t messages_received = 0;
  uint64_t messages_refused = 0;  // Malformed or beyond a bound; were told so.
  uint64_t rate_limited = 0;      // Messages dropped, and their senders told.
  uint64_t messages_unknown = 0;  // Of a type that does not exist; ignored.
  uint64_t published = 0;
  uint64_t delivered = 0;            // Once for each subscriber.
  uint64_t from_others = 0;          // Published at other servers,
  uint64_t from_others_dropped = 0;  // and of these none, or too many.
  uint64_t overloaded = 0;           // Connections cut for max_queued_bytes.
  uint64_t unknown_connection = 0;   // Messages of connections not known.

  static constexpr Counter<YWebrtcStats> kCounters[] = {
      KYUU_COUNTER(YWebrtcStats, messages_received),
      KYUU_COUNTER(YWebrtcStats, messages_refused),
      KYUU_COUNTER(YWebrtcStats, rate_limited),
      KYUU_COUNTER(YWebrtcStats, messages_unknown),
      KYUU_COUNTER(YWebrtcStats, published),
      KYUU_COUNTER(YWebrtcStats, delivered),
      KYUU_COUNTER(YWebrtcStats, from_others),
      KYUU_COUNTER(YWebrtcStats, from_others_dropped),
      KYUU_COUNTER(YWebrtcStats, overloaded),
      KYUU_COUNTER(YWebrtcStats, unknown_connection),
  };
};
static_assert(Countable<YWebrtcStats>);

// The body of the answer to any GET without an upgrade.
inline constexpr char kYWebrtcGreeting[] = "okay";

class YWebrtcServer {
 public:
  using Packet = Envelope;
  using Event = std::variant<CloseConnection>;

  explicit YWebrtcServer(const YWebrtcOptions& options) : options_(options) {}
  YWebrtcServer(const YWebrtcServer&) = delete;
  YWebrtcServer& operator=(const YWebrtcServer&) = delete;

  // Connect announces a connection whose WebSocket is open. `source` is the
  // client's own address; IpAddress() if it is not known (behind a proxy): no
  // share, then. It may subscribe to the topics that `topics` allow, and
  // publish in them. RESOURCE_EXHAUSTED at max_connections or the source's
  // share of them, ALREADY_EXISTS for an id in use: refuse or close it (1013)
  // then.
  absl::Status Connect(absl::Time now, ConnectionId connection,
                       const IpAddress& source,
                       RoomPatterns topics = RoomPatterns());
  // Disconnect says that a connection is gone: it leaves all topics.
  void Disconnect(ConnectionId connection);

  // HandlePacket takes one message of a client, text or binary.
  void HandlePacket(absl::Time now, Packet in);
  // With Reach::kAll: the oldest message that was published here and is for
  // clients of other servers, as text, for their HandlePublished(), which hands
  // it to its topic's subscribers.
  std::optional<std::string> PollPublished();
  void HandlePublished(absl::string_view text);
  // There are no timers: whether a client is there, its WebSocket tells.
  void HandleTimeout(absl::Time /*now*/) {}
  // PollTransmit hands out the oldest message to send. It owns its text; `out`
  // is not used.
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  // Drain PollTransmit first: CloseConnection follows that connection's last
  // message.
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return absl::InfiniteFuture(); }

  size_t connection_count() const { return connections_.size(); }
  size_t topic_count() const { return topics_.size(); }
  size_t subscription_count() const { return subscriptions_; }
  size_t queued_bytes() const { return out_.bytes(); }
  const YWebrtcStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  struct Topic {
    absl::btree_set<ConnectionId> subscribers;
    internal::Shares shares;  // Of the subscribers.
    internal::Source opener;  // Whose share of topics it is.
  };
  struct Connection {
    internal::Source source;
    internal::TokenBucket messages;
    internal::TokenBucket fanout;
    size_t dropped = 0;
    absl::btree_set<std::string> topics;
    RoomPatterns allowed;
  };

  // Returns what is wrong, or "".
  absl::string_view Handle(absl::Time now, ConnectionId id,
                           Connection& connection, absl::string_view text);
  absl::string_view Subscribe(ConnectionId id, Connection& connection,
                              const std::string& topic);
  void Unsubscribe(ConnectionId id, Connection& connection,
                   const std::string& topic);
  absl::string_view Publish(absl::Time now, Connection& connection,
                            const std::string& topic, absl::string_view object,
                            absl::string_view old_clients);
  // Tells the client what is wrong with its message.
  void Complain(ConnectionId id, absl::string_view what);
  // A message is dropped for its sender's rate.
  void Drop(ConnectionId id, Connection& connection);
  void Close(ConnectionId id, uint16_t code, absl::string_view reason);

  const YWebrtcOptions options_;
  absl::node_hash_map<ConnectionId, Connection> connections_;
  absl::node_hash_map<std::string, Topic> topics_;
  size_t subscriptions_ = 0;
  internal::Shares connections_per_source_;
  internal::Shares topics_per_source_;
  internal::Shares subscriptions_per_source_;
  internal::SendQueue out_;
  std::deque<std::string> published_;
  std::deque<Event> events_;
  YWebrtcStats stats_;
};

static_assert(Engine<YWebrtcServer>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_YWEBRTC_H_
