// Bindings: what an ice::Gatherer asks STUN servers, over UDP from its sockets
// and over TCP from where it listens.

#ifndef KYUU_ICE_INTERNAL_BINDINGS_H_
#define KYUU_ICE_INTERNAL_BINDINGS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/defaulted.h"
#include "base/queue.h"
#include "base/random.h"
#include "base/short_list.h"
#include "ice/gatherer_events.h"
#include "ice/gatherer_types.h"
#include "ice/internal/gatherer_records.h"
#include "ice/stream_types.h"
#include "stun/client.h"
#include "stun/protocol.h"

namespace kyuu::ice::internal {

// Ids of these streams begin here, so that a gatherer tells them from those to
// TURN servers.
constexpr uint64_t kFirstBindingStream = uint64_t{1} << 62;

// One Binding from one address of ours to one server.
struct Binding {
  TransportAddress local;
  TransportAddress server;
  // Over TCP: of the candidate whose base `local` is.
  std::optional<TcpType> tcp_type = std::nullopt;
  JobState state = JobState::kQueued;
  absl::Time due = absl::InfinitePast();  // While it is queued.
  std::optional<stun::TransactionId> id = std::nullopt;
  TransportAddress mapped = {};  // Port 0: nothing is known.
  absl::Time deadline = absl::InfiniteFuture();
  absl::Time keepalive = absl::InfiniteFuture();
  // Over TCP: the connection that is made, or open, from `local`. What it has
  // shown goes with it.
  std::optional<StreamId> stream = std::nullopt;
  bool connected = false;
  // How long to wait after the next failure; zero until a connection was lost.
  absl::Duration retry = absl::ZeroDuration();
};

// Bindings are made one for each address of ours and each server, and kept
// alive (RFC 8445 sections 5.1.1.2 and 5.1.1.4). Over TCP a connection is made
// from the very port where we listen, and stays open: who is behind the same
// mapping of a NAT is reached by others, too (RFC 6544 section 5.2). One such
// connection is enough for each port.
//
// A port that only listens is asked for when UDP is silent from its address
// for `slower_after`: where datagrams pass, connections are not needed.
//
// The arguments must outlive it. StreamWanted, StreamUnwanted and ServerFailed
// go to `events`.
class Bindings {
 public:
  // What `server` sees of `local`; a port of 0: nothing any more.
  struct Change {
    TransportAddress local;
    TransportAddress server;
    std::optional<TcpType> tcp_type;
    TransportAddress mapped;
    TransportAddress before;
  };
  using Predicate = absl::FunctionRef<bool(const Binding&)>;

  Bindings(const Defaulted<GathererOptions>& options, Random& random,
           Queue<GathererEvent, 0>& events)
      : options_(options), random_(random), events_(events) {}
  Bindings(const Bindings&) = delete;
  Bindings& operator=(const Bindings&) = delete;

  // To be asked by StartNext().
  void Add(const TransportAddress& local, const TransportAddress& server);
  void AddTcp(absl::Time now, const TransportAddress& local, TcpType tcp_type,
              const TransportAddress& server);
  // Those are not asked for any more. Changes, if that is told, say so.
  enum class Told : uint8_t { kNo, kYes };
  void Drop(Predicate is_it, Told told = Told::kNo);
  // All are to be asked again.
  void Restart(absl::Time now);
  // Begins what is due; false if nothing is.
  bool StartNext(absl::Time now);
  // Nothing is kept alive until Restart(): connections are ended, which is no
  // change.
  void StopKeepalives();
  void Close();

  void StreamConnected(absl::Time now, StreamId id);
  void StreamEnded(absl::Time now, StreamId id, const absl::Status& why);
  // Whether it came from a server that was asked, and is taken.
  bool Take(absl::Time now, const Datagram& datagram);
  void HandleTimeout(absl::Time now);
  std::optional<Datagram> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Change> PollChange();

  // Whether one has not been answered, nor failed.
  bool open() const;
  // Whether a server sees `local` at `mapped`.
  bool Sees(const TransportAddress& local, std::optional<TcpType> tcp_type,
            const TransportAddress& mapped) const;
  // When StartNext() has something to begin.
  absl::Time NextStart() const;
  absl::Time NextTimeout() const;

 private:
  void Begin(absl::Time now, Binding& binding);
  void Ask(absl::Time now, Binding& binding, Transport transport);
  void TakeAnswers(absl::Time now);
  void OnMapped(absl::Time now, Binding& binding,
                const TransportAddress& mapped);
  void Fail(absl::Time now, Binding& binding, const absl::Status& status,
            uint16_t code);
  void Spare(Binding& binding);
  void Forget(Binding& binding);
  void LoseStream(absl::Time now, Binding& binding);
  void EndStream(Binding& binding);
  void Cancel(Binding& binding);
  bool IsSpared(const Binding& binding) const;
  bool IsRedundant(const Binding& binding,
                   const TransportAddress& mapped) const;

  const Defaulted<GathererOptions>& options_;
  Random& random_;
  Queue<GathererEvent, 0>& events_;
  std::unique_ptr<stun::Client> stun_;  // Once a server was asked.
  ShortList<Binding> all_;
  ShortList<Change> changes_;    // The oldest first.
  uint32_t streams_wanted_ = 0;  // Names them.
  bool keepalives_ = true;
};

}  // namespace kyuu::ice::internal

#endif  // KYUU_ICE_INTERNAL_BINDINGS_H_
