// A day of a phone: a call of which one end moves through outages, other
// networks, NATs that forget and relays that restart, while both talk. No
// connection is lost that an ICE restart may mend, and on reliable channels no
// message is lost, doubled or misplaced.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/connection.h"
#include "peer/testing/call.h"
#include "sim/clock_override.h"
#include "sim/network.h"
#include "turn/testing/sim_server.h"

namespace kyuu::peer {
namespace {

using testing::CertificateOf;
using testing::Side;

const IpAddress kServerIp = IpAddress::V4(203, 0, 113, 1);
const TransportAddress kServer{kServerIp, 3478};
const TransportAddress kFriend{IpAddress::V4(10, 0, 0, 2), 5002};
constexpr uint16_t kPhonePort = 5001;
// Each way of an access link; a round trip crosses four.
constexpr absl::Duration kLinkDelay = absl::Milliseconds(20);
constexpr absl::Duration kRoundTrip = absl::Milliseconds(80);
// How long signaling takes one way, while there is a network.
constexpr absl::Duration kSignaling = absl::Milliseconds(60);
constexpr int kEventsOfADay = 6;

// Bounds in round trips. After the first answer: a path (a relay is two round
// trips of allocating, one of permissions, one of checks, and its candidate has
// to be told), a nominated one, and channels (DTLS two, SCTP two). The last two
// may wait 500 ms for what is better than a relay.
constexpr double kPathTrips = 6;
constexpr double kNominatedTrips = 12;
constexpr double kOpenTrips = 13;
// After the answer to a restart, which may ask for new relays at both ends.
constexpr double kRestartTrips = 20;
// From the moment on when there is a network again, whatever happened to it,
// until both have heard of each other: a second in which ICE asks the old way,
// or two round trips of signaling and new checks.
constexpr double kTalkTrips = 15;
// Where nobody tells the ends: a relay, or a NAT before one, that forgot them.
// A silent path is doubted after a second or so, and its relays' servers asked.
constexpr double kForgottenTrips = 60;

// A number of the environment: KYUU_DAYS, how many days are lived, and
// KYUU_FIRST_DAY, the seed of the first one.
uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t number = otherwise;
  if (text != nullptr && !absl::SimpleAtoi(text, &number)) {
    ADD_FAILURE() << name << " is no number";
  }
  return number;
}

sim::NatOptions AnyNat(Random& random, IpAddress outside) {
  constexpr std::array<sim::NatOptions (*)(IpAddress), 4> kKinds = {
      &sim::NatOptions::FullCone, &sim::NatOptions::AddressRestrictedCone,
      &sim::NatOptions::PortRestrictedCone, &sim::NatOptions::Symmetric};
  return kKinds[random.Below(kKinds.size())](outside);
}

std::vector<uint8_t> Numbered(uint64_t number, size_t size) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < 8; ++i) {
    bytes.at(i) = static_cast<uint8_t>(number >> (8 * i));
  }
  return bytes;
}
uint64_t NumberOf(const std::vector<uint8_t>& bytes) {
  uint64_t number = 0;
  for (size_t i = 8; i-- > 0;) number = number << 8 | bytes.at(i);
  return number;
}

// One direction of one channel: messages are numbered as they are sent, and
// counted as they arrive.
struct Flow {
  uint64_t sent = 0;
  std::vector<bool> arrived;
  uint64_t doubled = 0;
  uint64_t misplaced = 0;

  void Arrive(uint64_t number, sctp::Ordering ordering) {
    if (ordering == sctp::Ordering::kOrdered && number != arrived.size()) {
      ++misplaced;
    }
    if (number >= arrived.size()) arrived.resize(number + 1);
    if (arrived[number]) ++doubled;
    arrived[number] = true;
  }
  bool complete() const {
    return arrived.size() == sent &&
           std::count(arrived.begin(), arrived.end(), false) == 0;
  }
};

constexpr std::array<sctp::Ordering, 2> kChannels = {
    sctp::Ordering::kOrdered, sctp::Ordering::kUnordered};

struct End {
  explicit End(int who, const Options& options, uint64_t seed)
      : side(CertificateOf(who), options, seed) {}

  Connection& connection() { return side.connection; }
  bool connected() const { return side.connected(); }
  bool open() const { return side.opened.size() == channels.size(); }

  Side side;
  sim::EndpointId endpoint{};
  std::array<ChannelId, kChannels.size()> channels{};
  std::array<Flow, kChannels.size()> flows;  // From here to the other end.
  ice::AgentState ice = ice::AgentState::kNew;
  bool heard = false;  // A message of the other end, since Await().
};

