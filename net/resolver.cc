#include "net/resolver.h"

#include <pthread.h>

#include <csignal>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "net/resolve.h"

namespace kyuu::net {

struct Resolver::Question {
  std::string host;
  uint16_t port;
  Handler handler;
};

// Shared with the threads, which may outlive the Resolver.
struct Resolver::State {
  const Lookup lookup;
  std::mutex mutex;
  // All that follows is guarded by the mutex.
  Loop* loop;  // Null once the Resolver is gone.
  size_t running = 0;
  std::deque<Question> waiting;
};

Resolver::Resolver(Loop& loop, Lookup lookup)
    : state_(new State{.lookup = lookup != nullptr ? lookup : &net::Resolve,
                       .mutex = {},
                       .loop = &loop,
                       .waiting = {}}) {}

Resolver::~Resolver() {
  std::deque<Question> dropped;
  const std::lock_guard lock(state_->mutex);
  state_->loop = nullptr;
  dropped.swap(state_->waiting);
}

void Resolver::Resolve(std::string host, uint16_t port, Handler handler) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->waiting.push_back({std::move(host), port, std::move(handler)});
  }
  Start(state_);
}

// Asks the next question, if there is one and a place for it.
void Resolver::Start(const std::shared_ptr<State>& state) {
  Question question;
  {
    const std::lock_guard lock(state->mutex);
    if (state->waiting.empty() || state->running == kLookupsMax) return;
    ++state->running;
    question = std::move(state->waiting.front());
    state->waiting.pop_front();
  }
  // Not lost if the thread cannot be made.
  auto shared = std::make_shared<Question>(std::move(question));
  // Signals are for the application's threads; a new thread inherits the mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([state, shared] {
      Addresses addresses = state->lookup(shared->host, shared->port);
      Answer(state, std::move(*shared), std::move(addresses));
    }).detach();
  } catch (const std::system_error& error) {
    Answer(state, std::move(*shared),
           absl::ResourceExhaustedError(
               absl::StrCat("no thread to resolve names: ", error.what())));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Resolver::Answer(const std::shared_ptr<State>& state, Question question,
                      Addresses addresses) {
  {
    const std::lock_guard lock(state->mutex);
    --state->running;
    // What the handler owns dies here, on a thread, if it is nobody's.
    if (state->loop == nullptr) return;
    state->loop->Post([weak = std::weak_ptr<State>(state),
                       handler = std::move(question.handler),
                       addresses = std::move(addresses)]() mutable {
      const std::shared_ptr<State> alive = weak.lock();
      if (alive == nullptr) return;
      {
        const std::lock_guard still(alive->mutex);
        if (alive->loop == nullptr) return;
      }
      handler(std::move(addresses));
    });
  }
  Start(state);
}

Resolver::Addresses ResolveWithin(const std::string& host, uint16_t port,
                                  absl::Duration patience,
                                  Resolver::Lookup lookup) {
  absl::StatusOr<std::unique_ptr<Loop>> loop = Loop::Create();
  if (!loop.ok()) return loop.status();
  Resolver::Addresses found = absl::DeadlineExceededError(
      absl::StrCat(host, ": no resolver answers in time"));
  Resolver resolver(**loop, lookup);
  Alarm deadline(**loop, [&] { (*loop)->Stop(); });
  deadline.Set(Loop::Now() + patience);
  resolver.Resolve(host, port, [&](Resolver::Addresses addresses) {
    found = std::move(addresses);
    (*loop)->Stop();
  });
  (*loop)->Run();
  return found;
}

}  // namespace kyuu::net
