#include "tools/kyuud/backplane/backplane.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "hiredis/hiredis.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {
namespace {

using signaling::BackplaneState;
using signaling::ClaimAnswer;
using signaling::ClaimPlace;
using signaling::FreePlace;
using signaling::NodeId;
using signaling::NodePacket;
using signaling::ToNode;

// How long the key of a node lives, which is set anew twice a second at most:
// as long as a link without a sign of life.
constexpr absl::Duration kAliveLifetime = absl::Seconds(8);
constexpr absl::Duration kAliveInterval = absl::Seconds(2);
// Three times FederationOptions::claim_interval.
constexpr absl::Duration kNameLifetime = absl::Seconds(60);
// Redis answers each sign of life, and sends back what is told to all each
// second: who is silent so long is not there.
constexpr absl::Duration kPatience = absl::Seconds(5);
constexpr absl::Duration kBackoffFirst = absl::Milliseconds(250);
constexpr absl::Duration kBackoffLast = absl::Seconds(2);
// Beyond it packets wait in the links, which are bounded.
constexpr size_t kMaxUnsentBytes = 4 << 20;

// KEYS[1]: the name. ARGV: this node, the node it is taken over from or "-",
// the epoch or "0", the lifetime in ms, the prefix of keys of living nodes.
// Returns whether it is ours, and its epoch; new ones are Redis' time in us.
constexpr absl::string_view kClaimScript = R"(
local held = redis.call('GET', KEYS[1])
local node, epoch
if held then node, epoch = string.match(held, '^(%x+) (%d+)$') end
if node and node ~= ARGV[1] and node ~= ARGV[2] and
    redis.call('EXISTS', ARGV[5] .. node) == 1 then
  return {0, epoch}
end
local new = tonumber(ARGV[3])
local old = tonumber(epoch or '0')
if new == 0 and node == ARGV[1] then
  new = old
elseif new == 0 then
  local time = redis.call('TIME')
  new = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), old + 1)
else
  new = math.max(new, old)
end
new = string.format('%.0f', new)
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. new, 'PX', ARGV[4])
return {1, new}
)";
constexpr absl::string_view kFreeScript = R"(
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%x+') == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
)";

NodeId DrawId(Random& random) {
  uint64_t id = 0;
  while (id == 0) id = random.U64();
  return NodeId{id};
}

std::string NameOf(NodeId node) {
  return absl::StrFormat("%016x", static_cast<uint64_t>(node));
}

}  // namespace

absl::StatusOr<std::optional<net::TlsContext>> ClientTls(
    const BackplaneAddress& address, const BackplaneTls& tls) {
  if (!address.tls) return std::nullopt;
  net::TlsContext::ClientOptions options{.server_name = address.host,
                                         .ca_file = tls.ca_file};
  if (!tls.certificate_file.empty()) {
    options.certificate = {tls.certificate_file, tls.key_file};
  }
  KYUU_ASSIGN_OR_RETURN(net::TlsContext context,
                        net::TlsContext::Client(options));
  return context;
}

std::vector<std::string> AuthWords(const BackplaneAddress& address) {
  if (address.password.empty()) return {};
  std::vector<std::string> words = {"AUTH"};
  if (!address.user.empty()) words.push_back(address.user);
  words.push_back(address.password);
  return words;
}

Backplane::Backplane(net::Loop& loop, Random& random, BackplaneAddress address,
                     BackplaneTls tls, signaling::Server& server,
                     signaling::PeerJsServer& peerjs,
                     absl::AnyInvocable<void()> run_soon,
                     absl::AnyInvocable<void(absl::string_view)> on_published)
    : loop_(loop),
      address_(std::move(address)),
      tls_(std::move(tls)),
      server_(server),
      peerjs_(peerjs),
      run_soon_(std::move(run_soon)),
      on_published_(std::move(on_published)),
      self_(DrawId(random)),
      name_(NameOf(self_)),
      links_({}, self_),
      resolver_(loop),
      rights_(address_),
      backoff_(kBackoffFirst),
      connect_at_(absl::InfiniteFuture()),
      alive_at_(absl::InfiniteFuture()),
      alarm_(loop, [this] { HandleAlarm(); }),
      link_alarm_(loop, [this] { run_soon_(); }) {
  server_.Federate(self_);
  peerjs_.Federate();
  Connect();
}

