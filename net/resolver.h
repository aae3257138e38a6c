// Resolver: host names to addresses, for event loops.

#ifndef KYUU_NET_RESOLVER_H_
#define KYUU_NET_RESOLVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "net/loop.h"

namespace kyuu::net {

// Resolver asks the system's resolver, which blocks, on threads that live as
// long as a question each. It belongs to the loop's thread.
class Resolver {
 public:
  using Addresses = absl::StatusOr<std::vector<TransportAddress>>;
  using Lookup = Addresses (*)(const std::string& host, uint16_t port);
  using Handler = absl::AnyInvocable<void(Addresses)>;

  // Questions at one time; the others wait for their turn.
  static constexpr size_t kLookupsMax = 8;

  // `loop` must outlive it. `lookup` runs on any thread: net::Resolve, or a
  // test's.
  explicit Resolver(Loop& loop, Lookup lookup = nullptr);
  // Handlers that have not been called are dropped. Waits for nothing: a
  // question that the system is asked ends by itself.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls `handler` once, on the loop and never from within this call, with
  // what net::Resolve returns; RESOURCE_EXHAUSTED if there is no thread to ask.
  void Resolve(std::string host, uint16_t port, Handler handler);

 private:
  struct Question;
  struct State;

  static void Start(const std::shared_ptr<State>& state);
  static void Answer(const std::shared_ptr<State>& state, Question question,
                     Addresses addresses);

  const std::shared_ptr<State> state_;
};

// Resolves for a thread that can wait, `patience` at most; net::Resolve waits
// as long as the system's resolver does. Errors of Resolver::Resolve;
// DEADLINE_EXCEEDED.
Resolver::Addresses ResolveWithin(const std::string& host, uint16_t port,
                                  absl::Duration patience,
                                  Resolver::Lookup lookup = nullptr);

}  // namespace kyuu::net

#endif  // KYUU_NET_RESOLVER_H_
