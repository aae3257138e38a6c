#include "sdp/session.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sdp/internal/bundle.h"
#include "sdp/internal/local.h"
#include "sdp/internal/remote.h"

namespace kyuu::sdp {
namespace {

Operation LocalOperation(SdpType type) {
  return static_cast<Operation>(static_cast<size_t>(Operation::kLocalOffer) +
                                static_cast<size_t>(type));
}

Operation RemoteOperation(SdpType type) {
  return static_cast<Operation>(static_cast<size_t>(Operation::kRemoteOffer) +
                                static_cast<size_t>(type));
}

absl::Status WrongState(absl::string_view what, SignalingState state) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, " in state ", SignalingStateName(state)));
}

// The role that is left for us.
Setup Opposite(Setup setup) {
  return setup == Setup::kActive ? Setup::kPassive : Setup::kActive;
}

const Description* Pointer(const std::optional<Description>& description) {
  return description ? &*description : nullptr;
}

// Those of the data section; empty without one.
ice::Credentials CredentialsOf(const Description* local) {
  if (local == nullptr) return {};
  const auto data = internal::FindData(*local);
  if (!data) return {};
  const MediaSection media = local->media(*data);
  return {.ufrag = std::string(media.ice_ufrag().value_or("")),
          .password = std::string(media.ice_pwd().value_or(""))};
}

}  // namespace

// RFC 9429 section 5.2.1: 64 bits with the highest one zero, so that it fits
// any integer.
Session::Session(const Options& options, Random& random)
    : options_(options), session_id_(random.U64() >> 1) {}

internal::LocalIdentity Session::Identity(uint64_t version,
                                          std::string sctp_init) const {
  return {session_id_,
          version,
          options_.max_message_size,
          options_.sctp_port,
          std::move(sctp_init),
          options_.ice_pacing,
          options_.msid_semantic};
}

absl::StatusOr<std::string> Session::Keep(
    SdpType type,
    absl::FunctionRef<absl::StatusOr<std::string>(uint64_t version)> write) {
  // The version moves with the contents (RFC 3264 section 8).
  uint64_t version = std::max<uint64_t>(version_, 1);
  KYUU_ASSIGN_OR_RETURN(std::string text, write(version));
  if (version_ > 0 && absl::HashOf(text) != last_hash_) {
    KYUU_ASSIGN_OR_RETURN(text, write(++version));
  }
  KYUU_ASSIGN_OR_RETURN(Description description,
                        Description::Parse(text, options_.limits));
  version_ = version;
  last_hash_ = absl::HashOf(text);
  created_ = Created{type, std::move(description)};
  return text;
}

absl::StatusOr<std::string> Session::CreateOffer(const LocalTransport& local) {
  if (!NextState(state_, Operation::kLocalOffer)) {
    return WrongState("CreateOffer", state_);
  }
  if (current_.transport) {
    const Description& before = *current_.local;
    const MediaSection data = before.media(current_.data);
    if ((data.ice_ufrag() == local.ice_ufrag) !=
        (data.ice_pwd() == local.ice_pwd)) {
      return absl::InvalidArgumentError(
          "an ICE restart changes both ice-ufrag and ice-pwd (RFC 8839 section "
          "4.4.1.1.1)");
    }
  }
  const std::string init = OffersSctpInit() ? local.sctp_init : "";
  return Keep(SdpType::kOffer, [&](uint64_t version) {
    return internal::WriteOffer(Identity(version, init), local,
                                Pointer(current_.local),
                                Pointer(current_.remote));
  });
}

// An association that was negotiated keeps what was agreed for it.
bool Session::OffersSctpInit() const {
  return !current_.transport || current_agrees_sctp_init();
}

bool Session::AnswersSctpInit() const {
  if (!pending_.transport || pending_.transport->sctp_init.empty()) {
    return false;
  }
  const bool goes_on =
      current_.transport && SameDtls(*pending_.transport, *current_.transport);
  return !goes_on || current_agrees_sctp_init();
}

bool Session::current_agrees_sctp_init() const {
  return internal::SctpInitAgreed(
      Pointer(current_.local),
      current_.transport ? &*current_.transport : nullptr, current_.data);
}

bool Session::sctp_init_agreed() const {
  return current_agrees_sctp_init() ||
         (pending_.remote &&
          internal::SctpInitAgreed(
              Pointer(pending_.local),
              pending_.transport ? &*pending_.transport : nullptr,
              pending_.data));
}

