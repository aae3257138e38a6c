// Drive: runs an addressed engine (base/engine.h) on UDP sockets and a Loop.
//
//   net::ReceiveBuffer buffer;
//   net::Driver driver(*loop, engine, buffer, [&](auto event) { ... });
//   driver.AddSocket(socket);       // As many as the engine has addresses.
//   engine.Connect(net::Loop::Now());
//   driver.Flush();                 // After every command given from outside.
//
// A wake-up drains the socket in batches, hands every datagram to the engine,
// delivers its events, and then sends in one flush what it has to say: runs of
// equal-size datagrams to one address leave as one train. What else an engine
// may have: net/drive_engine.h.

#ifndef KYUU_NET_DRIVE_H_
#define KYUU_NET_DRIVE_H_

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/engine.h"
#include "base/short_list.h"
#include "net/drive_engine.h"
#include "net/internal/departure.h"
#include "net/internal/slab_pool.h"
#include "net/loop.h"
#include "net/udp_socket.h"

namespace kyuu::net {

// Driver owns neither the engine nor the sockets nor the buffer; all must
// outlive it. It may be destroyed by its own event handler.
//
// When a socket would block, polling stops until it is writable again: besides
// the one train in hand nothing is built ahead, so what is sent later tells the
// engine's state of that moment. While one socket is blocked, the others wait.
template <typename E>
requires Engine<E> && std::same_as<typename E::Packet, Datagram>
class Driver {
 public:
  using EventHandler = absl::AnyInvocable<void(typename E::Event)>;
  using StreamSender = absl::AnyInvocable<void(const Datagram&)>;

  Driver(Loop& loop, E& engine, ReceiveBuffer& buffer, EventHandler on_event,
         const DriveOptions& options = {})
      : engine_(engine),
        loop_(loop),
        buffer_(buffer),
        options_(options),
        on_event_(std::move(on_event)),
        departure_(loop.Shared<internal::SlabPool>(), options.datagram_bytes),
        alarm_(loop, [this] {
          engine_.HandleTimeout(Loop::Now());
          Flush();
        }) {}
  ~Driver() {
    if (destroyed_ != nullptr) *destroyed_ = true;
  }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // Datagrams whose Path.local is the socket's bound address (any address of
  // its port, for a wildcard bind) leave through `socket`.
  void AddSocket(UdpSocket& socket) {
    departure_.AddSocket(socket);
    const auto on_ready = [this, &socket](Readiness r) { OnReady(socket, r); };
    own_.push_back(
        {&socket, std::make_unique<Watch>(loop_, socket.fd(), Interest::kRead,
                                          on_ready)});
  }
  // Datagrams of streams (Path.transport is not kUdp) go to `send`, which
  // copies or drops them. What comes by them is for the engine, then Flush().
  void SendStreamsBy(StreamSender send) {
    send_stream_ = std::make_unique<StreamSender>(std::move(send));
  }
  // A socket that others send by, too. Who owns it has the hooks, null when
  // they end before this, and calls Receive(), and Flush() when what has come
  // together was handed over.
  void ShareSocketsBy(SharedSocketHooks* hooks) { hooks_ = hooks; }
  void AddSharedSocket(UdpSocket& socket) { departure_.AddSocket(socket); }
  // True: Flush() is urgent.
  bool Receive(absl::Time now, const Datagram& datagram) {
    engine_.HandlePacket(now, datagram);
    return TransmitUrgent();
  }
  // Of either kind.
  void RemoveSocket(UdpSocket& socket) {
    departure_.RemoveSocket(socket);
    own_.EraseIf([&](const Own& own) { return own.socket == &socket; });
  }

  // Delivers events, sends what the engine has to send and arms the timer. Call
  // it after commands given outside of the event handler; inside it does
  // nothing, since the flush in progress will see to it.
  void Flush() { Settle(); }

  // Datagrams for which no socket has the source address; dropped.
  uint64_t unroutable() const { return departure_.unroutable(); }

 private:
  enum class Alive : uint8_t { kNo, kYes };
  struct Own {  // A socket that is nobody else's.
    UdpSocket* socket;
    std::unique_ptr<Watch> watch;
  };

