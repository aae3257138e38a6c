#include "dtls/internal/client_hello.h"

#include "base/bytes.h"

namespace kyuu::dtls::internal {
namespace {

constexpr uint8_t kHandshake = 22;  // ContentType, RFC 5246 section 6.2.1.
constexpr uint8_t kClientHelloType = 1;
constexpr uint8_t kHelloVerifyRequestType = 3;  // RFC 6347 section 4.3.2.
// Of every HelloVerifyRequest, whatever is agreed on later (section 4.2.1).
constexpr uint16_t kDtls10 = 0xfeff;
constexpr size_t kRandomBytes = 32;
constexpr uint16_t kServerName = 0;  // ExtensionType, RFC 6066 section 1.1.
constexpr uint8_t kHostName = 0;     // NameType, section 3.
constexpr size_t kHostNameMax = 255;

// The host_name in the value of a server_name extension:
//
//   struct {
//     NameType name_type;  // 1 byte
//     opaque HostName<1..2^16-1>;
//   } ServerName;
//   ServerName server_name_list<1..2^16-1>;
//
// There is one type of names, and no two names of a type.
absl::string_view HostNameIn(absl::Span<const uint8_t> extension) {
  Reader r(extension);
  Reader list(r.Bytes(r.U16()));
  const uint8_t type = list.U8();
  const absl::string_view name = AsText(list.Bytes(list.U16()));
  const bool whole = r.ok() && r.empty() && list.ok() && list.empty();
  if (!whole || type != kHostName || name.size() > kHostNameMax ||
      name.find('\0') != absl::string_view::npos) {
    return {};
  }
  return name;
}

// What stands behind the cookie.
absl::string_view ServerNameIn(Reader& r) {
  r.Skip(r.U16());  // cipher_suites
  r.Skip(r.U8());   // compression_methods
  Reader extensions(r.Bytes(r.U16()));
  if (!r.ok()) return {};
  while (!extensions.empty()) {
    const uint16_t type = extensions.U16();
    const absl::Span<const uint8_t> value = extensions.Bytes(extensions.U16());
    if (!extensions.ok()) return {};
    if (type == kServerName) return HostNameIn(value);
  }
  return {};
}

}  // namespace

std::optional<ClientHello> ReadClientHello(absl::Span<const uint8_t> datagram) {
  ClientHello hello;
  Reader record(datagram);
  const uint8_t content = record.U8();
  const uint8_t major = record.U8();
  record.Skip(1);
  const uint16_t epoch = record.U16();
  hello.record_sequence = record.U48();
  Reader r(record.Bytes(record.U16()));
  const uint8_t type = r.U8();
  const uint32_t length = r.U24();
  r.Skip(2);  // message_seq
  const uint32_t fragment_offset = r.U24();
  const uint32_t fragment_length = r.U24();
  r.Skip(2 + kRandomBytes);  // client_version
  r.Skip(r.U8());            // session_id
  hello.cookie = r.Bytes(r.U8());
  if (!record.ok() || !r.ok() || content != kHandshake || major != 0xfe ||
      epoch != 0 || type != kClientHelloType || fragment_offset != 0 ||
      fragment_length != length) {
    return std::nullopt;
  }
  hello.server_name = ServerNameIn(r);
  return hello;
}

absl::Span<const uint8_t> WriteHelloVerify(const ClientHello& hello,
                                           absl::Span<const uint8_t> cookie,
                                           absl::Span<uint8_t> out) {
  const size_t body = 2 + 1 + cookie.size();
  if (cookie.size() > 255 ||
      out.size() < kHelloVerifyOverhead + cookie.size()) {
    return {};
  }
  Writer w(out);
  w.U8(kHandshake);
  w.U16(kDtls10);
  w.U16(0);  // epoch
  w.U48(hello.record_sequence);
  w.U16(static_cast<uint16_t>(12 + body));
  w.U8(kHelloVerifyRequestType);
  w.U24(static_cast<uint32_t>(body));
  w.U16(0);  // message_seq
  w.U24(0);
  w.U24(static_cast<uint32_t>(body));
  w.U16(kDtls10);
  w.U8(static_cast<uint8_t>(cookie.size()));
  w.Bytes(cookie);
  return out.first(kHelloVerifyOverhead + cookie.size());
}

}  // namespace kyuu::dtls::internal
