// A session description (SDP, RFC 8866) that loses nothing.
//
// Parse() keeps every line in its place, known or not, so that for conforming
// input ToString() gives the same bytes back. What WebRTC needs from the lines
// is read by typed accessors, and was checked once, by Parse():
//
//   KYUU_ASSIGN_OR_RETURN(Description offer, Description::Parse(text));
//   for (size_t i = 0; i < offer.media_count(); ++i) {
//     const MediaSection media = offer.media(i);
//     if (media.mid() == "0") Use(media.ice_ufrag(), media.ice_pwd());
//   }
//
// A line that nobody needs never refuses a description. What stands against the
// grammar without standing in the way is kept as findings(), with line, column
// and rule; accessors read such a value as if it were missing. Who wants the
// letter of the RFCs asks Strict().
//
// Views returned by any accessor point into the Description: they live until
// it is assigned to, moved from or destroyed.

#ifndef KYUU_SDP_DESCRIPTION_H_
#define KYUU_SDP_DESCRIPTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sdp/attribute.h"
#include "sdp/finding.h"

namespace kyuu::sdp {

class Description;

// Line is one line of a description, without its line end.
struct Line {
  char type = 0;            // 'a' of "a=mid:0".
  absl::string_view value;  // "mid:0".
  // For a= lines: what is known about the attribute, its name ("mid"), and
  // what follows the colon ("0"; empty for a flag such as "rtcp-mux").
  AttributeType attribute = AttributeType::kNone;
  absl::string_view attribute_name;
  absl::string_view attribute_value;
  size_t number = 0;  // Counted from 1.
};

// Block is a run of lines: the session level, or one media section. A cheap
// view of its Description.
class Block {
 public:
  size_t line_count() const { return end_ - begin_; }
  Line line(size_t index) const;

  // Has is true if the block has at least one line of that attribute.
  bool Has(AttributeType attribute) const;
  // Value is what follows the colon in the first line of that attribute;
  // nullopt without one, empty for a flag.
  std::optional<absl::string_view> Value(AttributeType attribute) const;
  // Values returns the value of every line of that attribute, in order.
  std::vector<absl::string_view> Values(AttributeType attribute) const;

  // RFC 8839 sections 5.4, 5.6.
  std::optional<absl::string_view> ice_ufrag() const;
  std::optional<absl::string_view> ice_pwd() const;
  // HasIceOption looks for one tag ("trickle", "ice2") in a=ice-options.
  bool HasIceOption(absl::string_view tag) const;
  // RFC 8839 section 5.5: the pacing wanted, in milliseconds.
  std::optional<uint32_t> ice_pacing_ms() const;
  // RFC 4145 section 4, as RFC 8842 uses it.
  std::optional<Setup> setup() const;
  // RFC 8842 section 4.
  std::optional<absl::string_view> tls_id() const;
  // RFC 8866 section 6.7; nullopt when the block says nothing.
  std::optional<Direction> direction() const;

 protected:
  friend class Description;
  Block(const Description* description, size_t begin, size_t end)
      : description_(description), begin_(begin), end_(end) {}

  const Description* description_;
  size_t begin_;  // Indexes of Description's lines.
  size_t end_;
};

// MediaSection is an m= line and all that follows it, up to the next one.
class MediaSection : public Block {
 public:
  // The parts of `m=<media> <port>/<count> <proto> <fmt> ...` (RFC 8866
  // section 5.14).
  absl::string_view media() const;
  uint16_t port() const;
  // 1 unless the line says otherwise.
  uint32_t port_count() const;
  absl::string_view protocol() const;
  // All of the formats, separated by single blanks.
  absl::string_view formats() const;

  // RFC 5888 section 4.
  std::optional<absl::string_view> mid() const;
  // RFC 8843 section 6.
  bool bundle_only() const { return Has(AttributeType::kBundleOnly); }
  // Refused, or switched off: port 0, and not because a bundle provides the
  // address (RFC 3264 section 6, RFC 8843 section 6).
  bool rejected() const { return port() == 0 && !bundle_only(); }

