#include "tools/kyuu/terminal.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "base/testing.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {
namespace {

// What a Terminal has written to one of its files.
class Memory {
 public:
  Memory() : file_(open_memstream(&text_, &size_)) {}
  ~Memory() {
    std::fclose(file_);
    std::free(text_);
  }
  std::FILE* file() { return file_; }
  std::string text() {
    std::fflush(file_);
    return std::string(text_, size_);
  }

 private:
  char* text_ = nullptr;
  size_t size_ = 0;
  std::FILE* file_;
};

// A stranger's text on every way out: a control sequence in C0 and in C1, bidi,
// an invisible character, a line that speaks for somebody else.
constexpr char kHostile[] =
    "x\x1b[31m\u009b31m\u202etxt\u200b\u2028\rBob: pay\nBob: pay \x9b";

TEST(Terminal, LetsNothingOfAStrangerThrough) {
  Memory out, err;
  Terminal terminal(out.file(), err.file(), TerminalKind::kPerson);
  const absl::Status status = absl::UnavailableError(kHostile);
  absl::Time now = absl::UnixEpoch();
  terminal.Say(kHostile);
  terminal.Print(kHostile);
  terminal.Chat(kHostile, kHostile);
  terminal.Complain(kHostile, status);
  terminal.Complain(status);
  terminal.Ask(kHostile);
  terminal.Show("key", kHostile, 1, 2, now);
  terminal.Forget("key");
  // Our own sequence around the line of progress.
  const std::string all = absl::StrReplaceAll(
      absl::StrCat(out.text(), err.text()), {{"\r\033[K", ""}});
  for (size_t i = 0; i < all.size();) {
    const int32_t c = NextCodePoint(all, i);
    ASSERT_GE(c, 0) << "no UTF-8 at " << i;
    EXPECT_TRUE(c == '\n' || !IsHidden(static_cast<uint32_t>(c)))
        << absl::StrCat(absl::Hex(c)) << " in " << all;
  }
  EXPECT_THAT(all, testing::Not(testing::HasSubstr("\nBob")));
  EXPECT_THAT(all, testing::HasSubstr("<U+202E>"));
}

TEST(Terminal, PutsResultsOnOutAndTheRestOnErr) {
  Memory out, err;
  Terminal terminal(out.file(), err.file(), TerminalKind::kPipe);
  terminal.Say("joined");
  terminal.Chat("Ada", "hi\nyou");
  terminal.Print("sent a");
  terminal.Complain(absl::NotFoundError("nobody"));
  terminal.Show("f", "a", 1, 2, absl::UnixEpoch());
  EXPECT_EQ(out.text(), "Ada: hi\n  you\nsent a\n");
  EXPECT_EQ(err.text(), "joined\nkyuu: nobody\n");
}

TEST(Terminal, DrawsAQrCodeWhereItIsSeen) {
  struct Case {
    TerminalKind kind;
    QrWish wish;
    const char* locale;
    const char* columns;
    bool drawn;
  };
  // The code is 29 columns wide, and one stays free.
  const Case cases[] = {
      {TerminalKind::kPerson, QrWish::kWhereSeen, "C.UTF-8", "30", true},
      {TerminalKind::kPerson, QrWish::kWhereSeen, "C.UTF-8", "29", false},
      {TerminalKind::kPerson, QrWish::kWhereSeen, "C", "80", false},
      {TerminalKind::kPipe, QrWish::kWhereSeen, "C.UTF-8", "80", false},
      {TerminalKind::kPipe, QrWish::kAlways, "C", "20", true},
      {TerminalKind::kPerson, QrWish::kNever, "C.UTF-8", "80", false},
  };
  for (const Case& c : cases) {
    Memory out, err;
    setenv("LC_ALL", c.locale, 1);
    setenv("COLUMNS", c.columns, 1);
    Terminal(out.file(), err.file(), c.kind)
        .DrawQr("4821-orchard-violin", c.wish);
    EXPECT_EQ(!err.text().empty(), c.drawn) << &c - cases;
    EXPECT_EQ(out.text(), "");
  }
  unsetenv("LC_ALL");
  unsetenv("COLUMNS");
}

}  // namespace
}  // namespace kyuu::tools
