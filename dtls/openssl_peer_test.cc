// A session and OpenSSL: every suite, every kind of certificate, both roles.

#include "dtls/testing/openssl_peer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "dtls/certificate.h"
#include "dtls/session.h"
#include "dtls/testing/two.h"
#include "gtest/gtest.h"

namespace kyuu::dtls {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
constexpr Role kRoles[] = {Role::kClient, Role::kServer};
constexpr KeyType kKeyTypes[] = {KeyType::kEcdsaP256, KeyType::kEcdsaP384,
                                 KeyType::kEcdsaP521, KeyType::kEd25519,
                                 KeyType::kRsa};

// Made once: RSA takes long.
const Certificate& CertificateWith(KeyType type) {
  static const std::vector<Certificate>* const all = [] {
    auto* v = new std::vector<Certificate>;
    for (const KeyType t : kKeyTypes) {
      v->push_back(*Certificate::Generate(kNow, t));
    }
    return v;
  }();
  return (*all)[static_cast<size_t>(type)];
}

// Our session and OpenSSL's, joined.
struct Joined {
  Joined(Role role, KeyType ours, KeyType theirs,
         const std::string& ciphers = "ALL")
      : session(role, CertificateWith(ours), {}),
        peer(role == Role::kClient ? Role::kServer : Role::kClient,
             CertificateWith(theirs), ciphers) {
    EXPECT_OK(session.SetRemoteFingerprints(
        kNow, {CertificateWith(theirs).fingerprint()}));
  }

  bool Connect() {
    session.Start(kNow);
    peer.Handle();
    for (int i = 0; i < 6; ++i) Carry();
    while (auto event = session.PollEvent()) log.Add(*event);
    return session.connected() && peer.connected();
  }
  void Carry() {
    for (const Bytes& datagram : Drain(session, kNow)) peer.Handle(datagram);
    if (const Bytes bytes = peer.Take(); !bytes.empty()) {
      session.HandlePacket(kNow, bytes);
    }
  }

  Session session;
  OpensslPeer peer;
  Log log;
};

TEST(OpensslPeer, RecordsOfEverySuitePassBothWays) {
  constexpr std::pair<const char*, KeyType> kSuites[] = {
      {"ECDHE-ECDSA-AES128-GCM-SHA256", KeyType::kEcdsaP256},
      {"ECDHE-ECDSA-AES256-GCM-SHA384", KeyType::kEcdsaP256},
      {"ECDHE-ECDSA-CHACHA20-POLY1305", KeyType::kEcdsaP256},
      {"ECDHE-RSA-AES128-GCM-SHA256", KeyType::kRsa},
      {"ECDHE-RSA-AES256-GCM-SHA384", KeyType::kRsa},
      {"ECDHE-RSA-CHACHA20-POLY1305", KeyType::kRsa},
  };
  for (const Role role : kRoles) {
    for (const auto& [suite, key] : kSuites) {
      SCOPED_TRACE(absl::StrCat(suite, role == Role::kClient ? " client" : ""));
      Joined joined(role, key, key, suite);
      ASSERT_TRUE(joined.Connect());
      EXPECT_EQ(joined.log.connected->cipher, suite);
      for (const size_t size : {1u, 15u, 16u, 1200u, 16384u}) {
        const std::string text(size, 'x');
        joined.peer.Handle(Seal(joined.session, text));
        EXPECT_EQ(joined.peer.Read(), (std::vector<std::string>{text}));
        joined.peer.Write(text);
        joined.session.HandlePacket(kNow, joined.peer.Take());
        EXPECT_EQ(Read(joined.session), text);
      }
      EXPECT_FALSE(joined.peer.failed());
    }
  }
}

// What neither suite nor key exchange of ours is: no session, and no crash.
TEST(OpensslPeer, OtherSuitesAreNotAgreedOn) {
  for (const Role role : kRoles) {
    for (const char* suite : {"AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA",
                              "AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"}) {
      Joined joined(role, KeyType::kRsa, KeyType::kRsa, suite);
      EXPECT_FALSE(joined.Connect()) << suite;
    }
  }
}

// RFC 8827 section 6.5 asks for P-256; peers bring what they have.
TEST(OpensslPeer, EveryKindOfCertificateInBothRoles) {
  for (const Role role : kRoles) {
    for (const KeyType ours : kKeyTypes) {
      for (const KeyType theirs : kKeyTypes) {
        // Which OpenSSL cannot be, but see the next test.
        if (role == Role::kClient && theirs == KeyType::kEd25519) continue;
        Joined joined(role, ours, theirs);
        EXPECT_TRUE(joined.Connect())
            << (role == Role::kClient ? "client " : "server ")
            << static_cast<int>(ours) << " with " << static_cast<int>(theirs);
      }
    }
  }
}

TEST(OpensslPeer, EveryKindOfServerForUsAsClients) {
  for (const KeyType type : kKeyTypes) {
    Session client(Role::kClient, CertificateWith(KeyType::kEcdsaP256), {});
    Session server(Role::kServer, CertificateWith(type), {});
    ASSERT_OK(client.SetRemoteFingerprints(
        kNow, {CertificateWith(type).fingerprint()}));
    ASSERT_OK(server.SetRemoteFingerprints(
        kNow, {CertificateWith(KeyType::kEcdsaP256).fingerprint()}));
    client.Start(kNow);
    for (int i = 0; i < 4; ++i) {
      for (const Bytes& d : Drain(client, kNow)) server.HandlePacket(kNow, d);
      for (const Bytes& d : Drain(server, kNow)) client.HandlePacket(kNow, d);
    }
    EXPECT_TRUE(client.connected()) << static_cast<int>(type);
    EXPECT_TRUE(server.connected()) << static_cast<int>(type);
  }
}

TEST(OpensslPeer, EitherSideSaysGoodbye) {
  for (const Role role : kRoles) {
    Joined ours(role, KeyType::kEcdsaP256, KeyType::kEcdsaP256);
    ASSERT_TRUE(ours.Connect());
    ours.session.Close(kNow);
    ours.Carry();
    EXPECT_TRUE(ours.peer.told_closed());

    Joined theirs(role, KeyType::kEcdsaP256, KeyType::kEcdsaP256);
    ASSERT_TRUE(theirs.Connect());
    theirs.peer.SendCloseNotify();
    theirs.Carry();
    while (auto event = theirs.session.PollEvent()) theirs.log.Add(*event);
    ASSERT_TRUE(theirs.log.closed.has_value());
    EXPECT_OK(*theirs.log.closed);
    theirs.Carry();
    EXPECT_TRUE(theirs.peer.told_closed()) << "RFC 5246 section 7.2.1";
  }
}

// OpenSSL drops what it has seen, so do we.
TEST(OpensslPeer, ReplaysPassNeitherWay) {
  Joined joined(Role::kServer, KeyType::kEcdsaP256, KeyType::kEcdsaP256);
  ASSERT_TRUE(joined.Connect());
  const Bytes record = Seal(joined.session, "once");
  for (int i = 0; i < 3; ++i) joined.peer.Handle(record);
  EXPECT_EQ(joined.peer.Read(), (std::vector<std::string>{"once"}));
  joined.peer.Write("once");
  const Bytes theirs = joined.peer.Take();
  for (int i = 0; i < 3; ++i) joined.session.HandlePacket(kNow, theirs);
  EXPECT_EQ(Read(joined.session), "once");
  EXPECT_EQ(Read(joined.session), std::nullopt);
  EXPECT_EQ(joined.session.stats().discarded_replayed, 2u);
}

}  // namespace
}  // namespace kyuu::dtls