  Alive Settle() {
    if (destroyed_ != nullptr) return Alive::kYes;
    bool destroyed = false;
    destroyed_ = &destroyed;
    // The handler is held here while it runs, so that it may destroy us.
    EventHandler on_event = std::move(on_event_);
    while (true) {
      std::optional<typename E::Event> event = engine_.PollEvent();
      if (!event) {
        Transmit();
        TellRefusals();
        event = engine_.PollEvent();
        if (!event) break;
      }
      on_event(*std::move(event));
      if (destroyed) return Alive::kNo;
    }
    on_event_ = std::move(on_event);
    destroyed_ = nullptr;
    alarm_.Set(engine_.NextTimeout());
    if (hooks_ != nullptr) hooks_->OnSettled();
    return Alive::kYes;
  }

  // Builds what the engine must say before it takes the next packet; it leaves
  // with the flush that follows. False: nothing is urgent.
  bool TransmitUrgent() {
    if constexpr (UrgentEngine<E>) {
      if (!engine_.transmit_urgent()) return false;
      if (departure_.Resume()) Build();
      return true;
    }
    return false;
  }

  // They come up in receiving or in sending, whichever is next.
  void TellRefusals() {
    if constexpr (RefusableEngine<E>) {
      for (const Own& own : own_) {
        const absl::Status why = own.socket->TakeRefusal();
        if (why.ok()) continue;
        engine_.HandleRefusal(Loop::Now(), own.socket->remote(), why);
      }
    }
  }

  void OnReady(UdpSocket& socket, Readiness ready) {
    if (ready.writable) WatchWritable(socket, Interest::kRead);
    if (ready.readable) {
      for (size_t i = 0; i < options_.receives_per_turn; ++i) {
        const absl::Span<const Train> trains = socket.Receive(buffer_);
        if (trains.empty()) break;
        const bool drained = trains.size() < ReceiveBuffer::kTrains;
        const absl::Time now = Loop::Now();
        bool urgent = false;
        for (const Train& train : trains) {
          for (size_t k = 0; k < train.segments(); ++k) {
            if (Receive(now, {train.path, train.segment(k)})) urgent = true;
          }
        }
        if (drained) break;
        // A handler may have destroyed this driver, or closed the socket.
        if (urgent && (Settle() == Alive::kNo || !Has(socket))) return;
      }
    }
    Flush();
  }

  bool Has(const UdpSocket& socket) const {
    return std::any_of(own_.begin(), own_.end(),
                       [&](const Own& own) { return own.socket == &socket; });
  }

  void Build() {
    while (std::optional<Datagram> datagram =
               engine_.PollTransmit(Loop::Now(), departure_.Space())) {
      if (send_stream_ && datagram->path.transport != Transport::kUdp) {
        (*send_stream_)(*datagram);
        continue;
      }
      // STUN alone (RFC 7983 section 7).
      if (hooks_ != nullptr && !datagram->bytes.empty() &&
          datagram->bytes[0] <= 3) {
        hooks_->OnStun(*datagram);
      }
      if (!departure_.Add(*datagram)) break;
    }
  }

  void Transmit() {
    if (departure_.Resume()) {
      Build();
      departure_.Resume();
    }
    if (UdpSocket* blocked = departure_.blocked()) {
      WatchWritable(*blocked, Interest::kReadWrite);
      if (hooks_ != nullptr) hooks_->OnBlocked(*blocked);
    }
  }

  void WatchWritable(const UdpSocket& socket, Interest interest) {
    for (const Own& own : own_) {
      if (own.socket == &socket) own.watch->SetInterest(interest);
    }
  }

  E& engine_;
  Loop& loop_;
  ReceiveBuffer& buffer_;
  const DriveOptions options_;
  EventHandler on_event_;
  internal::Departure departure_;
  std::unique_ptr<StreamSender> send_stream_;  // Null: it has no streams.
  SharedSocketHooks* hooks_ = nullptr;         // Null: it shares none.
  ShortList<Own> own_;
  Alarm alarm_;
  bool* destroyed_ = nullptr;  // Set while flushing.
};

// Drive makes a Driver that runs `engine` on one socket, and starts it.
template <typename E>
std::unique_ptr<Driver<E>> Drive(Loop& loop, E& engine, UdpSocket& socket,
                                 ReceiveBuffer& buffer,
                                 typename Driver<E>::EventHandler on_event,
                                 const DriveOptions& options = {}) {
  auto driver = std::make_unique<Driver<E>>(loop, engine, buffer,
                                            std::move(on_event), options);
  driver->AddSocket(socket);
  driver->Flush();
  return driver;
}

}  // namespace kyuu::net

#endif  // KYUU_NET_DRIVE_H_
