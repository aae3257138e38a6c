#include "base/address.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0,    0,
                                                   0, 0, 0, 0, 0xff, 0xff};

// Digits only: SimpleAtoi would take signs and blanks.
bool ParseNumber(absl::string_view text, uint32_t max, uint32_t& value) {
  if (text.empty() || text.size() > 10) return false;
  uint64_t sum = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    sum = sum * 10 + static_cast<uint64_t>(c - '0');
  }
  if (sum > max) return false;
  value = static_cast<uint32_t>(sum);
  return true;
}

std::optional<uint32_t> ParseV4(absl::string_view text) {
  uint32_t address = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at == end || *at++ != '.')) return std::nullopt;
    const char* const begin = at;
    uint32_t byte = 0;
    while (at != end && at - begin < 3 && *at >= '0' && *at <= '9') {
      byte = byte * 10 + static_cast<uint32_t>(*at++ - '0');
    }
    if (at == begin || byte > 255) return std::nullopt;
    // A leading zero may mean octal elsewhere (RFC 6943 section 3.1.1).
    if (at - begin > 1 && *begin == '0') return std::nullopt;
    address = address << 8 | byte;
  }
  if (at != end) return std::nullopt;
  return address;
}

// Reads 1 to 4 hexadecimal digits.
bool ParseHex(absl::string_view text, uint32_t& value) {
  if (text.empty() || text.size() > 4) return false;
  value = 0;
  for (const char c : text) {
    uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0');
    } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
      digit = static_cast<uint32_t>((c | 0x20) - 'a') + 10;
    } else {
      return false;
    }
    value = value << 4 | digit;
  }
  return true;
}

// Reads colon-separated groups into `out`; the last may be dotted IPv4.
// Returns the number of bytes written, or nullopt.
std::optional<size_t> ParseGroups(absl::string_view text,
                                  std::array<uint8_t, 16>& out) {
  if (text.empty()) return 0;
  size_t size = 0;
  while (true) {
    const size_t colon = text.find(':');
    const absl::string_view group = text.substr(0, colon);
    const bool last = colon == absl::string_view::npos;
    if (last && group.find('.') != absl::string_view::npos) {
      const std::optional<uint32_t> v4 = ParseV4(group);
      if (!v4 || size + 4 > 16) return std::nullopt;
      for (int shift = 24; shift >= 0; shift -= 8) {
        out[size++] = static_cast<uint8_t>(*v4 >> shift);
      }
      return size;
    }
    uint32_t value = 0;
    if (size + 2 > 16 || !ParseHex(group, value)) return std::nullopt;
    out[size++] = static_cast<uint8_t>(value >> 8);
    out[size++] = static_cast<uint8_t>(value);
    if (last) return size;
    text.remove_prefix(colon + 1);
  }
}

std::optional<std::array<uint8_t, 16>> ParseV6(absl::string_view text) {
  std::array<uint8_t, 16> head{};
  const size_t gap = text.find("::");
  if (gap == absl::string_view::npos) {
    const std::optional<size_t> size = ParseGroups(text, head);
    if (size != 16) return std::nullopt;
    return head;
  }
  std::array<uint8_t, 16> tail{};
  const std::optional<size_t> before = ParseGroups(text.substr(0, gap), head);
  const std::optional<size_t> after = ParseGroups(text.substr(gap + 2), tail);
  // "::" stands for at least one group (RFC 4291 section 2.2).
  if (!before || !after || *before + *after > 14) return std::nullopt;
  std::copy_n(tail.begin(), *after, head.end() - static_cast<int>(*after));
  return head;
}

// RFC 5952: lower case, the longest run of zero groups (two at least)
// shortened, the first one of equals.
std::string FormatV6(absl::Span<const uint8_t> bytes) {
  std::array<uint16_t, 8> groups;
  for (size_t i = 0; i < 8; ++i) {
    groups[i] = static_cast<uint16_t>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
  }
  size_t best = 8, best_length = 1;
  for (size_t i = 0; i < 8; ++i) {
    size_t length = 0;
    while (i + length < 8 && groups[i + length] == 0) ++length;
    if (length > best_length) {
      best = i;
      best_length = length;
    }
  }
  std::string text;
  for (size_t i = 0; i < 8; ++i) {
    if (i == best) {
      absl::StrAppend(&text, "::");
      i += best_length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    absl::StrAppendFormat(&text, "%x", groups[i]);
  }
  return text;
}

}  // namespace

