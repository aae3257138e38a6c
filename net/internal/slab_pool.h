// SlabPool: what a loop's trains are built in, lent to one driver after the
// other.

#ifndef KYUU_NET_INTERNAL_SLAB_POOL_H_
#define KYUU_NET_INTERNAL_SLAB_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "base/address.h"
#include "net/train_builder.h"

namespace kyuu::net::internal {

// A slab is 68 kB and the train in them that a driver needs while it sends, and
// a driver whose socket takes no more until it does. One is kept for the next
// who asks: thousands of drivers that are idle, or send in turns, have it in
// common.
class SlabPool {
 public:
  struct Slab {
    explicit Slab(size_t bytes_size)
        : bytes(new uint8_t[bytes_size]), size(bytes_size) {}
    std::unique_ptr<uint8_t[]> bytes;
    size_t size;
    size_t used = 0;  // Of the bytes, by what is in hand.
    TrainBuilder train;
    // The datagram that could not join a train that could not leave.
    std::optional<Datagram> next;
  };

  // A slab of `size` bytes at least. What is in them is undefined; else it is
  // empty.
  std::unique_ptr<Slab> Take(size_t size) {
    ++lent_;
    if (kept_bytes() >= size) return std::move(kept_);
    return std::make_unique<Slab>(size);
  }
  // Gives back what Take has given.
  void Return(std::unique_ptr<Slab> slab) {
    --lent_;
    slab->used = 0;
    slab->train.Clear();
    slab->next.reset();
    if (slab->size > kept_bytes()) kept_ = std::move(slab);
  }

  // Slabs that are in use.
  size_t lent() const { return lent_; }
  size_t kept_bytes() const { return kept_ ? kept_->size : 0; }

 private:
  std::unique_ptr<Slab> kept_;
  size_t lent_ = 0;
};

}  // namespace kyuu::net::internal

#endif  // KYUU_NET_INTERNAL_SLAB_POOL_H_
