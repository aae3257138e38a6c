// StreamEngine: what a StreamDriver asks of an engine.

#ifndef KYUU_NET_STREAM_ENGINE_H_
#define KYUU_NET_STREAM_ENGINE_H_

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/engine.h"

namespace kyuu::net {

// StreamEngine is an Engine over a byte stream. It may have more to tell:
//
//   bool abandoned() const       It has given the peer up: the stream is cut,
//                                whatever waits in it.
//   bool wants_input() const     False: nothing is read until it is true again,
//                                so that the peer has to wait, too.
//   size_t held_bytes() const    Memory that the peer makes it hold.
template <typename E>
concept StreamEngine = Engine<E> &&
    std::same_as<typename E::Packet, absl::Span<const uint8_t>> &&
    requires(E engine, const E& view, absl::Time now, const absl::Status& why) {
  // OK: the peer's direction has ended in order, ours goes on until
  // finished(). Otherwise the stream has failed and nothing more leaves.
  engine.HandleStreamEnd(now, why);
  // Nothing is left to say: our direction may end.
  { view.finished() } -> std::same_as<bool>;
};

namespace internal {

template <typename E>
bool Abandoned(const E& engine) {
  if constexpr (requires { engine.abandoned(); }) {
    return engine.abandoned();
  } else {
    return false;
  }
}

template <typename E>
bool WantsInput(const E& engine) {
  if constexpr (requires { engine.wants_input(); }) {
    return engine.wants_input();
  } else {
    return true;
  }
}

template <typename E>
size_t HeldBytes(const E& engine) {
  if constexpr (requires { engine.held_bytes(); }) {
    return engine.held_bytes();
  } else {
    return 0;
  }
}

}  // namespace internal
}  // namespace kyuu::net

#endif  // KYUU_NET_STREAM_ENGINE_H_
