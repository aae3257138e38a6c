#include "dtls/internal/connection.h"

#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "base/address.h"
#include "base/check.h"
#include "dtls/internal/digest.h"
#include "dtls/internal/record.h"

namespace kyuu::dtls::internal {

namespace {

constexpr uint8_t kApplicationData = 23;  // RFC 5246 section 6.2.1.

// OpenSSL refuses to send flights in less.
constexpr size_t kMtuMin = 256;

// An interval of OpenSSL's timer that no handshake lasts.
constexpr unsigned int kNeverUs = 4'000'000'000;

// OpenSSL gives up after 12 timeouts (DTLS1_TMO_ALERT_COUNT), so these are the
// repetitions that it makes itself, numbering the records anew. The others
// repeat the flight as it was. That is as good, unless the peer has it and only
// its last flight was lost: then an outage is followed by a wait that is at
// most as long.
constexpr int kOwn[] = {0, 1, 2, 3, 4, 5, 6, 9, 14, 24, 44, 84};

// From 3.2 on OpenSSL shows a copy of its deadline.
constexpr unsigned long kVersionWithCopy = 0x30200000L;

}  // namespace

void SetVerification(SSL_CTX* context) {
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                     nullptr);
  SSL_CTX_set_cert_verify_callback(context, &Connection::VerifyCertificate,
                                   nullptr);
}

void AllowCookies(SSL_CTX* context) {
  SSL_CTX_set_cookie_generate_cb(context, &Connection::WriteCookie);
  SSL_CTX_set_cookie_verify_cb(context, &Connection::CheckCookie);
}

int Connection::WriteCookie(SSL* ssl, unsigned char* cookie,
                            unsigned int* size) {
  const auto& ours = static_cast<Connection*>(SSL_get_app_data(ssl))->cookie_;
  std::memcpy(cookie, ours.data(), ours.size());
  *size = static_cast<unsigned int>(ours.size());
  return 1;
}

int Connection::CheckCookie(SSL* ssl, const unsigned char* cookie,
                            unsigned int size) {
  const auto& ours = static_cast<Connection*>(SSL_get_app_data(ssl))->cookie_;
  return size == ours.size() && CRYPTO_memcmp(cookie, ours.data(), size) == 0
             ? 1
             : 0;
}

Progress Connection::Listen(absl::Span<const uint8_t> cookie) {
  ClearErrors();
  cookie_.assign(cookie.begin(), cookie.end());
  BIO_ADDR* nobody = BIO_ADDR_new();  // Our wire knows no addresses.
  const int result = DTLSv1_listen(ssl_.get(), nobody);
  BIO_ADDR_free(nobody);
  if (result > 0) return Progress::kDone;
  return result == 0 ? Progress::kWaits : Progress::kFailed;
}

Connection::Connection(SSL_CTX* context, Side side, const Options& options)
    : options_(options), ssl_(SSL_new(context)) {
  KYUU_CHECK(ssl_ != nullptr);
  SSL_set_app_data(ssl_.get(), this);
  BIO* bio = BIO_new(Method());
  KYUU_CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  // Without this, flights would go out in datagrams of 256 bytes.
  SSL_set_mtu(ssl_.get(),
              static_cast<long>(std::max(options.mtu_bytes, kMtuMin)));
  DTLS_set_timer_cb(ssl_.get(), &NextTimerInterval);
  if (options.peers == Peers::kByName) Expect(options.name);
  if (side == Side::kClient) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
}

// RFC 6125, as for HTTPS.
void Connection::Expect(const std::string& name) {
  if (IpAddress::Parse(name).ok()) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), name.c_str());
    return;
  }
  SSL_set1_host(ssl_.get(), name.c_str());
  // SNI is for names only (RFC 6066 section 3).
  SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
}

const BIO_METHOD* Connection::Method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
                                 "kyuu datagrams");
    KYUU_CHECK(m != nullptr);
    BIO_meth_set_write(m, &WriteDatagram);
    BIO_meth_set_read(m, &ReadDatagram);
    BIO_meth_set_ctrl(m, &Control);
    return m;
  }();
  return method;
}

