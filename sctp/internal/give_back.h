// What a burst has made large is given back after it.

#ifndef KYUU_SCTP_INTERNAL_GIVE_BACK_H_
#define KYUU_SCTP_INTERNAL_GIVE_BACK_H_

#include <cstddef>
#include <utility>
#include <vector>

namespace kyuu::sctp::internal {

// GiveBack shrinks a vector of which an eighth is used at most; it then takes
// as many additions to grow again as removals have come before, so that each
// pays for a fixed share of the move. Small ones stay.
template <typename T>
void GiveBack(std::vector<T>& elements) {
  if (elements.capacity() <= 1024 / sizeof(T) ||
      elements.size() > elements.capacity() / 8) {
    return;
  }
  std::vector<T> smaller;
  smaller.reserve(2 * elements.size());
  for (T& element : elements) smaller.push_back(std::move(element));
  elements = std::move(smaller);
}

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_GIVE_BACK_H_
