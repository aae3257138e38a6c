#include "signaling/client_connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/bytes.h"
#include "signaling/internal/websocket_frame.h"

namespace kyuu::signaling {

absl::StatusOr<WebSocketUrl> WebSocketUrl::Parse(absl::string_view url) {
  const auto wrong = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " in \"", url, "\"; expected ws://HOST:PORT/PATH"));
  };
  WebSocketUrl result;
  absl::string_view rest = url;
  const size_t scheme_end = url.find("://");
  if (scheme_end != absl::string_view::npos) {
    const absl::string_view scheme = url.substr(0, scheme_end);
    rest = url.substr(scheme_end + 3);
    if (absl::EqualsIgnoreCase(scheme, "wss") ||
        absl::EqualsIgnoreCase(scheme, "https")) {
      result.secure = true;
      result.port = 443;
    } else if (!absl::EqualsIgnoreCase(scheme, "ws") &&
               !absl::EqualsIgnoreCase(scheme, "http")) {
      return wrong("unknown scheme");
    }
  }
  rest = rest.substr(0, rest.find('#'));
  const size_t path = rest.find_first_of("/?");
  if (path != absl::string_view::npos) {
    const absl::string_view target = rest.substr(path);
    result.target = absl::StrCat(target[0] == '?' ? "/" : "", target);
    rest = rest.substr(0, path);
  }
  const auto is_graph = [](unsigned char c) { return c > 0x20 && c < 0x7f; };
  if (!std::all_of(result.target.begin(), result.target.end(), is_graph) ||
      !std::all_of(rest.begin(), rest.end(), is_graph)) {
    return wrong("blank or control character");
  }
  absl::string_view port;
  if (absl::ConsumePrefix(&rest, "[")) {
    const size_t bracket = rest.find(']');
    if (bracket == absl::string_view::npos) return wrong("missing ]");
    result.host = std::string(rest.substr(0, bracket));
    port = rest.substr(bracket + 1);
    if (!port.empty() && !absl::ConsumePrefix(&port, ":")) {
      return wrong("text behind ]");
    }
  } else {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(rest, absl::MaxSplits(':', 1));
    result.host = std::string(parts.first);
    port = parts.second;
  }
  if (result.host.empty() ||
      result.host.find_first_of("@/\\") != std::string::npos) {
    return wrong("no host");
  }
  if (!port.empty()) {
    uint32_t number = 0;
    if (!absl::SimpleAtoi(port, &number) || number == 0 || number > 0xffff) {
      return wrong("no port number");
    }
    result.port = static_cast<uint16_t>(number);
  }
  return result;
}

std::string WebSocketUrl::HostHeader() const {
  const std::string name =
      host.find(':') == std::string::npos ? host : absl::StrCat("[", host, "]");
  return port == (secure ? 443 : 80) ? name : absl::StrCat(name, ":", port);
}

std::string WebSocketUrl::ToString() const {
  return absl::StrCat(secure ? "wss://" : "ws://", HostHeader(), target);
}

ClientConnection::ClientConnection(const ClientConnectionOptions& options,
                                   Random& random, absl::Time now)
    : options_(options), random_(&random), parser_(options.http) {
  timers_.Set(Timer::kHandshake, now + options_.handshake_timeout);
  std::array<uint8_t, 16> nonce;
  random_->Fill(absl::MakeSpan(nonce));
  key_ = absl::Base64Escape(AsText(nonce));
  HttpHeaders headers;
  headers.Add("Host", options_.url.HostHeader());
  headers.Add("Upgrade", "websocket");
  headers.Add("Connection", "Upgrade");
  headers.Add("Sec-WebSocket-Key", key_);
  headers.Add("Sec-WebSocket-Version", "13");
  if (!options_.subprotocol.empty()) {
    headers.Add("Sec-WebSocket-Protocol", options_.subprotocol);
  }
  if (!options_.origin.empty()) headers.Add("Origin", options_.origin);
  absl::StatusOr<std::string> request =
      WriteRequest("GET", options_.url.target, headers);
  if (request.ok()) {
    stream_.Write(*request);
  } else {
    Finish(request.status());
  }
}

void ClientConnection::HandlePacket(absl::Time now, Packet in) {
  if (state_ == State::kHandshake) {
    const absl::StatusOr<size_t> taken = parser_.Feed(in);
    if (!taken.ok()) {
      return Finish(absl::UnavailableError(
          absl::StrCat("the server does not answer as a WebSocket server: ",
                       taken.status().message())));
    }
    in.remove_prefix(*taken);
    if (std::optional<HttpResponse> response = parser_.Take()) {
      HandleResponse(now, *response);
    }
  }
  if (WebSocket* open = stream_.websocket()) open->HandlePacket(now, in);
}

