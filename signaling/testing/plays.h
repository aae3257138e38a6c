// What the fuzzers of signaling do with their bytes: each plays a part of the
// package with them, and aborts if a promise is broken.

#ifndef KYUU_SIGNALING_TESTING_PLAYS_H_
#define KYUU_SIGNALING_TESTING_PLAYS_H_

#include <cstdint>

#include "absl/types/span.h"

namespace kyuu::signaling {

// Bytes cut anywhere into the server's end of a stream: every request is
// answered or refused, the path stays below "/", and cutting changes nothing.
void PlayHttp(absl::Span<const uint8_t> input);
// Three streams of events and posts to them, by those who know their names and
// those who know half: what is sent comes out in order, what is posted comes in
// once, and who has no name changes nothing.
void PlayEvents(absl::Span<const uint8_t> input);
// Any text as a message of either side: our JSON scanner agrees with
// nlohmann-json, and what parses is written to what parses to the same.
void PlayMessage(absl::Span<const uint8_t> input);
// Five connections that come, go, and say what the input says, some of it
// damaged: whatever is sent is a message of the protocol, sessions open and
// close in pairs, and nothing is left when all have gone.
void PlayServer(absl::Span<const uint8_t> input);
// Two servers that are one, whose clients come, go and move between them; what
// the servers say to each other comes late, damaged or not at all: whatever
// clients are sent is of the protocol, bounds hold, and nothing is left.
void PlayNodes(absl::Span<const uint8_t> input);
// Two ends of a link whose packets are lost, repeated, reordered and damaged:
// messages come once and in order, and the link comes up again, unless packets
// were damaged, which pub/sub over TCP does not do.
void PlayLinks(absl::Span<const uint8_t> input);
// Five clients of PeerJS or of y-webrtc that do the same: bounds hold, whatever
// is sent is JSON of the protocol, and nothing is left when all have gone.
void PlayPeerJs(absl::Span<const uint8_t> input);
// Two nodes of PeerJS, with clients whose ids are given and refused.
void PlayPeerJsNodes(absl::Span<const uint8_t> input);
void PlayYWebrtc(absl::Span<const uint8_t> input);
// Bytes cut anywhere into a WebSocket of either role, among sends, closes and
// timeouts: bounds hold, Closed comes once and last, and what it sends is
// understood by the other role.
void PlayWebSocket(absl::Span<const uint8_t> input);
// Extensions that are offered, a payload that is compressed, or a message that
// is compressed into a frame, and then changed: what inflates is bounded and is
// what was said, or the WebSocket is closed.
void PlayDeflate(absl::Span<const uint8_t> input);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_TESTING_PLAYS_H_
