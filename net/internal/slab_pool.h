// SlabPool: the memory in which a loop's trains are built, lent to one driver
// after the other.

#ifndef KYUU_NET_INTERNAL_SLAB_POOL_H_
#define KYUU_NET_INTERNAL_SLAB_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace kyuu::net::internal {

// A slab is 68 kB that a driver needs while it sends, and a driver whose socket
// takes no more until it does. One is kept for the next who asks: thousands of
// drivers that are idle, or send in turns, have it in common.
class SlabPool {
 public:
  struct Slab {
    std::unique_ptr<uint8_t[]> bytes;
    size_t size = 0;
  };

  // A slab of `size` bytes at least. What is in it is undefined.
  Slab Take(size_t size) {
    ++lent_;
    if (kept_.size >= size) return std::exchange(kept_, {});
    return {std::unique_ptr<uint8_t[]>(new uint8_t[size]), size};
  }
  // Gives back what Take has given.
  void Return(Slab slab) {
    --lent_;
    if (slab.size > kept_.size) kept_ = std::move(slab);
  }

  // Slabs that are in use.
  size_t lent() const { return lent_; }
  size_t kept_bytes() const { return kept_.size; }

 private:
  Slab kept_;
  size_t lent_ = 0;
};

}  // namespace kyuu::net::internal

#endif  // KYUU_NET_INTERNAL_SLAB_POOL_H_
