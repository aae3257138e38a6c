// AuthorizerExchange: a question about one user to the operator's own program,
// and its answer (docs/operating.md, "An authorizer").

#ifndef KYUU_TOOLS_KYUUD_AUTHORIZER_EXCHANGE_H_
#define KYUU_TOOLS_KYUUD_AUTHORIZER_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/timer.h"
#include "signaling/http.h"

namespace kyuu::tools {

// Where an authorizer is: "unix:/run/auth.sock", or
// "http://127.0.0.1:8080/turn" with an address, since a name would have to be
// looked up first.
struct AuthorizerAddress {
  enum class Kind : uint8_t { kUnix, kHttp };
  Kind kind = Kind::kUnix;
  std::string path;  // Of the socket, or of the URL.
  TransportAddress http;

  // INVALID_ARGUMENT if it is of neither form.
  static absl::StatusOr<AuthorizerAddress> Parse(absl::string_view text);
  std::string ToString() const;

  friend bool operator==(const AuthorizerAddress&,
                         const AuthorizerAddress&) = default;
};

struct AuthorizerQuestion {
  std::string username;  // UTF-8 or not: as it came.
  std::string realm;
  TransportAddress client;
};

struct AuthorizerAnswer {
  enum class Verdict : uint8_t {
    kGranted,
    kDenied,  // Nobody has that name, or he may not.
    kFailed,  // Nothing is known.
  };
  Verdict verdict = Verdict::kFailed;
  // With kGranted one of them; a key is what turn::ServerOptions::User has.
  std::string password;
  std::string key;
  // How long it may be relied on, if it says so.
  std::optional<absl::Duration> lifetime;
  // How many allocations he may have at one time, if it says so.
  std::optional<size_t> allocations;
  // With kFailed, for people.
  std::string problem;

  // What an object of JSON means.
  static AuthorizerAnswer Parse(absl::string_view json);
};

// AuthorizerExchange is an engine over the bytes of one connection, which is
// closed behind it.
class AuthorizerExchange {
 public:
  using Packet = absl::Span<const uint8_t>;
  // Once.
  struct Answered {
    AuthorizerAnswer answer;
  };
  // The end, always the last event, behind Answered.
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Answered, Closed>;

  // An answer has some hundred bytes.
  static constexpr size_t kAnswerBytesMax = 16 * 1024;

  AuthorizerExchange(const AuthorizerAddress& address,
                     const AuthorizerQuestion& question, absl::Time deadline);

  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }

  void HandleStreamEnd(absl::Time now, const absl::Status& why);
  // As net::StreamEngine has it.
  bool finished() const { return over_; }
  bool abandoned() const { return over_; }
  size_t held_bytes() const { return in_.size() + out_.size(); }
  std::string DebugString() const;

 private:
  enum class Timer { kAnswer, kCount };

  void End(AuthorizerAnswer answer);
  void Fail(absl::string_view problem);
  // What has come may be the whole answer; for sure at the stream's end.
  enum class Ended : uint8_t { kNo, kYes };
  void Look(Ended ended);
  void LookAtHttp(Ended ended);

  const AuthorizerAddress::Kind kind_;
  TimerTable<Timer> timers_;
  std::string out_;
  size_t sent_ = 0;
  signaling::HttpResponseParser parser_;
  std::optional<signaling::HttpResponse> response_;
  std::string in_;  // A line, or the body.
  bool over_ = false;
  std::optional<Answered> answered_;  // Not told yet,
  std::optional<Closed> closed_;      // nor this.
};
static_assert(Engine<AuthorizerExchange>);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_AUTHORIZER_EXCHANGE_H_