absl::Status Session::CheckAnswerCredentials(
    const LocalTransport& local) const {
  if (!pending_.transport || !current_.transport ||
      pending_.data != current_.data) {
    return absl::OkStatus();
  }
  const bool restart = !SameIce(*pending_.transport, *current_.transport);
  const MediaSection data = current_.local->media(current_.data);
  const bool new_ufrag = data.ice_ufrag() != local.ice_ufrag;
  const bool new_pwd = data.ice_pwd() != local.ice_pwd;
  if (restart == new_ufrag && restart == new_pwd) return absl::OkStatus();
  return absl::FailedPreconditionError(
      restart ? "the offer restarts ICE: new ice-ufrag and ice-pwd are needed "
                "(RFC 8839 section 4.4.1.1.1)"
              : "the offer does not restart ICE: ice-ufrag and ice-pwd must "
                "stay (RFC 8839 section 4.4.1.1.1)");
}

Setup Session::AnswerSetup() const {
  if (!pending_.transport) return options_.answer_setup;
  const TransportParameters& offered = *pending_.transport;
  if (offered.remote_setup != Setup::kActpass) {
    return Opposite(offered.remote_setup);
  }
  // An association that goes on keeps its roles (RFC 8842 section 5.5).
  if (current_.transport && current_.transport->local_setup &&
      SameDtls(offered, *current_.transport)) {
    return *current_.transport->local_setup;
  }
  return options_.answer_setup;
}

absl::StatusOr<std::string> Session::CreateAnswer(const LocalTransport& local) {
  if (!NextState(state_, Operation::kLocalAnswer)) {
    return WrongState("CreateAnswer", state_);
  }
  KYUU_RETURN_IF_ERROR(CheckAnswerCredentials(local));
  const std::string init = AnswersSctpInit() ? local.sctp_init : "";
  return Keep(SdpType::kAnswer, [&](uint64_t version) {
    return internal::WriteAnswer(
        Identity(version, init), local, *pending_.remote,
        pending_.transport ? &*pending_.transport : nullptr, pending_.data,
        AnswerSetup(), options_.media);
  });
}

absl::StatusOr<Change> Session::SetLocal(SdpType type) {
  const auto next = NextState(state_, LocalOperation(type));
  if (!next) {
    return WrongState(absl::StrCat("local ", SdpTypeName(type)), state_);
  }
  const SdpType created =
      type == SdpType::kOffer ? SdpType::kOffer : SdpType::kAnswer;
  if (!created_ || created_->type != created) {
    return absl::FailedPreconditionError(
        absl::StrCat("no ", SdpTypeName(created), " was created"));
  }
  const Snapshot before = TakeSnapshot();
  pending_.local = created_->description.Copy();
  pending_.local_type = type;
  if (type != SdpType::kOffer && pending_.transport) {
    const MediaSection data = pending_.local->media(pending_.data);
    pending_.transport->local_setup = data.setup();
  }
  if (type == SdpType::kAnswer) {
    if (!first_offerer_) first_offerer_ = false;
    Promote();
  }
  return Finish(before, *next, type);
}

absl::StatusOr<Change> Session::SetLocal(SdpType type, absl::string_view sdp) {
  if (NextState(state_, LocalOperation(type)) && created_ &&
      created_->description.ToString() != sdp) {
    return absl::InvalidArgumentError(
        "not the description that was created (RFC 9429 section 5.4)");
  }
  return SetLocal(type);
}

absl::StatusOr<Change> Session::SetRemote(SdpType type, absl::string_view sdp) {
  const auto next = NextState(state_, RemoteOperation(type));
  if (!next) {
    return WrongState(absl::StrCat("remote ", SdpTypeName(type)), state_);
  }
  KYUU_ASSIGN_OR_RETURN(Description remote_description,
                        Description::Parse(sdp, options_.limits));
  internal::RemoteContext context;
  if (type != SdpType::kOffer) context.offer = Pointer(pending_.local);
  context.current_local = Pointer(current_.local);
  context.current = current_.transport ? &*current_.transport : nullptr;
  context.current_data = current_.data;
  context.candidates_max = options_.candidates_max;
  context.fingerprints_max = options_.fingerprints_max;
  KYUU_ASSIGN_OR_RETURN(internal::RemoteReading reading,
                        internal::ReadRemote(remote_description, context));
  stats_.candidates_ignored += reading.candidates_ignored;
  stats_.candidates_dropped += reading.candidates_dropped;

  const Snapshot before = TakeSnapshot();
  const bool implicit_rollback =
      type == SdpType::kOffer && state_ == SignalingState::kHaveLocalOffer;
  if (implicit_rollback) pending_ = Negotiation{};
  DropAnswer();
  pending_.remote = std::move(remote_description);
  pending_.remote_type = type;
  pending_.transport = std::move(reading.transport);
  pending_.data = reading.data;
  if (type != SdpType::kOffer && pending_.transport) {
    // An association that goes on keeps its roles (RFC 8842 section 5.5).
    const bool goes_on = current_.transport &&
                         current_.transport->local_setup &&
                         SameDtls(*pending_.transport, *current_.transport);
    pending_.transport->local_setup =
        goes_on ? *current_.transport->local_setup
                : Opposite(pending_.transport->remote_setup);
  }
  if (type == SdpType::kAnswer) {
    if (!first_offerer_) first_offerer_ = true;
    Promote();
  }
  Change change = Finish(before, *next, type);
  change.rolled_back = implicit_rollback;
  if (implicit_rollback) {
    // Credentials of ours that fell back restart nothing.
    for (TransportChange& data : change.transports) {
      data.ice_restart &= data.remote_ice;
    }
  }
  return change;
}

