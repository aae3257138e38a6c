#include "dtls/internal/connection.h"

#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "dtls/internal/digest.h"
#include "dtls/internal/record.h"

namespace kyuu::dtls::internal {

namespace {

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

// Each write of OpenSSL is one datagram.
int Connection::WriteDatagram(BIO* bio, const char* data, int size) {
  auto* self = static_cast<Connection*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  const auto bytes = absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(data),
                                         static_cast<size_t>(size));
  self->Watch(bytes);
  self->outgoing_.emplace_back(bytes.begin(), bytes.end());
  if (self->waiting_ && !self->retransmitting_) {
    self->flight_.push_back(self->outgoing_.back());
  }
  return size;
}

void Connection::Watch(absl::Span<const uint8_t> datagram) {
  while (const std::optional<Record> record = TakeRecord(datagram)) {
    if (record->epoch == kClearEpoch) {
      clear_sequence_ = std::max(clear_sequence_, record->sequence + 1);
      continue;
    }
    protected_sequence_ = std::max(protected_sequence_, record->sequence + 1);
    if (record->type == ContentType::kHandshake) {
      finished_.assign(record->bytes.begin(), record->bytes.end());
    }
  }
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
  outgoing_.insert(outgoing_.end(), flight_.begin(), flight_.end());
  return true;
}

void Connection::SetFingerprints(std::vector<Fingerprint> fingerprints) {
  fingerprints_ = std::move(fingerprints);
}

Verdict Connection::Judge(const X509* certificate) const {
  return JudgeBy(fingerprints_, [certificate](HashAlgorithm algorithm) {
    return DigestOf(certificate, algorithm);
  });
}

std::optional<Verdict> Connection::JudgeWithoutFingerprints() const {
  switch (options_.peers) {
    case Peers::kByFingerprint:
      break;
    case Peers::kAnybody:
      return Verdict::kMatches;
    case Peers::kByName:
      return SSL_get_verify_result(ssl_.get()) == X509_V_OK ? Verdict::kMatches
                                                            : Verdict::kDiffers;
  }
  return std::nullopt;
}

std::optional<std::string> Connection::Distrust() const {
  if (options_.peers != Peers::kByName) return std::nullopt;
  const long result = SSL_get_verify_result(ssl_.get());
  if (result == X509_V_OK) return std::nullopt;
  return X509_verify_cert_error_string(result);
}

Fingerprint Connection::PeerFingerprint(HashAlgorithm algorithm) const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  return certificate == nullptr ? Fingerprint()
                                : DigestOf(certificate, algorithm);
}

std::optional<Connection::Handover> Connection::HandOver() const {
  SSL* ssl = ssl_.get();
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
  if (SSL_is_init_finished(ssl) != 1 || cipher == nullptr ||
      finished_.empty()) {
    return std::nullopt;
  }
  Aead aead;
  switch (SSL_CIPHER_get_cipher_nid(cipher)) {
    case NID_aes_128_gcm:
      aead = Aead::kAes128Gcm;
      break;
    case NID_aes_256_gcm:
      aead = Aead::kAes256Gcm;
      break;
    case NID_chacha20_poly1305:
      aead = Aead::kChaCha20Poly1305;
      break;
    default:
      return std::nullopt;  // SetUp offers no others.
  }
  std::array<uint8_t, SSL3_MASTER_SECRET_SIZE> secret;
  std::array<uint8_t, 2 * SSL3_RANDOM_SIZE> randoms;
  SSL_get_server_random(ssl, randoms.data(), SSL3_RANDOM_SIZE);
  SSL_get_client_random(ssl, randoms.data() + SSL3_RANDOM_SIZE,
                        SSL3_RANDOM_SIZE);
  const size_t size = SSL_SESSION_get_master_key(SSL_get0_session(ssl),
                                                 secret.data(), secret.size());
  std::optional<KeyBlock> keys = DeriveKeys(
      aead, EVP_MD_get0_name(SSL_CIPHER_get_handshake_digest(cipher)),
      absl::MakeConstSpan(secret).first(size), randoms);
  OPENSSL_cleanse(secret.data(), secret.size());
  if (!keys) return std::nullopt;
  Reader nonce(absl::MakeConstSpan(finished_).subspan(Record::kHeaderBytes));
  return Handover{
      .keys = *keys,
      .clear_sequence = clear_sequence_,
      .start = {.sequence = protected_sequence_, .nonce = nonce.U64() + 1},
      .finished = finished_};
}

}  // namespace kyuu::dtls::internal
