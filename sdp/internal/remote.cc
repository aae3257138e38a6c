#include "sdp/internal/remote.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "sdp/internal/bundle.h"
#include "sdp/internal/error.h"

namespace kyuu::sdp::internal {
namespace {

// The m= line of every mid.
using Mids = absl::flat_hash_map<absl::string_view, size_t>;

absl::Status ErrorIn(const MediaSection& section, absl::string_view message,
                     absl::string_view rule) {
  return ErrorAt(section.line(0).number, 1, message, rule);
}

absl::StatusOr<Mids> CollectMids(const Description& remote) {
  Mids mids;
  for (size_t i = 0; i < remote.media_count(); ++i) {
    const MediaSection section = remote.media(i);
    const auto mid = section.mid();
    if (mid && !mids.emplace(*mid, i).second) {
      return ErrorIn(section, absl::StrCat("mid ", *mid, " is used twice"),
                     "RFC 5888 section 4");
    }
  }
  return mids;
}

// Every mid of a group names a section and is in one group only; in an answer
// the section is accepted, and was in a group of the offer.
absl::Status CheckGroups(const Description& remote, const Mids& mids,
                         const Description* offer) {
  constexpr absl::string_view kRule = "RFC 9143 section 7";
  std::vector<bool> grouped(remote.media_count());
  for (const auto& group : remote.BundleGroups()) {
    for (const absl::string_view mid : group) {
      const auto found = mids.find(mid);
      if (found == mids.end()) {
        return ErrorAt(
            1, 1,
            absl::StrCat("BUNDLE names mid ", mid, ", which no m= section has"),
            kRule);
      }
      const MediaSection section = remote.media(found->second);
      if (grouped[found->second]) {
        return ErrorIn(section, absl::StrCat("mid ", mid, " is bundled twice"),
                       kRule);
      }
      grouped[found->second] = true;
      if (offer == nullptr) continue;
      if (section.port() == 0) {
        return ErrorIn(
            section,
            absl::StrCat("rejected mid ", mid, " is in the BUNDLE group"),
            kRule);
      }
      if (GroupOf(*offer, mid).empty()) {
        return ErrorIn(section,
                       absl::StrCat("mid ", mid, " was not offered in BUNDLE"),
                       kRule);
      }
    }
  }
  return absl::OkStatus();
}

// RFC 9429 section 5.8.3, RFC 3264 section 6.
absl::Status CheckAnswer(const Description& answer, const Description& offer) {
  constexpr absl::string_view kRule = "RFC 3264 section 6";
  if (answer.media_count() != offer.media_count()) {
    return ErrorAt(
        answer.line_count(), 1,
        absl::StrCat(answer.media_count(), " m= sections answer an offer of ",
                     offer.media_count()),
        kRule);
  }
  for (size_t i = 0; i < offer.media_count(); ++i) {
    const MediaSection ours = offer.media(i);
    const MediaSection theirs = answer.media(i);
    if (theirs.media() != ours.media()) {
      return ErrorIn(
          theirs,
          absl::StrCat("media type differs from the offered ", ours.media()),
          kRule);
    }
    if (theirs.protocol() != ours.protocol()) {
      return ErrorIn(
          theirs,
          absl::StrCat("protocol differs from the offered ", ours.protocol()),
          kRule);
    }
    if (theirs.mid() && theirs.mid() != ours.mid()) {
      return ErrorIn(theirs, "mid differs from the offered one",
                     "RFC 5888 section 9.1");
    }
    if (theirs.port() != 0 && ours.rejected()) {
      return ErrorIn(theirs, "accepts a section that was offered with port 0",
                     kRule);
    }
  }
  return absl::OkStatus();
}

// A later offer keeps all m= sections in their places; one that was rejected
// may be put to another use (RFC 3264 section 8, RFC 9429 section 5.2.2).
absl::Status CheckReoffer(const Description& offer,
                          const Description& current_local) {
  constexpr absl::string_view kRule = "RFC 3264 section 8";
  if (offer.media_count() < current_local.media_count()) {
    return ErrorAt(offer.line_count(), 1,
                   absl::StrCat("offer has ", offer.media_count(),
                                " m= sections where there were ",
                                current_local.media_count()),
                   kRule);
  }
  for (size_t i = 0; i < current_local.media_count(); ++i) {
    const MediaSection before = current_local.media(i);
    const MediaSection now = offer.media(i);
    if (before.rejected() || now.rejected()) continue;
    if (now.media() != before.media()) {
      return ErrorIn(now,
                     absl::StrCat("media type was ", before.media(), " before"),
                     kRule);
    }
    if (now.mid() != before.mid()) {
      return ErrorIn(now, "mid differs from the one before",
                     "RFC 9429 section 5.2.2");
    }
  }
  return absl::OkStatus();
}

// Where the attributes of the data section's transport stand: with the tagged
// section of its bundle (RFC 9143 section 7.1.3), else with itself, which older
// endpoints prefer, else at the session level.
class TransportSource {
 public:
  TransportSource(const Description& remote, size_t data)
      : section_(remote.media(data)),
        bundled_(!GroupOf(remote, section_.mid().value_or("")).empty()) {
    for (const size_t index : TransportOf(remote, data)) {
      sections_.push_back(remote.media(index));
    }
    blocks_.push_back(sections_[0]);
    if (sections_.size() > 1) blocks_.push_back(section_);
    blocks_.push_back(remote.session());
  }

