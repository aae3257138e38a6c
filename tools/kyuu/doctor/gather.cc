#include "tools/kyuu/doctor/gather.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <future>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "net/interfaces.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/tcp.h"
#include "signaling/endpoint.h"
#include "tools/http_probe/http_probe.h"
#include "tools/kyuu/doctor/session_probe.h"
#include "tools/kyuu/doctor/tls_probe.h"
#include "tools/kyuu/turn_probe/size_probe.h"

namespace kyuu::tools {
namespace {

using peer::ServerKind;

// A list of servers that is longer is a mistake, or meant to keep us busy.
constexpr size_t kIceServersMax = 16;
constexpr size_t kAddressesMax = 8;
constexpr size_t kEventsBytes = 48;

net::Resolver::Addresses AddressesOf(const std::string& host, uint16_t port,
                                     absl::Duration patience) {
  auto found = net::ResolveWithin(host, port, patience);
  if (found.ok() && found->size() > kAddressesMax) found->resize(kAddressesMax);
  return found;
}

absl::Status ConnectWithin(const TransportAddress& address,
                           absl::Duration patience) {
  KYUU_ASSIGN_OR_RETURN(const net::TcpStream stream,
                        net::TcpStream::Connect(address));
  pollfd ready{stream.fd(), POLLOUT, 0};
  const absl::Time deadline = net::Loop::Now() + patience;
  int count = 0;
  do {
    const absl::Duration left =
        std::max(deadline - net::Loop::Now(), absl::ZeroDuration());
    count = poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(left)));
  } while (count < 0 && errno == EINTR);
  if (count == 0) {
    return absl::DeadlineExceededError(
        "no answer at all, as from behind a firewall");
  }
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(stream.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
    error = errno;
  }
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(std::generic_category().message(error));
}

// Starts `work` on a thread of its own.
template <typename Work>
auto Begin(Work work) {
  return std::async(std::launch::async, std::move(work));
}

class Asker {
 public:
  Asker(const GatherOptions& options, const TransportAddress& server)
      : options_(options), server_(server) {}

  std::future<ServerFacts::Answer> Ask(const std::string& path) const {
    return Begin([question = QuestionFor(path)] { return AskHttp(question); });
  }

  // As a browser does it for a page of the site.
  std::future<ServerFacts::Answer> Upgrade() const {
    HttpQuestion question = QuestionFor(signaling::kSignalingPath);
    std::array<uint8_t, 16> key;
    SystemRandom().Fill(absl::MakeSpan(key));
    question.headers.Add("Connection", "Upgrade");
    question.headers.Add("Upgrade", "websocket");
    question.headers.Add("Origin", options_.site.Origin());
    question.headers.Add("Sec-WebSocket-Version", "13");
    question.headers.Add(
        "Sec-WebSocket-Key",
        absl::Base64Escape(absl::string_view(
            reinterpret_cast<const char*>(key.data()), key.size())));
    question.headers.Add("Sec-WebSocket-Protocol", signaling::kSubprotocol);
    return Begin([question] { return AskHttp(question); });
  }

  // No more of it is waited for than most of the first event, which has room
  // for what chunks put in front.
  std::future<ServerFacts::Answer> Events() const {
    HttpQuestion question = QuestionFor(signaling::kEventsPath);
    question.headers.Add("Accept", "text/event-stream");
    question.headers.Add("Origin", options_.site.Origin());
    question.body_bytes_max = kEventsBytes;
    return Begin([question] { return AskHttp(question); });
  }

 private:
  HttpQuestion QuestionFor(absl::string_view path) const {
    HttpQuestion question;
    question.server = server_;
    if (options_.site.secure) question.tls_name = options_.site.host;
    question.target = absl::StrCat(options_.site.path, path);
    question.headers.Add("Host", options_.site.Authority());
    question.headers.Add("User-Agent", "kyuu-doctor");
    question.patience = options_.patience;
    return question;
  }

  const GatherOptions& options_;
  const TransportAddress server_;
};

// Peers that a relay must not reach, but for those at the server's own address.
std::vector<IpAddress> ForbiddenFor(const TransportAddress& server) {
  std::vector<IpAddress> peers;
  if (!server.ip.IsLoopback()) peers.push_back(IpAddress::V4(127, 0, 0, 1));
  const IpPrefix ten{IpAddress::V4(10, 0, 0, 0), 8};
  if (!ten.Contains(server.ip)) peers.push_back(IpAddress::V4(10, 1, 2, 3));
  // Metadata services of clouds, which hand out keys.
  peers.push_back(IpAddress::V4(169, 254, 169, 254));
  return peers;
}

// Whether this is the one at which passwords and families are tried, too.
enum class Depth : uint8_t { kLoop, kAll };

