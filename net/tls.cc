#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace kyuu::net {
namespace {

// One TLS record (RFC 8446 section 5.1).
constexpr size_t kRecordBytes = 16384;
// More than a record's header, tag and padding take.
constexpr size_t kRecordOverhead = 64;
// Room for what TLS itself has to say beside the data: tickets, alerts.
constexpr size_t kControlBytes = 4096;

struct ContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, ContextDeleter>;
struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// The reason of the last failure, and an empty error queue.
std::string TakeReason() {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(error);
  return reason == nullptr ? "unknown reason" : reason;
}

// Protocols in the form of RFC 7301 section 3.1: length, name, length, name.
std::optional<std::string> AlpnList(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 255) return std::nullopt;
    list += static_cast<char>(name.size());
    list += name;
  }
  return list;
}

// What is wrong with the other side's certificate, behind the reason that says
// only that something is; "" if that is all well.
std::string CertificateFault(const SSL& ssl) {
  const long verdict = SSL_get_verify_result(&ssl);
  if (verdict == X509_V_OK) return "";
  return absl::StrCat(": ", X509_verify_cert_error_string(verdict));
}

const uint8_t* Raw(const std::string& text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

}  // namespace

struct TlsContext::Shared {
  ContextPtr context;
  std::vector<ContextPtr> others;  // Of a server's further certificates.
  std::string alpn;                // In the form of RFC 7301.
  std::string server_name;         // Clients only.
  bool is_server = false;
  bool verify = true;

