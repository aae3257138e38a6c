// Descriptions and candidates: what sdp agreed on, handed to the other parts.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "peer/connection.h"

namespace kyuu::peer {

absl::Status Connection::AddLocalAddress(absl::Time now,
                                         const ice::HostAddress& host) {
  if (closing_) return absl::FailedPreconditionError("closed");
  const absl::Status status = ice_.AddHost(now, host);
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

sdp::LocalTransport Connection::LocalTransport() const {
  return {
      .ice_ufrag = credentials_.ufrag,
      .ice_pwd = credentials_.password,
      .fingerprints = {certificate_.fingerprint()},
      .candidates = ice_.candidates(),
      // A restart, which has other credentials, gathers anew.
      .end_of_candidates = gathering_state() == GatheringState::kComplete &&
                           credentials_ == ice_.agent().local_credentials()};
}

absl::StatusOr<std::string> Connection::CreateOffer(IceRestart restart) {
  // Before the first description there is nothing to restart.
  if (restart == IceRestart::kYes &&
      gathering_state() != GatheringState::kNew &&
      credentials_ == ice_.agent().local_credentials()) {
    credentials_ = ice::Credentials::Generate(random_);
  }
  return session_.CreateOffer(LocalTransport());
}

absl::StatusOr<std::string> Connection::CreateAnswer() {
  // RFC 8839 section 4.4.1.1.1: a restart is answered by one, and by nothing
  // else.
  if (!remote_ice_waits_) {
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
  ApplyLocal(now, *change);
  React(now);
  return absl::OkStatus();
}

absl::Status Connection::SetRemoteDescription(absl::Time now, SdpType type,
                                              std::string sdp) {
  const SignalingState before = session_.state();
  absl::StatusOr<sdp::Change> change = session_.SetRemote(type, std::move(sdp));
  if (!change.ok()) return change.status();
  if (before != change->state) {
    events_.push_back(SignalingStateChanged{change->state});
  }
  ApplyRemote(now, *change);
  React(now);
  return absl::OkStatus();
}

absl::Status Connection::Rollback(absl::Time now) {
  absl::StatusOr<sdp::Change> change = session_.Rollback();
  if (!change.ok()) return change.status();
  events_.push_back(SignalingStateChanged{change->state});
  if (change->local_ice) FallBack(now);
  remote_ice_waits_ = false;
  React(now);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Connection::LocalDescription() const {
  return session_.LocalDescriptionWith(
      ice_.candidates(), gathering_state() == GatheringState::kComplete);
}

void Connection::ApplyLocal(absl::Time now, const sdp::Change& change) {
  // Without a section yet there is nothing to end: a later offer may bring one.
  if (change.data_ended && dtls_) {
    Hangup(now, absl::FailedPreconditionError(
                    "the peer took the data channel section away"));
    return;
  }
  if (credentials_ != ice_.agent().local_credentials()) {
    // New credentials are well-formed and differ, and the agent is open.
    ice_.Restart(now, credentials_).IgnoreError();
    for (const ice::Candidate& candidate : ice_.candidates()) {
      Announce(candidate);
    }
    if (gathering_state() == GatheringState::kComplete) AnnounceEnd();
  }
  ice_.Gather(now);
  if (remote_ice_waits_) ApplyRemoteIce(now);
  Applied(now, change);
}

void Connection::ApplyRemote(absl::Time now, const sdp::Change& change) {
  if (change.data_ended) {
    Hangup(now, absl::FailedPreconditionError(
                    "the peer refused the data channel section"));
    return;
  }
  if (change.dtls_restart && dtls_) {
    Hangup(now, absl::UnauthenticatedError(
                    "the peer changed its certificate within a connection"));
    return;
  }
  if (change.rolled_back && change.local_ice) FallBack(now);
  if (change.remote_ice && change.ice_restart && remote_ice_known_ &&
      change.state == SignalingState::kHaveRemoteOffer) {
    // Checks with the new credentials begin with our answer's.
    remote_ice_waits_ = true;
  } else if (!remote_ice_waits_ &&
             (change.remote_ice || change.remote_candidates)) {
    ApplyRemoteIce(now);
  }
  Applied(now, change);
}

// What both directions have in common once a description is in force.
void Connection::Applied(absl::Time now, const sdp::Change& change) {
  if (change.state == SignalingState::kStable) {
    stable_credentials_ = ice_.agent().local_credentials();
  }
  if (session_.remote()) {
    channels_.SetMaxMessageSize(session_.remote()->max_message_size);
  }
  if (change.answered) StartDtls(now);
}

// Our offer with new credentials was taken back: the old ones count again.
void Connection::FallBack(absl::Time now) {
  if (!stable_credentials_) return;
  credentials_ = *stable_credentials_;
  if (credentials_ == ice_.agent().local_credentials()) return;
  // They differ, and the agent is open.
  ice_.Restart(now, credentials_).IgnoreError();
  if (session_.remote()) ApplyRemoteIce(now);
}

void Connection::ApplyRemoteIce(absl::Time now) {
  const std::optional<sdp::TransportParameters>& remote = session_.remote();
  if (!remote) return;
  remote_ice_waits_ = false;
  if (!remote_ice_known_) {
    // RFC 8445 section 6.1.1; a conflict found by checks may change it later.
    ice_.SetRole(now, session_.offerer() || remote->ice_lite
                          ? ice::Role::kControlling
                          : ice::Role::kControlled);
  }
  remote_ice_known_ = true;
  const ice::Credentials credentials{.ufrag = remote->ice_ufrag,
                                     .password = remote->ice_pwd};
  const ice::RemoteMode mode =
      remote->ice_lite ? ice::RemoteMode::kLite : ice::RemoteMode::kFull;
  absl::Status status = ice_.SetRemoteCredentials(now, credentials, mode);
  if (absl::IsFailedPrecondition(status) &&
      gathering_state() == GatheringState::kNew) {
    // Another first offer after a rollback; ours were told to nobody yet.
    credentials_ = ice::Credentials::Generate(random_);
    // They differ, and the agent is open.
    ice_.Restart(now, credentials_).IgnoreError();
    // sdp asked ice::IsUfrag and IsPassword before.
    ice_.SetRemoteCredentials(now, credentials, mode).IgnoreError();
  }
  // RFC 8839 section 5.7: the slower of the two, if both want another than the
  // default.
  if (options_.sdp.ice_pacing && remote->ice_pacing) {
    ice_.SetPacing(now,
                   std::max(*options_.sdp.ice_pacing, *remote->ice_pacing));
  }
  for (const ice::Candidate& candidate : remote->candidates) {
    ice_.AddRemoteCandidate(now, candidate);
  }
  if (remote->end_of_candidates) ice_.EndOfRemoteCandidates(now);
  for (const PendingCandidate& pending :
       std::exchange(pending_candidates_, {})) {
    ApplyCandidate(now, pending);
  }
}

absl::Status Connection::AddIceCandidate(absl::Time now,
                                         absl::string_view candidate,
                                         absl::string_view mid,
                                         size_t mline_index) {
  if (closing_) return absl::FailedPreconditionError("closed");
  if (!candidate.empty()) {
    const absl::Status status = ice::Candidate::Parse(candidate).status();
    if (!status.ok() && !absl::IsUnimplemented(status)) return status;
  }
  PendingCandidate pending{.line = std::string(candidate),
                           .mid = std::string(mid),
                           .mline_index = mline_index};
  if (!session_.remote() || remote_ice_waits_) {
    if (pending_candidates_.size() >= options_.pending_candidates_max) {
      return absl::ResourceExhaustedError(
          "too many candidates before their description");
    }
    pending_candidates_.push_back(std::move(pending));
    return absl::OkStatus();
  }
  ApplyCandidate(now, pending);
  React(now);
  return absl::OkStatus();
}

void Connection::ApplyCandidate(absl::Time now,
                                const PendingCandidate& pending) {
  const sdp::TransportParameters& remote = *session_.remote();
  const bool ours = pending.mid.empty()
                        ? pending.mline_index == remote.mline_index
                        : pending.mid == remote.mid;
  if (!ours) {
    ++counters_.ignored_candidates;
    return;
  }
  if (pending.line.empty()) {
    ice_.EndOfRemoteCandidates(now);
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

void Connection::Announce(const ice::Candidate& candidate) {
  ice::Candidate told = candidate;
  told.extensions.push_back({"ufrag", ice_.agent().local_credentials().ufrag});
  events_.push_back(CandidateFound{.candidate = told.ToString(),
                                   .mid = session_.tag_mid(),
                                   .mline_index = session_.tag_mline_index()});
}

void Connection::AnnounceEnd() {
  events_.push_back(CandidateFound{.candidate = "",
                                   .mid = session_.tag_mid(),
                                   .mline_index = session_.tag_mline_index()});
}

}  // namespace kyuu::peer
