#include "tools/kyuu/server_line.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "tools/kyuu/overload.h"

namespace kyuu::tools {
namespace {

constexpr absl::Duration kRetryMax = absl::Seconds(30);

}  // namespace

absl::Duration RetryDelay(int failures, Random& random) {
  const absl::Duration whole =
      std::min(kRetryMax, absl::Seconds(int64_t{1} << std::min(failures, 5)));
  return whole * (0.75 + static_cast<double>(random.Below(501)) / 1000);
}

ServerLine::ServerLine(net::Loop& loop, Random& random, std::string url,
                       std::string token_file, Handler handler)
    : loop_(loop),
      random_(random),
      url_(std::move(url)),
      token_file_(std::move(token_file)),
      handler_(std::move(handler)),
      client_alarm_(loop,
                    [this] {
                      if (client_) client_->HandleTimeout(net::Loop::Now());
                      Flush();
                    }),
      retry_(loop, [this] {
        if (const absl::Status status = Connect(); !status.ok()) {
          handler_(signaling::ConnectionLost{status});
        }
      }) {}

absl::StatusOr<std::string> ServerLine::ReadToken() const {
  if (token_file_.empty()) return "";
  // One byte more than a token may have shows what is too long.
  std::string text(signaling::kMaxTokenBytes + 1, '\0');
  std::ifstream file(token_file_, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  const absl::string_view token = absl::StripAsciiWhitespace(text);
  if (token.empty() || text.size() > signaling::kMaxTokenBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("no token can be read from ", token_file_));
  }
  return std::string(token);
}

absl::Status ServerLine::Connect() {
  KYUU_ASSIGN_OR_RETURN(token_, ReadToken());
  if (std::exchange(client_over_, false)) {
    client_.reset();
    welcomed_ = false;
  }
  link_.reset();
  KYUU_ASSIGN_OR_RETURN(
      link_,
      SignalingLink::Connect(
          loop_, random_, url_,
          without_socket_ ? SignalingWays::kEvents : SignalingWays::kBoth,
          [this](SignalingLink::Event event) { OnLink(std::move(event)); }));
  link_->Flush();
  return absl::OkStatus();
}

absl::Duration ServerLine::Retry() {
  const std::optional<absl::Duration> asked =
      std::exchange(retry_after_, std::nullopt);
  const absl::Duration delay =
      asked.has_value() ? *asked : RetryDelay(failures_++, random_);
  retry_.Set(net::Loop::Now() + delay);
  return delay;
}

signaling::Client* ServerLine::client() {
  return client_ && welcomed_ && !client_over_ ? &*client_ : nullptr;
}

void ServerLine::OnLink(SignalingLink::Event event) {
  if (closed_) return;
  const absl::Time now = net::Loop::Now();
  std::visit(
      Overload{
          [&](signaling::WebSocketOpened&) {
            opened_ = true;
            without_socket_ = link_->without_socket();
            if (client_) {
              client_->SetToken(token_);
              // It waits for just this.
              (void)client_->HandleConnectionOpened(now);
              return;
            }
            client_.emplace(
                signaling::ClientOptions{.on_loss = signaling::OnLoss::kKeep,
                                         .token = token_},
                now);
          },
          [&](signaling::WebSocketMessage& message) {
            if (client_) client_->HandlePacket(now, std::move(message.data));
          },
          [&](signaling::WebSocketClosed& closed) {
            OnConnectionClosed(closed);
          },
      },
      event);
  Exchange();
}

void ServerLine::OnConnectionClosed(const signaling::WebSocketClosed& closed) {
  if (std::exchange(opened_, false)) {
    return client_->HandleConnectionClosed(net::Loop::Now(), closed.code,
                                           closed.status);
  }
  // Whichever way it was: the next attempt begins with a WebSocket.
  without_socket_ = false;
  // The client knows of no connection that could be lost.
  handler_(signaling::ConnectionLost{closed.status});
}

void ServerLine::Flush() {
  if (exchanging_ || closed_) return;
  Exchange();
  if (link_) link_->Flush();
}

void ServerLine::Exchange() {
  if (!client_ || closed_ || std::exchange(exchanging_, true)) return;
  bool progress = true;
  while (progress) {
    progress = false;
    while (auto event = client_->PollEvent()) {
      progress = true;
      if (std::holds_alternative<signaling::Ready>(*event) ||
          std::holds_alternative<signaling::Resumed>(*event)) {
        up_ = true;
        welcomed_ = true;
        failures_ = 0;
      }
      const auto* over = std::get_if<signaling::ClientClosed>(&*event);
      client_over_ = over != nullptr;
      const auto* lost = std::get_if<signaling::ConnectionLost>(&*event);
      if (lost != nullptr) retry_after_ = lost->retry_after;
      if (client_over_ || lost != nullptr) {
        up_ = false;
        opened_ = false;
        over != nullptr ? link_->Leave(over->status) : link_->Drop();
      }
      handler_(*std::move(event));
    }
    while (auto message = client_->PollTransmit(net::Loop::Now(), {})) {
      progress = true;
      link_->Send(*std::move(message));
    }
  }
  exchanging_ = false;
  if (!closed_) client_alarm_.Set(client_->NextTimeout());
}

void ServerLine::Close(absl::AnyInvocable<void()> done) {
  closed_ = true;
  retry_.Stop();
  client_alarm_.Stop();
  link_ ? link_->Close(std::move(done)) : done();
}

}  // namespace kyuu::tools
