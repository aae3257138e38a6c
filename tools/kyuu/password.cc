#include "tools/kyuu/password.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace kyuu::tools {
namespace {

constexpr size_t kPasswordBytesMax = 1024;

// Reads a line of the terminal that does not show it.
std::optional<std::string> AskForPassword() {
  const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (terminal < 0) return std::nullopt;
  termios before{};
  const bool silent = tcgetattr(terminal, &before) == 0;
  termios without_echo = before;
  without_echo.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  if (silent) tcsetattr(terminal, TCSAFLUSH, &without_echo);
  (void)!write(terminal, "Password: ", 10);
  std::string password;
  char c = 0;
  while (password.size() < kPasswordBytesMax && read(terminal, &c, 1) == 1 &&
         c != '\n') {
    password.push_back(c);
  }
  if (silent) tcsetattr(terminal, TCSAFLUSH, &before);
  (void)!write(terminal, "\n", 1);
  close(terminal);
  return password;
}

}  // namespace

absl::StatusOr<std::string> WithPassword(absl::string_view text) {
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "turn:")) {
    absl::ConsumePrefix(&rest, "turns:");
  }
  const size_t scheme = text.size() - rest.size();
  const size_t at = rest.rfind('@');
  if (at == absl::string_view::npos ||
      rest.substr(0, at).find(':') != absl::string_view::npos) {
    return std::string(text);
  }
  std::string password;
  if (const char* known = std::getenv(kPasswordVariable)) {
    password = known;
  } else if (const auto asked = AskForPassword()) {
    password = *asked;
  } else {
    return absl::UnavailableError(
        absl::StrCat("the password is neither in ", kPasswordVariable,
                     " nor is there a terminal to ask for it"));
  }
  return absl::StrCat(text.substr(0, scheme + at), ":", password,
                      text.substr(scheme + at));
}

}  // namespace kyuu::tools
