#include "relay/dtls_clients.h"

#include <array>
#include <deque>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "dtls/acceptor.h"
#include "dtls/authorities.h"
#include "dtls/certificate.h"
#include "dtls/session.h"

namespace kyuu::relay {
namespace {

using Bytes = std::vector<uint8_t>;

Path PathOf(uint16_t port, uint8_t host = 1) {
  return {{IpAddress::V4(192, 0, 2, 1), 3478},
          {IpAddress::V4(198, 51, 100, host), port}};
}

class DtlsClientsTest : public testing::Test {
 protected:
  struct Client {
    Path path;
    dtls::Session session;
  };

  void Open(const DtlsClientsOptions& options = {}) {
    const std::string file = absl::StrCat(testing::TempDir(), "/relay.pem");
    std::ofstream(file) << certificate_.ToPem();
    server_.emplace(options, dtls::ServerContext::FromFiles(file, file).value(),
                    random_);
  }
  Client NewClient(const Path& path) {
    Client client{path, dtls::Session(dtls::Role::kClient, certificate_, {})};
    EXPECT_OK(client.session.SetRemoteFingerprints(
        now_, {certificate_.fingerprint()}));
    client.session.Start(now_);
    return client;
  }
  // Lets both sides talk until they are silent.
  void Talk(Client& client) {
    std::array<uint8_t, 2048> buffer;
    for (bool said = true; said;) {
      said = false;
      while (const auto p =
                 client.session.PollTransmit(now_, absl::MakeSpan(buffer))) {
        said = true;
        server_->HandlePacket(now_, {client.path, *p});
      }
      while (const auto p =
                 server_->PollTransmit(now_, absl::MakeSpan(buffer))) {
        said = true;
        if (p->path == client.path) client.session.HandlePacket(now_, p->bytes);
      }
    }
  }
  Client Connected(const Path& path) {
    Client client = NewClient(path);
    Talk(client);
    EXPECT_TRUE(client.session.connected());
    return client;
  }
  void Say(Client& client, absl::string_view text) {
    Bytes out(text.size() + dtls::kRecordOverheadMax);
    out.resize(client.session.Seal(AsBytes(text), absl::MakeSpan(out)).value());
    server_->HandlePacket(now_, {client.path, out});
  }
  std::string Heard() {
    Bytes buffer(dtls::kPlaintextMax);
    const auto text = server_->ReadPlaintext(absl::MakeSpan(buffer));
    return text ? std::string(AsText(*text)) : "";
  }
  std::vector<Path> Gone() {
    std::vector<Path> gone;
    while (const auto event = server_->PollEvent()) {
      gone.push_back(std::get<DtlsClients::Gone>(*event).path);
    }
    return gone;
  }

