// The attributes (a= lines) of SDP that kyuu understands, and their syntax. The
// typed values are in rtp.h, simulcast.h and transport.h.

#ifndef KYUU_SDP_ATTRIBUTE_H_
#define KYUU_SDP_ATTRIBUTE_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "sdp/attribute_type.h"
#include "sdp/rtp.h"
#include "sdp/simulcast.h"
#include "sdp/syntax.h"
#include "sdp/transport.h"

namespace kyuu::sdp {

// CheckAttribute returns what is wrong with the value of an attribute (nullopt
// for a flag: "a=x" has no value, "a=x:" an empty one); nullopt if nothing is.
// kUnknown is always right.
std::optional<SyntaxError> CheckAttribute(
    AttributeType attribute, std::optional<absl::string_view> value);

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_ATTRIBUTE_H_
