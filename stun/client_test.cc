#include "stun/client.h"

#include <array>
#include <string>
#include <vector>

#include "base/testing.h"
#include "gtest/gtest.h"
#include "stun/server.h"

namespace kyuu::stun {
namespace {

const Path kPath{.local = {IpAddress::V4(10, 0, 0, 1), 5000},
                 .remote = {IpAddress::V4(192, 0, 2, 1), 3478}};
const TransportAddress kMapped{IpAddress::V4(203, 0, 113, 7), 41000};

class ClientTest : public testing::Test {
 protected:
  // Polls one request; empty if none is due.
  std::vector<uint8_t> Poll(Client& client) {
    const auto packet = client.PollTransmit(now_, absl::MakeSpan(buffer_));
    if (!packet) return {};
    return std::vector<uint8_t>(packet->bytes.begin(), packet->bytes.end());
  }

  std::vector<uint8_t> Success(const TransactionId& id) {
    std::array<uint8_t, 200> out;
    MessageWriter w(absl::MakeSpan(out), MessageClass::kSuccess,
                    Method::kBinding, id);
    w.Add(XorMappedAddress{kMapped});
    const auto bytes = w.Finish();
    return std::vector<uint8_t>(bytes.begin(), bytes.end());
  }

  std::vector<uint8_t> Failure(const TransactionId& id, Error error) {
    std::array<uint8_t, 200> out;
    MessageWriter w(absl::MakeSpan(out), MessageClass::kError, Method::kBinding,
                    id);
    w.Add(ErrorCode{error, ""});
    const auto bytes = w.Finish();
    return std::vector<uint8_t>(bytes.begin(), bytes.end());
  }

  SeededRandom random_{1};
  absl::Time now_ = absl::UnixEpoch();
  std::array<uint8_t, 600> buffer_;
};

TEST_F(ClientTest, LearnsItsMappedAddressAndTheRoundTrip) {
  Client client(random_, {.software = "kyuu"});
  const auto id = client.Bind(now_, kPath);
  ASSERT_OK(id);
  const auto request = client.PollTransmit(now_, absl::MakeSpan(buffer_));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->path, kPath);
  const auto view = MessageView::Parse(request->bytes);
  ASSERT_OK(view);
  EXPECT_TRUE(view->Is(MessageClass::kRequest, Method::kBinding));
  EXPECT_EQ(view->Get<Software>(), Software{"kyuu"});
  EXPECT_FALSE(client.PollTransmit(now_, absl::MakeSpan(buffer_)));

