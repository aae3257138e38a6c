// ProxyHeader: by which a proxy in front says whose connection it passes on
// (the PROXY protocol, versions 1 and 2, haproxy.org/download/2.8/doc/
// proxy-protocol.txt).

#ifndef KYUU_NET_PROXY_PROXY_HEADER_H_
#define KYUU_NET_PROXY_PROXY_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/address.h"

namespace kyuu::net {

// ProxyHeader reads the one header that a connection begins with, in pieces,
// and never a byte beyond it. Both versions are read as strictly as they are
// written down: what is not right to the letter is refused.
class ProxyHeader {
 public:
  // A line of version 1, its end included (section 2.1).
  static constexpr size_t kLineBytesMax = 107;
  // A header of version 2. Addresses need 232 bytes at most, and what proxies
  // add (names, certificates of clients, checksums) stays below a kilobyte.
  static constexpr size_t kBytesMax = 4096;

  enum class State : uint8_t { kReading, kDone, kRefused };

  // Whether a connection that begins with `bytes` begins with a header, of
  // whichever version: perhaps, as long as more of them would tell.
  enum class Beginning : uint8_t { kNone, kPerhaps, kHeader };
  static constexpr size_t kBeginningBytes = 12;
  static Beginning Recognize(absl::Span<const uint8_t> bytes);

  // Takes those of `bytes` that belong to the header, from their beginning;
  // returns how many they are. What it has taken is not to be shown again.
  size_t Take(absl::Span<const uint8_t> bytes);

  State state() const { return state_; }
  // INVALID_ARGUMENT with what is wrong, if it is refused.
  const absl::Status& status() const { return status_; }
  // Between whom the connection is, once it is done; nullopt if it is the
  // proxy's own (LOCAL, as for its checks) or of nobody that it knows (UNKNOWN,
  // UNSPEC).
  struct Ends {
    TransportAddress source;
    TransportAddress destination;  // Which the client has reached.

    friend bool operator==(const Ends&, const Ends&) = default;
  };
  const std::optional<Ends>& ends() const { return ends_; }

 private:
  void Refuse(absl::string_view why);
  size_t TakeLine(absl::Span<const uint8_t> bytes);
  void ReadLine();
  size_t TakeBinary(absl::Span<const uint8_t> bytes);
  void ReadBinary();
  bool ReadTlvs(size_t begin);

  State state_ = State::kReading;
  std::vector<uint8_t> bytes_;  // What was taken.
  absl::Status status_;
  std::optional<Ends> ends_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_PROXY_PROXY_HEADER_H_
