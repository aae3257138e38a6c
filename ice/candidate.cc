#include "ice/candidate.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/address.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace kyuu::ice {
namespace {

constexpr uint32_t kMaxPriority = 0x7fffffff;  // RFC 8445 section 5.1.2.

bool IsVisible(char c) { return c > 0x20 && c < 0x7f; }

bool AllVisible(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsVisible);
}

// Words takes a line apart at its blanks, of which it makes a table first: one
// bit a character.
class Words {
 public:
  // `line` has at most Candidate::kMaxLineSize characters.
  explicit Words(absl::string_view line) : line_(line) {
    for (size_t at = 0; at < line.size(); at += 64) {
      blanks_[at / 64] = Look(line.substr(at, 64));
    }
  }

  // False if a character is neither blank nor visible ASCII.
  bool printable() const { return printable_; }
  // The next word; "" at the end.
  absl::string_view Next() {
    // Mostly one blank stands between two words.
    while (at_ < line_.size() && line_[at_] == ' ') ++at_;
    const size_t begin = at_;
    at_ = NextBlank(begin);
    return line_.substr(begin, at_ - begin);
  }
  // Where the next word is looked for.
  size_t position() const { return at_; }
  void MoveTo(size_t position) { at_ = position; }

 private:
  // The blanks of up to 64 characters, the first one in the lowest bit.
  uint64_t Look(absl::string_view text) {
    uint64_t blanks = 0;
    size_t at = 0;
#if defined(__SSE2__)
    for (; at + 16 <= text.size(); at += 16) {
      const __m128i block =
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(&text[at]));
      const auto mask = [](__m128i bytes) {
        return static_cast<uint32_t>(_mm_movemask_epi8(bytes));
      };
      // Compared as signed numbers: those from 0x80 on are less than a blank.
      const uint32_t odd =
          mask(_mm_or_si128(_mm_cmplt_epi8(block, _mm_set1_epi8(0x20)),
                            _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7f))));
      printable_ = printable_ && odd == 0;
      blanks |= uint64_t{mask(_mm_cmpeq_epi8(block, _mm_set1_epi8(' ')))} << at;
    }
#endif
    for (; at < text.size(); ++at) {
      const char c = text[at];
      printable_ = printable_ && (c == ' ' || IsVisible(c));
      blanks |= uint64_t{c == ' '} << at;
    }
    return blanks;
  }

  size_t NextBlank(size_t at) const {
    while (at < line_.size()) {
      const uint64_t rest = blanks_[at / 64] >> at % 64;
      if (rest != 0) return at + static_cast<size_t>(std::countr_zero(rest));
      at = (at / 64 + 1) * 64;
    }
    return line_.size();
  }

  absl::string_view line_;
  std::array<uint64_t, Candidate::kMaxLineSize / 64> blanks_;
  bool printable_ = true;
  size_t at_ = 0;
};

// Reads 1 to `max_digits` digits, as the grammar counts them.
bool ParseNumber(absl::string_view text, size_t max_digits, uint32_t min,
                 uint32_t max, uint32_t& value) {
  if (text.empty() || text.size() > max_digits) return false;
  uint64_t sum = 0;
  for (char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    sum = sum * 10 + static_cast<uint64_t>(c - '0');
  }
  value = static_cast<uint32_t>(sum);
  return sum >= min && sum <= max;
}

bool IsHostName(absl::string_view text) {
  return !text.empty() && text.size() <= Candidate::kMaxNameSize &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '-' || c == '.' || c == '_';
         });
}

// nullopt for what is no address, such as a name, and without the cost of an
// error for that.
std::optional<IpAddress> ParseIp(absl::string_view text) {
  bool dotted = true;
  bool colons = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      text = text.substr(0, i);
      break;
    }
    colons = colons || c == ':';
    dotted = dotted && (c == '.' || (c >= '0' && c <= '9'));
  }
  if (!dotted && !colons) return std::nullopt;
  absl::StatusOr<IpAddress> ip = IpAddress::Parse(text);
  if (!ip.ok()) return std::nullopt;
  return *ip;
}

