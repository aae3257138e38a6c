// turn::Client going on from another of its own addresses (RFC 8016), with a
// server that does as it is told; client_sim_test.cc has ours.

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/client.h"
#include "turn/testing/scripted_server.h"

namespace kyuu::turn {
namespace {

using stun::Error;
using stun::Method;

const TransportAddress kOld{IpAddress::V4(10, 0, 0, 1), 5000};
const TransportAddress kNew{IpAddress::V4(10, 7, 0, 1), 6000};
const TransportAddress kServer{IpAddress::V4(192, 0, 2, 1), 3478};
const TransportAddress kPeer{IpAddress::V4(203, 0, 113, 9), 7000};
const TransportAddress kOther{IpAddress::V4(203, 0, 113, 10), 7000};
const TransportAddress kV6{*IpAddress::Parse("2001:db8::1"), 6000};

Client::Options Options(Transport transport = Transport::kUdp) {
  return {.local = kOld,
          .server = kServer,
          .transport = transport,
          .username = "user",
          .password = "pass",
          .mobility = ClientOptions::Mobility::kAsk};
}

class ClientMobilityTest : public testing::Test {
 protected:
  // Hands every request to the server and its answer back, until silence.
  void Run(Client& client) {
    while (auto packet = client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
      const Path path = packet->path;
      paths_.push_back(path);
      const std::vector<uint8_t> answer = server_.Answer(packet->bytes);
      if (!answer.empty()) client.HandlePacket(now_, {path, answer});
    }
  }
  template <typename E>
  E Take(Client& client) {
    auto event = client.PollEvent();
    EXPECT_TRUE(event && std::holds_alternative<E>(*event));
    if (!event || !std::holds_alternative<E>(*event)) return {};
    return std::get<E>(*event);
  }
  // An allocation with a permission for kPeer.
  void Start(Client& client) {
    ASSERT_OK(client.Allocate(now_));
    Run(client);
    Take<Client::Allocated>(client);
    ASSERT_OK(client.Permit(now_, kPeer));
    Run(client);
    Take<Client::PermissionGranted>(client);
    paths_.clear();
    server_.methods.clear();
  }
  absl::StatusOr<Datagram> Wrap(Client& client, const TransportAddress& peer) {
    return client.Wrap(now_, peer, AsBytes("data"), absl::MakeSpan(buffer_));
  }
  // Whether data that comes to `local` is taken.
  bool Takes(Client& client, const TransportAddress& local) {
    const std::vector<uint8_t> data = server_.Data(kPeer, AsBytes("x"));
    return client.Unwrap({{local, kServer}, data}).has_value();
  }