  now_ += absl::Milliseconds(20);
  const std::vector<uint8_t> response = Success(*id);
  EXPECT_TRUE(client.Expects(response));
  client.HandlePacket(now_, {kPath, response});
  const auto event = client.PollEvent();
  ASSERT_TRUE(event);
  const auto& mapped = std::get<Client::Mapped>(*event);
  EXPECT_EQ(mapped.id, *id);
  EXPECT_EQ(mapped.mapped, kMapped);
  EXPECT_EQ(mapped.round_trip, absl::Milliseconds(20));
  EXPECT_EQ(client.open_transactions(), 0);
  EXPECT_EQ(client.NextTimeout(), absl::InfiniteFuture());
  // The same response again is of no transaction.
  client.HandlePacket(now_, {kPath, response});
  EXPECT_EQ(client.stats().unexpected, 1);
  EXPECT_FALSE(client.PollEvent());
}

// RFC 8489 section 6.2.1: 0, 500, 1500, 3500, 7500, 15500, 31500, and failure
// at 39500 ms.
TEST_F(ClientTest, RetransmitsAndGivesUpAsTheRfcComputes) {
  Client client(random_, {});
  ASSERT_OK(client.Bind(now_, kPath));
  const absl::Time start = now_;
  std::vector<int64_t> sends;
  std::vector<uint8_t> first;
  while (client.open_transactions() != 0) {
    client.HandleTimeout(now_);
    client.HandleTimeout(now_);  // Twice does nothing more.
    for (auto bytes = Poll(client); !bytes.empty(); bytes = Poll(client)) {
      sends.push_back(absl::ToInt64Milliseconds(now_ - start));
      if (first.empty()) first = bytes;
      EXPECT_EQ(bytes, first);
    }
    if (client.open_transactions() == 0) break;
    ASSERT_LT(now_, client.NextTimeout());
    now_ = client.NextTimeout();
  }
  EXPECT_EQ(sends,
            (std::vector<int64_t>{0, 500, 1500, 3500, 7500, 15500, 31500}));
  EXPECT_EQ(now_ - start, absl::Milliseconds(39500));
  const auto event = client.PollEvent();
  ASSERT_TRUE(event);
  EXPECT_THAT(std::get<Client::Failed>(*event).status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(client.stats().retransmissions, 6);
}

TEST_F(ClientTest, AfterARetransmissionTheRoundTripIsUnknown) {
  Client client(random_, {});
  const auto id = client.Bind(now_, kPath);
  Poll(client);
  now_ = client.NextTimeout();
  client.HandleTimeout(now_);
  Poll(client);
  client.HandlePacket(now_, {kPath, Success(*id)});
  EXPECT_EQ(std::get<Client::Mapped>(*client.PollEvent()).round_trip,
            std::nullopt);
}

TEST_F(ClientTest, AnErrorResponseFailsTheTransaction) {
  Client client(random_, {});
  const auto id = client.Bind(now_, kPath);
  client.HandlePacket(now_, {kPath, Failure(*id, Error::kServerError)});
  const auto failed = std::get<Client::Failed>(*client.PollEvent());
  EXPECT_EQ(failed.error, Error::kServerError);
  EXPECT_THAT(failed.status, StatusIs(absl::StatusCode::kUnavailable));
}

// RFC 8489 section 6.3.3.
TEST_F(ClientTest, ASuccessThatCannotBeUnderstoodIsAFailure) {
  Client client(random_, {});
  const auto id = client.Bind(now_, kPath);
  std::array<uint8_t, 200> out;
  MessageWriter w(absl::MakeSpan(out), MessageClass::kSuccess, Method::kBinding,
                  *id);
  w.Add(XorMappedAddress{kMapped});
  w.AddRaw(0x7abc, {});
  client.HandlePacket(now_, {kPath, w.Finish()});
  EXPECT_THAT(std::get<Client::Failed>(*client.PollEvent()).status,
              StatusIs(absl::StatusCode::kInternal));
}

TEST_F(ClientTest, AnswersFromElsewhereAreNotBelieved) {
  Client client(random_, {});
  const auto id = client.Bind(now_, kPath);
  Path path = kPath;
  path.remote.port = 3479;
  client.HandlePacket(now_, {path, Success(*id)});
  path = kPath;
  path.local.port = 1;
  client.HandlePacket(now_, {path, Success(*id)});
  EXPECT_EQ(client.stats().wrong_path, 2);
  EXPECT_FALSE(client.PollEvent());
}

TEST_F(ClientTest, NoiseIsCountedAndDropped) {
  Client client(random_, {});
  const auto id = client.Bind(now_, kPath);
  client.HandlePacket(now_, {kPath, {}});
  std::vector<uint8_t> flipped = Success(*id);
  flipped[2] ^= 0x80;
  client.HandlePacket(now_, {kPath, flipped});
  EXPECT_EQ(client.stats().malformed, 2);
  // A request, a response of another method, one of another transaction.
  std::vector<uint8_t> other = Success(*id);
  other[0] = 0;
  client.HandlePacket(now_, {kPath, other});
  other = Success(*id);
  other[1] = 0x03;
  client.HandlePacket(now_, {kPath, other});
  other = Success(*id);
  other[8] ^= 1;
  EXPECT_FALSE(client.Expects(other));
  client.HandlePacket(now_, {kPath, other});
  EXPECT_EQ(client.stats().unexpected, 3);
  EXPECT_EQ(client.open_transactions(), 1);
}

TEST_F(ClientTest, TransactionsAreBounded) {
  Client client(random_, {.transactions_max = 3});
  for (int i = 0; i < 3; ++i) ASSERT_OK(client.Bind(now_, kPath));
  EXPECT_THAT(client.Bind(now_, kPath),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(ClientTest, CallersMistakesAreStatuses) {
  Client client(random_, {});
  Path path = kPath;
  path.remote.ip = *IpAddress::Parse("2001:db8::1");
  EXPECT_THAT(client.Bind(now_, path),
              StatusIs(absl::StatusCode::kInvalidArgument));
  client.Close();
  EXPECT_THAT(client.Bind(now_, kPath),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

// RFC 8489 section 6.2.2.
TEST_F(ClientTest, OverAStreamARequestIsSentOnceAndTimed) {
  Client client(random_, {});
  Path path = kPath;
  path.transport = Transport::kTcp;
  ASSERT_OK(client.Bind(now_, path));
  const absl::Time start = now_;
  std::array<uint8_t, 1500> out;
  const auto request = client.PollTransmit(now_, absl::MakeSpan(out));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->path, path);
  now_ = client.NextTimeout();
  EXPECT_EQ(now_ - start, absl::Milliseconds(39'500));
  client.HandleTimeout(now_);
  EXPECT_FALSE(client.PollTransmit(now_, absl::MakeSpan(out)));
  const auto event = client.PollEvent();
  ASSERT_TRUE(event);
  EXPECT_TRUE(std::holds_alternative<Client::Failed>(*event));
  EXPECT_EQ(client.stats().requests_sent, 1);
}

TEST_F(ClientTest, CloseAndCancelEndWithoutFailures) {
  Client client(random_, {});
  const auto id = client.Bind(now_, kPath);
  client.Cancel(*id);
  EXPECT_EQ(client.open_transactions(), 0);
  ASSERT_OK(client.Bind(now_, kPath));
  client.Close();
  client.Close();
  EXPECT_TRUE(Poll(client).empty());
  EXPECT_TRUE(std::holds_alternative<Client::Closed>(*client.PollEvent()));
  EXPECT_FALSE(client.PollEvent());
}

// RFC 8489 section 6.2.1: a hard ICMP error ends what was asked of that server.
TEST_F(ClientTest, ARefusalEndsTheTransactionsTowardsThatServer) {
  Client client(random_, {});
  Path other = kPath;
  other.remote.port ^= 1;
  const auto first = client.Bind(now_, kPath);
  const auto kept = client.Bind(now_, other);
  const auto second = client.Bind(now_, kPath);
  client.HandleRefusal(now_, kPath.remote, absl::UnavailableError("refused"));
  for (const auto& id : {first, second}) {
    const auto failed = std::get<Client::Failed>(*client.PollEvent());
    EXPECT_EQ(failed.id, *id);
    EXPECT_THAT(failed.status, StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_FALSE(client.PollEvent());
  EXPECT_EQ(client.open_transactions(), 1);
  Poll(client);
  EXPECT_TRUE(Poll(client).empty());
  client.Cancel(*kept);
}

TEST_F(ClientTest, TheSameSeedGivesTheSameBytes) {
  const auto run = [this] {
    SeededRandom random(7);
    Client client(random, {});
    EXPECT_OK(client.Bind(now_, kPath));
    EXPECT_OK(client.Bind(now_, kPath));
    std::vector<uint8_t> all = Poll(client);
    const std::vector<uint8_t> second = Poll(client);
    all.insert(all.end(), second.begin(), second.end());
    return all;
  };
  EXPECT_EQ(run(), run());
}

TEST_F(ClientTest, DiscoversBehaviorTogetherWithTheServer) {
  const TransportAddress alternate{IpAddress::V4(192, 0, 2, 2), 3479};
  Server server({.discovery = Server::Discovery{kPath.remote, alternate}});
  Client client(random_, {});
  ASSERT_OK(client.Bind(now_, kPath,
                        {.change_request = ChangeRequest{
                             .change_ip = true, .change_port = true}}));
  const auto request = client.PollTransmit(now_, absl::MakeSpan(buffer_));
  ASSERT_TRUE(request);
  std::array<uint8_t, 600> out;
  const auto answer = server.Answer(
      {Path{.local = kPath.remote, .remote = kPath.local}, request->bytes},
      absl::MakeSpan(out));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->path.local, alternate);
  client.HandlePacket(
      now_, {Path{.local = answer->path.remote, .remote = answer->path.local},
             answer->bytes});
  const auto mapped = std::get<Client::Mapped>(*client.PollEvent());
  EXPECT_EQ(mapped.mapped, kPath.local);
  EXPECT_EQ(mapped.response_origin, alternate);
  EXPECT_EQ(mapped.other_address, alternate);
}

// Sums and names of what is counted, as logs and metrics read it.
TEST(ClientStatsTest, CountersHaveTheNamesOfTheirFields) {
  const Client::Stats stats{.requests_sent = 2, .responses = 1};
  EXPECT_EQ(CountersToString(stats), "requests_sent=2 responses=1");
}

}  // namespace
}  // namespace kyuu::stun
