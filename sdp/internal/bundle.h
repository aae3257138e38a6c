// Which m= sections of a description share the transport of its data section
// (RFC 9143): the unit that offer and answer are about.

#ifndef KYUU_SDP_INTERNAL_BUNDLE_H_
#define KYUU_SDP_INTERNAL_BUNDLE_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "sdp/description.h"

namespace kyuu::sdp::internal {

// FindData returns the index of the first data channel section that is not
// rejected. In an answer, as in RFC 9429 section 5.3.1, port 0 is a rejection
// whatever else the section says.
std::optional<size_t> FindData(const Description& description);

// GroupOf returns the mids of the BUNDLE group that has `mid`; empty if none.
std::vector<absl::string_view> GroupOf(const Description& description,
                                       absl::string_view mid);

// IsMedia is true for a section of RTP media that we can park: keep open, as
// inactive, so that the transport it shares with data stays what was offered.
bool IsMedia(const MediaSection& section);

// TransportOf returns the indexes of the sections that share the transport of
// the data section `data`, in the order of their group; the first one is the
// tagged section, with which the transport's attributes and candidates stand
// (RFC 9143 section 7.1.3). Sections that are rejected, or that we cannot but
// reject, are left out. Never empty: it has `data` itself.
std::vector<size_t> TransportOf(const Description& description, size_t data);

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_BUNDLE_H_