  SeededRandom random_{1};
  absl::Time now_ = absl::UnixEpoch();
  ScriptedServer server_;
  std::array<uint8_t, 2000> buffer_;
  std::vector<Path> paths_;  // Of all requests, in order.
};

TEST_F(ClientMobilityTest, ATicketIsAskedForShownAndReplaced) {
  server_.tickets = {"first", "second", "third"};
  Client client(random_, Options());
  EXPECT_FALSE(client.movable());
  Start(client);
  EXPECT_EQ(server_.last_ticket, "");
  ASSERT_TRUE(client.movable());

  ASSERT_OK(client.Move(now_, kNew));
  // The old way carries data until the server has answered by the new one.
  const auto data = Wrap(client, kPeer);
  ASSERT_OK(data);
  EXPECT_EQ(data->path.local, kOld);
  EXPECT_FALSE(client.PollEvent());
  Run(client);
  const auto moved = Take<Client::Moved>(client);
  EXPECT_EQ(moved.local, kNew);
  EXPECT_EQ(moved.lifetime, absl::Minutes(10));
  EXPECT_EQ(server_.last_ticket, "first");
  // The request behind it makes the server send here.
  EXPECT_EQ(server_.methods,
            (std::vector<Method>{Method::kRefresh, Method::kCreatePermission}));
  for (const Path& path : paths_) EXPECT_EQ(path.local, kNew);
  EXPECT_EQ(client.relayed(), server_.relayed);
  EXPECT_EQ(Wrap(client, kPeer)->path.local, kNew);
  EXPECT_EQ(client.stats().moves, 1u);

  ASSERT_OK(client.Move(now_, kOld));
  Run(client);
  EXPECT_EQ(Take<Client::Moved>(client).local, kOld);
  EXPECT_EQ(server_.last_ticket, "second");
}

TEST_F(ClientMobilityTest, DataToTheFormerAddressIsTakenUntilTheNextRefresh) {
  server_.tickets = {"first", "second"};
  Client client(random_, Options());
  Start(client);
  EXPECT_FALSE(Takes(client, kNew));
  ASSERT_OK(client.Move(now_, kNew));
  EXPECT_TRUE(Takes(client, kOld));
  Run(client);
  EXPECT_TRUE(Takes(client, kOld));
  EXPECT_TRUE(Takes(client, kNew));
  ASSERT_OK(client.Refresh(now_));
  server_.last_ticket.reset();
  Run(client);
  // Who stays shows no ticket.
  EXPECT_EQ(server_.last_ticket, std::nullopt);
  EXPECT_FALSE(Takes(client, kOld));
  EXPECT_TRUE(Takes(client, kNew));
}

// A nonce is good for the address that it was given to.
TEST_F(ClientMobilityTest, AStaleNonceAtTheNewAddressIsReplaced) {
  server_.tickets = {"first"};
  Client client(random_, Options());
  Start(client);
  server_.nonce = "nonce2";
  ASSERT_OK(client.Move(now_, kNew));
  Run(client);
  Take<Client::Moved>(client);
  EXPECT_EQ(server_.last_ticket, "first");
  // A ticket that is not replaced is kept.
  EXPECT_TRUE(client.movable());
}

TEST_F(ClientMobilityTest, NothingNewIsAskedWhileItMoves) {
  server_.tickets = {"first"};
  Client client(random_, Options());
  Start(client);
  ASSERT_OK(client.Move(now_, kNew));
  ASSERT_OK(client.Permit(now_, kOther));
  EXPECT_THAT(Wrap(client, kOther), StatusIs(absl::StatusCode::kUnavailable));
  const auto refresh = client.PollTransmit(now_, absl::MakeSpan(buffer_));
  ASSERT_TRUE(refresh);
  EXPECT_FALSE(client.PollTransmit(now_, absl::MakeSpan(buffer_)));
  // Its answer is lost, and asked for again.
  now_ = client.NextTimeout();
  client.HandleTimeout(now_);
  Run(client);
  Take<Client::Moved>(client);
  EXPECT_EQ(Take<Client::PermissionGranted>(client).peer, kOther.ip);
  for (const Path& path : paths_) EXPECT_EQ(path.local, kNew);
}

// What was asked by the former address and is unanswered, is asked again.
TEST_F(ClientMobilityTest, RequestsUnderWayAreAskedAgain) {
  server_.tickets = {"first"};
  Client client(random_, Options(Transport::kTcp));
  Start(client);
  ASSERT_OK(client.BindChannel(now_, kOther));
  while (client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
  }
  ASSERT_OK(client.Move(now_, kNew));
  Run(client);
  EXPECT_EQ(server_.methods,
            (std::vector<Method>{Method::kRefresh, Method::kCreatePermission,
                                 Method::kChannelBind}));
  Take<Client::Moved>(client);
  Take<Client::PermissionGranted>(client);
  EXPECT_EQ(Take<Client::ChannelBound>(client).peer, kOther);
}

TEST_F(ClientMobilityTest, WhoIsRefusedAllocatesAnew) {
  server_.tickets = {"first"};
  Client client(random_, Options());
  Start(client);
  server_.errors = {{Method::kRefresh, Error::kAllocationMismatch}};
  server_.tickets = {"other"};
  server_.relayed.port = 50001;
  ASSERT_OK(client.Move(now_, kNew));
  Run(client);
  const auto refused = Take<Client::MoveRefused>(client);
  EXPECT_EQ(refused.error, Error::kAllocationMismatch);
  EXPECT_THAT(refused.status, StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Take<Client::Allocated>(client).relayed.port, 50001);
  for (const Path& path : paths_) EXPECT_EQ(path.local, kNew);
  // Nothing is left of what hung on the old one.
  EXPECT_FALSE(Takes(client, kOld));
  EXPECT_FALSE(Takes(client, kNew));
  EXPECT_THAT(Wrap(client, kPeer),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(client.movable());
  EXPECT_EQ(client.stats().moves_refused, 1u);

  // And if that is refused too, it is the end.
  server_.errors[Method::kAllocate] = Error::kAllocationQuotaReached;
  ASSERT_OK(client.Move(now_, kOld));
  Run(client);
  Take<Client::MoveRefused>(client);
  EXPECT_EQ(Take<Client::Closed>(client).error, Error::kAllocationQuotaReached);
}

TEST_F(ClientMobilityTest, AServerThatForbidsItGivesAnAllocationWithout) {
  server_.errors = {{Method::kAllocate, Error::kMobilityForbidden}};
  Client client(random_, Options());
  ASSERT_OK(client.Allocate(now_));
  for (int i = 0; i < 2; ++i) {
    const auto packet = client.PollTransmit(now_, absl::MakeSpan(buffer_));
    ASSERT_TRUE(packet);
    const Path path = packet->path;
    client.HandlePacket(now_, {path, server_.Answer(packet->bytes)});
  }
  EXPECT_EQ(server_.last_ticket, "");
  server_.errors.clear();
  server_.last_ticket.reset();
  server_.tickets = {"unasked"};
  Run(client);
  Take<Client::Allocated>(client);
  EXPECT_EQ(server_.last_ticket, std::nullopt);
  EXPECT_THAT(client.Move(now_, kNew),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(ClientMobilityTest, MovesThatCannotBe) {
  Client client(random_, Options());
  EXPECT_THAT(client.Move(now_, kNew),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  // A server that does not know of tickets.
  Start(client);
  EXPECT_THAT(client.Move(now_, kNew),
              StatusIs(absl::StatusCode::kFailedPrecondition));

  server_.tickets = {std::string(513, 't'), std::string(512, 't')};
  Client second(random_, Options());
  Start(second);
  EXPECT_FALSE(second.movable());
  EXPECT_EQ(second.stats().tickets_ignored, 1u);
  Client third(random_, Options());
  Start(third);
  ASSERT_TRUE(third.movable());
  EXPECT_THAT(third.Move(now_, {IpAddress::V4(10, 0, 0, 3), 0}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(third.Move(now_, kV6),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_OK(third.Move(now_, kNew));
  Run(third);
  Take<Client::Moved>(third);
}

// The network may change again before the first move is over; what has been
// reached is the former address, not that which led nowhere.
TEST_F(ClientMobilityTest, AMoveOvertakesAnother) {
  server_.tickets = {"first", "second"};
  Client client(random_, Options());
  Start(client);
  ASSERT_OK(client.Move(now_, {kNew.ip, 9}));
  ASSERT_TRUE(client.PollTransmit(now_, absl::MakeSpan(buffer_)));
  ASSERT_OK(client.Move(now_, kNew));
  EXPECT_TRUE(Takes(client, kOld));
  EXPECT_EQ(Wrap(client, kPeer)->path.local, kOld);
  Run(client);
  EXPECT_EQ(Take<Client::Moved>(client).local, kNew);
  EXPECT_FALSE(client.PollEvent());
}

// Over UDP it asks until the lifetime's end; on a stream nothing is lost but
// all.
TEST_F(ClientMobilityTest, WithoutAnAnswerItEnds) {
  for (const Transport transport : {Transport::kUdp, Transport::kTcp}) {
    server_.tickets = {"first"};
    Client client(random_, Options(transport));
    const absl::Time start = now_;
    Start(client);
    ASSERT_OK(client.Move(now_, kNew));
    std::optional<Client::Event> last;
    while (client.NextTimeout() != absl::InfiniteFuture()) {
      while (client.PollTransmit(now_, absl::MakeSpan(buffer_))) {
      }
      now_ = client.NextTimeout();
      client.HandleTimeout(now_);
      while (auto event = client.PollEvent()) last = std::move(event);
    }
    ASSERT_TRUE(last && std::holds_alternative<Client::Closed>(*last));
    EXPECT_THAT(std::get<Client::Closed>(*last).status,
                StatusIs(absl::StatusCode::kDeadlineExceeded));
    EXPECT_EQ(now_ - start, transport == Transport::kUdp
                                ? absl::Minutes(10)
                                : absl::Milliseconds(39'500));
  }
}

// It may have moved at the server by then, so the ticket goes with it.
TEST_F(ClientMobilityTest, ClosesWhileItMoves) {
  server_.tickets = {"first"};
  Client client(random_, Options());
  Start(client);
  ASSERT_OK(client.Move(now_, kNew));
  client.Close(now_);
  server_.errors = {{Method::kRefresh, Error::kAllocationMismatch}};
  Run(client);
  EXPECT_EQ(server_.last_lifetime, 0u);
  EXPECT_EQ(server_.last_ticket, "first");
  EXPECT_EQ(paths_.back().local, kNew);
  EXPECT_OK(Take<Client::Closed>(client).status);
}

}  // namespace
}  // namespace kyuu::turn