// Each write of OpenSSL is one datagram: a sealed record goes straight to its
// place, all else (flights, alerts) waits to be polled.
int Connection::WriteDatagram(BIO* bio, const char* data, int size) {
  auto* self = static_cast<Connection*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  const size_t length = static_cast<size_t>(size);
  if (!self->sealed_.empty() && self->sealed_size_ == 0 &&
      static_cast<uint8_t>(data[0]) == kApplicationData) {
    KYUU_CHECK(length <= self->sealed_.size());
    std::memcpy(self->sealed_.data(), data, length);
    self->sealed_size_ = length;
    return size;
  }
  if (self->outgoing_.size() >= self->options_.outgoing_datagrams_max) {
    ++self->outgoing_dropped_;
    return size;
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(data);
  self->outgoing_.emplace_back(bytes, bytes + length);
  if (self->waiting_ && !self->retransmitting_ &&
      self->flight_.size() < self->options_.outgoing_datagrams_max) {
    self->flight_.push_back(self->outgoing_.back());
  }
  return size;
}

int Connection::ReadDatagram(BIO* bio, char* data, int size) {
  auto* self = static_cast<Connection*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (self->incoming_.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  // As with recv(), what does not fit is lost; OpenSSL's buffer holds the
  // largest record, and Session passes no more than one datagram.
  const size_t length =
      std::min(self->incoming_.size(), static_cast<size_t>(std::max(size, 0)));
  std::memcpy(data, self->incoming_.data(), length);
  self->incoming_ = {};
  return static_cast<int>(length);
}

long Connection::Control(BIO* bio, int command, long, void* pointer) {
  if (command == BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT && pointer != nullptr) {
    static_cast<Connection*>(BIO_get_data(bio))
        ->OnTimer(static_cast<timeval*>(pointer));
  }
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

void Connection::OnTimer(timeval* deadline) {
  if (OpenSSL_version_num() < kVersionWithCopy) deadline_ = deadline;
  if (deadline->tv_sec == 0 && deadline->tv_usec == 0) {
    waiting_ = false;
    flight_.clear();
    return;
  }
  if (deadline_ != nullptr) {
    // So that a step of the wall clock makes nothing of it.
    deadline_->tv_sec = std::numeric_limits<int32_t>::max();
  }
  // It starts with each message of a flight.
  if (waiting_) return;
  waiting_ = true;
  ++flights_;
  flight_.clear();
  retransmissions_ = 0;
}

int Connection::VerifyCertificate(X509_STORE_CTX* store, void*) {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* self = static_cast<Connection*>(SSL_get_app_data(ssl));
  const X509* certificate = X509_STORE_CTX_get0_cert(store);
  if (certificate != nullptr && self->Judge(certificate) != Verdict::kDiffers) {
    return 1;
  }
  self->mismatch_seen_ = true;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;  // OpenSSL tells the peer by the alert bad_certificate.
}

unsigned int Connection::NextTimerInterval(SSL*, unsigned int) {
  return kNeverUs;
}

Progress Connection::Result(int result) {
  if (result == 1) return Progress::kDone;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE:
      return Progress::kDone;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return Progress::kWaits;
    case SSL_ERROR_ZERO_RETURN:
      return Progress::kClosed;
    default:
      return Progress::kFailed;
  }
}

Progress Connection::Handshake() {
  ClearErrors();
  return Result(SSL_do_handshake(ssl_.get()));
}

Progress Connection::Peek() {
  ClearErrors();
  uint8_t byte = 0;
  size_t size = 0;
  return Result(SSL_peek_ex(ssl_.get(), &byte, 1, &size));
}

Progress Connection::Read(absl::Span<uint8_t> out, size_t& size, bool& fits) {
  ClearErrors();
  size = 0;
  fits = true;
  std::array<uint8_t, 1024> scratch;
  // Even an empty `out` takes the record, to find it too large.
  const absl::Span<uint8_t> target =
      out.empty() ? absl::MakeSpan(scratch) : out;
  const Progress progress =
      Result(SSL_read_ex(ssl_.get(), target.data(), target.size(), &size));
  if (progress != Progress::kDone) return progress;
  if (out.empty()) fits = size == 0;
  // OpenSSL hands a record out in parts when the buffer is short. A record that
  // filled a buffer of kPlaintextMax was complete.
  if (size < target.size() || size >= kPlaintextMax) return progress;
  for (size_t rest = 1; rest > 0 && SSL_pending(ssl_.get()) > 0;) {
    fits = false;
    rest = 0;
    SSL_read_ex(ssl_.get(), scratch.data(), scratch.size(), &rest);
  }
  return progress;
}

std::optional<size_t> Connection::Write(absl::Span<const uint8_t> plaintext,
                                        absl::Span<uint8_t> out) {
  ClearErrors();
  sealed_ = out;
  sealed_size_ = 0;
  size_t written = 0;
  SSL_write_ex(ssl_.get(), plaintext.data(), plaintext.size(), &written);
  sealed_ = {};
  if (sealed_size_ == 0) return std::nullopt;
  return sealed_size_;
}

void Connection::Shutdown() {
  ClearErrors();
  SSL_shutdown(ssl_.get());
  ClearErrors();
}

bool Connection::Retransmit() {
  const bool own = std::find(std::begin(kOwn), std::end(kOwn),
                             retransmissions_++) != std::end(kOwn);
  if (deadline_ != nullptr && own) {
    deadline_->tv_sec = 1;  // Long ago.
    ClearErrors();
    retransmitting_ = true;
    const long result = DTLSv1_handle_timeout(ssl_.get());
    retransmitting_ = false;
    return result >= 0;
  }
  for (const std::vector<uint8_t>& datagram : flight_) {
    if (outgoing_.size() >= options_.outgoing_datagrams_max) {
      ++outgoing_dropped_;
    } else {
      outgoing_.push_back(datagram);
    }
  }
  return true;
}

void Connection::SetFingerprints(std::vector<Fingerprint> fingerprints) {
  fingerprints_ = std::move(fingerprints);
}

Verdict Connection::Judge(const X509* certificate) const {
  const std::optional<HashAlgorithm> algorithm = StrongestHash(fingerprints_);
  if (!algorithm) return Verdict::kUnknown;
  const Fingerprint actual = DigestOf(certificate, *algorithm);
  return std::find(fingerprints_.begin(), fingerprints_.end(), actual) ==
                 fingerprints_.end()
             ? Verdict::kDiffers
             : Verdict::kMatches;
}

Verdict Connection::JudgePeer() const {
  if (options_.peers == Peers::kAnybody) return Verdict::kMatches;
  if (options_.peers == Peers::kByName) {
    return SSL_get_verify_result(ssl_.get()) == X509_V_OK ? Verdict::kMatches
                                                          : Verdict::kDiffers;
  }
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  return certificate == nullptr ? Verdict::kDiffers : Judge(certificate);
}

std::optional<std::string> Connection::Distrust() const {
  if (options_.peers != Peers::kByName) return std::nullopt;
  const long result = SSL_get_verify_result(ssl_.get());
  if (result == X509_V_OK) return std::nullopt;
  return X509_verify_cert_error_string(result);
}

Fingerprint Connection::PeerFingerprint() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  return certificate == nullptr ? Fingerprint()
                                : DigestOf(certificate, HashAlgorithm::kSha256);
}

}  // namespace kyuu::dtls::internal
