#include "tools/kyuu/server_commands.h"

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "net/connect.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "peer/server_url.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/server_link.h"
#include "tools/kyuu/stun_probe.h"
#include "turn/client.h"

namespace kyuu::tools {

using peer::ServerKind;
using peer::ServerUrl;
namespace {

constexpr absl::string_view kProbe = "kyuu turn: through the relay and back";

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

// " over tls"; the usual way is not named.
std::string Over(const ServerUrl& url) {
  return url.protocol == ice::RelayProtocol::kUdp
             ? ""
             : absl::StrCat(" over ", ice::ToString(url.protocol));
}
std::string Named(const TransportAddress& server, const ServerUrl& url) {
  return absl::StrCat(server.ToString(), Over(url));
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
              absl::StrCat("no address from ", Named(server, url), ": ",
                           answer.status().message()));
        }
        std::printf("%s sees this machine at %s", Named(server, url).c_str(),
                    answer->mapped.ToString().c_str());
        if (answer->round_trip) {
          std::printf(" (round trip %.1f ms)",
                      absl::ToDoubleMilliseconds(*answer->round_trip));
        }
        std::printf("\n");
        return absl::OkStatus();
      });
}

// TurnProbe makes two allocations that talk to each other.
class TurnProbe {
 public:
  TurnProbe(net::Loop& loop, Random& random, const TransportAddress& server,
            const ServerUrl& url, absl::Duration patience)
      : loop_(loop),
        random_(random),
        server_(server),
        url_(url),
        patience_(patience),
        deadline_(loop, [this] {
          End(absl::DeadlineExceededError(absl::StrCat(
              "nothing came back through ", Named(server_, url_))));
        }) {}

  absl::Status Run() {
    for (Side& side : sides_) KYUU_RETURN_IF_ERROR(Start(side));
    deadline_.Set(net::Loop::Now() + patience_);
    loop_.Run();
    return result_;
  }

 private:
  struct Side {
    std::unique_ptr<ServerLink> link;
    std::optional<turn::Client> client;  // Once the link is ready.
    std::unique_ptr<net::Alarm> alarm;
    bool permitted = false;
  };

  absl::Status Start(Side& side) {
    side.alarm = std::make_unique<net::Alarm>(loop_, [this, &side] {
      side.client->HandleTimeout(net::Loop::Now());
      Flush(side);
    });
    KYUU_ASSIGN_OR_RETURN(
        side.link,
        ServerLink::Open(
            loop_, url_, server_,
            {.on_ready = [this, &side](const Path& path) { Ask(side, path); },
             .on_datagram =
                 [this, &side](const Datagram& datagram) {
                   Receive(side, datagram);
                 },
             .on_refused =
                 [this, &side](const absl::Status& why) { Refused(side, why); },
             .on_turn =
                 [this, &side] {
                   if (side.client) Flush(side);
                 }}));
    return absl::OkStatus();
  }

  Side& Other(const Side& side) {
    return &side == &sides_[0] ? sides_[1] : sides_[0];
  }

  void Ask(Side& side, const Path& path) {
    side.client.emplace(random_,
                        turn::Client::Options{.local = path.local,
                                              .server = path.remote,
                                              .transport = path.transport,
                                              .username = url_.username,
                                              .password = url_.password});
    const absl::Status status = side.client->Allocate(net::Loop::Now());
    if (!status.ok()) End(status);
  }

  void Receive(Side& side, const Datagram& datagram) {
    if (const auto in = side.client->Unwrap(datagram)) {
      return Relayed(side, *in);
    }
    const TransportAddress before = side.client->server();
    side.client->HandlePacket(net::Loop::Now(), datagram);
    // It may have been sent on (ALTERNATE-SERVER).
    if (side.client->server() == before) return;
    const absl::Status turned = side.link->Redirect(side.client->server());
    if (!turned.ok()) End(turned);
  }

  void Refused(Side& side, const absl::Status& why) {
    if (!side.client) {
      End(absl::Status(why.code(),
                       absl::StrCat("no allocation at ", Named(server_, url_),
                                    ": ", why.message())));
    } else if (url_.protocol == ice::RelayProtocol::kUdp) {
      side.client->HandleRefusal(net::Loop::Now(), side.client->server(), why);
    } else {
      side.client->HandleStreamEnd(net::Loop::Now(), why);
    }
  }

