// What an application says to all of a large room, who are told in several
// steps.

#ifndef KYUU_SIGNALING_INTERNAL_SAYING_H_
#define KYUU_SIGNALING_INTERNAL_SAYING_H_

#include <string>
#include <vector>

#include "absl/strings/cord.h"
#include "signaling/directory_types.h"

namespace kyuu::signaling::internal {

struct Saying {
  Member from{};
  std::string name;  // Of who says it.
  std::string room;
  absl::Cord text;
  // Who has yet to get it, the next one last. Who has gone meanwhile may still
  // be there.
  std::vector<Member> receivers;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_SAYING_H_
