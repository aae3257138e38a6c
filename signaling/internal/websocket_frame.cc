#include "signaling/internal/websocket_frame.h"

#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "openssl/evp.h"
#include "openssl/sha.h"

namespace kyuu::signaling::internal {
namespace {

constexpr uint8_t kRsv1 = 0x40;

// Fetched once, which SHA1() does anew each time: half of its work.
const EVP_MD* Sha1() {
  static const EVP_MD* const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  return sha1;
}

}  // namespace

size_t WriteFrameHeader(const FrameHeader& header,
                        std::array<uint8_t, kMaxFrameHeaderSize>& out) {
  Writer w(absl::MakeSpan(out));
  w.U8(static_cast<uint8_t>((header.fin ? 0x80 : 0) |
                            (header.compressed ? kRsv1 : 0) |
                            static_cast<uint8_t>(header.opcode)));
  const uint8_t mask_bit = header.masked ? 0x80 : 0;
  if (header.payload_size < 126) {
    w.U8(static_cast<uint8_t>(mask_bit | header.payload_size));
  } else if (header.payload_size <= 0xffff) {
    w.U8(mask_bit | 126);
    w.U16(static_cast<uint16_t>(header.payload_size));
  } else {
    w.U8(mask_bit | 127);
    w.U64(header.payload_size);
  }
  if (header.masked) w.Bytes(header.mask);
  return w.size();
}

FrameReader::Result FrameReader::Feed(uint8_t byte, Rsv1 rsv1) {
  const size_t at = size_++;
  if (at == 0) {
    return AcceptFirst(byte, rsv1) ? Result::kNeedMore : Result::kMalformed;
  }
  if (at == 1) {
    if (!AcceptSecond(byte)) return Result::kMalformed;
  } else if (at < 2 + length_size_) {
    // The most significant bit of 64 must be 0 (RFC 6455 section 5.2).
    if (length_size_ == 8 && at == 2 && byte > 0x7f) return Result::kMalformed;
    header_.payload_size = header_.payload_size << 8 | byte;
    if (at + 1 == 2 + length_size_ &&
        header_.payload_size < (length_size_ == 2 ? 126u : 0x10000u)) {
      return Result::kMalformed;  // Not the shortest form.
    }
  } else {
    header_.mask[at - 2 - length_size_] = byte;
  }
  const size_t total = 2 + length_size_ + (header_.masked ? 4 : 0);
  return size_ == total ? Result::kDone : Result::kNeedMore;
}

bool FrameReader::AcceptFirst(uint8_t byte, Rsv1 rsv1) {
  header_.fin = (byte & 0x80) != 0;
  header_.compressed = (byte & kRsv1) != 0;
  // RSV2 and RSV3 are of no extension that is spoken here.
  if ((byte & 0x30) != 0) return false;
  const uint8_t opcode = byte & 0x0f;
  if (header_.compressed && (rsv1 == Rsv1::kReserved || opcode == 0)) {
    return false;
  }
  if (opcode > 0x2 && opcode < 0x8) return false;
  if (opcode > 0xa) return false;
  header_.opcode = static_cast<Opcode>(opcode);
  // Control frames are never fragmented (RFC 6455 section 5.5), nor compressed
  // (RFC 7692 section 6.1).
  return !IsControl(header_.opcode) || (header_.fin && !header_.compressed);
}

bool FrameReader::AcceptSecond(uint8_t byte) {
  header_.masked = (byte & 0x80) != 0;
  const uint8_t length = byte & 0x7f;
  if (IsControl(header_.opcode) && length > kMaxControlPayload) return false;
  if (length < 126) {
    header_.payload_size = length;
  } else {
    length_size_ = length == 126 ? 2 : 8;
  }
  return true;
}

void ApplyMask(absl::Span<uint8_t> payload, const std::array<uint8_t, 4>& mask,
               size_t offset) {
  std::array<uint8_t, 8> key;
  for (size_t i = 0; i < key.size(); ++i) key[i] = mask[(offset + i) % 4];
  uint64_t key_word;
  std::memcpy(&key_word, key.data(), sizeof key_word);
  size_t i = 0;
  for (; payload.size() - i >= sizeof key_word; i += sizeof key_word) {
    uint64_t word;
    std::memcpy(&word, payload.data() + i, sizeof word);
    word ^= key_word;
    std::memcpy(payload.data() + i, &word, sizeof word);
  }
  for (; i < payload.size(); ++i) payload[i] ^= key[i % 4];
}

bool IsValidCloseCode(uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

std::string AcceptKey(absl::string_view key) {
  const std::string text =
      absl::StrCat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  std::array<uint8_t, SHA_DIGEST_LENGTH> digest;
  KYUU_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), nullptr,
                        Sha1(), nullptr) == 1);
  return absl::Base64Escape(AsText(digest));
}

}  // namespace kyuu::signaling::internal
