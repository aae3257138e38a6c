#include "dtls/authorities.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "dtls/acceptor.h"
#include "dtls/session.h"
#include "dtls/testing/two.h"
#include "net/testing/certificate.h"

namespace kyuu::dtls {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

// A server with a certificate for "kyuu.test" and 127.0.0.1.
class AuthoritiesTest : public testing::Test {
 protected:
  AuthoritiesTest()
      : acceptor_(ServerContext::FromFiles(certificate_.certificate_file(),
                                           certificate_.key_file())
                      .value(),
                  random_, Options()) {}

  // How a client that believes `ca_file` and looks for `name` fares.
  absl::Status Connect(const std::string& ca_file, const std::string& name) {
    client_.emplace(Authorities::Load(ca_file).value().Connect(name, {}));
    client_->Start(kNow);
    std::optional<Session> server;
    for (int i = 0; i < 6; ++i) {
      for (const Bytes& d : Drain(*client_, kNow)) {
        if (server) {
          server->HandlePacket(kNow, d);
          continue;
        }
        Acceptor::Heard heard =
            acceptor_.Hear(kNow, {IpAddress::V4(192, 0, 2, 1), 40'000}, d);
        if (auto* reply = std::get_if<Acceptor::Reply>(&heard)) {
          client_->HandlePacket(kNow, reply->bytes);
        } else if (auto* session = std::get_if<Session>(&heard)) {
          server.emplace(std::move(*session));
        }
      }
      if (!server) continue;
      for (const Bytes& d : Drain(*server, kNow)) {
        client_->HandlePacket(kNow, d);
      }
    }
    Log log;
    while (const auto event = client_->PollEvent()) log.Add(*event);
    if (log.closed) return *log.closed;
    return log.connected ? absl::OkStatus() : absl::UnknownError("no end");
  }

  const net::TestCertificate certificate_;
  SeededRandom random_{1};
  Acceptor acceptor_;
  std::optional<Session> client_;
};

TEST_F(AuthoritiesTest, AServerIsBelievedByNameAndByAddress) {
  EXPECT_OK(Connect(certificate_.certificate_file(), "kyuu.test"));
  EXPECT_OK(Connect(certificate_.certificate_file(), "127.0.0.1"));
}

TEST_F(AuthoritiesTest, AnotherNameIsNotBelieved) {
  for (const char* name : {"kyuu.other", "127.0.0.2"}) {
    const absl::Status status = Connect(certificate_.certificate_file(), name);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << name;
    EXPECT_THAT(status.message(), testing::HasSubstr("mismatch"));
    EXPECT_FALSE(client_->connected());
  }
}

TEST_F(AuthoritiesTest, AnotherAuthorityIsNotBelieved) {
  const net::TestCertificate other("other.test");
  const absl::Status status = Connect(other.certificate_file(), "kyuu.test");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_FALSE(client_->connected());
}

TEST_F(AuthoritiesTest, AFileWithoutAuthoritiesIsRefused) {
  EXPECT_EQ(Authorities::Load(certificate_.key_file()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Authorities::Load("/nowhere").status().message(),
              testing::HasSubstr("/nowhere"));
}

}  // namespace
}  // namespace kyuu::dtls
