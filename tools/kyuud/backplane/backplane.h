// Backplane: makes a signaling server one of several, over Redis.
//
// Below the prefix of its address ("kyuu"), with NODE as 16 digits:
//
//   kyuu:nodes         channel: a node says that it is there, or leaves
//   kyuu:node:NODE     channel: packets to a node (signaling/backplane/links.h)
//   kyuu:alive:NODE    key for 8 s: the node lives
//   kyuu:name:PLACE    key for 60 s: "NODE EPOCH", who has this name in a room,
//                      or ("peerjs:ID") this id of PeerJS

#ifndef KYUU_TOOLS_KYUUD_BACKPLANE_BACKPLANE_H_
#define KYUU_TOOLS_KYUUD_BACKPLANE_BACKPLANE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/counters.h"
#include "base/random.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "signaling/backplane/links.h"
#include "signaling/peerjs/peerjs.h"
#include "signaling/server.h"
#include "tools/kyuud/backplane/address.h"
#include "tools/kyuud/backplane/redis_connection.h"
#include "tools/kyuud/backplane/rights.h"

namespace kyuu::tools {

struct BackplaneStats {
  uint64_t connected = 0;
  uint64_t lost = 0;            // Connections that worked before.
  uint64_t failed = 0;          // Attempts that came to nothing.
  uint64_t published = 0;       // Packets.
  uint64_t received = 0;        // Packets, own ones to all among them.
  uint64_t malformed = 0;       // Answers that are none.
  uint64_t too_large = 0;       // Packets.
  uint64_t claims = 0;          // Of names,
  uint64_t claims_refused = 0;  // that somebody else has.

  static constexpr Counter<BackplaneStats> kCounters[] = {
      KYUU_COUNTER(BackplaneStats, connected),
      KYUU_COUNTER(BackplaneStats, lost),
      KYUU_COUNTER(BackplaneStats, failed),
      KYUU_COUNTER(BackplaneStats, published),
      KYUU_COUNTER(BackplaneStats, received),
      KYUU_COUNTER(BackplaneStats, malformed),
      KYUU_COUNTER(BackplaneStats, too_large),
      KYUU_COUNTER(BackplaneStats, claims),
      KYUU_COUNTER(BackplaneStats, claims_refused),
  };
};
static_assert(Countable<BackplaneStats>);

// How to connect to it: nullopt without TLS. INVALID_ARGUMENT, with the file's
// name, if a file cannot be used.
absl::StatusOr<std::optional<net::TlsContext>> ClientTls(
    const BackplaneAddress& address, const BackplaneTls& tls);

// What a connection begins with, so that Redis knows whose it is: nothing if
// that takes no password.
std::vector<std::string> AuthWords(const BackplaneAddress& address);

// Backplane lives on the loop of its server. Its owner calls Pump() whenever it
// has given the server something to do, and is called back when there is
// something.
class Backplane {
 public:
  // All references must outlive it. The servers are told that they are one of
  // several; `on_published` gets what other nodes' clients of other dialects
  // say.
  Backplane(net::Loop& loop, Random& random, BackplaneAddress address,
            BackplaneTls tls, signaling::Server& server,
            signaling::PeerJsServer& peerjs,
            absl::AnyInvocable<void()> run_soon,
            absl::AnyInvocable<void(absl::string_view)> on_published);
  ~Backplane();
  Backplane(const Backplane&) = delete;
  Backplane& operator=(const Backplane&) = delete;

  // Carries what the servers and their links want, and what has come for them.
  void Pump();
  // Tells the others that this node leaves.
  void Leave();

  enum class State : uint8_t {
    kNeverThere,  // Not yet: alone it would not be what it is meant to be.
    kThere,
    kAway,
  };
  State state() const { return state_; }
  // The rights of an ACL that Redis refuses us, which is why it is not there;
  // "" if that is not the reason.
  const std::string& missing_rights() const { return missing_rights_; }
  size_t node_count() const { return links_.node_count(); }
  const BackplaneStats& stats() const { return stats_; }
  const signaling::LinksStats& link_stats() const { return links_.stats(); }

 private:
  void Connect();
  void ConnectTo(const TransportAddress& redis);
  void Greet(RedisConnection& connection);
  void TryRights();
  void HandleReady();
  void HandleLost(absl::string_view why);
  void HandleRefused();
  void HandleError(const redisReply& reply);
  void HandleSubscribed(const redisReply& reply);
  void StayAlive();
  void HandleAlarm();
  void HandleBackplane(absl::Time now, signaling::BackplaneState state);
  void HandleNode(signaling::Links::Event event);
  void DoCommands();
  void Do(signaling::NodeCommand command);
  void Claim(const signaling::ClaimPlace& claim);
  void HandleClaimed(const std::string& place, const redisReply& reply);
  void Publish(const signaling::NodePacket& packet);
  std::string Key(absl::string_view kind, absl::string_view rest) const;

  net::Loop& loop_;
  const BackplaneAddress address_;
  const BackplaneTls tls_;
  signaling::Server& server_;
  signaling::PeerJsServer& peerjs_;
  absl::AnyInvocable<void()> run_soon_;
  absl::AnyInvocable<void(absl::string_view)> on_published_;
  const signaling::NodeId self_;
  const std::string name_;  // `self_` as digits.
  signaling::Links links_;
  net::Resolver resolver_;
  size_t attempts_ = 0;  // To connect.
  State state_ = State::kNeverThere;
  bool is_told_ = false;        // Of why it is away, in the log.
  RedisRights rights_;          // Of these connections;
  std::string missing_rights_;  // and of the last ones that came so far.
  // Subscribers may send nothing else in RESP2: two connections.
  std::unique_ptr<RedisConnection> commands_;
  std::unique_ptr<RedisConnection> subscription_;
  bool is_leaving_ = false;
  bool is_greeted_ = false;
  bool is_unheard_ = false;  // It may not subscribe.
  size_t subscribed_ = 0;
  absl::Duration backoff_;
  absl::Time connect_at_;
  absl::Time alive_at_;          // When to say so again.
  absl::Time heard_;             // Redis, last,
  absl::Time subscribed_heard_;  // on each connection.
  net::Alarm alarm_;             // For Redis;
  net::Alarm link_alarm_;        // for the links.
  BackplaneStats stats_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_BACKPLANE_BACKPLANE_H_
