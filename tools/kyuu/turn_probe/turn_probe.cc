#include "tools/kyuu/turn_probe/turn_probe.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "ice/candidate.h"
#include "net/loop.h"
#include "tools/kyuu/probe/server_link.h"
#include "tools/kyuu/turn_probe/size_probe.h"
#include "tools/kyuu/turn_probe/tcp_probe.h"
#include "tools/kyuu/turn_probe/token_file.h"

namespace kyuu::tools {
namespace {

constexpr absl::string_view kProbe = "kyuu turn: through the relay and back";

// TurnProbe makes two allocations that talk to each other.
class TurnProbe {
 public:
  TurnProbe(net::Loop& loop, Random& random, const TransportAddress& server,
            const ServerUrl& url, TurnQuestion question)
      : loop_(loop),
        random_(random),
        server_(server),
        url_(url),
        question_(std::move(question)),
        deadline_(loop,
                  [this] {
                    End(absl::DeadlineExceededError(absl::StrCat(
                        "nothing came back through ", NameOf(server_, url_))));
                  }),
        held_(loop, [this] { StartLoop(); }),
        sizes_(url.protocol == ice::RelayProtocol::kUdp
                   ? question_.payloads
                   : std::vector<size_t>()),
        measured_(loop, [this] { Measure(); }) {
    answer_.forbidden.resize(question_.forbidden.size(),
                             absl::DeadlineExceededError("no answer"));
  }

  absl::StatusOr<TurnAnswer> Run() {
    for (Side& side : sides_) KYUU_RETURN_IF_ERROR(Start(side));
    deadline_.Set(net::Loop::Now() + question_.patience + question_.hold);
    loop_.Run();
    if (!result_.ok()) return result_;
    return answer_;
  }

 private:
  struct Side {
    std::unique_ptr<ServerLink> link;
    // To move to; and the one that was left, whose end says nothing any more.
    std::unique_ptr<ServerLink> next;
    std::unique_ptr<ServerLink> former;
    int number = 0;                      // Of `link`, from 1 on.
    TransportAddress local;              // Its end of ours.
    std::optional<Path> waiting;         // For the other one's reservation.
    std::optional<turn::Client> client;  // Once the link is ready.
    std::unique_ptr<net::Alarm> alarm;
    size_t unopened = 0;  // Families, towards the other one.
  };

  absl::Status Start(Side& side) {
    side.alarm = std::make_unique<net::Alarm>(loop_, [this, &side] {
      side.client->HandleTimeout(net::Loop::Now());
      Flush(side);
    });
    KYUU_ASSIGN_OR_RETURN(side.next, Open(side, server_));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<ServerLink>> Open(
      Side& side, const TransportAddress& server) {
    const int number = side.number + 1;
    return ServerLink::Open(
        loop_, url_, server,
        {.on_ready = [this, &side](const Path& path) { Ask(side, path); },
         .on_datagram =
             [this, &side](const Datagram& datagram) {
               Receive(side, datagram);
             },
         .on_refused =
             [this, &side, number](const absl::Status& why) {
               if (number >= side.number) Refused(side, why);
             },
         .on_turn =
             [this, &side] {
               if (side.client) Flush(side);
             }},
        sizes_.is_complete() ? ServerLink::Fragments::kAllow
                             : ServerLink::Fragments::kForbid);
  }

  Side& Other(const Side& side) {
    return &side == &sides_[0] ? sides_[1] : sides_[0];
  }

  void Ask(Side& side, const Path& path) {
    side.former = std::move(side.link);
    side.link = std::move(side.next);
    ++side.number;
    side.local = path.local;
    if (side.client) {
      const absl::Status status =
          side.client->Move(net::Loop::Now(), path.local);
      if (!status.ok()) End(status);
      return;
    }
    const bool pair = question_.ports == TurnQuestion::Ports::kPair;
    const bool second = pair && &side == &sides_[1];
    if (second && !reserved_.has_value()) {
      side.waiting = path;
      return;
    }
    Allocate(side, path, second);
  }

  void Allocate(Side& side, const Path& path, bool by_reservation) {
    const bool reserves =
        question_.ports == TurnQuestion::Ports::kPair && !by_reservation;
    side.client.emplace(
        random_,
        turn::Client::Options{
            .local = path.local,
            .server = path.remote,
            .transport = path.transport,
            .username = url_.username,
            .password = url_.password,
            .tokens = Tokens(),
            .relayed_family =
                by_reservation ? IpFamily::kUnspecified : question_.family,
            .families = question_.families,
            .ports = reserves ? turn::ClientOptions::Ports::kEvenAndNext
                              : turn::ClientOptions::Ports::kAny,
            .reservation = by_reservation ? reserved_ : std::nullopt,
            .fragments = question_.fragments,
            .mobility = Mobility()});
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
                       absl::StrCat("no allocation at ", NameOf(server_, url_),
                                    ": ", why.message())));
    } else if (url_.protocol == ice::RelayProtocol::kUdp) {
      side.client->HandleRefusal(net::Loop::Now(), side.client->server(), why);
    } else {
      side.client->HandleStreamEnd(net::Loop::Now(), why);
    }
  }

