#include "sdp/attribute_type.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace kyuu::sdp {
namespace {

constexpr size_t kNames = static_cast<size_t>(AttributeType::kTlsId) + 1;

// By AttributeType.
constexpr std::array<absl::string_view, kNames> kNameOf = {
    "",
    "",
    "bundle-only",
    "candidate",
    "crypto",
    "end-of-candidates",
    "extmap",
    "extmap-allow-mixed",
    "fingerprint",
    "fmtp",
    "framerate",
    "group",
    "ice-lite",
    "ice-mismatch",
    "ice-options",
    "ice-pacing",
    "ice-pwd",
    "ice-ufrag",
    "identity",
    "imageattr",
    "inactive",
    "max-message-size",
    "maxptime",
    "mid",
    "msid",
    "msid-semantic",
    "ptime",
    "recvonly",
    "remote-candidates",
    "rid",
    "rtcp",
    "rtcp-fb",
    "rtcp-mux",
    "rtcp-mux-only",
    "rtcp-rsize",
    "rtpmap",
    "sctp-init",
    "sctp-port",
    "sctpmap",
    "sendonly",
    "sendrecv",
    "setup",
    "simulcast",
    "ssrc",
    "ssrc-group",
    "tls-id",
};

// A perfect hash: every name has a slot of its own, so that one comparison
// decides. The factor was searched for.
constexpr int kSlotBits = 7;
constexpr uint32_t kFactor = 0x4ebb86cd;

constexpr uint32_t SlotOf(absl::string_view name) {
  const auto letter = [](char c) {
    return static_cast<uint32_t>(static_cast<unsigned char>(c));
  };
  const size_t size = name.size();
  const uint32_t key = (static_cast<uint32_t>(size) & 0xff) |
                       letter(name[0]) << 8 | letter(name[size - 2]) << 16 |
                       letter(name[size - 1]) << 24;
  return (key * kFactor) >> (32 - kSlotBits);
}

constexpr std::array<AttributeType, size_t{1} << kSlotBits> kSlots = [] {
  std::array<AttributeType, size_t{1} << kSlotBits> slots{};
  for (size_t i = 0; i < kNames; ++i) {
    if (kNameOf[i].empty()) continue;
    slots[SlotOf(kNameOf[i])] = static_cast<AttributeType>(i);
  }
  return slots;
}();

static_assert(
    [] {
      for (size_t i = 0; i < kNames; ++i) {
        if (!kNameOf[i].empty() &&
            kSlots[SlotOf(kNameOf[i])] != static_cast<AttributeType>(i)) {
          return false;
        }
      }
      return true;
    }(),
    "two names share a slot: search for another factor");

// Whether two texts of `size` bytes, at least 2, are equal: by two loads that
// may overlap, since a call of memcmp would cost as much as all the rest.
bool SameText(const char* a, const char* b, size_t size) {
  const auto same = [&]<typename Word>(Word first_a, Word first_b, Word last_a,
                                       Word last_b) {
    std::memcpy(&first_a, a, sizeof first_a);
    std::memcpy(&first_b, b, sizeof first_b);
    std::memcpy(&last_a, a + size - sizeof last_a, sizeof last_a);
    std::memcpy(&last_b, b + size - sizeof last_b, sizeof last_b);
    return first_a == first_b && last_a == last_b;
  };
  if (size > 16) return std::memcmp(a, b, size) == 0;
  if (size >= 8) return same(uint64_t{}, uint64_t{}, uint64_t{}, uint64_t{});
  if (size >= 4) return same(uint32_t{}, uint32_t{}, uint32_t{}, uint32_t{});
  return same(uint16_t{}, uint16_t{}, uint16_t{}, uint16_t{});
}

}  // namespace

AttributeType FindAttribute(absl::string_view name) {
  if (name.size() < 2) return AttributeType::kUnknown;
  const AttributeType found = kSlots[SlotOf(name)];
  const absl::string_view known = kNameOf[static_cast<size_t>(found)];
  return name.size() == known.size() &&
                 SameText(name.data(), known.data(), name.size())
             ? found
             : AttributeType::kUnknown;
}

absl::string_view AttributeName(AttributeType attribute) {
  const auto index = static_cast<size_t>(attribute);
  return index < kNames ? kNameOf[index] : absl::string_view();
}

bool IsFlag(AttributeType attribute) {
  switch (attribute) {
    case AttributeType::kBundleOnly:
    case AttributeType::kEndOfCandidates:
    case AttributeType::kExtmapAllowMixed:
    case AttributeType::kIceLite:
    case AttributeType::kIceMismatch:
    case AttributeType::kInactive:
    case AttributeType::kRecvonly:
    case AttributeType::kRtcpMux:
    case AttributeType::kRtcpMuxOnly:
    case AttributeType::kRtcpRsize:
    case AttributeType::kSendonly:
    case AttributeType::kSendrecv:
      return true;
    default:
      return false;
  }
}

}  // namespace kyuu::sdp
