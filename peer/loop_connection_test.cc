// Two connections on one loop and real sockets.

#include "peer/loop_connection.h"

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "base/system_random.h"
#include "base/testing.h"

namespace kyuu::peer {
namespace {

class LoopConnectionTest : public testing::Test {
 protected:
  LoopConnectionTest()
      : loop_(*net::Loop::Create()),
        certificate_(*dtls::Certificate::Generate(absl::Now())),
        // Only ever reached when the test has failed.
        alarm_(*loop_, [this] {
          ADD_FAILURE() << "still waiting after 20 s";
          loop_->Stop();
        }) {
    alarm_.Set(net::Loop::Now() + absl::Seconds(20));
  }

  std::unique_ptr<LoopConnection> Make(LoopConnection::EventHandler on_event,
                                       const LoopConnectionOptions& options = {
                                           .loopback = LoopbackUse::kAlways}) {
    auto connection = LoopConnection::Create(*loop_, certificate_, options,
                                             random_, std::move(on_event));
    EXPECT_OK(connection);
    return *std::move(connection);
  }

  std::unique_ptr<net::Loop> loop_;
  SystemRandom random_;
  dtls::Certificate certificate_;
  net::Alarm alarm_;
};

struct Meeting {
  Transport transport;
  TcpUse tcp;  // Of the one that answers.
  // What lines of candidates have that the other is told.
  absl::string_view told;
  TcpUse offerer_tcp = TcpUse::kBoth;
};
class LoopConnectionsMeet : public LoopConnectionTest,
                            public testing::WithParamInterface<Meeting> {};
INSTANTIATE_TEST_SUITE_P(
    Transports, LoopConnectionsMeet,
    testing::Values(Meeting{Transport::kUdp, TcpUse::kNone, " udp "},
                    Meeting{Transport::kTcp, TcpUse::kBoth, " tcp "},
                    Meeting{Transport::kTcp, TcpUse::kActive, " tcp "},
                    Meeting{Transport::kTcp, TcpUse::kSimultaneous,
                            " tcptype so", TcpUse::kSimultaneous}));

// Of candidates that the other is told only some are left.
TEST_P(LoopConnectionsMeet, CarriesMessagesBetweenSockets) {
  std::unique_ptr<LoopConnection> a, b;
  std::vector<std::string> received;
  std::string told;  // All lines.
  constexpr int kMessages = 100;
  const std::string payload(20000, 'x');
  const auto pass = [&](LoopConnection& to, const CandidateFound& found) {
    if (!absl::StrContains(found.candidate, GetParam().told)) return;
    absl::StrAppend(&told, found.candidate, "\n");
    EXPECT_OK(to.engine().AddIceCandidate(net::Loop::Now(), found.candidate,
                                          found.mid, found.mline_index));
    to.Flush();
  };
  a = Make(
      [&](ConnectionEvent event) {
        if (auto* found = std::get_if<CandidateFound>(&event)) pass(*b, *found);
        if (auto* opened = std::get_if<sctp::ChannelOpened>(&event)) {
          for (int i = 0; i < kMessages; ++i) {
            EXPECT_OK(a->engine().Send(
                net::Loop::Now(), opened->channel, PayloadType::kText,
                std::vector<uint8_t>(payload.begin(), payload.end())));
          }
        }
        if (auto* path = std::get_if<SelectedPathChanged>(&event)) {
          EXPECT_EQ(path->path.transport, GetParam().transport);
          // Who opens simultaneously connects from where it listens.
          if (GetParam().tcp == TcpUse::kSimultaneous) {
            for (const auto& end : {path->path.local, path->path.remote}) {
              EXPECT_THAT(told, testing::HasSubstr(
                                    absl::StrCat(" ", end.port, " typ host")));
            }
          }
        }
        if (std::holds_alternative<Closed>(event)) loop_->Stop();
      },
      {.loopback = LoopbackUse::kAlways, .tcp = GetParam().offerer_tcp});
  b = Make(
      [&](ConnectionEvent event) {
        if (auto* found = std::get_if<CandidateFound>(&event)) pass(*a, *found);
        if (auto* message = std::get_if<sctp::ChannelMessage>(&event)) {
          received.emplace_back(message->payload.begin(),
                                message->payload.end());
          if (received.size() == kMessages) {
            b->engine().Close(net::Loop::Now());
          }
        }
      },
      {.loopback = LoopbackUse::kAlways, .tcp = GetParam().tcp});
  const absl::Time now = net::Loop::Now();
  ASSERT_OK(a->engine().CreateDataChannel(now, {.label = "test"}));
  const auto offer = a->engine().CreateOffer();
  ASSERT_OK(offer);
  ASSERT_OK(a->engine().SetLocalDescription(now, SdpType::kOffer));
  ASSERT_OK(b->engine().SetRemoteDescription(now, SdpType::kOffer, *offer));
  const auto answer = b->engine().CreateAnswer();
  ASSERT_OK(answer);
  ASSERT_OK(b->engine().SetLocalDescription(now, SdpType::kAnswer));
  ASSERT_OK(a->engine().SetRemoteDescription(now, SdpType::kAnswer, *answer));
  a->Flush();
  b->Flush();
  loop_->Run();

  ASSERT_EQ(received.size(), static_cast<size_t>(kMessages));
  for (const std::string& message : received) EXPECT_EQ(message, payload);
}

TEST_F(LoopConnectionTest, MayBeDestroyedByItsHandler) {
  std::unique_ptr<LoopConnection> connection;
  connection = Make([&](ConnectionEvent event) {
    if (!std::holds_alternative<CandidateFound>(event)) return;
    connection.reset();
    loop_->Stop();
  });
  const absl::Time now = net::Loop::Now();
  ASSERT_OK(connection->engine().CreateDataChannel(now, {.label = "test"}));
  ASSERT_OK(connection->engine().CreateOffer());
  ASSERT_OK(connection->engine().SetLocalDescription(now, SdpType::kOffer));
  connection->Flush();
  loop_->Run();
  EXPECT_EQ(connection, nullptr);
}

TEST_F(LoopConnectionTest, SaysWhenThereIsNoAddress) {
  EXPECT_THAT(LoopConnection::Create(*loop_, certificate_, {.sockets_max = 0},
                                     random_, [](ConnectionEvent) {}),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace kyuu::peer
