// The frame header of WebSocket (RFC 6455 section 5.2) and its rules.

#ifndef KYUU_SIGNALING_INTERNAL_WEBSOCKET_FRAME_H_
#define KYUU_SIGNALING_INTERNAL_WEBSOCKET_FRAME_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu::signaling::internal {

//   0                   1                   2                   3
//   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//  +-+-+-+-+-------+-+-------------+-------------------------------+
//  |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
//  |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
//  |N|V|V|V|       |S|             |   (if payload len==126/127)   |
//  | |1|2|3|       |K|             |                               |
//  +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
//  |     Extended payload length continued, if payload len == 127  |
//  + - - - - - - - - - - - - - - - +-------------------------------+
//  |                               |Masking-key, if MASK set to 1  |
//  +-------------------------------+-------------------------------+

enum class Opcode : uint8_t {
  kContinuation = 0x0,
  kText = 0x1,
  kBinary = 0x2,
  kClose = 0x8,
  kPing = 0x9,
  kPong = 0xa,
};
constexpr bool IsControl(Opcode opcode) {
  return static_cast<uint8_t>(opcode) >= 0x8;
}

inline constexpr size_t kMaxFrameHeaderSize = 14;
inline constexpr size_t kMaxControlPayload = 125;

// What RSV1 may be: set in no frame, or in the first one of a message that is
// compressed (RFC 7692 section 6).
enum class Rsv1 : uint8_t { kReserved, kCompressed };

struct FrameHeader {
  bool fin = true;
  bool compressed = false;
  Opcode opcode = Opcode::kText;
  bool masked = false;
  std::array<uint8_t, 4> mask{};
  uint64_t payload_size = 0;
};

// WriteFrameHeader returns how many bytes of `out` the header takes, its
// length in the shortest form.
size_t WriteFrameHeader(const FrameHeader& header,
                        std::array<uint8_t, kMaxFrameHeaderSize>& out);

// FrameReader collects a header that arrives in pieces.
class FrameReader {
 public:
  enum class Result : uint8_t { kNeedMore, kDone, kMalformed };

  // Feed takes at most one byte: what is malformed is known at the earliest
  // byte that shows it. kMalformed: reserved bits or opcode, a fragmented or
  // long control frame, a length not in the shortest form or above 2^63.
  Result Feed(uint8_t byte, Rsv1 rsv1);
  // Valid after kDone, until Reset().
  const FrameHeader& header() const { return header_; }
  bool empty() const { return size_ == 0; }
  void Reset() { *this = FrameReader(); }

 private:
  bool AcceptFirst(uint8_t byte, Rsv1 rsv1);
  bool AcceptSecond(uint8_t byte);

  FrameHeader header_;
  size_t size_ = 0;         // Bytes taken.
  size_t length_size_ = 0;  // Extended length: 0, 2 or 8 bytes.
};

// XORs `payload` with `mask`, beginning `offset` bytes into the masking
// sequence (RFC 6455 section 5.3).
void ApplyMask(absl::Span<uint8_t> payload, const std::array<uint8_t, 4>& mask,
               size_t offset);

// True for codes that may stand in a Close frame (RFC 6455 section 7.4 and the
// IANA registry: 1000-1003, 1007-1014, 3000-4999).
bool IsValidCloseCode(uint16_t code);

// Sec-WebSocket-Accept for the key that the client sent (RFC 6455 section
// 4.2.2): Base64 of SHA-1.
std::string AcceptKey(absl::string_view key);

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_WEBSOCKET_FRAME_H_