// Something that has to happen within some round trips.
struct Expectation {
  absl::Time since;
  double trips_max;
};

// The phone calls, and does what an application does: it restarts ICE when its
// network has changed or its connection has failed, as soon as signaling works.
class Day {
 public:
  explicit Day(uint64_t seed)
      : network_({.seed = seed}),
        clock_(network_.clock()),
        chance_(seed ^ 0xda7),
        relay_random_(seed ^ 0x7e1a7),
        phone_(0, EndOptions(), seed * 2),
        friend_(1, EndOptions(), seed * 2 + 1) {
    turn_host_ = network_.AddHost("turn", {sim::kInternet,
                                           {kServerIp},
                                           {.delay = kLinkDelay},
                                           {.delay = kLinkDelay}});
    RestartRelay();
    friend_zone_ = network_.AddNat(
        sim::kInternet, AnyNat(chance_, IpAddress::V4(198, 51, 100, 7)),
        {.delay = absl::ZeroDuration()}, {.delay = absl::ZeroDuration()});
    friend_host_ = network_.AddHost("friend", {friend_zone_, {kFriend.ip}});
    JoinNewZone();
    phone_host_ = network_.AddHost("phone", {phone_zone_, {phone_ip_}});
    for (sim::HostId host : {phone_host_, friend_host_}) Reorder(host);
    Attach(phone_host_, {phone_ip_, kPhonePort}, phone_, friend_);
    Attach(friend_host_, kFriend, friend_, phone_);
  }

  void Live() {
    for (End* end : {&phone_, &friend_}) OpenChannels(*end);
    Negotiate(IceRestart::kNo);
    ASSERT_TRUE(network_.RunUntil([&] { return answered_.has_value(); },
                                  absl::Seconds(1)));
    const absl::Time answered = *answered_;
    const auto within = [&](double trips, std::function<bool()> done) {
      return network_.RunUntil(done,
                               answered + trips * kRoundTrip - network_.now());
    };
    EXPECT_TRUE(within(kPathTrips, [&] {
      return !phone_.side.paths.empty() && !friend_.side.paths.empty();
    })) << Story();
    EXPECT_TRUE(within(kNominatedTrips, [&] { return nominated(); }))
        << Story();
    ASSERT_TRUE(within(kOpenTrips, [&] {
      return phone_.open() && friend_.open();
    })) << Story();
    Talk();
    for (int i = 0; i < kEventsOfADay; ++i) {
      network_.RunFor(absl::Seconds(5 + chance_.Below(40)));
      Happen();
      network_.RunFor(absl::Seconds(20));
    }
    talking_ = false;
    EXPECT_TRUE(network_.RunUntil([&] { return EverythingArrived(); },
                                  absl::Minutes(3)))
        << Story();
    for (const End* end : {&phone_, &friend_}) {
      EXPECT_FALSE(end->side.closed) << Story();
      for (const Flow& flow : end->flows) {
        EXPECT_EQ(flow.doubled, 0u) << Story();
        EXPECT_EQ(flow.misplaced, 0u) << Story();
        EXPECT_GT(flow.sent, 100u);
      }
    }
  }

 private:
  static Options EndOptions() {
    Options options;
    options.turn_servers = {{kServer, "u", "p"}};
    return options;
  }

  std::string Story() const {
    return absl::StrCat(story_,
                        "\nphone: ", phone_.side.connection.DebugString(),
                        "\nfriend: ", friend_.side.connection.DebugString());
  }
  void Note(absl::string_view what) {
    absl::StrAppend(&story_, "\n",
                    absl::FormatDuration(network_.now() - start_), " ", what);
  }

  bool nominated() const {
    return phone_.ice == ice::AgentState::kCompleted &&
           friend_.ice == ice::AgentState::kCompleted;
  }
  void Check(const Expectation& expectation, absl::string_view what) {
    const double trips =
        absl::FDivDuration(network_.now() - expectation.since, kRoundTrip);
    Note(absl::StrCat(what, " after ", trips, " round trips"));
    EXPECT_LE(trips, expectation.trips_max) << what << Story();
  }
  // Both ends have to hear of each other from now on.
  void Await(double trips_max) {
    awaited_ = {network_.now(), trips_max};
    phone_.heard = friend_.heard = false;
  }

  bool EverythingArrived() const {
    for (const End* end : {&phone_, &friend_}) {
      for (const Flow& flow : end->flows) {
        if (!flow.complete()) return false;
      }
    }
    return true;
  }

  // --- The application ---

