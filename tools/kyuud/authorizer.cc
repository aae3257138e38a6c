#include "tools/kyuud/authorizer.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "net/stream_driver.h"
#include "net/tcp.h"
#include "net/unix_socket.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {

using Verdict = AuthorizerAnswer::Verdict;

struct Authorizer::Pending {
  Pending(AuthorizerQuestion q, const AuthorizerOptions& options)
      : question(std::move(q)),
        exchange(options.address, question,
                 net::Loop::Now() + options.timeout) {}

  const AuthorizerQuestion question;
  AuthorizerExchange exchange;
  std::optional<AuthorizerAnswer> answer;
  std::optional<net::StreamDriver<AuthorizerExchange>> driver;
};

Authorizer::Authorizer(net::Loop& loop, const AuthorizerOptions& options,
                       Handler handler)
    : loop_(loop), options_(options), handler_(std::move(handler)) {}

Authorizer::~Authorizer() = default;

absl::StatusOr<net::Stream> Authorizer::Connect() const {
  absl::StatusOr<net::TcpStream> stream =
      options_.address.kind == AuthorizerAddress::Kind::kUnix
          ? net::ConnectUnix(options_.address.path)
          : net::TcpStream::Connect(options_.address.http);
  if (!stream.ok()) return stream.status();
  return net::Stream(*std::move(stream));
}

void Authorizer::Ask(AuthorizerQuestion question) {
  const Who who{question.realm, question.username};
  if (pending_.contains(who)) return;
  if (pending_.size() >= options_.questions_max) {
    ++stats_.overload;
    return FinishSoon(std::move(question), "too much is asked at once");
  }
  ++stats_.questions;
  absl::StatusOr<net::Stream> stream = Connect();
  if (!stream.ok()) {
    ++stats_.failed;
    return FinishSoon(std::move(question),
                      std::string(stream.status().message()));
  }
  auto owned = std::make_unique<Pending>(std::move(question), options_);
  Pending& pending = *owned;
  pending_[who] = std::move(owned);
  pending.driver.emplace(
      loop_, *std::move(stream), pending.exchange, buffer_,
      [&pending](AuthorizerExchange::Event event) {
        if (auto* e = std::get_if<AuthorizerExchange::Answered>(&event)) {
          pending.answer = std::move(e->answer);
        }
      },
      [this, &pending, who](net::StreamEnd, const absl::Status& why) {
        AuthorizerAnswer answer;
        answer.problem = std::string(why.message());
        if (pending.answer) answer = *std::move(pending.answer);
        Count(answer);
        // `who` goes with the driver.
        Finish(Who(who), std::move(answer));
      });
  pending.driver->Flush();
}

void Authorizer::Count(const AuthorizerAnswer& answer) {
  switch (answer.verdict) {
    case Verdict::kGranted:
      ++stats_.granted;
      return;
    case Verdict::kDenied:
      ++stats_.denied;
      return;
    case Verdict::kFailed:
      ++stats_.failed;
      return;
  }
}

void Authorizer::Finish(const Who& who, AuthorizerAnswer answer) {
  const auto it = pending_.find(who);
  const AuthorizerQuestion question = it->second->question;
  pending_.erase(it);
  Tell(question, answer);
}

void Authorizer::FinishSoon(AuthorizerQuestion question, std::string problem) {
  AuthorizerAnswer answer;
  answer.problem = std::move(problem);
  loop_.Post([this, question = std::move(question), answer = std::move(answer),
              alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) Tell(question, answer);
  });
}

void Authorizer::Tell(const AuthorizerQuestion& question,
                      const AuthorizerAnswer& answer) {
  if (answer.verdict == Verdict::kFailed) {
    if (const auto others = failures_.Pass(net::Loop::Now())) {
      spdlog::warn(
          "auth: nothing is known of {} in realm {}: {} ({} others since the "
          "last)",
          absl::CHexEscape(question.username), absl::CHexEscape(question.realm),
          absl::CHexEscape(answer.problem), *others);
    }
  }
  handler_(question, answer);
}

}  // namespace kyuu::tools
