// The users of the TURN server and the keys they prove themselves with.

#ifndef KYUU_TURN_INTERNAL_CREDENTIALS_H_
#define KYUU_TURN_INTERNAL_CREDENTIALS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "stun/access_token.h"
#include "stun/integrity.h"
#include "turn/server_options.h"

namespace kyuu::turn::internal {

// What a user name stands for.
struct Credential {
  stun::IntegrityKey key;
  absl::Time expires = absl::InfiniteFuture();  // On the driver's clock.
  // Whose allocations count together: the name, without the expiry that a
  // time-limited name begins with.
  std::string quota_user;
  // Made by Grant(): anybody's who asks.
  bool granted = false;
  // Of allocations at one time, if another than all have.
  std::optional<size_t> allocations_max;
  // A token (RFC 7635), and when it was made: its allocations have no grace.
  bool token = false;
  absl::Time token_made = absl::InfinitePast();
};

class Credentials {
 public:
  // `quota_prefix` tells its users from those of other realms: a NUL, the
  // realm's name, a NUL; nothing for the main one.
  explicit Credentials(const ServerOptions& options,
                       std::string quota_prefix = "");

  // Replaces static users, secrets and granted_max. Returns the static users
  // that are gone or have another key.
  std::vector<std::string> SetUsers(const ServerOptions& options);

  absl::Status Grant(absl::Time now, absl::string_view username,
                     absl::string_view password, absl::Time expires);
  // The same for one whom the operator has given it to, perhaps by a key.
  absl::Status Grant(absl::Time now, const ServerOptions::User& user,
                     absl::Time expires, std::optional<size_t> allocations_max);
  // Whether there was one.
  bool Revoke(absl::string_view username);
  // Whose quota the allocations of `username` count for: the NAME of a
  // time-limited user name, else the user name; with the prefix.
  std::string QuotaUserOf(absl::string_view username) const;
  // The same for the name of a static or granted user.
  std::string Counted(absl::string_view name) const;
  // The name in what either has returned, for people.
  absl::string_view NameIn(absl::string_view counted) const {
    return absl::StripPrefix(counted, quota_prefix_);
  }

  // What the name may stand for, of which one must hold: one credential, or
  // for the time-limited form one by secret and hash. None if nobody has that
  // name, no longer, or no key for `hash`. Static users come first, then
  // granted ones, then the time-limited form.
  using Candidates = absl::InlinedVector<Credential, 1>;
  Candidates Find(absl::Time now, absl::Duration utc_offset,
                  absl::string_view username,
                  stun::PasswordHash hash = stun::PasswordHash::kMd5) const;

  // Whether the name is anybody's now, whatever his key.
  bool Knows(absl::Time now, absl::Duration utc_offset,
             absl::string_view username) const;
  // What the token says that was shown under that user name; none if it is not
  // of a key of ours, or not of this time. Its key whole, and as coturn has it:
  // the first 16 bytes.
  Candidates OfToken(absl::Time now, absl::Duration utc_offset,
                     absl::string_view kid,
                     absl::Span<const uint8_t> token) const;
  // What clients ask for tokens by; "" if there are no keys.
  const std::string& token_server() const { return token_server_; }

  // The static or granted user that the hash is of (RFC 8489 section 14.4); ""
  // if there is none.
  std::string NameOf(const stun::Userhash& hash) const;

  // The password of a time-limited user name: base64(HMAC(secret, name)), with
  // SHA-1 or SHA-256.
  enum class RestMac : uint8_t { kSha1, kSha256 };
  static std::string RestPassword(absl::string_view secret,
                                  absl::string_view username,
                                  RestMac mac = RestMac::kSha1);

 private:
  // By the hash that a client has chosen.
  struct Keys {
    std::optional<stun::IntegrityKey> md5;
    std::optional<stun::IntegrityKey> sha256;

    const std::optional<stun::IntegrityKey>& Of(stun::PasswordHash hash) const {
      return hash == stun::PasswordHash::kSha256 ? sha256 : md5;
    }
  };
  struct Static {
    Keys keys;
    std::string origin;  // The password or the key, to see it change.
  };
  struct Granted {
    Keys keys;
    absl::Time expires;
    enum class To : uint8_t { kAnybody, kUser } to = To::kAnybody;
    std::optional<size_t> allocations_max = std::nullopt;
  };
  absl::Status Keep(absl::Time now, absl::string_view username,
                    Granted granted);
  Keys KeysOf(const ServerOptions::User& user) const;
  using Hash = decltype(stun::Userhash::value);
  void Learn(const std::string& username);
  void Forget(absl::string_view username);
  Keys KeysOf(absl::string_view username, absl::string_view password) const;

  const std::string realm_;
  const std::string quota_prefix_;
  std::vector<std::string> rest_secrets_;
  ServerOptions::RestHash rest_hash_ = ServerOptions::RestHash::kSha1;
  size_t granted_max_;
  absl::flat_hash_map<std::string, stun::TokenKey> token_keys_;  // By kid.
  std::string token_server_;
  absl::Duration token_delta_;
  absl::flat_hash_map<std::string, Static> static_;
  absl::node_hash_map<std::string, Granted> granted_;  // Thousands, each large.
  absl::flat_hash_map<Hash, std::string> names_;       // Of both.
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_CREDENTIALS_H_
