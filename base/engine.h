// The one idiom of kyuu: protocol state machines without I/O.
//
// Bytes and time enter an engine through its arguments; packets, events and
// deadlines leave it through its results. A driver (net::Drive on real
// sockets, sim::Network in tests) owns the clock and the sockets:
//
//   engine.HandlePacket(now, packet);           // something arrived
//   engine.HandleTimeout(now);                  // NextTimeout() has passed
//   while (auto p = engine.PollTransmit(now, buffer)) Transmit(*p);
//   while (auto e = engine.PollEvent()) React(*e);
//   WakeAt(engine.NextTimeout());
//
// Any call may follow any other: draining late delays and never corrupts.

#ifndef KYUU_BASE_ENGINE_H_
#define KYUU_BASE_ENGINE_H_

#include <concepts>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace kyuu {

template <typename T, typename U>
concept OptionalOf = std::same_as<T, std::optional<U>>;

// Engine is what every protocol of kyuu looks like to its driver.
//
// `Packet` is what the protocol exchanges with its peer: a Datagram where
// addresses matter, a span of bytes where they do not. The same type goes in
// and comes out. A packet that goes in is only valid during the call; one that
// comes out points into `out`.
//
// `Event` is a std::variant of small structs that own what they carry.
template <typename E>
concept Engine = requires(E engine, const E& view, absl::Time now,
                          typename E::Packet in, absl::Span<uint8_t> out) {
  // Takes one received packet. Noise is counted in stats() and dropped.
  engine.HandlePacket(now, in);
  // Runs every timer that is due. Early and repeated calls do nothing.
  engine.HandleTimeout(now);
  // Builds the next packet to send inside `out`, from the state as it is now.
  { engine.PollTransmit(now, out) } -> OptionalOf<typename E::Packet>;
  // Takes the oldest event.
  { engine.PollEvent() } -> OptionalOf<typename E::Event>;
  // When to call HandleTimeout next; absl::InfiniteFuture() for never.
  { view.NextTimeout() } -> std::same_as<absl::Time>;
};

}  // namespace kyuu

#endif  // KYUU_BASE_ENGINE_H_