  const MediaSection& section() const { return section_; }
  const MediaSection& tagged() const { return sections_[0]; }
  // All that share the transport, the tagged one first.
  const std::vector<MediaSection>& sections() const { return sections_; }
  bool bundled() const { return bundled_; }
  // The first block that has the attribute; nullptr if none does.
  const Block* Find(AttributeType attribute) const {
    for (const Block& block : blocks_) {
      if (block.Has(attribute)) return &block;
    }
    return nullptr;
  }
  bool HasIceOption(absl::string_view tag) const {
    const Block* block = Find(AttributeType::kIceOptions);
    return block != nullptr && block->HasIceOption(tag);
  }

 private:
  MediaSection section_;
  bool bundled_;
  std::vector<MediaSection> sections_;
  std::vector<Block> blocks_;
};

absl::Status ReadIce(const TransportSource& source, TransportParameters& out) {
  constexpr absl::string_view kRule = "RFC 9429 section 5.8.3";
  const Block* ufrag = source.Find(AttributeType::kIceUfrag);
  if (ufrag == nullptr) {
    return ErrorIn(source.section(), "ice-ufrag missing", kRule);
  }
  const Block* pwd = source.Find(AttributeType::kIcePwd);
  if (pwd == nullptr) {
    return ErrorIn(source.section(), "ice-pwd missing", kRule);
  }
  out.ice_ufrag = std::string(*ufrag->ice_ufrag());
  out.ice_pwd = std::string(*pwd->ice_pwd());
  // Parse() does not judge a section with port 0, which a bundle-only one has.
  if (!ice::IsUfrag(out.ice_ufrag) || !ice::IsPassword(out.ice_pwd)) {
    return ErrorIn(source.section(), "ice-ufrag or ice-pwd malformed",
                   "RFC 8839 section 5.4");
  }
  out.ice_lite = source.Find(AttributeType::kIceLite) != nullptr;
  out.trickle = source.HasIceOption("trickle");
  out.ice2 = source.HasIceOption("ice2");
  out.sped = source.HasIceOption("sped");
  if (const Block* pacing = source.Find(AttributeType::kIcePacing)) {
    if (const auto milliseconds = pacing->ice_pacing_ms()) {
      out.ice_pacing = absl::Milliseconds(*milliseconds);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadDtls(const TransportSource& source,
                      const RemoteContext& context, TransportParameters& out) {
  constexpr absl::string_view kRule = "RFC 9429 section 5.8.3";
  const MediaSection& section = source.section();
  const Block* fingerprints = source.Find(AttributeType::kFingerprint);
  if (fingerprints == nullptr) {
    return ErrorIn(section, "fingerprint missing", kRule);
  }
  const auto values = fingerprints->Values(AttributeType::kFingerprint);
  if (values.size() > context.fingerprints_max) {
    return ErrorIn(
        section,
        absl::StrCat("more than ", context.fingerprints_max, " fingerprints"),
        kRule);
  }
  for (const absl::string_view value : values) {
    auto fingerprint = dtls::Fingerprint::Parse(value);
    if (fingerprint.ok()) {
      out.fingerprints.push_back(*fingerprint);
    } else if (!absl::IsUnimplemented(fingerprint.status())) {
      return ErrorIn(section, fingerprint.status().message(),
                     "RFC 8122 section 5");
    }
  }
  if (out.fingerprints.empty()) {
    return ErrorIn(section, "no fingerprint of an acceptable hash function",
                   "RFC 8122 section 5");
  }
  const Block* setup = source.Find(AttributeType::kSetup);
  if (setup == nullptr) return ErrorIn(section, "setup missing", kRule);
  if (!setup->setup()) {
    return ErrorIn(section, "setup is no role", "RFC 4145 section 4");
  }
  out.remote_setup = *setup->setup();
  const bool answer = context.offer != nullptr;
  if (out.remote_setup == Setup::kHoldconn ||
      (answer && out.remote_setup == Setup::kActpass)) {
    return ErrorIn(section,
                   absl::StrCat("setup:", SetupName(out.remote_setup),
                                " is not allowed here"),
                   "RFC 8842 section 5");
  }
  if (const Block* tls_id = source.Find(AttributeType::kTlsId)) {
    // Compared only, so its form does not matter.
    out.tls_id = std::string(*tls_id->tls_id());
  }
  return absl::OkStatus();
}

// A missing port, or 0, is read as browsers read it. RFC 8841 section 5 wants
// one, and no two endpoints were ever seen to use another.
constexpr uint16_t kSctpPortDefault = 5000;

absl::Status ReadSctp(const MediaSection& section, const RemoteContext& context,
                      RemoteReading& reading) {
  TransportParameters& out = *reading.transport;
  const auto port = section.sctp_port();
  if (!port && section.Has(AttributeType::kSctpPort)) {
    return ErrorIn(section, "sctp-port must be 0..65535", "RFC 8841 section 5");
  }
  out.sctp_port = port.value_or(0);
  if (out.sctp_port == 0) out.sctp_port = kSctpPortDefault;
  if (const auto size = section.max_message_size()) {
    out.max_message_size = *size;
  }
  const auto init = section.Value(AttributeType::kSctpInit);
  if (init && !CheckAttribute(AttributeType::kSctpInit, *init)) {
    const auto ours =
        context.offer != nullptr ? FindData(*context.offer) : std::nullopt;
    // Two INITs are never equal: it was not understood, but sent back.
    const bool echoed = ours && context.offer->media(*ours).Value(
                                    AttributeType::kSctpInit) == init;
    if (!echoed) out.sctp_init = std::string(*init);
  }
  return absl::OkStatus();
}

// A candidate that cannot be used is no fault of the description: it is counted
// and the others are used (RFC 8839 section 5.1).
void ReadCandidates(const Block& block, const RemoteContext& context,
                    RemoteReading& reading) {
  std::vector<ice::Candidate> candidates;
  for (const absl::string_view line : block.Values(AttributeType::kCandidate)) {
    if (candidates.size() == context.candidates_max) {
      ++reading.candidates_dropped;
      continue;
    }
    auto candidate = ice::Candidate::Parse(line);
    if (candidate.ok() && candidate->component == 1) {
      candidates.push_back(*std::move(candidate));
    } else {
      ++reading.candidates_ignored;
    }
  }
  reading.transport->candidates.Assign(candidates);
}

// The tagged section has the transport's candidates. Only where it has none are
// those of a section with the same credentials meant for it; one with others
// had a transport of its own, which is gone with the bundle.
void ReadAllCandidates(const TransportSource& source,
                       const RemoteContext& context, RemoteReading& reading) {
  TransportParameters& out = *reading.transport;
  for (const MediaSection& section : source.sections()) {
    if (section.ice_ufrag().value_or(out.ice_ufrag) == out.ice_ufrag) {
      out.end_of_candidates |= section.Has(AttributeType::kEndOfCandidates);
      if (!out.candidates.empty()) continue;
      ReadCandidates(section, context, reading);
    }
  }
}

// What may differ from the transport in use, and what only together.
absl::Status CheckContinuity(const MediaSection& section,
                             TransportParameters& now,
                             const RemoteContext& context) {
  const TransportParameters& before = *context.current;
  const bool restart = !SameIce(before, now);
  if (restart &&
      (before.ice_ufrag == now.ice_ufrag || before.ice_pwd == now.ice_pwd)) {
    return ErrorIn(section, "only one of ice-ufrag and ice-pwd changed",
                   "RFC 8839 section 4.4.1.1.1");
  }
  if (context.offer != nullptr) {
    const auto ours = FindData(*context.offer);
    const auto previous = FindData(*context.current_local);
    const bool offered =
        ours && previous &&
        context.offer->media(*ours).ice_ufrag() !=
            context.current_local->media(*previous).ice_ufrag();
    if (offered != restart) {
      return ErrorIn(section,
                     offered ? "answer to an ICE restart keeps old credentials"
                             : "answer changes credentials without a restart",
                     "RFC 8839 section 4.4.1.1.1");
    }
  }
  if (!restart && before.ice_lite != now.ice_lite) {
    return ErrorIn(section, "ice-lite changed without an ICE restart",
                   "RFC 8839 section 4.4.1.1.2");
  }
  if (!SameDtls(before, now)) {
    if (restart) return absl::OkStatus();
    return ErrorIn(section,
                   "fingerprint or tls-id changed without an ICE restart",
                   "RFC 9429 section 5.8.3");
  }
  if (SctpInitAgreed(context.current_local, context.current,
                     context.current_data)) {
    if (now.sctp_init.empty()) now.sctp_init = before.sctp_init;
    if (now.sctp_init != before.sctp_init) {
      return ErrorIn(section, "sctp-init changed within an association",
                     "draft-hancke-tsvwg-snap");
    }
  }
  const bool role_kept = now.remote_setup == Setup::kActpass ||
                         !before.local_setup ||
                         now.remote_setup != *before.local_setup;
  // RFC 8842 section 5.5 has the answer repeat the role. Firefox 153 answers
  // an ICE restart as if the association were new; but its certificate is the
  // same, so the association goes on, in the roles it has.
  if (role_kept || context.offer != nullptr) return absl::OkStatus();
  return ErrorIn(section, "setup conflicts with the role in use",
                 "RFC 9429 section 5.8.3");
}

// The data section to use: in an answer, ours; in an offer, the one in use if
// it still stands, else the first.
std::optional<size_t> ChooseData(const Description& remote,
                                 const RemoteContext& context) {
  if (context.offer != nullptr) {
    const auto index = FindData(*context.offer);
    if (!index || remote.media(*index).port() == 0) return std::nullopt;
    return index;
  }
  if (context.current != nullptr &&
      context.current_data < remote.media_count()) {
    const MediaSection section = remote.media(context.current_data);
    if (section.is_data_channel() && !section.rejected()) {
      return context.current_data;
    }
  }
  return FindData(remote);
}

}  // namespace

bool SctpInitAgreed(const Description* local, const TransportParameters* remote,
                    size_t data) {
  return local != nullptr && remote != nullptr && !remote->sctp_init.empty() &&
         local->media(data).Has(AttributeType::kSctpInit);
}

absl::StatusOr<RemoteReading> ReadRemote(const Description& remote,
                                         const RemoteContext& context) {
  KYUU_ASSIGN_OR_RETURN(const Mids mids, CollectMids(remote));
  KYUU_RETURN_IF_ERROR(CheckGroups(remote, mids, context.offer));
  if (context.offer != nullptr) {
    KYUU_RETURN_IF_ERROR(CheckAnswer(remote, *context.offer));
  } else if (context.current_local != nullptr) {
    KYUU_RETURN_IF_ERROR(CheckReoffer(remote, *context.current_local));
  }
  RemoteReading reading;
  const auto index = ChooseData(remote, context);
  if (!index) return reading;

  const TransportSource source(remote, *index);
  const MediaSection& section = source.section();
  if (!section.is_data_channel()) {
    return ErrorIn(section, "not the data channel that was offered",
                   "RFC 8841 section 10");
  }
  if (section.bundle_only() && !source.bundled()) {
    return ErrorIn(section, "bundle-only outside of a BUNDLE group",
                   "RFC 9143 section 6");
  }
  if (section.Has(AttributeType::kCrypto)) {
    return ErrorIn(section, "a=crypto is prohibited", "RFC 9429 section 5.1.1");
  }
  TransportParameters& out = reading.transport.emplace();
  reading.data = *index;
  out.tag = std::string(source.tagged().mid().value_or(""));
  KYUU_RETURN_IF_ERROR(ReadIce(source, out));
  KYUU_RETURN_IF_ERROR(ReadDtls(source, context, out));
  KYUU_RETURN_IF_ERROR(ReadSctp(section, context, reading));
  ReadAllCandidates(source, context, reading);
  if (context.current != nullptr && context.current_data == *index) {
    KYUU_RETURN_IF_ERROR(CheckContinuity(section, out, context));
  }
  return reading;
}

}  // namespace kyuu::sdp::internal