  static int SelectAlpn(SSL*, const uint8_t** out, uint8_t* out_size,
                        const uint8_t* in, unsigned in_size, void* shared) {
    const std::string& ours = static_cast<const Shared*>(shared)->alpn;
    uint8_t* selected = nullptr;
    if (SSL_select_next_proto(&selected, out_size, Raw(ours),
                              static_cast<unsigned>(ours.size()), in,
                              in_size) != OPENSSL_NPN_NEGOTIATED) {
      return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
  }

  // Unknown names are no error: people also come by a name that a certificate
  // does not have, and decide themselves.
  static int SelectCertificate(SSL* ssl, int*, void* self) {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const auto& shared = *static_cast<const Shared*>(self);
    if (name == nullptr || IsFor(*shared.context, name)) {
      return SSL_TLSEXT_ERR_OK;
    }
    for (const ContextPtr& other : shared.others) {
      if (!IsFor(*other, name)) continue;
      SSL_set_SSL_CTX(ssl, other.get());
      return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_OK;
  }
  static bool IsFor(const SSL_CTX& context, const char* name) {
    return X509_check_host(SSL_CTX_get0_certificate(&context), name, 0, 0,
                           nullptr) == 1;
  }
};

namespace {

// What both sides agree on: TLS 1.2 at least, and no renegotiation, by which
// a client can make a server work (CVE-2011-1473).
absl::Status Prepare(SSL_CTX* context, const std::vector<std::string>& names,
                     std::string& alpn) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  std::optional<std::string> list = AlpnList(names);
  if (!list) {
    return absl::InvalidArgumentError(
        "tls: a protocol's name has 1 to 255 bytes");
  }
  alpn = *std::move(list);
  return absl::OkStatus();
}

absl::Status Load(SSL_CTX* context, const TlsContext::Certificate& files) {
  if (SSL_CTX_use_certificate_chain_file(context,
                                         files.certificate_file.c_str()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.certificate_file, ": ", TakeReason()));
  }
  if (SSL_CTX_use_PrivateKey_file(context, files.key_file.c_str(),
                                  SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.key_file, ": ", TakeReason()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TlsContext> TlsContext::Server(const ServerOptions& options) {
  if (options.certificates.empty()) {
    return absl::InvalidArgumentError("tls: a server needs a certificate");
  }
  auto shared = std::make_shared<Shared>();
  shared->is_server = true;
  for (const Certificate& files : options.certificates) {
    ContextPtr context(SSL_CTX_new(TLS_server_method()));
    KYUU_CHECK(context != nullptr);
    KYUU_RETURN_IF_ERROR(Prepare(context.get(), options.alpn, shared->alpn));
    KYUU_RETURN_IF_ERROR(Load(context.get(), files));
    // Who comes back shows a ticket, of which one is enough: nothing is kept.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 1);
    if (!shared->alpn.empty()) {
      SSL_CTX_set_alpn_select_cb(context.get(), &Shared::SelectAlpn,
                                 shared.get());
    }
    if (shared->context == nullptr) {
      shared->context = std::move(context);
    } else {
      shared->others.push_back(std::move(context));
    }
  }
  // Asked of the context that a handshake begins with, the first.
  SSL_CTX_set_tlsext_servername_callback(shared->context.get(),
                                         &Shared::SelectCertificate);
  SSL_CTX_set_tlsext_servername_arg(shared->context.get(), shared.get());
  return TlsContext(std::move(shared));
}

absl::StatusOr<TlsContext> TlsContext::Client(const ClientOptions& options) {
  auto shared = std::make_shared<Shared>();
  shared->server_name = options.server_name;
  shared->verify = options.verify;
  shared->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = shared->context.get();
  KYUU_CHECK(context != nullptr);
  const absl::Status status = Prepare(context, options.alpn, shared->alpn);
  if (!status.ok()) return status;
  if (options.verify) {
    if (options.server_name.empty()) {
      return absl::InvalidArgumentError(
          "tls: a name is needed to verify the server");
    }
    const bool loaded =
        options.ca_file.empty()
            ? SSL_CTX_set_default_verify_paths(context) == 1
            : SSL_CTX_load_verify_file(context, options.ca_file.c_str()) == 1;
    if (!loaded) {
      return absl::InvalidArgumentError(
          absl::StrCat(options.ca_file, ": ", TakeReason()));
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  if (options.certificate.has_value()) {
    KYUU_RETURN_IF_ERROR(Load(context, *options.certificate));
  }
  if (!shared->alpn.empty()) {
    SSL_CTX_set_alpn_protos(context, Raw(shared->alpn),
                            static_cast<unsigned>(shared->alpn.size()));
  }
  return TlsContext(std::move(shared));
}

struct TlsStream::State {
  State(std::shared_ptr<const TlsContext::Shared> context, TcpStream stream)
      : shared(std::move(context)),
        tcp(std::move(stream)),
        ssl(SSL_new(shared->context.get())) {
    BIO* end = BIO_new(EndMethod());
    KYUU_CHECK(ssl != nullptr && end != nullptr);
    BIO_set_data(end, this);
    BIO_set_init(end, 1);
    SSL_set_bio(ssl.get(), end, end);  // Which OpenSSL owns.
    if (shared->is_server) {
      SSL_set_accept_state(ssl.get());
      return;
    }
    SSL_set_connect_state(ssl.get());
    const std::string& name = shared->server_name;
    const bool is_address = IpAddress::Parse(name).ok();
    // SNI is for names only (RFC 6066 section 3).
    if (!name.empty() && !is_address) {
      SSL_set_tlsext_host_name(ssl.get(), name.c_str());
    }
    if (shared->verify) {
      if (is_address) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), name.c_str());
      } else {
        SSL_set1_host(ssl.get(), name.c_str());
      }
    }
    SSL_do_handshake(ssl.get());  // The ClientHello.
  }

  // OpenSSL's end of the stream: it takes what has arrived, and hands what it
  // has made to the connection. Its own memory BIOs keep for ever what they
  // once needed, kilobytes of each idle stream.
  static const BIO_METHOD* EndMethod() {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* made =
          BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "kyuu");
      KYUU_CHECK(made != nullptr);
      BIO_meth_set_read_ex(made, &TakeArrived);
      BIO_meth_set_write_ex(made, &HandOut);
      BIO_meth_set_ctrl(made, [](BIO*, int command, long, void*) {
        return command == BIO_CTRL_FLUSH ? 1L : 0L;
      });
      return made;
    }();
    return method;
  }
  static int TakeArrived(BIO* end, char* to, size_t size, size_t* taken) {
    State& s = *static_cast<State*>(BIO_get_data(end));
    BIO_clear_retry_flags(end);
    *taken = s.arrived.copy(to, size, s.taken);
    s.taken += *taken;
    if (*taken == 0 && size > 0) {
      BIO_set_retry_read(end);
      return 0;
    }
    // An idle stream keeps nothing.
    if (s.taken == s.arrived.size()) {
      s.arrived = std::string();
      s.taken = 0;
    }
    return 1;
  }
  static int HandOut(BIO* end, const char* from, size_t size, size_t* written) {
    State& s = *static_cast<State*>(BIO_get_data(end));
    BIO_clear_retry_flags(end);
    *written = size;
    const absl::Status status =
        s.tcp.Write(AsBytes(absl::string_view(from, size)));
    if (status.ok()) return 1;
    s.Fail(status);
    return 0;
  }

  void Fail(absl::Status why) {
    if (status.ok()) status = std::move(why);
    early.clear();
  }

  bool Encrypt(absl::Span<const uint8_t> bytes) {
    if (bytes.empty()) return true;
    size_t written = 0;
    ERR_clear_error();
    if (SSL_write_ex(ssl.get(), bytes.data(), bytes.size(), &written) != 1) {
      Fail(absl::InternalError(absl::StrCat("tls: ", TakeReason())));
      return false;
    }
    return status.ok();
  }

  // One step of OpenSSL's: bytes that were read into `out`, or why there are
  // none. A failure shows in `status` too.
  ReadResult Step(Take take, absl::Span<uint8_t> to) {
    size_t bytes = 0;
    ERR_clear_error();
    const int result =
        take == Take::kBytes
            ? SSL_read_ex(ssl.get(), to.data(), to.size(), &bytes)
            : SSL_peek_ex(ssl.get(), to.data(), to.size(), &bytes);
    const int error = SSL_get_error(ssl.get(), result);
    const std::string reason =
        error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ ? ""
                                                                : TakeReason();
    AfterHandshake();
    if (result == 1) return {ReadState::kData, bytes};
    if (error == SSL_ERROR_ZERO_RETURN) return {ReadState::kEnd, 0};
    if (error == SSL_ERROR_WANT_READ) return {};
    Fail(absl::UnavailableError(
        absl::StrCat("tls ", tcp.path().remote.ToString(), ": ", reason,
                     shared->verify ? CertificateFault(*ssl) : "")));
    return {ReadState::kFailed, 0};
  }

  bool has_pending() const {
    return SSL_pending(ssl.get()) > 0 || !arrived.empty();
  }

  // What was written during the handshake follows it, and the end after that.
  void AfterHandshake() {
    if (!SSL_is_init_finished(ssl.get())) return;
    const std::string waiting = std::exchange(early, {});
    if (!Encrypt(AsBytes(waiting))) return;
    if (ending && !ended) {
      ended = true;
      SSL_shutdown(ssl.get());
      tcp.ShutdownWrite();
    }
  }

  // Moves bytes from the connection to TLS; nullopt if there were some. After
  // fewer than there was room for there are no more: that is known without
  // another call, once.
  std::optional<ReadResult> MoveIn() {
    if (std::exchange(drained, false)) return ReadResult{};
    std::array<uint8_t, 2 * kRecordBytes> chunk;
    const ReadResult got = tcp.Read(absl::MakeSpan(chunk));
    if (got.state == ReadState::kData) {
      drained = got.bytes < chunk.size();
      arrived.erase(0, std::exchange(taken, 0));
      absl::StrAppend(&arrived,
                      AsText(absl::MakeConstSpan(chunk).first(got.bytes)));
      return std::nullopt;
    }
    if (got.state == ReadState::kEnd) {
      Fail(absl::DataLossError(absl::StrCat(
          "tls ", tcp.path().remote.ToString(), ": ended without notice")));
      return ReadResult{ReadState::kFailed, 0};
    }
    if (got.state == ReadState::kFailed) Fail(tcp.status());
    return got;
  }

  std::shared_ptr<const TlsContext::Shared> shared;
  TcpStream tcp;
  std::string arrived;  // Of which OpenSSL has taken so many.
  size_t taken = 0;
  std::unique_ptr<SSL, SslDeleter> ssl;
  std::string early;     // Written before the handshake's end.
  bool drained = false;  // MoveIn() has taken all that was there.
  bool ending = false;
  bool ended = false;
  absl::Status status;
};

TlsStream::TlsStream(const TlsContext& context, TcpStream stream)
    : state_(std::make_unique<State>(context.shared_, std::move(stream))) {}
TlsStream::TlsStream(TlsStream&&) noexcept = default;
TlsStream& TlsStream::operator=(TlsStream&&) noexcept = default;
TlsStream::~TlsStream() = default;

int TlsStream::fd() const { return state_->tcp.fd(); }
const Path& TlsStream::path() const { return state_->tcp.path(); }

ReadResult TlsStream::Read(absl::Span<uint8_t> out) {
  return ReadOrPeek(Take::kBytes, out);
}
ReadResult TlsStream::Peek(absl::Span<uint8_t> out) {
  return ReadOrPeek(Take::kLook, out);
}
bool TlsStream::has_pending() const {
  return state_->status.ok() && state_->has_pending();
}

// Takes as many records as are here and have room, so that they are worked on
// together.
ReadResult TlsStream::ReadOrPeek(Take take, absl::Span<uint8_t> out) {
  State& s = *state_;
  while (s.status.ok()) {
    ReadResult got = s.Step(take, out);
    while (got.state == ReadState::kData && take == Take::kBytes &&
           got.bytes < out.size() && s.has_pending()) {
      const ReadResult more = s.Step(take, out.subspan(got.bytes));
      if (more.state != ReadState::kData) return got;  // Told once more.
      got.bytes += more.bytes;
    }
    if (got.state != ReadState::kWouldBlock) return got;
    if (const std::optional<ReadResult> ended = s.MoveIn()) return *ended;
  }
  return {ReadState::kFailed, 0};
}

absl::Status TlsStream::Write(absl::Span<const uint8_t> bytes) {
  State& s = *state_;
  if (!s.status.ok()) return s.status;
  if (s.ending) {
    return absl::FailedPreconditionError("tls: written to after its end");
  }
  const size_t size = s.early.size() + bytes.size();
  const size_t records = size / kRecordBytes + 1;
  if (size + records * kRecordOverhead + kControlBytes > s.tcp.write_space()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("tls ", s.tcp.path().remote.ToString(), ": ", buffered(),
                     " bytes wait to be read by the peer"));
  }
  if (!handshake_done()) {
    s.early.append(AsText(bytes).data(), bytes.size());
    return absl::OkStatus();
  }
  return s.Encrypt(bytes) ? absl::OkStatus() : s.status;
}

