#include "tools/kyuud/authorizer_exchange.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

namespace kyuu::tools {
namespace {

using nlohmann::json;
using Verdict = AuthorizerAnswer::Verdict;

// A name that is no UTF-8 cannot be written in JSON; its escapes are nobody's.
std::string Json(const AuthorizerQuestion& question) {
  return json{{"user", question.username},
              {"realm", question.realm},
              {"client", question.client.ToString()}}
      .dump(-1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace);
}

// HTTP/1.0, so that no answer comes in chunks.
std::string Request(const AuthorizerAddress& address, const std::string& body) {
  return absl::StrCat(
      "POST ", address.path, " HTTP/1.0\r\nHost: ", address.http.ToString(),
      "\r\nContent-Type: application/json\r\nContent-Length: ", body.size(),
      "\r\nConnection: close\r\n\r\n", body);
}

AuthorizerAnswer Failed(absl::string_view problem) {
  AuthorizerAnswer answer;
  answer.problem = std::string(problem);
  return answer;
}

// Of a password or key in `object`; false if it has none, or both.
bool ReadSecret(const json& object, AuthorizerAnswer& answer) {
  const auto password = object.find("password"), key = object.find("key");
  if ((password == object.end()) == (key == object.end())) return false;
  if (password != object.end()) {
    if (!password->is_string()) return false;
    answer.password = password->get<std::string>();
    return !answer.password.empty();
  }
  if (!key->is_string()) return false;
  const std::string text = key->get<std::string>();
  absl::string_view digits = text;
  absl::ConsumePrefix(&digits, "0x");
  if ((digits.size() != 32 && digits.size() != 64) ||
      !std::all_of(digits.begin(), digits.end(),
                   [](unsigned char c) { return absl::ascii_isxdigit(c); })) {
    return false;
  }
  answer.key = absl::HexStringToBytes(digits);
  return true;
}

}  // namespace

absl::StatusOr<AuthorizerAddress> AuthorizerAddress::Parse(
    absl::string_view text) {
  AuthorizerAddress address;
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "unix:") && !rest.empty()) {
    address.path = std::string(rest);
    return address;
  }
  if (absl::ConsumePrefix(&rest, "http://")) {
    const size_t slash = std::min(rest.find('/'), rest.size());
    const auto at = TransportAddress::Parse(rest.substr(0, slash));
    address.kind = Kind::kHttp;
    address.path = slash < rest.size() ? std::string(rest.substr(slash)) : "/";
    const bool clean = std::all_of(address.path.begin(), address.path.end(),
                                   [](char c) { return c > ' ' && c < 127; });
    if (at.ok() && at->port != 0 && clean) {
      address.http = *at;
      return address;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", text, "\" is neither unix:PATH nor http://ADDRESS:PORT/PATH"));
}

std::string AuthorizerAddress::ToString() const {
  return kind == Kind::kUnix ? absl::StrCat("unix:", path)
                             : absl::StrCat("http://", http.ToString(), path);
}

AuthorizerAnswer AuthorizerAnswer::Parse(absl::string_view text) {
  const json object = json::parse(text.begin(), text.end(), nullptr,
                                  /*allow_exceptions=*/false);
  if (!object.is_object()) return Failed("its answer is no object of JSON");
  const auto ok = object.find("ok");
  if (ok == object.end() || !ok->is_boolean()) {
    return Failed("its answer has no \"ok\" of true or false");
  }
  AuthorizerAnswer answer;
  if (const auto lifetime = object.find("lifetime"); lifetime != object.end()) {
    // A year, as settings have it.
    if (!lifetime->is_number() || !(lifetime->get<double>() >= 0) ||
        lifetime->get<double>() > 365.0 * 24 * 3600) {
      return Failed("\"lifetime\" is no number of seconds up to a year");
    }
    answer.lifetime = absl::Seconds(lifetime->get<double>());
  }
  if (const auto most = object.find("allocations"); most != object.end()) {
    if (!most->is_number_unsigned()) {
      return Failed("\"allocations\" is no whole number");
    }
    answer.allocations = most->get<size_t>();
  }
  if (!ok->get<bool>()) {
    answer.verdict = Verdict::kDenied;
    return answer;
  }
  if (!ReadSecret(object, answer)) {
    return Failed("its answer has neither a password nor a key, or both");
  }
  answer.verdict = Verdict::kGranted;
  return answer;
}

