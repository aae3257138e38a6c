#include "turn/server_options.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "turn/channel_data.h"

namespace kyuu::turn {
namespace {

bool IsListed(const std::vector<IpPrefix>& list, const IpAddress& ip) {
  return std::any_of(list.begin(), list.end(), [&ip](const IpPrefix& block) {
    return block.Contains(ip);
  });
}

template <typename... Words>
absl::Status Invalid(const Words&... words) {
  return absl::InvalidArgumentError(absl::StrCat(words...));
}

absl::Status ValidateUsers(const std::vector<User>& users,
                           const std::vector<std::string>& secrets) {
  for (const User& user : users) {
    if (user.name.empty() || user.password.empty() == user.key.empty()) {
      return Invalid("a user needs a name and a password");
    }
    if (!user.key.empty() && user.key.size() != 16 && user.key.size() != 32) {
      return Invalid("a user's key has 16 bytes (MD5) or 32 (SHA-256)");
    }
    // RFC 8489 section 14.3: fewer than 509 bytes.
    if (user.name.size() > 508) return Invalid("a user name is too long");
  }
  // Each costs who guesses, and us, an HMAC.
  if (secrets.size() > 8) return Invalid("more than 8 secrets");
  for (const std::string& secret : secrets) {
    if (secret.empty()) return Invalid("a secret is empty");
  }
  return absl::OkStatus();
}

absl::Status ValidateAlternates(const std::vector<TransportAddress>& servers) {
  for (const TransportAddress& server : servers) {
    if (server.ip.IsAny() || server.port == 0) {
      return Invalid("an alternate server needs an address and a port, not ",
                     server.ToString());
    }
  }
  return absl::OkStatus();
}

// RFC 8489 section 14.9: fewer than 128 characters.
absl::Status ValidateRealmName(absl::string_view name) {
  if (name.empty() || name.size() > 127 || absl::StrContains(name, '\0')) {
    return Invalid("the realm needs 1 to 127 characters");
  }
  return absl::OkStatus();
}

absl::Status ValidateRealms(const ServerOptions& options) {
  if (options.realms.size() > 255) return Invalid("more than 255 realms");
  absl::flat_hash_set<std::string> names = {options.realm}, origins, hosts;
  absl::flat_hash_set<TransportAddress> listeners;
  for (const RealmOptions& realm : options.realms) {
    KYUU_RETURN_IF_ERROR(ValidateRealmName(realm.name));
    if (!names.insert(realm.name).second) {
      return Invalid("two realms are \"", realm.name, "\"");
    }
    for (const std::string& origin : realm.origins) {
      if (!origins.insert(CanonicOrigin(origin)).second) {
        return Invalid("the origin ", origin, " is of two realms");
      }
    }
    for (const std::string& host : realm.hosts) {
      KYUU_RETURN_IF_ERROR(ValidateHost(host));
      if (!hosts.insert(CanonicHost(host)).second) {
        return Invalid("the host ", host, " is of two realms");
      }
    }
    for (const TransportAddress& listener : realm.listeners) {
      if (!listeners.insert(listener).second) {
        return Invalid("the listener ", listener.ToString(),
                       " is of two realms");
      }
    }
    KYUU_RETURN_IF_ERROR(ValidateUsers(realm.users, realm.rest_secrets));
    KYUU_RETURN_IF_ERROR(ValidateAlternates(realm.alternate_servers));
    if (!(realm.allocation_bytes_per_s >= 0 && realm.total_bytes_per_s >= 0)) {
      return Invalid("a bandwidth is 0 at least");
    }
  }
  return absl::OkStatus();
}

// RFC 5780 section 3.
bool IsDiscovery(const std::vector<TransportAddress>& two) {
  for (const TransportAddress& a : two) {
    if (a.ip.IsAny() || a.port == 0) return false;
  }
  return two.size() == 2 && two[0].ip.family() == two[1].ip.family() &&
         two[0].ip != two[1].ip && two[0].port != two[1].port;
}

absl::Status ValidateTokens(const ServerOptions::AccessTokens& tokens) {
  absl::flat_hash_set<std::string> kids;
  for (const auto& key : tokens.keys) {
    if (key.kid.empty() || key.kid.size() > 508) {
      return Invalid("the key of tokens needs a kid of 1 to 508 bytes");
    }
    if (!kids.insert(key.kid).second) {
      return Invalid("two keys of tokens are \"", key.kid, "\"");
    }
    KYUU_RETURN_IF_ERROR(
        stun::TokenKey::Make(key.algorithm, AsBytes(key.key)).status());
  }
  if (tokens.server_name.size() > 255 || tokens.delta < absl::ZeroDuration()) {
    return Invalid(
        "the server of tokens has a name of 255 bytes at most, and "
        "a delta of 0 at least");
  }
  return absl::OkStatus();
}

absl::Status ValidateRelayAddresses(
    const std::vector<ServerOptions::RelayAddress>& addresses) {
  if (addresses.size() > 256) {
    return Invalid("more than 256 relay addresses");
  }
  absl::flat_hash_set<IpAddress> binds, told;
  for (const ServerOptions::RelayAddress& relay : addresses) {
    if (!binds.insert(relay.bind).second) {
      return Invalid("two relay addresses are ", relay.bind.ToString());
    }
    if (!told.insert(relay.told()).second) {
      return Invalid("two relay addresses are told as ",
                     relay.told().ToString());
    }
    if (relay.bind == IpAddress() || relay.bind.IsAny()) {
      return Invalid("a relay address must be one of an interface, not \"",
                     relay.bind.ToString(), "\"");
    }
    if (relay.advertised != IpAddress() &&
        relay.advertised.family() != relay.bind.family()) {
      return Invalid(relay.advertised.ToString(), " cannot stand for ",
                     relay.bind.ToString());
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateBandwidth(const BandwidthLimits& bandwidth) {
  if (!(bandwidth.allocation_bytes_per_s >= 0 &&
        bandwidth.user_bytes_per_s >= 0 && bandwidth.total_bytes_per_s >= 0)) {
    return Invalid("a bandwidth is 0 at least");
  }
  if (bandwidth.burst < kBandwidthSharers * kBandwidthSlice) {
    return Invalid("the burst of a bandwidth is 20ms at least");
  }
  return absl::OkStatus();
}

}  // namespace

bool ServerOptions::ServesClient(const IpAddress& ip) const {
  return !IsListed(deny_clients, ip) &&
         (allow_clients.empty() || IsListed(allow_clients, ip));
}

absl::Status ServerOptions::Validate() const {
  KYUU_RETURN_IF_ERROR(ValidateRealmName(realm));
  KYUU_RETURN_IF_ERROR(ValidateUsers(users, rest_secrets));
  KYUU_RETURN_IF_ERROR(ValidateRealms(*this));
  KYUU_RETURN_IF_ERROR(ValidateTokens(tokens));
  KYUU_RETURN_IF_ERROR(ValidateAlternates(alternate_servers));
  if (!discovery.empty() && !IsDiscovery(discovery)) {
    return Invalid(
        "NAT discovery needs two addresses of one family that differ in IP and "
        "port");
  }
  if (relay_port_low == 0 || relay_port_low > relay_port_high) {
    return Invalid("the relay ports ", relay_port_low, "-", relay_port_high,
                   " are no range");
  }
  KYUU_RETURN_IF_ERROR(ValidateRelayAddresses(relay_addresses));
  if (!(source_share > 0 && source_share <= 1)) {
    return Invalid("a share of the ports is above 0 and at most 1");
  }
  // RFC 8656 section 12.
  if (channel_max < kChannelMin || channel_max > kChannelMaxRfc5766) {
    return Invalid("the highest channel must be of 0x4000 to 0x7fff");
  }
  if (lifetime_default <= absl::ZeroDuration() ||
      lifetime_max < lifetime_default ||
      permission_lifetime <= absl::ZeroDuration() ||
      channel_lifetime <= absl::ZeroDuration() ||
      nonce_lifetime <= absl::ZeroDuration() ||
      revoked_grace < absl::ZeroDuration()) {
    return Invalid("lifetimes must be positive, the maximum the longest");
  }
  // An answer that is longer than the whole budget would never be given; 401
  // has at most 88 bytes beside the realm, and the name of a server of tokens.
  const double longest = 88 + 128 + (tokens.keys.empty() ? 0 : 4 + 256);
  if (unauthenticated_gain_bytes_per_s > 0 &&
      unauthenticated_gain_bytes_burst < longest) {
    return Invalid("unauthenticated_gain_bytes_burst must be ", longest,
                   " at least");
  }
  if (auth_failures_per_s > 0 && auth_failures_burst < 1) {
    return Invalid("auth_failures_burst must be 1 at least");
  }
  if (instance < 0 || instance > 255) return Invalid("more than 256 servers");
  if (peer_connect_timeout < absl::Seconds(30) ||
      peer_bind_timeout <= absl::ZeroDuration()) {
    return Invalid("a connection to a peer may take 30 s at least");
  }
  if (proven_factor < 1) return Invalid("proven_factor must be 1 at least");
  return ValidateBandwidth(bandwidth);
}

}  // namespace kyuu::turn