  void Relayed(Side& side, const turn::Client::Received& in) {
    if (measuring_) return Measured(side, in.payload);
    if (AsText(in.payload) != kProbe ||
        in.peer.ip.family() != families_[family_]) {
      return;
    }
    if (&side == &sides_[1]) {
      Send(side);
      return;
    }
    using When = TurnLoop::When;
    const When when = holding_          ? When::kHeld
                      : side.number > 1 ? When::kMoved
                                        : When::kAtFirst;
    answer_.loops.push_back(
        {when, families_[family_], net::Loop::Now() - sent_at_});
    if (++family_ < families_.size()) return StartLoop();
    family_ = 0;
    if (when == When::kAtFirst) {
      answer_.round_trip = answer_.loops.front().round_trip;
      if (question_.moves == TurnQuestion::Moves::kOnce) return Leave(side);
    }
    if (question_.hold > absl::ZeroDuration() &&
        !std::exchange(holding_, true)) {
      held_.Set(net::Loop::Now() + question_.hold);
      return;
    }
    looped_ = true;
    measuring_ = true;
    Measure();
  }

  // Sends what has not come back, until it has or has been sent often enough.
  void Measure() {
    const std::vector<size_t> sizes =
        sizes_.is_complete() ? std::vector<size_t>() : sizes_.NextRound();
    if (sizes.empty()) {
      measuring_ = false;
      answer_.payload_max = sizes_.largest();
      return AskForForbidden();
    }
    for (const size_t size : sizes) SendPadded(sides_[0], size);
    measured_.Set(net::Loop::Now() + kRound);
  }

  void Measured(Side& side, absl::Span<const uint8_t> payload) {
    if (&side == &sides_[1]) return SendPadded(side, payload.size());
    sizes_.HandleReturn(payload.size());
    if (sizes_.is_complete()) measured_.Set(absl::InfinitePast());
  }

  // Opens the way to move to; Ask() goes on.
  void Leave(Side& side) {
    if (!side.client->movable()) {
      return End(absl::FailedPreconditionError(absl::StrCat(
          NameOf(server_, url_), " gives no ticket to move with")));
    }
    absl::StatusOr<std::unique_ptr<ServerLink>> next =
        Open(side, side.client->server());
    if (!next.ok()) return End(next.status());
    side.next = *std::move(next);
  }

  turn::ClientOptions::Mobility Mobility() const {
    return question_.moves == TurnQuestion::Moves::kOnce
               ? turn::ClientOptions::Mobility::kAsk
               : turn::ClientOptions::Mobility::kNone;
  }

  turn::ClientOptions::Tokens Tokens() const {
    return question_.token_file.empty() ? turn::ClientOptions::Tokens::kIgnore
                                        : turn::ClientOptions::Tokens::kAsk;
  }

  void Transmit(Side& side, const Datagram& datagram) {
    const bool current = datagram.path.local == side.local;
    (current ? side.link : side.former)->Send(datagram);
  }

  void AskForForbidden() {
    if (question_.forbidden.empty()) return End(absl::OkStatus());
    Side& side = sides_[0];
    for (size_t i = 0; i < question_.forbidden.size(); ++i) {
      const absl::Status status = side.client->Permit(
          net::Loop::Now(), {question_.forbidden[i], kForbiddenPort});
      if (!status.ok()) answer_.forbidden[i] = status;
    }
    unanswered_ = question_.forbidden.size();
    Flush(side);
  }

