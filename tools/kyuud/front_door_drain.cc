// How FrontDoor goes away: whom it asks to leave, and when each is to come
// back.

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "tools/kyuud/front_door.h"
#include "tools/kyuud/front_door_guest.h"

namespace kyuu::tools {
namespace {

// Before that nobody need try: a server that is started anew takes a moment.
constexpr absl::Duration kReturnFirst = absl::Seconds(1);
// All have come back a minute later. A handshake of TLS is 0.6 ms of CPU: at
// 200 a second an eighth of a core.
constexpr int64_t kReturnsPerSecond = 200;
constexpr absl::Duration kSpreadMin = absl::Seconds(2);
constexpr absl::Duration kSpreadMax = absl::Minutes(1);
// Whoever is still there then does not know that it was asked to leave.
constexpr absl::Duration kLeaveGrace = absl::Seconds(2);

// Calls `tell` with each of `items` and a time of its own: each has a part of
// `spread`, in no order that anybody knows, and comes somewhere in it.
template <typename Item, typename F>
void Spread(std::vector<Item> items, absl::Duration spread, Random& random,
            F&& tell) {
  const double part = 1.0 / static_cast<double>(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    std::swap(items[i], items[i + random.Below(items.size() - i)]);
    tell(items[i],
         spread * (part * (static_cast<double>(i) + random.Fraction())));
  }
}

}  // namespace

void FrontDoor::Drain(absl::Duration within) {
  drained_by_ = net::Loop::Now() + within;
  if (backplane_ == nullptr) return;
  const absl::Duration spread = std::min(within, kSpreadMax);
  left_by_ = net::Loop::Now() + spread + kLeaveGrace;
  TellReturn(absl::ZeroDuration(), spread);
  SpreadFarewells(spread);
  RunSoon();
}

size_t FrontDoor::leaving() const {
  return farewells_.size() +
         (net::Loop::Now() < left_by_ ? server_.connection_count() : 0);
}

std::vector<uint64_t> FrontDoor::Unspread() const {
  std::vector<uint64_t> ids;
  for (const auto& [id, guest] : guests_) {
    if (guest->session == Guest::Session::kOpen &&
        guest->dialect != Dialect::kNone && !guest->parting) {
      ids.push_back(id);
    }
  }
  return ids;
}

absl::Duration FrontDoor::farewell() const {
  const auto clients = static_cast<int64_t>(Unspread().size());
  return std::min(absl::Seconds(clients) / kReturnsPerSecond, kSpreadMax);
}

void FrontDoor::SpreadFarewells(absl::Duration spread) {
  const absl::Time now = net::Loop::Now();
  Spread(Unspread(), spread, random_, [&](uint64_t id, absl::Duration in) {
    guests_[id]->parting = true;
    farewells_.emplace_back(now + in, id);
  });
  // Who came later may have to leave earlier.
  std::sort(farewells_.begin(), farewells_.end());
  if (!farewells_.empty()) farewell_alarm_.Set(farewells_.front().first);
}

void FrontDoor::SayFarewells() {
  const absl::Time now = net::Loop::Now();
  while (!farewells_.empty() && farewells_.front().first <= now) {
    Guest* guest = Find(signaling::ConnectionId{farewells_.front().second});
    farewells_.pop_front();
    if (guest == nullptr) continue;  // It has gone by itself.
    Part(*guest);
  }
  if (!farewells_.empty()) farewell_alarm_.Set(farewells_.front().first);
  RunSoon();
}

void FrontDoor::Part(Guest& guest) {
  // Fails only before the upgrade.
  (void)guest.connection.Close(net::Loop::Now(), signaling::kCloseGoingAway,
                               "the server is shutting down");
  dirty_.push_back(static_cast<uint64_t>(guest.id));
}

void FrontDoor::TellReturn(absl::Duration first, absl::Duration spread) {
  std::vector<Guest*> guests;
  for (const auto& [id, guest] : guests_) {
    if (guest->session == Guest::Session::kOpen &&
        guest->dialect == Dialect::kNone) {
      guests.push_back(guest.get());
    }
  }
  Spread(std::move(guests), spread, random_,
         [&](Guest* guest, absl::Duration in) {
           // Who has not said hello yet has nothing to come back to.
           if (!server_.TellDrain(guest->id, first + in).ok()) return;
           guest->connection.SetRetry(first + in);
         });
}

void FrontDoor::AddRetryAfter(signaling::HttpResponse& response) {
  if (!drained_by_.has_value() || response.status != 503) return;
  const absl::Duration left =
      std::min(*drained_by_ - net::Loop::Now(), kSpreadMax);
  const int64_t seconds = std::max<int64_t>(1, absl::ToInt64Seconds(left));
  response.headers.Add(
      "Retry-After",
      absl::StrCat(1 + random_.Below(static_cast<uint64_t>(seconds))));
}

void FrontDoor::CloseAll() {
  const auto sessions = static_cast<int64_t>(server_.connection_count());
  TellReturn(kReturnFirst,
             std::clamp(absl::Seconds(sessions) / kReturnsPerSecond, kSpreadMin,
                        kSpreadMax));
  PumpServers();
  for (const auto& [id, guest] : guests_) {
    if (guest->connection.upgraded()) Part(*guest);
  }
  Run();
  if (backplane_ != nullptr) backplane_->Leave();
}

}  // namespace kyuu::tools
