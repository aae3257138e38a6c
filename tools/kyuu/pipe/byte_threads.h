// Bytes from and to descriptors that may be anything and may block for ever, in
// threads of their own, on an event loop.

#ifndef KYUU_TOOLS_KYUU_PIPE_BYTE_THREADS_H_
#define KYUU_TOOLS_KYUU_PIPE_BYTE_THREADS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "net/loop.h"

namespace kyuu::tools {

// InputBytes reads what is asked for and no more, so that who writes is held
// back. The thread ends with the input or with the process; nothing is handed
// over after the object is gone, and the loop must exist until then.
class InputBytes {
 public:
  // Gets the bytes of one Read(): none, with OK, at the end of the input; why
  // it could not be read otherwise. Neither is followed by anything.
  using Handler =
      absl::AnyInvocable<void(absl::Status, std::vector<uint8_t> bytes)>;

  InputBytes(net::Loop& loop, int fd, Handler handler);
  ~InputBytes();
  InputBytes(const InputBytes&) = delete;
  InputBytes& operator=(const InputBytes&) = delete;

  // Reads 1 to `size` bytes. Not again before the handler was called.
  void Read(size_t size);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

// OutputBytes writes what it is given, in order. What waits is up to who gives
// it. The thread ends with the output or with the process.
class OutputBytes {
 public:
  // Gets how many bytes were written since the last call; with an error, that
  // nothing more can be. The last call after Close() has 0 bytes: the output is
  // closed.
  using Handler = absl::AnyInvocable<void(absl::Status, size_t bytes)>;

  OutputBytes(net::Loop& loop, int fd, Handler handler);
  ~OutputBytes();
  OutputBytes(const OutputBytes&) = delete;
  OutputBytes& operator=(const OutputBytes&) = delete;

  void Write(absl::Span<const uint8_t> bytes);
  // Behind what was given. The descriptor itself stays, on /dev/null, so that
  // nothing else gets its number.
  void Close();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PIPE_BYTE_THREADS_H_
