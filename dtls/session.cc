#include "dtls/session.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dtls/internal/connection.h"
#include "dtls/internal/record.h"

namespace kyuu::dtls {

namespace {

using internal::Connection;
using internal::Progress;
using internal::Verdict;

// A record's sequence number has 48 bits and never repeats under one key (RFC
// 6347 section 4.1); the handshake and alerts need a few of them.
constexpr uint64_t kRecordsMax = (uint64_t{1} << 48) - (1 << 20);

constexpr absl::Duration kTimeoutMin = absl::Milliseconds(50);
constexpr absl::Duration kFirstTimeoutMax = absl::Seconds(3);

}  // namespace

Session::Session(Role role, const Certificate& certificate,
                 const Options& options)
    : role_(role),
      options_(options),
      connection_(std::make_unique<Connection>(
          certificate.context(),
          role == Role::kClient ? Connection::Side::kClient
                                : Connection::Side::kServer,
          Connection::Options{
              .mtu_bytes = options.mtu_bytes,
              .outgoing_datagrams_max = options.outgoing_datagrams_max})) {}

Session::Session(std::unique_ptr<Connection> listened, absl::Time now,
                 const Options& options)
    : role_(Role::kServer),
      options_(options),
      connection_(std::move(listened)) {
  Start(now);
}

Session::Session(std::unique_ptr<Connection> connection, const Options& options)
    : role_(Role::kClient),
      options_(options),
      connection_(std::move(connection)) {}

Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

void Session::Start(absl::Time now) {
  if (state_ != State::kIdle) return;
  state_ = State::kHandshake;
  timers_.Set(Timer::kHandshake, now + options_.handshake_timeout);
  ContinueHandshake(now);
  Sync(now);
}

void Session::ContinueHandshake(absl::Time now) {
  switch (connection_->Handshake()) {
    case Progress::kDone:
      state_ = State::kUnverified;
      JudgePeer(now);
      break;
    case Progress::kWaits:
      break;
    case Progress::kClosed:
    case Progress::kFailed:
      Fail();
      break;
  }
}

void Session::JudgePeer(absl::Time now) {
  switch (connection_->JudgePeer()) {
    case Verdict::kUnknown:
      break;
    case Verdict::kMatches:
      state_ = State::kConnected;
      timers_.Stop(Timer::kHandshake);
      events_.push_back(
          Connected{.version = connection_->version(),
                    .cipher = connection_->cipher(),
                    .remote_fingerprint = connection_->PeerFingerprint()});
      break;
    case Verdict::kDiffers:
      connection_->Shutdown();
      Finish(absl::UnauthenticatedError(
          "the peer's certificate has none of its fingerprints"));
      break;
  }
  Sync(now);
}

absl::Status Session::SetRemoteFingerprints(
    absl::Time now, std::vector<Fingerprint> fingerprints) {
  std::erase(fingerprints, Fingerprint());
  if (fingerprints.empty()) {
    return absl::InvalidArgumentError("no fingerprint");
  }
  if (state_ == State::kClosed) {
    return absl::FailedPreconditionError("the session is closed");
  }
  std::vector<Fingerprint> before = connection_->fingerprints();
  connection_->SetFingerprints(std::move(fingerprints));
  if (state_ == State::kUnverified) JudgePeer(now);
  if (state_ == State::kConnected &&
      connection_->JudgePeer() != Verdict::kMatches) {
    connection_->SetFingerprints(std::move(before));
    return absl::FailedPreconditionError(
        "the session belongs to another certificate");
  }
  return absl::OkStatus();
}

void Session::Close(absl::Time now) {
  if (state_ == State::kClosed) return;
  if (state_ == State::kUnverified || state_ == State::kConnected) {
    KeepReadable();
    connection_->Shutdown();
  }
  Finish(absl::OkStatus());
  Sync(now);
}

absl::StatusOr<size_t> Session::Seal(absl::Span<const uint8_t> plaintext,
                                     absl::Span<uint8_t> out) {
  if (state_ != State::kConnected) {
    return absl::FailedPreconditionError("not connected");
  }
  if (plaintext.empty() || plaintext.size() > kPlaintextMax ||
      out.size() < plaintext.size() + kRecordOverheadMax) {
    return absl::InvalidArgumentError("plaintext or buffer size");
  }
  if (stats_.records_sealed >= kRecordsMax) {
    return absl::FailedPreconditionError("no sequence number left");
  }
  const std::optional<size_t> size = connection_->Write(plaintext, out);
  if (!size) return absl::FailedPreconditionError("not connected");
  ++stats_.records_sealed;
  return *size;
}

std::optional<absl::Span<const uint8_t>> Session::ReadPlaintext(
    absl::Span<uint8_t> out) {
  while (!kept_.empty() &&
         (state_ == State::kConnected || state_ == State::kClosed)) {
    const std::vector<uint8_t> plaintext = std::move(kept_.front());
    kept_.pop_front();
    kept_bytes_ -= plaintext.size();
    if (plaintext.size() > out.size()) {
      ++stats_.discarded_plaintexts;
      continue;
    }
    std::memcpy(out.data(), plaintext.data(), plaintext.size());
    ++stats_.records_opened;
    return out.first(plaintext.size());
  }
  if (state_ != State::kConnected) return std::nullopt;
  const std::optional<absl::Span<const uint8_t>> plaintext = ReadRecord(out);
  if (plaintext) ++stats_.records_opened;
  return plaintext;
}

std::optional<absl::Span<const uint8_t>> Session::ReadRecord(
    absl::Span<uint8_t> out) {
  while (readable_) {
    size_t size = 0;
    bool fits = true;
    switch (connection_->Read(out, size, fits)) {
      case Progress::kDone:
        // Spares a call that would find nothing for nearly every packet.
        readable_ = !settled_ || connection_->MayHoldMore();
        if (!fits) ++stats_.discarded_plaintexts;
        // An empty record is allowed and says nothing (RFC 5246 section 6.2.1).
        if (!fits || size == 0) break;
        return out.first(size);
      case Progress::kWaits:
        readable_ = false;
        settled_ = true;
        break;
      case Progress::kClosed:
        readable_ = false;
        connection_->Shutdown();
        Finish(absl::OkStatus());
        break;
      case Progress::kFailed:
        readable_ = false;
        Fail();
        break;
    }
  }
  return std::nullopt;
}

void Session::KeepReadable() {
  std::array<uint8_t, kPlaintextMax> buffer;
  while (auto plaintext = ReadRecord(absl::MakeSpan(buffer))) {
    if (kept_bytes_ + plaintext->size() > options_.kept_plaintext_bytes_max) {
      ++stats_.discarded_plaintexts;
      continue;
    }
    kept_bytes_ += plaintext->size();
    kept_.emplace_back(plaintext->begin(), plaintext->end());
  }
}

void Session::HandlePacket(absl::Time now, Packet datagram) {
  ++stats_.datagrams_received;
  if (state_ == State::kClosed) {
    ++stats_.discarded_after_close;
    return;
  }
  const size_t size = internal::RecordsSize(datagram);
  if (size == 0) {
    ++stats_.discarded_malformed;
    return;
  }
  Start(now);
  if (readable_) KeepReadable();
  if (state_ == State::kClosed) return;
  connection_->SetIncoming(datagram.first(size));
  if (state_ == State::kHandshake) {
    ContinueHandshake(now);
    // The datagram, or an earlier one out of order, may hold data already.
    if (state_ == State::kConnected || state_ == State::kUnverified) {
      readable_ = true;
    }
  } else {
    Peek();
  }
  connection_->DropIncoming();
  if (readable_ && state_ == State::kUnverified) KeepReadable();
  Sync(now);
}

void Session::Peek() {
  const size_t waiting = connection_->outgoing().size();
  switch (connection_->Peek()) {
    case Progress::kDone:
      readable_ = true;
      break;
    case Progress::kWaits:
      if (connection_->outgoing().size() == waiting) {
        ++stats_.discarded_without_effect;
      }
      break;
    case Progress::kClosed:
      connection_->Shutdown();
      Finish(absl::OkStatus());
      break;
    case Progress::kFailed:
      Fail();
      break;
  }
}

void Session::HandleTimeout(absl::Time now) {
  while (const std::optional<Timer> due = timers_.PopDue(now)) {
    switch (*due) {
      case Timer::kRetransmission:
        ++stats_.retransmissions;
        ++expiries_;
        if (!connection_->Retransmit()) Fail();
        Sync(now);
        break;
      case Timer::kHandshake:
        Finish(absl::DeadlineExceededError(
            state_ == State::kUnverified ? "the peer's fingerprint did not come"
                                         : "the DTLS handshake took too long"));
        break;
      case Timer::kCount:
        break;
    }
  }
}

std::optional<Session::Packet> Session::PollTransmit(absl::Time,
                                                     absl::Span<uint8_t> out) {
  std::deque<std::vector<uint8_t>>& outgoing = connection_->outgoing();
  if (outgoing.empty() || outgoing.front().size() > out.size()) {
    return std::nullopt;
  }
  const size_t size = outgoing.front().size();
  std::memcpy(out.data(), outgoing.front().data(), size);
  outgoing.pop_front();
  ++stats_.datagrams_sent;
  return out.first(size);
}

std::optional<Session::Event> Session::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Session::Sync(absl::Time now) {
  stats_.discarded_outgoing = connection_->outgoing_dropped();
  // A flight may stay without an answer after the handshake, for nothing.
  const uint64_t flight =
      state_ == State::kHandshake ? connection_->waiting_flight() : 0;
  if (flight != flight_) {
    flight_ = flight;
    expiries_ = 0;
    timers_.Stop(Timer::kRetransmission);
  }
  if (flight != 0 && !timers_.IsSet(Timer::kRetransmission)) {
    timers_.Set(Timer::kRetransmission, now + RetransmissionTimeout());
  }
}

absl::Duration Session::RetransmissionTimeout() const {
  absl::Duration timeout = std::clamp(options_.retransmission_timeout,
                                      kTimeoutMin, kFirstTimeoutMax);
  for (int i = 0;
       i < expiries_ && timeout < options_.retransmission_timeout_max; ++i) {
    timeout *= 2;
  }
  return std::max(kTimeoutMin,
                  std::min(timeout, options_.retransmission_timeout_max));
}

void Session::Fail() {
  if (const auto distrust = connection_->Distrust()) {
    Finish(absl::UnauthenticatedError(
        absl::StrCat("the server's certificate: ", *distrust)));
  } else if (connection_->mismatch_seen()) {
    Finish(absl::UnauthenticatedError(
        "the peer's certificate has none of its fingerprints"));
  } else {
    Finish(
        absl::UnavailableError(absl::StrCat("DTLS: ", internal::TakeError())));
  }
}

void Session::Finish(absl::Status status) {
  if (state_ == State::kClosed) return;
  // What a peer sent that was never verified is nobody's.
  if (state_ != State::kConnected) {
    kept_.clear();
    kept_bytes_ = 0;
  }
  state_ = State::kClosed;
  readable_ = false;
  timers_.StopAll();
  events_.push_back(Closed{std::move(status)});
}

std::string Session::DebugString() const {
  constexpr absl::string_view kStates[] = {"idle", "handshake", "unverified",
                                           "connected", "closed"};
  return absl::StrCat("dtls ", role_ == Role::kClient ? "client" : "server",
                      " ", kStates[static_cast<size_t>(state_)], ", in ",
                      stats_.datagrams_received, ", sealed ",
                      stats_.records_sealed, ", opened ", stats_.records_opened,
                      ", retransmissions ", stats_.retransmissions, ", next ",
                      absl::FormatTime(NextTimeout(), absl::UTCTimeZone()));
}

}  // namespace kyuu::dtls
