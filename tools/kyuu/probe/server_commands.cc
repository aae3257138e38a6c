#include "tools/kyuu/probe/server_commands.h"

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/status_macros.h"
#include "net/connect.h"
#include "net/resolve.h"
#include "peer/server_url.h"
#include "stun/protocol.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/probe/stun_probe.h"
#include "tools/kyuu/turn_probe/turn_probe.h"

namespace kyuu::tools {

using peer::ServerKind;
using peer::ServerUrl;
using Families = turn::ClientOptions::Families;
namespace {

int Report(const absl::Status& status) {
  if (status.ok()) return 0;
  std::fprintf(stderr, "kyuu: %s\n", PrintableLine(status.message()).c_str());
  return 1;
}

// How long a server may take for all of its answers, and how long one address
// of several is waited for before the next is tried.
constexpr absl::Duration kAnswerTime = absl::Seconds(40);
constexpr absl::Duration kNextAddressTime = absl::Seconds(3);

// Tries every address of the server's name, the families in turn, until one
// works: one without a route costs nothing, one that is silent its time.
absl::Status TryEach(
    const ServerUrl& url,
    absl::FunctionRef<absl::Status(const TransportAddress&, absl::Duration)>
        attempt) {
  KYUU_ASSIGN_OR_RETURN(const std::vector<TransportAddress> addresses,
                        net::Resolve(url.host, url.port));
  std::vector<std::string> failures;
  const std::vector<TransportAddress> order = net::Interleave(addresses);
  for (const TransportAddress& address : order) {
    const bool last = &address == &order.back();
    const absl::Status status =
        attempt(address, last ? kAnswerTime : kNextAddressTime);
    if (status.ok()) return status;
    if (addresses.size() == 1) return status;
    failures.emplace_back(status.message());
  }
  return absl::UnavailableError(absl::StrJoin(failures, "; "));
}

absl::Status Stun(const std::string& text) {
  KYUU_ASSIGN_OR_RETURN(const ServerUrl url,
                        ServerUrl::Parse(text, ServerKind::kStun));
  return TryEach(
      url,
      [&](const TransportAddress& server,
          absl::Duration patience) -> absl::Status {
        const absl::StatusOr<StunAnswer> answer =
            AskStun(url, server, patience);
        if (!answer.ok()) {
          return absl::Status(
              answer.status().code(),
              absl::StrCat("no address from ", NameOf(server, url), ": ",
                           answer.status().message()));
        }
        std::printf("%s sees this machine at %s", NameOf(server, url).c_str(),
                    answer->mapped.ToString().c_str());
        if (answer->round_trip) {
          std::printf(" (round trip %.1f ms)",
                      absl::ToDoubleMilliseconds(*answer->round_trip));
        }
        std::printf("\n");
        return absl::OkStatus();
      });
}

// Why the server wants a token, and whose.
void TellToken(const turn::ClientTokenWanted& wanted) {
  using Why = turn::ClientTokenWanted::Why;
  std::printf("the server %s a token of %s (realm %s)\n",
              wanted.why == Why::kMissing   ? "asks for"
              : wanted.why == Why::kRunsOut ? "will soon ask for another"
                                            : "refuses",
              PrintableLine(wanted.authorization_server).c_str(),
              PrintableLine(wanted.realm).c_str());
}

std::string WhenText(TurnLoop::When when, const TurnCommand& command) {
  switch (when) {
    case TurnLoop::When::kMoved:
      return "moved; ";
    case TurnLoop::When::kHeld:
      return absl::StrCat("held for ", command.hold_seconds, " s; ");
    case TurnLoop::When::kAtFirst:
      break;
  }
  return command.ways == TurnQuestion::Ways::kTcp
             ? "connected, and accepted a connection; "
             : "";
}

absl::string_view FamilyText(IpFamily family) {
  return family == IpFamily::kV6 ? "IPv6" : "IPv4";
}

void Tell(const TurnAnswer& answer, const TurnCommand& command) {
  for (const TurnLoop& loop : answer.loops) {
    const std::string family =
        command.families == Families::kBoth
            ? absl::StrCat(" by ", FamilyText(loop.family))
            : "";
    std::printf("%srelayed and back%s in %.1f ms\n",
                WhenText(loop.when, command).c_str(), family.c_str(),
                absl::ToDoubleMilliseconds(loop.round_trip));
  }
}

// What there is instead of a second address, if one was asked for.
std::string Missing(const turn::ClientAllocated& got) {
  if (!got.refused) return "the server gives one family only";
  return absl::StrCat("no ", FamilyText(got.refused->family), ": ",
                      static_cast<int>(got.refused->error), " ",
                      stun::ReasonPhrase(got.refused->error));
}

absl::Status Turn(const TurnCommand& command) {
  KYUU_ASSIGN_OR_RETURN(const ServerUrl url,
                        ServerUrl::Parse(command.url, ServerKind::kTurn));
  if (url.username.empty() && command.token_file.empty()) {
    return absl::InvalidArgumentError(
        "a TURN server needs USER:PASSWORD@HOST:PORT, or a token");
  }
  return TryEach(
      url,
      [&](const TransportAddress& server,
          absl::Duration patience) -> absl::Status {
        TurnQuestion question{.patience = patience,
                              .ways = command.ways,
                              .moves = command.moves,
                              .ports = command.ports,
                              .families = command.families,
                              .fragments = command.fragments,
                              .hold = absl::Seconds(command.hold_seconds),
                              .token_file = command.token_file};
        question.on_token = TellToken;
        std::string missing;
        question.on_allocated = [&](const turn::ClientAllocated& got) {
          const std::string additional =
              got.additional ? absl::StrCat(" and ", got.additional->ToString())
                             : "";
          std::printf("allocated %s%s%s for %s; seen at %s\n",
                      got.relayed.ToString().c_str(), additional.c_str(),
                      OverText(url).c_str(),
                      absl::FormatDuration(got.lifetime).c_str(),
                      got.mapped.ToString().c_str());
          if (command.families == Families::kBoth && !got.additional) {
            missing = Missing(got);
          }
        };
        KYUU_ASSIGN_OR_RETURN(const TurnAnswer answer,
                              AskTurn(url, server, std::move(question)));
        Tell(answer, command);
        if (missing.empty()) return absl::OkStatus();
        return absl::FailedPreconditionError(
            absl::StrCat(NameOf(server, url), ": ", missing));
      });
}

}  // namespace

int RunStun(const std::string& url) { return Report(Stun(url)); }
int RunTurn(const TurnCommand& command) { return Report(Turn(command)); }

}  // namespace kyuu::tools
