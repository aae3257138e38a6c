#include "net/resolver.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/address.h"
#include "base/testing.h"
#include "net/loop.h"

namespace kyuu::net {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A system's resolver that answers when the test says so.
class Gate {
 public:
  static Gate& Get() {
    static auto* const gate = new Gate;
    return *gate;
  }
  void Reset() {
    const std::lock_guard lock(mutex_);
    open_ = false;
    asked_ = 0;
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void AwaitAsked(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return asked_ >= count; });
  }
  size_t asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  static Resolver::Addresses Lookup(const std::string& host, uint16_t port) {
    Gate& gate = Get();
    std::unique_lock lock(gate.mutex_);
    ++gate.asked_;
    gate.changed_.notify_all();
    gate.changed_.wait(lock, [&] { return gate.open_; });
    if (host == "unknown") return absl::NotFoundError("unknown: no such name");
    return std::vector<TransportAddress>{{IpAddress::V4(192, 0, 2, 1), port}};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  size_t asked_ = 0;
};

class ResolverTest : public testing::Test {
 protected:
  ResolverTest() { Gate::Get().Reset(); }
  ~ResolverTest() override { Gate::Get().Open(); }

  const std::thread::id here_ = std::this_thread::get_id();
  std::unique_ptr<Loop> loop_ = *Loop::Create();
};

TEST_F(ResolverTest, AnswersComeOnTheLoopEachOnce) {
  Resolver resolver(*loop_, &Gate::Lookup);
  std::vector<std::string> answers;
  const auto ask = [&](const char* host) {
    resolver.Resolve(host, 3478, [&, host](Resolver::Addresses addresses) {
      EXPECT_EQ(std::this_thread::get_id(), here_);
      answers.push_back(addresses.ok()
                            ? host + (" " + addresses->front().ToString())
                            : std::string(addresses.status().message()));
      if (answers.size() == 2) loop_->Stop();
    });
  };
  ask("example.org");
  ask("unknown");
  Gate::Get().AwaitAsked(2);  // Both at one time.
  EXPECT_THAT(answers, IsEmpty());
  Gate::Get().Open();
  loop_->Run();
  EXPECT_THAT(answers,
              testing::UnorderedElementsAre("example.org 192.0.2.1:3478",
                                            "unknown: no such name"));
}

TEST_F(ResolverTest, MoreQuestionsThanPlacesWaitForTheirTurn) {
  Resolver resolver(*loop_, &Gate::Lookup);
  constexpr size_t kQuestions = 3 * Resolver::kLookupsMax;
  size_t answers = 0;
  for (size_t i = 0; i < kQuestions; ++i) {
    resolver.Resolve("example.org", 1, [&](Resolver::Addresses addresses) {
      EXPECT_OK(addresses);
      if (++answers == kQuestions) loop_->Stop();
    });
  }
  Gate::Get().AwaitAsked(Resolver::kLookupsMax);
  EXPECT_EQ(Gate::Get().asked(), Resolver::kLookupsMax);
  Gate::Get().Open();
  loop_->Run();
  EXPECT_EQ(answers, kQuestions);
}

// Its handler may own what the loop does.
TEST_F(ResolverTest, NobodyIsToldAfterItsEnd) {
  auto resolver = std::make_unique<Resolver>(*loop_, &Gate::Lookup);
  const auto owned = std::make_shared<int>();
  for (size_t i = 0; i < Resolver::kLookupsMax + 2; ++i) {
    resolver->Resolve("example.org", 1, [owned](Resolver::Addresses) {
      ADD_FAILURE() << "told";
    });
  }
  Gate::Get().AwaitAsked(Resolver::kLookupsMax);
  resolver.reset();
  Gate::Get().Open();
  // Those that run end by themselves; none is started for the others.
  while (owned.use_count() > 1) std::this_thread::yield();
  EXPECT_EQ(Gate::Get().asked(), Resolver::kLookupsMax);
  loop_->Post([&] { loop_->Stop(); });
  loop_->Run();
}

// One that has come, and waits for its turn on the loop, is dropped as well.
TEST_F(ResolverTest, AnAnswerOnItsWayIsDroppedWithIt) {
  auto resolver = std::make_unique<Resolver>(*loop_, &Gate::Lookup);
  bool second = false;
  for (int i = 0; i < 2; ++i) {
    resolver->Resolve("example.org", 1, [&](Resolver::Addresses) {
      EXPECT_FALSE(second) << "told after its end";
      second = true;
      resolver.reset();
      loop_->Post([&] { loop_->Stop(); });
    });
  }
  Gate::Get().AwaitAsked(2);
  Gate::Get().Open();
  loop_->Run();
  EXPECT_TRUE(second);
}

TEST_F(ResolverTest, WhoCanWaitWaitsNoLongerThanHeSays) {
  EXPECT_EQ(ResolveWithin("slow", 80, absl::Milliseconds(1), &Gate::Lookup)
                .status()
                .code(),
            absl::StatusCode::kDeadlineExceeded);
  Gate::Get().Open();
  const auto found =
      ResolveWithin("quick", 80, absl::Seconds(60), &Gate::Lookup);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->front().port, 80);
  EXPECT_EQ(ResolveWithin("unknown", 80, absl::Seconds(60), &Gate::Lookup)
                .status()
                .code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ResolverTest, NumbersAreTheirOwnAddress) {
  Resolver resolver(*loop_);
  Resolver::Addresses answer;
  resolver.Resolve("127.0.0.1", 7, [&](Resolver::Addresses addresses) {
    answer = std::move(addresses);
    loop_->Stop();
  });
  loop_->Run();
  ASSERT_OK(answer);
  EXPECT_THAT(*answer,
              ElementsAre(TransportAddress{IpAddress::V4(127, 0, 0, 1), 7}));
}

}  // namespace
}  // namespace kyuu::net
