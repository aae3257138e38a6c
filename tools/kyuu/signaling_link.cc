#include "tools/kyuu/signaling_link.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "net/resolve.h"
#include "signaling/close_code.h"
#include "signaling/endpoint.h"

namespace kyuu::tools {
namespace {

// How long a server has for its part of a closing handshake.
constexpr absl::Duration kGoodbye = absl::Seconds(2);

// What may be wrong if the server was reached and then spoke otherwise than by
// `scheme`; "" if it is something else.
absl::string_view SchemeHint(const signaling::WebSocketUrl& url,
                             absl::string_view why) {
  const auto is_one_of = [&](std::initializer_list<absl::string_view> texts) {
    return std::any_of(texts.begin(), texts.end(), [&](absl::string_view text) {
      return absl::StrContains(why, text);
    });
  };
  if (!url.secure) {
    // An alert, or no answer at all.
    return is_one_of({"does not answer", "during the WebSocket handshake",
                      "reset by peer"})
               ? "; if it speaks TLS there, use https://"
               : "";
  }
  // OpenSSL's words for an answer, or none, that is no TLS.
  return is_one_of({"wrong version number", "packet length too long",
                    "ended without notice"})
             ? "; if it speaks plain HTTP there, use http://"
             : "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<SignalingLink>> SignalingLink::Connect(
    net::Loop& loop, Random& random, const std::string& url, SignalingWays ways,
    Handler handler) {
  KYUU_ASSIGN_OR_RETURN(signaling::WebSocketUrl parsed,
                        signaling::WebSocketUrl::Parse(url));
  if (parsed.target == "/") parsed.target = signaling::kSignalingPath;
  KYUU_ASSIGN_OR_RETURN(const std::vector<TransportAddress> addresses,
                        net::Resolve(parsed.host, parsed.port));
  std::optional<net::TlsContext> tls;
  if (parsed.secure) {
    KYUU_ASSIGN_OR_RETURN(
        tls, net::TlsContext::Client({.server_name = parsed.host}));
  }
  std::unique_ptr<SignalingLink> link(new SignalingLink(
      loop, random, parsed, ways, std::move(tls), std::move(handler)));
  link->connector_.emplace(
      loop, addresses, [l = link.get()](absl::StatusOr<net::TcpStream> tcp) {
        l->OnConnected(std::move(tcp));
      });
  return link;
}

SignalingLink::SignalingLink(net::Loop& loop, Random& random,
                             const signaling::WebSocketUrl& url,
                             SignalingWays ways,
                             std::optional<net::TlsContext> tls,
                             Handler handler)
    : loop_(loop),
      random_(random),
      url_(url),
      ways_(ways),
      tls_(std::move(tls)),
      handler_(std::move(handler)),
      done_alarm_(loop, [this] { Over(); }) {}

SignalingLink::~SignalingLink() = default;

void SignalingLink::OnConnected(absl::StatusOr<net::TcpStream> tcp) {
  connector_.reset();
  if (!tcp.ok()) return Lost(tcp.status());
  server_ = tcp->path().remote;
  // The stream has served to find out which of the addresses answers.
  if (ways_ == SignalingWays::kEvents && GoWithoutSocket(absl::OkStatus())) {
    return;
  }
  net::Stream stream = tls_
                           ? net::Stream(net::TlsStream(*tls_, *std::move(tcp)))
                           : net::Stream(*std::move(tcp));
  connection_.emplace(signaling::ClientConnectionOptions{.url = url_}, random_,
                      net::Loop::Now());
  driver_.emplace(
      loop_, std::move(stream), *connection_, buffer_,
      [this](Event event) { OnEvent(std::move(event)); },
      [this](net::StreamEnd, const absl::Status& why) {
        Lost(why.ok() ? absl::UnavailableError("the connection is over") : why);
        Over();
      });
  driver_->Flush();
}

void SignalingLink::OnEvent(Event event) {
  if (closed_) {
    // The server has answered our Close, or said its own.
    if (std::holds_alternative<signaling::WebSocketClosed>(event)) Over();
    return;
  }
  if (auto* closed = std::get_if<signaling::WebSocketClosed>(&event)) {
    if (!opened_) {
      if (events_) {
        const absl::Status& why =
            socket_failure_.ok() ? closed->status : socket_failure_;
        return Lost(why);
      }
      if (!GoWithoutSocket(closed->status)) Lost(closed->status);
      return;
    }
    closed_ = true;
    // If the server broke the rules it is to hear so first.
    over_ = closed->status.ok();
  }
  opened_ = true;
  handler_(std::move(event));
}

bool SignalingLink::GoWithoutSocket(const absl::Status& why) {
  std::optional<EventLink::Urls> urls = EventLink::UrlsBeside(url_);
  const int answer = connection_ ? connection_->http_status() : 0;
  // Redirections are for a person to follow, and a server that has too much to
  // do is not to be asked once more.
  if (ways_ == SignalingWays::kWebSocket || !urls || answer / 100 == 3 ||
      answer == 429 || answer == 503) {
    return false;
  }
  socket_failure_ = why;
  driver_.reset();
  connection_.reset();
  events_.emplace(loop_, *std::move(urls), server_, tls_ ? &*tls_ : nullptr,
                  [this](Event event) { OnEvent(std::move(event)); });
  return true;
}

void SignalingLink::Send(std::string message) {
  if (events_) return events_->Send(std::move(message));
  if (closed_ || !connection_) return;
  // A failure here shows as WebSocketClosed.
  (void)connection_->Send(net::Loop::Now(), signaling::MessageKind::kText,
                          std::move(message));
}

void SignalingLink::Flush() {
  if (events_) events_->Flush();
  if (driver_) driver_->Flush();
}

void SignalingLink::Lost(const absl::Status& status) {
  if (std::exchange(closed_, true)) return;
  const bool reached = (connection_.has_value() || events_) && !opened_;
  handler_(signaling::WebSocketClosed{
      absl::UnavailableError(absl::StrCat(
          "cannot reach the server at ", url_.HostHeader(), ": ",
          status.message(), reached ? SchemeHint(url_, status.message()) : "")),
      signaling::kCloseAbnormal, ""});
}

void SignalingLink::Close(absl::AnyInvocable<void()> done) {
  connector_.reset();
  if (events_) {
    closed_ = true;
    return events_->Close(signaling::kCloseNormal, std::move(done));
  }
  if (connection_ && !closed_) {
    // Fails only before the handshake's end, when there is nobody to tell.
    (void)connection_->Close(net::Loop::Now(), signaling::kCloseNormal, "");
  }
  closed_ = true;
  done_ = std::move(done);
  if (!driver_ || over_) return Over();
  done_alarm_.Set(net::Loop::Now() + kGoodbye);
  Flush();
}

void SignalingLink::Leave(const absl::Status& why) {
  if (events_ || !connection_) return Drop();
  if (std::exchange(closed_, true)) return;
  const uint16_t code = absl::IsInvalidArgument(why)
                            ? signaling::kCloseProtocolError
                            : signaling::kClosePolicyViolation;
  // The reason is for people who look at the wire; its text may be too long, or
  // the server's own. Fails only before the handshake's end.
  (void)connection_->Close(net::Loop::Now(), code, "");
  Flush();
}

void SignalingLink::Over() {
  over_ = true;
  done_alarm_.Stop();
  // It may do what it likes but destroy us.
  if (auto done = std::exchange(done_, nullptr)) done();
}

void SignalingLink::Drop() {
  connector_.reset();
  if (std::exchange(closed_, true)) return;
  if (events_) events_->Drop();
  if (driver_) driver_->Cut();
}

}  // namespace kyuu::tools
