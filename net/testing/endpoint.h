// Endpoint: a TcpStream or TlsStream on a loop, for tests of streams.

#ifndef KYUU_NET_TESTING_ENDPOINT_H_
#define KYUU_NET_TESTING_ENDPOINT_H_

#include <array>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "net/loop.h"
#include "net/tcp.h"

namespace kyuu::net {

// Reads all there is into `received` and stops the loop whenever something
// happened.
template <typename Stream>
struct Endpoint {
  Endpoint(Loop& l, Stream s)
      : loop(l),
        stream(std::move(s)),
        watch(l, stream.fd(), stream.interest(),
              [this](Readiness ready) { OnReady(ready); }) {}

  absl::Status Write(absl::string_view text) {
    const absl::Status status = stream.Write(AsBytes(text));
    watch.SetInterest(stream.interest());
    return status;
  }
  void Shutdown() {
    stream.ShutdownWrite();
    watch.SetInterest(stream.interest());
  }
  void OnReady(Readiness ready) {
    if (ready.writable) stream.Flush();
    if (ready.readable && reading) Read();
    watch.SetInterest(over ? Interest::kNone : stream.interest());
    loop.Stop();
  }
  void Read() {
    std::array<uint8_t, 4096> buffer;
    while (true) {
      const ReadResult got = stream.Read(absl::MakeSpan(buffer));
      last = got.state;
      if (got.state == ReadState::kWouldBlock) return;
      over = got.state != ReadState::kData;
      if (over) return;
      received.append(buffer.begin(),
                      buffer.begin() + static_cast<ptrdiff_t>(got.bytes));
    }
  }

  Loop& loop;
  Stream stream;
  Watch watch;
  std::string received;
  ReadState last = ReadState::kWouldBlock;
  bool reading = true;
  bool over = false;  // Ended or failed.
};

}  // namespace kyuu::net

#endif  // KYUU_NET_TESTING_ENDPOINT_H_
