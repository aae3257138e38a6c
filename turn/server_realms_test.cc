// Several realms in one server: who gets which, and that nobody mixes.

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "turn/internal/credentials.h"
#include "turn/internal/realms.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

using stun::MessageWriter;
using stun::Method;

const TransportAddress kSecondListener{IpAddress::V4(192, 0, 2, 1), 3480};

ServerOptions TwoRealms() {
  ServerOptions options = ServerHarness::Options();
  options.realm = "main";
  options.users = {{"u", "p"}, {"only-main", "p"}};
  options.listeners = {kTestServer, kSecondListener};
  RealmOptions a;
  a.name = "a.test";
  a.origins = {"https://A.test/", "http://a.test:80"};
  a.users = {{"u", "pa"}, {"only-a", "p"}};
  RealmOptions b;
  b.name = "b.test";
  b.listeners = {kSecondListener};
  b.rest_secrets = {"secret-b"};
  options.realms = {a, b};
  return options;
}

// A client whose every request has that ORIGIN, if it has any.
class Page {
 public:
  Page(ServerHarness& harness, uint16_t port, std::string origin,
       std::string name = "u", std::string password = "p")
      : harness_(harness),
        origin_(std::move(origin)),
        client_(port, std::move(name), std::move(password)) {}

  TestClient& client() { return client_; }
  Reply Ask() {
    client_.nonce.clear();
    return Call();
  }
  // As clients do: bare, and then signed. `origin` of the second.
  Reply Allocate() {
    Learn(Ask());
    return Call();
  }
  void Learn(const Reply& reply) {
    client_.realm = std::string(reply.Get<stun::Realm>()->value);
    client_.nonce = std::string(reply.Get<stun::Nonce>()->value);
  }
  Reply Call() {
    return harness_.Call(client_, Method::kAllocate, [this](MessageWriter& w) {
      w.Add(stun::RequestedTransport{});
      if (!origin_.empty()) w.Add(stun::Origin{origin_});
    });
  }
  void set_origin(std::string origin) { origin_ = std::move(origin); }

 private:
  ServerHarness& harness_;
  std::string origin_;
  TestClient client_;
};

std::string RealmIn(const Reply& reply) {
  const auto realm = reply.Get<stun::Realm>();
  return realm.has_value() ? std::string(realm->value) : "none";
}

TEST(TurnRealms, OriginAndListenerChoose) {
  ServerHarness harness(TwoRealms());
  for (const auto& [origin, realm] :
       std::vector<std::pair<std::string, std::string>>{
           {"", "main"},
           {"https://a.test", "a.test"},
           {"https://a.test:443", "a.test"},
           {"HTTPS://A.TEST/", "a.test"},
           {"http://a.test", "a.test"},
           {"http://a.test:8080", "main"},
           {"https://a.test.evil", "main"},
           {std::string(267, 'x'), "main"}}) {
    Page page(harness, 1000, origin);
    EXPECT_EQ(RealmIn(page.Ask()), realm) << origin;
    // At another listener; what ORIGIN says comes first.
    page.client().path.local = kSecondListener;
    EXPECT_EQ(RealmIn(page.Ask()), realm == "main" ? "b.test" : realm);
  }
}

// coturn's client names two of its own around the one that it is told.
TEST(TurnRealms, OfSeveralOriginsTheFirstThatIsKnownCounts) {
  ServerHarness harness(TwoRealms());
  const auto realm = [&](int others) {
    TestClient client(1000);
    return RealmIn(
        harness.Call(client, Method::kAllocate, [&](MessageWriter& w) {
          for (int i = 0; i < others; ++i) w.Add(stun::Origin{"ftp://x.test"});
          w.Add(stun::Origin{"https://a.test"});
          w.Add(stun::Origin{"ftp://x.test"});
        }));
  };
  EXPECT_EQ(realm(1), "a.test");
  EXPECT_EQ(realm(7), "a.test");
  EXPECT_EQ(realm(8), "main") << "no more are looked at";
}

