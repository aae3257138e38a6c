// What `kyuu doctor` says of server-sent events and posts, which stand for the
// WebSocket where a network lets none through.

#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/kyuu/doctor/proxy_lines.h"
#include "tools/kyuu/doctor/verdicts.h"

namespace kyuu::tools {
namespace {

constexpr char kName[] = "without-websockets";

std::string LinesFor(const ServerFacts& facts) {
  const auto& answer = facts.events.ok() ? facts.events : facts.health;
  return ProxyFix(answer.ok() ? ProxyOf(*answer) : std::nullopt,
                  {.site = facts.site, .backend = facts.backend});
}

// Who comes by WebSocket does not need it.
Finding Fault(const ServerFacts& facts, absl::string_view what,
              std::string fix) {
  const bool needed = !facts.session.welcomed.ok();
  return {needed ? Verdict::kFail : Verdict::kWarn, kName,
          absl::StrCat(what,
                       needed ? ""
                              : "; only clients that no WebSocket gets through "
                                "from miss it"),
          std::move(fix)};
}

Finding HeldBack(const ServerFacts& facts) {
  return Fault(
      facts,
      "a proxy holds server-sent events back until it has more of them: it "
      "buffers answers",
      absl::StrCat("proxy_buffering off;   # nginx, in the location of kyuud; "
                   "and no proxy_ignore_headers X-Accel-Buffering\n"
                   "flush_interval -1      # Caddy, in reverse_proxy\n",
                   LinesFor(facts)));
}

// The answer to who asks for events, if it is not one.
std::string NoEvents(const ServerFacts& facts) {
  const auto& answer = *facts.events;
  const absl::string_view type =
      answer.headers.Find("Content-Type").value_or("");
  if (answer.status != 200) {
    return absl::StrCat("/v1/events answers ", answer.status, " ",
                        answer.reason);
  }
  if (!absl::StartsWithIgnoreCase(type, "text/event-stream")) {
    return absl::StrCat("/v1/events answers with ",
                        type.empty() ? "something" : type,
                        " instead of events: a proxy serves a page of its own "
                        "there");
  }
  return "";
}

}  // namespace

Finding JudgeEvents(const ServerFacts& facts) {
  const absl::Status& status = facts.events.status();
  if (!WasAsked(status)) {
    return {Verdict::kNotSeen, kName, "not asked, as nothing answers there"};
  }
  if (!status.ok()) {
    if (absl::IsDeadlineExceeded(status) && facts.health.ok()) {
      return HeldBack(facts);
    }
    return Fault(facts,
                 absl::StrCat("no answer at /v1/events: ", status.message()),
                 LinesFor(facts));
  }
  if (std::string what = NoEvents(facts); !what.empty()) {
    return Fault(facts, what, LinesFor(facts));
  }
  const std::string& body = facts.events->body;
  if (!absl::StartsWith(body, kEventsBegin)) {
    if (absl::StartsWith(kEventsBegin, body)) return HeldBack(facts);
    return Fault(facts,
                 "server-sent events come changed: something on the "
                 "way rewrites them",
                 LinesFor(facts));
  }
  const SessionFacts& session = facts.event_session;
  if (absl::IsUnauthenticated(session.welcomed)) {
    return {
        Verdict::kNotSeen, kName,
        "events come; whether posts get through takes a token",
        absl::StrCat("kyuu doctor --token-file FILE ", facts.site.ToString())};
  }
  const absl::Status& failed =
      session.welcomed.ok() ? session.echoed : session.welcomed;
  if (!failed.ok()) {
    return Fault(facts,
                 absl::StrCat("events come, but what is posted to /v1/messages "
                              "does not get through: ",
                              failed.message()),
                 LinesFor(facts));
  }
  return {Verdict::kPass, kName,
          absl::StrCat("server-sent events and posts do as well",
                       facts.session.welcomed.ok()
                           ? ""
                           : ": the page and kyuu go on by them")};
}

}  // namespace kyuu::tools
