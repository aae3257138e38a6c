// What the calls of `kyuu` print. Nothing else prints there, so that what
// others have written passes one filter (printable.h) on every way out.

#ifndef KYUU_TOOLS_KYUU_TERMINAL_H_
#define KYUU_TOOLS_KYUU_TERMINAL_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tools/kyuu/progress.h"
#include "tools/kyuu/qr/qr_code.h"

namespace kyuu::tools {

// Whether lines may be rewritten and a person can be asked.
enum class TerminalKind : uint8_t { kPerson, kPipe };

// Terminal writes results to `out` and everything else to `err`; a line of
// progress stands at the end of `err` and is redrawn around other lines.
class Terminal {
 public:
  // `kind` is that of `err`. The files must outlive it.
  Terminal(std::FILE* out, std::FILE* err, TerminalKind kind)
      : out_(out), err_(err), kind_(kind) {}

  // A line of ours.
  void Say(absl::string_view text);
  // A result: a line on `out`.
  void Print(absl::string_view text);
  // What `name` said, on `out`.
  void Chat(absl::string_view name, absl::string_view text);
  // "kyuu: why", what a failure leaves on `err`.
  void Complain(absl::string_view what, const absl::Status& status);
  void Complain(const absl::Status& status);
  // `text` as a QR code on `err`, in place of nothing where it would not be
  // seen: nobody is there, or the terminal shows no UTF-8, or is too narrow.
  void DrawQr(const std::string& text, QrWish wish);
  // A question; the answer is typed behind it.
  void Ask(absl::string_view text);

  // `done` of the `size` bytes of the file `key`, shown at most ten times a
  // second and only to a person.
  void Show(const std::string& key, const std::string& name, uint64_t done,
            uint64_t size, absl::Time now);
  // The file is through.
  void Forget(const std::string& key);

 private:
  void Clear();
  size_t Columns() const;

  std::FILE* const out_;
  std::FILE* const err_;
  const TerminalKind kind_;
  std::map<std::string, Progress> progress_;
  bool progress_shown_ = false;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_TERMINAL_H_
