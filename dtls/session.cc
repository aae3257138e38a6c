#include "dtls/session.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dtls/internal/connection.h"
#include "dtls/internal/established.h"
#include "dtls/internal/openssl.h"
#include "dtls/internal/record.h"

namespace kyuu::dtls {

namespace {

using internal::Connection;
using internal::ContentType;
using internal::Established;
using internal::Opened;
using internal::Progress;
using internal::Record;
using internal::Verdict;

// RFC 5246 section 7.2.
constexpr uint8_t kWarning = 1, kFatal = 2, kCloseNotify = 0;

// HandshakeType (RFC 5246 section 7.4).
constexpr uint8_t kFinished = 20;

constexpr int kRecordsMax = 8;  // Of a datagram: as many as a flight has.

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
          Connection::Options{.mtu_bytes = options.mtu_bytes})) {}

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
      Establish(now);
      break;
    case Progress::kWaits:
      break;
    case Progress::kClosed:
      Finish(absl::UnavailableError(absl::StrCat(
          "DTLS: the peer's alert: ", internal::AlertName(kCloseNotify))));
      break;
    case Progress::kFailed:
      Fail();
      break;
  }
}

void Session::Establish(absl::Time now) {
  established_ = Established::From(
      *connection_, role_ == Role::kClient ? Connection::Side::kClient
                                           : Connection::Side::kServer);
  Sync(now);  // The last flight.
  if (established_ == nullptr) {
    return Finish(absl::InternalError("DTLS: the keys cannot be taken over"));
  }
  const std::vector<Fingerprint> fingerprints = connection_->fingerprints();
  connection_.reset();
  state_ = State::kUnverified;
  timers_.Stop(Timer::kRetransmission);
  // Nothing that came early was opened: it had no keys, or needs the replay
  // window that starts here.
  kept_bytes_ = 0;
  for (const Kept& early : std::exchange(kept_, {})) {
    Packet bytes = early.bytes;
    OpenAndKeep(now, *internal::TakeRecord(bytes));
  }
  JudgePeer(fingerprints);
}

void Session::JudgePeer(absl::Span<const Fingerprint> fingerprints) {
  switch (established_->Judge(fingerprints)) {
    case Verdict::kUnknown:
      break;
    case Verdict::kMatches:
      state_ = State::kConnected;
      timers_.Stop(Timer::kHandshake);
      events_.push_back(
          Connected{.version = std::string(established_->version()),
                    .cipher = std::string(established_->cipher()),
                    .cipher_suite = std::string(established_->cipher_suite()),
                    .remote_fingerprint = established_->peer_sha256()});
      break;
    case Verdict::kDiffers:
      SendCloseNotify();
      Finish(absl::UnauthenticatedError(
          "the peer's certificate has none of its fingerprints"));
      break;
  }
}

absl::Status Session::SetRemoteFingerprints(
    absl::Time, std::vector<Fingerprint> fingerprints) {
  std::erase(fingerprints, Fingerprint());
  if (fingerprints.empty()) {
    return absl::InvalidArgumentError("no fingerprint");
  }
  if (state_ == State::kClosed) {
    return absl::FailedPreconditionError("the session is closed");
  }
  if (connection_ != nullptr) {
    connection_->SetFingerprints(std::move(fingerprints));
  } else if (state_ == State::kUnverified) {
    JudgePeer(fingerprints);
  } else if (established_->Judge(fingerprints) != Verdict::kMatches) {
    return absl::FailedPreconditionError(
        "the session belongs to another certificate");
  }
  return absl::OkStatus();
}

void Session::SetRetransmissionTimeout(absl::Time now, absl::Duration timeout) {
  options_.retransmission_timeout = timeout;
  timers_.Stop(Timer::kRetransmission);
  Sync(now);
}

void Session::Close(absl::Time now) {
  if (state_ == State::kClosed) return;
  if (established_ != nullptr) SendCloseNotify();
  Finish(absl::OkStatus());
  Sync(now);
}

