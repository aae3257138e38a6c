#include "tools/kyuu/doctor/gather.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "tools/kyuu/doctor/tls_probe.h"
#include "tools/kyuu/doctor/verdicts.h"

namespace kyuu::tools {
namespace {

constexpr absl::Duration kPatience = absl::Milliseconds(300);
// A busy machine is no reason to fail.
constexpr absl::Duration kSlack = absl::Seconds(5);

enum class Manner : uint8_t { kSilent, kGarbage, kClose, kEndlessHeader };

// Listens and behaves badly to whoever comes.
class BadServer {
 public:
  explicit BadServer(Manner manner)
      : listener_(
            net::TcpListener::Open({.bind = {IpAddress::V4(127, 0, 0, 1), 0}})
                .value()),
        manner_(manner),
        thread_([this] { Serve(); }) {}
  ~BadServer() {
    over_ = true;
    thread_.join();
    for (std::thread& guest : guests_) guest.join();
  }

  std::string url(const char* scheme) const {
    return absl::StrCat(scheme, "://", listener_.local().ToString(), "/");
  }
  const TransportAddress& address() const { return address_; }

 private:
  void Serve() {
    while (!over_) {
      pollfd ready{listener_.fd(), POLLIN, 0};
      // accept() tells what became of it.
      (void)poll(&ready, 1, 10);
      const int fd = accept(listener_.fd(), nullptr, nullptr);
      if (fd < 0) continue;
      guests_.emplace_back([this, fd] { Treat(fd); });
    }
  }

  void Treat(int fd) const {
    std::string text = manner_ == Manner::kGarbage ? "\x15\x03garbage\n" : "";
    if (manner_ == Manner::kEndlessHeader) text = "HTTP/1.1 200 OK\r\n";
    char bytes[4096];
    do {
      if (send(fd, text.data(), text.size(), MSG_NOSIGNAL) < 0) break;
      if (manner_ == Manner::kEndlessHeader) text = "X-More: and more\r\n";
    } while (!over_ && manner_ == Manner::kEndlessHeader);
    while (manner_ != Manner::kClose && !over_ &&
           recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
    close(fd);
  }

  net::TcpListener listener_;
  const TransportAddress address_ = listener_.local();
  const Manner manner_;
  std::atomic<bool> over_ = false;
  std::vector<std::thread> guests_;
  std::thread thread_;
};

ServerFacts Look(const std::string& url) {
  GatherOptions options;
  options.site = Site::Parse(url).value();
  options.backend = Site::Parse("http://127.0.0.1:9000").value();
  options.patience = kPatience;
  return Gather(options);
}

TEST(GatherTest, NoServerIsWaitedForLongerThanIsSaid) {
  for (const Manner manner : {Manner::kSilent, Manner::kGarbage, Manner::kClose,
                              Manner::kEndlessHeader}) {
    for (const char* scheme : {"http", "https"}) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(manner), " ", scheme));
      const BadServer server(manner);
      const absl::Time began = net::Loop::Now();
      const ServerFacts facts = Look(server.url(scheme));
      EXPECT_LT(net::Loop::Now() - began, kPatience * 6 + kSlack);
      ASSERT_EQ(facts.reaches.size(), 1u);
      EXPECT_TRUE(facts.reaches[0].connected.ok());
      EXPECT_FALSE(facts.health.ok());
      EXPECT_FALSE(facts.upgrade.ok());
      EXPECT_FALSE(facts.session.welcomed.ok());
      EXPECT_EQ(StatusOf(Judge(facts, absl::Now())), kFailureFound);
    }
  }
}

TEST(GatherTest, WhereNobodyListensNothingElseIsTried) {
  std::string gone;
  {
    const BadServer server(Manner::kSilent);
    gone = server.url("https");
  }
  const std::vector<Finding> findings = Judge(Look(gone), absl::Now());
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_EQ(findings[1].verdict, Verdict::kFail);
  EXPECT_EQ(findings[1].name, "tcp");
  EXPECT_THAT(findings[1].what, testing::HasSubstr("refused"));
  EXPECT_EQ(findings[2].verdict, Verdict::kNotSeen);
}

TEST(GatherTest, ANameThatIsNoneIsSaidSo) {
  const std::vector<Finding> findings =
      Judge(Look("https://nowhere.invalid/"), absl::Now());
  EXPECT_EQ(findings[0].name, "name");
  EXPECT_EQ(findings[0].verdict, Verdict::kFail);
}

TEST(TlsProbeTest, ASilentServerHasShownNothing) {
  const BadServer server(Manner::kSilent);
  const TlsFacts facts = ProbeTls(server.address(), "localhost", kPatience);
  EXPECT_EQ(facts.handshake.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(facts.chain.empty());
}

}  // namespace
}  // namespace kyuu::tools