void ClientConnection::HandleResponse(absl::Time now,
                                      const HttpResponse& response) {
  timers_.StopAll();
  http_status_ = response.status;
  const absl::Status status = CheckResponse(response);
  if (!status.ok()) return Finish(status);
  state_ = State::kOpen;
  stream_.Emit(WebSocketOpened{std::string(
      response.headers.Find("Sec-WebSocket-Protocol").value_or(""))});
  stream_.Upgrade(options_.websocket, WebSocketRole::kClient, *random_, now);
}

absl::Status ClientConnection::CheckResponse(
    const HttpResponse& response) const {
  // RFC 6455 section 4.1, the checks behind "Once the client's opening
  // handshake has been sent".
  const HttpHeaders& headers = response.headers;
  if (response.status != 101) {
    std::string text = absl::StrCat(
        "the server answers \"", response.status, " ", response.reason,
        "\" instead of opening a WebSocket at ", options_.url.ToString());
    const auto location = headers.Find("Location");
    if (response.status / 100 == 3 && location.has_value()) {
      absl::StrAppend(&text, "; it points to ", *location);
    } else if (response.status == 400 && !options_.url.secure) {
      // The answer of common servers to what is not TLS.
      absl::StrAppend(&text, "; if it speaks TLS there, use https://");
    }
    return absl::UnavailableError(text);
  }
  const absl::string_view subprotocol =
      headers.Find("Sec-WebSocket-Protocol").value_or("");
  if (!headers.HasToken("Upgrade", "websocket") ||
      !headers.HasToken("Connection", "Upgrade") ||
      headers.Find("Sec-WebSocket-Accept").value_or("") !=
          internal::AcceptKey(key_) ||
      headers.Count("Sec-WebSocket-Accept") != 1 ||
      headers.Count("Sec-WebSocket-Extensions") > 0) {
    return absl::UnavailableError(
        "the server's WebSocket handshake is malformed");
  }
  if (subprotocol != options_.subprotocol) {
    return absl::UnavailableError(
        absl::StrCat("the server does not speak ", options_.subprotocol));
  }
  return absl::OkStatus();
}

void ClientConnection::HandleTimeout(absl::Time now) {
  if (WebSocket* open = stream_.websocket()) return open->HandleTimeout(now);
  if (timers_.PopDue(now).has_value()) {
    Finish(absl::DeadlineExceededError(
        "the server does not answer the WebSocket handshake"));
  }
}

std::optional<ClientConnection::Packet> ClientConnection::PollTransmit(
    absl::Time now, absl::Span<uint8_t> out) {
  return stream_.PollTransmit(now, out);
}

std::optional<ClientConnection::Event> ClientConnection::PollEvent() {
  return stream_.PollEvent();
}

absl::Time ClientConnection::NextTimeout() const {
  const WebSocket* open = stream_.websocket();
  return open != nullptr ? open->NextTimeout() : timers_.NextTimeout();
}

absl::Status ClientConnection::Send(absl::Time now, MessageKind kind,
                                    std::string data) {
  return stream_.Send(now, kind, std::move(data));
}

absl::Status ClientConnection::Close(absl::Time now, uint16_t code,
                                     absl::string_view reason) {
  return stream_.Close(now, code, reason);
}

void ClientConnection::HandleStreamEnd(absl::Time now,
                                       const absl::Status& why) {
  stream_.DropUnsent();
  if (WebSocket* open = stream_.websocket()) return open->HandleStreamEnd(now);
  Finish(absl::UnavailableError(
      why.ok() ? "the server closed the connection during the WebSocket "
                 "handshake"
               : why.message()));
}

bool ClientConnection::finished() const {
  const WebSocket* open = stream_.websocket();
  return open != nullptr ? open->finished() : state_ == State::kClosed;
}

void ClientConnection::Finish(absl::Status status) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  timers_.StopAll();
  stream_.Emit(WebSocketClosed{std::move(status), kCloseAbnormal, ""});
}

std::string ClientConnection::DebugString() const {
  if (const WebSocket* open = stream_.websocket()) return open->DebugString();
  return absl::StrCat(
      "WebSocket client ", state_ == State::kClosed ? "closed" : "in handshake",
      ", timer ", absl::FormatTime(timers_.deadline(Timer::kHandshake)));
}

}  // namespace kyuu::signaling
