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
    size_t at = 0;
    for (; at + kBlock <= line.size(); at += kBlock) {
      blanks_[at / kBlock] = Look(at) | Look(at + 16) << 16 |
                             Look(at + 32) << 32 | Look(at + 48) << 48;
    }
    if (at < line.size()) blanks_[at / kBlock] = LookAtRest(at);
    if (!line.empty()) MoveTo(0);
  }

  // False if a character is neither blank nor visible ASCII.
  bool printable() const { return odd_ == 0; }
  // The next word; "" at the end.
  absl::string_view Next() {
    // Mostly one blank stands between two words, and one turn is enough.
    while (true) {
      const size_t begin = at_;
      const size_t end = NextBlank();
      at_ = std::min(end + 1, line_.size());
      if (end > begin) return {line_.data() + begin, end - begin};
      if (end == line_.size()) return {};
    }
  }
  // Where the next word is looked for.
  size_t position() const { return at_; }
  void MoveTo(size_t position) {
    at_ = position;
    if (position == line_.size()) return;
    block_ = position / kBlock;
    rest_ = blanks_[block_] >> position % kBlock << position % kBlock;
  }

 private:
  static constexpr size_t kBlock = 64;  // Characters.

  // The blanks of the sixteen characters at `from`, the first one in the lowest
  // bit.
  uint64_t Look(size_t from) {
#if defined(__SSE2__)
    const __m128i bytes =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(line_.data() + from));
    const auto mask = [](__m128i found) {
      return static_cast<uint32_t>(_mm_movemask_epi8(found));
    };
    // Compared as signed numbers: those from 0x80 on are less than a blank.
    odd_ |= mask(_mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)),
                              _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f))));
    return mask(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' ')));
#else
    return LookAtEach(from, from + 16);
#endif
  }

  // Those of the less than 64 characters from `at` to the end of the line.
  uint64_t LookAtRest(size_t at) {
    if (line_.size() < 16) return LookAtEach(at, line_.size());
    uint64_t blanks = 0;
    size_t bit = 0;
    for (; at + 16 <= line_.size(); at += 16, bit += 16) {
      blanks |= Look(at) << bit;
    }
    if (at == line_.size()) return blanks;
    // The last sixteen, of which the first ones have been looked at.
    const size_t last = line_.size() - 16;
    return blanks | Look(last) >> (at - last) << bit;
  }

  uint64_t LookAtEach(size_t begin, size_t end) {
    uint64_t blanks = 0;
    for (size_t i = begin; i < end; ++i) {
      const bool blank = line_[i] == ' ';
      odd_ |= !blank && !IsVisible(line_[i]) ? 1 : 0;
      blanks |= uint64_t{blank} << (i - begin);
    }
    return blanks;
  }

  // Where the next blank stands; the end of the line without one.
  size_t NextBlank() {
    if (at_ == line_.size()) return at_;
    while (rest_ == 0) {
      if ((block_ + 1) * kBlock >= line_.size()) return line_.size();
      rest_ = blanks_[++block_];
    }
    const auto blank = static_cast<size_t>(std::countr_zero(rest_));
    rest_ &= rest_ - 1;
    return block_ * kBlock + blank;
  }

  absl::string_view line_;
  std::array<uint64_t, Candidate::kMaxLineSize / kBlock> blanks_;
  uint32_t odd_ = 0;  // Not 0 once there was a character of neither kind.
  size_t at_ = 0;
  // The blanks from there on in that block.
  size_t block_ = 0;
  uint64_t rest_ = 0;
};

// Reads 1 to `max_digits` digits, as the grammar counts them.
bool ParseNumber(absl::string_view text, size_t max_digits, uint32_t min,
                 uint32_t max, uint32_t& value) {
  if (text.empty() || text.size() > max_digits) return false;
  uint64_t sum = 0;
  for (char c : text) {
    const auto digit = static_cast<unsigned char>(c - '0');
    if (digit > 9) return false;
    sum = sum * 10 + digit;
  }
  value = static_cast<uint32_t>(sum);
  return sum >= min && sum <= max;
}

// What a character may stand in, one bit each.
constexpr uint8_t kInName = 1;
constexpr uint8_t kInIp = 2;