AuthorizerExchange::AuthorizerExchange(const AuthorizerAddress& address,
                                       const AuthorizerQuestion& question,
                                       absl::Time deadline)
    : kind_(address.kind),
      out_(kind_ == AuthorizerAddress::Kind::kUnix
               ? absl::StrCat(Json(question), "\n")
               : Request(address, Json(question))) {
  timers_.Set(Timer::kAnswer, deadline);
}

void AuthorizerExchange::HandlePacket(absl::Time, Packet in) {
  if (over_) return;
  if (kind_ == AuthorizerAddress::Kind::kHttp && !response_) {
    const absl::StatusOr<size_t> taken = parser_.Feed(in);
    if (!taken.ok()) return Fail(taken.status().message());
    in.remove_prefix(*taken);
    response_ = parser_.Take();
  }
  // What comes behind an answer does not make it longer.
  in = in.first(std::min(in.size(), kAnswerBytesMax + 1 - in_.size()));
  in_.append(in.begin(), in.end());
  Look(Ended::kNo);
  if (in_.size() > kAnswerBytesMax) Fail("its answer is too long");
}

void AuthorizerExchange::Look(Ended ended) {
  if (kind_ == AuthorizerAddress::Kind::kHttp) return LookAtHttp(ended);
  const size_t end = in_.find('\n');
  if (end == std::string::npos && ended == Ended::kNo) return;
  End(AuthorizerAnswer::Parse(absl::string_view(in_).substr(0, end)));
}

void AuthorizerExchange::LookAtHttp(Ended ended) {
  if (!response_) {
    if (ended == Ended::kYes) Fail("it has gone without an answer");
    return;
  }
  switch (response_->status) {
    case 200:
      break;
    case 401:
    case 403:
    case 404: {
      AuthorizerAnswer answer;
      answer.verdict = Verdict::kDenied;
      return End(std::move(answer));
    }
    default:
      return Fail(absl::StrCat("it answers ", response_->status));
  }
  const auto length = response_->headers.Find("Content-Length");
  size_t size = 0;
  if (length && !absl::SimpleAtoi(*length, &size)) {
    return Fail("its Content-Length is no number");
  }
  if (length && in_.size() < size) {
    if (ended == Ended::kYes) Fail("its answer is cut off");
    return;
  }
  if (!length && ended == Ended::kNo) return;
  if (length) in_.resize(size);
  End(AuthorizerAnswer::Parse(in_));
}

void AuthorizerExchange::HandleTimeout(absl::Time now) {
  if (timers_.PopDue(now).has_value()) Fail("it has not answered in time");
}

std::optional<AuthorizerExchange::Packet> AuthorizerExchange::PollTransmit(
    absl::Time, absl::Span<uint8_t> out) {
  const size_t size = std::min(out_.size() - sent_, out.size());
  if (size == 0 || over_) return std::nullopt;
  std::copy_n(out_.begin() + static_cast<std::ptrdiff_t>(sent_), size,
              out.begin());
  sent_ += size;
  return out.first(size);
}

std::optional<AuthorizerExchange::Event> AuthorizerExchange::PollEvent() {
  if (answered_) return *std::exchange(answered_, std::nullopt);
  if (closed_) return *std::exchange(closed_, std::nullopt);
  return std::nullopt;
}

void AuthorizerExchange::HandleStreamEnd(absl::Time, const absl::Status& why) {
  if (over_) return;
  if (!why.ok()) return Fail(why.message());
  Look(Ended::kYes);
}

void AuthorizerExchange::Fail(absl::string_view problem) {
  End(Failed(problem));
}

void AuthorizerExchange::End(AuthorizerAnswer answer) {
  if (std::exchange(over_, true)) return;
  timers_.StopAll();
  closed_ = Closed{answer.verdict == Verdict::kFailed
                       ? absl::UnavailableError(answer.problem)
                       : absl::OkStatus()};
  answered_ = Answered{std::move(answer)};
}

std::string AuthorizerExchange::DebugString() const {
  return absl::StrCat("tools::AuthorizerExchange ", in_.size(), " bytes came");
}

}  // namespace kyuu::tools
