#include "stun/testing/message_check.h"

#include <array>
#include <cstdint>
#include <tuple>
#include <type_traits>

#include "base/check.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun/message.h"

namespace kyuu::stun {
namespace {

using All = std::tuple<
    MappedAddress, Username, Userhash, Realm, Nonce, XorMappedAddress, Software,
    AlternateServer, AlternateDomain, Priority, UseCandidate, IceControlled,
    IceControlling, ChannelNumber, XorPeerAddress, Data, XorRelayedAddress,
    RequestedAddressFamily, DontFragment, ReservationToken,
    AdditionalAddressFamily, Padding, ResponsePort, CacheTimeout,
    ResponseOrigin, OtherAddress, ConnectionId, AccessToken,
    ThirdPartyAuthorization, Origin, MobilityTicket, Lifetime, EvenPort,
    RequestedTransport, ChangeRequest, ErrorCode, AddressErrorCode,
    UnknownAttributes, PasswordAlgorithm, PasswordAlgorithms, Icmp>;

// What reads as an `A` is written as something that reads as the same `A`.
template <typename A>
void CheckTyped(const AttributeCursor& cursor, const TransactionId& id) {
  const std::optional<A> value = cursor.As<A>();
  if (!value) return;
  // An unknown family is kept apart from none, but cannot be written.
  if constexpr (std::is_same_v<A, RequestedAddressFamily> ||
                std::is_same_v<A, AdditionalAddressFamily>) {
    if (value->family == IpFamily::kUnspecified) return;
  }
  static std::array<uint8_t, 1 << 16> buffer;
  Writer w(absl::MakeSpan(buffer));
  value->Write(w, id);
  KYUU_CHECK(w.ok());
  const std::optional<A> again = A::Read(w.written(), id);
  KYUU_CHECK(again && *again == *value);
}

void CheckAgain(const MessageView& view, const IntegrityKey& key) {
  static std::array<uint8_t, 1 << 17> buffer;
  MessageWriter writer(absl::MakeSpan(buffer), view.cls(), view.method(),
                       view.transaction_id());
  for (AttributeCursor c = view.attributes(); c.Next();) {
    writer.AddRaw(c.type(), c.value());
    std::apply(
        [&](auto... a) {
          (CheckTyped<decltype(a)>(c, view.transaction_id()), ...);
        },
        All());
  }
  // Room for the integrity may be lacking in a message of 64 KiB.
  const bool fits = view.bytes().size() < 65000;
  if (fits) {
    writer.AddIntegrity(key);
    writer.AddIntegritySha256(key);
    writer.AddFingerprint();
  }
  const auto again = MessageView::Parse(writer.Finish());
  KYUU_CHECK(again.ok() && again->Is(view.cls(), view.method()));
  KYUU_CHECK(!fits ||
             (again->CheckIntegrity(key) && again->CheckIntegritySha256(key) &&
              again->CheckFingerprint()));
  AttributeCursor a = view.attributes();
  AttributeCursor b = again->attributes();
  while (a.Next()) {
    KYUU_CHECK(b.Next() && a.type() == b.type() && a.value() == b.value());
  }
  KYUU_CHECK(!b.Next());
}

}  // namespace

void CheckMessage(absl::Span<const uint8_t> bytes) {
  static const auto key = IntegrityKey::ShortTerm("fuzz");
  const absl::StatusOr<MessageView> view = MessageView::Parse(bytes);
  KYUU_CHECK(!view.ok() || IsStun(bytes));
  if (!view.ok()) return;
  view->CheckIntegrity(key);
  view->CheckIntegritySha256(key);
  view->CheckFingerprint();
  view->UnknownComprehensionRequired(kStunAttributes);
  CheckAgain(*view, key);
}

}  // namespace kyuu::stun
