// What an agent asks its policy, and how the answers are told.

#ifndef KYUU_ICE_INTERNAL_POLICY_QUESTIONS_H_
#define KYUU_ICE_INTERNAL_POLICY_QUESTIONS_H_

#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent_types.h"
#include "ice/internal/generation.h"
#include "ice/policy.h"

namespace kyuu::ice::internal {

// Whether and when the pair `best` of `g` is to be nominated.
NominationAnswer AskNomination(absl::Time now, const AgentOptions& options,
                               const Generation& g, size_t best);
// Sets Generation::stand_in, while it is needed and the policy has a say in it,
// and else Generation::held. Returns when to ask again.
absl::Time ChooseUse(absl::Time now, const AgentOptions& options,
                     Generation& g);
// Whether `pair` is to be a reserve of `in_use` beside `kept` others.
ReserveAnswer AskReserve(const AgentOptions& options, const Generation& g,
                         size_t pair, std::optional<size_t> in_use,
                         size_t kept);
// Why data goes by the pair in use of `g`, and not by the path of before.
absl::string_view ReasonOfUse(const Generation& g, size_t index,
                              const std::optional<Path>& before);

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_POLICY_QUESTIONS_H_
