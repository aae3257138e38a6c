#include "sdp/internal/local.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "sdp/builder.h"
#include "sdp/internal/bundle.h"
#include "sdp/internal/media_answer.h"

namespace kyuu::sdp::internal {
namespace {

constexpr absl::string_view kNoAddress = "IN IP4 0.0.0.0";

// One m= section to be written.
struct Slot {
  enum class Use : uint8_t { kRejected, kMedia, kData };
  Use use = Use::kData;
  absl::string_view media = "application";
  absl::string_view protocol = "UDP/DTLS/SCTP";
  std::string formats = "webrtc-datachannel";
  std::string mid;  // Empty for none: only a peer without mids has it so.
  bool legacy = false;
  // What kMedia says of its media, `formats` being the same; else empty.
  MediaAnswer answer;
};

Slot SlotOf(const MediaSection& section, Slot::Use use) {
  return Slot{use,
              section.media(),
              section.protocol(),
              std::string(section.formats()),
              std::string(section.mid().value_or("")),
              section.is_legacy_data_channel(),
              {}};
}

Slot SlotOf(const MediaSection& section, MediaAnswer answer) {
  Slot slot = SlotOf(section, Slot::Use::kMedia);
  slot.formats = answer.formats;
  slot.answer = std::move(answer);
  return slot;
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

// Those of `wanted` that we have too.
std::string IceOptions(const TransportParameters& wanted,
                       const LocalTransport& local) {
  std::vector<absl::string_view> options;
  if (wanted.trickle) options.push_back("trickle");
  if (wanted.ice2) options.push_back("ice2");
  if (wanted.sped && local.sped) options.push_back("sped");
  return absl::StrJoin(options, " ");
}

void WriteSessionLevel(Builder& out, const LocalIdentity& identity,
                       absl::Span<const std::string> bundle,
                       absl::string_view ice_options, bool ice_lite) {
  // RFC 9429 section 5.2.1: no meaningful name or address.
  out.Add('v', "0");
  out.Add('o', absl::StrCat("- ", identity.session_id, " ",
                            identity.session_version, " ", kNoAddress));
  out.Add('s', "-").Add('t', "0 0");
  if (!bundle.empty()) {
    out.Attribute(AttributeType::kGroup,
                  absl::StrCat("BUNDLE ", absl::StrJoin(bundle, " ")));
  }
  if (ice_lite) out.Flag(AttributeType::kIceLite);
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

// What belongs to the transport, and so is the same in all sections that share
// it. Only the tagged section names candidates: the others have none.
void WriteTransport(Builder& out, const LocalTransport& local, Setup setup) {
  out.Attribute(AttributeType::kIceUfrag, local.ice_ufrag);
  out.Attribute(AttributeType::kIcePwd, local.ice_pwd);
  for (const dtls::Fingerprint& fingerprint : local.fingerprints) {
    out.Attribute(AttributeType::kFingerprint, fingerprint.ToString());
  }
  out.Attribute(AttributeType::kSetup, SetupName(setup));
}

void WriteHead(Builder& out, const Slot& slot, const LocalTransport& local) {
  const Destination destination = DefaultDestination(local.candidates);
  out.Add('m', MediaValue(slot, destination.port));
  out.Add('c', destination.address);
  if (!slot.mid.empty()) out.Attribute(AttributeType::kMid, slot.mid);
}

void WriteMedia(Builder& out, const Slot& slot, const LocalTransport& local,
                Setup setup) {
  WriteHead(out, slot, local);
  out.Add('a', DirectionName(slot.answer.direction));
  for (const std::string& line : slot.answer.lines) out.Add('a', line);
  WriteTransport(out, local, setup);
  WriteCandidates(out, local.candidates, local.end_of_candidates);
}

void WriteData(Builder& out, Slot slot, const LocalIdentity& identity,
               const LocalTransport& local, Setup setup) {
  // Before RFC 8841 the format was the port of SCTP.
  if (slot.legacy) slot.formats = absl::StrCat(identity.sctp_port);
  WriteHead(out, slot, local);
  WriteTransport(out, local, setup);
  if (slot.legacy) {
    out.Attribute(
        AttributeType::kSctpmap,
        absl::StrCat(identity.sctp_port, " webrtc-datachannel 65535"));
  } else {
    out.Attribute(AttributeType::kSctpPort, absl::StrCat(identity.sctp_port));
  }
  out.Attribute(AttributeType::kMaxMessageSize,
                absl::StrCat(identity.max_message_size));
  if (!identity.sctp_init.empty() && !slot.legacy) {
    out.Attribute(AttributeType::kSctpInit, identity.sctp_init);
  }
  WriteCandidates(out, local.candidates, local.end_of_candidates);
}

// Writes all sections. `tag` is the index of the tagged one.
void WriteSlots(Builder& out, absl::Span<const Slot> slots, size_t tag,
                const LocalIdentity& identity, const LocalTransport& local,
                Setup setup) {
  LocalTransport untagged = local;
  untagged.candidates.clear();
  untagged.end_of_candidates = false;
  for (size_t i = 0; i < slots.size(); ++i) {
    const LocalTransport& told = i == tag ? local : untagged;
    switch (slots[i].use) {
      case Slot::Use::kRejected:
        WriteRejected(out, slots[i]);
        break;
      case Slot::Use::kMedia:
        WriteMedia(out, slots[i], told, setup);
        break;
      case Slot::Use::kData:
        WriteData(out, slots[i], identity, told, setup);
        break;
    }
  }
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
    const bool rejected =
        ours.port() == 0 || current_remote->media(i).rejected();
    if (rejected) {
      if (!recyclable) recyclable = i;
    } else if (ours.is_data_channel()) {
      data = i;
    }
    slots.push_back(rejected ? SlotOf(ours, Slot::Use::kRejected)
                    : ours.is_data_channel() ? SlotOf(ours, Slot::Use::kData)
                                             : SlotOf(ours, Keep(ours)));
  }
  std::vector<std::string> bundle;
  size_t tag;
  if (data) {
    // The group stays, without those that were rejected since.
    const std::vector<size_t> shared = TransportOf(*current_local, *data);
    std::vector<size_t> kept;
    std::copy_if(
        shared.begin(), shared.end(), std::back_inserter(kept),
        [&](size_t i) { return slots[i].use != Slot::Use::kRejected; });
    tag = kept[0];
    for (const size_t i : kept) bundle.push_back(slots[i].mid);
    if (slots[tag].mid.empty()) bundle.clear();
  } else {
    // RFC 9429 section 5.2.2: a place with port 0 is used again, with a new
    // mid.
    data = recyclable.value_or(slots.size());
    if (*data == slots.size()) slots.emplace_back();
    slots[*data] = Slot{};
    slots[*data].mid = FreshMid(current_local, *data);
    tag = *data;
    bundle.push_back(slots[tag].mid);
    // Media was kept for the sake of a data section that is gone.
    for (Slot& slot : slots) {
      if (slot.use == Slot::Use::kMedia) slot.use = Slot::Use::kRejected;
    }
  }
  Builder out;
  WriteSessionLevel(
      out, identity, bundle,
      IceOptions({.trickle = true, .ice2 = true, .sped = true}, local),
      local.ice_lite);
  // The role is offered anew each time (RFC 8842 section 5.5).
  WriteSlots(out, slots, tag, identity, local, Setup::kActpass);
  return out.Finish();
}

absl::StatusOr<std::string> WriteAnswer(
    const LocalIdentity& identity, const LocalTransport& local,
    const Description& offer, const TransportParameters* accepted, size_t data,
    Setup setup, absl::Span<const MediaCapability> media) {
  if (auto status = CheckLocal(local); !status.ok()) return status;
  if (auto status = CheckMedia(media); !status.ok()) return status;
  std::vector<Slot> slots;
  for (size_t i = 0; i < offer.media_count(); ++i) {
    slots.push_back(SlotOf(offer.media(i), Slot::Use::kRejected));
  }
  // Only what was offered is answered: the BUNDLE group with the mids that are
  // accepted, the ICE options (RFC 9429 section 5.3.1).
  std::vector<std::string> bundle;
  std::string ice_options;
  size_t tag = 0;
  if (accepted != nullptr) {
    const std::vector<size_t> shared = TransportOf(offer, data);
    tag = shared[0];
    const bool bundled =
        !GroupOf(offer, offer.media(data).mid().value_or("")).empty();
    for (const size_t i : shared) {
      if (i == data) {
        slots[i] = SlotOf(offer.media(i), Slot::Use::kData);
      } else if (auto answer = AnswerMedia(offer.media(i), media)) {
        slots[i] = SlotOf(offer.media(i), *std::move(answer));
      } else if (i == tag) {
        // The transport would go with it (RFC 9143 section 7.3.3).
        slots[i] = SlotOf(offer.media(i), Park(offer.media(i)));
      } else {
        continue;
      }
      if (bundled) bundle.push_back(slots[i].mid);
    }
    ice_options = IceOptions(*accepted, local);
  }
  Builder out;
  WriteSessionLevel(out, identity, bundle, ice_options, local.ice_lite);
  WriteSlots(out, slots, tag, identity, local, setup);
  return out.Finish();
}

absl::StatusOr<std::string> WithCandidates(
    const Description& description, absl::Span<const ice::Candidate> candidates,
    bool end_of_candidates) {
  const auto data = FindData(description);
  if (!data) return description.ToString();
  const MediaSection section =
      description.media(TransportOf(description, *data)[0]);
  const size_t begin = section.line(0).number - 1;
  const size_t end = begin + section.line_count();
  const Destination destination = DefaultDestination(candidates);
  Builder out;
  for (size_t i = 0; i < description.line_count(); ++i) {
    const Line line = description.line(i);
    if (i == begin) {
      out.Add('m',
              MediaValue(SlotOf(section, Slot::Use::kMedia), destination.port));
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