absl::StatusOr<size_t> Session::Seal(absl::Span<const uint8_t> plaintext,
                                     absl::Span<uint8_t> out) {
  if (state_ != State::kConnected) {
    return absl::FailedPreconditionError("not connected");
  }
  if (plaintext.size() > kPlaintextMax ||
      out.size() < plaintext.size() + kRecordOverheadMax) {
    return absl::InvalidArgumentError("plaintext or buffer size");
  }
  if (!plaintext.empty()) {
    std::memcpy(out.subspan(record_header_bytes()).data(), plaintext.data(),
                plaintext.size());
  }
  const auto record = SealInPlace(out, plaintext.size());
  if (!record.ok()) return record.status();
  return record->size();
}

absl::StatusOr<absl::Span<const uint8_t>> Session::SealInPlace(
    absl::Span<uint8_t> place, size_t size) {
  if (state_ != State::kConnected) {
    return absl::FailedPreconditionError("not connected");
  }
  if (size == 0 || size > kPlaintextMax ||
      place.size() < record_header_bytes() + size + kRecordTagBytes) {
    return absl::InvalidArgumentError("plaintext or buffer size");
  }
  const auto record =
      established_->sealer().Seal(ContentType::kApplicationData, place, size);
  if (!record) {
    return absl::FailedPreconditionError("no sequence number left");
  }
  ++stats_.records_sealed;
  return *record;
}

size_t Session::record_header_bytes() const {
  return established_ == nullptr ? 0 : established_->sealer().header_bytes();
}

std::optional<absl::Span<const uint8_t>> Session::ReadPlaintext(
    absl::Span<uint8_t> out) {
  if (state_ != State::kConnected && state_ != State::kClosed) {
    return std::nullopt;
  }
  while (!kept_.empty()) {
    const Kept kept = std::move(kept_.front());
    kept_.pop_front();
    kept_bytes_ -= kept.size;
    if (kept.size > out.size()) {
      ++stats_.discarded_plaintexts;
      continue;
    }
    std::memcpy(out.data(), kept.bytes.data() + kept.begin, kept.size);
    ++stats_.records_opened;
    return out.first(kept.size);
  }
  return std::nullopt;
}

std::optional<absl::Span<const uint8_t>> Session::Open(
    absl::Time now, Packet& datagram, absl::Span<uint8_t> out) {
  if (datagram.empty()) return std::nullopt;
  if (state_ != State::kConnected) {
    HandlePacket(now, std::exchange(datagram, {}));
    return std::nullopt;
  }
  std::optional<absl::Span<const uint8_t>> plaintext;
  while (!plaintext && !datagram.empty()) {
    if (state_ == State::kClosed) {
      ++stats_.discarded_after_close;
      datagram = {};
    } else if (records_ == kRecordsMax) {
      ++stats_.discarded_excess;
      datagram = {};
    } else if (const auto record = internal::TakeRecord(datagram)) {
      ++records_;
      plaintext = OpenRecord(now, *record, out);
    } else {
      ++stats_.discarded_malformed;
      datagram = {};
    }
  }
  if (plaintext) ++stats_.records_opened;
  if (!datagram.empty()) return plaintext;
  ++stats_.datagrams_received;
  records_ = 0;
  return plaintext;
}

void Session::HandlePacket(absl::Time now, Packet datagram) {
  ++stats_.datagrams_received;
  do {
    if (state_ == State::kClosed) {
      ++stats_.discarded_after_close;
      break;
    }
    const auto record = internal::TakeRecord(datagram);
    if (!record) {
      ++stats_.discarded_malformed;
      break;
    }
    Start(now);
    HandleRecord(now, *record);
  } while (!datagram.empty());
  Sync(now);
}

void Session::HandleRecord(absl::Time now, const Record& record) {
  if (state_ == State::kClosed) return;  // Start found no way to begin.
  if (established_ != nullptr) return OpenAndKeep(now, record);
  if (record.type != ContentType::kApplicationData) {
    connection_->SetIncoming(record.bytes);
    ContinueHandshake(now);
    if (connection_ != nullptr) connection_->DropIncoming();
  } else if (record.epoch != internal::kProtectedEpoch) {
    ++stats_.discarded_epoch;
  } else {
    // Sealed as it is: it has overtaken the end of the handshake.
    Keep({.bytes = {record.bytes.begin(), record.bytes.end()},
          .begin = 0,
          .size = record.bytes.size()});
  }
}

