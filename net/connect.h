// Connector: a TCP connection to whichever of a name's addresses answers.

#ifndef KYUU_NET_CONNECT_H_
#define KYUU_NET_CONNECT_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "net/loop.h"
#include "net/tcp.h"

namespace kyuu::net {

struct ConnectOptions {
  // Connection Attempt Delay (RFC 8305 section 5): before the next address is
  // tried beside those that have not answered yet.
  absl::Duration attempt_delay = absl::Milliseconds(250);
  // For all addresses together.
  absl::Duration timeout = absl::Seconds(10);
  // Where from, as TcpStream::ConnectFrom; then the addresses are of its
  // family.
  std::optional<TransportAddress> from;
  StreamOptions stream;
};

// Interleave puts addresses into the order in which they are tried: as they
// came, but with the families in turn (RFC 8305 section 4), so that a family
// that leads nowhere costs one attempt.
std::vector<TransportAddress> Interleave(
    const std::vector<TransportAddress>& addresses);

// Connector tries every address that a name has (RFC 8305, "happy eyeballs"):
// the next one as soon as one has failed, or is late. The first connection wins
// and the others are dropped. It lives on one loop; destroying it gives up.
class Connector {
 public:
  // Called once, from the loop, as the last thing: it may destroy the
  // connector. The error names each address and what became of it;
  // INVALID_ARGUMENT if there was none.
  using Handler = absl::AnyInvocable<void(absl::StatusOr<TcpStream>)>;

  Connector(Loop& loop, const std::vector<TransportAddress>& addresses,
            Handler handler, const ConnectOptions& options = {});
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

 private:
  struct Attempt;

  void OnAlarm();
  // Tries the next address; those that fail at once are stepped over.
  void TryNext();
  void OnReady(Attempt& attempt);
  void Note(const absl::Status& failure);
  void GiveUp();
  void Finish(absl::StatusOr<TcpStream> result);

  Loop& loop_;
  const std::vector<TransportAddress> addresses_;
  const ConnectOptions options_;
  const absl::Time deadline_;
  Handler handler_;
  size_t next_ = 0;  // In addresses_.
  std::vector<std::unique_ptr<Attempt>> attempts_;
  std::vector<std::string> failures_;
  Alarm alarm_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_CONNECT_H_
