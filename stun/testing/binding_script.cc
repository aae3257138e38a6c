#include "stun/testing/binding_script.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "stun/client.h"
#include "stun/server.h"

namespace kyuu::stun {

void RunBindingScript(absl::Span<const uint8_t> script) {
  const Path path{.local = {IpAddress::V4(10, 0, 0, 1), 5000},
                  .remote = {IpAddress::V4(192, 0, 2, 1), 3478}};
  const Path back{.local = path.remote, .remote = path.local};
  SeededRandom random(1);
  Client client(random, {.transactions_max = 4});
  Server server({.answers_max = 4});
  std::array<uint8_t, 700> buffer;
  absl::Time now = absl::UnixEpoch();
  size_t started = 0;
  Reader r(script);
  while (!r.empty()) {
    const uint8_t op = r.U8();
    const uint8_t arg = r.U8();
    const auto noise = r.Bytes(std::min<size_t>(arg, r.remaining()));
    if (op % 6 == 0) started += client.Bind(now, path).ok() ? 1 : 0;
    if (op % 6 == 1) client.HandlePacket(now, {path, noise});
    if (op % 6 == 2) server.HandlePacket(now, {back, noise});
    if (op % 6 == 3) client.HandleTimeout(now += absl::Milliseconds(300));
    if (op % 6 == 4) {
      if (auto p = client.PollTransmit(now, absl::MakeSpan(buffer))) {
        server.HandlePacket(now, {back, p->bytes});
      }
    }
    if (op % 6 == 5) {
      if (auto p = server.PollTransmit(now, absl::MakeSpan(buffer))) {
        client.HandlePacket(now, {path, p->bytes});
      }
    }
  }
  size_t ended = 0;
  while (client.PollEvent()) ++ended;
  KYUU_CHECK(ended + client.open_transactions() == started);
}

}  // namespace kyuu::stun
