// Names of peers and rooms: what people may be called, and which names are the
// same to a person who reads them (RFC 8266, on RFC 8264's FreeformClass).

#ifndef KYUU_SIGNALING_INTERNAL_NAME_H_
#define KYUU_SIGNALING_INTERNAL_NAME_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kyuu::signaling::internal {

struct PreparedName {
  // To be shown and passed on: composed (NFC), every space an ASCII one, none
  // at the ends, no two in a row, no variation selectors.
  std::string shown;
  // To be compared (RFC 8266 section 2.4): without regard to case and to
  // compatible forms (NFKC with case folding).
  std::string folded;
};

// PrepareName returns `name` in these forms. INVALID_ARGUMENT, with a text for
// the person who chose it, if it is not UTF-8, empty, longer than `max_bytes`
// as shown, or has a character that is not seen (controls of C0 and C1, bidi,
// zero-width, line and paragraph separators, unassigned and private ones).
// Joiners may stand where a script or an emoji needs them (RFC 5892 appendix
// A.1 and A.2, UTS #51).
absl::StatusOr<PreparedName> PrepareName(absl::string_view name,
                                         size_t max_bytes);

// LookAlike returns a form that is equal for names that look alike in any
// script, such as "Ada" in Latin and in Cyrillic letters (UTS #39, skeleton).
// Not for showing.
std::string LookAlike(const PreparedName& name);

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_NAME_H_
