// Requests of users whom the server does not know, while somebody else is asked
// about them.

#ifndef KYUU_TURN_INTERNAL_AUTHORIZATIONS_H_
#define KYUU_TURN_INTERNAL_AUTHORIZATIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/deadline_queue.h"
#include "turn/forward.h"
#include "turn/realm_options.h"
#include "turn/server_options.h"

namespace kyuu::turn::internal {

// Authorizations keeps requests until it is known who has sent them, and who is
// known to be nobody: each realm's users for themselves. Names come here from
// clients that have shown where they are, and no more often than the ledger
// lets them try.
class Authorizations {
 public:
  using Options = ServerOptions::Authorizing;
  // A user, by realm and name.
  using Who = std::pair<RealmId, std::string>;
  // A request that waits, with what its Arrival said.
  struct Held {
    Path path;
    std::vector<uint8_t> bytes;
    Reach reach;
    std::string host;
  };
  enum class Standing : uint8_t {
    kAsk,      // It is kept; ask about its user.
    kAsked,    // It is kept, or was already; he is asked about.
    kUnknown,  // He is known to be nobody.
    kFailed,   // Nothing was known of him a moment ago.
    kFull,     // Nothing is kept: too much is already.
  };

  Standing Hold(absl::Time now, const Options& options, const Who& who,
                const Path& path, absl::Span<const uint8_t> bytes,
                const Arrival& arrival);
  // What waits for him waits no more.
  std::vector<Held> Take(const Who& who);
  // He is nobody until then; or it is of no use to ask about him.
  void Deny(const Options& options, const Who& who, absl::Time until) {
    Note(options, denied_, who, until);
  }
  void Fail(const Options& options, const Who& who, absl::Time until) {
    Note(options, failed_, who, until);
  }
  // A client has gone, and does not wait.
  void Forget(const Path& path);

  size_t questions() const { return waiting_.size(); }
  size_t denied() const { return denied_.size(); }

 private:
  using Names = DeadlineQueue<Who>;
  // Whether the name is there; what was so once is forgotten.
  static bool IsIn(absl::Time now, Names& names, const Who& who);
  static void Note(const Options& options, Names& names, const Who& who,
                   absl::Time until);

  absl::flat_hash_map<Who, std::vector<Held>> waiting_;
  Names denied_;
  Names failed_;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_AUTHORIZATIONS_H_