  void OpenChannels(End& end) {
    for (size_t i = 0; i < kChannels.size(); ++i) {
      const auto channel = end.connection().CreateDataChannel(
          network_.now(), {.label = absl::StrCat("channel ", i),
                           .ordering = kChannels[i],
                           .negotiated_id = static_cast<sctp::StreamId>(i)});
      ASSERT_OK(channel);
      end.channels[i] = *channel;
    }
  }

  // A message on each channel in each direction, of one packet or of many.
  void Talk() {
    if (!talking_) return;
    for (End* end : {&phone_, &friend_}) {
      for (size_t i = 0; i < kChannels.size(); ++i) {
        const size_t size = chance_.Below(8) == 0 ? 20'000 : 200;
        const absl::Status status = end->connection().Send(
            network_.now(), end->channels[i], PayloadType::kBinary,
            Numbered(end->flows[i].sent, size));
        // A full buffer is told; that message was not sent.
        if (status.ok()) ++end->flows[i].sent;
        EXPECT_TRUE(status.ok() || absl::IsResourceExhausted(status)) << status;
      }
    }
    network_.After(absl::Milliseconds(400), [this] { Talk(); });
  }

  void On(End& end, End& other, const Connection::Event& event) {
    end.side.Add(event);
    const absl::string_view name = &end == &phone_ ? "phone" : "friend";
    if (const auto* found = std::get_if<CandidateFound>(&event)) {
      Signal([this, &other, found = *found] {
        EXPECT_OK(other.connection().AddIceCandidate(
            network_.now(), found.candidate, found.mid, found.mline_index));
      });
    } else if (const auto* message =
                   std::get_if<sctp::ChannelMessage>(&event)) {
      for (size_t i = 0; i < kChannels.size(); ++i) {
        if (end.channels[i] != message->channel) continue;
        other.flows[i].Arrive(NumberOf(message->payload), kChannels[i]);
      }
      end.heard = true;
      if (awaited_ && phone_.heard && friend_.heard) {
        Check(*std::exchange(awaited_, std::nullopt), "both talk");
      }
    } else if (const auto* ice = std::get_if<IceStateChanged>(&event)) {
      end.ice = ice->state;
      Note(absl::StrCat(name, " ", ice::ToString(ice->state)));
      if (answered_ && nominated()) {
        Check({*std::exchange(answered_, std::nullopt), kRestartTrips},
              "both nominated");
      }
    } else if (const auto* path = std::get_if<SelectedPathChanged>(&event)) {
      Note(absl::StrCat(name, " by ", ice::ToString(path->local_type), "-",
                        ice::ToString(path->remote_type)));
    } else if (const auto* state =
                   std::get_if<ConnectionStateChanged>(&event)) {
      if (state->state == ConnectionState::kFailed) Restart();
    }
  }

  // Signaling runs over the phone's network too.
  void Signal(std::function<void()> action) {
    network_.At(std::max(network_.now(), online_from_) + kSignaling,
                std::move(action));
  }

  void Negotiate(IceRestart restart) {
    negotiating_ = true;
    const auto offer = phone_.connection().CreateOffer(restart);
    ASSERT_OK(offer);
    ASSERT_OK(phone_.connection().SetLocalDescription(network_.now(),
                                                      SdpType::kOffer));
    Signal([this, offer = *offer] {
      ASSERT_OK(friend_.connection().SetRemoteDescription(
          network_.now(), SdpType::kOffer, offer));
      const auto answer = friend_.connection().CreateAnswer();
      ASSERT_OK(answer);
      ASSERT_OK(friend_.connection().SetLocalDescription(network_.now(),
                                                         SdpType::kAnswer));
      Signal([this, answer = *answer] {
        ASSERT_OK(phone_.connection().SetRemoteDescription(
            network_.now(), SdpType::kAnswer, answer));
        Note("answered");
        answered_ = network_.now();
        negotiating_ = false;
        if (std::exchange(restart_wanted_, false)) Restart();
      });
    });
  }

  // As soon as signaling works, and after a negotiation that is under way.
  void Restart() {
    Signal([this] {
      if (negotiating_) {
        restart_wanted_ = true;
      } else {
        Note("restart");
        Negotiate(IceRestart::kYes);
      }
    });
  }

  // --- The world ---

