#include "mdns/message.h"

#include <algorithm>
#include <array>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace kyuu::mdns {
namespace {

constexpr size_t kMaxLabelBytes = 63;
constexpr uint16_t kClassIn = 1;
// In the class of a question: QU; in that of a record: cache-flush.
constexpr uint16_t kTopBit = 0x8000;
constexpr uint16_t kResponse = 0x8000, kAuthoritative = 0x0400;
constexpr uint16_t kOpcodeAndCode = 0x780f;
constexpr uint16_t kTypeNsec = 47;

bool IsHostCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
         c == '_';
}

// Reads the name at `r`, which may go on at earlier places of `whole` (RFC 1035
// section 4.1.4). Each step leads further to the front, so it ends. A name that
// is none of a host becomes "".
std::string ReadName(absl::Span<const uint8_t> whole, Reader& r) {
  std::string name;
  bool jumped = false, of_host = true;
  size_t front = whole.size() - r.remaining();
  Reader at = r;
  while (true) {
    const uint8_t size = at.U8();
    if (!at.ok() || (size > kMaxLabelBytes && size < 0xc0)) {
      r.Fail();
      return "";
    }
    if (size == 0) break;
    if (size >= 0xc0) {
      const size_t offset = size_t{size & 0x3fu} << 8 | at.U8();
      if (!at.ok() || offset >= front) {
        r.Fail();
        return "";
      }
      if (!jumped) r = at;
      jumped = true;
      front = offset;
      at = Reader(whole.subspan(offset));
      continue;
    }
    const absl::string_view label = at.Text(size);
    if (!at.ok() ||
        name.size() + label.size() + (name.empty() ? 0 : 1) > kMaxNameBytes) {
      r.Fail();
      return "";
    }
    of_host &= std::all_of(label.begin(), label.end(), IsHostCharacter);
    absl::StrAppend(&name, name.empty() ? "" : ".", label);
  }
  if (!jumped) r = at;
  if (!of_host) return "";
  absl::AsciiStrToLower(&name);
  return name;
}

void WriteName(Writer& w, absl::string_view name) {
  for (const absl::string_view label : absl::StrSplit(name, '.')) {
    if (label.empty() || label.size() > kMaxLabelBytes) w.Fail();
    w.U8(static_cast<uint8_t>(label.size()));
    w.Text(label);
  }
  w.U8(0);
}

void WriteHeader(Writer& w, uint16_t id, uint16_t flags, uint16_t questions,
                 uint16_t answers) {
  w.U16(id);
  w.U16(flags);
  w.U16(questions);
  w.U16(answers);
  w.U32(0);  // Neither authorities nor additional records.
}

void WriteQuestion(Writer& w, const Question& question) {
  WriteName(w, question.name);
  w.U16(static_cast<uint16_t>(question.type));
  w.U16(question.unicast ? kClassIn | kTopBit : kClassIn);
}

void WriteRecordHead(Writer& w, absl::string_view name, uint16_t type,
                     bool flush, absl::Duration ttl) {
  WriteName(w, name);
  w.U16(type);
  w.U16(flush ? kClassIn | kTopBit : kClassIn);
  w.U32(static_cast<uint32_t>(absl::ToInt64Seconds(ttl)));
}

void WriteRecord(Writer& w, const AddressRecord& record, bool flush) {
  WriteRecordHead(w, record.name,
                  static_cast<uint16_t>(TypeOf(record.ip.family())), flush,
                  record.ttl);
  w.U16(static_cast<uint16_t>(record.ip.bytes().size()));
  w.Bytes(record.ip.bytes());
}

void ReadQuestion(absl::Span<const uint8_t> bytes, Reader& r,
                  std::vector<Question>& out) {
  Question question{.name = ReadName(bytes, r)};
  const uint16_t type = r.U16(), where = r.U16();
  if (!r.ok() || question.name.empty() || (where & ~kTopBit) != kClassIn) {
    return;
  }
  question.type = static_cast<QueryType>(type);
  question.unicast = (where & kTopBit) != 0;
  if (question.type == QueryType::kA || question.type == QueryType::kAaaa ||
      question.type == QueryType::kAny) {
    out.push_back(std::move(question));
  }
}

void ReadRecord(absl::Span<const uint8_t> bytes, Reader& r,
                std::vector<AddressRecord>& out) {
  AddressRecord record{.name = ReadName(bytes, r)};
  const uint16_t type = r.U16(), where = r.U16();
  // A sign would be no time to live (RFC 2181 section 8).
  const uint32_t ttl = r.U32();
  record.ttl = absl::Seconds(ttl > 0x7fffffff ? 0 : ttl);
  const absl::Span<const uint8_t> data = r.Bytes(r.U16());
  if (!r.ok() || record.name.empty() || (where & ~kTopBit) != kClassIn) return;
  if ((type == static_cast<uint16_t>(QueryType::kA) && data.size() == 4) ||
      (type == static_cast<uint16_t>(QueryType::kAaaa) && data.size() == 16)) {
    record.ip = IpAddress::FromBytes(data);
    out.push_back(std::move(record));
  }
}

}  // namespace

