// Builder writes a session description line by line, and never a line that
// its caller did not mean.

#ifndef KYUU_SDP_BUILDER_H_
#define KYUU_SDP_BUILDER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sdp/attribute.h"
#include "sdp/description.h"

namespace kyuu::sdp {

// Builder appends lines to one buffer. A value with CR, LF or NUL, which could
// smuggle another line in, and a value against the attribute's syntax make the
// builder fail; it then stays failed, so that one look at Finish() suffices.
//
//   Builder b;
//   b.Add('v', "0").Add('o', origin).Add('s', "-").Add('t', "0 0");
//   b.Attribute(AttributeType::kMid, "0");
//   KYUU_ASSIGN_OR_RETURN(const std::string text, b.Finish());
class Builder {
 public:
  // Add appends `<type>=<value>`.
  Builder& Add(char type, absl::string_view value);
  // Attribute appends `a=<name>:<value>`, Flag `a=<name>`. The attribute must
  // have a name.
  Builder& Attribute(AttributeType attribute, absl::string_view value);
  Builder& Flag(AttributeType attribute);
  // Copy appends a line of another description, unknown ones included.
  Builder& Copy(const Line& line) { return Add(line.type, line.value); }

  // Finish returns the text, or INVALID_ARGUMENT for the first line that was
  // refused. It does not check the description as a whole: Parse() does.
  absl::StatusOr<std::string> Finish() const;

 private:
  void Append(absl::string_view head, absl::string_view value);

  std::string text_;
  absl::Status status_;
};

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_BUILDER_H_
