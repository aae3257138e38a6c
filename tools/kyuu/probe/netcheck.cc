#include "tools/kyuu/probe/netcheck.h"

#include <cstddef>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "net/drive.h"
#include "net/interfaces.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "net/udp_socket.h"
#include "peer/server_url.h"
#include "stun/nat_discovery.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/probe/network_findings.h"
#include "tools/kyuu/probe/stun_probe.h"

namespace kyuu::tools {

using peer::ServerKind;
using peer::ServerUrl;
namespace {

using ice::RelayProtocol;

// How long one address is waited for. Blocked ways are silent, and each takes
// it.
constexpr absl::Duration kPatience = absl::Seconds(4);

// The silences that are tried at the same time. RFC 4787 (REQ-5) wants 2 min
// and more of UDP; many give 30 s.
constexpr absl::Duration kSilences[] = {
    absl::Seconds(10), absl::Seconds(20),  absl::Seconds(28),
    absl::Seconds(40), absl::Seconds(58),  absl::Seconds(90),
    absl::Minutes(2),  absl::Seconds(178), absl::Minutes(5)};

// Discovery runs a stun::NatDiscovery on sockets of its own.
class Discovery {
 public:
  Discovery(net::Loop& loop, NetworkFindings& findings)
      : loop_(loop), findings_(findings) {}

  // Blocks until all is known.
  absl::Status Run(const TransportAddress& server,
                   std::optional<TransportAddress> other_server,
                   bool lifetime) {
    KYUU_ASSIGN_OR_RETURN(const IpAddress source, net::SourceAddress(server));
    stun::NatDiscoveryOptions options{.server = server,
                                      .other_server = other_server};
    KYUU_ASSIGN_OR_RETURN(options.local, Open(source));
    if (lifetime) {
      KYUU_ASSIGN_OR_RETURN(options.asker, Open(source));
      for (const absl::Duration silence : kSilences) {
        KYUU_ASSIGN_OR_RETURN(const TransportAddress local, Open(source));
        options.probes.push_back({local, silence});
      }
    }
    engine_.emplace(random_, std::move(options));
    driver_.emplace(loop_, *engine_, buffer_,
                    [this](stun::NatDiscovery::Event event) {
                      std::visit([this](const auto& what) { On(what); }, event);
                    });
    for (auto& socket : sockets_) driver_->AddSocket(*socket);
    KYUU_RETURN_IF_ERROR(engine_->Start(net::Loop::Now()));
    driver_->Flush();
    loop_.Run();
    return result_;
  }

 private:
  absl::StatusOr<TransportAddress> Open(const IpAddress& source) {
    KYUU_ASSIGN_OR_RETURN(net::UdpSocket socket,
                          net::UdpSocket::Open({.bind = {source, 0}}));
    sockets_.push_back(std::make_unique<net::UdpSocket>(std::move(socket)));
    return sockets_.back()->local();
  }

  void On(const stun::NatDiscovery::Found& found) {
    findings_.nat = found.report;
  }
  void On(const stun::NatDiscovery::LifetimeFound& found) {
    findings_.lifetime = found.lifetime;
  }
  void On(const stun::NatDiscovery::Closed& closed) {
    result_ = closed.status;
    loop_.Stop();
  }

  net::Loop& loop_;
  NetworkFindings& findings_;
  SystemRandom random_;
  net::ReceiveBuffer buffer_;
  std::vector<std::unique_ptr<net::UdpSocket>> sockets_;
  std::optional<stun::NatDiscovery> engine_;
  absl::Status result_;
  std::optional<net::Driver<stun::NatDiscovery>> driver_;
};

// "HOST" is three ways, "stun:HOST" is one.
absl::StatusOr<std::vector<ServerUrl>> Ways(const std::string& text) {
  KYUU_ASSIGN_OR_RETURN(ServerUrl url,
                        ServerUrl::Parse(text, ServerKind::kStun));
  std::vector<ServerUrl> ways = {url};
  if (absl::string_view(text).substr(0, 4) == "stun") return ways;
  url.protocol = RelayProtocol::kTcp;
  ways.push_back(url);
  // TLS has a port of its own unless one was named.
  KYUU_ASSIGN_OR_RETURN(
      ServerUrl tls,
      ServerUrl::Parse(absl::StrCat("stuns:", text), ServerKind::kStun));
  ways.push_back(std::move(tls));
  return ways;
}

void Print(const std::string& line) {
  std::printf("%s\n", PrintableLine(line).c_str());
  std::fflush(stdout);
}

// Tries each address of `url`; the ones over UDP that work join `reached`.
absl::Status TryWay(const ServerUrl& url, NetworkFindings& findings,
                    std::vector<TransportAddress>& reached) {
  KYUU_ASSIGN_OR_RETURN(const std::vector<TransportAddress> addresses,
                        net::Resolve(url.host, url.port));
  for (const TransportAddress& address : addresses) {
    const std::string numbers = address.ToString();
    const bool is_name = address.ip.ToString() != url.host;
    findings.ways.push_back(
        {url.protocol,
         is_name ? absl::StrCat(url.host, " (", numbers, ")") : numbers,
         AskStun(url, address, kPatience)});
    const auto& way = findings.ways.back();
    Print(WayInWords(way));
    if (way.answer.ok() && url.protocol == RelayProtocol::kUdp) {
      reached.push_back(address);
    }
  }
  return absl::OkStatus();
}

absl::Status Discover(const std::vector<TransportAddress>& reached,
                      bool lifetime, NetworkFindings& findings) {
  if (reached.empty()) return absl::OkStatus();
  const TransportAddress& server = reached.front();
  std::optional<TransportAddress> other;
  for (const TransportAddress& candidate : reached) {
    if (candidate.ip.family() == server.ip.family() &&
        candidate.ip != server.ip) {
      other = candidate;
      break;
    }
  }
  KYUU_ASSIGN_OR_RETURN(std::unique_ptr<net::Loop> loop, net::Loop::Create());
  Discovery discovery(*loop, findings);
  return discovery.Run(server, other, lifetime);
}

absl::Status Netcheck(const NetcheckOptions& options,
                      NetworkFindings& findings) {
  std::vector<ServerUrl> ways;
  for (const std::string& text : options.servers) {
    KYUU_ASSIGN_OR_RETURN(const std::vector<ServerUrl> more, Ways(text));
    ways.insert(ways.end(), more.begin(), more.end());
  }
  std::vector<TransportAddress> reached;
  for (const ServerUrl& url : ways) {
    KYUU_RETURN_IF_ERROR(TryWay(url, findings, reached));
  }
  const absl::Status discovered = Discover(reached, options.lifetime, findings);
  for (const std::string& line : NatInWords(findings)) {
    Print(absl::StrCat("      ", line));
  }
  if (!discovered.ok()) {
    Print(absl::StrCat("      ", discovered.message()));
  }
  for (const std::string& line : Verdict(findings)) Print(line);
  return absl::OkStatus();
}

}  // namespace

int RunNetcheck(const NetcheckOptions& options) {
  NetworkFindings findings;
  const absl::Status status = Netcheck(options, findings);
  if (!status.ok()) {
    std::fprintf(stderr, "kyuu: %s\n", PrintableLine(status.message()).c_str());
    return 1;
  }
  for (const NetworkFindings::Way& way : findings.ways) {
    if (way.answer.ok()) return 0;
  }
  return 1;
}

}  // namespace kyuu::tools