  SeededRandom random_{1};
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  const dtls::Certificate certificate_ =
      dtls::Certificate::Generate(now_).value();
  std::optional<DtlsClients> server_;
};

TEST_F(DtlsClientsTest, MessagesTravelBothWays) {
  Open();
  Client client = Connected(PathOf(1000));
  EXPECT_TRUE(server_->Has(client.path));
  Say(client, "request");
  EXPECT_EQ(Heard(), "request");
  EXPECT_EQ(Heard(), "");
  Bytes out(2048);
  const auto sealed = server_->Seal(client.path, AsBytes("head"),
                                    AsBytes("body"), 3, absl::MakeSpan(out));
  ASSERT_TRUE(sealed);
  client.session.HandlePacket(now_, *sealed);
  Bytes buffer(dtls::kPlaintextMax);
  EXPECT_EQ(AsText(*client.session.ReadPlaintext(absl::MakeSpan(buffer))),
            absl::string_view("headbody\0\0\0", 11));
  EXPECT_FALSE(
      server_->Seal(PathOf(1001), {}, AsBytes("x"), 0, absl::MakeSpan(out)));
  EXPECT_EQ(server_->stats().drop_unsealed, 1u);
  EXPECT_EQ(server_->stats().cookies, 1u);
  EXPECT_EQ(server_->stats().sessions, 1u);
}

// SNI (RFC 6066 section 3), of each for itself.
TEST_F(DtlsClientsTest, TheNameThatAClientAsksForIsKnown) {
  Open();
  const std::string file = absl::StrCat(testing::TempDir(), "/relay.pem");
  const auto authorities = dtls::Authorities::Load(file);
  ASSERT_TRUE(authorities.ok());
  EXPECT_EQ(server_->host(), "");
  // They do not believe it; that comes behind their ClientHello.
  Client named{PathOf(1000), authorities->Connect("Turn.A.test", {})};
  named.session.Start(now_);
  Client silent = NewClient(PathOf(1001));
  std::array<uint8_t, 2048> buffer;
  for (int i = 0; i < 2; ++i) {
    for (Client* client : {&named, &silent}) {
      const auto hello =
          client->session.PollTransmit(now_, absl::MakeSpan(buffer));
      ASSERT_TRUE(hello);
      server_->HandlePacket(now_, {client->path, *hello});
      const auto answer = server_->PollTransmit(now_, absl::MakeSpan(buffer));
      if (i == 0) client->session.HandlePacket(now_, answer->bytes);
    }
  }
  ASSERT_EQ(server_->sessions(), 2u);
  // Whatever comes next tells whose it is.
  server_->HandlePacket(now_, {named.path, AsBytes("x")});
  EXPECT_EQ(server_->host(), "Turn.A.test");
  server_->HandlePacket(now_, {silent.path, AsBytes("x")});
  EXPECT_EQ(server_->host(), "");
  // What comes from a stranger is nobody's.
  server_->HandlePacket(now_, {PathOf(1002), AsBytes("x")});
  EXPECT_EQ(server_->host(), "");
}

TEST_F(DtlsClientsTest, WhoBeginsAnewMayAskForAnotherName) {
  Open();
  Client client = Connected(PathOf(1000));
  Say(client, "x");
  EXPECT_EQ(server_->host(), "");
  const std::string file = absl::StrCat(testing::TempDir(), "/relay.pem");
  const auto authorities = dtls::Authorities::Load(file);
  ASSERT_TRUE(authorities.ok());
  Client again{PathOf(1000), authorities->Connect("b.test", {})};
  again.session.Start(now_);
  std::array<uint8_t, 2048> buffer;
  for (int i = 0; i < 2; ++i) {
    const auto hello = again.session.PollTransmit(now_, absl::MakeSpan(buffer));
    ASSERT_TRUE(hello);
    server_->HandlePacket(now_, {again.path, *hello});
    while (const auto p = server_->PollTransmit(now_, absl::MakeSpan(buffer))) {
      if (i == 0) again.session.HandlePacket(now_, p->bytes);
    }
  }
  EXPECT_EQ(server_->stats().sessions, 2u);
  server_->HandlePacket(now_, {again.path, AsBytes("x")});
  EXPECT_EQ(server_->host(), "b.test");
}

TEST_F(DtlsClientsTest, NothingIsKeptOfStrangers) {
  Open();
  for (uint16_t port = 1; port < 100; ++port) {
    Client stranger = NewClient(PathOf(port));
    std::array<uint8_t, 2048> buffer;
    const auto hello =
        stranger.session.PollTransmit(now_, absl::MakeSpan(buffer));
    server_->HandlePacket(now_, {stranger.path, *hello});
    server_->HandlePacket(now_, {stranger.path, AsBytes("\x16noise")});
    EXPECT_FALSE(server_->Has(stranger.path));
  }
  EXPECT_EQ(server_->sessions(), 0u);
  EXPECT_EQ(server_->stats().cookies, 99u);
  EXPECT_EQ(server_->stats().drop_noise, 99u);
  EXPECT_EQ(server_->NextTimeout(), absl::InfiniteFuture());
}

// Anybody may send by the client's address: what is not sealed is not its word.
TEST_F(DtlsClientsTest, WhoHasASessionIsHeardInsideOfItOnly) {
  Open();
  const Client client = Connected(PathOf(1000));
  EXPECT_TRUE(server_->Claims(client.path, 0x00));
  EXPECT_TRUE(server_->Claims(client.path, 0x40));
  EXPECT_FALSE(server_->Claims(PathOf(1001), 0x00));
  EXPECT_TRUE(server_->Claims(PathOf(1001), 0x16));
  server_->HandlePacket(now_, {client.path, AsBytes("\x40\x01 channel data")});
  EXPECT_EQ(Heard(), "");
  EXPECT_TRUE(server_->Has(client.path));
}

TEST_F(DtlsClientsTest, AGoodbyeAndAnIdleDeadlineEndASession) {
  DtlsClientsOptions options;
  options.idle_timeout = absl::Seconds(20);
  Open(options);
  Client leaving = Connected(PathOf(1000));
  leaving.session.Close(now_);
  Talk(leaving);
  EXPECT_THAT(Gone(), testing::ElementsAre(leaving.path));
  Client idle = Connected(PathOf(1001)), busy = Connected(PathOf(1002));
  server_->Allocated(busy.path);
  now_ += absl::Seconds(20);
  EXPECT_EQ(server_->NextTimeout(), now_);
  server_->HandleTimeout(now_);
  EXPECT_THAT(Gone(), testing::ElementsAre(idle.path));
  Talk(idle);
  EXPECT_TRUE(idle.session.closed()) << "it is told";
  EXPECT_EQ(server_->NextTimeout(), absl::InfiniteFuture());
  server_->Released(now_, busy.path);
  EXPECT_EQ(server_->NextTimeout(), now_ + absl::Seconds(20));
  server_->Close(now_);
  EXPECT_THAT(Gone(), testing::ElementsAre(busy.path));
  EXPECT_EQ(server_->sessions(), 0u);
  EXPECT_EQ(server_->stats().failed, 0u);
}

TEST_F(DtlsClientsTest, AHandshakeThatStopsEnds) {
  Open();
  Client client = NewClient(PathOf(1000));
  std::array<uint8_t, 2048> buffer;
  const auto send = [&] {
    const auto p = client.session.PollTransmit(now_, absl::MakeSpan(buffer));
    server_->HandlePacket(now_, {client.path, *p});
  };
  send();
  const auto reply = server_->PollTransmit(now_, absl::MakeSpan(buffer));
  client.session.HandlePacket(now_, reply->bytes);
  send();
  EXPECT_EQ(server_->sessions(), 1u);
  // Its flight is repeated meanwhile.
  EXPECT_LT(server_->NextTimeout(), now_ + absl::Seconds(2));
  while (server_->sessions() > 0) {
    ASSERT_LE(now_, absl::FromUnixSeconds(1'700'000'010));
    now_ = server_->NextTimeout();
    server_->HandleTimeout(now_);
  }
  EXPECT_EQ(server_->stats().failed, 1u);
  EXPECT_THAT(Gone(), testing::ElementsAre(client.path));
}

// sessions_max and sessions_per_source_max.
TEST_F(DtlsClientsTest, SessionsAreBoundedInAllAndOfEachSource) {
  DtlsClientsOptions options;
  options.sessions_max = 3;
  options.sessions_per_source_max = 2;
  Open(options);
  Client first = Connected(PathOf(1, 1)), second = Connected(PathOf(2, 1));
  Client third = NewClient(PathOf(3, 1));
  Talk(third);
  EXPECT_FALSE(third.session.connected());
  EXPECT_EQ(server_->stats().refused_source, 1u);
  const Client other = Connected(PathOf(1, 2));
  Client last = NewClient(PathOf(1, 3));
  Talk(last);
  EXPECT_FALSE(last.session.connected());
  EXPECT_EQ(server_->stats().refused_full, 1u);
  // What ends makes room.
  first.session.Close(now_);
  Talk(first);
  Connected(PathOf(4, 1));
}

// RFC 6347 section 4.2.8: a program that was started again on its old port.
TEST_F(DtlsClientsTest, AClientMayBeginAnew) {
  Open();
  Client before = Connected(PathOf(1000));
  Client after = Connected(PathOf(1000));
  EXPECT_THAT(Gone(), testing::ElementsAre(after.path));
  EXPECT_EQ(server_->sessions(), 1u);
  Say(after, "here");
  EXPECT_EQ(Heard(), "here");
  Say(before, "gone");
  EXPECT_EQ(Heard(), "");
}

// Another node has what a client means (RFC 8016): its session goes there.
class DtlsClientsMoveTest : public DtlsClientsTest {
 protected:
  // The node that a client comes to first, beside `server_`.
  std::unique_ptr<DtlsClients> first_;

  Client ConnectedAtFirst(const DtlsClientsOptions& options = {}) {
    Open();
    Client client = Connected(PathOf(1000));
    Bytes datagram;
    for (const absl::string_view text : {"ticket", "data"}) {
      Bytes out(text.size() + dtls::kRecordOverheadMax);
      out.resize(
          client.session.Seal(AsBytes(text), absl::MakeSpan(out)).value());
      datagram.insert(datagram.end(), out.begin(), out.end());
    }
    server_->HandlePacket(now_, {client.path, datagram});
    EXPECT_EQ(Heard(), "ticket");
    first_ = std::make_unique<DtlsClients>(*std::move(server_));
    Open(options);
    return client;
  }
};

TEST_F(DtlsClientsMoveTest, AClientGoesOnAtAnotherNodeWithWhatIsUnread) {
  Client client = ConnectedAtFirst();
  const auto released = first_->Release();
  ASSERT_NE(released, nullptr);
  EXPECT_EQ(first_->sessions(), 0u);
  EXPECT_FALSE(first_->Has(client.path));
  EXPECT_EQ(first_->NextTimeout(), absl::InfiniteFuture());
  EXPECT_EQ(first_->stats().moved, 1u);
  EXPECT_EQ(std::get<DtlsClients::Gone>(*first_->PollEvent()).path,
            client.path);
  EXPECT_EQ(first_->Release(), nullptr);

  ASSERT_TRUE(server_->Arrive(now_, client.path, std::move(*released)));
  EXPECT_EQ(Heard(), "data");
  EXPECT_EQ(Heard(), "");
  Say(client, "more");
  EXPECT_EQ(Heard(), "more");
  Bytes out(2048);
  const auto sealed =
      server_->Seal(client.path, {}, AsBytes("back"), 0, absl::MakeSpan(out));
  ASSERT_TRUE(sealed);
  client.session.HandlePacket(now_, *sealed);
  Bytes buffer(dtls::kPlaintextMax);
  EXPECT_EQ(AsText(*client.session.ReadPlaintext(absl::MakeSpan(buffer))),
            "back");
  EXPECT_EQ(server_->stats().sessions, 0u) << "it began elsewhere";
  // It is idle like any other.
  EXPECT_EQ(server_->NextTimeout(), now_ + absl::Seconds(30));
  server_->Close(now_);
  EXPECT_THAT(Gone(), testing::ElementsAre(client.path));
}

TEST_F(DtlsClientsMoveTest, WhoHasBegunAnewElsewhereIsDropped) {
  Open();
  Client client = Connected(PathOf(1000));
  server_->Drop(PathOf(1001));
  EXPECT_TRUE(Gone().empty());
  server_->Drop(client.path);
  EXPECT_THAT(Gone(), testing::ElementsAre(client.path));
  EXPECT_EQ(server_->sessions(), 0u);
  std::array<uint8_t, 2048> buffer;
  EXPECT_FALSE(server_->PollTransmit(now_, absl::MakeSpan(buffer)));
  EXPECT_EQ(server_->NextTimeout(), absl::InfiniteFuture());
}

TEST_F(DtlsClientsMoveTest, WhoFindsNoRoomThereIsToldGoodbye) {
  DtlsClientsOptions options;
  options.sessions_max = 0;
  Client client = ConnectedAtFirst(options);
  EXPECT_FALSE(
      server_->Arrive(now_, client.path, std::move(*first_->Release())));
  EXPECT_EQ(Heard(), "");
  EXPECT_EQ(server_->sessions(), 0u);
  EXPECT_EQ(server_->stats().refused_full, 1u);
  Talk(client);
  EXPECT_TRUE(client.session.closed());
}

// outgoing_max.
TEST_F(DtlsClientsTest, RepliesThatNobodyTakesAreBounded) {
  DtlsClientsOptions options;
  options.outgoing_max = 2;
  Open(options);
  for (uint16_t port = 1; port <= 3; ++port) {
    Client stranger = NewClient(PathOf(port));
    std::array<uint8_t, 2048> buffer;
    server_->HandlePacket(
        now_, {stranger.path,
               *stranger.session.PollTransmit(now_, absl::MakeSpan(buffer))});
  }
  EXPECT_EQ(server_->stats().drop_outgoing, 1u);
}

}  // namespace
}  // namespace kyuu::relay