IceFacts GatherIce(const IceServerFacts& server, Depth depth,
                   absl::Duration patience) {
  IceFacts ice;
  ice.text = server.url;
  ice.url = ServerUrl::Parse(server.url, ServerKind::kStun);
  if (!ice.url.ok()) return ice;
  ice.url->username = server.username;
  ice.url->password = server.credential;
  auto addresses = AddressesOf(ice.url->host, ice.url->port, patience / 2);
  if (!addresses.ok() || addresses->empty()) return ice;
  ice.addresses = *std::move(addresses);
  TransportAddress at = ice.addresses.front();
  for (const TransportAddress& address : ice.addresses) {
    // Clients try each, and go on with what answers.
    ice.stun = AskStun(*ice.url, address,
                       patience / 2 / static_cast<int>(ice.addresses.size()));
    at = address;
    if (ice.stun.ok()) break;
  }
  const bool relays = ice.url->kind == ServerKind::kTurn;
  std::future<absl::StatusOr<TurnAnswer>> turn, wrong, ipv6;
  const auto ask = [&](ServerUrl url, TurnQuestion question) {
    question.patience = patience;
    return Begin(
        [url = std::move(url), at, question = std::move(question)]() mutable {
          return AskTurn(url, at, std::move(question));
        });
  };
  if (relays) {
    ice.forbidden = ForbiddenFor(at);
    TurnQuestion question;
    question.ways = TurnQuestion::Ways::kChannels;
    question.payloads = UsualPayloads(at.ip.family());
    question.forbidden = ice.forbidden;
    turn = ask(*ice.url, std::move(question));
  }
  if (relays && depth == Depth::kAll) {
    ServerUrl other = *ice.url;
    other.password += "?";
    wrong = ask(std::move(other), {});
    TurnQuestion question;
    question.family = IpFamily::kV6;
    ipv6 = ask(*ice.url, std::move(question));
  }
  if (turn.valid()) ice.turn = turn.get();
  if (wrong.valid()) ice.wrong_password = wrong.get().status();
  if (ipv6.valid()) ice.ipv6 = ipv6.get().status();
  return ice;
}

std::vector<IceFacts> GatherAllIce(const std::vector<IceServerFacts>& servers,
                                   absl::Duration patience) {
  std::vector<std::future<IceFacts>> answers;
  bool first = true;
  for (const IceServerFacts& server : servers) {
    if (answers.size() == kIceServersMax) break;
    const bool relays = server.url.compare(0, 4, "turn") == 0;
    const Depth depth =
        relays && std::exchange(first, false) ? Depth::kAll : Depth::kLoop;
    answers.push_back(
        Begin([=] { return GatherIce(server, depth, patience); }));
  }
  std::vector<IceFacts> all;
  all.reserve(answers.size());
  for (auto& answer : answers) all.push_back(answer.get());
  return all;
}

void GatherHttp(const GatherOptions& options, const TransportAddress& server,
                ServerFacts& facts) {
  const Asker asker(options, server);
  auto health = asker.Ask("/healthz");
  auto ready = asker.Ask("/readyz");
  auto page = asker.Ask("/");
  auto whoami = asker.Ask("/v1/whoami");
  auto upgrade = asker.Upgrade();
  auto events = asker.Events();
  std::future<TlsFacts> tls;
  if (options.site.secure) {
    tls = Begin(
        [&] { return ProbeTls(server, options.site.host, options.patience); });
  }
  auto session = Begin([&] {
    return ProbeSession({.site = options.site,
                         .ways = SignalingWays::kWebSocket,
                         .token = options.token,
                         .patience = options.patience * 2,
                         .while_open =
                             [&](const std::vector<IceServerFacts>& servers) {
                               facts.ice =
                                   GatherAllIce(servers, options.patience);
                             },
                         .idle = options.idle});
  });
  auto event_session = Begin([&] {
    return ProbeSession({.site = options.site,
                         .ways = SignalingWays::kEvents,
                         .token = options.token,
                         .patience = options.patience * 2,
                         .while_open = {},
                         .idle = std::nullopt});
  });
  facts.health = health.get();
  facts.answered = absl::Now();
  facts.ready = ready.get();
  facts.page = page.get();
  facts.whoami = whoami.get();
  facts.upgrade = upgrade.get();
  facts.events = events.get();
  if (tls.valid()) facts.tls = tls.get();
  if (facts.whoami.ok()) {
    const auto told = WhoamiFacts::Parse(facts.whoami->body);
    std::future<ServerFacts::Answer> peerjs, y_webrtc;
    if (told.ok() && !told->peerjs.empty()) peerjs = asker.Ask(told->peerjs);
    if (told.ok() && !told->y_webrtc.empty()) {
      y_webrtc = asker.Ask(told->y_webrtc);
    }
    if (peerjs.valid()) facts.peerjs = peerjs.get();
    if (y_webrtc.valid()) facts.y_webrtc = y_webrtc.get();
  }
  facts.session = session.get();
  facts.event_session = event_session.get();
}

}  // namespace

ServerFacts Gather(const GatherOptions& options) {
  ServerFacts facts;
  facts.site = options.site;
  facts.backend = options.backend;
  const auto addresses =
      AddressesOf(options.site.host, options.site.port, options.patience);
  facts.resolved = addresses.status();
  if (!addresses.ok()) return facts;
  std::vector<std::future<absl::Status>> connections;
  for (const TransportAddress& address : *addresses) {
    connections.push_back(Begin(
        [&, address] { return ConnectWithin(address, options.patience); }));
  }
  std::optional<TransportAddress> server;
  for (size_t i = 0; i < connections.size(); ++i) {
    facts.reaches.push_back({(*addresses)[i], connections[i].get()});
    if (!server && facts.reaches.back().connected.ok()) {
      server = (*addresses)[i];
    }
  }
  if (!server) return facts;
  if (const auto local = net::SourceAddress(*server); local.ok()) {
    facts.local = *local;
  }
  GatherHttp(options, *server, facts);
  return facts;
}

}  // namespace kyuu::tools