TransportAddress GroupOf(IpFamily family) {
  switch (family) {
    case IpFamily::kV4:
      return {IpAddress::V4(224, 0, 0, 251), kPort};
    case IpFamily::kV6:
      return {
          IpAddress::V6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb}),
          kPort};
    case IpFamily::kUnspecified:
      return {};
  }
  return {};
}

QueryType TypeOf(IpFamily family) {
  return family == IpFamily::kV4 ? QueryType::kA : QueryType::kAaaa;
}

absl::StatusOr<Message> Parse(absl::Span<const uint8_t> bytes) {
  if (bytes.size() > kMaxMessageBytes) {
    return absl::InvalidArgumentError("a message longer than any of mDNS");
  }
  Reader r(bytes);
  Message message{.id = r.U16()};
  const uint16_t flags = r.U16();
  const size_t questions = r.U16(), answers = r.U16(), authorities = r.U16(),
               additional = r.U16();
  if (!r.ok()) return absl::InvalidArgumentError("a truncated header");
  if ((flags & kOpcodeAndCode) != 0) {
    return absl::UnimplementedError("an opcode or response code other than 0");
  }
  message.response = (flags & kResponse) != 0;
  size_t left = kMaxEntries;
  const auto each = [&](size_t count, auto&& read) {
    for (; count > 0 && left > 0 && r.ok(); --count, --left) read();
  };
  each(questions, [&] { ReadQuestion(bytes, r, message.questions); });
  each(answers, [&] { ReadRecord(bytes, r, message.records); });
  // What a query has here is about names that the asker would like to have.
  if (message.response) {
    each(authorities + additional,
         [&] { ReadRecord(bytes, r, message.records); });
  }
  if (!r.ok()) return absl::InvalidArgumentError("a truncated message");
  return message;
}

std::optional<std::string> Normalize(absl::string_view name) {
  if (absl::EndsWith(name, ".")) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxNameBytes) return std::nullopt;
  for (const absl::string_view label : absl::StrSplit(name, '.')) {
    if (label.empty() || label.size() > kMaxLabelBytes ||
        !std::all_of(label.begin(), label.end(), IsHostCharacter)) {
      return std::nullopt;
    }
  }
  return absl::AsciiStrToLower(name);
}

bool IsLocal(absl::string_view normalized) {
  return absl::EndsWith(normalized, ".local");
}

std::string MakeName(Random& random) {
  std::array<uint8_t, 16> uuid;
  random.Fill(absl::MakeSpan(uuid));
  uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x40);  // RFC 9562.
  uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
  const std::string hex = absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(uuid.data()), uuid.size()));
  const absl::string_view h = hex;
  return absl::StrCat(h.substr(0, 8), "-", h.substr(8, 4), "-", h.substr(12, 4),
                      "-", h.substr(16, 4), "-", h.substr(20), ".local");
}

void WriteQuery(Writer& w, const Question& question) {
  WriteHeader(w, 0, 0, 1, 0);
  WriteQuestion(w, question);
}

void WriteAnswer(Writer& w, const AddressRecord& record, bool flush) {
  WriteHeader(w, 0, kResponse | kAuthoritative, 0, 1);
  WriteRecord(w, record, flush);
}

void WriteDenial(Writer& w, absl::string_view name, QueryType type,
                 absl::Duration ttl) {
  WriteHeader(w, 0, kResponse | kAuthoritative, 0, 1);
  WriteRecordHead(w, name, kTypeNsec, true, ttl);
  // The next name is the name itself, and a bitmap says which types there are
  // (RFC 4034 section 4.1).
  const size_t size_at = w.size();
  w.U16(0);
  WriteName(w, name);
  const auto number = static_cast<uint16_t>(type);
  const size_t octets = number / 8 + 1u;
  w.U8(0);
  w.U8(static_cast<uint8_t>(octets));
  w.Zeros(octets - 1);
  w.U8(static_cast<uint8_t>(0x80 >> number % 8));
  if (w.ok()) w.Patch16(size_at, static_cast<uint16_t>(w.size() - size_at - 2));
}

void WriteLegacyAnswer(Writer& w, uint16_t id, const Question& question,
                       const AddressRecord& record) {
  WriteHeader(w, id, kResponse | kAuthoritative, 1, 1);
  WriteQuestion(w, question);
  WriteRecord(w, record, false);
}

}  // namespace kyuu::mdns