  // What the server says of a peer; true if it is a forbidden one.
  bool Note(const IpAddress& peer, const absl::Status& status) {
    const auto it =
        std::find(question_.forbidden.begin(), question_.forbidden.end(), peer);
    if (!looped_ || it == question_.forbidden.end()) return false;
    answer_.forbidden[static_cast<size_t>(it - question_.forbidden.begin())] =
        status;
    if (--unanswered_ == 0) End(absl::OkStatus());
    return true;
  }

  void StartLoop() {
    sent_at_ = net::Loop::Now();
    Send(sides_[0]);
  }

  void Send(Side& side) { Send(side, AsBytes(kProbe)); }
  void SendPadded(Side& side, size_t bytes) {
    Send(side,
         absl::MakeConstSpan(padding_).first(std::min(bytes, padding_.size())));
  }
  // To the other one's address of the family whose turn it is.
  void Send(Side& side, absl::Span<const uint8_t> payload) {
    const absl::StatusOr<Datagram> datagram = side.client->Wrap(
        net::Loop::Now(), *Other(side).client->relayed(families_[family_]),
        payload, absl::MakeSpan(out_));
    if (!datagram.ok()) return End(datagram.status());
    Transmit(side, *datagram);
  }

  void Flush(Side& side) {
    while (const auto out = side.client->PollTransmit(net::Loop::Now(),
                                                      absl::MakeSpan(out_))) {
      Transmit(side, *out);
    }
    while (const auto event = side.client->PollEvent()) {
      std::visit([&](const auto& what) { On(side, what); }, *event);
    }
    while (const auto out = side.client->PollTransmit(net::Loop::Now(),
                                                      absl::MakeSpan(out_))) {
      Transmit(side, *out);
    }
    side.alarm->Set(side.client->NextTimeout());
  }

  // The second one is asked for once the first has reserved its port.
  void TakePair(Side& side, const turn::ClientAllocated& got) {
    if (&side == &sides_[0] && !got.reservation.has_value()) {
      return End(absl::FailedPreconditionError(
          absl::StrCat(NameOf(server_, url_), " keeps no port")));
    }
    if (&side == &sides_[0]) {
      reserved_ = got.reservation;
      Side& next = sides_[1];
      if (!next.waiting.has_value()) return;
      Allocate(next, *next.waiting, true);
      return Flush(next);
    }
    TransportAddress above = sides_[0].client->relayed();
    ++above.port;
    if (got.relayed != above) {
      End(absl::InternalError(absl::StrCat("the port that was kept is ",
                                           got.relayed.ToString(), " and not ",
                                           above.ToString())));
    }
  }