Backplane::~Backplane() = default;

std::string Backplane::Key(absl::string_view kind,
                           absl::string_view rest) const {
  return absl::StrCat(address_.prefix, ":", kind, rest.empty() ? "" : ":",
                      rest);
}

// --- Redis ------------------------------------------------------------------

// Looks its name up, which nothing of the loop waits for.
void Backplane::Connect() {
  connect_at_ = absl::InfiniteFuture();
  resolver_.Resolve(address_.host, address_.port,
                    [this](net::Resolver::Addresses addresses) {
                      if (!addresses.ok()) {
                        return HandleLost(addresses.status().message());
                      }
                      // Each of them in turn, as long as none works.
                      ConnectTo((*addresses)[attempts_++ % addresses->size()]);
                    });
}

void Backplane::ConnectTo(const TransportAddress& redis) {
  // Its files may have changed since the last time.
  const auto tls = ClientTls(address_, tls_);
  if (!tls.ok()) return HandleLost(tls.status().message());
  const absl::Time now = net::Loop::Now();
  is_greeted_ = is_unheard_ = false;
  subscribed_ = 0;
  rights_ = RedisRights(address_);
  heard_ = subscribed_heard_ = now;
  alive_at_ = now + kAliveInterval;
  const auto end = [this](absl::string_view why) { HandleLost(why); };
  commands_ = std::make_unique<RedisConnection>(loop_, redis, *tls, end);
  subscription_ = std::make_unique<RedisConnection>(loop_, redis, *tls, end);
  Greet(*commands_);
  Greet(*subscription_);
  if (address_.database != 0) {
    // A refusal is the answer to what follows, too.
    commands_->Send({"SELECT", absl::StrCat(address_.database)},
                    [this](const redisReply& reply) {
                      if (rights_.NoteRefusal("SELECT", reply)) return;
                      HandleError(reply);
                    });
  }
  TryRights();
  StayAlive();
  subscription_->Subscribe(
      {Key("nodes", ""), Key("node", name_)},
      [this](const redisReply& reply) { HandleSubscribed(reply); });
  alarm_.Set(now + kAliveInterval);
}

void Backplane::Greet(RedisConnection& connection) {
  const std::vector<std::string> auth = AuthWords(address_);
  if (auth.empty()) return;
  connection.Send(auth,
                  [this](const redisReply& reply) { HandleError(reply); });
}

void Backplane::HandleError(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_ERROR) HandleLost(TextOf(reply));
}

// Other errors of these commands are those of StayAlive(), too.
void Backplane::TryRights() {
  for (const std::vector<std::string>& words : rights_.Probes()) {
    commands_->Send(words,
                    [this, command = words.front()](const redisReply& reply) {
                      // It is noted there; none is the good case.
                      (void)rights_.NoteRefusal(command, reply);
                    });
  }
}

void Backplane::StayAlive() {
  if (commands_ == nullptr) return;
  commands_->Send({"SET", Key("alive", name_), "1", "PX",
                   absl::StrCat(absl::ToInt64Milliseconds(kAliveLifetime))},
                  [this](const redisReply& reply) {
                    if (!rights_.NoteRefusal("SET", reply) &&
                        reply.type == REDIS_REPLY_ERROR) {
                      return HandleLost(TextOf(reply));
                    }
                    heard_ = net::Loop::Now();
                    is_greeted_ = true;
                    HandleReady();
                  });
}

void Backplane::HandleSubscribed(const redisReply& reply) {
  subscribed_heard_ = net::Loop::Now();
  if (rights_.NoteRefusal("SUBSCRIBE", reply)) {
    is_unheard_ = true;
    return HandleReady();
  }
  if (reply.type == REDIS_REPLY_ERROR) return HandleLost(TextOf(reply));
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 3) {
    ++stats_.malformed;
    return;
  }
  const absl::string_view kind = TextOf(*reply.element[0]);
  if (kind == "subscribe") {
    ++subscribed_;
    return HandleReady();
  }
  const redisReply& payload = *reply.element[2];
  if (kind != "message" || payload.type != REDIS_REPLY_STRING) {
    ++stats_.malformed;
    return;
  }
  if (payload.len > kMaxRedisReplyBytes) {
    ++stats_.too_large;
    return;
  }
  ++stats_.received;
  links_.HandlePacket(net::Loop::Now(),
                      {NodeId{}, std::string(TextOf(payload))});
  run_soon_();
}