IpAddress IpAddress::V4(uint32_t host_order) {
  IpAddress a;
  a.family_ = IpFamily::kV4;
  a.bytes_[0] = static_cast<uint8_t>(host_order >> 24);
  a.bytes_[1] = static_cast<uint8_t>(host_order >> 16);
  a.bytes_[2] = static_cast<uint8_t>(host_order >> 8);
  a.bytes_[3] = static_cast<uint8_t>(host_order);
  return a;
}

IpAddress IpAddress::V4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return V4(uint32_t{a} << 24 | uint32_t{b} << 16 | uint32_t{c} << 8 | d);
}

IpAddress IpAddress::V6(const std::array<uint8_t, 16>& bytes,
                        uint32_t scope_id) {
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin())) {
    return V4(bytes[12], bytes[13], bytes[14], bytes[15]);
  }
  IpAddress a;
  a.family_ = IpFamily::kV6;
  a.bytes_ = bytes;
  if (a.IsLinkLocal()) {
    for (int i = 0; i < 4; ++i) {
      a.scope_id_[i] = static_cast<uint8_t>(scope_id >> 8 * (3 - i));
    }
  }
  return a;
}

IpAddress IpAddress::FromBytes(absl::Span<const uint8_t> bytes) {
  if (bytes.size() == 4) return V4(bytes[0], bytes[1], bytes[2], bytes[3]);
  if (bytes.size() != 16) return IpAddress();
  std::array<uint8_t, 16> copy;
  std::copy(bytes.begin(), bytes.end(), copy.begin());
  return V6(copy);
}

bool IpAddress::Read(absl::string_view text, IpAddress& out) {
  if (const std::optional<uint32_t> v4 = ParseV4(text)) {
    out = V4(*v4);
    return true;
  }
  if (text.find(':') == absl::string_view::npos) return false;
  const absl::StatusOr<IpAddress> v6 = Parse(text);
  if (v6.ok()) out = *v6;
  return v6.ok();
}

absl::StatusOr<IpAddress> IpAddress::Parse(absl::string_view text) {
  if (const std::optional<uint32_t> v4 = ParseV4(text)) return V4(*v4);
  if (text.find(':') == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("not an IP address: \"", text, "\""));
  }
  uint32_t scope_id = 0;
  absl::string_view address = text;
  if (const size_t percent = text.find('%');
      percent != absl::string_view::npos) {
    address = text.substr(0, percent);
    if (!ParseNumber(text.substr(percent + 1), UINT32_MAX, scope_id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("not a numeric scope: \"", text, "\""));
    }
  }
  if (const auto v6 = ParseV6(address)) return V6(*v6, scope_id);
  return absl::InvalidArgumentError(
      absl::StrCat("not an IP address: \"", text, "\""));
}

uint32_t IpAddress::scope_id() const {
  return uint32_t{scope_id_[0]} << 24 | uint32_t{scope_id_[1]} << 16 |
         uint32_t{scope_id_[2]} << 8 | scope_id_[3];
}

absl::Span<const uint8_t> IpAddress::bytes() const {
  const size_t size = is_v4() ? 4 : is_v6() ? 16 : 0;
  return absl::MakeConstSpan(bytes_).first(size);
}

uint32_t IpAddress::v4() const {
  if (!is_v4()) return 0;
  return uint32_t{bytes_[0]} << 24 | uint32_t{bytes_[1]} << 16 |
         uint32_t{bytes_[2]} << 8 | bytes_[3];
}

bool IpAddress::IsAny() const {
  const absl::Span<const uint8_t> b = bytes();
  return !b.empty() &&
         std::all_of(b.begin(), b.end(), [](uint8_t x) { return x == 0; });
}

bool IpAddress::IsLoopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return is_v6() && bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1,
                     [](uint8_t x) { return x == 0; });
}

