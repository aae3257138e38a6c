// Reader and Writer: the only place of kyuu that does arithmetic on packet
// offsets. Numbers on the wire are big-endian (network order) throughout.
//
//   Reader r(packet);
//   const uint16_t type = r.U16();
//   absl::Span<const uint8_t> body = r.Bytes(r.U16());
//   if (!r.ok()) return absl::InvalidArgumentError("truncated");

#ifndef KYUU_BASE_BYTES_H_
#define KYUU_BASE_BYTES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu {
namespace internal {

// From this machine's order to the wire's, and back.
constexpr uint64_t Swap(uint64_t value) {
  return std::endian::native == std::endian::little ? __builtin_bswap64(value)
                                                    : value;
}

}  // namespace internal

// Reader walks over bytes that it does not own. A read past the end yields
// zeros (or an empty span), moves nothing and makes the reader fail; a failed
// reader stays failed, so one check of ok() at the end covers all reads.
class Reader {
 public:
  explicit Reader(absl::Span<const uint8_t> bytes) : rest_(bytes) {}

  uint8_t U8() { return static_cast<uint8_t>(Number<1>()); }
  uint16_t U16() { return static_cast<uint16_t>(Number<2>()); }
  uint32_t U24() { return static_cast<uint32_t>(Number<3>()); }
  uint32_t U32() { return static_cast<uint32_t>(Number<4>()); }
  uint64_t U48() { return Number<6>(); }
  uint64_t U64() { return Number<8>(); }

  // Bytes returns the next `size` bytes as a view into the input.
  absl::Span<const uint8_t> Bytes(size_t size) {
    if (!Has(size)) return {};
    absl::Span<const uint8_t> result = rest_.first(size);
    rest_.remove_prefix(size);
    return result;
  }
  absl::string_view Text(size_t size) {
    absl::Span<const uint8_t> b = Bytes(size);
    return absl::string_view(reinterpret_cast<const char*>(b.data()), b.size());
  }
  // Rest takes everything that is left.
  absl::Span<const uint8_t> Rest() { return Bytes(rest_.size()); }
  void Skip(size_t size) { Bytes(size); }
  // Peek returns the byte `offset` ahead of the cursor, or 0 past the end; it
  // never fails the reader.
  uint8_t Peek(size_t offset = 0) const {
    return offset < rest_.size() ? rest_[offset] : 0;
  }
  // Fails the reader, for callers that find the content itself impossible.
  void Fail() {
    ok_ = false;
    rest_ = {};
  }

  size_t remaining() const { return rest_.size(); }
  bool empty() const { return rest_.empty(); }
  bool ok() const { return ok_; }
  // True if every read succeeded and nothing is left over.
  bool Finish() const { return ok_ && rest_.empty(); }

 private:
  bool Has(size_t size) {
    if (size <= rest_.size()) return true;
    Fail();
    return false;
  }
  template <size_t kSize>
  uint64_t Number() {
    if (!Has(kSize)) return 0;
    uint64_t wire = 0;
    std::memcpy(&wire, rest_.data(), kSize);
    rest_.remove_prefix(kSize);
    return internal::Swap(wire) >> (64 - 8 * kSize);
  }

  absl::Span<const uint8_t> rest_;
  bool ok_ = true;
};

// Writer appends to a buffer that it does not own. A write that does not fit
// writes nothing and makes the writer fail; a failed writer stays failed.
class Writer {
 public:
  explicit Writer(absl::Span<uint8_t> buffer) : buffer_(buffer) {}

  void U8(uint8_t v) { Number<1>(v); }
  void U16(uint16_t v) { Number<2>(v); }
  void U24(uint32_t v) { Number<3>(v); }
  void U32(uint32_t v) { Number<4>(v); }
  void U48(uint64_t v) { Number<6>(v); }
  void U64(uint64_t v) { Number<8>(v); }

  void Bytes(absl::Span<const uint8_t> bytes) {
    if (!Has(bytes.size()) || bytes.empty()) return;
    std::memcpy(buffer_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void Text(absl::string_view text) {
    Bytes(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()),
                              text.size()));
  }
  void Zeros(size_t count) {
    if (!Has(count) || count == 0) return;
    std::memset(buffer_.data() + size_, 0, count);
    size_ += count;
  }
  // Pads with zeros until size() is a multiple of `alignment`.
  void PadTo(size_t alignment) {
    Zeros((alignment - size_ % alignment) % alignment);
  }
  // Reserve leaves `count` bytes to be filled by the caller and returns them;
  // empty when they do not fit.
  absl::Span<uint8_t> Reserve(size_t count) {
    if (!Has(count)) return {};
    absl::Span<uint8_t> result = buffer_.subspan(size_, count);
    size_ += count;
    return result;
  }
  // Patch16 overwrites two bytes written before, for length fields. Fails the
  // writer if they were not.
  void Patch16(size_t offset, uint16_t value) {
    if (offset + 2 > size_) {
      Fail();
      return;
    }
    buffer_[offset] = static_cast<uint8_t>(value >> 8);
    buffer_[offset + 1] = static_cast<uint8_t>(value);
  }
  void Patch32(size_t offset, uint32_t value) {
    if (offset + 4 > size_) {
      Fail();
      return;
    }
    Patch16(offset, static_cast<uint16_t>(value >> 16));
    Patch16(offset + 2, static_cast<uint16_t>(value));
  }
  void Fail() { ok_ = false; }

  size_t size() const { return size_; }
  size_t remaining() const { return buffer_.size() - size_; }
  bool ok() const { return ok_; }
  // What was written so far; a view into the buffer.
  absl::Span<const uint8_t> written() const { return buffer_.first(size_); }
  absl::Span<uint8_t> mutable_written() { return buffer_.first(size_); }

 private:
  bool Has(size_t count) {
    if (ok_ && count <= remaining()) return true;
    ok_ = false;
    return false;
  }
  template <size_t kSize>
  void Number(uint64_t value) {
    if (!Has(kSize)) return;
    const uint64_t wire = internal::Swap(value << (64 - 8 * kSize));
    std::memcpy(buffer_.data() + size_, &wire, kSize);
    size_ += kSize;
  }

  absl::Span<uint8_t> buffer_;
  size_t size_ = 0;
  bool ok_ = true;
};

// Views between the two spellings of bytes. Neither copies.
inline absl::string_view AsText(absl::Span<const uint8_t> bytes) {
  return absl::string_view(reinterpret_cast<const char*>(bytes.data()),
                           bytes.size());
}
inline absl::Span<const uint8_t> AsBytes(absl::string_view text) {
  return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()),
                             text.size());
}

}  // namespace kyuu

#endif  // KYUU_BASE_BYTES_H_
