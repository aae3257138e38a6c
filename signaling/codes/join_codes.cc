#include "signaling/codes/join_codes.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "signaling/internal/name.h"
#include "signaling/message_limits.h"

namespace kyuu::signaling {
namespace {

constexpr uint64_t kCodes = 1'000'000;

absl::Status TooMany() {
  return absl::ResourceExhaustedError("too many codes in a short time");
}

}  // namespace

JoinCodes::JoinCodes(JoinCodeOptions options, Random& random)
    : options_(options),
      random_(random),
      makers_(options_.made),
      triers_(options_.tried),
      all_(options_.tried_by_all) {}

absl::StatusOr<JoinCode> JoinCodes::Make(absl::Time now,
                                         const IpAddress& address,
                                         absl::string_view room) {
  Expire(now);
  std::string name;
  if (!room.empty()) {
    KYUU_ASSIGN_OR_RETURN(
        internal::PreparedName prepared,
        internal::PrepareName(room, MessageLimits().max_name_bytes));
    name = std::move(prepared.shown);
  }
  const Source source = SourceOf(address);
  const bool is_known = source != Source();
  if (codes_.size() >= options_.max_codes ||
      (is_known && makers_.Take(now, source) > absl::ZeroDuration())) {
    ++stats_.limited;
    return TooMany();
  }
  if (!held_.Take(source, options_.max_codes_per_source)) {
    ++stats_.limited;
    return absl::ResourceExhaustedError("your codes are still good");
  }
  JoinCode code;
  do {
    code.digits = absl::StrFormat("%06d", random_.Below(kCodes));
  } while (codes_.contains(code.digits));
  code.until = now + options_.lifetime;
  codes_[code.digits] = {std::move(name), source, code.until, options_.uses};
  made_.push_back(code);
  ++stats_.made;
  return code;
}

absl::StatusOr<std::string> JoinCodes::Use(absl::Time now,
                                           const IpAddress& address,
                                           absl::string_view digits) {
  Expire(now);
  const Source source = SourceOf(address);
  // Before anything is looked up: what is refused says nothing of the code.
  if ((source != Source() &&
       triers_.Take(now, source) > absl::ZeroDuration()) ||
      all_.Take(now, 0) > absl::ZeroDuration()) {
    ++stats_.limited;
    return TooMany();
  }
  const auto it = codes_.find(digits);
  if (it == codes_.end()) {
    ++stats_.unknown;
    return absl::NotFoundError("this is no code, or none any more");
  }
  ++stats_.used;
  std::string room = it->second.room;
  if (--it->second.uses_left == 0) Remove(it->first);
  return room;
}

void JoinCodes::Expire(absl::Time now) {
  while (!made_.empty() && made_.front().until <= now) {
    const auto it = codes_.find(made_.front().digits);
    // The digits may have been given away again meanwhile.
    if (it != codes_.end() && it->second.until == made_.front().until) {
      Remove(made_.front().digits);
    }
    made_.pop_front();
  }
}

void JoinCodes::Remove(const std::string& digits) {
  const auto it = codes_.find(digits);
  held_.Return(it->second.source);
  codes_.erase(it);
}

}  // namespace kyuu::signaling