// Our scope is of no use to the peer: written without it.
std::string FormatIp(const IpAddress& ip) {
  return IpAddress::FromBytes(ip.bytes()).ToString();
}

absl::Status Malformed(absl::string_view field) {
  return absl::InvalidArgumentError(
      absl::StrCat("candidate line: bad ", field));
}

// Words of this grammar have no case, and are nearly always as they should be.
bool SameWord(absl::string_view text, absl::string_view word) {
  return text == word || absl::EqualsIgnoreCase(text, word);
}

std::optional<CandidateType> ParseType(absl::string_view text) {
  for (CandidateType type :
       {CandidateType::kHost, CandidateType::kServerReflexive,
        CandidateType::kPeerReflexive, CandidateType::kRelayed}) {
    if (SameWord(text, ToString(type))) return type;
  }
  return std::nullopt;
}

std::optional<TcpType> ParseTcpType(absl::string_view text) {
  for (TcpType type :
       {TcpType::kActive, TcpType::kPassive, TcpType::kSimultaneousOpen}) {
    if (absl::EqualsIgnoreCase(text, ToString(type))) return type;
  }
  return std::nullopt;
}

// raddr and rport serve diagnostics only: another form of them is kept as any
// extension is.
std::optional<TransportAddress> ParseRelated(absl::string_view address,
                                             Words& words) {
  const size_t before = words.position();
  const std::optional<IpAddress> ip = ParseIp(address);
  uint32_t port = 0;
  if (!ip || words.Next() != "rport" ||
      !ParseNumber(words.Next(), 5, 0, 65535, port)) {
    words.MoveTo(before);
    return std::nullopt;
  }
  return TransportAddress{*ip, static_cast<uint16_t>(port)};
}

// Reads what follows the type: the related address, then name-value pairs.
void ParseExtensions(Words& words, Candidate& candidate) {
  bool first = true;
  while (true) {
    const absl::string_view name = words.Next();
    const absl::string_view value = words.Next();
    if (value.empty()) return;
    const bool leading = std::exchange(first, false);
    if (leading && name == "raddr") {
      candidate.related = ParseRelated(value, words);
      if (candidate.related) continue;
    }
    if (name == "tcptype") {
      if (candidate.transport == Transport::kTcp && !candidate.tcp_type) {
        candidate.tcp_type = ParseTcpType(value);
      }
      // What is dropped does not stand before anything.
      if (!candidate.tcp_type) first = leading;
    } else if (candidate.extensions.size() < Candidate::kMaxExtensions) {
      // As many as browsers write.
      if (candidate.extensions.empty()) candidate.extensions.reserve(4);
      candidate.extensions.push_back({std::string(name), std::string(value)});
    }
  }
}

// A field that would end the line or shift its words must not get there.
absl::string_view Safe(absl::string_view text) {
  return AllVisible(text) ? text : "-";
}

}  // namespace

absl::string_view ToString(CandidateType type) {
  switch (type) {
    case CandidateType::kHost:
      return "host";
    case CandidateType::kServerReflexive:
      return "srflx";
    case CandidateType::kPeerReflexive:
      return "prflx";
    case CandidateType::kRelayed:
      return "relay";
  }
  return "";
}

absl::string_view ToString(RelayProtocol protocol) {
  switch (protocol) {
    case RelayProtocol::kUdp:
      return "udp";
    case RelayProtocol::kDtls:
      return "dtls";
    case RelayProtocol::kTcp:
      return "tcp";
    case RelayProtocol::kTls:
      return "tls";
  }
  return "";
}

absl::string_view ToString(TcpType type) {
  switch (type) {
    case TcpType::kActive:
      return "active";
    case TcpType::kPassive:
      return "passive";
    case TcpType::kSimultaneousOpen:
      return "so";
  }
  return "";
}

