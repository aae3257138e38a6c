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
#include "net/drive.h"
#include "net/interfaces.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "net/udp_socket.h"
#include "stun/client.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/server_url.h"
#include "turn/client.h"

namespace kyuu::tools {
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

// A socket that can reach `server`, bound to the address that the kernel
// would send from. It is connected, so that a closed port is told at once.
absl::StatusOr<net::UdpSocket> OpenTowards(const TransportAddress& server) {
  KYUU_ASSIGN_OR_RETURN(const IpAddress source, net::SourceAddress(server));
  KYUU_ASSIGN_OR_RETURN(net::UdpSocket socket,
                        net::UdpSocket::Open({.bind = {source, 0}}));
  KYUU_RETURN_IF_ERROR(socket.Connect(server));
  return socket;
}

absl::Status StunAt(const TransportAddress& server, absl::Duration patience) {
  KYUU_ASSIGN_OR_RETURN(std::unique_ptr<net::Loop> loop, net::Loop::Create());
  KYUU_ASSIGN_OR_RETURN(net::UdpSocket socket, OpenTowards(server));
  SystemRandom random;
  stun::Client client(random, {});
  absl::Status result;
  net::ReceiveBuffer buffer;
  net::Driver driver(*loop, client, buffer, [&](stun::Client::Event event) {
    if (const auto* mapped = std::get_if<stun::Client::Mapped>(&event)) {
      std::printf("%s sees this machine at %s", server.ToString().c_str(),
                  mapped->mapped.ToString().c_str());
      if (mapped->round_trip) {
        std::printf(" (round trip %.1f ms)",
                    absl::ToDoubleMilliseconds(*mapped->round_trip));
      }
      std::printf("\n");
    } else if (const auto* failed = std::get_if<stun::Client::Failed>(&event)) {
      result = absl::Status(failed->status.code(),
                            absl::StrCat("no address from ", server.ToString(),
                                         ": ", failed->status.message()));
    }
    loop->Stop();
  });
  driver.AddSocket(socket);
  net::Alarm deadline(*loop, [&] {
    result = absl::DeadlineExceededError(absl::StrCat(
        "no address from ", server.ToString(), ": it does not answer"));
    loop->Stop();
  });
  deadline.Set(net::Loop::Now() + patience);
  KYUU_RETURN_IF_ERROR(
      client.Bind(net::Loop::Now(), {.local = socket.local(), .remote = server})
          .status());
  driver.Flush();
  loop->Run();
  return result;
}

absl::Status Stun(const std::string& text) {
  KYUU_ASSIGN_OR_RETURN(const ServerUrl url,
                        ServerUrl::Parse(text, ServerKind::kStun));
  return TryEach(url, StunAt);
}

// TurnProbe is an Engine's driver for two allocations: the generic Driver
// cannot serve, since relayed datagrams go through Unwrap and Wrap.
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
          End(absl::DeadlineExceededError(
              absl::StrCat("nothing came back through ", server_.ToString())));
        }) {}

  absl::Status Run() {
    for (Side& side : sides_) KYUU_RETURN_IF_ERROR(Start(side));
    deadline_.Set(net::Loop::Now() + patience_);
    loop_.Run();
    return result_;
  }

 private:
  struct Side {
    std::optional<net::UdpSocket> socket;
    std::optional<turn::Client> client;
    std::unique_ptr<net::Watch> watch;
    std::unique_ptr<net::Alarm> alarm;
    bool permitted = false;
  };

  absl::Status Start(Side& side) {
    KYUU_ASSIGN_OR_RETURN(net::UdpSocket socket, OpenTowards(server_));
    side.socket.emplace(std::move(socket));
    side.client.emplace(random_,
                        turn::Client::Options{.local = side.socket->local(),
                                              .server = server_,
                                              .username = url_.username,
                                              .password = url_.password});
    side.watch = std::make_unique<net::Watch>(
        loop_, side.socket->fd(), net::Interest::kRead,
        [this, &side](net::Readiness) { Receive(side); });
    side.alarm = std::make_unique<net::Alarm>(loop_, [this, &side] {
      side.client->HandleTimeout(net::Loop::Now());
      Flush(side);
    });
    KYUU_RETURN_IF_ERROR(side.client->Allocate(net::Loop::Now()));
    Flush(side);
    return absl::OkStatus();
  }

  Side& Other(const Side& side) {
    return &side == &sides_[0] ? sides_[1] : sides_[0];
  }

  void Receive(Side& side) {
    while (true) {
      const absl::Span<const net::Train> trains = side.socket->Receive(buffer_);
      if (trains.empty()) break;
      for (const net::Train& train : trains) {
        for (size_t i = 0; i < train.segments(); ++i) {
          const Datagram datagram{train.path, train.segment(i)};
          if (const auto in = side.client->Unwrap(datagram)) {
            Relayed(side, *in);
          } else {
            side.client->HandlePacket(net::Loop::Now(), datagram);
          }
        }
      }
    }
    const absl::Status refused = side.socket->TakeRefusal();
    if (!refused.ok()) {
      side.client->HandleRefusal(net::Loop::Now(), side.socket->remote(),
                                 refused);
    }
    // It may have been sent on (ALTERNATE-SERVER).
    if (side.client->server() != side.socket->remote()) {
      const absl::Status turned = side.socket->Connect(side.client->server());
      if (!turned.ok()) return End(turned);
    }
    Flush(side);
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
    side.socket->SendOne(datagram->path, datagram->bytes);
  }

  void Flush(Side& side) {
    while (const auto out = side.client->PollTransmit(net::Loop::Now(),
                                                      absl::MakeSpan(out_))) {
      side.socket->SendOne(out->path, out->bytes);
    }
    while (const auto event = side.client->PollEvent()) React(side, *event);
    while (const auto out = side.client->PollTransmit(net::Loop::Now(),
                                                      absl::MakeSpan(out_))) {
      side.socket->SendOne(out->path, out->bytes);
    }
    side.alarm->Set(side.client->NextTimeout());
  }

  void React(Side& side, const turn::Client::Event& event) {
    if (const auto* got = std::get_if<turn::Client::Allocated>(&event)) {
      std::printf("allocated %s for %s; seen at %s\n",
                  got->relayed.ToString().c_str(),
                  absl::FormatDuration(got->lifetime).c_str(),
                  got->mapped.ToString().c_str());
      if (!Other(side).client->allocated()) return;
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
      End(absl::Status(closed->status.code(),
                       absl::StrCat("no allocation at ", server_.ToString(),
                                    ": ", closed->status.message())));
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
        side.socket->SendOne(out->path, out->bytes);
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
  net::ReceiveBuffer buffer_;
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
