#include "ice/internal/policy_questions.h"

#include <memory>
#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent_types.h"
#include "ice/internal/generation.h"
#include "ice/policy.h"

namespace kyuu::ice::internal {
namespace {

// Whether data stays with the nominated pair although it is silent.
absl::Time Hold(absl::Time now, const AgentOptions& options, Generation& g) {
  g.held = false;
  if (!g.selected || !g.pairs[*g.selected].suspect()) {
    return absl::InfiniteFuture();
  }
  const std::optional<size_t> best =
      g.pairs.BestValid(Checklist::Among::kHealthy);
  if (!best) return absl::InfiniteFuture();
  const absl::Time until = HeldUntil(g.ViewOf(*g.selected), g.ViewOf(*best),
                                     options.stream_after_silence);
  g.held = now < until;
  return g.held ? until : absl::InfiniteFuture();
}

}  // namespace

NominationAnswer AskNomination(absl::Time now, const AgentOptions& options,
                               const Generation& g, size_t best) {
  absl::InlinedVector<PairView, 16> pending;
  NominationQuestion question{
      .now = now,
      .best = g.ViewOf(best),
      .nominated = std::nullopt,
      .pending = {},
      .remote_done = g.remote_done,
      .wait_direct = options.nomination_wait_direct,
      .wait_relayed = options.nomination_wait_relayed,
      .renomination_wait = options.renomination_wait,
      .stream_after_silence = options.stream_after_silence,
      .renomination_wait_stream = options.renomination_wait_stream};
  if (g.selected) {
    question.nominated = g.ViewOf(*g.selected);
  } else {
    for (const size_t index : g.pairs.PendingAbove(g.pairs[best].priority)) {
      pending.push_back(g.ViewOf(index));
    }
    question.pending = pending;
  }
  const SelectionPolicy& policy = options.policy;
  return policy.nominate == nullptr ? DefaultNomination(question)
                                    : policy.nominate(policy.context, question);
}

absl::Time ChooseUse(absl::Time now, const AgentOptions& options,
                     Generation& g) {
  const SelectionPolicy& policy = options.policy;
  if (policy.use == nullptr) return Hold(now, options, g);
  g.stand_in.reset();
  if (g.selected && g.pairs[*g.selected].healthy()) {
    return absl::InfiniteFuture();
  }
  std::vector<size_t> indices;
  std::vector<PairView> views;
  for (const size_t index : g.pairs.Valid()) {
    if (g.pairs[index].suspect()) continue;
    indices.push_back(index);
    views.push_back(g.ViewOf(index));
  }
  if (indices.size() < 2) return absl::InfiniteFuture();
  const UseAnswer answer = policy.use(policy.context, {now, views});
  if (answer.pair < indices.size()) {
    g.stand_in = std::make_unique<Generation::StandIn>(
        Generation::StandIn{indices[answer.pair], answer.reason});
  }
  return absl::InfiniteFuture();
}

ReserveAnswer AskReserve(const AgentOptions& options, const Generation& g,
                         size_t pair, std::optional<size_t> in_use,
                         size_t kept) {
  const SelectionPolicy& policy = options.policy;
  if (policy.reserve == nullptr || !in_use) return {true, {}};
  return policy.reserve(policy.context, {g.ViewOf(pair), g.ViewOf(*in_use),
                                         kept, options.max_backup_pairs});
}

absl::string_view ReasonOfUse(const Generation& g, size_t index,
                              const std::optional<Path>& before) {
  if (g.stand_in && g.stand_in->pair == index) return g.stand_in->reason;
  if (!before) return reasons::kFirst;
  const std::optional<size_t> old = g.pairs.FindPath(*before);
  if (!old || !g.pairs[*old].valid) return reasons::kUsedIsGone;
  if (g.pairs[*old].suspect()) return reasons::kUsedIsSilent;
  return g.selected == index ? reasons::kNominated : reasons::kBest;
}

}  // namespace kyuu::ice::internal
