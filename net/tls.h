// TlsContext and TlsStream: TLS 1.2 and 1.3 over a TcpStream, by OpenSSL.

#ifndef KYUU_NET_TLS_H_
#define KYUU_NET_TLS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "net/loop.h"
#include "net/tcp.h"

namespace kyuu::net {

// TlsContext holds what many connections share: which side we are,
// certificates, protocols. Streams may outlive it.
class TlsContext {
 public:
  struct Certificate {
    std::string certificate_file;  // PEM, the chain included.
    std::string key_file;          // PEM.

    friend bool operator==(const Certificate&, const Certificate&) = default;
  };
  struct ServerOptions {
    // A client gets the first one that is made out to the name it asks for
    // (SNI, RFC 6066 section 3); the first of all if none is, or if it asks for
    // no name. At least one.
    std::vector<Certificate> certificates;
    // Application protocols we speak, best first (RFC 7301). A client that
    // offers none of them is refused; one that offers no list is welcome.
    std::vector<std::string> alpn;
  };
  struct ClientOptions {
    // Name to ask for (SNI) and to find in the server's certificate; an address
    // in numbers is compared with the certificate's addresses.
    std::string server_name;
    // PEM file of trusted authorities; empty for the system's.
    std::string ca_file;
    std::vector<std::string> alpn;
    // False accepts any certificate: only for talking to oneself.
    bool verify = true;
    // Ours, for a server that asks for one.
    std::optional<Certificate> certificate;
  };

  // INVALID_ARGUMENT, with the file's name, if a file cannot be used. The files
  // are read once: who wants their new content makes a new context.
  static absl::StatusOr<TlsContext> Server(const ServerOptions& options);
  static absl::StatusOr<TlsContext> Client(const ClientOptions& options);

 private:
  friend class TlsStream;
  struct Shared;
  explicit TlsContext(std::shared_ptr<const Shared> shared)
      : shared_(std::move(shared)) {}
  std::shared_ptr<const Shared> shared_;
};

// TlsStream is a TLS connection with the members of a TcpStream. Reading also
// drives the handshake; what is written before its end waits. A connection that
// ends without close_notify has failed: it may have been cut (DATA_LOSS).
class TlsStream {
 public:
  TlsStream(const TlsContext& context, TcpStream stream);
  TlsStream(TlsStream&&) noexcept;
  TlsStream& operator=(TlsStream&&) noexcept;
  ~TlsStream();

  int fd() const;
  const Path& path() const;

  // Call it until it would block: bytes may wait inside TLS that the descriptor
  // does not show.
  ReadResult Read(absl::Span<uint8_t> out);
  // As Read(), but what is read stays to be read again.
  ReadResult Peek(absl::Span<uint8_t> out);
  // Bytes have arrived that the descriptor no longer shows: call Read().
  bool has_pending() const;
  absl::Status Write(absl::Span<const uint8_t> bytes);
  void Flush();
  void Cork();
  // Sends close_notify, then ends our direction.
  void ShutdownWrite();

  void Close();
  void Cut();

  size_t buffered() const;
  uint64_t taken_bytes() const;
  size_t unacknowledged() const;
  Interest interest() const;
  const absl::Status& status() const;

  bool handshake_done() const;
  // Of a server's: the name that the client has asked for (SNI, RFC 6066
  // section 3), or "" if it has named none; at most 255 bytes, of which nothing
  // is proven. There once the handshake is done.
  std::string server_name() const;
  // The protocol agreed on by ALPN, or "".
  std::string alpn() const;

 private:
  struct State;
  enum class Take : uint8_t { kBytes, kLook };
  ReadResult ReadOrPeek(Take take, absl::Span<uint8_t> out);

  std::unique_ptr<State> state_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_TLS_H_
