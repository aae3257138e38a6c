#include "tools/kyuud/backplane/rights.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "hiredis/hiredis.h"

namespace kyuu::tools {
namespace {

// Nodes draw other numbers.
constexpr absl::string_view kNobody = "0000000000000000";

}  // namespace

bool IsRefusal(const redisReply& reply) {
  // Redis 6 and 7 begin with NOPERM where a client says the command itself, and
  // have words of their own for one in a script.
  const absl::string_view text = TextOf(reply);
  return reply.type == REDIS_REPLY_ERROR &&
         (absl::StartsWith(text, "NOPERM") ||
          absl::StrContains(text, "can't run this command") ||
          absl::StrContains(text, "ACL failure"));
}

RedisRights::RedisRights(const BackplaneAddress& address) : address_(address) {}

std::vector<std::vector<std::string>> RedisRights::Probes() const {
  const std::string key = absl::StrCat(address_.prefix, ":alive:", kNobody);
  return {
      {"GET", key},
      {"EXISTS", key},
      {"DEL", key},
      {"SET", key, "1", "PX", "1", "XX"},  // Only if it is there.
      {"TIME"},
      {"EVAL", "return 1", "0"},
      {"PUBLISH", ProbeChannel(), ""},
  };
}

std::string RedisRights::ProbeChannel() const {
  return absl::StrCat(address_.prefix, ":node:", kNobody);
}

bool RedisRights::NoteRefusal(absl::string_view command,
                              const redisReply& reply) {
  if (!IsRefusal(reply)) return false;
  const absl::string_view text = TextOf(reply);
  std::string right;
  // "to run the 'get' command", "to access a key", "one of the keys used".
  const bool is_access = absl::StrContains(text, " to access ");
  if (is_access && absl::StrContains(text, " channel")) {
    right = absl::StrCat("&", address_.prefix, ":*");
  } else if (is_access && absl::StrContains(text, " key")) {
    right = absl::StrCat("~", address_.prefix, ":*");
  } else {
    right = absl::StrCat("+", absl::AsciiStrToLower(command));
  }
  for (const absl::string_view noted : absl::StrSplit(missing_, ' ')) {
    if (noted == right) return true;
  }
  absl::StrAppend(&missing_, missing_.empty() ? "" : " ", right);
  return true;
}

std::string RedisRights::Mend() const {
  return absl::StrCat("ACL SETUSER ",
                      address_.user.empty() ? "default" : address_.user, " ",
                      missing_);
}

}  // namespace kyuu::tools
