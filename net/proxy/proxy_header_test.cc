#include "net/proxy/proxy_header.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "gtest/gtest.h"

namespace kyuu::net {
namespace {

using State = ProxyHeader::State;

// The signature of version 2 (section 2.2).
const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string Number(size_t value, size_t bytes) {
  std::string text;
  for (size_t i = bytes; i-- > 0;) {
    text.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  }
  return text;
}
std::string Binary(uint8_t command, uint8_t family, const std::string& rest) {
  return absl::StrCat(kSignature, Number(command, 1), Number(family, 1),
                      Number(rest.size(), 2), rest);
}
const std::string kFour = absl::StrCat(absl::HexStringToBytes("c6336401"),
                                       absl::HexStringToBytes("c0000201"),
                                       Number(40000, 2), Number(443, 2));
const std::string kSix =
    absl::StrCat(absl::HexStringToBytes("20010db8000000000000000000000001"),
                 absl::HexStringToBytes("20010db8000000000000000000000002"),
                 Number(40001, 2), Number(443, 2));
const ProxyHeader::Ends kFourEnds{{IpAddress::V4(198, 51, 100, 1), 40000},
                                  {IpAddress::V4(192, 0, 2, 1), 443}};
const ProxyHeader::Ends kSixEnds{
    {IpAddress::Parse("2001:db8::1").value(), 40001},
    {IpAddress::Parse("2001:db8::2").value(), 443}};
std::string Tlv(uint8_t type, const std::string& value) {
  return absl::StrCat(Number(type, 1), Number(value.size(), 2), value);
}
// With the checksum in its place.
std::string Checked(uint8_t family, const std::string& addresses,
                    const std::string& more) {
  std::string header = Binary(
      0x21, family, absl::StrCat(addresses, Tlv(3, std::string(4, 0)), more));
  const uint32_t sum = Crc32c(AsBytes(header));
  return header.replace(16 + addresses.size() + 3, 4, Number(sum, 4));
}

// What comes of `text`, shown `step` bytes at a time; that not a byte beyond
// the header is taken, either.
ProxyHeader Read(const std::string& text, size_t step,
                 const std::string& behind = "GET / HTTP/1.1\r\n\r\n") {
  ProxyHeader header;
  const std::string all = text + behind;
  size_t at = 0;
  while (header.state() == State::kReading && at < all.size()) {
    at += header.Take(AsBytes(all).subspan(at, step));
  }
  if (header.state() == State::kDone) {
    EXPECT_EQ(at, text.size());
  }
  if (header.state() != State::kReading) {
    EXPECT_EQ(header.Take(AsBytes("more")), 0u);
  }
  return header;
}

TEST(ProxyHeader, BothVersionsTellTheClient) {
  const std::pair<std::string, std::optional<ProxyHeader::Ends>> kRows[] = {
      {"PROXY TCP4 198.51.100.1 192.0.2.1 40000 443\r\n", kFourEnds},
      {"PROXY TCP6 2001:db8::1 2001:DB8::2 40001 443\r\n", kSixEnds},
      // The longest line (section 2.1).
      {"PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 "
       "2001:0db8:0000:0000:0000:0000:0000:0002 40001 443\r\n",
       kSixEnds},
      {"PROXY UNKNOWN\r\n", std::nullopt},
      {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
       std::nullopt},
      {Binary(0x21, 0x11, kFour), kFourEnds},
      {Binary(0x21, 0x21, kSix), kSixEnds},
      {Binary(0x20, 0x00, ""), std::nullopt},
      {Binary(0x20, 0x11, kFour), std::nullopt},
      {Binary(0x20, 0x11, "cut"), std::nullopt},
      {Binary(0x21, 0x00, ""), std::nullopt},
      {Binary(0x21, 0x10, kFour), std::nullopt},
      // ALPN, AUTHORITY, NOOP, one of nobody's, and an empty one.
      {Binary(0x21, 0x11,
              absl::StrCat(kFour, Tlv(1, "h2"), Tlv(2, "example.org"),
                           Tlv(4, std::string(300, 0)), Tlv(0xea, "x"),
                           Tlv(5, ""))),
       kFourEnds},
      {Checked(0x11, kFour, Tlv(1, "h2")), kFourEnds},
      {Checked(0x21, kSix, ""), kSixEnds},
      {Checked(0x00, "", ""), std::nullopt},
  };
  for (const auto& [text, ends] : kRows) {
    for (const size_t step : {size_t{1}, size_t{7}, size_t{10000}}) {
      const ProxyHeader header = Read(text, step);
      ASSERT_EQ(header.state(), State::kDone)
          << absl::CHexEscape(text) << header.status();
      EXPECT_EQ(header.ends(), ends) << absl::CHexEscape(text);
    }
    // And no part of it is enough.
    for (size_t size = 0; size < text.size(); ++size) {
      EXPECT_EQ(Read(text.substr(0, size), 10000, "").state(), State::kReading)
          << absl::CHexEscape(text) << " " << size;
    }
  }
}

TEST(ProxyHeader, WhatIsNotToTheLetterIsRefused) {
  const std::string kRows[] = {
      "GET / HTTP/1.1\r\n\r\n",
      "POST / HTTP/1.1\r\n\r\n",
      "\r\n\r\n GET / HTTP/1.1\r\n\r\n",
      std::string("\0\1\0\0\x21\x12\xa4\x42", 8),
      "PROXY\r\n",
      "PROXY \r\n",
      "PROXY TCP4\r\n",
      "PROXY TCP4 198.51.100.1 192.0.2.1 40000 443\n",
      "PROXY TCP4 198.51.100.1 192.0.2.1 40000 443 \r\n",
      "PROXY TCP4  198.51.100.1 192.0.2.1 40000 443\r\n",
      "PROXY TCP4 198.51.100.1 192.0.2.1 40000\r\n",
      "PROXY TCP4 198.51.100.1 192.0.2.1 040000 443\r\n",
      "PROXY TCP4 198.51.100.1 192.0.2.1 65536 443\r\n",
      "PROXY TCP4 198.51.100.1 192.0.2.1 -1 443\r\n",
      "PROXY TCP4 198.51.100.1 192.0.2.1 1 4e3\r\n",
      "PROXY TCP4 198.51.100.001 192.0.2.1 40000 443\r\n",
      "PROXY TCP4 198.51.100 192.0.2.1 40000 443\r\n",
      "PROXY TCP4 2001:db8::1 192.0.2.1 40000 443\r\n",
      "PROXY TCP6 198.51.100.1 2001:db8::2 40000 443\r\n",
      "PROXY TCP6 fe80::1%1 2001:db8::2 40000 443\r\n",
      "PROXY TCP5 198.51.100.1 192.0.2.1 40000 443\r\n",
      "PROXY UDP4 198.51.100.1 192.0.2.1 40000 443\r\n",
      "proxy TCP4 198.51.100.1 192.0.2.1 40000 443\r\n",
      absl::StrCat("PROXY UNKNOWN ", std::string(92, 'x'), "\r\n"),
      std::string(200, 'P'),
      Binary(0x11, 0x11, kFour),  // Version 1 in binary.
      Binary(0x31, 0x11, kFour),
      Binary(0x22, 0x11, kFour),
      Binary(0x21, 0x13, kFour),
      Binary(0x21, 0x41, kFour),
      Binary(0x21, 0x12, kFour),                  // Of UDP,
      Binary(0x21, 0x31, std::string(216, 'x')),  // and of a Unix socket.
      Binary(0x21, 0x11, kFour.substr(1)),
      Binary(0x21, 0x21, kFour),
      Binary(0x21, 0x11, ""),
      Binary(0x21, 0x11, kFour + "\x01"),
      Binary(0x21, 0x11, absl::StrCat(kFour, Tlv(1, "h2").substr(0, 4))),
      Binary(0x21, 0x11, absl::StrCat(kFour, Tlv(3, "abc"))),
      Binary(0x21, 0x11, absl::StrCat(kFour, Tlv(3, "abcd"))),
      Binary(0x21, 0x11, std::string(4081, 'x')),
      absl::StrCat(kSignature, "\x21\x11\xff\xff"),
  };
  for (const std::string& text : kRows) {
    for (const size_t step : {size_t{1}, size_t{7}, size_t{10000}}) {
      const ProxyHeader header = Read(text, step, "\r\n");
      EXPECT_EQ(header.state(), State::kRefused) << absl::CHexEscape(text);
      EXPECT_EQ(header.ends(), std::nullopt);
      EXPECT_EQ(header.status().code(), absl::StatusCode::kInvalidArgument);
    }
  }
}

// Its bounds, from within.
TEST(ProxyHeader, TheLongestAreTaken) {
  const std::string line =
      absl::StrCat("PROXY UNKNOWN ", std::string(91, 'x'), "\r\n");
  ASSERT_EQ(line.size(), ProxyHeader::kLineBytesMax);
  EXPECT_EQ(Read(line, 1).state(), State::kDone);
  const std::string binary = Binary(
      0x21, 0x11,
      absl::StrCat(kFour, Tlv(4, std::string(ProxyHeader::kBytesMax - 31, 0))));
  ASSERT_EQ(binary.size(), ProxyHeader::kBytesMax);
  EXPECT_EQ(Read(binary, 100).state(), State::kDone);
}

TEST(ProxyHeader, EveryFlippedBitShowsInTheChecksum) {
  const std::string whole = Checked(0x21, kSix, Tlv(2, "example.org"));
  const size_t type_at = 16 + 36;  // Of the checksum, which is none without.
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    if (bit / 8 == type_at) continue;
    std::string text = whole;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ 1 << bit % 8);
    const ProxyHeader header = Read(text, 10000, "");
    // LOCAL takes the rest as it is; that of the length makes it wait.
    if (header.state() == State::kDone) {
      EXPECT_EQ(header.ends(), std::nullopt);
    }
  }
}

TEST(ProxyHeaderTest, ItsBeginningIsRecognizedAsSoonAsItTells) {
  using Beginning = ProxyHeader::Beginning;
  EXPECT_EQ(ProxyHeader::Recognize({}), Beginning::kPerhaps);
  for (const std::string& mark : {std::string("PROXY "), kSignature}) {
    for (size_t size = 1; size <= mark.size(); ++size) {
      std::string text = mark.substr(0, size);
      EXPECT_EQ(ProxyHeader::Recognize(AsBytes(text)),
                size < mark.size() ? Beginning::kPerhaps : Beginning::kHeader);
      text += "and more";
      EXPECT_EQ(ProxyHeader::Recognize(AsBytes(text)),
                size < mark.size() ? Beginning::kNone : Beginning::kHeader);
      text[size - 1] = static_cast<char>(text[size - 1] ^ 0x20);
      EXPECT_EQ(ProxyHeader::Recognize(AsBytes(text)), Beginning::kNone);
    }
  }
}

}  // namespace
}  // namespace kyuu::net
