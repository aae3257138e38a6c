#include "signaling/deflate/deflate.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "zlib.h"

namespace kyuu::signaling {
namespace {

using ::testing::HasSubstr;

constexpr size_t kMax = 65536;

std::string FromHexText(absl::string_view hex) {
  return std::string(AsText(FromHex(hex)));
}

// What zlib makes of `text`, as a sender of RFC 7692 would say it.
std::string Deflated(absl::string_view text, int window_bits = 15,
                     int level = 9) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, -window_bits, 8,
                         Z_DEFAULT_STRATEGY),
            Z_OK);
  std::string out(text.size() + text.size() / 8 + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
  out.resize(out.size() - stream.avail_out - 4);
  deflateEnd(&stream);
  return out;
}

std::string Random(size_t size, uint64_t seed = 1) {
  SeededRandom random(seed);
  std::string bytes(size, '\0');
  random.Fill(absl::MakeSpan(reinterpret_cast<uint8_t*>(bytes.data()), size));
  return bytes;
}

std::string Words(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) {
    absl::StrAppend(&text, "a=candidate:", i * 7919, " 1 udp ", i * 31337, " ");
  }
  return text.substr(0, size);
}

TEST(DeflateTest, ExamplesOfRfc7692Section7_2_3) {
  const struct {
    const char* name;
    const char* payload;
    const char* message;
  } kRows[] = {
      {"7.2.3.1 one block", "f2 48 cd c9 c9 07 00", "Hello"},
      {"7.2.3.3 without compression", "00 05 00 fa ff 48 65 6c 6c 6f 00",
       "Hello"},
      {"7.2.3.4 BFINAL", "f3 48 cd c9 c9 07 00 00", "Hello"},
      {"7.2.3.5 two blocks", "f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello"},
      {"7.2.3.6 empty", "00", ""},
      {"nothing at all", "", ""},
      {"BFINAL, and no block behind it", "f3 48 cd c9 c9 07 00", "Hello"},
      {"twice BFINAL", "f3 48 cd c9 c9 07 00 f3 48 cd c9 c9 07 00 00",
       "HelloHello"},
  };
  Deflate deflate;
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    const auto message = deflate.Inflate(FromHexText(row.payload), kMax);
    ASSERT_OK(message.status());
    EXPECT_EQ(*message, row.message);
  }
  // 7.2.3.2 shares the window with the message before, which is not granted:
  // nothing of it is left.
  EXPECT_THAT(deflate.Inflate(FromHexText("f2 00 11 00 00"), kMax).status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(DeflateTest, BlocksBehindTheLastOneReferToWhatWasBefore) {
  const std::string text = Words(3000);
  // The first half ends by BFINAL; the second begins with the first as its
  // dictionary.
  z_stream stream = {};
  std::string payload(8000, '\0');
  ASSERT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY),
            Z_OK);
  const auto* bytes = reinterpret_cast<const Bytef*>(text.data());
  stream.next_in = const_cast<Bytef*>(bytes);
  stream.avail_in = 1500;
  stream.next_out = reinterpret_cast<Bytef*>(payload.data());
  stream.avail_out = 8000;
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  const z_stream at = stream;
  deflateReset(&stream);
  ASSERT_EQ(deflateSetDictionary(&stream, bytes, 1500), Z_OK);
  stream.next_in = const_cast<Bytef*>(bytes) + 1500;
  stream.avail_in = 1500;
  stream.next_out = at.next_out;
  stream.avail_out = at.avail_out;
  ASSERT_EQ(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
  payload.resize(8000 - stream.avail_out - 4);
  deflateEnd(&stream);
  Deflate deflate;
  EXPECT_EQ(deflate.Inflate(payload, kMax).value(), text);
}

TEST(DeflateTest, WhatOneCompressesAnyWindowInflates) {
  Deflate deflate({.min_bytes = 0});
  for (int bits = 8; bits <= 15; ++bits) {
    for (const size_t size : {1, 5, 255, 256, 257, 1200, 40000, 65536}) {
      SCOPED_TRACE(absl::StrCat(bits, " bits, ", size, " bytes"));
      const std::string text = Words(size);
      const auto payload = deflate.Compress(text, bits);
      if (!payload) {
        EXPECT_LT(size, 256u);
        continue;
      }
      EXPECT_LT(payload->size(), size);
      // A receiver that has the window which was agreed on, and no more.
      z_stream stream = {};
      ASSERT_EQ(inflateInit2(&stream, -bits), Z_OK);
      std::string in = absl::StrCat(*payload, std::string("\0\0\xff\xff", 4));
      std::string out;
      stream.next_in = reinterpret_cast<Bytef*>(in.data());
      stream.avail_in = static_cast<uInt>(in.size());
      while (stream.avail_in > 0) {
        // In pieces, or zlib looks back into its output instead.
        char piece[64];
        stream.next_out = reinterpret_cast<Bytef*>(piece);
        stream.avail_out = sizeof piece;
        ASSERT_EQ(inflate(&stream, Z_SYNC_FLUSH), Z_OK);
        out.append(piece, sizeof piece - stream.avail_out);
      }
      while (out.size() < size) {
        char piece[64];
        stream.next_out = reinterpret_cast<Bytef*>(piece);
        stream.avail_out = sizeof piece;
        ASSERT_EQ(inflate(&stream, Z_SYNC_FLUSH), Z_OK);
        out.append(piece, sizeof piece - stream.avail_out);
      }
      inflateEnd(&stream);
      EXPECT_TRUE(out == text);
      EXPECT_EQ(deflate.Inflate(std::string(*payload), kMax).value(), text);
    }
  }
}

