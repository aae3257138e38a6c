// AddressFilter: which addresses somebody wants.

#ifndef KYUU_BASE_ADDRESS_FILTER_H_
#define KYUU_BASE_ADDRESS_FILTER_H_

#include <algorithm>
#include <vector>

#include "base/address.h"

namespace kyuu {

// AddressFilter takes all addresses unless it says otherwise.
struct AddressFilter {
  std::vector<IpPrefix> only;    // Empty: whatever `except` does not name.
  std::vector<IpPrefix> except;  // Also of those in `only`.

  bool Takes(const IpAddress& address) const {
    const auto within = [&](const std::vector<IpPrefix>& blocks) {
      return std::any_of(
          blocks.begin(), blocks.end(),
          [&](const IpPrefix& block) { return block.Contains(address); });
    };
    return (only.empty() || within(only)) && !within(except);
  }

  friend bool operator==(const AddressFilter&, const AddressFilter&) = default;
};

}  // namespace kyuu

#endif  // KYUU_BASE_ADDRESS_FILTER_H_
