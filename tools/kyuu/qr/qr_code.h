// QR codes, on a terminal and for pages.

#ifndef KYUU_TOOLS_KYUU_QR_QR_CODE_H_
#define KYUU_TOOLS_KYUU_QR_QR_CODE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace kyuu::tools {

// Whether a QR code is drawn: where it can be seen, always, or never.
enum class QrWish : uint8_t { kWhereSeen, kAlways, kNever };

// QrCode is a square of dark and light modules (ISO/IEC 18004), with the lowest
// level of error correction: a screen has no scratches.
class QrCode {
 public:
  // The light margin that readers look for. Four are asked for, two do.
  static constexpr int kMargin = 2;

  // nullopt: more than 2953 bytes, or a NUL among them.
  static std::optional<QrCode> Make(const std::string& text);

  int width() const { return width_; }  // In modules, without the margin.
  bool IsDark(int row, int column) const;
  // Columns of a terminal that Draw() needs.
  size_t columns() const { return static_cast<size_t>(width_) + 2 * kMargin; }
  // Lines of UTF-8, two rows of modules in each, white on black whatever the
  // colours of the terminal are.
  std::string Draw() const;
  // An SVG image, dark on light, a unit for each module and a margin of four
  // (ISO/IEC 18004, 6.3.8).
  std::string Svg() const;

 private:
  int width_ = 0;
  std::vector<bool> dark_;  // Row by row.
};

// Whether a terminal with these values of the environment (LC_ALL, LC_CTYPE,
// LANG; "" if unset) shows UTF-8: the first that is set says so.
bool ShowsUtf8(absl::string_view lc_all, absl::string_view lc_ctype,
               absl::string_view lang);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_QR_QR_CODE_H_