  void On(Side& side, const turn::ClientAllocated& got) {
    if (question_.on_allocated) question_.on_allocated(got);
    if (question_.ports == TurnQuestion::Ports::kPair) TakePair(side, got);
    if (!Other(side).client || !Other(side).client->allocated()) return;
    // Both may be allocated before either has said so.
    if (!families_.empty()) return;
    for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
      if (side.client->relayed(family) == nullptr ||
          Other(side).client->relayed(family) == nullptr) {
        continue;
      }
      families_.push_back(family);
      for (Side& each : sides_) Meet(each, family);
    }
    if (families_.empty()) {
      return End(absl::FailedPreconditionError(
          "the two allocations are of different families"));
    }
    Flush(Other(side));
  }
  // Lets the other one's address of that family in.
  void Meet(Side& side, IpFamily family) {
    const TransportAddress& peer = *Other(side).client->relayed(family);
    ++side.unopened;
    const absl::Status status =
        question_.ways == TurnQuestion::Ways::kChannels
            ? side.client->BindChannel(net::Loop::Now(), peer)
            : side.client->Permit(net::Loop::Now(), peer);
    if (!status.ok()) End(status);
  }
  void On(Side& side, const turn::ClientPermissionGranted& granted) {
    if (Note(granted.peer, absl::OkStatus())) return;
    if (question_.ways == TurnQuestion::Ways::kPermissions) Opened(side);
  }
  void On(Side& side, const turn::ClientChannelBound&) {
    if (question_.ways == TurnQuestion::Ways::kChannels) Opened(side);
  }
  void On(Side&, const turn::ClientPermissionFailed& no) {
    if (Note(no.peer, no.status)) return;
    End(absl::PermissionDeniedError(absl::StrCat(
        "the server does not relay to itself: ", no.status.message())));
  }
  void On(Side&, const turn::ClientMoved&) { StartLoop(); }
  void On(Side&, const turn::ClientMoveRefused& no) {
    End(absl::Status(
        no.status.code(),
        absl::StrCat("the allocation could not move: ", no.status.message())));
  }
  void On(Side&, const turn::ClientFamilyEnded& no) {
    End(absl::Status(no.status.code(), absl::StrCat("the server has ended ",
                                                    no.relayed.ToString(), ": ",
                                                    no.status.message())));
  }
  // Of TCP to peers, which is not asked for here.
  void On(Side&, const turn::ClientPeerConnected&) {}
  void On(Side&, const turn::ClientPeerJoined&) {}
  void On(Side&, const turn::ClientPeerFailed&) {}
  // The file may hold another token by now.
  void On(Side& side, const turn::ClientTokenWanted& wanted) {
    const absl::Status status =
        UseTokenFile(question_.token_file, *side.client, net::Loop::Now());
    if (!status.ok()) return End(status);
    if (question_.on_token) question_.on_token(wanted);
  }
  void On(Side&, const turn::ClientClosed& closed) {
    End(absl::Status(
        closed.status.code(),
        absl::StrCat("no allocation at ", NameOf(server_, url_), ": ",
                     closed.status.message(),
                     closed.alternate ? "; it names " : "",
                     closed.alternate ? closed.alternate->ToString() : "")));
  }

  void Opened(Side& side) {
    if (side.unopened > 0) --side.unopened;
    if (side.unopened > 0 || Other(side).unopened > 0) return;
    StartLoop();
  }

  // Gives the allocations back and leaves the loop.
  void End(absl::Status status) {
    if (ended_) return;
    ended_ = true;
    result_ = looped_ ? absl::OkStatus() : std::move(status);
    for (Side& side : sides_) {
      if (!side.client || !side.client->allocated()) continue;
      side.client->Close(net::Loop::Now());
      if (const auto out = side.client->PollTransmit(net::Loop::Now(),
                                                     absl::MakeSpan(out_))) {
        Transmit(side, *out);
      }
    }
    loop_.Stop();
  }

  static constexpr uint16_t kForbiddenPort = 9;  // Discard; nothing is sent.
  // How long datagrams of all sizes are waited for, before they are sent again.
  static constexpr absl::Duration kRound = absl::Milliseconds(250);

  net::Loop& loop_;
  Random& random_;
  const TransportAddress server_;
  const ServerUrl& url_;
  TurnQuestion question_;
  TurnAnswer answer_;
  net::Alarm deadline_;
  net::Alarm held_;
  SizeProbe sizes_;
  net::Alarm measured_;
  std::array<uint8_t, 2048> out_;
  const std::array<uint8_t, 2000> padding_{};
  absl::Time sent_at_;
  absl::Status result_;
  size_t unanswered_ = 0;           // Of the forbidden ones.
  std::vector<IpFamily> families_;  // That both sides have.
  size_t family_ = 0;               // Of these: by which the loop goes.
  std::optional<turn::ReservationId> reserved_;
  bool holding_ = false;
  bool looped_ = false;
  bool measuring_ = false;
  bool ended_ = false;
  // Last: watches and alarms go before what they use.
  std::array<Side, 2> sides_;
};

}  // namespace

absl::StatusOr<TurnAnswer> AskTurn(const ServerUrl& url,
                                   const TransportAddress& server,
                                   TurnQuestion question) {
  if (question.ways == TurnQuestion::Ways::kTcp) {
    return AskTurnTcp(url, server, std::move(question));
  }
  KYUU_ASSIGN_OR_RETURN(std::unique_ptr<net::Loop> loop, net::Loop::Create());
  SystemRandom random;
  TurnProbe probe(*loop, random, server, url, std::move(question));
  return probe.Run();
}

std::string OverText(const ServerUrl& url) {
  return url.protocol == ice::RelayProtocol::kUdp
             ? ""
             : absl::StrCat(" over ", ice::ToString(url.protocol));
}

std::string NameOf(const TransportAddress& server, const ServerUrl& url) {
  return absl::StrCat(server.ToString(), OverText(url));
}

}  // namespace kyuu::tools
