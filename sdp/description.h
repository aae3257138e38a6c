// A session description (SDP, RFC 8866) that loses nothing.
//
// Parse() keeps every line in its place, known or not, so that for conforming
// input ToString() gives the same bytes back. Values are read where they stand,
// when they are asked for:
//
//   KYUU_ASSIGN_OR_RETURN(Description offer, Description::Parse(text));
//   for (size_t i = 0; i < offer.media_count(); ++i) {
//     const MediaSection media = offer.media(i);
//     if (media.mid() == "0") Use(media.ice_ufrag(), media.ice_pwd());
//     for (const Rtpmap& map : media.All<Rtpmap>()) Use(map.encoding);
//   }
//
// A line that nobody needs never refuses a description. What stands against the
// grammar without standing in the way is found by Judge(), with line, column
// and rule; accessors read such a value as if it were missing. Who wants the
// letter of the RFCs asks Strict(). docs/sdp_verdicts.md has the table.
//
// Views returned by any accessor point into the Description: they live until
// it is assigned to or destroyed; a move takes them along.

#ifndef KYUU_SDP_DESCRIPTION_H_
#define KYUU_SDP_DESCRIPTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sdp/finding.h"
#include "sdp/internal/line_table.h"
#include "sdp/section.h"

namespace kyuu::sdp {

// Origin is the o= line (RFC 8866 section 5.2).
struct Origin {
  absl::string_view username;
  uint64_t session_id = 0;
  uint64_t session_version = 0;
  absl::string_view network_type;
  absl::string_view address_type;
  absl::string_view address;
};

// Limits of what Parse() takes; beyond them it returns RESOURCE_EXHAUSTED.
struct Limits {
  // A browser's offer of twenty media sections is about 100 KB.
  size_t bytes_max = 512 * 1024;
  // RFC 8866 sets none; the longest known line, of SNAP, has less than 2 KB.
  // More than 2^24-1 are refused whatever this says.
  size_t line_bytes_max = 512 * 1024;
  size_t lines_max = 32 * 1024;
  size_t media_sections_max = 512;
  // Findings that Judge() keeps; further ones are only counted. At 64 bytes
  // each.
  size_t findings_max = 64;
};

class Description {
 public:
  // An empty description: no lines. Parse() never returns one.
  Description() = default;
  // A moved-from description is empty. Copies are made by name only: Copy().
  Description(Description&&) = default;
  Description& operator=(Description&&) = default;

  // Parse copies the text, with a table of its lines, into one block of memory:
  // its only allocation but for texts with more than 384 lines, which cost the
  // same in one block of the size that they need.
  //
  // Line ends are CRLF; LF alone, a missing last line end and blank lines at
  // the end are accepted. INVALID_ARGUMENT if there are no lines to be read
  // (RFC 8866 section 9: control characters, no <type>=<value>, v=, o=, s= or
  // t= missing or out of order, an m= line without a port or format), or where
  // a section that is not rejected has an ice-ufrag, ice-pwd, mid or sctpmap
  // that is none; the message and PositionOf() tell where. RESOURCE_EXHAUSTED
  // beyond `limits`.
  static absl::StatusOr<Description> Parse(absl::string_view text,
                                           const Limits& limits = {});

  // Copy is a deep copy, in one allocation.
  Description Copy() const;
  // What the description keeps on the heap.
  size_t memory_bytes() const { return table().word_count() * 8; }

  // Judge finds what Parse() went past, in the order of the lines: lines
  // against RFC 8866 section 9, values against attribute.h, and what a section
  // says against itself. At most `limits.findings_max` of it is kept.
  Findings Judge(const Limits& limits = {}) const;
  // Strict is OK if there are no findings; else the first, as Parse() has
  // errors.
  absl::Status Strict() const;

  // ToString writes the description with CRLF line ends: the parsed bytes
  // themselves if they conformed.
  std::string ToString() const;
  // text is what was parsed, with its line ends.
  absl::string_view text() const { return table().text(); }
  // AppendTo is ToString into a buffer of the caller's.
  void AppendTo(std::string& out) const;

  bool empty() const { return line_count() == 0; }
  size_t line_count() const { return table().line_count(); }
  Line line(size_t index) const;

  Origin origin() const;
  // The lines in front of the first m= line.
  Block session() const;
  size_t media_count() const { return table().media_count(); }
  MediaSection media(size_t index) const;

  // BundleGroups returns the mids of every a=group:BUNDLE (RFC 9143), in order:
  // the first one of a group is its tagged section.
  std::vector<std::vector<absl::string_view>> BundleGroups() const;

  // Inherited is the value of the attribute in the media section, else at the
  // session level, which is its default there (RFC 8866 section 6).
  std::optional<absl::string_view> Inherited(size_t media_index,
                                             AttributeType attribute) const;

 private:
  class Parser;
  internal::LineTable table() const {
    return internal::LineTable(block_.get());
  }

  std::unique_ptr<uint64_t[]> block_;  // As LineTable has it.
};

// Position says where a description is wrong, and by which rule.
struct Position {
  size_t line = 0;    // From 1.
  size_t column = 0;  // From 1, in bytes.
  std::string rule;   // "RFC 8866 section 5.14".
};

// PositionOf returns the position in an error from Parse(); nullopt for other
// statuses.
std::optional<Position> PositionOf(const absl::Status& status);

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_DESCRIPTION_H_
