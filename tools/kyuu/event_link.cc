#include "tools/kyuu/event_link.h"

#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "signaling/close_code.h"
#include "signaling/endpoint.h"
#include "tools/kyuu/overload.h"

namespace kyuu::tools {
namespace {

// A round trip or two, and a connection that is made anew.
constexpr absl::Duration kGoodbyeMax = absl::Seconds(2);

}  // namespace

std::optional<EventLink::Urls> EventLink::UrlsBeside(
    const signaling::WebSocketUrl& url) {
  absl::string_view folder = url.target;
  if (!absl::ConsumeSuffix(&folder, signaling::kSignalingPath)) {
    return std::nullopt;
  }
  Urls urls = {url, url};
  urls.events.target = absl::StrCat(folder, signaling::kEventsPath);
  urls.posts.target = absl::StrCat(folder, signaling::kPostsPath);
  return urls;
}

EventLink::EventLink(net::Loop& loop, Urls urls, const TransportAddress& server,
                     const net::TlsContext* tls, Handler handler)
    : loop_(loop),
      urls_(std::move(urls)),
      server_(server),
      tls_(tls),
      handler_(std::move(handler)),
      poster_alarm_(loop,
                    [this] {
                      poster_->HandleTimeout(net::Loop::Now());
                      PumpPoster();
                    }),
      goodbye_alarm_(loop, [this] { Done(); }) {
  ConnectEvents();
}

EventLink::~EventLink() = default;

net::Stream EventLink::StreamOf(net::TcpStream tcp) const {
  return tls_ != nullptr ? net::Stream(net::TlsStream(*tls_, std::move(tcp)))
                         : net::Stream(std::move(tcp));
}

void EventLink::ConnectEvents() {
  events_.connector.emplace(
      loop_, std::vector{server_}, [this](absl::StatusOr<net::TcpStream> tcp) {
        if (!tcp.ok()) {
          return End({tcp.status(), signaling::kCloseAbnormal, ""});
        }
        source_.emplace(signaling::EventSourceOptions{.url = urls_.events},
                        net::Loop::Now());
        events_.driver.emplace(
            loop_, StreamOf(*std::move(tcp)), *source_, buffer_,
            [this](signaling::EventSource::Event event) {
              OnSource(std::move(event));
            },
            // The engine has told the end before.
            [](net::StreamEnd, const absl::Status&) {});
        events_.driver->Flush();
      });
}

void EventLink::OnSource(signaling::EventSource::Event event) {
  if (closed_) return;
  const absl::Time now = net::Loop::Now();
  std::visit(
      Overload{
          [&](signaling::EventSourceOpened& opened) {
            poster_.emplace(signaling::PosterOptions{
                .url = urls_.posts, .stream = std::move(opened.name)});
            handler_(signaling::WebSocketOpened{signaling::kSubprotocol});
          },
          [&](signaling::WebSocketMessage& message) {
            handler_(std::move(message));
          },
          [&](signaling::PostWanted&) { poster_->ShowLife(now); },
          [&](signaling::WebSocketClosed& closed) { End(std::move(closed)); },
      },
      event);
  if (!closed_) PumpPoster();
}

void EventLink::ConnectPosts() {
  posts_.driver.reset();
  posts_.connector.emplace(
      loop_, std::vector{server_}, [this](absl::StatusOr<net::TcpStream> tcp) {
        if (!tcp.ok()) {
          poster_->HandleStreamEnd(net::Loop::Now(), tcp.status());
          return PumpPoster();
        }
        poster_->HandleConnected(net::Loop::Now());
        posts_.driver.emplace(
            loop_, StreamOf(*std::move(tcp)), *poster_, buffer_,
            [this](signaling::Poster::Event event) {
              OnPoster(std::move(event));
            },
            [this](net::StreamEnd, const absl::Status& why) {
              posts_.driver.reset();
              poster_->HandleStreamEnd(net::Loop::Now(), why);
              PumpPoster();
            });
        PumpPoster();
      });
}

void EventLink::OnPoster(signaling::Poster::Event event) {
  const auto* closed = std::get_if<signaling::PosterClosed>(&event);
  if (closed == nullptr) return ConnectPosts();
  if (done_) return Done();
  End({closed->status, signaling::kCloseAbnormal, ""});
}

void EventLink::PumpPoster() {
  if (!poster_ || (closed_ && !done_)) return;
  if (posts_.driver) {
    // Its timers are the driver's, which an event may replace.
    poster_alarm_.Stop();
    return posts_.driver->Flush();
  }
  while (auto event = poster_->PollEvent()) OnPoster(*std::move(event));
  poster_alarm_.Set(poster_->NextTimeout());
}

void EventLink::Send(std::string message) {
  if (closed_ || !poster_) return;
  // A failure here shows as WebSocketClosed.
  (void)poster_->Post(net::Loop::Now(), std::move(message));
}

void EventLink::Flush() {
  if (!closed_) PumpPoster();
}

void EventLink::End(signaling::WebSocketClosed closed) {
  if (std::exchange(closed_, true)) return;
  poster_alarm_.Stop();
  handler_(std::move(closed));
}

void EventLink::Close(uint16_t code, absl::AnyInvocable<void()> done) {
  const bool was_open = !std::exchange(closed_, true) && poster_.has_value();
  done_ = std::move(done);
  if (!was_open) return Done();
  goodbye_alarm_.Set(net::Loop::Now() + kGoodbyeMax);
  poster_->Close(net::Loop::Now(), code);
  PumpPoster();
}

void EventLink::Done() {
  goodbye_alarm_.Stop();
  auto done = std::exchange(done_, nullptr);
  if (done) done();
}

void EventLink::Drop() {
  closed_ = true;
  poster_alarm_.Stop();
  events_.connector.reset();
  posts_.connector.reset();
  if (events_.driver) events_.driver->Cut();
  if (posts_.driver) posts_.driver->Cut();
}

}  // namespace kyuu::tools
