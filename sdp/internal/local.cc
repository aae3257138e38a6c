#include "sdp/internal/local.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "sdp/builder.h"
#include "sdp/internal/remote.h"

namespace kyuu::sdp::internal {
namespace {

constexpr absl::string_view kNoAddress = "IN IP4 0.0.0.0";

// One m= section to be written.
struct Slot {
  absl::string_view media = "application";
  absl::string_view protocol = "UDP/DTLS/SCTP";
  std::string formats = "webrtc-datachannel";
  std::string mid;  // Empty for none: only a peer without mids has it so.
  bool legacy = false;
};

Slot SlotOf(const MediaSection& section) {
  return Slot{section.media(), section.protocol(),
              std::string(section.formats()),
              std::string(section.mid().value_or("")),
              section.is_legacy_data_channel()};
}

// The default destination (RFC 8839 section 4.2.1.2): the UDP candidate that
// most likely works for a peer without ICE, IPv4 first. Port 9 and no address
// when there is none, or only a hidden one (RFC 8840 section 4.1.1).
struct Destination {
  std::string address = std::string(kNoAddress);
  uint16_t port = 9;
};

Destination DefaultDestination(absl::Span<const ice::Candidate> candidates) {
  const ice::Candidate* best = nullptr;
  const auto rank = [](const ice::Candidate& candidate) {
    return 2 * static_cast<int>(candidate.type) +
           (candidate.address.ip.is_v4() ? 1 : 0);
  };
  for (const ice::Candidate& candidate : candidates) {
    if (candidate.transport != Transport::kUdp || candidate.is_name() ||
        candidate.address.ip.family() == IpFamily::kUnspecified) {
      continue;
    }
    if (best == nullptr || rank(candidate) > rank(*best)) best = &candidate;
  }
  Destination destination;
  if (best == nullptr) return destination;
  const IpAddress& ip = best->address.ip;
  // A scope means nothing to the peer.
  const IpAddress bare = IpAddress::FromBytes(ip.bytes());
  destination.address =
      absl::StrCat("IN ", ip.is_v4() ? "IP4 " : "IP6 ", bare.ToString());
  destination.port = best->address.port;
  return destination;
}

void WriteCandidates(Builder& out, absl::Span<const ice::Candidate> candidates,
                     bool end_of_candidates) {
  for (const ice::Candidate& candidate : candidates) {
    const std::string line = candidate.ToString();
    out.Attribute(AttributeType::kCandidate,
                  absl::StripPrefix(line, "candidate:"));
  }
  if (end_of_candidates) out.Flag(AttributeType::kEndOfCandidates);
}

std::string MediaValue(const Slot& slot, uint16_t port) {
  return absl::StrCat(slot.media, " ", port, " ", slot.protocol, " ",
                      slot.formats);
}

void WriteSessionLevel(Builder& out, const LocalIdentity& identity,
                       absl::string_view bundled_mid,
                       absl::string_view ice_options) {
  // RFC 9429 section 5.2.1: no meaningful name or address.
  out.Add('v', "0");
  out.Add('o', absl::StrCat("- ", identity.session_id, " ",
                            identity.session_version, " ", kNoAddress));
  out.Add('s', "-").Add('t', "0 0");
  if (!bundled_mid.empty()) {
    out.Attribute(AttributeType::kGroup, absl::StrCat("BUNDLE ", bundled_mid));
  }
  if (!ice_options.empty()) {
    out.Attribute(AttributeType::kIceOptions, ice_options);
  }
  if (identity.ice_pacing) {
    out.Attribute(
        AttributeType::kIcePacing,
        absl::StrCat(absl::ToInt64Milliseconds(*identity.ice_pacing)));
  }
  if (identity.msid_semantic) {
    out.Attribute(AttributeType::kMsidSemantic, " WMS");
  }
}

void WriteRejected(Builder& out, const Slot& slot) {
  out.Add('m', MediaValue(slot, 0)).Add('c', kNoAddress);
  if (slot.media != "application") out.Flag(AttributeType::kInactive);
  // As the peer wrote it, whatever that is.
  if (!slot.mid.empty()) out.Add('a', absl::StrCat("mid:", slot.mid));
}

void WriteData(Builder& out, Slot slot, const LocalIdentity& identity,
               const LocalTransport& local, Setup setup) {
  // Before RFC 8841 the format was the port of SCTP.
  if (slot.legacy) slot.formats = absl::StrCat(identity.sctp_port);
  const Destination destination = DefaultDestination(local.candidates);
  out.Add('m', MediaValue(slot, destination.port));
  out.Add('c', destination.address);
  if (!slot.mid.empty()) out.Attribute(AttributeType::kMid, slot.mid);
  out.Attribute(AttributeType::kIceUfrag, local.ice_ufrag);
  out.Attribute(AttributeType::kIcePwd, local.ice_pwd);
  for (const dtls::Fingerprint& fingerprint : local.fingerprints) {
    out.Attribute(AttributeType::kFingerprint, fingerprint.ToString());
  }
  out.Attribute(AttributeType::kSetup, SetupName(setup));
  if (slot.legacy) {
    out.Attribute(
        AttributeType::kSctpmap,
        absl::StrCat(identity.sctp_port, " webrtc-datachannel 65535"));
  } else {
    out.Attribute(AttributeType::kSctpPort, absl::StrCat(identity.sctp_port));
  }
  out.Attribute(AttributeType::kMaxMessageSize,
                absl::StrCat(identity.max_message_size));
  WriteCandidates(out, local.candidates, local.end_of_candidates);
}

absl::Status CheckLocal(const LocalTransport& local) {
  if (!local.fingerprints.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("no fingerprint to write");
}

// A mid that no section has, the section's index if that is free.
std::string FreshMid(const Description* current_local, size_t index) {
  const auto taken = [&](absl::string_view mid) {
    if (current_local == nullptr) return false;
    for (size_t i = 0; i < current_local->media_count(); ++i) {
      if (current_local->media(i).mid() == mid) return true;
    }
    return false;
  };
  std::string mid = absl::StrCat(index);
  while (taken(mid)) mid = absl::StrCat(++index);
  return mid;
}

}  // namespace

absl::StatusOr<std::string> WriteOffer(const LocalIdentity& identity,
                                       const LocalTransport& local,
                                       const Description* current_local,
                                       const Description* current_remote) {
  if (auto status = CheckLocal(local); !status.ok()) return status;
  std::vector<Slot> slots;
  std::optional<size_t> data;
  std::optional<size_t> recyclable;
  for (size_t i = 0; current_local != nullptr &&  //
                     i < current_local->media_count();
       ++i) {
    const MediaSection ours = current_local->media(i);
    slots.push_back(SlotOf(ours));
    if (ours.port() == 0 || current_remote->media(i).rejected()) {
      if (!recyclable) recyclable = i;
    } else {
      data = i;
    }
  }
  if (!data) {
    // RFC 9429 section 5.2.2: a place with port 0 is used again, with a new
    // mid.
    data = recyclable.value_or(slots.size());
    if (*data == slots.size()) slots.emplace_back();
    slots[*data] = Slot{};
    slots[*data].mid = FreshMid(current_local, *data);
  }
  Builder out;
  WriteSessionLevel(out, identity, slots[*data].mid, "trickle ice2");
  for (size_t i = 0; i < slots.size(); ++i) {
    if (i == *data) {
      // The role is offered anew each time (RFC 8842 section 5.5).
      WriteData(out, slots[i], identity, local, Setup::kActpass);
    } else {
      WriteRejected(out, slots[i]);
    }
  }
  return out.Finish();
}

absl::StatusOr<std::string> WriteAnswer(const LocalIdentity& identity,
                                        const LocalTransport& local,
                                        const Description& offer,
                                        const TransportParameters* accepted,
                                        Setup setup) {
  if (auto status = CheckLocal(local); !status.ok()) return status;
  // Only what was offered is answered: the BUNDLE group with the one mid that
  // is accepted, the ICE options (RFC 9429 section 5.3.1). RFC 9143 section
  // 7.3.3 would have us reject data too where it is bundled behind a rejected
  // section; browsers give it a transport of its own, and take it unbundled.
  absl::string_view bundled_mid;
  std::string ice_options;
  if (accepted != nullptr) {
    if (!GroupOf(offer, accepted->mid).empty()) bundled_mid = accepted->mid;
    ice_options = accepted->trickle ? "trickle" : "";
    if (accepted->ice2) {
      absl::StrAppend(&ice_options, ice_options.empty() ? "" : " ", "ice2");
    }
  }
  Builder out;
  WriteSessionLevel(out, identity, bundled_mid, ice_options);
  for (size_t i = 0; i < offer.media_count(); ++i) {
    const Slot slot = SlotOf(offer.media(i));
    if (accepted != nullptr && i == accepted->mline_index) {
      WriteData(out, slot, identity, local, setup);
    } else {
      WriteRejected(out, slot);
    }
  }
  return out.Finish();
}

absl::StatusOr<std::string> WithCandidates(
    const Description& description, absl::Span<const ice::Candidate> candidates,
    bool end_of_candidates) {
  const auto data = FindData(description);
  if (!data) return description.ToString();
  const MediaSection section = description.media(*data);
  const size_t begin = section.line(0).number - 1;
  const size_t end = begin + section.line_count();
  const Destination destination = DefaultDestination(candidates);
  Builder out;
  for (size_t i = 0; i < description.line_count(); ++i) {
    const Line line = description.line(i);
    if (i == begin) {
      out.Add('m', MediaValue(SlotOf(section), destination.port));
    } else if (i > begin && i < end && line.type == 'c') {
      out.Add('c', destination.address);
    } else if (i <= begin || i >= end ||
               (line.attribute != AttributeType::kCandidate &&
                line.attribute != AttributeType::kEndOfCandidates)) {
      out.Copy(line);
    }
    if (i + 1 == end) WriteCandidates(out, candidates, end_of_candidates);
  }
  return out.Finish();
}

}  // namespace kyuu::sdp::internal
