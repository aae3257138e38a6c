#include "turn/server_options.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "turn/channel_data.h"

namespace kyuu::turn {

absl::Status ServerOptions::Validate() const {
  const auto invalid = [](auto... words) {
    return absl::InvalidArgumentError(absl::StrCat(words...));
  };
  // RFC 8489 section 14.9: fewer than 128 characters.
  if (realm.empty() || realm.size() > 127) {
    return invalid("the realm needs 1 to 127 characters");
  }
  for (const User& user : users) {
    if (user.name.empty() || user.password.empty()) {
      return invalid("a user needs a name and a password");
    }
    // RFC 8489 section 14.3: fewer than 509 bytes.
    if (user.name.size() > 508) return invalid("a user name is too long");
  }
  if (relay_port_low == 0 || relay_port_low > relay_port_high) {
    return invalid("the relay ports ", relay_port_low, "-", relay_port_high,
                   " are no range");
  }
  if (relay_addresses.size() > 256) {
    return invalid("more than 256 relay addresses");
  }
  absl::flat_hash_set<IpAddress> binds, told;
  for (const RelayAddress& relay : relay_addresses) {
    if (!binds.insert(relay.bind).second) {
      return invalid("two relay addresses are ", relay.bind.ToString());
    }
    if (!told.insert(relay.told()).second) {
      return invalid("two relay addresses are told as ",
                     relay.told().ToString());
    }
    if (relay.bind == IpAddress() || relay.bind.IsAny()) {
      return invalid("a relay address must be one of an interface, not \"",
                     relay.bind.ToString(), "\"");
    }
    if (relay.advertised != IpAddress() &&
        relay.advertised.family() != relay.bind.family()) {
      return invalid(relay.advertised.ToString(), " cannot stand for ",
                     relay.bind.ToString());
    }
  }
  if (!(source_share > 0 && source_share <= 1)) {
    return invalid("a share of the ports is above 0 and at most 1");
  }
  // RFC 8656 section 12.
  if (channel_max < kChannelMin || channel_max > kChannelMaxRfc5766) {
    return invalid("the highest channel must be of 0x4000 to 0x7fff");
  }
  if (lifetime_default <= absl::ZeroDuration() ||
      lifetime_max < lifetime_default ||
      permission_lifetime <= absl::ZeroDuration() ||
      channel_lifetime <= absl::ZeroDuration() ||
      nonce_lifetime <= absl::ZeroDuration() ||
      revoked_grace < absl::ZeroDuration()) {
    return invalid("lifetimes must be positive, the maximum the longest");
  }
  // An answer that is longer than the whole budget would never be given; 401
  // has at most 80 bytes beside the realm.
  if (unauthenticated_gain_bytes_per_s > 0 &&
      unauthenticated_gain_bytes_burst < 80 + 127) {
    return invalid("unauthenticated_gain_bytes_burst must be 207 at least");
  }
  if (auth_failures_per_s > 0 && auth_failures_burst < 1) {
    return invalid("auth_failures_burst must be 1 at least");
  }
  if (proven_factor < 1) return invalid("proven_factor must be 1 at least");
  return absl::OkStatus();
}

}  // namespace kyuu::turn
