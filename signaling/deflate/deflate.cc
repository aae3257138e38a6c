#include "signaling/deflate/deflate.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "zlib.h"

namespace kyuu::signaling {
namespace {

// What a sender leaves out and a receiver appends (RFC 7692 section 7.2.1): an
// empty block without compression, behind its header.
constexpr absl::string_view kTail("\x00\x00\xff\xff", 4);

// zlib has no window of 2^8 bytes. From one of 2^9 it takes no distance above
// 250 (its MAX_DIST: it keeps room for the longest match), which fits one.
constexpr int kLeastZlibBits = 9;

// What zlib takes beside twice the window: 16 kB, an eighth of what it takes at
// its default of 8.
constexpr int kMemoryLevel = 5;

Bytef* BytesOf(absl::string_view text) {
  // zlib reads only, but has no const.
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

}  // namespace

struct Deflate::Deflater {
  Deflater(int level, int window_bits) {
    const int bits = std::max(window_bits, kLeastZlibBits);
    // Fails for want of memory only, which new does not survive either.
    KYUU_CHECK(deflateInit2(&stream, level, Z_DEFLATED, -bits, kMemoryLevel,
                            Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~Deflater() { deflateEnd(&stream); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  z_stream stream = {};
};

struct Deflate::Inflater {
  Inflater() { KYUU_CHECK(inflateInit2(&stream, -MAX_WBITS) == Z_OK); }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream = {};
  std::vector<Bytef> message;
};

Deflate::Deflate(const DeflateOptions& options) : options_(options) {}
Deflate::~Deflate() = default;

std::optional<absl::string_view> Deflate::Compress(absl::string_view message,
                                                   int window_bits) {
  KYUU_CHECK(window_bits >= 8 && window_bits <= MAX_WBITS);
  if (message.size() < options_.min_bytes) return std::nullopt;
  if (window_bits != last_window_bits_ || message != last_message_) {
    std::unique_ptr<Deflater>& deflater = deflaters_[window_bits - 8];
    if (deflater == nullptr) {
      deflater = std::make_unique<Deflater>(options_.level, window_bits);
    }
    z_stream& stream = deflater->stream;
    deflateReset(&stream);
    last_message_.assign(message.data(), message.size());
    last_window_bits_ = window_bits;
    // One byte too few for what is not worth it.
    last_compressed_.resize(message.size() + kTail.size() - 1);
    stream.next_in = BytesOf(message);
    stream.avail_in = static_cast<uInt>(message.size());
    stream.next_out = BytesOf(last_compressed_);
    stream.avail_out = static_cast<uInt>(last_compressed_.size());
    deflate(&stream, Z_SYNC_FLUSH);
    last_compressed_.resize(last_compressed_.size() - stream.avail_out);
    // A flush that was not complete leaves no room; one that was ends so.
    if (stream.avail_out == 0 || !absl::EndsWith(last_compressed_, kTail)) {
      last_compressed_.clear();
    } else {
      last_compressed_.resize(last_compressed_.size() - kTail.size());
    }
  }
  if (last_compressed_.empty()) return std::nullopt;
  ++stats_.messages_deflated;
  stats_.bytes_deflated += message.size();
  stats_.bytes_saved += message.size() - last_compressed_.size();
  return last_compressed_;
}

absl::StatusOr<std::string> Deflate::Inflate(std::string compressed,
                                             size_t max_bytes) {
  // An empty message is one byte (RFC 7692 section 7.2.3.6), but zlib makes
  // none of it if there was one before.
  if (compressed.empty()) return std::string();
  if (inflater_ == nullptr) inflater_ = std::make_unique<Inflater>();
  z_stream& stream = inflater_->stream;
  std::vector<Bytef>& message = inflater_->message;
  // One more than may be, by which too much is known.
  message.resize(std::max(message.size(), max_bytes + 1));
  inflateReset(&stream);
  absl::StrAppend(&compressed, kTail);
  stream.next_in = BytesOf(compressed);
  stream.avail_in = static_cast<uInt>(compressed.size());
  stream.next_out = message.data();
  stream.avail_out = static_cast<uInt>(max_bytes + 1);
  const auto malformed = [this](absl::string_view what) {
    ++stats_.inflated_malformed;
    return absl::InvalidArgumentError(absl::StrCat("compressed data: ", what));
  };
  // A call inflates one block at most. This says that it has ended, was not the
  // last one, and left no bit of a byte.
  constexpr int kBlockEnded = 128;
  do {
    const int result = inflate(&stream, Z_BLOCK);
    if (stream.avail_out == 0) {
      ++stats_.inflated_too_long;
      return absl::OutOfRangeError(
          absl::StrCat("a compressed message above ", max_bytes, " bytes"));
    }
    if (result == Z_STREAM_END) {
      // The last block of a sender that has no other way to end one (RFC 7692
      // section 7.2.3.4). More may follow, and refer to what was before.
      if (stream.avail_in == kTail.size()) break;
      const size_t size = max_bytes + 1 - stream.avail_out;
      const size_t window = std::min<size_t>(size, size_t{1} << MAX_WBITS);
      const z_stream at = stream;
      inflateReset(&stream);
      stream.next_in = at.next_in;
      stream.avail_in = at.avail_in;
      inflateSetDictionary(&stream, message.data() + size - window,
                           static_cast<uInt>(window));
    } else if (result != Z_OK) {
      return malformed(stream.msg == nullptr ? "it ends inside a block"
                                             : stream.msg);
    }
  } while (stream.avail_in > 0);
  if (stream.avail_in == 0 && stream.data_type != kBlockEnded) {
    return malformed("it ends inside a block");
  }
  ++stats_.messages_inflated;
  return std::string(reinterpret_cast<const char*>(message.data()),
                     max_bytes + 1 - stream.avail_out);
}

}  // namespace kyuu::signaling
