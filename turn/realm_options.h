// What an operator sets about one realm of a TURN server.

#ifndef KYUU_TURN_REALM_OPTIONS_H_
#define KYUU_TURN_REALM_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "stun/access_token.h"

namespace kyuu::turn {

// Which realm of a server; 0 is its main one.
enum class RealmId : uint16_t {};
inline constexpr RealmId kMainRealm{0};

struct User {
  std::string name;
  std::string password;
  // Instead of a password what it hashes to with name and realm (RFC 8489
  // section 9.2.2), so that no file has to hold it: the 16 bytes of
  // MD5(name ":" realm ":" password), or the 32 of SHA-256, which are of use
  // to clients that choose SHA-256 only.
  std::string key;

  friend bool operator==(const User&, const User&) = default;
};

// The hash of the HMAC that makes time-limited passwords. SHA-1 is what all who
// make them use.
enum class RestHash : uint8_t { kSha1, kSha256, kEither };

// Tokens of an authorization server (RFC 7635), beside passwords; in the main
// realm. An allocation ends with its token, without a grace.
struct AccessTokens {
  // What both servers share. `kid` is the user name of who shows a token.
  struct Key {
    std::string kid;
    stun::TokenKey::Algorithm algorithm = {};
    std::string key;  // 16 or 32 bytes.

    friend bool operator==(const Key&, const Key&) = default;
  };
  std::vector<Key> keys;
  // By which clients ask for a token, and that it is sealed for; the realm if
  // empty.
  std::string server_name;
  // By how much both servers' clocks may differ (section 4.2: 5 s).
  absl::Duration delta = absl::Seconds(5);
};

// Whether the driver is asked about user names that nobody has here
// (AuthorizationWanted, Server::Authorize), and what may wait meanwhile.
struct Authorizing {
  enum class By : uint8_t { kNobody, kDriver };
  By by = By::kNobody;  // In the main realm; others have their own.
  // Of all realms together: names that are asked about at one time, and
  // requests of each. Beyond, requests are dropped, and repeated if they came
  // over UDP.
  size_t questions_max = 256;
  size_t held_per_user_max = 8;
  // Names that are known to be nobody's, and those that nothing was known of.
  size_t remembered_max = 4096;
  // For how long it is not asked again about the latter.
  absl::Duration failed_for = absl::Seconds(1);
};

// A realm beside the main one, with users and quotas of its own. A client gets
// it if an ORIGIN of its request (draft-ietf-tram-stun-origin) is one of
// `origins`, or else if the name that it has asked for by TLS or DTLS (SNI) is
// one of `hosts`, or else if it came to one of `listeners`; whoever fits no
// realm gets the main one. Then nonce and allocation are of that realm.
struct RealmOptions {
  std::string name;  // 1 to 127 characters.
  // Like "https://example.org"; the case of letters, a default port and a slash
  // at the end do not matter.
  std::vector<std::string> origins;
  // Like "turn.example.org"; neither the case of letters nor a dot at the end
  // matters.
  std::vector<std::string> hosts;
  std::vector<TransportAddress> listeners;

  std::vector<User> users;
  std::vector<std::string> rest_secrets;  // As ServerOptions::rest_secrets.
  RestHash rest_hash = RestHash::kSha1;
  // Who is asked about names that nobody has in it. What was said of one of
  // another realm's says nothing here.
  Authorizing::By authorizing = Authorizing::By::kNobody;

  // Of the realm, besides those of the server; beyond: 508.
  size_t allocations_max = 16'384;
  // Of one of its users, instead of that of the server; beyond: 486.
  size_t allocations_per_user_max = 256;
  // Bytes of payload per second and direction, as BandwidthLimits has them, and
  // with its burst: of one allocation, instead of that of the server unless 0;
  // of all of the realm together, on all servers of one Ledger, 0 for no limit.
  double allocation_bytes_per_s = 0;
  double total_bytes_per_s = 0;
  // Instead of those of the server, if there are any.
  std::vector<TransportAddress> alternate_servers;

  friend bool operator==(const RealmOptions&, const RealmOptions&) = default;
};

// Both in small letters; an origin without a default port and a slash at its
// end, a host without the dot that ends it.
std::string CanonicOrigin(absl::string_view origin);
std::string CanonicHost(absl::string_view host);

// INVALID_ARGUMENT with the reason if it is not what a client asks for by SNI:
// a name, and no address, port or pattern.
absl::Status ValidateHost(absl::string_view host);

}  // namespace kyuu::turn

#endif  // KYUU_TURN_REALM_OPTIONS_H_
