// A TURN server that does as a test says, for tests of the client alone.

#ifndef KYUU_TURN_TESTING_SCRIPTED_SERVER_H_
#define KYUU_TURN_TESTING_SCRIPTED_SERVER_H_

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun/message.h"
#include "stun/nonce_cookie.h"

namespace kyuu::turn {

// ADDRESS-ERROR-CODE as servers before RFC 8656 have it.
struct DraftAddressErrorCode : stun::AddressErrorCode {
  static constexpr uint16_t kType = 0x8033;
};

// ScriptedServer answers requests correctly, except where `errors` tells it to
// refuse a method. It remembers what it was asked, and keeps no other state.
struct ScriptedServer {
  std::string username = "user";
  std::string password = "pass";
  std::string realm = "realm";
  std::string nonce = "nonce1";
  bool sha256 = false;
  // If not empty, tokens of it are wanted (RFC 7635), whose mac_key is this.
  std::string token_server;
  std::string mac_key;
  bool sign = true;  // Whether responses carry integrity.
  std::map<stun::Method, stun::Error> errors;
  std::optional<TransportAddress> alternate;  // Goes with 300.
  TransportAddress relayed{IpAddress::V4(198, 51, 100, 1), 50000};
  // A second one, and what is said of a family that is missing: in the
  // attribute of the draft, if it says so.
  std::optional<TransportAddress> additional;
  std::optional<stun::AddressErrorCode> refused;
  bool draft = false;
  // What is about this family alone gets 443.
  std::optional<IpFamily> gone;
  TransportAddress mapped{IpAddress::V4(203, 0, 113, 7), 41000};
  uint32_t lifetime = 600;
  // The next of these goes with each answer to a request that has one.
  std::deque<std::string> tickets;

  uint32_t connections = 1000;  // The id of the next one.

  std::vector<stun::Method> methods;  // Of all requests, in order.
  std::optional<uint32_t> last_lifetime;
  std::optional<TransportAddress> last_peer;
  std::optional<uint16_t> last_channel;
  std::optional<IpFamily> last_family;
  std::optional<std::string> last_ticket;

  stun::IntegrityKey Key() const {
    if (!token_server.empty()) return stun::IntegrityKey(AsBytes(mac_key));
    return stun::IntegrityKey::LongTerm(
        username, realm, password,
        sha256 ? stun::PasswordHash::kSha256 : stun::PasswordHash::kMd5);
  }

  std::string Nonce() const {
    return sha256 ? stun::NonceCookie({.password_algorithms = true,
                                       .username_anonymity = true}) +
                        nonce
                  : nonce;
  }

  // Answers the request `bytes`.
  std::vector<uint8_t> Answer(absl::Span<const uint8_t> bytes) {
    const auto request = stun::MessageView::Parse(bytes);
    if (!request.ok()) return {};
    methods.push_back(request->method());
    if (const auto a = request->Get<stun::Lifetime>())
      last_lifetime = a->seconds;
    if (const auto a = request->Get<stun::XorPeerAddress>()) {
      last_peer = a->address;
    }
    if (const auto a = request->Get<stun::ChannelNumber>()) {
      last_channel = a->value;
    }
    if (const auto a = request->Get<stun::RequestedAddressFamily>()) {
      last_family = a->family;
    }
    if (const auto a = request->Get<stun::MobilityTicket>()) {
      last_ticket.emplace(a->value.begin(), a->value.end());
    }
    const auto given = request->Get<stun::Nonce>();
    const bool valid = sha256 ? request->CheckIntegritySha256(Key())
                              : request->CheckIntegrity(Key());
    if (given && given->value != Nonce()) {
      return Challenge(*request, stun::Error::kStaleNonce);
    }
    const auto error = errors.find(request->method());
    if (error != errors.end() && error->second == stun::Error::kTryAlternate) {
      return Finish(*request, error->second, valid);
    }
    if (!valid) return Challenge(*request, stun::Error::kUnauthenticated);
    if (error != errors.end()) return Finish(*request, error->second, valid);
    if (gone && FamilyOf(*request) == *gone) {
      return Finish(*request, stun::Error::kPeerAddressFamilyMismatch, valid);
    }
    return Finish(*request, std::nullopt, valid);
  }

  // What the request is about; unspecified if it is about none alone.
  static IpFamily FamilyOf(const stun::MessageView& request) {
    if (const auto a = request.Get<stun::RequestedAddressFamily>()) {
      return a->family;
    }
    const auto peer = request.Get<stun::XorPeerAddress>();
    return peer ? peer->address.ip.family() : IpFamily::kUnspecified;
  }

  std::vector<uint8_t> Challenge(const stun::MessageView& request,
                                 stun::Error error) {
    std::array<uint8_t, 1500> out;
    stun::MessageWriter w(absl::MakeSpan(out), stun::MessageClass::kError,
                          request.method(), request.transaction_id());
    w.Add(stun::ErrorCode{error, stun::ReasonPhrase(error)});
    w.Add(stun::Realm{realm});
    w.Add(stun::Nonce{Nonce()});
    if (sha256) w.Add(stun::PasswordAlgorithms::Sha256ThenMd5());
    if (!token_server.empty()) {
      w.Add(stun::ThirdPartyAuthorization{token_server});
    }
    return Copy(w.Finish());
  }

  std::vector<uint8_t> Finish(const stun::MessageView& request,
                              std::optional<stun::Error> error,
                              bool authenticated) {
    std::array<uint8_t, 1500> out;
    stun::MessageWriter w(
        absl::MakeSpan(out),
        error ? stun::MessageClass::kError : stun::MessageClass::kSuccess,
        request.method(), request.transaction_id());
    if (error) {
      w.Add(stun::ErrorCode{*error, stun::ReasonPhrase(*error)});
      if (alternate) w.Add(stun::AlternateServer{*alternate});
    } else if (request.method() == stun::Method::kAllocate) {
      w.Add(stun::XorRelayedAddress{relayed});
      if (additional) w.Add(stun::XorRelayedAddress{*additional});
      if (refused && draft) w.Add(DraftAddressErrorCode{*refused});
      if (refused && !draft) w.Add(*refused);
      w.Add(stun::XorMappedAddress{mapped});
      w.Add(stun::Lifetime{lifetime});
    } else if (request.method() == stun::Method::kRefresh) {
      w.Add(stun::Lifetime{last_lifetime == 0 ? 0 : lifetime});
    }
    if (!error && request.method() == stun::Method::kConnect) {
      w.Add(stun::ConnectionId{connections++});
    }
    if (!error && request.Has<stun::MobilityTicket>() && !tickets.empty()) {
      w.Add(stun::MobilityTicket{AsBytes(tickets.front())});
      tickets.pop_front();
    }
    if (sign && authenticated) {
      if (sha256) {
        w.AddIntegritySha256(Key());
      } else {
        w.AddIntegrity(Key());
      }
    }
    return Copy(w.Finish());
  }

  // A Data indication with a payload of `peer`'s.
  std::vector<uint8_t> Data(const TransportAddress& peer,
                            absl::Span<const uint8_t> payload) const {
    std::array<uint8_t, 1500> out;
    stun::MessageWriter w(absl::MakeSpan(out), stun::MessageClass::kIndication,
                          stun::Method::kData, {});
    w.Add(stun::XorPeerAddress{peer});
    w.Add(stun::Data{payload});
    return Copy(w.Finish());
  }

  static std::vector<uint8_t> Copy(absl::Span<const uint8_t> bytes) {
    return std::vector<uint8_t>(bytes.begin(), bytes.end());
  }
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_TESTING_SCRIPTED_SERVER_H_
