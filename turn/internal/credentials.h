// The users of the TURN server and the keys they prove themselves with.

#ifndef KYUU_TURN_INTERNAL_CREDENTIALS_H_
#define KYUU_TURN_INTERNAL_CREDENTIALS_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
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
};

class Credentials {
 public:
  explicit Credentials(const ServerOptions& options);

  absl::Status Grant(absl::Time now, absl::string_view username,
                     absl::string_view password, absl::Time expires);
  // Whether there was one.
  bool Revoke(absl::string_view username);
  // Whose quota the allocations of `username` count for: the NAME of a
  // time-limited user name, else the user name.
  std::string QuotaUserOf(absl::string_view username) const;

  // nullopt if nobody has that name, or no longer. Static users come first,
  // then granted ones, then the time-limited form.
  std::optional<Credential> Find(absl::Time now, absl::Duration utc_offset,
                                 absl::string_view username) const;

  // The password of a time-limited user name: base64(HMAC-SHA1(secret, name)).
  static std::string RestPassword(absl::string_view secret,
                                  absl::string_view username);

 private:
  struct Granted {
    stun::IntegrityKey key;
    absl::Time expires;
  };

  std::string realm_;
  std::string rest_secret_;
  size_t granted_max_;
  absl::flat_hash_map<std::string, stun::IntegrityKey> static_;
  absl::flat_hash_map<std::string, Granted> granted_;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_CREDENTIALS_H_
