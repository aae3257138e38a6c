// The realms of a TURN server: whose each request is, and who its users are.

#ifndef KYUU_TURN_INTERNAL_REALMS_H_
#define KYUU_TURN_INTERNAL_REALMS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "base/address.h"
#include "stun/message.h"
#include "turn/internal/credentials.h"
#include "turn/realm_options.h"
#include "turn/server_options.h"

namespace kyuu::turn::internal {

struct Realm {
  // Its users count for quotas with `quota_prefix` before their names.
  Realm(RealmOptions made, std::string quota_prefix);

  // Of the main realm only the name and those who may use it.
  RealmOptions options;
  Credentials credentials;
};

class Realms {
 public:
  explicit Realms(const ServerOptions& options);

  // Replaces all but the name of the main one. A realm keeps its id as long as
  // the server lives: one that is gone has no users, and gets no client.
  // Returns the static users that are gone or have another key.
  struct Gone {
    RealmId realm;
    std::string username;
  };
  std::vector<Gone> Set(const ServerOptions& options);

  const Realm& operator[](RealmId id) const {
    return *realms_[static_cast<size_t>(id)];
  }
  Credentials& main() { return realms_[0]->credentials; }
  Credentials& CredentialsOf(RealmId id) {
    return realms_[static_cast<size_t>(id)]->credentials;
  }
  // That of the name; the main one if it is empty.
  std::optional<RealmId> Named(absl::string_view name) const;
  // Whether `judge` says so of any realm's options.
  bool Any(absl::FunctionRef<bool(const RealmOptions&)> judge) const;

  // That of a request from `path`, of whom has asked for `host`, if any, and
  // has an allocation in realm `own`, or none. REALM counts if ORIGIN says
  // nothing: the nonce proves that we have said it.
  RealmId Of(const Path& path, absl::string_view host,
             const stun::MessageView& message,
             std::optional<RealmId> own) const;

 private:
  RealmId Find(absl::string_view name);

  std::vector<std::unique_ptr<Realm>> realms_;  // By id.
  // Of those beside the main one that are there.
  absl::flat_hash_map<std::string, RealmId> names_;
  absl::flat_hash_map<std::string, RealmId> origins_;
  absl::flat_hash_map<std::string, RealmId> hosts_;
  absl::flat_hash_map<TransportAddress, RealmId> listeners_;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_REALMS_H_