  void Relayed(Side& side, const turn::Client::Received& in) {
    if (AsText(in.payload) != kProbe) return;
    if (&side == &sides_[1]) {
      Send(side);
      return;
    }
    std::printf("relayed and back in %.1f ms\n",
                absl::ToDoubleMilliseconds(net::Loop::Now() - sent_at_));
    End(absl::OkStatus());
  }

  void Send(Side& side) {
    const absl::StatusOr<Datagram> datagram =
        side.client->Wrap(net::Loop::Now(), Other(side).client->relayed(),
                          AsBytes(kProbe), absl::MakeSpan(out_));
    if (!datagram.ok()) return End(datagram.status());
    side.link->Send(*datagram);
  }

  void Flush(Side& side) {
    while (const auto out = side.client->PollTransmit(net::Loop::Now(),
                                                      absl::MakeSpan(out_))) {
      side.link->Send(*out);
    }
    while (const auto event = side.client->PollEvent()) React(side, *event);
    while (const auto out = side.client->PollTransmit(net::Loop::Now(),
                                                      absl::MakeSpan(out_))) {
      side.link->Send(*out);
    }
    side.alarm->Set(side.client->NextTimeout());
  }

  void React(Side& side, const turn::Client::Event& event) {
    if (const auto* got = std::get_if<turn::Client::Allocated>(&event)) {
      std::printf("allocated %s%s for %s; seen at %s\n",
                  got->relayed.ToString().c_str(), Over(url_).c_str(),
                  absl::FormatDuration(got->lifetime).c_str(),
                  got->mapped.ToString().c_str());
      if (!Other(side).client || !Other(side).client->allocated()) return;
      for (Side& each : sides_) {
        const absl::Status status = each.client->Permit(
            net::Loop::Now(), Other(each).client->relayed());
        if (!status.ok()) return End(status);
      }
      Flush(Other(side));
    } else if (std::holds_alternative<turn::Client::PermissionGranted>(event)) {
      side.permitted = true;
      if (!Other(side).permitted) return;
      sent_at_ = net::Loop::Now();
      Send(sides_[0]);
    } else if (const auto* no =
                   std::get_if<turn::Client::PermissionFailed>(&event)) {
      End(absl::PermissionDeniedError(absl::StrCat(
          "the server does not relay to itself: ", no->status.message())));
    } else if (const auto* closed = std::get_if<turn::Client::Closed>(&event)) {
      End(absl::Status(
          closed->status.code(),
          absl::StrCat(
              "no allocation at ", Named(server_, url_), ": ",
              closed->status.message(), closed->alternate ? "; it names " : "",
              closed->alternate ? closed->alternate->ToString() : "")));
    }
  }

  // Gives the allocations back and leaves the loop.
  void End(absl::Status status) {
    if (ended_) return;
    ended_ = true;
    result_ = std::move(status);
    for (Side& side : sides_) {
      if (!side.client || !side.client->allocated()) continue;
      side.client->Close(net::Loop::Now());
      if (const auto out = side.client->PollTransmit(net::Loop::Now(),
                                                     absl::MakeSpan(out_))) {
        side.link->Send(*out);
      }
    }
    loop_.Stop();
  }

  net::Loop& loop_;
  Random& random_;
  const TransportAddress server_;
  const ServerUrl& url_;
  const absl::Duration patience_;
  net::Alarm deadline_;
  std::array<uint8_t, 2048> out_;
  absl::Time sent_at_;
  absl::Status result_;
  bool ended_ = false;
  // Last: watches and alarms go before what they use.
  std::array<Side, 2> sides_;
};

absl::Status Turn(const std::string& text) {
  KYUU_ASSIGN_OR_RETURN(const ServerUrl url,
                        ServerUrl::Parse(text, ServerKind::kTurn));
  if (url.username.empty()) {
    return absl::InvalidArgumentError(
        "a TURN server needs USER:PASSWORD@HOST:PORT");
  }
  return TryEach(url,
                 [&](const TransportAddress& server,
                     absl::Duration patience) -> absl::Status {
                   KYUU_ASSIGN_OR_RETURN(std::unique_ptr<net::Loop> loop,
                                         net::Loop::Create());
                   SystemRandom random;
                   TurnProbe probe(*loop, random, server, url, patience);
                   return probe.Run();
                 });
}

}  // namespace

int RunStun(const std::string& url) { return Report(Stun(url)); }
int RunTurn(const std::string& url) { return Report(Turn(url)); }

}  // namespace kyuu::tools
