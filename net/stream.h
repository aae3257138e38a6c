// Stream: a TCP or a TLS connection, whichever it is.

#ifndef KYUU_NET_STREAM_H_
#define KYUU_NET_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace kyuu::net {

// Stream has the members of TcpStream (net/tcp.h), where they are documented.
class Stream {
 public:
  Stream(TcpStream tcp) : stream_(std::move(tcp)) {}  // NOLINT: a conversion.
  Stream(TlsStream tls) : stream_(std::move(tls)) {}  // NOLINT

  // The connection inside, to be wrapped in TLS; only if it is not yet, and
  // this stream is then of no more use.
  TcpStream TakeTcp() { return std::move(std::get<TcpStream>(stream_)); }

  // As TcpStream's, before it is wrapped.
  void SetEnds(const TransportAddress& local, const TransportAddress& remote) {
    std::get<TcpStream>(stream_).SetEnds(local, remote);
  }

  // The same.
  void Unread(absl::Span<const uint8_t> bytes) {
    std::get<TcpStream>(stream_).Unread(bytes);
  }

  bool is_tls() const { return std::holds_alternative<TlsStream>(stream_); }

  // Of TLS only. As Read(), but what is read stays to be read again.
  ReadResult Peek(absl::Span<uint8_t> out) {
    return std::get<TlsStream>(stream_).Peek(out);
  }
  // Of TLS only.
  bool handshake_done() const {
    return std::get<TlsStream>(stream_).handshake_done();
  }
  // As TlsStream's; "" without TLS.
  std::string server_name() const {
    const auto* tls = std::get_if<TlsStream>(&stream_);
    return tls == nullptr ? std::string() : tls->server_name();
  }

  int fd() const {
    return std::visit([](const auto& s) { return s.fd(); }, stream_);
  }
  const Path& path() const {
    return std::visit([](const auto& s) -> const Path& { return s.path(); },
                      stream_);
  }
  ReadResult Read(absl::Span<uint8_t> out) {
    return std::visit([&](auto& s) { return s.Read(out); }, stream_);
  }
  absl::Status Write(absl::Span<const uint8_t> bytes) {
    return std::visit([&](auto& s) { return s.Write(bytes); }, stream_);
  }
  void Flush() {
    std::visit([](auto& s) { s.Flush(); }, stream_);
  }
  // Between Cork() and Uncork() what is written to TLS gathers, as long as
  // gathers() says so: a system call for each record costs more than to seal
  // it.
  void Cork() {
    if (auto* tls = std::get_if<TlsStream>(&stream_)) tls->Cork();
  }
  bool gathers() const { return is_tls() && buffered() < kGatheredBytes; }
  void Uncork() {
    if (is_tls()) Flush();
  }
  void ShutdownWrite() {
    std::visit([](auto& s) { s.ShutdownWrite(); }, stream_);
  }
  void Close() {
    std::visit([](auto& s) { s.Close(); }, stream_);
  }
  void Cut() {
    std::visit([](auto& s) { s.Cut(); }, stream_);
  }
  // Bytes have arrived that the descriptor no longer shows: read on.
  bool has_pending() const {
    return std::visit([](const auto& s) { return s.has_pending(); }, stream_);
  }
  size_t buffered() const {
    return std::visit([](const auto& s) { return s.buffered(); }, stream_);
  }
  uint64_t taken_bytes() const {
    return std::visit([](const auto& s) { return s.taken_bytes(); }, stream_);
  }
  size_t unacknowledged() const {
    return std::visit([](const auto& s) { return s.unacknowledged(); },
                      stream_);
  }
  Interest interest() const {
    return std::visit([](const auto& s) { return s.interest(); }, stream_);
  }
  const absl::Status& status() const {
    return std::visit(
        [](const auto& s) -> const absl::Status& { return s.status(); },
        stream_);
  }

 private:
  static constexpr size_t kGatheredBytes = 64 * 1024;

  std::variant<TcpStream, TlsStream> stream_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_STREAM_H_
