#include "ice/compact/candidate_list.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "ice/candidate.h"

namespace kyuu::ice {
namespace {

// A candidate is
//
//   flags (1), type (1), transport (1), component (2), priority (4),
//   foundation (text), address (address)
//
// and, each where its flag is set, name (text), tcp_type (1), relay_protocol
// (1), extensions (text), related, server and base (addresses). A text is its
// size (2) and its bytes; an address is a byte with the size of its IP and
// whether a scope (4) follows, these, and the port (2).
enum Flag : uint8_t {
  kName = 1,
  kTcpType = 2,
  kRelayProtocol = 4,
  kExtensions = 8,
  kRelated = 16,
  kServer = 32,
  kBase = 64,  // Else it is the address.
};

constexpr uint8_t kScoped = 0x80;

// Of all but the texts.
constexpr size_t kFixedMax = 11 + 4 * (1 + 16 + 4 + 2) + 2 + 3 * 2;

void WriteText(Writer& w, absl::string_view text) {
  w.U16(static_cast<uint16_t>(text.size()));
  w.Text(text);
}

void WriteAddress(Writer& w, const TransportAddress& address) {
  const absl::Span<const uint8_t> ip = address.ip.bytes();
  const uint32_t scope = address.ip.scope_id();
  w.U8(static_cast<uint8_t>(ip.size() | (scope != 0 ? kScoped : 0)));
  w.Bytes(ip);
  if (scope != 0) w.U32(scope);
  w.U16(address.port);
}

TransportAddress ReadAddress(Reader& r) {
  const uint8_t head = r.U8();
  const absl::Span<const uint8_t> bytes =
      r.Bytes(head & static_cast<uint8_t>(~kScoped));
  TransportAddress address;
  address.ip = IpAddress::FromBytes(bytes);
  if ((head & kScoped) != 0) {
    std::array<uint8_t, 16> ip{};
    std::copy(bytes.begin(), bytes.end(), ip.begin());
    address.ip = IpAddress::V6(ip, r.U32());
  }
  address.port = r.U16();
  return address;
}

uint8_t FlagsOf(const Candidate& c) {
  const auto flag = [](bool set, Flag which) { return set ? which : 0; };
  return static_cast<uint8_t>(
      flag(!c.name.empty(), kName) | flag(c.tcp_type.has_value(), kTcpType) |
      flag(c.relay_protocol.has_value(), kRelayProtocol) |
      flag(!c.extensions.empty(), kExtensions) |
      flag(c.related.has_value(), kRelated) |
      flag(c.server != TransportAddress(), kServer) |
      flag(c.base != c.address, kBase));
}

std::vector<uint8_t> Write(const Candidate& c) {
  std::vector<uint8_t> bytes(kFixedMax + c.foundation.size() + c.name.size() +
                             c.extensions.text().size());
  Writer w(absl::MakeSpan(bytes));
  const uint8_t flags = FlagsOf(c);
  w.U8(flags);
  w.U8(static_cast<uint8_t>(c.type));
  w.U8(static_cast<uint8_t>(c.transport));
  w.U16(c.component);
  w.U32(c.priority);
  WriteText(w, c.foundation);
  WriteAddress(w, c.address);
  if ((flags & kName) != 0) WriteText(w, c.name);
  if ((flags & kTcpType) != 0) w.U8(static_cast<uint8_t>(*c.tcp_type));
  if ((flags & kRelayProtocol) != 0) {
    w.U8(static_cast<uint8_t>(*c.relay_protocol));
  }
  if ((flags & kExtensions) != 0) WriteText(w, c.extensions.text());
  if ((flags & kRelated) != 0) WriteAddress(w, *c.related);
  if ((flags & kServer) != 0) WriteAddress(w, c.server);
  if ((flags & kBase) != 0) WriteAddress(w, c.base);
  KYUU_CHECK(w.ok());
  bytes.resize(w.size());
  return bytes;
}

void ReadExtensions(absl::string_view text, CandidateExtensions& extensions) {
  const auto next = [&text] {
    const absl::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    return word;
  };
  while (!text.empty()) {
    const absl::string_view name = next();
    extensions.Add(name, next());
  }
}

Candidate Read(Reader& r) {
  Candidate c;
  const uint8_t flags = r.U8();
  c.type = static_cast<CandidateType>(r.U8());
  c.transport = static_cast<Transport>(r.U8());
  c.component = r.U16();
  c.priority = r.U32();
  c.foundation = std::string(r.Text(r.U16()));
  c.address = ReadAddress(r);
  if ((flags & kName) != 0) c.name = std::string(r.Text(r.U16()));
  if ((flags & kTcpType) != 0) c.tcp_type = static_cast<TcpType>(r.U8());
  if ((flags & kRelayProtocol) != 0) {
    c.relay_protocol = static_cast<RelayProtocol>(r.U8());
  }
  if ((flags & kExtensions) != 0) {
    ReadExtensions(r.Text(r.U16()), c.extensions);
  }
  if ((flags & kRelated) != 0) c.related = ReadAddress(r);
  if ((flags & kServer) != 0) c.server = ReadAddress(r);
  c.base = (flags & kBase) != 0 ? ReadAddress(r) : c.address;
  return c;
}

}  // namespace

CandidateList::CandidateList(const CandidateList& other)
    : bytes_(other.empty() ? nullptr : new uint8_t[other.size_]),
      size_(other.size_),
      count_(other.count_) {
  std::copy_n(other.bytes_.get(), size_, bytes_.get());
}

CandidateList::CandidateList(CandidateList&& other) noexcept
    : bytes_(std::move(other.bytes_)),
      size_(std::exchange(other.size_, 0)),
      count_(std::exchange(other.count_, 0)) {}

CandidateList& CandidateList::operator=(CandidateList other) noexcept {
  bytes_ = std::move(other.bytes_);
  size_ = other.size_;
  count_ = other.count_;
  return *this;
}

std::vector<Candidate> CandidateList::Get() const {
  std::vector<Candidate> all;
  all.reserve(count_);
  Reader r(bytes());
  while (!r.empty()) all.push_back(Read(r));
  return all;
}

bool CandidateList::Any(Predicate is_it) const {
  Reader r(bytes());
  while (!r.empty()) {
    if (is_it(Read(r))) return true;
  }
  return false;
}

void CandidateList::Add(const Candidate& candidate) {
  const std::vector<uint8_t> more = Write(candidate);
  // As much as they need: most lists get one or two.
  std::unique_ptr<uint8_t[]> grown(new uint8_t[size_ + more.size()]);
  std::copy_n(bytes_.get(), size_, grown.get());
  std::copy(more.begin(), more.end(), grown.get() + size_);
  bytes_ = std::move(grown);
  size_ += static_cast<uint32_t>(more.size());
  ++count_;
}

void CandidateList::Assign(const std::vector<Candidate>& all) {
  std::vector<uint8_t> bytes;
  for (const Candidate& candidate : all) {
    const std::vector<uint8_t> more = Write(candidate);
    bytes.insert(bytes.end(), more.begin(), more.end());
  }
  bytes_.reset(all.empty() ? nullptr : new uint8_t[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), bytes_.get());
  size_ = static_cast<uint32_t>(bytes.size());
  count_ = static_cast<uint32_t>(all.size());
}

std::vector<Candidate> CandidateList::TakeOut(Predicate is_it) {
  std::vector<Candidate> taken;
  std::vector<Candidate> left;
  for (Candidate& candidate : Get()) {
    (is_it(candidate) ? taken : left).push_back(std::move(candidate));
  }
  if (!taken.empty()) Assign(left);
  return taken;
}

}  // namespace kyuu::ice
