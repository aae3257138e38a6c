// Authorizer: asks the operator's own program about users whom the relay does
// not know.

#ifndef KYUU_TOOLS_KYUUD_AUTHORIZER_H_
#define KYUU_TOOLS_KYUUD_AUTHORIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/counters.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/stream_options.h"
#include "tools/kyuud/authorizer_exchange.h"
#include "tools/kyuud/log.h"

namespace kyuu::tools {

struct AuthorizerOptions {
  AuthorizerAddress address;
  absl::Duration timeout = absl::Seconds(3);
  // Names asked about at one time, each by a connection; beyond, nothing is
  // known.
  size_t questions_max = 64;
};

struct AuthorizerStats {
  uint64_t questions = 0;
  uint64_t granted = 0;
  uint64_t denied = 0;
  uint64_t failed = 0;    // Not answered, late, or not understood.
  uint64_t overload = 0;  // Not asked: beyond questions_max.

  static constexpr Counter<AuthorizerStats> kCounters[] = {
      KYUU_COUNTER(AuthorizerStats, questions),
      KYUU_COUNTER(AuthorizerStats, granted),
      KYUU_COUNTER(AuthorizerStats, denied),
      KYUU_COUNTER(AuthorizerStats, failed),
      KYUU_COUNTER(AuthorizerStats, overload)};
};
static_assert(Countable<AuthorizerStats>);

// Authorizer lives on one loop. Each question is answered once, whatever
// becomes of it; a name of a realm that is asked about already is not asked
// about again.
class Authorizer {
 public:
  // Called on the loop, never before Ask() returns.
  using Handler = absl::AnyInvocable<void(const AuthorizerQuestion& question,
                                          const AuthorizerAnswer& answer)>;

  Authorizer(net::Loop& loop, const AuthorizerOptions& options,
             Handler handler);
  ~Authorizer();
  Authorizer(const Authorizer&) = delete;
  Authorizer& operator=(const Authorizer&) = delete;

  void Ask(AuthorizerQuestion question);
  // For questions from now on.
  void SetOptions(const AuthorizerOptions& options) { options_ = options; }

  size_t questions() const { return pending_.size(); }
  const AuthorizerStats& stats() const { return stats_; }

 private:
  struct Pending;
  using Who = std::pair<std::string, std::string>;  // Realm and name.

  absl::StatusOr<net::Stream> Connect() const;
  void Count(const AuthorizerAnswer& answer);
  // Answers, and forgets the question.
  void Finish(const Who& who, AuthorizerAnswer answer);
  void FinishSoon(AuthorizerQuestion question, std::string problem);
  void Tell(const AuthorizerQuestion& question, const AuthorizerAnswer& answer);

  net::Loop& loop_;
  AuthorizerOptions options_;
  Handler handler_;
  net::StreamBuffer buffer_;
  absl::flat_hash_map<Who, std::unique_ptr<Pending>> pending_;
  LogLimiter failures_{1, absl::Seconds(1)};
  AuthorizerStats stats_;
  // Expires with it, for what was posted.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_AUTHORIZER_H_