constexpr std::array<uint8_t, 256> kCharacters = [] {
  std::array<uint8_t, 256> bits{};
  const auto add = [&bits](absl::string_view characters, uint8_t bit) {
    for (const char c : characters) bits[static_cast<unsigned char>(c)] |= bit;
  };
  add("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._",
      kInName);
  add("abcdefABCDEF0123456789.:", kInIp);
  return bits;
}();

bool MayBeIn(uint8_t what, char c) {
  return (kCharacters[static_cast<unsigned char>(c)] & what) != 0;
}

bool IsHostName(absl::string_view text) {
  return !text.empty() && text.size() <= Candidate::kMaxNameSize &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return MayBeIn(kInName, c); });
}

// False for what is no address, such as a name, and without the cost of an
// error for that.
bool ParseIp(absl::string_view text, IpAddress& out) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  // Of IPv4: names as good as never begin and end so.
  const bool dotted = text.size() >= 7 && text.size() <= 15 &&
                      is_digit(text.front()) && is_digit(text.back());
  if (!dotted) {
    const auto* const stop = std::find_if_not(
        text.begin(), text.end(), [](char c) { return MayBeIn(kInIp, c); });
    if (stop != text.end() && *stop != '%') return false;
    text = text.substr(0, static_cast<size_t>(stop - text.begin()));
  }
  return IpAddress::Read(text, out);
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
bool ParseRelated(absl::string_view address, Words& words,
                  std::optional<TransportAddress>& related) {
  const size_t before = words.position();
  TransportAddress& out = related.emplace();
  uint32_t port = 0;
  if (!ParseIp(address, out.ip) || words.Next() != "rport" ||
      !ParseNumber(words.Next(), 5, 0, 65535, port)) {
    words.MoveTo(before);
    related.reset();
    return false;
  }
  out.port = static_cast<uint16_t>(port);
  return true;
}

// Kept copies words of a line, in as few pieces as they stand there.
class Kept {
 public:
  explicit Kept(absl::string_view line) : line_(line) {}

  // `word` is of the line, behind those that were added.
  void Add(absl::string_view word) {
    const auto begin = static_cast<size_t>(word.data() - line_.data());
    if (begin != end_ + 1) {
      Copy();
      begin_ = begin;
    }
    end_ = begin + word.size();
  }
  std::string Take() {
    Copy();
    return std::move(text_);
  }

 private:
  void Copy() {
    if (end_ == 0) return;
    if (text_.empty()) {
      text_.reserve(line_.size() - begin_);
    } else {
      text_ += ' ';
    }
    text_.append(&line_[begin_], end_ - begin_);
  }

  absl::string_view line_;
  std::string text_;
  // The words that were not copied; none at first.
  size_t begin_ = 0;
  size_t end_ = 0;
};