  void Happen() {
    EXPECT_FALSE(answered_ &&
                 network_.now() - *answered_ > kRestartTrips * kRoundTrip)
        << "a restart found no path" << Story();
    answered_.reset();
    switch (chance_.Below(6)) {
      case 0:
      case 1:
        return Outage(Reconnect::kSameNetwork);
      case 2:
        return Outage(Reconnect::kOtherNetwork);
      case 3:
        Note("NAT restarts");
        Await(kForgottenTrips);
        return network_.nat(chance_.Below(2) == 0 ? phone_zone_ : friend_zone_)
            .Restart();
      case 4:
        Note("relay restarts");
        Await(kForgottenTrips);
        return RestartRelay();
      default:
        return ChangeNetwork();
    }
  }

  enum class Reconnect : uint8_t { kSameNetwork, kOtherNetwork };
  void Outage(Reconnect reconnect) {
    const absl::Duration length = absl::Seconds(1 + chance_.Below(60));
    Note(absl::StrCat("outage of ", absl::FormatDuration(length)));
    network_.SetLinks(phone_host_, {.loss = 1});
    online_from_ = network_.now() + length;
    network_.RunFor(length);
    Reorder(phone_host_);
    Note("online");
    Await(kTalkTrips);
    if (reconnect == Reconnect::kOtherNetwork) return ChangeNetwork();
    if (!phone_.connected()) Restart();
  }

  void ChangeNetwork() {
    const TransportAddress old{phone_ip_, kPhonePort};
    network_.RemoveAddress(phone_host_, old.ip);
    network_.Unbind(phone_.endpoint, old);
    ASSERT_OK(phone_.connection().RemoveLocalAddress(network_.now(), old));
    JoinNewZone();
    Note("other network");
    Await(kTalkTrips);
    network_.AddInterface(phone_host_, {phone_zone_, {phone_ip_}});
    Reorder(phone_host_);
    const TransportAddress local{phone_ip_, kPhonePort};
    network_.Bind(phone_.endpoint, local);
    ASSERT_OK(phone_.connection().AddLocalAddress(network_.now(), {local}));
    Restart();
  }

  void JoinNewZone() {
    ++zones_;
    phone_ip_ = IpAddress::V4(192, 168, static_cast<uint8_t>(zones_), 2);
    phone_zone_ = network_.AddNat(
        sim::kInternet,
        AnyNat(chance_,
               IpAddress::V4(198, 51, 100, static_cast<uint8_t>(100 + zones_))),
        {.delay = absl::ZeroDuration()}, {.delay = absl::ZeroDuration()});
  }

  void Reorder(sim::HostId host) {
    network_.SetLinks(host, {.delay = kLinkDelay, .reorder = 0.05});
  }

  void Attach(sim::HostId host, const TransportAddress& local, End& end,
              End& other) {
    ASSERT_OK(end.connection().AddLocalAddress(network_.now(), {local}));
    end.endpoint =
        network_.Attach(host, {local}, end.connection(),
                        [this, &end, &other](const Connection::Event& event) {
                          On(end, other, event);
                        });
  }

  // One that knows nothing of the allocations of the one before.
  void RestartRelay() {
    if (!relays_.empty()) network_.Detach(relays_.back()->endpoint());
    relays_.push_back(std::make_unique<turn::SimServer>(
        relay_random_, turn::OpenServerOptions(kServer)));
    relays_.back()->Attach(network_, turn_host_, {kServer});
  }

  sim::Network network_;
  sim::ScopedClockOverride clock_;
  SeededRandom chance_;
  SeededRandom relay_random_;
  std::vector<std::unique_ptr<turn::SimServer>> relays_;  // The last one works.
  End phone_;
  End friend_;
  sim::HostId turn_host_{};
  sim::HostId phone_host_{};
  sim::HostId friend_host_{};
  sim::ZoneId friend_zone_{};
  sim::ZoneId phone_zone_{};
  IpAddress phone_ip_;
  int zones_ = 0;
  absl::Time start_ = network_.now();
  absl::Time online_from_ = absl::InfinitePast();
  // The answer that was applied last, until both ends have a nominated path.
  std::optional<absl::Time> answered_;
  std::optional<Expectation> awaited_;
  bool negotiating_ = false;
  bool restart_wanted_ = false;
  bool talking_ = true;
  std::string story_;
};

TEST(DayOfAPhone, LosesNothingThatARestartMayMend) {
  const uint64_t first = FromEnvironment("KYUU_FIRST_DAY", 1);
  const uint64_t days = FromEnvironment("KYUU_DAYS", 12);
  for (uint64_t seed = first; seed < first + days; ++seed) {
    SCOPED_TRACE(absl::StrCat("KYUU_FIRST_DAY=", seed));
    Day(seed).Live();
  }
}

}  // namespace
}  // namespace kyuu::peer
