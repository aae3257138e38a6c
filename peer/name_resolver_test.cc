// On the loopback interface alone, so that no network hears of it.

#include "peer/name_resolver.h"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/system_random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "mdns/message.h"
#include "net/multicast/multicast_socket.h"
#include "net/testing/loop.h"

namespace kyuu::peer {
namespace {

// Loopback in the role of a network.
absl::StatusOr<std::vector<net::Interface>> Network() {
  return std::vector<net::Interface>{
      {.name = "lo", .index = 1, .address = IpAddress::V4(127, 0, 0, 1)}};
}

class NameResolverTest : public testing::Test {
 protected:
  // Another program of the network: it answers for `name_`.
  void Serve() {
    auto socket = net::MulticastSocket::Open(mdns::GroupOf(IpFamily::kV4), 1);
    ASSERT_OK(socket);
    server_.emplace(*std::move(socket));
    watch_ = std::make_unique<net::Watch>(*loop_, server_->fd(),
                                          net::Interest::kRead,
                                          [this](net::Readiness) { Answer(); });
  }
  void Answer() {
    std::array<uint8_t, 1500> in, out;
    while (auto received = server_->Receive(absl::MakeSpan(in))) {
      const auto message = mdns::Parse(received->bytes);
      if (!message.ok() || message->response) continue;
      for (const mdns::Question& question : message->questions) {
        if (question.name != name_) continue;
        ++asked_;
        if (question.type != mdns::QueryType::kA) continue;
        Writer w(absl::MakeSpan(out));
        mdns::WriteAnswer(
            w, {name_, IpAddress::V4(192, 0, 2, 9), absl::Seconds(120)});
        ASSERT_TRUE(server_->Send(server_->group(), w.written()));
      }
    }
    loop_->Stop();
  }

  using Answers = std::vector<std::optional<IpAddress>>;
  NameResolver::Handler Into(Answers& answers) {
    return [&answers, this](std::optional<IpAddress> ip) {
      answers.push_back(ip);
      loop_->Stop();
    };
  }

  net::TestLoop loop_;
  SystemRandom random_;
  // Other tests run on the same loopback: a name is nobody else's.
  const std::string name_ = mdns::MakeName(random_);
  std::optional<net::MulticastSocket> server_;
  std::unique_ptr<net::Watch> watch_;
  int asked_ = 0;
};

TEST_F(NameResolverTest, ResolvesWhatANeighbourAnswersFor) {
  Serve();
  NameResolver names(*loop_, Network);
  Answers answers;
  names.Resolve(name_, Into(answers));
  EXPECT_EQ(names.links().size(), 1u);
  EXPECT_TRUE(answers.empty());
  loop_.RunUntil([&] { return !answers.empty() && names.links().empty(); });
  EXPECT_THAT(answers, testing::ElementsAre(IpAddress::V4(192, 0, 2, 9)));
  // Its sockets are closed, and opened again for the next one.
  names.Resolve(name_, Into(answers));
  loop_.RunUntil([&] { return answers.size() == 2; });
  EXPECT_GE(asked_, 2);
  EXPECT_EQ(names.stats().names_resolved, 2u);
}

TEST_F(NameResolverTest, WhatCannotBeAskedIsAnsweredLater) {
  NameResolver names(*loop_, Network);
  Answers answers;
  names.Resolve("example.com", Into(answers));
  EXPECT_TRUE(answers.empty());
  loop_.RunUntil([&] { return !answers.empty(); });
  EXPECT_EQ(answers[0], std::nullopt);
}

TEST_F(NameResolverTest, ManyAtOnceAreBounded) {
  NameResolver names(*loop_, Network);
  const size_t most = mdns::EndpointOptions{}.max_queries;
  Answers answers;
  for (size_t i = 0; i < most + 1; ++i) {
    names.Resolve(mdns::MakeName(random_), Into(answers));
  }
  loop_.RunUntil([&] { return !answers.empty(); });
  EXPECT_EQ(answers.size(), 1u);
}

TEST_F(NameResolverTest, AHandlerMayDestroyIt) {
  Serve();
  auto names = std::make_unique<NameResolver>(*loop_, Network);
  bool other = false;
  for (const char* never : {"", "x.example"}) {
    names->Resolve(*never == '\0' ? name_ : mdns::MakeName(random_),
                   [&](std::optional<IpAddress>) {
                     other |= names == nullptr;
                     names.reset();
                     loop_->Stop();
                   });
  }
  loop_.RunUntil([&] { return names == nullptr; });
  EXPECT_FALSE(other);
}

TEST_F(NameResolverTest, OneFindsWhatAnotherHides) {
  NameResolver ours(*loop_, Network), theirs(*loop_, Network);
  const IpAddress hidden = IpAddress::V4(192, 0, 2, 7);
  ASSERT_OK(theirs.Publish(name_, hidden, 1));
  EXPECT_EQ(theirs.links().size(), 1u);
  Answers answers;
  ours.Resolve(name_, Into(answers));
  loop_.RunUntil([&] { return !answers.empty() && ours.links().empty(); });
  EXPECT_THAT(answers, testing::ElementsAre(hidden));
  EXPECT_EQ(theirs.links().size(), 1u);
  theirs.Withdraw(name_);
  net::Alarm alarm(*loop_, [&] { loop_->Stop(); });
  alarm.Set(net::Loop::Now());
  loop_.RunUntil([&] {
    alarm.Set(net::Loop::Now());
    return theirs.links().empty();
  });
}

TEST_F(NameResolverTest, NamesOfOursAreBoundedAndCounted) {
  NameResolver names(*loop_, Network, {.max_names = 1});
  ASSERT_OK(names.Publish(name_, IpAddress::V4(192, 0, 2, 7), 1));
  const std::string other = mdns::MakeName(random_);
  EXPECT_THAT(names.Publish(other, IpAddress::V4(192, 0, 2, 8), 1),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(names.stats().names_refused, 1u);
  names.Withdraw(name_);
  EXPECT_OK(names.Publish(other, IpAddress::V4(192, 0, 2, 8), 1));
}

TEST_F(NameResolverTest, WithoutANetworkNobodyAnswers) {
  NameResolver names(*loop_,
                     [] {
                       return absl::StatusOr<std::vector<net::Interface>>(
                           absl::UnavailableError("none"));
                     },
                     {.query_timeout = absl::Milliseconds(10)});
  Answers answers;
  names.Resolve(name_, Into(answers));
  EXPECT_TRUE(names.links().empty());
  loop_.RunUntil([&] { return !answers.empty(); });
  EXPECT_THAT(answers, testing::ElementsAre(std::nullopt));
}

}  // namespace
}  // namespace kyuu::peer
