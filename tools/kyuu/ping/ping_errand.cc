#include "tools/kyuu/ping/ping_errand.h"

#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

// From the connection to an open channel, which takes two round trips with a
// program that knows of pings. As long as a server has for an answer.
constexpr absl::Duration kOpeningPatience = absl::Seconds(10);

double Ms(absl::Duration time) { return absl::ToDoubleMilliseconds(time); }

json EndOf(const std::string& type, const std::string& address) {
  return {{"type", type}, {"address", address}};
}

}  // namespace

PingErrand::PingErrand(Surroundings surroundings, const PingOptions& options,
                       Random& random)
    : surroundings_(std::move(surroundings)),
      options_(options),
      series_(random),
      alarm_(surroundings_.loop, [this] { OnAlarm(); }) {}

void PingErrand::HandleConnected(Call& call, CallRole) {
  call_ = &call;
  open_by_ = net::Loop::Now() + kOpeningPatience;
  alarm_.Set(open_by_);
}

// Unordered and never sent again: what is lost shows as lost. Not before the
// other side has said hello: what comes too early is lost there.
void PingErrand::OpenChannel() {
  const absl::StatusOr<peer::ChannelId> made =
      call_->OpenAside({.label = kPingLabel,
                        .protocol = kPingProtocol,
                        .ordering = sctp::Ordering::kUnordered,
                        .max_retransmits = 0});
  if (!made.ok()) return Finish(made.status());
  channel_ = *made;
  call_->Flush();
}

void PingErrand::HandleAside(Aside& aside) {
  if (finished_ || call_ == nullptr) return;
  const absl::Time now = net::Loop::Now();
  if (const auto* opened = std::get_if<AsideOpened>(&aside)) {
    if (opened->channel != channel_) return;
    open_by_ = absl::InfiniteFuture();
    next_send_ = now;
    return OnAlarm();
  }
  const auto* said = std::get_if<AsideSaid>(&aside);
  if (said != nullptr && !channel_ && said->message["type"] == "hello") {
    return OpenChannel();
  }
  const auto* message = std::get_if<AsideMessage>(&aside);
  if (message == nullptr || message->channel != channel_) {
    return answerer_.HandleAside(*call_, aside);
  }
  if (const auto answer = series_.HandleAnswer(now, message->payload)) {
    Tell(*answer);
    GoOn();
  }
}

void PingErrand::OnAlarm() {
  const absl::Time now = net::Loop::Now();
  if (now >= open_by_) {
    return Finish(absl::DeadlineExceededError(
        channel_ ? "the other side does not open the channel of the pings"
                 : "the other side is connected and does not say hello: its "
                   "program may know nothing of pings"));
  }
  while (const auto number = series_.PollLost(now)) TellLost(*number);
  if (now >= next_send_ && wants_more()) Send(now);
  GoOn();
}

void PingErrand::Send(absl::Time now) {
  // What finds no room is lost.
  (void)call_->SendAside(*channel_, peer::PayloadType::kBinary,
                         series_.Send(now));
  call_->Flush();
  // By the second, however late this one was.
  const absl::Duration interval = absl::Seconds(options_.interval_s);
  next_send_ += interval;
  if (next_send_ < now) next_send_ = now + interval;
}

void PingErrand::GoOn() {
  if (!wants_more() && series_.all_settled()) return Finish(absl::OkStatus());
  alarm_.Set(std::min(wants_more() ? next_send_ : absl::InfiniteFuture(),
                      series_.NextTimeout()));
}

void PingErrand::Write(const json& line) {
  surroundings_.terminal.Print(
      line.dump(-1, ' ', true, json::error_handler_t::replace));
}

void PingErrand::Tell(const PingSeries::Answer& answer) {
  if (options_.json) {
    return Write({{"event", "answer"},
                  {"number", answer.number},
                  {"rtt_ms", Ms(answer.round_trip)},
                  {"relayed", path_.relayed},
                  {"local", EndOf(path_.local, path_.local_address)},
                  {"remote", EndOf(path_.remote, path_.remote_address)}});
  }
  surroundings_.terminal.Print(absl::StrFormat(
      "%d: %.2f ms, %s (%s %s to %s %s)", answer.number, Ms(answer.round_trip),
      path_.relayed ? "relayed" : "direct", path_.local, path_.local_address,
      path_.remote, path_.remote_address));
}

void PingErrand::TellLost(uint64_t number) {
  if (options_.json) return Write({{"event", "lost"}, {"number", number}});
  surroundings_.terminal.Print(absl::StrCat(number, ": lost"));
}

void PingErrand::TellSummary() {
  const PingSeries::Summary all = series_.summary();
  if (options_.json) {
    json line{{"event", "summary"},
              {"sent", all.sent},
              {"received", all.received},
              {"lost", all.lost}};
    if (all.received > 0) {
      line["min_ms"] = Ms(all.min);
      line["avg_ms"] = Ms(all.mean);
      line["max_ms"] = Ms(all.max);
      line["stddev_ms"] = Ms(all.deviation);
    }
    return Write(line);
  }
  const uint64_t settled = all.received + all.lost;
  surroundings_.terminal.Print(absl::StrFormat(
      "%d sent, %d came back, %.0f %% lost", all.sent, all.received,
      settled == 0 ? 0.0
                   : 100 * static_cast<double>(all.lost) /
                         static_cast<double>(settled)));
  if (all.received == 0) return;
  surroundings_.terminal.Print(absl::StrFormat(
      "min/avg/max/stddev = %.2f/%.2f/%.2f/%.2f ms", Ms(all.min), Ms(all.mean),
      Ms(all.max), Ms(all.deviation)));
}

void PingErrand::Finish(absl::Status status) {
  if (std::exchange(finished_, true)) return;
  alarm_.Stop();
  if (series_.sent() > 0) TellSummary();
  if (status.ok() && series_.received() == 0) {
    status = absl::UnavailableError(
        series_.sent() == 0
            ? "ended before anybody was connected"
            : "no ping came back: the program of the other side may not "
              "answer them");
  }
  surroundings_.done(status);
}

void PingErrand::HandleOver(const absl::Status& status) {
  call_ = nullptr;
  Finish(status);
}

}  // namespace kyuu::tools
