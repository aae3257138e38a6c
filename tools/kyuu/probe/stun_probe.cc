#include "tools/kyuu/probe/stun_probe.h"

#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "net/loop.h"
#include "stun/client.h"
#include "tools/kyuu/probe/server_link.h"

namespace kyuu::tools {
namespace {

// StunProbe asks for our address once.
class StunProbe {
 public:
  StunProbe(net::Loop& loop, Random& random)
      : loop_(loop),
        client_(random, {}),
        timer_(loop,
               [this] {
                 client_.HandleTimeout(net::Loop::Now());
                 Flush();
               }),
        deadline_(loop, [this] {
          End(absl::DeadlineExceededError("it does not answer"));
        }) {}

  absl::StatusOr<StunAnswer> Run(const ServerUrl& url,
                                 const TransportAddress& server,
                                 absl::Duration patience) {
    KYUU_ASSIGN_OR_RETURN(
        link_, ServerLink::Open(
                   loop_, url, server,
                   {.on_ready =
                        [this](const Path& path) {
                          const absl::Status status =
                              client_.Bind(net::Loop::Now(), path).status();
                          if (!status.ok()) End(status);
                        },
                    .on_datagram =
                        [this](const Datagram& datagram) {
                          client_.HandlePacket(net::Loop::Now(), datagram);
                        },
                    .on_refused = [this](const absl::Status& why) { End(why); },
                    .on_turn = [this] { Flush(); }}));
    deadline_.Set(net::Loop::Now() + patience);
    loop_.Run();
    return *std::move(result_);
  }

 private:
  void Flush() {
    while (const auto out =
               client_.PollTransmit(net::Loop::Now(), absl::MakeSpan(out_))) {
      link_->Send(*out);
    }
    while (const auto event = client_.PollEvent()) {
      if (const auto* mapped = std::get_if<stun::Client::Mapped>(&*event)) {
        End(StunAnswer{mapped->mapped, mapped->round_trip});
      } else if (const auto* failed =
                     std::get_if<stun::Client::Failed>(&*event)) {
        End(failed->status);
      }
    }
    timer_.Set(client_.NextTimeout());
  }

  void End(absl::StatusOr<StunAnswer> result) {
    if (!result_) result_ = std::move(result);
    loop_.Stop();
  }

  net::Loop& loop_;
  stun::Client client_;
  net::Alarm timer_;
  net::Alarm deadline_;
  std::array<uint8_t, 2048> out_;
  std::optional<absl::StatusOr<StunAnswer>> result_;
  std::unique_ptr<ServerLink> link_;
};

}  // namespace

absl::StatusOr<StunAnswer> AskStun(const ServerUrl& url,
                                   const TransportAddress& server,
                                   absl::Duration patience) {
  KYUU_ASSIGN_OR_RETURN(std::unique_ptr<net::Loop> loop, net::Loop::Create());
  SystemRandom random;
  StunProbe probe(*loop, random);
  return probe.Run(url, server, patience);
}

}  // namespace kyuu::tools
