// Descriptions and candidates: what sdp agreed on, handed to the other parts.

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "peer/connection.h"
#include "sctp/out_of_band.h"

namespace kyuu::peer {
namespace {

using internal::PendingCandidate;

std::optional<std::vector<uint8_t>> FromBase64(absl::string_view text) {
  std::string bytes;
  if (!absl::Base64Unescape(text, &bytes)) return std::nullopt;
  return std::vector<uint8_t>(bytes.begin(), bytes.end());
}

// Whether the peer's offer has other credentials than ICE has of it: not if one
// that had is replaced by one with those of before.
bool OffersRestart(const std::optional<sdp::TransportParameters>& remote,
                   const std::optional<ice::Credentials>& known) {
  return remote && known &&
         *known != ice::Credentials{.ufrag = remote->ice_ufrag,
                                    .password = remote->ice_pwd};
}

// Makes of a candidate of ours what the peer is told; false for nothing.
bool MakeTold(ice::Candidate& candidate, const AddressFilter& advertise) {
  if (candidate.related && !advertise.Takes(candidate.related->ip)) {
    const bool v4 = candidate.related->ip.is_v4();
    candidate.related = {v4 ? IpAddress::V4(0) : IpAddress::V6({}), 0};
  }
  return candidate.type != ice::CandidateType::kHost ||
         advertise.Takes(candidate.address.ip);
}

std::vector<ice::Candidate> AllTold(std::vector<ice::Candidate> candidates,
                                    const AddressFilter& advertise) {
  std::erase_if(candidates, [&](ice::Candidate& candidate) {
    return !MakeTold(candidate, advertise);
  });
  return candidates;
}

}  // namespace

absl::Status Connection::AddLocalAddress(absl::Time now,
                                         const ice::HostAddress& host) {
  if (closing_) return absl::FailedPreconditionError("closed");
  const absl::Status status = ice_.AddHost(now, host);
  if (options_.candidate_pool_size > 0) ice_.Prefetch(now);
  React(now);
  return status;
}

absl::Status Connection::RemoveLocalAddress(absl::Time now,
                                            const TransportAddress& address) {
  if (closing_) return absl::FailedPreconditionError("closed");
  const absl::Status status = ice_.RemoveHost(now, address);
  React(now);
  return status;
}

absl::Status Connection::SetConfiguration(
    absl::Time now, const ConnectionConfiguration& wanted) {
  if (closing_) return absl::FailedPreconditionError("closed");
  const bool gathered = gathering_state() != GatheringState::kNew;
  if (gathered && wanted.candidate_pool_size != options_.candidate_pool_size) {
    return absl::InvalidArgumentError(
        "the size of the candidate pool may not change once there is a local "
        "description");
  }
  if (gathered && (wanted.names > 0 || wanted.policy != options_.policy ||
                   wanted.stun_servers != options_.stun_servers ||
                   wanted.turn_servers != options_.turn_servers)) {
    outdated_ = ice_.agent().local_credentials();
  }
  options_.stun_servers = wanted.stun_servers;
  options_.turn_servers = wanted.turn_servers;
  options_.policy = wanted.policy;
  options_.candidate_pool_size = wanted.candidate_pool_size;
  server_names_.Add(wanted.stun_servers, wanted.turn_servers);
  ice_.AwaitServers(wanted.names);
  ice_.Configure(now, wanted.stun_servers, wanted.turn_servers, wanted.policy);
  if (wanted.candidate_pool_size > 0) {
    ice_.Prefetch(now);
  } else {
    ice_.DiscardPrefetched(now);
  }
  React(now);
  return absl::OkStatus();
}

void Connection::UpdateServers(std::vector<TransportAddress> stun_servers,
                               std::vector<ice::TurnServer> turn_servers,
                               absl::string_view host) {
  server_names_.Add(stun_servers, turn_servers, host);
  ice_.UpdateServers(std::move(stun_servers), std::move(turn_servers));
}

void Connection::ServersKnown(absl::Time now) {
  if (closing_) return;
  ice_.ServersKnown(now);
  React(now);
}

sdp::LocalTransport Connection::LocalTransport() const {
  return {.ice_ufrag = credentials_.ufrag,
          .ice_pwd = credentials_.password,
          .fingerprints = {certificate_.fingerprint()},
          .candidates = AllTold(ice_.candidates(), options_.advertise),
          .ice_lite = options_.lite,
          // A restart, which has other credentials, gathers anew.
          .end_of_candidates = gathering_state() == GatheringState::kComplete &&
                               credentials_ == ice_.agent().local_credentials(),
          .sped = options_.sped,
          .sctp_init = OwnSctpInit()};
}

// What the draft wants: an offer whose INIT is none is answered without ours,
// and SCTP has its handshake.
std::string Connection::OwnSctpInit() const {
  if (sctp_init_.empty()) return {};
  const std::optional<sdp::TransportParameters>& remote = session_.remote();
  if (remote && !remote->sctp_init.empty()) {
    const std::optional<std::vector<uint8_t>> theirs =
        FromBase64(remote->sctp_init);
    if (!theirs || !sctp::ValidateInit(*theirs).ok()) return {};
  }
  return absl::Base64Escape(AsText(sctp_init_));
}

std::optional<sctp::OutOfBandInits> Connection::AgreedInits() const {
  if (!session_.sctp_init_agreed()) return std::nullopt;
  std::optional<std::vector<uint8_t>> theirs =
      FromBase64(session_.remote()->sctp_init);
  if (!theirs) return std::nullopt;
  return sctp::OutOfBandInits{.local = sctp_init_,
                              .remote = *std::move(theirs)};
}

absl::StatusOr<std::string> Connection::CreateOffer(IceRestart restart) {
  // Before the first description there is nothing to restart.
  if ((restart == IceRestart::kYes || session_.restart_wanted() ||
       outdated_ == ice_.agent().local_credentials()) &&
      gathering_state() != GatheringState::kNew &&
      credentials_ == ice_.agent().local_credentials()) {
    credentials_ = ice::Credentials::Generate(random_);
  }
  return session_.CreateOffer(LocalTransport());
}

absl::StatusOr<std::string> Connection::CreateAnswer() {
  // RFC 8839 section 4.4.1.1.1: a restart is answered by one, and by nothing
  // else.
  if (!remote_ice_.waits) {
    credentials_ = ice_.agent().local_credentials();
  } else if (credentials_ == ice_.agent().local_credentials()) {
    credentials_ = ice::Credentials::Generate(random_);
  }
  return session_.CreateAnswer(LocalTransport());
}

absl::Status Connection::SetLocalDescription(absl::Time now, SdpType type,
                                             absl::string_view sdp) {
  const SignalingState before = session_.state();
  absl::StatusOr<sdp::Change> change =
      sdp.empty() ? session_.SetLocal(type) : session_.SetLocal(type, sdp);
  if (!change.ok()) return change.status();
  if (before != change->state) {
    events_.push_back(SignalingStateChanged{change->state});
  }
  const absl::Status status = ApplyLocal(now, *change);
  React(now);
  return status;
}

absl::Status Connection::SetRemoteDescription(absl::Time now, SdpType type,
                                              absl::string_view sdp) {
  const SignalingState before = session_.state();
  absl::StatusOr<sdp::Change> change = session_.SetRemote(type, sdp);
  if (!change.ok()) return change.status();
  if (change->rolled_back) {
    events_.push_back(SignalingStateChanged{SignalingState::kStable});
  }
  if (before != change->state) {
    events_.push_back(SignalingStateChanged{change->state});
  }
  // sdp asks ice what credentials are, so what it takes does not fail here.
  const absl::Status status = ApplyRemote(now, *change);
  React(now);
  return status;
}

absl::Status Connection::Rollback(absl::Time now) {
  const std::string ufrag = RemoteUfrag();
  absl::StatusOr<sdp::Change> change = session_.Rollback();
  if (!change.ok()) return change.status();
  events_.push_back(SignalingStateChanged{change->state});
  // Candidates of the offer that is taken back go with it.
  std::erase_if(remote_ice_.pending, [&](const PendingCandidate& pending) {
    return pending.ufrag.empty() || pending.ufrag == ufrag;
  });
  const absl::Status status = UndoIce(now);
  React(now);
  return status;
}

absl::StatusOr<std::string> Connection::LocalDescription() const {
  return session_.LocalDescriptionWith(
      AllTold(ice_.candidates(), options_.advertise),
      gathering_state() == GatheringState::kComplete);
}

absl::Status Connection::ApplyLocal(absl::Time now, const sdp::Change& change) {
  if (change.data().ended) {
    EndData(now);
    if (closing_) return absl::OkStatus();
  }
  // An offer may be older than what ICE did since.
  if (const ice::Credentials said = session_.local_credentials();
      !said.ufrag.empty()) {
    credentials_ = said;
  }
  KYUU_RETURN_IF_ERROR(RestartIce(now));
  ice_.Gather(now);
  if (remote_ice_.waits) {
    KYUU_RETURN_IF_ERROR(ApplyRemoteIce(now, session_.remote()));
  }
  Applied(now, change);
  return absl::OkStatus();
}

absl::Status Connection::ApplyRemote(absl::Time now,
                                     const sdp::Change& change) {
  const sdp::TransportChange data = change.data();
  if (data.ended) {
    EndData(now);
    if (closing_) return absl::OkStatus();
  }
  if (data.dtls_restart && dtls_) {
    Hangup(now, absl::UnauthenticatedError(
                    "the peer changed its certificate within a connection"));
    return absl::OkStatus();
  }
  if (change.rolled_back) KYUU_RETURN_IF_ERROR(UndoIce(now));
  if (change.state == SignalingState::kHaveRemoteOffer) {
    // Checks with the new credentials begin with our answer's.
    remote_ice_.waits = OffersRestart(session_.remote(), remote_ice_.known);
  }
  if (!remote_ice_.waits && (data.remote_ice || data.remote_candidates)) {
    KYUU_RETURN_IF_ERROR(ApplyRemoteIce(now, session_.remote()));
  }
  Applied(now, change);
  return absl::OkStatus();
}

// What both directions have in common once a description is in force.
void Connection::Applied(absl::Time now, const sdp::Change& change) {
  if (change.state == SignalingState::kStable) {
    stable_credentials_ = ice_.agent().local_credentials();
    counters_.ignored_candidates += remote_ice_.DropRefused(session_);
  }
  if (session_.remote()) {
    channels_.SetMaxMessageSize(session_.remote()->max_message_size);
  }
  if (change.data().answered) StartDtls(now);
}

// The final answer has no data section. Where there was none before, a later
// offer may bring one; an association in use ends, and ours with it, for a
// connection has but one (RFC 8842 section 5.5).
void Connection::EndData(absl::Time now) {
  if (!dtls_) return;
  Hangup(now, absl::FailedPreconditionError(
                  "the data channel section was taken away"));
}

// Begins the generation that credentials_ names, unless it is the present one,
// and tells our candidates anew under it.
absl::Status Connection::RestartIce(absl::Time now) {
  if (credentials_ == ice_.agent().local_credentials()) return absl::OkStatus();
  const std::vector<ice::Candidate> known = ice_.candidates();
  KYUU_RETURN_IF_ERROR(ice_.Restart(now, credentials_));
  remote_ice_.overdue = true;
  for (const ice::Candidate& candidate : ice_.candidates()) {
    // Those that the restart has found, and its end, are told as ever.
    if (std::any_of(known.begin(), known.end(), [&](const auto& before) {
          return before.address == candidate.address &&
                 before.type == candidate.type &&
                 before.tcp_type == candidate.tcp_type;
        })) {
      Announce(candidate);
    }
  }
  return absl::OkStatus();
}

// A pending offer was taken back, and ICE with it: to the credentials of the
// last complete exchange, else to those of nobody.
absl::Status Connection::UndoIce(absl::Time now) {
  remote_ice_.waits = false;
  if (stable_credentials_) {
    credentials_ = *stable_credentials_;
    if (credentials_ == ice_.agent().local_credentials()) {
      return absl::OkStatus();
    }
    // The peer has our candidates under these.
    KYUU_RETURN_IF_ERROR(ice_.UndoRestart(now, credentials_));
    // Not an offer's that has taken the place of ours, and may restart ICE too.
    return ApplyRemoteIce(now, session_.agreed());
  }
  ice_.Ungather(now);
  if (!remote_ice_.known) return absl::OkStatus();
  remote_ice_.known.reset();
  if (dtls_session_) {
    Hangup(now, absl::FailedPreconditionError(
                    "the offer that the connection stands on was taken back"));
    return absl::OkStatus();
  }
  dtls_.reset();
  ice_.embedded_dtls().SetFlight({});
  early_dtls_.clear();
  credentials_ = ice::Credentials::Generate(random_);
  return ice_.UndoRestart(now, credentials_);
}

std::string Connection::RemoteUfrag() const {
  return session_.remote() ? session_.remote()->ice_ufrag : std::string();
}

absl::Status Connection::ApplyRemoteIce(
    absl::Time now, const std::optional<sdp::TransportParameters>& remote) {
  if (!remote) return absl::OkStatus();
  remote_ice_.waits = false;
  remote_ice_.overdue = false;
  if (!remote_ice_.known) {
    // RFC 8445 section 6.1.1; a conflict found by checks may change it later.
    ice_.SetRole(now, session_.offerer() || (remote->ice_lite && !options_.lite)
                          ? ice::Role::kControlling
                          : ice::Role::kControlled);
  }
  const ice::Credentials credentials{.ufrag = remote->ice_ufrag,
                                     .password = remote->ice_pwd};
  remote_ice_.known = credentials;
  const ice::RemoteMode mode =
      remote->ice_lite ? ice::RemoteMode::kLite : ice::RemoteMode::kFull;
  absl::Status status = ice_.SetRemoteCredentials(now, credentials, mode);
  if (absl::IsFailedPrecondition(status)) {
    // Our offer stands, and another endpoint answers it than the one that did
    // provisionally (RFC 9429 section 4.1.10.2). A generation has one peer, so
    // it begins anew, under the name by which this one knows it too.
    const ice::Credentials ours = ice_.agent().local_credentials();
    KYUU_RETURN_IF_ERROR(
        ice_.Restart(now, ice::Credentials::Generate(random_)));
    KYUU_RETURN_IF_ERROR(ice_.Restart(now, ours));
    status = ice_.SetRemoteCredentials(now, credentials, mode);
  }
  KYUU_RETURN_IF_ERROR(status);
  ice_.SetPacing(now,
                 ice::AgreedPacing(options_.ice_pacing, remote->ice_pacing));
  for (const ice::Candidate& candidate : remote->candidates.Get()) {
    ice_.AddRemoteCandidate(now, candidate);
  }
  if (remote->end_of_candidates) ice_.EndOfRemoteCandidates(now);
  for (PendingCandidate& pending : std::exchange(remote_ice_.pending, {})) {
    // Without a name it is of the newest description.
    if (IsOfAnotherGeneration(pending) || RemoteUfrag() != remote->ice_ufrag) {
      remote_ice_.pending.push_back(std::move(pending));
    } else {
      ApplyCandidate(now, pending);
    }
  }
  return absl::OkStatus();
}

absl::Status Connection::AddIceCandidate(absl::Time now,
                                         absl::string_view candidate,
                                         absl::string_view mid,
                                         size_t mline_index,
                                         absl::string_view ufrag) {
  if (closing_) return absl::FailedPreconditionError("closed");
  const auto parsed = ice::Candidate::Parse(candidate);
  if (!candidate.empty() && !parsed.ok() &&
      !absl::IsUnimplemented(parsed.status())) {
    return parsed.status();
  }
  PendingCandidate pending{.line = std::string(candidate),
                           .mid = std::string(mid),
                           .mline_index = mline_index,
                           .ufrag = std::string(ufrag)};
  if (parsed.ok()) pending.ufrag = std::string(parsed->ufrag().value_or(ufrag));
  const bool undescribed = !session_.remote() || remote_ice_.waits;
  if (!undescribed && !IsOfAnotherGeneration(pending)) {
    ApplyCandidate(now, pending);
    React(now);
    return absl::OkStatus();
  }
  if (remote_ice_.pending.size() < options_.pending_candidates_max) {
    remote_ice_.pending.push_back(std::move(pending));
    counters_.ignored_candidates += remote_ice_.DropRefused(session_);
    return absl::OkStatus();
  }
  if (undescribed) {
    return absl::ResourceExhaustedError("too many candidates wait for it");
  }
  // As likely of a generation gone by as of one to come.
  ++counters_.ignored_candidates;
  return absl::OkStatus();
}

bool Connection::IsOfAnotherGeneration(const PendingCandidate& pending) const {
  return !pending.ufrag.empty() && pending.ufrag != RemoteUfrag();
}

// A candidate belongs to the transport, whatever section of the bundle it is
// told under (RFC 9143 section 7.1.3). The end of candidates is the tagged
// section's to tell.
void Connection::ApplyCandidate(absl::Time now,
                                const PendingCandidate& pending) {
  if (!session_.Shares(pending.mid, pending.mline_index)) {
    ++counters_.ignored_candidates;
    return;
  }
  if (pending.line.empty()) {
    // Its generation is to be told (RFC 8838 section 13). If it is not, then
    // between our restart's offer and its answer it is that of the session in
    // force, delayed, and ignored (section 9). A candidate without ufrag, which
    // does harm to neither generation, may have overtaken the answer, and waits
    // for that in the agent.
    if (remote_ice_.overdue) return;
    const std::string& tag = session_.remote()->tag;  // Empty: it has no mids.
    if (pending.mid.empty() || tag.empty() || pending.mid == tag) {
      ice_.EndOfRemoteCandidates(now);
    }
    return;
  }
  const absl::StatusOr<ice::Candidate> candidate =
      ice::Candidate::Parse(pending.line);
  if (!candidate.ok()) {
    ++counters_.ignored_candidates;
    return;
  }
  ice_.AddRemoteCandidate(now, *candidate);
}

void Connection::NameResolved(absl::Time now, ice::NameId id,
                              std::optional<IpAddress> ip) {
  ice_.NameResolved(now, id, ip);
  React(now);
}

void Connection::StreamConnected(absl::Time now, ice::StreamId id,
                                 const TransportAddress& local) {
  ice_.StreamConnected(now, id, local);
  React(now);
}

void Connection::StreamEnded(absl::Time now, ice::StreamId id,
                             const absl::Status& why) {
  ice_.StreamEnded(now, id, why);
  React(now);
}

std::optional<ice::StreamId> Connection::StreamAccepted(absl::Time now,
                                                        const Path& path) {
  const std::optional<ice::StreamId> id = ice_.StreamAccepted(now, path);
  React(now);
  return id;
}

void Connection::Announce(const ice::Candidate& candidate) {
  ice::Candidate told = candidate;
  if (!MakeTold(told, options_.advertise)) return;
  const std::string& ufrag = ice_.agent().local_credentials().ufrag;
  told.extensions.Add("ufrag", ufrag);
  events_.push_back(CandidateFound{.candidate = told.ToString(),
                                   .mid = session_.tag_mid(),
                                   .mline_index = session_.tag_mline_index(),
                                   .ufrag = ufrag});
}

void Connection::AnnounceEnd() {
  events_.push_back(
      CandidateFound{.candidate = "",
                     .mid = session_.tag_mid(),
                     .mline_index = session_.tag_mline_index(),
                     .ufrag = ice_.agent().local_credentials().ufrag});
}

}  // namespace kyuu::peer