absl::StatusOr<Change> Session::Rollback() {
  const auto next = NextState(state_, Operation::kRollback);
  if (!next) return WrongState("rollback", state_);
  const Snapshot before = TakeSnapshot();
  pending_ = Negotiation{};
  DropAnswer();
  return Finish(before, *next, std::nullopt);
}

// What it answers is about to go.
void Session::DropAnswer() {
  if (created_ && created_->type == SdpType::kAnswer) created_.reset();
}

void Session::Close() {
  state_ = SignalingState::kClosed;
  created_.reset();
}

// A transaction ends: what was pending is now current (RFC 9429 sections
// 4.1.11 to 4.1.14).
void Session::Promote() {
  current_ = std::move(pending_);
  pending_ = Negotiation{};
}

Session::Snapshot Session::TakeSnapshot() const {
  return Snapshot{remote(), local_credentials().ufrag, tag_mid()};
}

// `applied` is what the description was for; nullopt for a rollback.
Change Session::Finish(const Snapshot& before, SignalingState next,
                       std::optional<SdpType> applied) {
  state_ = next;
  if (next == SignalingState::kStable) {
    // W3C webrtc-pc section 4.4.1.5: what is needed is asked anew.
    negotiation_needed_told_ = false;
    if (applied) created_.reset();
    // An offer that is taken back leaves the wish.
    if (applied &&
        std::count(ufrags_to_replace_.begin(), ufrags_to_replace_.end(),
                   local_credentials().ufrag) == 0) {
      ufrags_to_replace_.clear();
    }
  }
  Change change{.state = next, .rolled_back = !applied, .transports = {}};
  TransportChange data = Compare(before);
  data.ice_restart &= applied.has_value();
  const bool negotiated = !applied || *applied == SdpType::kAnswer;
  data.answered = applied && *applied != SdpType::kOffer && remote();
  data.ended =
      negotiated && !remote() && (before.remote || !before.local_ufrag.empty());
  if (data.any()) change.transports.push_back(std::move(data));
  return change;
}

TransportChange Session::Compare(const Snapshot& before) const {
  TransportChange change{.tag = remote() ? remote()->tag : tag_mid()};
  if (change.tag.empty()) change.tag = before.tag;
  const std::string ufrag = local_credentials().ufrag;
  change.local_ice = !ufrag.empty() && ufrag != before.local_ufrag;
  change.ice_restart = change.local_ice && !before.local_ufrag.empty();
  const std::optional<TransportParameters>& now = remote();
  if (!now) return change;
  change.remote_ice = !before.remote || !SameIce(*now, *before.remote);
  if (before.remote) {
    change.ice_restart |= change.remote_ice;
    change.dtls_restart = !SameDtls(*now, *before.remote);
  }
  const bool new_candidates =
      !now->candidates.empty() &&
      (change.remote_ice || now->candidates != before.remote->candidates);
  const bool new_end = now->end_of_candidates &&
                       (change.remote_ice || !before.remote->end_of_candidates);
  change.remote_candidates = new_candidates || new_end;
  return change;
}

const std::optional<TransportParameters>& Session::remote() const {
  return pending_.remote ? pending_.transport : current_.transport;
}

size_t Session::remote_data() const {
  return pending_.remote ? pending_.data : current_.data;
}

const Description* Session::newest_local() const {
  return Pointer(pending_.local ? pending_.local : current_.local);
}

ice::Credentials Session::local_credentials() const {
  return CredentialsOf(newest_local());
}

// W3C webrtc-pc section 4.4.1.6, [[LocalIceCredentialsToReplace]].
void Session::WantRestart() {
  ufrags_to_replace_ = {CredentialsOf(Pointer(current_.local)).ufrag,
                        CredentialsOf(Pointer(pending_.local)).ufrag};
  std::erase(ufrags_to_replace_, "");
}

