// The syntax of SDP's lines other than attributes, and their order (RFC 8866).

#ifndef KYUU_SDP_INTERNAL_LINE_SYNTAX_H_
#define KYUU_SDP_INTERNAL_LINE_SYNTAX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "sdp/attribute.h"

namespace kyuu::sdp::internal {

// By letter.
inline constexpr std::array<int8_t, 128> kSessionRanks = [] {
  constexpr char kOrder[] = "vosiuepcbtzka";
  std::array<int8_t, 128> ranks{};
  ranks.fill(-1);
  for (size_t i = 0; kOrder[i] != 0; ++i) {
    ranks[static_cast<unsigned char>(kOrder[i])] = static_cast<int8_t>(i);
  }
  // Every t= line has its own r= lines.
  ranks['r'] = ranks['t'];
  return ranks;
}();

// SessionRank gives the place of a type among the lines of the session level
// (RFC 8866 section 9). Types of one rank may be mixed; -1 is an unknown type,
// which may stand anywhere.
inline int SessionRank(char type) {
  const auto letter = static_cast<unsigned char>(type);
  return letter < kSessionRanks.size() ? kSessionRanks[letter] : -1;
}

// MayRepeat is true for the types that may follow themselves there.
inline bool MayRepeat(char type) {
  return type == 'e' || type == 'p' || type == 'b' || type == 't' ||
         type == 'r' || type == 'a';
}

// IsSessionOnly is true for the types that no media section may have.
inline bool IsSessionOnly(char type) {
  return type == 'v' || type == 'o' || type == 's' || type == 'u' ||
         type == 'e' || type == 'p' || type == 'z' || type == 't' ||
         type == 'r';
}

// m=<media> <port>[/<count>] <proto> <fmt> ... A count that is none reads as 1.
struct MediaLine {
  absl::string_view media;
  uint16_t port = 0;
  uint32_t port_count = 1;
  absl::string_view protocol;
  absl::string_view formats;
};

// ParseMediaLine reads the value of an m= line into `out`; what it returns
// leaves no section to be read. CheckMediaLine returns what else is wrong.
std::optional<SyntaxError> ParseMediaLine(absl::string_view value,
                                          MediaLine& out);
std::optional<SyntaxError> CheckMediaLine(absl::string_view value,
                                          const MediaLine& line);

// CheckLine returns what is wrong with the value of a line that is neither a=
// nor m=; nullopt if nothing is, or the type has no syntax here.
std::optional<SyntaxError> CheckLine(char type, absl::string_view value);

}  // namespace kyuu::sdp::internal

#endif  // KYUU_SDP_INTERNAL_LINE_SYNTAX_H_