// By TLS a client names the host that it means (SNI).
TEST(TurnRealms, TheHostThatIsAskedForChooses) {
  ServerOptions options = TwoRealms();
  options.realms[0].hosts = {"Turn.A.test", "stun.a.test."};
  options.realms[1].hosts = {"turn.b.test"};
  ASSERT_OK(options.Validate());
  ServerHarness harness(options);
  const auto realm = [&](absl::string_view host, absl::string_view origin,
                         absl::string_view in_request,
                         const TransportAddress& listener = kTestServer) {
    TestClient client(1000);
    client.path.local = listener;
    client.path.transport = Transport::kTls;
    const auto request =
        harness.Build(client, Method::kAllocate, [&](MessageWriter& w) {
          w.Add(stun::RequestedTransport{});
          if (!origin.empty()) w.Add(stun::Origin{origin});
          if (!in_request.empty()) w.Add(stun::Realm{in_request});
        });
    harness.server().FromClient(harness.now(), client.path, request,
                                request.size(), {.host = host});
    return RealmIn(harness.Poll(client));
  };
  EXPECT_EQ(realm("turn.a.test", "", ""), "a.test");
  EXPECT_EQ(realm("TURN.a.TEST.", "", ""), "a.test");
  EXPECT_EQ(realm("stun.a.test", "", ""), "a.test");
  EXPECT_EQ(realm("turn.b.test", "", ""), "b.test");
  EXPECT_EQ(realm("", "", ""), "main");
  EXPECT_EQ(realm("a.test", "", ""), "main");
  EXPECT_EQ(realm(".", "", ""), "main");
  EXPECT_EQ(realm(std::string(255, 'x'), "", ""), "main");
  // It says more than the listener, and less than ORIGIN, and than the realm
  // that the client was told before, perhaps at another host.
  EXPECT_EQ(realm("turn.a.test", "", "", kSecondListener), "a.test");
  EXPECT_EQ(realm("turn.b.test", "https://a.test", ""), "a.test");
  EXPECT_EQ(realm("turn.b.test", "", "a.test"), "a.test");
  EXPECT_EQ(realm("turn.b.test", "", "main"), "main");
  // By a reload it is another's, or nobody's.
  std::swap(options.realms[0].hosts, options.realms[1].hosts);
  options.realms[0].hosts.clear();
  harness.SetOptions(options);
  EXPECT_EQ(realm("turn.a.test", "", ""), "b.test");
  EXPECT_EQ(realm("turn.b.test", "", ""), "main");
  // What the next packet is of, whose sender has named none.
  TestClient plain(1001);
  harness.Challenge(plain);
  EXPECT_EQ(plain.realm, "main");
}

TEST(TurnRealms, SenselessHostsAreRefused) {
  const auto valid = [](std::vector<std::string> a,
                        std::vector<std::string> b) {
    ServerOptions options = TwoRealms();
    options.realms[0].hosts = std::move(a);
    options.realms[1].hosts = std::move(b);
    return options.Validate().ok();
  };
  EXPECT_TRUE(valid({"turn.a.test", "_x.a.test"}, {"turn.b.test"}));
  EXPECT_FALSE(valid({"turn.a.test"}, {"TURN.a.test."}));
  for (const char* host : {"", ".", "turn.a.test:5349", "https://turn.a.test",
                           "*.a.test", "192.0.2.1", "2001:db8::1", "a b"}) {
    EXPECT_FALSE(valid({host}, {})) << host;
  }
  EXPECT_FALSE(valid({std::string(254, 'x')}, {}));
  // The same origin in other letters is one, too.
  ServerOptions options = TwoRealms();
  options.realms[1].origins = {"HTTPS://a.test:443"};
  EXPECT_FALSE(options.Validate().ok());
}

TEST(TurnRealms, EachHasItsOwnUsers) {
  ServerHarness harness(TwoRealms());
  EXPECT_TRUE(Page(harness, 1000, "").Allocate().ok());
  EXPECT_EQ(Page(harness, 1001, "https://a.test").Allocate().error(), 401);
  EXPECT_TRUE(Page(harness, 1002, "https://a.test", "u", "pa").Allocate().ok());
  EXPECT_EQ(Page(harness, 1003, "", "u", "pa").Allocate().error(), 401);
  EXPECT_EQ(Page(harness, 1004, "", "only-a").Allocate().error(), 401);
  EXPECT_EQ(
      Page(harness, 1005, "https://a.test", "only-main").Allocate().error(),
      401);
  const std::string name = "1700001000:ann";
  const auto rest = [&](uint16_t port, absl::string_view secret) {
    Page page(harness, port, "", name,
              internal::Credentials::RestPassword(secret, name));
    page.client().path.local = kSecondListener;
    return page.Allocate().error();
  };
  EXPECT_EQ(rest(1006, "secret-b"), 0);
  EXPECT_EQ(rest(1007, "secret-a"), 401);
}