void Backplane::HandleReady() {
  if (!is_greeted_ || (subscribed_ < 2 && !is_unheard_)) return;
  if (!rights_.complete()) return HandleRefused();
  if (state_ == State::kThere) return;
  const absl::Time now = net::Loop::Now();
  state_ = State::kThere;
  missing_rights_.clear();
  is_told_ = false;
  backoff_ = kBackoffFirst;
  ++stats_.connected;
  spdlog::info("backplane: connected to Redis at {} as node {}",
               address_.Place(), name_);
  links_.HandleReconnected(now);
  HandleBackplane(now, BackplaneState::kThere);
  run_soon_();
}

// A right that is given meanwhile is seen by the next connections.
void Backplane::HandleRefused() {
  if (missing_rights_ != rights_.missing()) {
    missing_rights_ = rights_.missing();
    is_told_ = false;
  }
  HandleLost(absl::StrCat("this server's user may not do all it has to; ",
                          "what mends it: ", rights_.Mend()));
}

void Backplane::HandleBackplane(absl::Time now, BackplaneState state) {
  server_.HandleBackplane(now, state);
  peerjs_.HandleBackplane(now, state);
}

void Backplane::HandleLost(absl::string_view why) {
  const absl::Time now = net::Loop::Now();
  if (state_ == State::kThere) {
    ++stats_.lost;
  } else {
    ++stats_.failed;
  }
  if (!std::exchange(is_told_, true)) {
    spdlog::warn(
        "backplane: Redis at {} is away: {}; clients of this server go on "
        "among themselves",
        address_.Place(), std::string(why));
  }
  // Both, so that they are never of two minds. This may be in a callback of
  // one.
  commands_.reset();
  subscription_.reset();
  connect_at_ = now + backoff_;
  backoff_ = std::min(2 * backoff_, kBackoffLast);
  alarm_.Set(connect_at_);
  if (std::exchange(state_, state_ == State::kThere ? State::kAway : state_) ==
      State::kThere) {
    HandleBackplane(now, BackplaneState::kAway);
  }
  run_soon_();
}

void Backplane::HandleAlarm() {
  const absl::Time now = net::Loop::Now();
  if (now >= connect_at_) return Connect();
  if (commands_ == nullptr) return alarm_.Set(connect_at_);
  if (now >= std::min(heard_, subscribed_heard_) + kPatience) {
    return HandleLost("no answer");
  }
  if (now >= alive_at_) {
    alive_at_ = now + kAliveInterval;
    StayAlive();
  }
  alarm_.Set(alive_at_);
}

// --- What the server and its links want -------------------------------------

void Backplane::Pump() {
  if (is_leaving_) return;
  const absl::Time now = net::Loop::Now();
  links_.HandleTimeout(now);
  while (auto event = links_.PollEvent()) {
    HandleNode(*std::move(event));
    // What a node has said is heard before that it is gone.
    DoCommands();
  }
  DoCommands();
  // Without Redis they are sent again when it is back.
  if (state_ == State::kThere) {
    while (commands_ != nullptr &&
           commands_->unsent_bytes() < kMaxUnsentBytes) {
      const auto packet = links_.PollTransmit(now, {});
      if (!packet.has_value()) break;
      Publish(*packet);
    }
  }
  const absl::Time next = links_.NextTimeout();
  // What is due waits for Redis, which then has it run.
  link_alarm_.Set(
      state_ == State::kThere ? next : std::max(next, now + kBackoffFirst));
}

void Backplane::DoCommands() {
  // What the server of PeerJS wants of other nodes becomes what the other
  // wants.
  while (true) {
    if (auto wanted = peerjs_.PollNodeCommand()) {
      if (auto* to = std::get_if<ToNode>(&*wanted)) {
        server_.PassPeerJs(to->to, std::move(to->message));
      } else {
        Do(*std::move(wanted));
      }
    } else if (auto command = server_.PollNodeCommand()) {
      Do(*std::move(command));
    } else {
      break;
    }
  }
}