absl::StatusOr<Candidate> Candidate::Parse(absl::string_view line) {
  if (line.size() > kMaxLineSize) return Malformed("length");
  Words words(line);
  if (!words.printable()) return Malformed("character");
  absl::string_view rest = line;
  absl::ConsumePrefix(&rest, "a=");
  absl::ConsumePrefix(&rest, "candidate:");
  words.MoveTo(line.size() - rest.size());

  // Made where it is returned: it is too large to be moved about.
  absl::StatusOr<Candidate> parsed(absl::in_place);
  Candidate& candidate = *parsed;
  uint32_t number = 0;
  const absl::string_view foundation = words.Next();
  if (foundation.empty()) return Malformed("foundation");
  candidate.foundation = std::string(foundation);
  if (!ParseNumber(words.Next(), 3, 1, 256, number)) {
    return Malformed("component");
  }
  candidate.component = static_cast<uint16_t>(number);
  const absl::string_view transport = words.Next();
  if (!ParseNumber(words.Next(), 10, 0, UINT32_MAX, number)) {
    return Malformed("priority");
  }
  candidate.priority = std::clamp<uint32_t>(number, 1, kMaxPriority);
  const absl::string_view address = words.Next();
  if (const std::optional<IpAddress> ip = ParseIp(address)) {
    candidate.address.ip = *ip;
  } else if (IsHostName(address)) {
    candidate.name = std::string(address);
  } else {
    return Malformed("address");
  }
  if (!ParseNumber(words.Next(), 5, 0, 65535, number)) return Malformed("port");
  candidate.address.port = static_cast<uint16_t>(number);
  if (words.Next() != "typ") return Malformed("typ");
  const absl::string_view type = words.Next();
  if (type.empty()) return Malformed("type");

  const std::optional<CandidateType> known_type = ParseType(type);
  if (!known_type) {
    return absl::UnimplementedError(
        absl::StrCat("candidate line: unknown type ", type));
  }
  candidate.type = *known_type;
  if (SameWord(transport, "udp")) {
    candidate.transport = Transport::kUdp;
  } else if (SameWord(transport, "tcp")) {
    candidate.transport = Transport::kTcp;
  } else {
    return absl::UnimplementedError(
        absl::StrCat("candidate line: unknown transport ", transport));
  }
  ParseExtensions(words, candidate);
  if (candidate.transport == Transport::kTcp && !candidate.tcp_type) {
    return absl::UnimplementedError(
        "candidate line: TCP without a known tcptype");
  }
  return parsed;
}

std::string Candidate::ToString() const {
  std::string line = absl::StrCat(
      "candidate:", Safe(foundation), " ", component, " ",
      transport == Transport::kUdp ? "udp" : "tcp", " ", priority, " ",
      is_name() ? std::string(Safe(name)) : Safe(FormatIp(address.ip)), " ",
      address.port, " typ ", ice::ToString(type));
  if (related) {
    absl::StrAppend(&line, " raddr ", Safe(FormatIp(related->ip)), " rport ",
                    related->port);
  }
  if (tcp_type) absl::StrAppend(&line, " tcptype ", ice::ToString(*tcp_type));
  for (const CandidateExtension& extension : extensions) {
    absl::StrAppend(&line, " ", Safe(extension.name), " ",
                    Safe(extension.value));
  }
  return line;
}

std::optional<absl::string_view> Candidate::Extension(
    absl::string_view extension_name) const {
  for (const CandidateExtension& extension : extensions) {
    if (extension.name == extension_name) return extension.value;
  }
  return std::nullopt;
}

bool Candidate::is_mdns() const {
  return absl::EndsWithIgnoreCase(name, ".local") ||
         absl::EndsWithIgnoreCase(name, ".local.");
}

std::string Foundations::Get(CandidateType type, const IpAddress& base,
                             const IpAddress& server, Transport transport) {
  const Key key{type, base, server, transport};
  auto it = std::find(keys_.begin(), keys_.end(), key);
  if (it == keys_.end()) it = keys_.insert(keys_.end(), key);
  return absl::StrCat(it - keys_.begin() + 1);
}

}  // namespace kyuu::ice
