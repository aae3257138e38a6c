// Agents that share a port: whatever they and strangers send, a datagram is for
// an agent that is there, and nothing grows beyond its limits.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "ice/mux.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kyuu;
  Reader r(absl::MakeConstSpan(data, size));
  ice::Mux mux({4, 2, 3, 5, absl::Seconds(2)});
  std::set<ice::MuxId> alive;
  absl::Time now = absl::UnixEpoch();
  while (!r.empty()) {
    const uint8_t what = r.U8();
    const ice::MuxId id{r.U8() % 8u};
    const TransportAddress from{IpAddress::V4(192, 0, 2, r.U8() % 4), 1};
    const Path path{{IpAddress::V4(192, 0, 2, 9), 7}, from};
    now += absl::Milliseconds(what);
    if (what % 6 == 0) {
      if (const auto added = mux.Add(); added.ok()) alive.insert(*added);
    } else if (what % 6 == 1) {
      mux.Remove(id);
      alive.erase(id);
    } else if (what % 6 == 2) {
      KYUU_CHECK(!mux.AddUfrag(id, r.Text(r.U8() % 4)) || alive.contains(id));
    } else if (what % 6 == 3) {
      mux.Bind(id, path, static_cast<ice::PathProof>(what / 6 % 3));
    } else if (const auto bytes = r.Bytes(r.U16() % 256); what % 6 == 4) {
      mux.NoteSent(now, id, {path, bytes});
    } else if (const auto whose = mux.Route({path, bytes})) {
      KYUU_CHECK(alive.contains(*whose));
    }
    const std::optional<ice::MuxId> owner = mux.Owner(path);
    KYUU_CHECK(!owner || alive.contains(*owner));
    KYUU_CHECK(mux.agents() == alive.size() && alive.size() <= 4);
    KYUU_CHECK(mux.paths() <= 4 * 3 && mux.transactions() <= 5);
  }
  return 0;
}