const Description* Session::newest_remote() const {
  return Pointer(pending_.remote ? pending_.remote : current_.remote);
}

std::vector<Finding> Session::findings() const {
  const Description* said = newest_remote();
  return said == nullptr ? std::vector<Finding>()
                         : said->Judge(options_.limits).kept;
}

// The tagged section, in the newest local description, else the remote one.
std::optional<size_t> Session::Tag() const {
  if (const Description* local = newest_local()) {
    if (const auto data = internal::FindData(*local)) {
      return internal::TransportOf(*local, *data)[0];
    }
  }
  if (!remote()) return std::nullopt;
  return internal::TransportOf(*newest_remote(), remote_data())[0];
}

std::string Session::tag_mid() const {
  const auto tag = Tag();
  if (!tag) return "";
  const Description* local = newest_local();
  const Description* said =
      local != nullptr && internal::FindData(*local) ? local : newest_remote();
  return std::string(said->media(*tag).mid().value_or(""));
}

size_t Session::tag_mline_index() const { return Tag().value_or(0); }

bool Session::Shares(absl::string_view mid, size_t mline_index) const {
  if (!remote()) return false;
  const Description* local = newest_local();
  for (const size_t index :
       internal::TransportOf(*newest_remote(), remote_data())) {
    auto shared = newest_remote()->media(index).mid();
    // An answer without mids stands for the sections of its offer.
    if (!shared && local != nullptr && index < local->media_count()) {
      shared = local->media(index).mid();
    }
    if (mid.empty() ? index == mline_index : shared == mid) return true;
  }
  return false;
}

std::vector<Section> Session::sections() const {
  const Description* said = newest_local();
  if (said == nullptr) said = newest_remote();
  std::vector<Section> sections;
  if (said == nullptr) return sections;
  const auto data = internal::FindData(*said);
  const std::vector<size_t> shared =
      data ? internal::TransportOf(*said, *data) : std::vector<size_t>{};
  for (size_t i = 0; i < said->media_count(); ++i) {
    const MediaSection media = said->media(i);
    Section& section = sections.emplace_back();
    section.mid = std::string(media.mid().value_or(""));
    section.media = std::string(media.media());
    section.direction = media.direction().value_or(Direction::kSendrecv);
    if (std::find(shared.begin(), shared.end(), i) == shared.end()) continue;
    const bool accepted =
        i == *data ||
        (said == newest_local() && section.direction != Direction::kInactive);
    section.use = accepted ? Section::Use::kAccepted : Section::Use::kParked;
    section.transport = std::string(said->media(shared[0]).mid().value_or(""));
  }
  return sections;
}

bool Session::TakeNegotiationNeeded() {
  if (state_ != SignalingState::kStable) return false;
  const auto has_data = [](const std::optional<Description>& description) {
    if (!description) return false;
    for (size_t i = 0; i < description->media_count(); ++i) {
      if (description->media(i).is_data_channel()) return true;
    }
    return false;
  };
  // A data section that was refused was negotiated too: asking once more would
  // never end.
  const bool needed =
      restart_wanted() || (data_wanted_ && !(has_data(current_.local) &&
                                             has_data(current_.remote)));
  return needed && !std::exchange(negotiation_needed_told_, needed);
}

std::optional<SdpType> Session::local_type() const {
  if (pending_.local) return pending_.local_type;
  if (current_.local) return current_.local_type;
  return std::nullopt;
}

std::optional<SdpType> Session::remote_type() const {
  if (pending_.remote) return pending_.remote_type;
  if (current_.remote) return current_.remote_type;
  return std::nullopt;
}

bool Session::offerer() const {
  if (first_offerer_) return *first_offerer_;
  return state_ == SignalingState::kHaveLocalOffer ||
         state_ == SignalingState::kHaveRemotePranswer;
}

absl::StatusOr<std::string> Session::LocalDescriptionWith(
    absl::Span<const ice::Candidate> candidates, bool end_of_candidates) const {
  const Description* local = newest_local();
  if (local == nullptr) {
    return absl::FailedPreconditionError("there is no local description");
  }
  return internal::WithCandidates(*local, candidates, end_of_candidates);
}

const Description* Session::current_local_description() const {
  return Pointer(current_.local);
}
const Description* Session::pending_local_description() const {
  return Pointer(pending_.local);
}
const Description* Session::current_remote_description() const {
  return Pointer(current_.remote);
}
const Description* Session::pending_remote_description() const {
  return Pointer(pending_.remote);
}

}  // namespace kyuu::sdp
