// Requests of users whom the server does not know, while somebody else is asked
// about them.

#ifndef KYUU_TURN_INTERNAL_AUTHORIZATIONS_H_
#define KYUU_TURN_INTERNAL_AUTHORIZATIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/deadline_queue.h"
#include "turn/server_options.h"

namespace kyuu::turn::internal {

// Authorizations keeps requests until it is known who has sent them, and who is
// known to be nobody. Names come here from clients that have shown where they
// are, and no more often than the ledger lets them try.
class Authorizations {
 public:
  using Options = ServerOptions::Authorizing;
  // A request that waits.
  struct Held {
    Path path;
    std::vector<uint8_t> bytes;
  };
  enum class Standing : uint8_t {
    kAsk,      // It is kept; ask about its user.
    kAsked,    // It is kept, or was already; he is asked about.
    kUnknown,  // He is known to be nobody.
    kFailed,   // Nothing was known of him a moment ago.
    kFull,     // Nothing is kept: too much is already.
  };

  Standing Hold(absl::Time now, const Options& options,
                absl::string_view username, const Path& path,
                absl::Span<const uint8_t> bytes);
  // What waits for him waits no more.
  std::vector<Held> Take(absl::string_view username);
  // He is nobody until then; or it is of no use to ask about him.
  void Deny(const Options& options, absl::string_view username,
            absl::Time until) {
    Note(options, denied_, username, until);
  }
  void Fail(const Options& options, absl::string_view username,
            absl::Time until) {
    Note(options, failed_, username, until);
  }
  // A client has gone, and does not wait.
  void Forget(const Path& path);

  size_t questions() const { return waiting_.size(); }
  size_t denied() const { return denied_.size(); }

 private:
  using Names = DeadlineQueue<std::string>;
  // Whether the name is there; what was so once is forgotten.
  static bool IsIn(absl::Time now, Names& names, const std::string& name);
  static void Note(const Options& options, Names& names,
                   absl::string_view username, absl::Time until);

  absl::flat_hash_map<std::string, std::vector<Held>> waiting_;
  Names denied_;
  Names failed_;
};

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_AUTHORIZATIONS_H_