void TlsStream::Flush() { state_->tcp.Flush(); }
void TlsStream::Cork() { state_->tcp.Cork(); }

void TlsStream::ShutdownWrite() {
  state_->ending = true;
  state_->AfterHandshake();
}

void TlsStream::Close() { state_->tcp.Close(); }
void TlsStream::Cut() { state_->tcp.Cut(); }

uint64_t TlsStream::taken_bytes() const { return state_->tcp.taken_bytes(); }
size_t TlsStream::unacknowledged() const {
  return state_->tcp.unacknowledged();
}
size_t TlsStream::buffered() const {
  return state_->early.size() + state_->tcp.buffered();
}
Interest TlsStream::interest() const { return state_->tcp.interest(); }
const absl::Status& TlsStream::status() const {
  return state_->status.ok() ? state_->tcp.status() : state_->status;
}
bool TlsStream::handshake_done() const {
  return SSL_is_init_finished(state_->ssl.get()) == 1;
}
std::string TlsStream::server_name() const {
  const char* name =
      SSL_get_servername(state_->ssl.get(), TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string() : std::string(name);
}
std::string TlsStream::alpn() const {
  const uint8_t* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(state_->ssl.get(), &name, &size);
  return std::string(AsText(absl::MakeConstSpan(name, size)));
}

}  // namespace kyuu::net