bool IpAddress::IsLinkLocal() const {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return is_v6() && bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::IsMulticast() const {
  if (is_v4()) return (bytes_[0] & 0xf0) == 224;
  return is_v6() && bytes_[0] == 0xff;
}

bool IpAddress::IsPrivate() const {
  if (is_v4()) {
    return bytes_[0] == 10 || (bytes_[0] == 172 && (bytes_[1] & 0xf0) == 16) ||
           (bytes_[0] == 192 && bytes_[1] == 168);
  }
  return is_v6() && (bytes_[0] & 0xfe) == 0xfc;
}

std::string IpAddress::ToString() const {
  if (is_v4()) {
    return absl::StrCat(bytes_[0], ".", bytes_[1], ".", bytes_[2], ".",
                        bytes_[3]);
  }
  if (!is_v6()) return "";
  std::string text = FormatV6(bytes());
  if (scope_id() != 0) absl::StrAppend(&text, "%", scope_id());
  return text;
}

absl::StatusOr<IpPrefix> IpPrefix::Parse(absl::string_view text) {
  const size_t slash = text.find('/');
  absl::StatusOr<IpAddress> address = IpAddress::Parse(text.substr(0, slash));
  if (!address.ok()) return std::move(address).status();
  const uint32_t max = address->is_v4() ? 32 : 128;
  uint32_t length = max;
  if (slash != absl::string_view::npos &&
      !ParseNumber(text.substr(slash + 1), max, length)) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a prefix length: \"", text, "\""));
  }
  std::array<uint8_t, 16> bytes{};
  const absl::Span<const uint8_t> source = address->bytes();
  for (size_t i = 0; i < source.size(); ++i) {
    const int bits =
        std::clamp(static_cast<int>(length) - 8 * static_cast<int>(i), 0, 8);
    bytes[i] = static_cast<uint8_t>(source[i] & (0xff00 >> bits));
  }
  return IpPrefix{
      IpAddress::FromBytes(absl::MakeConstSpan(bytes).first(source.size())),
      static_cast<int>(length)};
}

bool IpPrefix::Contains(const IpAddress& address) const {
  if (address.family() != base.family()) return false;
  const absl::Span<const uint8_t> a = address.bytes(), b = base.bytes();
  for (size_t i = 0; i < a.size(); ++i) {
    const int bits = std::clamp(length - 8 * static_cast<int>(i), 0, 8);
    if (((a[i] ^ b[i]) & (0xff00 >> bits) & 0xff) != 0) return false;
  }
  return !a.empty();
}

std::string IpPrefix::ToString() const {
  return absl::StrCat(base.ToString(), "/", length);
}

absl::StatusOr<TransportAddress> TransportAddress::Parse(
    absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos ||
      !ParseNumber(text.substr(colon + 1), 65535, port)) {
    return absl::InvalidArgumentError(
        absl::StrCat("not ADDRESS:PORT: \"", text, "\""));
  }
  absl::string_view host = text.substr(0, colon);
  const bool bracketed =
      host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  absl::StatusOr<IpAddress> ip = IpAddress::Parse(host);
  if (!ip.ok() || bracketed != (host.find(':') != absl::string_view::npos)) {
    return absl::InvalidArgumentError(
        absl::StrCat("not ADDRESS:PORT: \"", text, "\""));
  }
  return TransportAddress{*ip, static_cast<uint16_t>(port)};
}

std::string TransportAddress::ToString() const {
  if (ip.is_v6()) return absl::StrCat("[", ip.ToString(), "]:", port);
  return absl::StrCat(ip.ToString(), ":", port);
}

absl::string_view ToText(Transport transport) {
  switch (transport) {
    case Transport::kUdp:
      return "udp";
    case Transport::kTcp:
      return "tcp";
    case Transport::kTls:
      return "tls";
    case Transport::kDtls:
      return "dtls";
  }
  return "?";
}

std::string Path::ToString() const {
  return absl::StrCat(local.ToString(), "->", remote.ToString(), "/",
                      ToText(transport));
}

}  // namespace kyuu
