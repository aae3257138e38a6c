// Several encodings of one track: a=rid, a=simulcast and a=imageattr, as small
// values. Views point into the text that was read.

#ifndef KYUU_SDP_SIMULCAST_H_
#define KYUU_SDP_SIMULCAST_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "sdp/attribute_type.h"
#include "sdp/syntax.h"

namespace kyuu::sdp {

// a=rid:<id> <send|recv>[ <restriction>;...] (RFC 8851 section 10).
struct Rid {
  static constexpr AttributeType kType = AttributeType::kRid;
  absl::string_view id;     // Letters, digits, '-' and '_'.
  bool send = false;        // Else it is to be received.
  Parameters restrictions;  // "pt=97,98;max-width=1280".

  // The payload types that restriction "pt" names; empty: all of them.
  Pieces formats() const {
    return Pieces(restrictions.Get("pt").value_or(""), ',');
  }
  static Parsed<Rid> Parse(absl::string_view value);
};

// SimulcastId is one alternative of a stream: a rid, which may begin paused.
struct SimulcastId {
  absl::string_view rid;
  bool paused = false;  // "~".
};
// Of a piece of SimulcastAlternatives().
SimulcastId ParseSimulcastId(absl::string_view alternative);
// Of a piece of Simulcast::send or ::recv: the alternatives of one stream, most
// wanted first.
inline Pieces SimulcastAlternatives(absl::string_view stream) {
  return Pieces(stream, ',');
}

// a=simulcast:send <streams>[ recv <streams>], or the other way round (RFC 8853
// section 5.1).
struct Simulcast {
  static constexpr AttributeType kType = AttributeType::kSimulcast;
  Pieces send;  // "1", "~2,3": streams of alternatives. Empty: not said.
  Pieces recv;
  // In the form of the drafts before the RFC, "send rid=1;2", which Firefox
  // wrote until version 64. It is read, and is one of Judge()'s findings.
  bool draft = false;

  static Parsed<Simulcast> Parse(absl::string_view value);
};

// a=imageattr:<payload type or *> <send|recv> <sets or *>... (RFC 6236 section
// 3.1.1).
struct ImageAttribute {
  static constexpr AttributeType kType = AttributeType::kImageattr;
  std::optional<uint8_t> payload_type;  // nullopt: all of them.
  // "[x=800,y=640] [x=320,y=240]", or "*" for any image; empty: not said.
  absl::string_view send;
  absl::string_view recv;

  static Parsed<ImageAttribute> Parse(absl::string_view value);
};

// TakeImageSet cuts the first "[...]" off `sets`, a list of ImageAttribute, and
// returns what is within it ("x=800,y=[480:16:800]"); nullopt if there is none.
std::optional<absl::string_view> TakeImageSet(absl::string_view& sets);
// ImageSetValue returns what a set says for a key ("x": "800" or
// "[480:16:800]").
std::optional<absl::string_view> ImageSetValue(absl::string_view set,
                                               absl::string_view key);

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_SIMULCAST_H_
