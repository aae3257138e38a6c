// What ICMP says of relayed datagrams, for the client (RFC 8656 section 11.5).

#include "turn/server.h"

namespace kyuu::turn {
namespace {

// Section 11.5: destination unreachable and time exceeded; of ICMPv6 also
// packet too big.
bool IsReported(const TransportAddress& peer, const stun::Icmp& icmp) {
  if (peer.ip.is_v4()) return icmp.type == 3 || icmp.type == 11;
  return icmp.type >= 1 && icmp.type <= 3;
}

}  // namespace

void Server::HandleIcmp(absl::Time now, RelayId relay,
                        const TransportAddress& peer, const stun::Icmp& icmp) {
  using Reports = Options::IcmpReports;
  const TransportAddress told = policy_.AsTold(peer);
  Allocation* allocation = closed_ ? nullptr : allocations_.ById(relay);
  const bool wanted =
      allocation != nullptr && options_.icmp_reports != Reports::kNobody &&
      (allocation->whole || options_.icmp_reports == Reports::kEverybody);
  if (!wanted || now < allocation->next_report || !IsReported(told, icmp) ||
      allocation->expires <= now || !allocation->peers.Permits(now, told.ip)) {
    ++stats_.icmp_dropped;
    return;
  }
  allocation->next_report = now + options_.icmp_report_interval;
  ++stats_.icmp_reports;
  Answer answer;
  answer.path = allocation->client;
  answer.id = stun::TransactionId::Generate(random_);
  answer.report = {told, icmp};
  Push(answer);
}

}  // namespace kyuu::turn
