#include "signaling/internal/json.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "signaling/internal/utf8.h"

namespace kyuu::signaling::internal {
namespace {

// Messages of ours have so many at most.
constexpr size_t kUsualMembers = 8;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// What may stand behind a backslash by itself.
constexpr bool IsShortEscape(char c) {
  switch (c) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      return true;
    default:
      return false;
  }
}

// The value of four hexadecimal digits; -1 if they are not.
int Hex4(absl::string_view text) {
  if (text.size() < 4) return -1;
  int value = 0;
  for (char c : text.substr(0, 4)) {
    const char lower = static_cast<char>(c | 0x20);
    if (IsDigit(c)) {
      value = value * 16 + (c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      value = value * 16 + (lower - 'a' + 10);
    } else {
      return -1;
    }
  }
  return value;
}
bool IsHighSurrogate(int unit) { return unit >= 0xd800 && unit <= 0xdbff; }
bool IsLowSurrogate(int unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

void AppendUtf8(uint32_t c, std::string& out) {
  const auto put = [&](uint32_t byte) {
    out.push_back(static_cast<char>(byte));
  };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

// Undoes the escapes of a valid string without its quotes.
std::string Unescape(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t plain = std::min(text.find('\\', i), text.size());
    out.append(text.data() + i, plain - i);
    i = plain;
    if (i == text.size()) break;
    switch (const char c = text[++i]) {
      case 'b':
        out.push_back('\b');
        break;
      case 'f':
        out.push_back('\f');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 'u': {
        int unit = Hex4(text.substr(i + 1));
        i += 4;
        uint32_t character = static_cast<uint32_t>(unit);
        if (IsHighSurrogate(unit)) {
          const int low = Hex4(text.substr(i + 3));
          i += 6;
          character = static_cast<uint32_t>(0x10000 + ((unit - 0xd800) << 10) +
                                            (low - 0xdc00));
        }
        AppendUtf8(character, out);
        break;
      }
      default:
        out.push_back(c);
    }
  }
  return out;
}

// Scanner walks over a text once. Its functions return false at the first
// byte that does not belong there, or beyond a limit.
class Scanner {
 public:
  Scanner(absl::string_view text, const JsonLimits& limits)
      : text_(text), limits_(limits) {}

  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' ||
                                  text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  bool Take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool at_end() const { return at_ == text_.size(); }
  bool over_limit() const { return over_limit_; }

  // Value scans any value; `depth` is that of the value itself.
  bool Value(size_t depth, JsonValue& out) {
    const size_t start = at_;
    if (at_end()) return false;
    bool ok = false;
    switch (text_[at_]) {
      case '{':
        out.kind = JsonKind::kObject;
        ok = Object(depth, nullptr);
        break;
      case '[':
        out.kind = JsonKind::kArray;
        ok = Array(depth, nullptr);
        break;
      case '"':
        out.kind = JsonKind::kString;
        ok = String();
        break;
      case 't':
        out.kind = JsonKind::kBool;
        ok = Word("true");
        break;
      case 'f':
        out.kind = JsonKind::kBool;
        ok = Word("false");
        break;
      case 'n':
        out.kind = JsonKind::kNull;
        ok = Word("null");
        break;
      default:
        out.kind = JsonKind::kNumber;
        ok = Number();
    }
    out.raw = text_.substr(start, at_ - start);
    return ok;
  }

  // Object scans an object and appends its members to `members` unless that
  // is nullptr; the names are raw, with their quotes.
  using Members = absl::InlinedVector<std::pair<absl::string_view, JsonValue>,
                                      kUsualMembers>;
  bool Object(size_t depth, Members* members) {
    if (!Take('{') || TooDeep(depth)) return false;
    SkipSpace();
    if (Take('}')) return true;
    const size_t limit =
        depth == 0 ? limits_.max_members : limits_.max_inner_members;
    for (size_t count = 1;; ++count) {
      if (count > limit) {
        over_limit_ = true;
        return false;
      }
      SkipSpace();
      const size_t start = at_;
      if (!String()) return false;
      const absl::string_view name = text_.substr(start, at_ - start);
      SkipSpace();
      if (!Take(':')) return false;
      SkipSpace();
      JsonValue value;
      if (!Value(depth + 1, value)) return false;
      if (members != nullptr) members->emplace_back(name, value);
      SkipSpace();
      if (Take('}')) return true;
      if (!Take(',')) return false;
    }
  }

  bool Array(size_t depth, std::vector<JsonValue>* elements) {
    if (!Take('[') || TooDeep(depth)) return false;
    SkipSpace();
    if (Take(']')) return true;
    while (true) {
      SkipSpace();
      JsonValue value;
      if (!Value(depth + 1, value)) return false;
      if (elements != nullptr) elements->push_back(value);
      SkipSpace();
      if (Take(']')) return true;
      if (!Take(',')) return false;
    }
  }

 private:
  bool TooDeep(size_t depth) {
    if (depth < limits_.max_depth) return false;
    over_limit_ = true;
    return true;
  }

  bool Word(absl::string_view word) {
    if (!absl::StartsWith(text_.substr(at_), word)) return false;
    at_ += word.size();
    return true;
  }

  size_t Digits() {
    const size_t start = at_;
    while (at_ < text_.size() && IsDigit(text_[at_])) ++at_;
    return at_ - start;
  }

  bool Number() {
    Take('-');
    if (!Take('0') && Digits() == 0) return false;
    if (Take('.') && Digits() == 0) return false;
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      if (Digits() == 0) return false;
    }
    return true;
  }

  // Goes on to the next byte that a string does not just contain, sixteen or
  // eight at a time; it may stop before.
  void SkipPlain() {
    constexpr uint64_t kEach = 0x0101010101010101u;
    // Sets the high bits of the bytes that are less than `n`, up to 128. Behind
    // the first of them others may be set, too.
    const auto less = [](uint64_t word, uint64_t n) {
      return (word - kEach * n) & ~word & kEach * 0x80;
    };
#ifdef __SSE2__
    const __m128i quotes = _mm_set1_epi8('"');
    const __m128i backslashes = _mm_set1_epi8('\\');
    const __m128i last_control = _mm_set1_epi8(0x1f);
    for (; text_.size() - at_ >= sizeof(__m128i); at_ += sizeof(__m128i)) {
      const __m128i bytes =
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(text_.data() + at_));
      const int found = _mm_movemask_epi8(_mm_or_si128(
          _mm_or_si128(_mm_cmpeq_epi8(bytes, quotes),
                       _mm_cmpeq_epi8(bytes, backslashes)),
          _mm_cmpeq_epi8(_mm_max_epu8(bytes, last_control), last_control)));
      if (found == 0) continue;
      at_ +=
          static_cast<size_t>(std::countr_zero(static_cast<unsigned>(found)));
      return;
    }
#endif
    if (std::endian::native != std::endian::little) return;
    uint64_t word;
    for (; text_.size() - at_ >= sizeof word; at_ += sizeof word) {
      std::memcpy(&word, text_.data() + at_, sizeof word);
      const uint64_t found = less(word, 0x20) | less(word ^ kEach * '"', 1) |
                             less(word ^ kEach * '\\', 1);
      if (found == 0) continue;
      at_ += static_cast<size_t>(std::countr_zero(found)) / 8;
      return;
    }
  }

  bool String() {
    if (!Take('"')) return false;
    while (true) {
      SkipPlain();
      if (at_end()) return false;
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c == '\\' && !Escape()) return false;
    }
  }