void Session::OpenAndKeep(absl::Time now, const Record& record) {
  std::vector<uint8_t> place(record.bytes.size());
  const auto plaintext = OpenRecord(now, record, absl::MakeSpan(place));
  if (!plaintext) return;
  const size_t begin = static_cast<size_t>(plaintext->data() - place.data());
  Keep({.bytes = std::move(place), .begin = begin, .size = plaintext->size()});
}

void Session::Keep(Kept kept) {
  if (kept_bytes_ + kept.size > options_.kept_plaintext_bytes_max) {
    ++stats_.discarded_plaintexts;
    return;
  }
  kept_bytes_ += kept.size;
  kept_.push_back(std::move(kept));
}

std::optional<absl::Span<uint8_t>> Session::OpenRecord(
    absl::Time now, const Record& record, absl::Span<uint8_t> place) {
  if (place.size() < record.bytes.size()) {
    ++stats_.discarded_plaintexts;
    return std::nullopt;
  }
  place = place.first(record.bytes.size());
  // OpenSSL's AEADs open in place, and then they are faster by more than this.
  std::memcpy(place.data(), record.bytes.data(), place.size());
  const Opened opened = established_->opener().Open(record, place);
  switch (opened.outcome) {
    case Opened::Outcome::kWrongEpoch:
      ++stats_.discarded_epoch;
      return std::nullopt;
    case Opened::Outcome::kReplayed:
      ++stats_.discarded_replayed;
      return std::nullopt;
    case Opened::Outcome::kOld:
      ++stats_.discarded_old;
      return std::nullopt;
    case Opened::Outcome::kForged:
      ++stats_.discarded_forged;
      return std::nullopt;
    case Opened::Outcome::kOpened:
      break;
  }
  switch (record.type) {
    case ContentType::kApplicationData:
      // An empty record is allowed and says nothing (RFC 5246 section 6.2.1).
      if (!opened.plaintext.empty()) return opened.plaintext;
      ++stats_.discarded_unused;
      break;
    case ContentType::kAlert:
      HandleAlert(opened.plaintext);
      break;
    case ContentType::kHandshake:
      AnswerHandshake(now, opened.plaintext);
      break;
    case ContentType::kChangeCipherSpec:
      ++stats_.discarded_unused;
      break;
  }
  return std::nullopt;
}

// RFC 5246 section 7.2.
void Session::HandleAlert(absl::Span<const uint8_t> alert) {
  if (alert.size() == 2 && alert[1] == kCloseNotify) {
    SendCloseNotify();
    Finish(absl::OkStatus());
  } else if (alert.size() == 2 && alert[0] == kFatal) {
    Finish(absl::UnavailableError(absl::StrCat("DTLS: the peer's alert: ",
                                               internal::AlertName(alert[1]))));
  } else {
    ++stats_.discarded_unused;
  }
}

// There is no renegotiation (RFC 8827 section 6.5), so it is the end of the
// handshake once more, or nothing.
void Session::AnswerHandshake(absl::Time now,
                              absl::Span<const uint8_t> message) {
  if (message.empty() || message[0] != kFinished) {
    ++stats_.discarded_unused;
    return;
  }
  std::vector<uint8_t> flight =
      established_->RepeatFlight(now, options_.repeated_flight_interval);
  ++(flight.empty() ? stats_.discarded_repeats : stats_.flights_repeated);
  Send(std::move(flight));
}

void Session::SendCloseNotify() {
  Send(established_->Seal(ContentType::kAlert,
                          std::array<uint8_t, 2>{kWarning, kCloseNotify}));
}

void Session::Send(std::vector<uint8_t> datagram) {
  if (datagram.empty()) return;
  if (outgoing_.size() >= options_.outgoing_datagrams_max) {
    ++stats_.discarded_outgoing;
    return;
  }
  outgoing_.push_back(std::move(datagram));
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
  if (outgoing_.empty() || outgoing_.front().size() > out.size()) {
    return std::nullopt;
  }
  const size_t size = outgoing_.front().size();
  std::memcpy(out.data(), outgoing_.front().data(), size);
  outgoing_.pop_front();
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
  if (connection_ == nullptr) return;
  for (std::vector<uint8_t>& datagram : connection_->TakeOutgoing()) {
    Send(std::move(datagram));
  }
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
    // OpenSSL gives no reason where fragments contradict each other.
    Finish(absl::UnavailableError(absl::StrCat(
        "DTLS: ",
        internal::TakeError("a message of the handshake makes no sense"))));
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
