// turn::Client with tokens of an authorization server (RFC 7635), at our server
// on a simulated network.

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sim/network.h"
#include "stun/access_token.h"
#include "turn/client.h"
#include "turn/testing/scripted_server.h"
#include "turn/testing/sim_server.h"

namespace kyuu::turn {
namespace {

using stun::TokenKey;
using Why = ClientTokenWanted::Why;

const TransportAddress kServer{IpAddress::V4(192, 0, 2, 1), 3478};
const TransportAddress kLocal{IpAddress::V4(192, 0, 2, 7), 5000};
const TransportAddress kPeer{IpAddress::V4(203, 0, 113, 9), 7000};
constexpr absl::string_view kName = "turn.example.org";
constexpr absl::string_view kKey = "0123456789abcdef";
constexpr absl::string_view kOtherKey = "fedcba9876543210";

ServerOptions WithTokens() {
  ServerOptions options = OpenServerOptions(kServer);
  options.tokens.keys = {
      {"north", TokenKey::Algorithm::kA128Gcm, std::string(kKey)},
      {"south", TokenKey::Algorithm::kA128Gcm, std::string(kOtherKey)}};
  options.tokens.server_name = std::string(kName);
  return options;
}

Client::Options Options() {
  return {.local = kLocal,
          .server = kServer,
          .tokens = ClientOptions::Tokens::kAsk};
}

// A client, a server, and an application that does with TokenWanted as a test
// says.
class ClientTokens : public testing::Test {
 protected:
  void Start(ServerOptions options = WithTokens(), double loss = 0) {
    network_ = std::make_unique<sim::Network>(sim::NetworkOptions{.seed = 7});
    const sim::LinkOptions link{.delay = absl::Milliseconds(20), .loss = loss};
    server_ = std::make_unique<SimServer>(random_, std::move(options));
    server_->Attach(*network_,
                    network_->AddHost("server", {sim::kInternet, {kServer.ip}}),
                    {kServer});
    client_ = std::make_unique<Client>(random_, client_options_);
    network_->Attach(
        network_->AddHost("client", {sim::kInternet, {kLocal.ip}, link, link}),
        {kLocal}, *client_, [this](const Client::Event& event) { On(event); });
  }
  void On(const Client::Event& event) {
    if (const auto* wanted = std::get_if<Client::TokenWanted>(&event)) {
      wanted_.push_back(*wanted);
      if (!tokens_.empty()) {
        EXPECT_OK(client_->UseToken(network_->now(), NextToken()));
      }
    } else if (const auto* got = std::get_if<Client::Allocated>(&event)) {
      allocated_.push_back(*got);
    } else if (std::holds_alternative<Client::PermissionGranted>(event)) {
      ++granted_;
    } else if (const auto* closed = std::get_if<Client::Closed>(&event)) {
      closed_.push_back(*closed);
    } else {
      ++others_;
    }
  }
  struct Wish {
    absl::Duration lifetime;
    std::string kid = "north";
    absl::string_view key = kKey;
  };
  ClientToken Make(const Wish& wish) {
    stun::TokenContent content;
    content.mac_key = absl::StrCat("key of twenty bytes ", ++made_);
    content.timestamp = network_->now();
    content.lifetime = wish.lifetime;
    TokenKey::Nonce nonce{};
    nonce[0] = static_cast<uint8_t>(made_);
    return {.kid = wish.kid,
            .token =
                TokenKey::Make(TokenKey::Algorithm::kA128Gcm, AsBytes(wish.key))
                    ->Seal(content, kName, nonce),
            .mac_key = content.mac_key,
            .lifetime = wish.lifetime};
  }
  ClientToken NextToken() {
    const Wish wish = tokens_.front();
    if (tokens_.size() > 1) tokens_.erase(tokens_.begin());
    return Make(wish);
  }
  void Allocate() {
    ASSERT_OK(client_->Allocate(network_->now()));
    network_->RunFor(absl::Seconds(30));
  }