  bool Escape() {
    if (at_end()) return false;
    const char c = text_[at_++];
    if (c != 'u') return IsShortEscape(c);
    const int unit = Hex4(text_.substr(at_));
    if (unit < 0 || IsLowSurrogate(unit)) return false;
    at_ += 4;
    if (!IsHighSurrogate(unit)) return true;
    if (!Take('\\') || !Take('u')) return false;
    if (!IsLowSurrogate(Hex4(text_.substr(at_)))) return false;
    at_ += 4;
    return true;
  }

  const absl::string_view text_;
  const JsonLimits limits_;
  size_t at_ = 0;
  bool over_limit_ = false;
};

absl::Status Refusal(const Scanner& scanner) {
  if (scanner.over_limit()) {
    return absl::OutOfRangeError("JSON too deep or with too many members");
  }
  return absl::InvalidArgumentError("not valid JSON");
}

absl::string_view Inside(absl::string_view quoted) {
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

absl::StatusOr<JsonValue> CheckJson(absl::string_view text,
                                    const JsonLimits& limits) {
  if (!IsUtf8(text)) return absl::InvalidArgumentError("not UTF-8");
  Scanner scanner(text, limits);
  JsonValue value;
  scanner.SkipSpace();
  bool ok = scanner.Value(0, value);
  scanner.SkipSpace();
  if (!ok || !scanner.at_end()) return Refusal(scanner);
  return value;
}

absl::StatusOr<JsonObject> JsonObject::Parse(absl::string_view text,
                                             const JsonLimits& limits) {
  if (!IsUtf8(text)) return absl::InvalidArgumentError("not UTF-8");
  Scanner scanner(text, limits);
  Scanner::Members members;
  scanner.SkipSpace();
  bool ok = scanner.Object(0, &members);
  scanner.SkipSpace();
  if (!ok || !scanner.at_end()) return Refusal(scanner);
  JsonObject object;
  object.members_.reserve(members.size());
  for (const auto& [raw_name, value] : members) {
    std::string name = Unescape(Inside(raw_name));
    if (object.Find(name).has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" occurs twice"));
    }
    object.members_.push_back({std::move(name), value});
  }
  return object;
}

std::optional<JsonValue> JsonObject::Find(absl::string_view name) const {
  for (const Member& member : members_) {
    if (member.name == name) return member.value;
  }
  return std::nullopt;
}

std::vector<JsonValue> JsonElements(JsonValue array, size_t max_depth) {
  std::vector<JsonValue> elements;
  if (array.kind != JsonKind::kArray) return elements;
  // Its objects are within their limits, or it would not be a value.
  JsonLimits limits;
  limits.max_depth = max_depth;
  limits.max_inner_members = array.raw.size();
  Scanner scanner(array.raw, limits);
  if (!scanner.Array(0, &elements)) elements.clear();
  return elements;
}

std::optional<std::string> JsonText(JsonValue value) {
  if (value.kind != JsonKind::kString) return std::nullopt;
  return Unescape(Inside(value.raw));
}

std::optional<int64_t> JsonInteger(JsonValue value) {
  int64_t number = 0;
  if (value.kind != JsonKind::kNumber ||
      !absl::SimpleAtoi(value.raw, &number)) {
    return std::nullopt;
  }
  return number;
}

std::optional<bool> JsonBool(JsonValue value) {
  if (value.kind != JsonKind::kBool) return std::nullopt;
  return value.raw == "true";
}

void AppendJsonText(absl::string_view text, std::string& out) {
  out.push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

}  // namespace kyuu::signaling::internal
