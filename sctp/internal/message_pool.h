// Where messages are while Send has taken them and the peer has not.

#ifndef KYUU_SCTP_INTERNAL_MESSAGE_POOL_H_
#define KYUU_SCTP_INTERNAL_MESSAGE_POOL_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
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
           free_.capacity() * sizeof(MessageId);
  }

  // A place with OutMessage() in it.
  MessageId Take() {
    while (!free_.empty()) {
      std::pop_heap(free_.begin(), free_.end(), std::greater<>());
      const MessageId id = free_.back();
      free_.pop_back();
      if (static_cast<size_t>(id) >= places_) continue;
      (*this)[id].free = false;
      return id;
    }
    if (places_ == capacity()) pages_.push_back(std::make_unique<Page>());
    const MessageId id{static_cast<uint32_t>(places_++)};
    (*this)[id].free = false;
    return id;
  }
  void Return(MessageId id) {
    (*this)[id] = OutMessage();
    (*this)[id].free = true;
    free_.push_back(id);
    std::push_heap(free_.begin(), free_.end(), std::greater<>());
    while (places_ > 0 && (*this)[MessageId(places_ - 1)].free) --places_;
    if (places_ + 2 * kPage <= capacity()) ReturnPages();
    if (free_.size() > 2 * places_ + 64) ForgetFree();
  }
  void Clear() { *this = MessagePool(); }

 private:
  // One page beyond the last place stays, so that a message at a time costs no
  // allocation.
  void ReturnPages() {
    pages_.resize(places_ / kPage + 1);
    GiveBack(pages_);
  }
  // Places beyond the last one are found again by counting.
  void ForgetFree() {
    std::erase_if(free_, [this](MessageId place) {
      return static_cast<size_t>(place) >= places_;
    });
    GiveBack(free_);
    std::make_heap(free_.begin(), free_.end(), std::greater<>());
  }

  std::vector<std::unique_ptr<Page>> pages_;
  size_t places_ = 0;
  // The free places, a heap with the lowest on top, and places that there are
  // not any more.
  std::vector<MessageId> free_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_MESSAGE_POOL_H_
