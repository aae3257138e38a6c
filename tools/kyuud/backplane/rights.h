// RedisRights: what the user of a backplane may not do at its Redis (ACL).

#ifndef KYUU_TOOLS_KYUUD_BACKPLANE_RIGHTS_H_
#define KYUU_TOOLS_KYUUD_BACKPLANE_RIGHTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/kyuud/backplane/address.h"
#include "tools/kyuud/backplane/redis_client.h"

namespace kyuu::tools {

// RedisRights gathers what was refused: a script fails late, and only those who
// look at counters learn of it, so all rights are tried before the first use.
class RedisRights {
 public:
  explicit RedisRights(const BackplaneAddress& address);

  // One command for each right that a backplane needs, beside those that a
  // connection begins with (AUTH, SELECT, SUBSCRIBE). None of them changes
  // anything, and nobody hears of them: they are about a node that none is.
  std::vector<std::vector<std::string>> Probes() const;
  // Of that node, to subscribe to.
  std::string ProbeChannel() const;
  // False if `reply` to `command` does not refuse it for want of a right, as
  // far as it says so; otherwise the right is noted.
  bool NoteRefusal(absl::string_view command, const redisReply& reply);

  bool complete() const { return missing_.empty(); }
  // The rights that were refused in words of an ACL, "" for none: "+publish
  // &kyuu:*".
  const std::string& missing() const { return missing_; }
  // What an operator says to his Redis: "ACL SETUSER kyuu +publish".
  std::string Mend() const;

 private:
  BackplaneAddress address_;
  std::string missing_;
};

// Whether a reply refuses something for want of a right.
bool IsRefusal(const redisReply& reply);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_BACKPLANE_RIGHTS_H_
