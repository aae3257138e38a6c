#include "net/proxy/proxy_header.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/crc32c.h"

namespace kyuu::net {
namespace {

// Section 2.2. Of the line of version 1 the first byte differs already.
constexpr std::array<uint8_t, 12> kSignature = {
    0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
constexpr size_t kPrefixBytes = 16;
constexpr absl::string_view kWord = "PROXY ";

constexpr uint8_t kVersion = 2;
enum Command : uint8_t { kLocal = 0, kProxy = 1 };
enum Family : uint8_t { kUnspec = 0, kInet = 1, kInet6 = 2, kUnix = 3 };
enum Protocol : uint8_t { kStream = 1, kDgram = 2 };
constexpr uint8_t kTypeCrc32c = 3;

bool ReadPort(absl::string_view text, uint16_t& port) {
  uint32_t value = 0;
  if (text.empty() || text.size() > 5 ||
      text.find_first_not_of("0123456789") != absl::string_view::npos ||
      (text.size() > 1 && text[0] == '0') || !absl::SimpleAtoi(text, &value) ||
      value > 65535) {
    return false;
  }
  port = static_cast<uint16_t>(value);
  return true;
}

// What the word for the family says it is, and nothing of a scope.
bool ReadAddress(absl::string_view family, absl::string_view text,
                 IpAddress& ip) {
  const bool has_colon = text.find(':') != absl::string_view::npos;
  if (has_colon != (family == "TCP6") ||
      text.find('%') != absl::string_view::npos) {
    return false;
  }
  const absl::StatusOr<IpAddress> parsed = IpAddress::Parse(text);
  if (parsed.ok()) ip = *parsed;
  return parsed.ok();
}

}  // namespace

ProxyHeader::Beginning ProxyHeader::Recognize(absl::Span<const uint8_t> bytes) {
  static_assert(kBeginningBytes == kSignature.size());
  const absl::Span<const uint8_t> word = AsBytes(kWord);
  for (const absl::Span<const uint8_t> mark :
       {word, absl::MakeConstSpan(kSignature)}) {
    const size_t size = std::min(bytes.size(), mark.size());
    if (bytes.first(size) != mark.first(size)) continue;
    return size == mark.size() ? Beginning::kHeader : Beginning::kPerhaps;
  }
  return Beginning::kNone;
}

size_t ProxyHeader::Take(absl::Span<const uint8_t> bytes) {
  if (state_ != State::kReading || bytes.empty()) return 0;
  const uint8_t first = bytes_.empty() ? bytes[0] : bytes_[0];
  if (first == kSignature[0]) return TakeBinary(bytes);
  if (first == static_cast<uint8_t>(kWord[0])) return TakeLine(bytes);
  Refuse("there is none");
  return 0;
}

void ProxyHeader::Refuse(absl::string_view why) {
  state_ = State::kRefused;
  status_ = absl::InvalidArgumentError(absl::StrCat("PROXY header: ", why));
  bytes_ = {};
}

// --- Version 1 ---------------------------------------------------------------

size_t ProxyHeader::TakeLine(absl::Span<const uint8_t> bytes) {
  const auto end = std::find(bytes.begin(), bytes.end(), '\n');
  size_t size = static_cast<size_t>(end - bytes.begin());
  if (end != bytes.end()) ++size;
  if (bytes_.size() + size > kLineBytesMax ||
      (end == bytes.end() && bytes_.size() + size == kLineBytesMax)) {
    Refuse("a line that is too long");
    return 0;
  }
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.begin() + size);
  // What cannot become one is refused at once: it may be a client of HTTP.
  const size_t known = std::min(bytes_.size(), kWord.size());
  if (!std::equal(bytes_.begin(), bytes_.begin() + known, kWord.begin())) {
    Refuse("there is none");
  } else if (end != bytes.end()) {
    ReadLine();
  }
  return size;
}

// "PROXY TCP4 SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT\r\n".
void ProxyHeader::ReadLine() {
  std::string line(bytes_.begin(), bytes_.end());
  if (line.size() < 2 || line[line.size() - 2] != '\r') {
    return Refuse("a line that does not end in CR LF");
  }
  line.resize(line.size() - 2);
  const std::vector<std::string> words = absl::StrSplit(line, ' ');
  // What follows is of no meaning then.
  if (words.size() >= 2 && words[1] == "UNKNOWN") {
    state_ = State::kDone;
    return;
  }
  Ends ends;
  if (words.size() != 6 || (words[1] != "TCP4" && words[1] != "TCP6") ||
      !ReadAddress(words[1], words[2], ends.source.ip) ||
      !ReadAddress(words[1], words[3], ends.destination.ip) ||
      !ReadPort(words[4], ends.source.port) ||
      !ReadPort(words[5], ends.destination.port)) {
    return Refuse("a line that is not as it should be");
  }
  ends_ = ends;
  state_ = State::kDone;
}

// --- Version 2 ---------------------------------------------------------------

size_t ProxyHeader::TakeBinary(absl::Span<const uint8_t> bytes) {
  size_t taken = 0;
  while (state_ == State::kReading) {
    size_t whole = kPrefixBytes;
    if (bytes_.size() >= kPrefixBytes) {
      whole += size_t{bytes_[14]} << 8 | bytes_[15];
      if (whole > kBytesMax) {
        Refuse("one that is too long");
        break;
      }
      if (bytes_.size() == whole) {
        ReadBinary();
        break;
      }
    }
    const absl::Span<const uint8_t> piece = bytes.subspan(taken).first(
        std::min(whole - bytes_.size(), bytes.size() - taken));
    if (piece.empty()) break;
    bytes_.insert(bytes_.end(), piece.begin(), piece.end());
    taken += piece.size();
    const size_t known = std::min(bytes_.size(), kSignature.size());
    if (!std::equal(bytes_.begin(), bytes_.begin() + known,
                    kSignature.begin())) {
      Refuse("there is none");
    }
  }
  return taken;
}

void ProxyHeader::ReadBinary() {
  Reader reader(bytes_);
  reader.Skip(kSignature.size());
  const uint8_t version_and_command = reader.U8();
  const uint8_t family_and_protocol = reader.U8();
  reader.Skip(2);
  const uint8_t command = version_and_command & 0x0f;
  const uint8_t family = family_and_protocol >> 4;
  const uint8_t protocol = family_and_protocol & 0x0f;
  if (version_and_command >> 4 != kVersion || command > kProxy) {
    return Refuse("a version or command that is not known");
  }
  if (family > kUnix || protocol > kDgram) {
    return Refuse("a family or protocol that is not known");
  }
  if (command == kLocal || family == kUnspec || protocol == 0) {
    // The addresses mean nothing, whatever they are.
    if (family == kUnspec && !ReadTlvs(kPrefixBytes)) return;
    state_ = State::kDone;
    return;
  }
  if (family == kUnix || protocol != kStream) {
    return Refuse("a connection that is none of TCP");
  }
  const size_t address_bytes = family == kInet ? 4 : 16;
  Ends ends;
  ends.source.ip = IpAddress::FromBytes(reader.Bytes(address_bytes));
  ends.destination.ip = IpAddress::FromBytes(reader.Bytes(address_bytes));
  ends.source.port = reader.U16();
  ends.destination.port = reader.U16();
  if (!reader.ok()) return Refuse("addresses that are cut off");
  if (!ReadTlvs(bytes_.size() - reader.remaining())) return;
  ends_ = ends;
  state_ = State::kDone;
}

// Section 2.2.1. What they say is of no use here, but a checksum.
bool ProxyHeader::ReadTlvs(size_t begin) {
  Reader reader(absl::MakeConstSpan(bytes_).subspan(begin));
  while (!reader.empty()) {
    const uint8_t type = reader.U8();
    const absl::Span<const uint8_t> value = reader.Bytes(reader.U16());
    if (!reader.ok()) {
      Refuse("an extension that is cut off");
      return false;
    }
    if (type != kTypeCrc32c) continue;
    if (value.size() != 4) {
      Refuse("a checksum of another size");
      return false;
    }
    // Over all of it with zeros in its own place (section 2.2.3).
    const uint32_t told = Reader(value).U32();
    const size_t at = static_cast<size_t>(value.data() - bytes_.data());
    std::vector<uint8_t> blank = bytes_;
    std::fill_n(blank.begin() + static_cast<std::ptrdiff_t>(at), 4, 0);
    if (Crc32c(blank) != told) {
      Refuse("a checksum that is wrong");
      return false;
    }
  }
  return true;
}

}  // namespace kyuu::net
