#include "tools/kyuu/turn_probe/tcp_probe.h"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "ice/candidate.h"
#include "net/loop.h"
#include "tools/kyuu/probe/server_link.h"
#include "tools/kyuu/turn_probe/data_link.h"
#include "tools/kyuu/turn_probe/token_file.h"

namespace kyuu::tools {
namespace {

// More than a segment and than a record of TLS, of bytes that are no messages.
constexpr size_t kBytes = 40'000;

std::string Pattern() {
  std::string bytes(kBytes, '\0');
  for (size_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<char>(i * i >> 5);
  return bytes;
}

// TcpProbe makes two allocations, of which the first connects to the second.
class TcpProbe {
 public:
  TcpProbe(net::Loop& loop, Random& random, const TransportAddress& server,
           const ServerUrl& url, TurnQuestion question)
      : loop_(loop),
        random_(random),
        server_(server),
        url_(url),
        question_(std::move(question)),
        deadline_(loop, [this] {
          End(absl::DeadlineExceededError(absl::StrCat(
              "nothing came back through ", NameOf(server_, url_))));
        }) {}

  absl::StatusOr<TurnAnswer> Run() {
    for (Side& side : sides_) KYUU_RETURN_IF_ERROR(Start(side));
    deadline_.Set(net::Loop::Now() + question_.patience);
    loop_.Run();
    KYUU_RETURN_IF_ERROR(result_);
    return answer_;
  }

 private:
  struct Side {
    std::unique_ptr<net::Alarm> alarm;
    std::unique_ptr<ServerLink> link;
    std::optional<turn::Client> client;  // Once the link is ready.
    std::unique_ptr<DataLink> data;      // Once there is a connection.
    Path data_path;
    bool joined = false;
  };

  Side& connects() { return sides_[0]; }
  Side& accepts() { return sides_[1]; }

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
                 [&side](const Datagram& in) {
                   side.client->HandlePacket(net::Loop::Now(), in);
                 },
             .on_refused =
                 [this, &side](const absl::Status& why) {
                   if (!side.client) return End(Named(why));
                   side.client->HandleStreamEnd(net::Loop::Now(), why);
                 },
             .on_turn =
                 [this, &side] {
                   if (side.client) Flush(side);
                 }}));
    return absl::OkStatus();
  }

  void Ask(Side& side, const Path& path) {
    side.client.emplace(random_,
                        turn::Client::Options{
                            .local = path.local,
                            .server = path.remote,
                            .transport = path.transport,
                            .username = url_.username,
                            .password = url_.password,
                            .tokens = question_.token_file.empty()
                                          ? turn::ClientOptions::Tokens::kIgnore
                                          : turn::ClientOptions::Tokens::kAsk,
                            .relayed_transport = Transport::kTcp});
    const absl::Status status = side.client->Allocate(net::Loop::Now());
    if (!status.ok()) End(status);
  }

  void Flush(Side& side) {
    do {
      while (const auto out = side.client->PollTransmit(net::Loop::Now(),
                                                        absl::MakeSpan(out_))) {
        if (side.data && out->path == side.data_path) {
          side.data->Send(out->bytes);
        } else {
          side.link->Send(*out);
        }
      }
    } while (TakeEvent(side));
    side.alarm->Set(side.client->NextTimeout());
  }

  bool TakeEvent(Side& side) {
    const auto event = side.client->PollEvent();
    if (!event) return false;
    std::visit([&](const auto& what) { On(side, what); }, *event);
    return true;
  }

  void On(Side&, const turn::ClientAllocated& got) {
    if (question_.on_allocated) question_.on_allocated(got);
    for (const Side& side : sides_) {
      if (!side.client || !side.client->allocated()) return;
    }
    const absl::Status status = accepts().client->Permit(
        net::Loop::Now(), connects().client->relayed());
    if (!status.ok()) return End(status);
    Flush(accepts());
  }
  void On(Side&, const turn::ClientPermissionGranted&) {
    const absl::Status status = connects().client->connections().Connect(
        net::Loop::Now(), accepts().client->relayed());
    if (!status.ok()) return End(status);
    Flush(connects());
  }
  void On(Side& side, const turn::ClientPeerConnected& connected) {
    const turn::ClientConnectionId id = connected.id;
    if (side.data) return;
    side.data = std::make_unique<DataLink>(
        loop_, url_, server_,
        DataLink::Handlers{
            .on_ready =
                [this, &side, id](const Path& path) {
                  side.data_path = path;
                  const absl::Status status = side.client->connections().Bind(
                      net::Loop::Now(), id, path.local);
                  if (!status.ok()) return End(status);
                  Flush(side);
                },
            .on_bytes =
                [this, &side](const Path& path,
                              absl::Span<const uint8_t> bytes) {
                  if (side.joined) return Relayed(side, bytes);
                  side.client->HandlePacket(net::Loop::Now(), {path, bytes});
                  Flush(side);
                },
            .on_ended =
                [this, &side, id](const absl::Status& why) {
                  side.client->connections().Drop(id, why);
                  if (side.joined) End(Named(why));
                  Flush(side);
                }});
  }
  void On(Side& side, const turn::ClientPeerJoined&) {
    side.joined = true;
    side.data->Join();
    if (!connects().joined || !accepts().joined) return;
    sent_at_ = net::Loop::Now();
    connects().data->Send(AsBytes(sent_));
  }
  void On(Side&, const turn::ClientPeerFailed& failed) {
    End(absl::Status(failed.status.code(),
                     absl::StrCat("no connection to ", failed.peer.ToString(),
                                  ": ", failed.status.message())));
  }
  void On(Side&, const turn::ClientPermissionFailed& no) {
    End(absl::PermissionDeniedError(absl::StrCat(
        "the server does not relay to itself: ", no.status.message())));
  }
  void On(Side& side, const turn::ClientTokenWanted& wanted) {
    const absl::Status status =
        UseTokenFile(question_.token_file, *side.client, net::Loop::Now());
    if (!status.ok()) return End(status);
    if (question_.on_token) question_.on_token(wanted);
  }
  void On(Side&, const turn::ClientClosed& closed) {
    End(Named(closed.status));
  }
  // Nothing moves, there is one family, and there are no channels.
  void On(Side&, const turn::ClientFamilyEnded&) {}
  void On(Side&, const turn::ClientMoved&) {}
  void On(Side&, const turn::ClientMoveRefused&) {}
  void On(Side&, const turn::ClientChannelBound&) {}

  void Relayed(Side& side, absl::Span<const uint8_t> bytes) {
    if (&side == &accepts()) return side.data->Send(bytes);
    absl::StrAppend(&came_back_, AsText(bytes));
    if (came_back_.size() < sent_.size()) return;
    answer_.round_trip = net::Loop::Now() - sent_at_;
    answer_.loops.push_back({.family = connects().client->relayed().ip.family(),
                             .round_trip = answer_.round_trip});
    End(came_back_ == sent_
            ? absl::OkStatus()
            : absl::DataLossError("other bytes came back than were sent"));
  }

  absl::Status Named(const absl::Status& why) const {
    return absl::Status(
        why.ok() ? absl::StatusCode::kUnavailable : why.code(),
        absl::StrCat("no allocation of TCP at ", NameOf(server_, url_), ": ",
                     why.message()));
  }

  // Gives the allocations back and leaves the loop.
  void End(absl::Status status) {
    if (std::exchange(ended_, true)) return;
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
  TurnQuestion question_;
  TurnAnswer answer_;
  net::Alarm deadline_;
  std::array<uint8_t, 2048> out_;
  const std::string sent_ = Pattern();
  std::string came_back_;
  absl::Time sent_at_;
  absl::Status result_;
  bool ended_ = false;
  // Last: watches and alarms go before what they use.
  std::array<Side, 2> sides_;
};

}  // namespace

absl::StatusOr<TurnAnswer> AskTurnTcp(const ServerUrl& url,
                                      const TransportAddress& server,
                                      TurnQuestion question) {
  if (url.protocol != ice::RelayProtocol::kTcp &&
      url.protocol != ice::RelayProtocol::kTls) {
    return absl::InvalidArgumentError(
        "TCP is relayed to clients on TCP and TLS: turn:...?transport=tcp or "
        "turns:...");
  }
  KYUU_ASSIGN_OR_RETURN(std::unique_ptr<net::Loop> loop, net::Loop::Create());
  SystemRandom random;
  TcpProbe probe(*loop, random, server, url, std::move(question));
  return probe.Run();
}

}  // namespace kyuu::tools
