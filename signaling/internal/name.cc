#include "signaling/internal/name.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "signaling/internal/utf8.h"
#include "unicode/normalizer2.h"
#include "unicode/stringpiece.h"
#include "unicode/uchar.h"
#include "unicode/unistr.h"
#include "unicode/uspoof.h"

namespace kyuu::signaling::internal {
namespace {

constexpr UChar32 kZeroWidthNonJoiner = 0x200c;
constexpr UChar32 kZeroWidthJoiner = 0x200d;
// The canonical combining class of viramas.
constexpr uint8_t kVirama = 9;

absl::Status Refused(absl::string_view why) {
  return absl::InvalidArgumentError(why);
}

std::string Utf8(const icu::UnicodeString& text) {
  std::string utf8;
  text.toUTF8String(utf8);
  return utf8;
}

bool IsPictograph(UChar32 c) {
  return u_hasBinaryProperty(c, UCHAR_EXTENDED_PICTOGRAPHIC) ||
         u_hasBinaryProperty(c, UCHAR_EMOJI_MODIFIER);
}

// Whether a joiner between these two (0 for the end) changes what is seen.
bool MayJoin(UChar32 joiner, UChar32 before, UChar32 after) {
  if (before == 0) return false;
  if (u_getCombiningClass(before) == kVirama) return true;
  return joiner == kZeroWidthJoiner && after != 0 && IsPictograph(before) &&
         IsPictograph(after);
}

// Why nobody may be called something with `c` in it; OK for most characters.
absl::Status CheckCharacter(UChar32 c) {
  const auto code = absl::StrFormat(" (U+%04X)", static_cast<uint32_t>(c));
  switch (u_charType(c)) {
    case U_CONTROL_CHAR:
      return Refused(absl::StrCat("a name has no control characters", code));
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR:
      return Refused(absl::StrCat("a name has one line only", code));
    case U_UNASSIGNED:
    case U_PRIVATE_USE_CHAR:
    case U_SURROGATE:
      return Refused(absl::StrCat("a name has known characters only", code));
    default:
      break;
  }
  if (u_hasBinaryProperty(c, UCHAR_BIDI_CONTROL)) {
    return Refused(
        absl::StrCat("a name does not change the direction of text", code));
  }
  if (u_charType(c) == U_FORMAT_CHAR ||
      u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT)) {
    return Refused(absl::StrCat("a name has no invisible characters", code));
  }
  return absl::OkStatus();
}

icu::UnicodeString Normalize(const icu::Normalizer2* form,
                             const icu::UnicodeString& text) {
  UErrorCode error = U_ZERO_ERROR;
  icu::UnicodeString normalized = form->normalize(text, error);
  KYUU_CHECK(U_SUCCESS(error));
  return normalized;
}

// Its data is part of the library.
const icu::Normalizer2* Form(const icu::Normalizer2* (*get)(UErrorCode&)) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* form = get(error);
  KYUU_CHECK(U_SUCCESS(error));
  return form;
}

}  // namespace

absl::StatusOr<PreparedName> PrepareName(absl::string_view name,
                                         size_t max_bytes) {
  // A name far too long is not worth the work.
  if (!IsUtf8(name) || name.size() > 4 * max_bytes + 16) {
    return Refused(
        absl::StrCat("a name has at most ", max_bytes, " bytes of UTF-8"));
  }
  const icu::UnicodeString text =
      Normalize(Form(icu::Normalizer2::getNFCInstance),
                icu::UnicodeString::fromUTF8(icu::StringPiece(
                    name.data(), static_cast<int32_t>(name.size()))));
  icu::UnicodeString shown;
  UChar32 before = 0;  // The last character taken.
  for (int32_t i = 0; i < text.length();) {
    const UChar32 c = text.char32At(i);
    i += U16_LENGTH(c);
    // What only chooses between two pictures of the same thing.
    if (u_hasBinaryProperty(c, UCHAR_VARIATION_SELECTOR)) continue;
    if (u_charType(c) == U_SPACE_SEPARATOR) {
      if (before != 0 && before != ' ') shown.append(UChar32{' '});
      if (before != 0) before = ' ';
      continue;
    }
    if (c == kZeroWidthJoiner || c == kZeroWidthNonJoiner) {
      const UChar32 after = i < text.length() ? text.char32At(i) : 0;
      if (!MayJoin(c, before, after)) {
        return Refused("a name has no invisible characters (a joiner)");
      }
    } else {
      KYUU_RETURN_IF_ERROR(CheckCharacter(c));
    }
    shown.append(c);
    before = c;
  }
  if (before == ' ') shown.truncate(shown.length() - 1);
  PreparedName prepared;
  prepared.shown = Utf8(shown);
  prepared.folded =
      Utf8(Normalize(Form(icu::Normalizer2::getNFKCCasefoldInstance), shown));
  if (prepared.folded.empty()) return Refused("a name is not empty");
  if (prepared.shown.size() > max_bytes) {
    return Refused(
        absl::StrCat("a name has at most ", max_bytes, " bytes of UTF-8"));
  }
  return prepared;
}

std::string LookAlike(const PreparedName& name) {
  // Never changed, and never freed.
  static const USpoofChecker* const checker = [] {
    UErrorCode error = U_ZERO_ERROR;
    const USpoofChecker* made = uspoof_open(&error);
    KYUU_CHECK(U_SUCCESS(error));
    return made;
  }();
  UErrorCode error = U_ZERO_ERROR;
  icu::UnicodeString skeleton;
  uspoof_getSkeletonUnicodeString(
      checker, 0, icu::UnicodeString::fromUTF8(name.folded), skeleton, &error);
  KYUU_CHECK(U_SUCCESS(error));
  return Utf8(skeleton);
}

}  // namespace kyuu::signaling::internal
