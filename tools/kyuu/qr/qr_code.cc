#include "tools/kyuu/qr/qr_code.h"

#include <qrencode.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace kyuu::tools {
namespace {

struct Free {
  void operator()(QRcode* code) const { QRcode_free(code); }
};

}  // namespace

std::optional<QrCode> QrCode::Make(const std::string& text) {
  if (text.find('\0') != std::string::npos) return std::nullopt;
  const std::unique_ptr<QRcode, Free> made(
      QRcode_encodeString8bit(text.c_str(), 0, QR_ECLEVEL_L));
  if (!made) return std::nullopt;
  QrCode code;
  code.width_ = made->width;
  // The lowest bit of each byte is the module.
  const size_t count =
      static_cast<size_t>(made->width) * static_cast<size_t>(made->width);
  for (size_t i = 0; i < count; ++i) {
    code.dark_.push_back((made->data[i] & 1) != 0);
  }
  return code;
}

bool QrCode::IsDark(int row, int column) const {
  if (row < 0 || column < 0 || row >= width_ || column >= width_) return false;
  return dark_[static_cast<size_t>(row) * static_cast<size_t>(width_) +
               static_cast<size_t>(column)];
}

std::string QrCode::Draw() const {
  std::string text;
  for (int row = -kMargin; row < width_ + kMargin; row += 2) {
    absl::StrAppend(&text, "\033[97;40m");
    for (int column = -kMargin; column < width_ + kMargin; ++column) {
      const bool top = !IsDark(row, column);
      // Below the last row there is no half line.
      const bool bottom =
          !IsDark(row + 1, column) && row + 1 < width_ + kMargin;
      absl::StrAppend(&text, top && bottom ? "█"
                             : top         ? "▀"
                             : bottom      ? "▄"
                                           : " ");
    }
    absl::StrAppend(&text, "\033[0m\n");
  }
  return text;
}

std::string QrCode::Svg() const {
  constexpr int kQuiet = 4;
  const int side = width_ + 2 * kQuiet;
  std::string svg = absl::StrCat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", side, " ",
      side, "\" shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h",
      side, "v", side, "H0z\"/><path d=\"");
  for (int row = 0; row < width_; ++row) {
    for (int column = 0; column < width_;) {
      int end = column;
      while (IsDark(row, end)) ++end;
      if (end > column) {
        absl::StrAppend(&svg, "M", column + kQuiet, " ", row + kQuiet, "h",
                        end - column, "v1h-", end - column, "z");
      }
      column = end + 1;
    }
  }
  absl::StrAppend(&svg, "\"/></svg>\n");
  return svg;
}

bool ShowsUtf8(absl::string_view lc_all, absl::string_view lc_ctype,
               absl::string_view lang) {
  const std::string name = absl::AsciiStrToLower(!lc_all.empty()     ? lc_all
                                                 : !lc_ctype.empty() ? lc_ctype
                                                                     : lang);
  return absl::StrContains(name, "utf-8") || absl::StrContains(name, "utf8");
}

}  // namespace kyuu::tools