// A client need not repeat its ORIGIN: the nonce says which realm it was given.
TEST(TurnRealms, NonceCarriesTheRealm) {
  ServerHarness harness(TwoRealms());
  Page page(harness, 1000, "https://a.test", "u", "pa");
  page.Learn(page.Ask());
  page.set_origin("");
  EXPECT_TRUE(page.Call().ok());
  // And what follows is of the allocation's realm, whatever it says.
  page.client().path.local = kTestServer;
  EXPECT_TRUE(harness.Refresh(page.client(), 600).ok());
  EXPECT_TRUE(harness.Permit(page.client(), kTestPeer.ip).ok());
}

TEST(TurnRealms, NonceOfOneIsStaleInAnother) {
  ServerHarness harness(TwoRealms());
  // With the name of the other realm, and a key of it.
  Page page(harness, 1000, "", "u", "pa");
  page.Learn(page.Ask());
  page.client().realm = "a.test";
  const Reply reply = page.Call();
  EXPECT_EQ(reply.error(), 438);
  EXPECT_EQ(RealmIn(reply), "a.test");
  // With the nonce of the main realm, and the ORIGIN of the other.
  Page other(harness, 1001, "");
  other.Learn(other.Ask());
  other.set_origin("https://a.test");
  EXPECT_EQ(other.Call().error(), 438);
  // A realm that there is not is the one that the client is in.
  Page unknown(harness, 1002, "");
  unknown.Learn(unknown.Ask());
  unknown.client().realm = "c.test";
  EXPECT_EQ(unknown.Call().error(), 401);
}

// The same name in two realms is two users.
TEST(TurnRealms, QuotasAreOfEach) {
  ServerOptions options = TwoRealms();
  options.allocations_per_user_max = 1;
  options.realms[0].allocations_per_user_max = 2;
  options.realms[0].allocations_max = 3;
  ServerHarness harness(options);
  // Nor does a name that looks like one of another realm count there.
  const std::string sly("\0a.test\0u", 9);
  ASSERT_OK(harness.server().Grant(harness.now(), sly, "p"));
  ASSERT_TRUE(Page(harness, 1010, "", sly).Allocate().ok());
  const auto a = [&](uint16_t port, const std::string& name,
                     const std::string& password) {
    return Page(harness, port, "https://a.test", name, password)
        .Allocate()
        .error();
  };
  EXPECT_EQ(Page(harness, 1000, "").Allocate().error(), 0);
  EXPECT_EQ(Page(harness, 1001, "").Allocate().error(), 486);
  EXPECT_EQ(a(1002, "u", "pa"), 0);
  EXPECT_EQ(a(1003, "u", "pa"), 0);
  EXPECT_EQ(a(1004, "u", "pa"), 486);
  EXPECT_EQ(a(1005, "only-a", "p"), 0);
  EXPECT_EQ(a(1006, "only-a", "p"), 508);
  EXPECT_EQ(Page(harness, 1007, "", "only-main").Allocate().error(), 0);
  // The operator's word ends those of the main realm alone.
  EXPECT_EQ(harness.server().EndAllocations("u"), 1);
  EXPECT_EQ(harness.server().allocations(), 5);
}

