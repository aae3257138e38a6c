#include "signaling/events/posts.h"

#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/bytes.h"
#include "base/check.h"
#include "signaling/internal/secret.h"
#include "signaling/internal/utf8.h"

namespace kyuu::signaling {
namespace {

constexpr size_t kHalfOfName = 32;  // Hexadecimal digits.

// The only field of that name; nullopt if there is none or more than one.
std::optional<absl::string_view> Only(const HttpRequest& request,
                                      absl::string_view name) {
  if (request.headers.Count(name) != 1) return std::nullopt;
  return request.headers.Find(name);
}

// A number of digits alone, which SimpleAtoi takes more than.
bool ParseDigits(absl::string_view text, uint64_t& number) {
  return !text.empty() &&
         text.find_first_not_of("0123456789") == absl::string_view::npos &&
         absl::SimpleAtoi(text, &number);
}

// The messages of a body, a line each; the last one may end its line.
std::variant<std::vector<std::string>, PostRefused> MessagesOf(
    absl::string_view body) {
  if (!internal::IsUtf8(body))
    return PostRefused{400, "The body is not UTF-8."};
  std::vector<std::string> messages;
  absl::ConsumeSuffix(&body, "\n");
  if (body.empty()) return messages;
  for (absl::string_view line : absl::StrSplit(body, '\n')) {
    absl::ConsumeSuffix(&line, "\r");
    if (line.empty()) return PostRefused{400, "A line without a message."};
    if (messages.size() == kMaxMessagesPerPost) {
      return PostRefused{
          413, absl::StrCat("More than ", kMaxMessagesPerPost, " messages.")};
    }
    messages.emplace_back(line);
  }
  return messages;
}

}  // namespace

std::string Posts::Open(ConnectionId connection) {
  std::array<uint8_t, kHalfOfName> bytes;
  random_.Fill(absl::MakeSpan(bytes));
  std::string name = absl::BytesToHexString(AsText(bytes));
  std::string id = name.substr(0, kHalfOfName);
  KYUU_CHECK(names_.emplace(connection, id).second);
  streams_[std::move(id)] = {connection, name.substr(kHalfOfName)};
  return name;
}

void Posts::Close(ConnectionId connection) {
  const auto it = names_.find(connection);
  if (it == names_.end()) return;
  streams_.erase(it->second);
  names_.erase(it);
  lingering_.Stop(connection);
}

void Posts::Linger(absl::Time now, ConnectionId connection) {
  if (names_.contains(connection) && !lingering_.IsSet(connection)) {
    lingering_.Set(connection, now + kPostLinger);
  }
}

std::optional<ConnectionId> Posts::PopGone(absl::Time now) {
  const std::optional<ConnectionId> gone = lingering_.PopDue(now);
  if (gone.has_value()) Close(*gone);
  return gone;
}

Posts::Stream* Posts::Find(absl::string_view name) {
  const auto it = streams_.find(name.substr(0, kHalfOfName));
  if (it == streams_.end() || name.size() < kHalfOfName ||
      !internal::IsSameSecret(name.substr(kHalfOfName), it->second.proof)) {
    return nullptr;
  }
  return &it->second;
}

std::variant<Posted, PostRefused> Posts::Take(const HttpRequest& request) {
  const auto name = Only(request, kStreamHeader);
  if (!name.has_value()) {
    return PostRefused{
        400, absl::StrCat("One ", kStreamHeader, " has to be there: the data ",
                          "of the event \"stream\".")};
  }
  Stream* stream = Find(*name);
  if (stream == nullptr) {
    return PostRefused{404,
                       absl::StrCat("No event stream has this ", kStreamHeader,
                                    ": it is over, or another server's.")};
  }
  uint64_t number = 0;
  if (!ParseDigits(Only(request, kPostHeader).value_or(""), number) ||
      number == 0) {
    return PostRefused{400, absl::StrCat("One ", kPostHeader,
                                         " has to be there: 1, 2, 3, ...")};
  }
  Posted posted{stream->connection, {}, std::nullopt};
  if (number <= stream->taken) return posted;
  if (number != stream->taken + 1) {
    return PostRefused{409, absl::StrCat(kPostHeader, " ", stream->taken + 1,
                                         " comes before ", number, ".")};
  }
  if (request.headers.Count(kCloseHeader) > 0) {
    uint64_t code = 0;
    // RFC 6455 section 7.4.2.
    if (!ParseDigits(Only(request, kCloseHeader).value_or(""), code) ||
        code < 1000 || code > 4999) {
      return PostRefused{
          400, absl::StrCat("A ", kCloseHeader, " is one of 1000 to 4999.")};
    }
    posted.close = static_cast<uint16_t>(code);
  }
  // Its body has not come with it (HttpRequestParser::Take).
  if (request.headers.Count("Expect") > 0) {
    return PostRefused{417, "Nothing is expected here: send the body at once."};
  }
  auto messages = MessagesOf(request.body);
  if (auto* refused = std::get_if<PostRefused>(&messages)) {
    return std::move(*refused);
  }
  posted.messages = std::get<std::vector<std::string>>(std::move(messages));
  stream->taken = number;
  return posted;
}

}  // namespace kyuu::signaling
