// Where messages are while Send has taken them and the peer has not.

#ifndef KYUU_SCTP_INTERNAL_MESSAGE_POOL_H_
#define KYUU_SCTP_INTERNAL_MESSAGE_POOL_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "sctp/internal/give_back.h"
#include "sctp/internal/out_message.h"

namespace kyuu::sctp::internal {

// MessagePool gives messages places in pages of some. The lowest free place is
// taken first, so that those at the end fall empty and are given back: of
// `places()` the last one is never free. References last until the place is
// returned.
class MessagePool {
 public:
  static constexpr size_t kPage = 4;
  using Page = std::array<OutMessage, kPage>;

  OutMessage& operator[](MessageId id) {
    const auto place = static_cast<size_t>(id);
    return (*pages_[place / kPage])[place % kPage];
  }
  const OutMessage& operator[](MessageId id) const {
    const auto place = static_cast<size_t>(id);
    return (*pages_[place / kPage])[place % kPage];
  }
  size_t places() const { return places_; }
  // What is allocated, in messages.
  size_t capacity() const { return pages_.size() * kPage; }
  // What all of it takes on the heap, but for what the messages own.
  size_t bytes() const {
    return pages_.size() * sizeof(Page) +
           pages_.capacity() * sizeof(pages_.front()) +
           free_.capacity() * sizeof(uint64_t);
  }

  // A place with OutMessage() in it.
  MessageId Take() {
    while (first_ < free_.size() && free_[first_] == 0) ++first_;
    if (first_ == free_.size()) return TakeNext();
    const size_t place =
        first_ * kBits + static_cast<size_t>(std::countr_zero(free_[first_]));
    free_[first_] &= free_[first_] - 1;
    return MessageId(place);
  }
  void Return(MessageId id) {
    (*this)[id] = OutMessage();
    const auto place = static_cast<size_t>(id);
    free_[place / kBits] |= BitOf(place);
    first_ = std::min(first_, place / kBits);
    if (place + 1 == places_) DropLast();
  }
  void Clear() { *this = MessagePool(); }

 private:
  static constexpr size_t kBits = 64;
  static uint64_t BitOf(size_t place) { return uint64_t{1} << place % kBits; }

  MessageId TakeNext() {
    if (places_ == capacity()) pages_.push_back(std::make_unique<Page>());
    if (places_ % kBits == 0) free_.push_back(0);
    first_ = places_ / kBits;
    return MessageId(places_++);
  }
  // One page beyond the last place stays, so that a message at a time costs no
  // allocation.
  void DropLast() {
    while (places_ > 0 && (free_.back() & BitOf(places_ - 1)) != 0) {
      --places_;
      free_.back() &= ~BitOf(places_);
      if (places_ % kBits == 0) free_.pop_back();
    }
    if (places_ + 2 * kPage > capacity()) return;
    pages_.resize(places_ / kPage + 1);
    GiveBack(pages_);
    GiveBack(free_);
  }

  std::vector<std::unique_ptr<Page>> pages_;
  size_t places_ = 0;
  // A bit for each place, set where it is free. Before word first_ none is.
  std::vector<uint64_t> free_;
  size_t first_ = 0;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_MESSAGE_POOL_H_
