// The type-erased form in which sim::Network holds engines of any type.

#ifndef KYUU_SIM_ENDPOINT_H_
#define KYUU_SIM_ENDPOINT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"

namespace kyuu::sim::internal {

// Endpoint is whatever receives datagrams on a simulated host.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  virtual void HandlePacket(absl::Time now, const Datagram& datagram) = 0;
  virtual void HandleTimeout(absl::Time now) = 0;
  virtual std::optional<Datagram> PollTransmit(absl::Time now,
                                               absl::Span<uint8_t> out) = 0;
  // Hands all waiting events to their handler; returns whether any handler
  // ran, since that may have touched other engines.
  virtual bool DispatchEvents() = 0;
  virtual absl::Time NextTimeout() const = 0;
};

template <Engine E>
class EngineEndpoint final : public Endpoint {
 public:
  EngineEndpoint(E& engine, std::function<void(typename E::Event)> on_event)
      : engine_(engine), on_event_(std::move(on_event)) {}

  void HandlePacket(absl::Time now, const Datagram& datagram) override {
    engine_.HandlePacket(now, datagram);
  }
  void HandleTimeout(absl::Time now) override { engine_.HandleTimeout(now); }
  std::optional<Datagram> PollTransmit(absl::Time now,
                                       absl::Span<uint8_t> out) override {
    return engine_.PollTransmit(now, out);
  }
  bool DispatchEvents() override {
    if (!on_event_) return false;
    bool any = false;
    while (auto event = engine_.PollEvent()) {
      on_event_(*std::move(event));
      any = true;
    }
    return any;
  }
  absl::Time NextTimeout() const override {
    return static_cast<const E&>(engine_).NextTimeout();
  }

 private:
  E& engine_;
  std::function<void(typename E::Event)> on_event_;
};

// A handler of a test in place of an engine.
class HandlerEndpoint final : public Endpoint {
 public:
  explicit HandlerEndpoint(std::function<void(const Datagram&)> handler)
      : handler_(std::move(handler)) {}

  void HandlePacket(absl::Time, const Datagram& datagram) override {
    handler_(datagram);
    handled_ = true;
  }
  void HandleTimeout(absl::Time) override {}
  std::optional<Datagram> PollTransmit(absl::Time,
                                       absl::Span<uint8_t>) override {
    return std::nullopt;
  }
  bool DispatchEvents() override { return std::exchange(handled_, false); }
  absl::Time NextTimeout() const override { return absl::InfiniteFuture(); }

 private:
  std::function<void(const Datagram&)> handler_;
  bool handled_ = false;
};

}  // namespace kyuu::sim::internal

#endif  // KYUU_SIM_ENDPOINT_H_