void Backplane::HandleNode(signaling::Links::Event event) {
  const absl::Time now = net::Loop::Now();
  const bool is_message =
      std::holds_alternative<signaling::NodeMessage>(event) ||
      std::holds_alternative<signaling::NodeHas>(event);
  if (const auto* up = std::get_if<signaling::NodeUp>(&event)) {
    spdlog::info("backplane: node {} is there", NameOf(up->node));
  } else if (const auto* lost = std::get_if<signaling::NodeLost>(&event)) {
    spdlog::warn("backplane: node {} is gone, and its peers with it",
                 NameOf(lost->node));
  }
  server_.HandleNode(now, event);
  if (!is_message) peerjs_.HandleNode(now, event);
}

void Backplane::Do(signaling::NodeCommand command) {
  if (auto* peerjs = std::get_if<signaling::PeerJsElsewhere>(&command)) {
    return peerjs_.HandleNode(
        net::Loop::Now(),
        signaling::NodeMessage{peerjs->from, std::move(peerjs->message)});
  }
  if (const auto* to = std::get_if<ToNode>(&command)) {
    // Refused, the loss of the link is told by an event.
    (void)links_.Send(net::Loop::Now(), to->to, to->message);
    return;
  }
  if (const auto* told = std::get_if<signaling::PublishedElsewhere>(&command)) {
    return on_published_(told->text);
  }
  if (state_ != State::kThere) return;
  if (const auto* claim = std::get_if<ClaimPlace>(&command)) {
    return Claim(*claim);
  }
  const FreePlace& free = std::get<FreePlace>(command);
  commands_->Send(
      {"EVAL", std::string(kFreeScript), "1", Key("name", free.place), name_},
      [this](const redisReply& reply) {
        if (IsRefusal(reply)) return HandleError(reply);
        if (reply.type == REDIS_REPLY_ERROR) ++stats_.malformed;
      });
}

void Backplane::Claim(const ClaimPlace& claim) {
  ++stats_.claims;
  commands_->Send(
      {"EVAL", std::string(kClaimScript), "1", Key("name", claim.place), name_,
       claim.from == NodeId{} ? "-" : NameOf(claim.from),
       absl::StrCat(claim.epoch),
       absl::StrCat(absl::ToInt64Milliseconds(kNameLifetime)),
       Key("alive", "") + ":"},
      [this, place = claim.place](const redisReply& reply) {
        if (IsRefusal(reply)) return HandleError(reply);
        HandleClaimed(place, reply);
      });
}

void Backplane::HandleClaimed(const std::string& place,
                              const redisReply& reply) {
  uint64_t epoch = 0;
  const bool is_answer = reply.type == REDIS_REPLY_ARRAY &&
                         reply.elements == 2 &&
                         reply.element[0]->type == REDIS_REPLY_INTEGER &&
                         reply.element[1]->type == REDIS_REPLY_STRING &&
                         absl::SimpleAtoi(TextOf(*reply.element[1]), &epoch);
  if (!is_answer) {
    // As a Redis whose memory is full: it is asked again.
    ++stats_.malformed;
    return;
  }
  const bool is_granted = reply.element[0]->integer == 1;
  if (!is_granted) ++stats_.claims_refused;
  // Each knows its places.
  server_.HandleClaim(net::Loop::Now(), {place, is_granted, epoch});
  peerjs_.HandleClaim(net::Loop::Now(), {place, is_granted, epoch});
  run_soon_();
}

void Backplane::Publish(const NodePacket& packet) {
  ++stats_.published;
  const std::string channel =
      packet.to == NodeId{} ? Key("nodes", "") : Key("node", NameOf(packet.to));
  commands_->Send({"PUBLISH", channel, packet.bytes},
                  [this](const redisReply& reply) {
                    heard_ = net::Loop::Now();
                    if (IsRefusal(reply)) return HandleError(reply);
                    if (reply.type == REDIS_REPLY_ERROR) ++stats_.malformed;
                  });
}

void Backplane::Leave() {
  if (is_leaving_) return;
  Pump();
  is_leaving_ = true;
  links_.Leave();
  if (state_ != State::kThere || commands_ == nullptr) return;
  while (const auto packet = links_.PollTransmit(net::Loop::Now(), {})) {
    Publish(*packet);
  }
  commands_->Send({"DEL", Key("alive", name_)}, [](const redisReply&) {});
  commands_->Flush();
}

}  // namespace kyuu::tools
