// CandidateList: candidates that are seldom looked at, in little memory.

#ifndef KYUU_ICE_COMPACT_CANDIDATE_LIST_H_
#define KYUU_ICE_COMPACT_CANDIDATE_LIST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/bytes.h"
#include "ice/candidate.h"

namespace kyuu::ice {

// CandidateList keeps candidates one behind the other as bytes: a host
// candidate of IPv4 has 19, where a Candidate has some 230. Whoever asks gets
// values, made anew. Nothing is on the heap while it is empty.
class CandidateList {
 public:
  using Predicate = absl::FunctionRef<bool(const Candidate&)>;

  CandidateList() = default;
  explicit CandidateList(const std::vector<Candidate>& all) { Assign(all); }
  CandidateList(const CandidateList& other);
  CandidateList(CandidateList&& other) noexcept;
  CandidateList& operator=(CandidateList other) noexcept;

  bool empty() const { return count_ == 0; }
  size_t size() const { return count_; }

  // In the order in which they were added.
  std::vector<Candidate> Get() const;
  bool Any(Predicate is_it) const;
  void Add(const Candidate& candidate);
  void Assign(const std::vector<Candidate>& all);
  // Takes those out, and returns them in their order.
  std::vector<Candidate> TakeOut(Predicate is_it);

  // The same in the same order.
  friend bool operator==(const CandidateList& a, const CandidateList& b) {
    return a.bytes() == b.bytes();
  }

 private:
  absl::Span<const uint8_t> bytes() const { return {bytes_.get(), size_}; }

  std::unique_ptr<uint8_t[]> bytes_;
  uint32_t size_ = 0;
  uint32_t count_ = 0;
};

}  // namespace kyuu::ice

#endif  // KYUU_ICE_COMPACT_CANDIDATE_LIST_H_
