// The two families of an allocation of both (RFC 8656 sections 7.3 and 8).
//
// Each has a relayed address, and permissions and channels for its own peers;
// lifetime and 5-tuple are the allocation's. A Refresh of no family is of all.

#include <optional>
#include <utility>

#include "stun/attributes.h"
#include "turn/client.h"

namespace kyuu::turn {
namespace {

// ADDRESS-ERROR-CODE in the draft that SSODA-ADDRESS-FAMILY is of.
constexpr uint16_t kDraftAddressErrorCode = 0x8033;

// What an Allocate response says of the family that is not the given one.
std::optional<ClientFamilyRefused> Refused(const stun::MessageView& response,
                                           IpFamily given) {
  for (stun::AttributeCursor c = response.attributes(); c.Next();) {
    if (c.type() != stun::AddressErrorCode::kType &&
        c.type() != kDraftAddressErrorCode) {
      continue;
    }
    const auto refused =
        stun::AddressErrorCode::Read(c.value(), response.transaction_id());
    if (!refused || refused->family == given) continue;
    return ClientFamilyRefused{refused->family, refused->code};
  }
  return std::nullopt;
}

}  // namespace

// Takes the relayed addresses of an Allocate response, the first of each family
// that was asked for. False if there is none, or one cannot be used.
bool Client::TakeRelays(const MessageView& response, Allocated& told) {
  const bool both = options_.families == Options::Families::kBoth;
  const bool even = options_.ports != Options::Ports::kAny;
  const IpFamily one = options_.relayed_family == IpFamily::kUnspecified
                           ? IpFamily::kV4
                           : options_.relayed_family;
  relays_ = {};
  for (stun::AttributeCursor c = response.attributes(); c.Next();) {
    const auto relayed = c.As<stun::XorRelayedAddress>();
    if (!relayed) continue;
    const TransportAddress& address = relayed->address;
    const IpFamily family = address.ip.family();
    if (relays_.Live(family) != nullptr) continue;
    const bool wanted = both || family == one || options_.reservation;
    const bool usable = address.port != 0 && (!even || address.port % 2 == 0);
    if (!wanted || !usable) return false;
    relays_.at(internal::ClientRelays::IndexOf(family)).address = address;
    if (!both) break;
  }
  told.relayed = relays_.First();
  const internal::ClientRelay* const v6 = relays_.Live(IpFamily::kV6);
  if (v6 != nullptr && v6->address != told.relayed) {
    told.additional = v6->address;
  } else if (both) {
    told.refused = Refused(response, told.relayed.ip.family());
  }
  return told.relayed.port != 0;
}

const TransportAddress* Client::relayed(IpFamily family) const {
  const internal::ClientRelay* const relay = relays_.Live(family);
  return relay == nullptr ? nullptr : &relay->address;
}

absl::Status Client::RefreshFamily(absl::Time, IpFamily family) {
  if (state_ != State::kAllocated || relays_.Live(family) == nullptr) {
    return absl::FailedPreconditionError("no allocation of this family");
  }
  const Subject subject{Subject::Kind::kFamily,
                        internal::ClientRelays::IndexOf(family)};
  if (!RequestOf(subject)) StartRequest(subject);
  return absl::OkStatus();
}

absl::Status Client::ReleaseFamily(absl::Time, IpFamily family) {
  if (state_ != State::kAllocated || relays_.Live(family) == nullptr) {
    return absl::FailedPreconditionError("no allocation of this family");
  }
  const IpFamily other =
      family == IpFamily::kV4 ? IpFamily::kV6 : IpFamily::kV4;
  if (relays_.Live(other) == nullptr) {
    return absl::FailedPreconditionError("it is the only one: Close()");
  }
  const Subject subject{Subject::Kind::kFamily,
                        internal::ClientRelays::IndexOf(family)};
  relays_.at(subject.index).ending = true;
  ForgetPeersOf(family);
  StartRequest(subject);
  return absl::OkStatus();
}

void Client::OnFamily(absl::Time now, Subject subject,
                      const MessageView& response) {
  if (response.method() != stun::Method::kRefresh) {
    ++stats_.unexpected;
    return;
  }
  const bool ending = relays_.at(subject.index).ending;
  Failure failure;
  const Verdict verdict = Judge(response, subject, failure);
  if (verdict == Verdict::kError) {
    if (ending || failure.error == stun::Error::kPeerAddressFamilyMismatch) {
      return EndFamily(subject, std::move(failure));
    }
    EndRequest(subject);
    // Nothing about the family: what is wrong is wrong with all of it.
    (void)Refresh(now);
    return;
  }
  if (verdict != Verdict::kSuccess) return;
  EndRequest(subject);
  if (ending) EndFamily(subject, {});
}

// The last one is the allocation.
void Client::EndFamily(Subject subject, Failure failure) {
  EndRequest(subject);
  const internal::ClientRelay ended =
      std::exchange(relays_.at(subject.index), {});
  // Who asked for the end gets it, however the server took it.
  if (ended.ending) failure = {};
  if (relays_.First().port == 0) return Finish(std::move(failure));
  ForgetPeersOf(ended.address.ip.family());
  events_.push_back(
      FamilyEnded{ended.address, std::move(failure.status), failure.error});
}

// Ends the permissions and channels of one family (RFC 8656 section 8.1). They
// stay known, as their channel numbers are theirs for good.
void Client::ForgetPeersOf(IpFamily family) {
  for (uint32_t i = 0; i < known_.permissions.size(); ++i) {
    Permission& permission = known_.permissions[i];
    if (permission.ip.family() != family) continue;
    EndSubject({Subject::Kind::kPermission, i});
    permission.granted = false;
  }
  for (uint32_t i = 0; i < known_.peers.size(); ++i) {
    Peer& peer = known_.peers[i];
    if (peer.address.ip.family() != family) continue;
    EndSubject({Subject::Kind::kChannel, i});
    peer.bound = false;
    peer.datagrams = 0;
  }
}

}  // namespace kyuu::turn
