#include "relay/kernel/places.h"

#include <ifaddrs.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "net/interfaces.h"

namespace kyuu::relay::kernel {
namespace {

// Frames of the trial of an interface, of the type for local experiments.
constexpr uint32_t kTrialFrames = 8;
constexpr std::array<uint8_t, 2> kTrialType = {0x88, 0xb5};
constexpr size_t kTrialSize = 60;

// What the drivers of interfaces that stand on others, or on a tunnel, call
// themselves. The program at the one below would see their frames first,
// without the tag of a VLAN that the card has taken off, and with which they
// would leave.
constexpr absl::string_view kAbove[] = {
    "802.1Q VLAN Support", "bridge", "geneve",  "gretap", "ip6gretap", "ipvlan",
    "ip6erspan",           "erspan", "macvlan", "vxlan",
};

bool IsAbove(const Link& link) {
  return absl::c_linear_search(kAbove, link.driver);
}

// Datagrams that an interface has sent.
uint64_t SentBy(const std::string& name) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return 0;
  uint64_t sent = 0;
  for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr != nullptr && i->ifa_addr->sa_family == AF_PACKET &&
        i->ifa_data != nullptr && name == i->ifa_name) {
      sent = static_cast<const rtnl_link_stats*>(i->ifa_data)->tx_packets;
    }
  }
  freeifaddrs(list);
  return sent;
}

// The interfaces of Ethernet that have one of the addresses, and stand on no
// other.
absl::StatusOr<std::vector<Link>> LinksOf(
    absl::Span<const IpAddress> addresses) {
  KYUU_ASSIGN_OR_RETURN(const std::vector<net::Interface> interfaces,
                        net::Interfaces());
  std::vector<Link> links;
  absl::flat_hash_set<std::string> seen;
  for (const net::Interface& interface : interfaces) {
    const bool wanted = std::any_of(
        addresses.begin(), addresses.end(), [&](const IpAddress& ip) {
          return ip == interface.address ||
                 (ip.IsAny() && ip.family() == interface.address.family());
        });
    if (!wanted || !seen.insert(interface.name).second) continue;
    std::optional<Link> link = FindLink(interface.name);
    if (link.has_value() && !IsAbove(*link)) {
      links.push_back(*std::move(link));
    }
  }
  return links;
}

}  // namespace

absl::StatusOr<Places> Places::Open(Program program,
                                    absl::Span<const IpAddress> addresses,
                                    std::vector<Attachment> kept) {
  Places places(std::move(program), std::move(kept));
  // One driver without it would drop what others give it: it is all or none.
  absl::Status status = places.Follow(addresses);
  if (!status.ok() && !absl::IsAlreadyExists(status)) {
    places.places_.clear();
    places.kept_.clear();
    places.mode_ = Mode::kGeneric;
    status = places.Follow(addresses);
  }
  KYUU_RETURN_IF_ERROR(status);
  // Where there is nothing for it the program before goes, too.
  places.kept_.clear();
  if (places.places_.empty()) {
    return absl::FailedPreconditionError(
        "no interface of Ethernet, but of bridges, VLANs and tunnels, has an "
        "address that data comes to");
  }
  return places;
}

Places::Places(Program program, std::vector<Attachment> kept)
    : program_(std::make_unique<Program>(std::move(program))),
      kept_(std::move(kept)) {}

absl::StatusOr<Attachment> Places::Occupy(uint32_t ifindex) {
  const auto kept = std::find_if(
      kept_.begin(), kept_.end(),
      [ifindex](const Attachment& a) { return InterfaceOf(a) == ifindex; });
  if (kept != kept_.end()) {
    Attachment attachment = std::move(*kept);
    kept_.erase(kept);
    if (program_->Replace(attachment).ok()) return attachment;
  }
  return program_->Attach(ifindex, mode_);
}

absl::StatusOr<Attachment> Places::Attach(const Link& link) {
  absl::StatusOr<Attachment> attachment = Occupy(link.ifindex);
  if (!attachment.ok()) {
    return absl::Status(
        attachment.status().code(),
        absl::StrCat(link.name, ": ", attachment.status().message()));
  }
  if (mode_ == Mode::kNative && !Transmits(link)) {
    return absl::FailedPreconditionError(
        absl::StrCat(link.name, ": what its driver is given is not sent"));
  }
  return attachment;
}

absl::Status Places::Follow(absl::Span<const IpAddress> addresses) {
  KYUU_ASSIGN_OR_RETURN(const std::vector<Link> links, LinksOf(addresses));
  absl::Status status;
  std::vector<Place> places;
  for (const Link& link : links) {
    const auto old = std::find_if(
        places_.begin(), places_.end(),
        [&link](const Place& p) { return p.link.ifindex == link.ifindex; });
    absl::StatusOr<Attachment> attachment =
        old == places_.end() ? Attach(link) : std::move(old->attachment);
    if (!attachment.ok()) {
      status.Update(attachment.status());
      continue;
    }
    places.push_back({link, *std::move(attachment)});
  }
  places_ = std::move(places);
  return status;
}

std::vector<Attachment> Places::Leave() {
  std::vector<Attachment> left;
  for (Place& place : places_) {
    if (mode_ == Mode::kNative) left.push_back(std::move(place.attachment));
  }
  places_.clear();
  return left;
}

std::vector<Link> Places::links() const {
  std::vector<Link> links;
  for (const Place& place : places_) links.push_back(place.link);
  return links;
}

// A veth drops in silence what its driver is given unless the other end listens
// in a certain way, which nobody can see from here: it is tried.
bool Places::Transmits(const Link& link) const {
  if (link.driver != "veth") return true;
  std::array<uint8_t, kTrialSize> frame{};
  std::copy(link.mac.begin(), link.mac.end(), frame.begin());
  std::copy(link.mac.begin(), link.mac.end(), frame.begin() + 6);
  std::copy(kTrialType.begin(), kTrialType.end(), frame.begin() + 12);
  memcpy(frame.data() + 14, &link.ifindex, sizeof link.ifindex);
  const uint64_t before = SentBy(link.name);
  if (!program_->Emit(frame, kTrialFrames).ok()) return false;
  return SentBy(link.name) >= before + kTrialFrames;
}

std::string Places::Where() const {
  std::string where;
  for (const Place& place : places_) {
    absl::StrAppend(&where, where.empty() ? "" : ", ", place.link.name,
                    mode_ == Mode::kNative ? " (native)" : " (generic)");
  }
  return where;
}

}  // namespace kyuu::relay::kernel