// Reads what follows the type: the related address, then name-value pairs, of
// which it returns those that are kept.
std::string ParseExtensions(absl::string_view line, Words& words,
                            Candidate& candidate) {
  Kept kept(line);
  size_t count = 0;
  bool first = true;
  while (true) {
    const absl::string_view name = words.Next();
    const absl::string_view value = words.Next();
    if (value.empty()) return kept.Take();
    const bool leading = std::exchange(first, false);
    if (leading && name == "raddr" &&
        ParseRelated(value, words, candidate.related)) {
      continue;
    }
    if (name == "tcptype") {
      if (candidate.transport == Transport::kTcp && !candidate.tcp_type) {
        candidate.tcp_type = ParseTcpType(value);
      }
      // What is dropped does not stand before anything.
      if (!candidate.tcp_type) first = leading;
    } else if (count < Candidate::kMaxExtensions) {
      ++count;
      kept.Add(name);
      kept.Add(value);
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

void CandidateExtensions::Add(absl::string_view name, absl::string_view value) {
  absl::StrAppend(&text_, empty() ? "" : " ", Safe(name), " ", Safe(value));
}

std::optional<absl::string_view> CandidateExtensions::Get(
    absl::string_view name) const {
  absl::string_view rest = text_;
  const auto next = [&rest] {
    const absl::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    return word;
  };
  while (!rest.empty()) {
    const bool found = next() == name;
    const absl::string_view value = next();
    if (found) return value;
  }
  return std::nullopt;
}

size_t CandidateExtensions::size() const {
  const auto blanks = std::count(text_.begin(), text_.end(), ' ');
  return (static_cast<size_t>(blanks) + 1) / 2;
}

absl::StatusOr<Candidate> Candidate::Parse(absl::string_view line) {
  // Made where it is returned: it is too large to be moved about.
  absl::StatusOr<Candidate> parsed(absl::in_place);
  if (absl::Status status = parsed->Read(line); !status.ok()) {
    parsed = std::move(status);
  }
  return parsed;
}

absl::Status Candidate::Read(absl::string_view line) {
  if (line.size() > kMaxLineSize) return Malformed("length");
  Words words(line);
  if (!words.printable()) return Malformed("character");
  absl::string_view rest = line;
  absl::ConsumePrefix(&rest, "a=");
  absl::ConsumePrefix(&rest, "candidate:");
  words.MoveTo(line.size() - rest.size());

  uint32_t number = 0;
  const absl::string_view first = words.Next();
  if (first.empty()) return Malformed("foundation");
  foundation.assign(first.data(), first.size());
  if (!ParseNumber(words.Next(), 3, 1, 256, number)) {
    return Malformed("component");
  }
  component = static_cast<uint16_t>(number);
  const absl::string_view protocol = words.Next();
  if (!ParseNumber(words.Next(), 10, 0, UINT32_MAX, number)) {
    return Malformed("priority");
  }
  priority = std::clamp<uint32_t>(number, 1, kMaxPriority);
  const absl::string_view place = words.Next();
  if (!ParseIp(place, address.ip)) {
    if (!IsHostName(place)) return Malformed("address");
    name.assign(place.data(), place.size());
  }
  if (!ParseNumber(words.Next(), 5, 0, 65535, number)) return Malformed("port");
  address.port = static_cast<uint16_t>(number);
  if (words.Next() != "typ") return Malformed("typ");
  const absl::string_view kind = words.Next();
  if (kind.empty()) return Malformed("type");

  const std::optional<CandidateType> known_type = ParseType(kind);
  if (!known_type) {
    return absl::UnimplementedError(
        absl::StrCat("candidate line: unknown type ", kind));
  }
  type = *known_type;
  if (SameWord(protocol, "udp")) {
    transport = Transport::kUdp;
  } else if (SameWord(protocol, "tcp")) {
    transport = Transport::kTcp;
  } else {
    return absl::UnimplementedError(
        absl::StrCat("candidate line: unknown transport ", protocol));
  }
  extensions.text_ = ParseExtensions(line, words, *this);
  if (transport == Transport::kTcp && !tcp_type) {
    return absl::UnimplementedError(
        "candidate line: TCP without a known tcptype");
  }
  return absl::OkStatus();
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
  if (!extensions.empty()) absl::StrAppend(&line, " ", extensions.text());
  return line;
}

bool Candidate::is_mdns() const {
  return absl::EndsWithIgnoreCase(name, ".local") ||
         absl::EndsWithIgnoreCase(name, ".local.");
}

std::string Foundations::Get(CandidateType type, const IpAddress& base,
                             const IpAddress& server, Transport transport) {
  // The sizes tell the two addresses apart, and whether there is a scope.
  std::string key;
  const auto add = [&key](const IpAddress& ip) {
    key.push_back(static_cast<char>(ip.bytes().size()));
    for (const uint8_t byte : ip.bytes()) {
      key.push_back(static_cast<char>(byte));
    }
    if (ip.scope_id() != 0) absl::StrAppend(&key, ip.scope_id(), "%");
  };
  key.push_back(static_cast<char>(type));
  key.push_back(static_cast<char>(transport));
  add(base);
  add(server);
  int number = 1;
  absl::string_view rest = keys_;
  while (!rest.empty()) {
    const size_t size = static_cast<uint8_t>(rest[0]);
    if (rest.substr(1, size) == key) return absl::StrCat(number);
    rest.remove_prefix(1 + size);
    ++number;
  }
  keys_.reserve(keys_.size() + 1 + key.size());
  keys_.push_back(static_cast<char>(key.size()));
  keys_ += key;
  return absl::StrCat(number);
}

}  // namespace kyuu::ice
