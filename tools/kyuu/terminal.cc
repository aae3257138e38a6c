#include "tools/kyuu/terminal.h"

#include <sys/ioctl.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {

void Terminal::Say(absl::string_view text) {
  Clear();
  std::fprintf(err_, "%s\n", Printable(text).c_str());
}

void Terminal::Print(absl::string_view text) {
  Clear();
  std::fprintf(out_, "%s\n", PrintableLine(text).c_str());
  std::fflush(out_);
}

void Terminal::Chat(absl::string_view name, absl::string_view text) {
  Clear();
  std::fprintf(out_, "%s: %s\n", PrintableLine(name).c_str(),
               Printable(text).c_str());
  std::fflush(out_);
}

void Terminal::Complain(absl::string_view what, const absl::Status& status) {
  Clear();
  std::fprintf(err_, "kyuu: %s: %s\n", PrintableLine(what).c_str(),
               PrintableLine(status.message()).c_str());
}

void Terminal::Complain(const absl::Status& status) {
  Clear();
  std::fprintf(err_, "kyuu: %s\n", PrintableLine(status.message()).c_str());
}

void Terminal::DrawQr(const std::string& text, QrWish wish) {
  const std::optional<QrCode> code = QrCode::Make(text);
  if (!code || wish == QrWish::kNever) return;
  const auto value = [](const char* name) {
    const char* set = std::getenv(name);
    return absl::string_view(set == nullptr ? "" : set);
  };
  const bool seen =
      kind_ == TerminalKind::kPerson && code->columns() <= Columns() &&
      ShowsUtf8(value("LC_ALL"), value("LC_CTYPE"), value("LANG"));
  if (!seen && wish != QrWish::kAlways) return;
  Clear();
  std::fputs(code->Draw().c_str(), err_);
}

void Terminal::Ask(absl::string_view text) {
  Clear();
  std::fprintf(err_, "%s (y/N) ", PrintableLine(text).c_str());
  std::fflush(err_);
}

void Terminal::Show(const std::string& key, const std::string& name,
                    uint64_t done, uint64_t size, absl::Time now) {
  const auto it =
      progress_.try_emplace(key, PrintableLine(name), size, done, now).first;
  it->second.Update(now, done);
  if (kind_ == TerminalKind::kPipe || !it->second.ShouldShow(now)) return;
  std::fprintf(err_, "\r\033[K%s", it->second.Line(Columns()).c_str());
  std::fflush(err_);
  progress_shown_ = true;
}

void Terminal::Forget(const std::string& key) {
  Clear();
  progress_.erase(key);
}

void Terminal::Clear() {
  if (progress_shown_) std::fprintf(err_, "\r\033[K");
  progress_shown_ = false;
}

// One less than there are: some terminals wrap at the last one.
size_t Terminal::Columns() const {
  winsize size{};
  size_t columns = 80;
  const char* wanted = std::getenv("COLUMNS");
  if (ioctl(fileno(err_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    columns = size.ws_col;
  } else if (wanted == nullptr || !absl::SimpleAtoi(wanted, &columns) ||
             columns == 0) {
    columns = 80;
  }
  return columns - 1;
}

}  // namespace kyuu::tools