TEST(TurnRealms, EventsNameTheRealm) {
  ServerHarness harness(TwoRealms());
  Page page(harness, 1000, "https://a.test", "u", "pa");
  ASSERT_TRUE(page.Allocate().ok());
  harness.server().ListSessions(harness.now(), 0, 10,
                                [](const SessionInfo& info) {
                                  EXPECT_EQ(info.realm, "a.test");
                                  EXPECT_EQ(info.quota_user, "u");
                                  return SessionVerdict::kKeep;
                                });
  ASSERT_TRUE(harness.Refresh(page.client(), 0).ok());
  std::vector<std::string> realms;
  for (const Server::Event& event : harness.events()) {
    if (const auto* made = std::get_if<Server::AllocationMade>(&event)) {
      realms.push_back(made->realm);
    }
    if (const auto* ended = std::get_if<Server::AllocationEnded>(&event)) {
      realms.push_back(ended->realm);
    }
  }
  EXPECT_THAT(realms, testing::ElementsAre("a.test", "a.test"));
}

TEST(TurnRealms, EachHasItsOwnAlternateServers) {
  ServerOptions options = TwoRealms();
  options.admission = ServerOptions::Admission::kDraining;
  options.alternate_servers = {{IpAddress::V4(198, 51, 100, 1), 1}};
  options.realms[0].alternate_servers = {{IpAddress::V4(198, 51, 100, 2), 2}};
  ServerHarness harness(options);
  const auto sent_to = [](const Reply& reply) {
    return reply.Get<stun::AlternateServer>()->address.port;
  };
  EXPECT_EQ(sent_to(Page(harness, 1000, "").Allocate()), 1);
  EXPECT_EQ(
      sent_to(Page(harness, 1001, "https://a.test", "u", "pa").Allocate()), 2);
}

TEST(TurnRealms, ComeAndGoByReload) {
  ServerOptions options = TwoRealms();
  options.revoked_grace = absl::Hours(1);
  ServerHarness harness(options);
  Page old(harness, 1000, "https://a.test", "u", "pa");
  ASSERT_TRUE(old.Allocate().ok());
  Page main(harness, 1001, "");
  ASSERT_TRUE(main.Allocate().ok());

  ServerOptions next = options;
  RealmOptions c;
  c.name = "c.test";
  c.origins = {"https://a.test"};
  c.users = {{"u", "pc"}};
  next.realms = {c};
  ASSERT_OK(next.Validate());
  harness.SetOptions(next);
  EXPECT_TRUE(Page(harness, 1002, "https://a.test", "u", "pc").Allocate().ok());
  EXPECT_EQ(Page(harness, 1003, "https://a.test", "u", "pa").Allocate().error(),
            401);
  // What was made goes on for its grace, in its realm.
  EXPECT_TRUE(harness.Refresh(old.client(), 3600).ok());
  EXPECT_TRUE(harness.Refresh(main.client(), 3600).ok());
  harness.Advance(absl::Hours(1) - absl::Seconds(1));
  EXPECT_EQ(harness.server().allocations(), 2);
  harness.Advance(absl::Seconds(1));
  EXPECT_EQ(old.Allocate().error(), 401);
  // And the first comes back as it was.
  harness.SetOptions(options);
  EXPECT_TRUE(Page(harness, 1004, "https://a.test", "u", "pa").Allocate().ok());
}

TEST(TurnRealms, ContradictionsAreRefused) {
  EXPECT_OK(TwoRealms().Validate());
  const auto valid = [](void (*change)(ServerOptions&)) {
    ServerOptions options = TwoRealms();
    change(options);
    return options.Validate().ok();
  };
  EXPECT_FALSE(valid([](ServerOptions& o) { o.realms[0].name = ""; }));
  EXPECT_FALSE(valid([](ServerOptions& o) { o.realms[0].name = "main"; }));
  EXPECT_FALSE(valid([](ServerOptions& o) { o.realms[0].name = "b.test"; }));
  EXPECT_FALSE(valid(
      [](ServerOptions& o) { o.realms[1].origins = o.realms[0].origins; }));
  EXPECT_FALSE(valid(
      [](ServerOptions& o) { o.realms[0].listeners = {kSecondListener}; }));
  EXPECT_FALSE(valid([](ServerOptions& o) { o.realms[0].users[0].name = ""; }));
  EXPECT_FALSE(valid(
      [](ServerOptions& o) { o.realms[0].name = std::string("a\0b", 3); }));
  EXPECT_FALSE(valid([](ServerOptions& o) { o.realms.resize(256); }));
}

}  // namespace
}  // namespace kyuu::turn