  // True for data channels over SCTP (RFC 8841), in today's form
  // ("UDP/DTLS/SCTP webrtc-datachannel") or the one from before the RFC
  // ("DTLS/SCTP 5000" with a=sctpmap).
  bool is_data_channel() const;
  // True for the form from before the RFC.
  bool is_legacy_data_channel() const;
  // a=sctp-port (RFC 8841 section 5), else the port that sctpmap names, else
  // nullopt.
  std::optional<uint16_t> sctp_port() const;
  // a=max-message-size (RFC 8841 section 6). 0 means "any size".
  std::optional<uint64_t> max_message_size() const;
  // The number of streams from a=sctpmap, of the form from before the RFC.
  std::optional<uint16_t> sctpmap_streams() const;

 private:
  friend class Description;
  using Block::Block;
};

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
  size_t line_bytes_max = 512 * 1024;
  size_t lines_max = 32 * 1024;
  size_t media_sections_max = 512;
  // Findings kept; further ones are only counted. At 64 bytes each.
  size_t findings_max = 64;
};

class Description {
 public:
  // An empty description: no lines. Parse() never returns one.
  Description() = default;

  // Parse takes the text over (std::move it in to save a copy).
  //
  // Line ends are CRLF; LF alone, a missing last line end and blank lines at
  // the end are accepted. INVALID_ARGUMENT if there are no lines to be read
  // (RFC 8866 section 9: control characters, no <type>=<value>, v=, o=, s= or
  // t= missing or out of order, an m= line without a port or format), or where
  // a section that is not rejected has an ice-ufrag, ice-pwd, mid or sctpmap
  // that is none; the message and PositionOf() tell where. RESOURCE_EXHAUSTED
  // beyond `limits`.
  static absl::StatusOr<Description> Parse(std::string text,
                                           const Limits& limits = {});

  // What Parse() found and went past. Candidates are read, and judged, by those
  // who use them.
  const std::vector<Finding>& findings() const { return findings_; }
  size_t findings_dropped() const { return findings_dropped_; }
  // Strict is OK if every line, candidates included, is as RFC 8866 section 9
  // and attribute.h have it; else the first finding, as Parse() has errors.
  absl::Status Strict() const;

  // ToString writes the description with CRLF line ends: the parsed bytes
  // themselves if they conformed.
  std::string ToString() const;
  // text is what was parsed, with its line ends.
  absl::string_view text() const { return text_; }
  // AppendTo is ToString into a buffer of the caller's.
  void AppendTo(std::string& out) const;

  bool empty() const { return lines_.empty(); }
  size_t line_count() const { return lines_.size(); }
  Line line(size_t index) const;

  Origin origin() const;
  // The lines in front of the first m= line.
  Block session() const;
  size_t media_count() const { return media_.size(); }
  MediaSection media(size_t index) const;

  // BundleGroups returns the mids of every a=group:BUNDLE (RFC 8843), in order:
  // the first one of a group is its tagged section.
  std::vector<std::vector<absl::string_view>> BundleGroups() const;

  // Inherited is the value of the attribute in the media section, else at the
  // session level, which is its default there (RFC 8866 section 6).
  std::optional<absl::string_view> Inherited(size_t media_index,
                                             AttributeType attribute) const;

 private:
  friend class Block;
  class Parser;

  // Where a line is in text_; 12 bytes, so that even a description of the
  // shortest lines costs at most four times its size.
  struct LineSpan {
    uint32_t begin;  // Of the type letter.
    uint32_t size;   // Without the line end.
    char type;
    AttributeType attribute;
  };

  std::string text_;
  std::vector<LineSpan> lines_;
  std::vector<uint32_t> media_;  // Indexes of the m= lines.
  std::vector<Finding> findings_;
  size_t findings_dropped_ = 0;
  bool conforming_ = true;  // text_ is what ToString() returns.
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