  SeededRandom random_{1};
  Client::Options client_options_ = Options();
  std::unique_ptr<sim::Network> network_;
  std::unique_ptr<SimServer> server_;
  std::unique_ptr<Client> client_;
  std::vector<Wish> tokens_;  // The last goes on and on; none: no answer.
  int made_ = 0;
  std::vector<Client::TokenWanted> wanted_;
  std::vector<Client::Allocated> allocated_;
  std::vector<Client::Closed> closed_;
  int granted_ = 0;
  int others_ = 0;
};

TEST_F(ClientTokens, OneIsAskedForAndShown) {
  tokens_ = {{absl::Seconds(900)}};
  Start();
  Allocate();
  ASSERT_EQ(wanted_.size(), 1u);
  EXPECT_EQ(wanted_[0].authorization_server, kName);
  EXPECT_EQ(wanted_[0].realm, WithTokens().realm);
  EXPECT_EQ(wanted_[0].why, Why::kMissing);
  ASSERT_EQ(allocated_.size(), 1u);
  // Its allocation lives no longer than the token and what clocks may differ.
  EXPECT_LE(allocated_[0].lifetime, absl::Seconds(905));
  ASSERT_OK(client_->Permit(network_->now(), kPeer));
  ASSERT_OK(client_->BindChannel(network_->now(), kPeer));
  network_->RunFor(absl::Seconds(1));
  EXPECT_EQ(granted_, 1);
  EXPECT_TRUE(client_->ChannelOf(kPeer).has_value());
  client_->Close(network_->now());
  network_->RunFor(absl::Seconds(10));
  ASSERT_EQ(closed_.size(), 1u);
  EXPECT_OK(closed_[0].status);
  EXPECT_EQ(server_->server().allocations(), 0u);
}

TEST_F(ClientTokens, ItWaitsForTheApplicationAsLongAsThatTakes) {
  Start();
  Allocate();
  network_->RunFor(absl::Hours(1));
  EXPECT_EQ(wanted_.size(), 1u);
  EXPECT_TRUE(allocated_.empty());
  EXPECT_EQ(client_->stats().requests_sent, 1u);
  ASSERT_OK(client_->UseToken(network_->now(), Make({absl::Hours(1)})));
  network_->RunFor(absl::Seconds(1));
  EXPECT_EQ(allocated_.size(), 1u);
}

TEST_F(ClientTokens, WhoHasOneInAdvanceIsNotAsked) {
  Start();
  ASSERT_OK(client_->UseToken(network_->now(), Make({absl::Hours(1)})));
  Allocate();
  EXPECT_TRUE(wanted_.empty());
  EXPECT_EQ(allocated_.size(), 1u);
}

// Tokens of 15 minutes, of two keys in turn, for three hours, while a tenth of
// all datagrams is lost.
TEST_F(ClientTokens, OneTakesAnothersPlaceInTimeAndTheAllocationGoesOn) {
  for (int i = 0; i < 20; ++i) {
    tokens_.push_back(i % 2 == 0 ? Wish{absl::Minutes(15)}
                                 : Wish{absl::Minutes(15), "south", kOtherKey});
  }
  Start(WithTokens(), 0.1);
  Allocate();
  ASSERT_EQ(allocated_.size(), 1u);
  ASSERT_OK(client_->Permit(network_->now(), kPeer));
  ASSERT_OK(client_->BindChannel(network_->now(), kPeer));
  network_->RunFor(absl::Hours(3));
  ASSERT_TRUE(client_->allocated());
  EXPECT_EQ(client_->relayed(), allocated_[0].relayed);
  EXPECT_TRUE(client_->ChannelOf(kPeer).has_value());
  EXPECT_TRUE(closed_.empty());
  EXPECT_EQ(others_, 1) << "ChannelBound";
  // One to begin with, then each 14 minutes.
  EXPECT_EQ(wanted_.size(), 1u + 180 / 14);
  for (size_t i = 1; i < wanted_.size(); ++i) {
    EXPECT_EQ(wanted_[i].why, Why::kRunsOut) << i;
  }
  EXPECT_EQ(client_->stats().tokens_used, wanted_.size());
}

TEST_F(ClientTokens, ShortOnesAreReplacedAtHalfOfTheirLife) {
  tokens_ = {{absl::Seconds(40)}};
  Start();
  Allocate();
  network_->RunFor(absl::Minutes(30));
  EXPECT_TRUE(client_->allocated());
  EXPECT_NEAR(static_cast<double>(wanted_.size()), 90, 3);
}

TEST_F(ClientTokens, WithoutAnotherTheAllocationEndsWithItsToken) {
  tokens_ = {{absl::Minutes(15)}};
  Start();
  Allocate();
  tokens_.clear();
  network_->RunFor(absl::Minutes(20));
  ASSERT_EQ(closed_.size(), 1u);
  EXPECT_EQ(closed_[0].status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(wanted_.size(), 2u) << "told once";
  EXPECT_EQ(server_->server().allocations(), 0u);
}

// The server's clock may be ahead, or its key another by now.
TEST_F(ClientTokens, ARefusedOneIsReplaced) {
  tokens_ = {{absl::Hours(1), "north", kOtherKey}, {absl::Hours(1)}};
  Start();
  Allocate();
  ASSERT_EQ(wanted_.size(), 2u);
  EXPECT_EQ(wanted_[1].why, Why::kRefused);
  EXPECT_EQ(allocated_.size(), 1u);
}

TEST_F(ClientTokens, RefusedOnesAreReplacedChallengesMaxTimes) {
  tokens_ = {{absl::Hours(1), "east"}};
  Start();
  Allocate();
  EXPECT_EQ(wanted_.size(), 3u);
  ASSERT_EQ(closed_.size(), 1u);
  EXPECT_EQ(closed_[0].status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(closed_[0].error, stun::Error::kUnauthenticated);
}

// What waits for a token is asked again with it, whatever it is about.
TEST_F(ClientTokens, KeysThatAreWithdrawnAreAskedAboutInTheMiddle) {
  tokens_ = {{absl::Hours(1)}, {absl::Hours(1), "south", kOtherKey}};
  Start();
  Allocate();
  ServerOptions options = WithTokens();
  options.tokens.keys[0].kid = "gone";
  server_->server().SetOptions(network_->now(), options);
  ASSERT_OK(client_->Permit(network_->now(), kPeer));
  network_->RunFor(absl::Seconds(1));
  ASSERT_EQ(wanted_.size(), 2u);
  EXPECT_EQ(wanted_[1].why, Why::kRefused);
  EXPECT_EQ(granted_, 1);
  EXPECT_TRUE(closed_.empty());
}

TEST_F(ClientTokens, APasswordCountsWhereNoneAreTaken) {
  client_options_.username = "u";
  client_options_.password = "p";
  Start(OpenServerOptions(kServer));
  Allocate();
  EXPECT_TRUE(wanted_.empty());
  EXPECT_EQ(allocated_.size(), 1u);
}

TEST_F(ClientTokens, WhoHasNoPasswordIsRefusedWhereNoneAreTaken) {
  Start(OpenServerOptions(kServer));
  Allocate();
  ASSERT_EQ(closed_.size(), 1u);
  EXPECT_THAT(std::string(closed_[0].status.message()),
              testing::HasSubstr("takes no tokens"));
}

// THIRD-PARTY-AUTHORIZATION is nothing to who has a password.
TEST_F(ClientTokens, TheyAreLeftAloneUnlessAskedFor) {
  client_options_.tokens = ClientOptions::Tokens::kIgnore;
  client_options_.username = "u";
  client_options_.password = "p";
  Start();
  Allocate();
  EXPECT_TRUE(wanted_.empty());
  EXPECT_EQ(allocated_.size(), 1u);
  EXPECT_EQ(client_->UseToken(network_->now(), Make({absl::Hours(1)})).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ClientTokens, ClosingDoesNotWaitForOne) {
  Start();
  Allocate();
  client_->Close(network_->now());
  network_->RunFor(absl::Seconds(1));
  ASSERT_EQ(closed_.size(), 1u);
  EXPECT_EQ(client_->UseToken(network_->now(), Make({absl::Hours(1)})).code(),
            absl::StatusCode::kFailedPrecondition);
}

// RFC 7635 section 4: 401 in the middle of a Refresh that gives all back.
TEST_F(ClientTokens, ClosingAsksForNone) {
  tokens_ = {{absl::Hours(1)}};
  Start();
  Allocate();
  ServerOptions options = WithTokens();
  options.tokens.keys[0].kid = "gone";
  server_->server().SetOptions(network_->now(), options);
  client_->Close(network_->now());
  network_->RunFor(absl::Seconds(10));
  ASSERT_EQ(closed_.size(), 1u);
  EXPECT_OK(closed_[0].status);
  EXPECT_EQ(wanted_.size(), 1u);
}

TEST_F(ClientTokens, SenselessOnesAreTheCallersMistake) {
  Start();
  const auto use = [this](void (*change)(ClientToken&)) {
    ClientToken token = Make({absl::Hours(1)});
    change(token);
    return client_->UseToken(network_->now(), token).code();
  };
  constexpr auto kBad = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(use([](ClientToken& t) { t.kid.clear(); }), kBad);
  EXPECT_EQ(use([](ClientToken& t) { t.kid.assign(600, 'k'); }), kBad);
  EXPECT_EQ(use([](ClientToken& t) { t.token.clear(); }), kBad);
  EXPECT_EQ(use([](ClientToken& t) { t.token.assign(1025, 't'); }), kBad);
  EXPECT_EQ(use([](ClientToken& t) { t.mac_key.assign(15, 'm'); }), kBad);
  EXPECT_EQ(use([](ClientToken& t) { t.mac_key.assign(65, 'm'); }), kBad);
  EXPECT_EQ(use([](ClientToken& t) { t.lifetime = {}; }), kBad);
  EXPECT_EQ(use([](ClientToken& t) { t.token.assign(1024, 't'); }),
            absl::StatusCode::kOk);
}

// What had been asked with a token is still answered with its key when another
// has taken its place: on a stream nobody would ask again.
TEST_F(ClientTokens, AnswersToWhatTheOneBeforeHasAskedCount) {
  tokens_ = {{absl::Hours(1)}};
  Start();
  Allocate();
  std::vector<uint8_t> out(2048);
  ASSERT_OK(client_->Permit(network_->now(), kPeer));
  const auto sent = client_->PollTransmit(network_->now(), absl::MakeSpan(out));
  ASSERT_TRUE(sent.has_value());
  const auto asked = stun::MessageView::Parse(sent->bytes);
  std::vector<uint8_t> answer(2048);
  stun::MessageWriter w(absl::MakeSpan(answer), stun::MessageClass::kSuccess,
                        stun::Method::kCreatePermission,
                        asked->transaction_id());
  w.AddIntegrity(
      stun::IntegrityKey(AsBytes(absl::StrCat("key of twenty bytes ", made_))));
  ASSERT_OK(client_->UseToken(network_->now(), Make({absl::Hours(1)})));
  client_->HandlePacket(network_->now(), {{kLocal, kServer}, w.Finish()});
  EXPECT_TRUE(
      std::holds_alternative<Client::PermissionGranted>(*client_->PollEvent()));
}

}  // namespace
}  // namespace kyuu::turn