TEST(DeflateTest, WhatDoesNotGetShorterIsSentAsItIs) {
  Deflate deflate;
  EXPECT_FALSE(deflate.Compress("", 15));
  EXPECT_FALSE(deflate.Compress(Words(511), 15));
  EXPECT_TRUE(deflate.Compress(Words(512), 15));
  for (const size_t size : {512, 1000, 16384, 65536}) {
    EXPECT_FALSE(deflate.Compress(Random(size), 15)) << size;
    EXPECT_FALSE(deflate.Compress(Random(size), 8)) << size;
  }
  EXPECT_EQ(deflate.stats().messages_deflated, 1u);
  EXPECT_EQ(deflate.stats().bytes_deflated, 512u);
  EXPECT_GT(deflate.stats().bytes_saved, 100u);
}

// What is said to all of a room is the same text in a row.
TEST(DeflateTest, TheSameMessageAgainIsTheSamePayload) {
  Deflate deflate;
  const std::string text = Words(1200), other = Words(1300);
  const std::string wide(deflate.Compress(text, 15).value());
  EXPECT_EQ(deflate.Compress(text, 15).value(), wide);
  const std::string narrow(deflate.Compress(text, 8).value());
  EXPECT_NE(narrow, wide);
  EXPECT_NE(deflate.Compress(other, 8).value(), narrow);
  EXPECT_EQ(deflate.Compress(text, 8).value(), narrow);
  EXPECT_EQ(deflate.Compress(text, 15).value(), wide);
  const std::string noise = Random(600);
  EXPECT_FALSE(deflate.Compress(noise, 15));
  EXPECT_FALSE(deflate.Compress(noise, 15));
  EXPECT_EQ(deflate.Compress(text, 15).value(), wide);
}

TEST(DeflateTest, AMessageMayHaveWhatItMayHaveAndNotAByteMore) {
  Deflate deflate;
  for (const size_t max : {1, 100, 65536}) {
    const std::string text(max, 'x');
    EXPECT_EQ(deflate.Inflate(Deflated(text), max).value(), text);
    EXPECT_THAT(deflate.Inflate(Deflated(text + "x"), max).status(),
                StatusIs(absl::StatusCode::kOutOfRange));
    // Random bytes are longer when they are deflated.
    EXPECT_EQ(deflate.Inflate(Deflated(Random(max)), max).value(), Random(max));
    EXPECT_LE(Deflated(Random(max)).size(), Deflate::MaxCompressedBytes(max));
  }
  EXPECT_EQ(deflate.stats().inflated_too_long, 3u);
  // A bomb: 60 MB in 60 kB, of which no more is made than may be.
  const std::string bomb = Deflated(std::string(60'000'000, '\0'));
  EXPECT_LT(bomb.size(), 65536u);
  EXPECT_THAT(deflate.Inflate(bomb, kMax).status(),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(deflate.stats().inflated_too_long, 4u);
  EXPECT_EQ(deflate.Inflate(Deflated("and on"), kMax).value(), "and on");
}

TEST(DeflateTest, EveryTruncationAndEveryFlippedBitIsRefusedOrSomethingElse) {
  Deflate deflate;
  const std::string text = Words(300);
  const std::string payload = Deflated(text);
  for (size_t size = 1; size < payload.size(); ++size) {
    const auto got = deflate.Inflate(payload.substr(0, size), 1000);
    // What the receiver appends may end a block by chance.
    EXPECT_FALSE(got.ok() && *got == text) << size;
  }
  size_t refused = 0;
  for (size_t bit = 0; bit < 8 * payload.size(); ++bit) {
    std::string flipped = payload;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const auto got = deflate.Inflate(flipped, 1000);
    refused += got.ok() ? 0 : 1;
    if (got.ok()) {
      EXPECT_LE(got->size(), 1000u);
    }
    // Nothing of it is left for the next one.
    ASSERT_EQ(deflate.Inflate(payload, 1000).value(), text);
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(deflate.stats().inflated_malformed, 100u);
}

TEST(DeflateTest, WhatIsNoDeflateIsRefused) {
  const struct {
    const char* name;
    const char* payload;
    const char* why;
  } kRows[] = {
      {"a kind of block that is not", "06 00", "invalid block type"},
      {"a length that is not its own", "00 05 00 00 00 48 65 6c 6c 6f 00",
       "invalid stored block lengths"},
      {"a distance before the beginning", "f2 00 11 00 00", "too far back"},
      {"text", "7b 22 74 79 70 65 22 3a 22 70 69 6e 67 22 7d", ""},
      {"cut inside a block", "f2 48 cd", "it ends inside a block"},
      {"stored, longer than there is", "00 ff 00 00 ff 48",
       "it ends inside a block"},
      {"behind the last block rubbish", "f3 48 cd c9 c9 07 00 06",
       "invalid block type"},
  };
  Deflate deflate;
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    const auto message = deflate.Inflate(FromHexText(row.payload), kMax);
    EXPECT_THAT(message.status(), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(std::string(message.status().message()), HasSubstr(row.why));
  }
  EXPECT_EQ(deflate.stats().inflated_malformed, std::size(kRows));
  EXPECT_EQ(deflate.stats().messages_inflated, 0u);
}

}  // namespace
}  // namespace kyuu::signaling
