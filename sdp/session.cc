#include "sdp/session.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sdp/internal/local.h"
#include "sdp/internal/remote.h"

namespace kyuu::sdp {
namespace {

constexpr size_t kStates = 6;
constexpr size_t kOperations = 8;
using enum SignalingState;

constexpr std::optional<SignalingState> kNo = std::nullopt;

// RFC 9429 section 3.2, figure 2; section 5.7 for the rollback of provisional
// answers; the remote offer in have-local-offer is W3C's implicit rollback.
constexpr std::array<std::array<std::optional<SignalingState>, kOperations>,
                     kStates>
    kTransitions = {{
        // stable
        {kHaveLocalOffer, kNo, kNo, kHaveRemoteOffer, kNo, kNo, kNo, kClosed},
        // have-local-offer
        {kHaveLocalOffer, kNo, kNo, kHaveRemoteOffer, kHaveRemotePranswer,
         kStable, kStable, kClosed},
        // have-remote-offer
        {kNo, kHaveLocalPranswer, kStable, kHaveRemoteOffer, kNo, kNo, kStable,
         kClosed},
        // have-local-pranswer
        {kNo, kHaveLocalPranswer, kStable, kNo, kNo, kNo, kStable, kClosed},
        // have-remote-pranswer
        {kNo, kNo, kNo, kNo, kHaveRemotePranswer, kStable, kStable, kClosed},
        // closed
        {kNo, kNo, kNo, kNo, kNo, kNo, kNo, kClosed},
    }};

constexpr std::array<absl::string_view, kStates> kStateNames = {
    "stable",
    "have-local-offer",
    "have-remote-offer",
    "have-local-pranswer",
    "have-remote-pranswer",
    "closed"};

constexpr std::array<absl::string_view, 3> kTypeNames = {"offer", "pranswer",
                                                         "answer"};

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

}  // namespace

absl::string_view SignalingStateName(SignalingState state) {
  return kStateNames[static_cast<size_t>(state)];
}

absl::string_view SdpTypeName(SdpType type) {
  return kTypeNames[static_cast<size_t>(type)];
}

std::optional<SdpType> ParseSdpType(absl::string_view name) {
  for (size_t i = 0; i < kTypeNames.size(); ++i) {
    if (name == kTypeNames[i]) return static_cast<SdpType>(i);
  }
  return std::nullopt;
}

std::optional<SignalingState> NextState(SignalingState state,
                                        Operation operation) {
  return kTransitions[static_cast<size_t>(state)]
                     [static_cast<size_t>(operation)];
}

// RFC 9429 section 5.2.1: 64 bits with the highest one zero, so that it fits
// any integer.
Session::Session(const Options& options, Random& random)
    : options_(options), session_id_(random.U64() >> 1) {}

absl::StatusOr<std::string> Session::Keep(
    SdpType type,
    absl::FunctionRef<absl::StatusOr<std::string>(uint64_t version)> write) {
  // The version moves with the contents (RFC 3264 section 8).
  KYUU_ASSIGN_OR_RETURN(std::string text, write(version_));
  if (text != last_text_) {
    KYUU_ASSIGN_OR_RETURN(text, write(version_ + 1));
  }
  KYUU_ASSIGN_OR_RETURN(Description description,
                        Description::Parse(text, options_.limits));
  if (text != last_text_) ++version_;
  last_text_ = text;
  created_ = Created{type, std::move(description)};
  return text;
}

absl::StatusOr<std::string> Session::CreateOffer(const LocalTransport& local) {
  if (!NextState(state_, Operation::kLocalOffer)) {
    return WrongState("CreateOffer", state_);
  }
  if (current_.transport) {
    const Description& before = *current_.local;
    const MediaSection data = before.media(current_.transport->mline_index);
    if ((data.ice_ufrag() == local.ice_ufrag) !=
        (data.ice_pwd() == local.ice_pwd)) {
      return absl::InvalidArgumentError(
          "an ICE restart changes both ice-ufrag and ice-pwd (RFC 8839 section "
          "4.4.1.1.1)");
    }
  }
  return Keep(SdpType::kOffer, [&](uint64_t version) {
    const internal::LocalIdentity identity{session_id_,
                                           version,
                                           options_.max_message_size,
                                           options_.sctp_port,
                                           options_.ice_pacing,
                                           options_.msid_semantic};
    return internal::WriteOffer(identity, local, Pointer(current_.local),
                                Pointer(current_.remote));
  });
}

absl::Status Session::CheckAnswerCredentials(
    const LocalTransport& local) const {
  if (!pending_.transport || !current_.transport ||
      pending_.transport->mline_index != current_.transport->mline_index) {
    return absl::OkStatus();
  }
  const bool restart = !SameIce(*pending_.transport, *current_.transport);
  const MediaSection data =
      current_.local->media(current_.transport->mline_index);
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
  return Keep(SdpType::kAnswer, [&](uint64_t version) {
    const internal::LocalIdentity identity{session_id_,
                                           version,
                                           options_.max_message_size,
                                           options_.sctp_port,
                                           options_.ice_pacing,
                                           options_.msid_semantic};
    return internal::WriteAnswer(
        identity, local, *pending_.remote,
        pending_.transport ? &*pending_.transport : nullptr, AnswerSetup());
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
  pending_.local = std::move(created_->description);
  if (type != SdpType::kOffer && pending_.transport) {
    const MediaSection data =
        pending_.local->media(pending_.transport->mline_index);
    pending_.transport->local_setup = data.setup();
  }
  if (type == SdpType::kAnswer) {
    if (!first_offerer_) first_offerer_ = false;
    Promote();
  }
  Change change = Finish(before, *next);
  change.answered = type != SdpType::kOffer && remote().has_value();
  change.data_ended = type == SdpType::kAnswer && !remote();
  return change;
}

absl::StatusOr<Change> Session::SetLocal(SdpType type, absl::string_view sdp) {
  if (NextState(state_, LocalOperation(type)) && created_ &&
      created_->description.ToString() != sdp) {
    return absl::InvalidArgumentError(
        "not the description that was created (RFC 9429 section 5.4)");
  }
  return SetLocal(type);
}

absl::StatusOr<Change> Session::SetRemote(SdpType type, std::string sdp) {
  const auto next = NextState(state_, RemoteOperation(type));
  if (!next) {
    return WrongState(absl::StrCat("remote ", SdpTypeName(type)), state_);
  }
  KYUU_ASSIGN_OR_RETURN(Description remote_description,
                        Description::Parse(std::move(sdp), options_.limits));
  internal::RemoteContext context;
  if (type != SdpType::kOffer) context.offer = Pointer(pending_.local);
  context.current_local = Pointer(current_.local);
  context.current = current_.transport ? &*current_.transport : nullptr;
  context.candidates_max = options_.candidates_max;
  context.fingerprints_max = options_.fingerprints_max;
  context.findings_max = options_.limits.findings_max;
  KYUU_ASSIGN_OR_RETURN(internal::RemoteReading reading,
                        internal::ReadRemote(remote_description, context));
  stats_.candidates_ignored += reading.candidates_ignored;
  stats_.candidates_dropped += reading.candidates_dropped;
  findings_ = remote_description.findings();
  findings_.insert(findings_.end(), reading.findings.begin(),
                   reading.findings.end());

  const Snapshot before = TakeSnapshot();
  const bool implicit_rollback =
      type == SdpType::kOffer && state_ == SignalingState::kHaveLocalOffer;
  if (implicit_rollback) pending_ = Negotiation{};
  pending_.remote = std::move(remote_description);
  pending_.transport = std::move(reading.transport);
  if (type != SdpType::kOffer && pending_.transport) {
    pending_.transport->local_setup =
        Opposite(pending_.transport->remote_setup);
  }
  if (type == SdpType::kAnswer) {
    if (!first_offerer_) first_offerer_ = true;
    Promote();
  }
  Change change = Finish(before, *next);
  change.rolled_back = implicit_rollback;
  change.answered = type != SdpType::kOffer && remote().has_value();
  change.data_ended = type == SdpType::kAnswer && !remote();
  return change;
}

absl::StatusOr<Change> Session::Rollback() {
  const auto next = NextState(state_, Operation::kRollback);
  if (!next) return WrongState("rollback", state_);
  const Snapshot before = TakeSnapshot();
  pending_ = Negotiation{};
  Change change = Finish(before, *next);
  change.rolled_back = true;
  change.ice_restart = false;
  change.data_ended = !remote();
  return change;
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
  return Snapshot{remote(), local_ufrag()};
}

Change Session::Finish(const Snapshot& before, SignalingState next) {
  state_ = next;
  created_.reset();
  Change change;
  change.state = next;
  const std::string ufrag = local_ufrag();
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

const Description* Session::newest_local() const {
  return Pointer(pending_.local ? pending_.local : current_.local);
}

std::string Session::local_ufrag() const {
  const Description* local = newest_local();
  if (local == nullptr) return {};
  const auto data = internal::FindData(*local);
  return data ? std::string(local->media(*data).ice_ufrag().value_or(""))
              : std::string();
}

std::string Session::data_mid() const {
  const Description* local = newest_local();
  if (local != nullptr) {
    const auto data = internal::FindData(*local);
    if (data) return std::string(local->media(*data).mid().value_or(""));
  }
  return remote() ? remote()->mid : std::string();
}

size_t Session::data_mline_index() const {
  const Description* local = newest_local();
  if (local != nullptr) {
    const auto data = internal::FindData(*local);
    if (data) return *data;
  }
  return remote() ? remote()->mline_index : 0;
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
