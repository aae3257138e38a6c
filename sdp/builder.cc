#include "sdp/builder.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "sdp/internal/line_end.h"

namespace kyuu::sdp {

void Builder::Append(absl::string_view head, absl::string_view value) {
  if (!status_.ok()) return;
  if (internal::HasBreak(value)) {
    status_ = absl::InvalidArgumentError(absl::StrCat(
        "value with CR, LF or NUL in ", head, absl::CEscape(value)));
    return;
  }
  absl::StrAppend(&text_, head, value, "\r\n");
}

Builder& Builder::Add(char type, absl::string_view value) {
  if (!absl::ascii_isalpha(static_cast<unsigned char>(type))) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError("line type must be a letter");
    }
    return *this;
  }
  const char head[] = {type, '='};
  Append(absl::string_view(head, 2), value);
  return *this;
}

Builder& Builder::Attribute(AttributeType attribute, absl::string_view value) {
  const absl::string_view name = AttributeName(attribute);
  const auto error = CheckAttribute(attribute, value);
  if (status_.ok() && (name.empty() || error)) {
    status_ = absl::InvalidArgumentError(
        error ? absl::StrCat(name, ": ", error->message, " (", error->rule, ")")
              : "attribute without a name");
  }
  Append(absl::StrCat("a=", name, ":"), value);
  return *this;
}

Builder& Builder::Flag(AttributeType attribute) {
  const absl::string_view name = AttributeName(attribute);
  const auto error = CheckAttribute(attribute, std::nullopt);
  if (status_.ok() && (name.empty() || error)) {
    status_ =
        absl::InvalidArgumentError(absl::StrCat("a=", name, " needs a value"));
  }
  Append(absl::StrCat("a=", name), {});
  return *this;
}

absl::StatusOr<std::string> Builder::Finish() const {
  if (!status_.ok()) return status_;
  return text_;
}

}  // namespace kyuu::sdp
