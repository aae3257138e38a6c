// Data channels against a peer that sends any message on any stream, resets
// what it likes, and is interrupted by our own commands in any order.

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "sctp/association.h"
#include "sctp/data_channel.h"

namespace {

using kyuu::sctp::Association;
using kyuu::sctp::ChannelId;
using kyuu::sctp::DataChannels;
using kyuu::sctp::Message;
using kyuu::sctp::Ordering;
using kyuu::sctp::Ppid;
using kyuu::sctp::StreamId;

DataChannels::Options Small() {
  DataChannels::Options options;
  options.association.send_buffer_bytes = 4000;
  options.association.receive_window_bytes = 8000;
  options.association.max_message_in = 4000;
  options.channels_max = 8;
  options.peer_text_bytes_max = 200;
  options.early_bytes_max = 500;
  options.early_messages_max = 8;
  options.events_max = 16;
  return options;
}

class World {
 public:
  World() {
    channels_.Start(now_, kyuu::sctp::StreamParity::kEven);
    KYUU_CHECK(peer_.Connect(now_).ok());
    for (int i = 0; i < 8; ++i) Exchange();
    KYUU_CHECK(channels_.is_connected());
  }

  void Run(kyuu::Reader& r) {
    const uint8_t op = r.U8();
    const StreamId stream{static_cast<uint16_t>(r.U8() % 12)};
    const ChannelId channel{r.U8() % 16u};
    switch ((op & 127) % 10) {
      case 0:
      case 1:
      case 2: {  // A message of the peer.
        Message message{stream, Ppid{48u + r.U8() % 12u}, {}};
        const auto payload =
            r.Bytes(std::min<size_t>(r.U8() + 1u, r.remaining()));
        message.payload.assign(payload.begin(), payload.end());
        peer_
            .Send(now_, std::move(message),
                  {.ordering =
                       op & 128 ? Ordering::kUnordered : Ordering::kOrdered})
            .IgnoreError();
        break;
      }
      case 3:
        peer_.ResetStreams(now_, {&stream, 1}).IgnoreError();
        break;
      case 4: {
        kyuu::sctp::ChannelConfig config{.label = "l"};
        if (op & 128) config.negotiated_id = stream;
        channels_.Create(now_, config).IgnoreError();
        break;
      }
      case 5:
        channels_.CloseChannel(now_, channel).IgnoreError();
        break;
      case 6:
        channels_
            .Send(now_, channel, kyuu::sctp::PayloadType::kText,
                  std::vector<uint8_t>(r.U8() * 8u))
            .IgnoreError();
        break;
      case 7:
        Poll();
        break;
      case 8:
        now_ += absl::Milliseconds(r.U8() * 10);
        channels_.HandleTimeout(now_);
        peer_.HandleTimeout(now_);
        break;
      default:
        Exchange();
    }
    KYUU_CHECK(channels_.channel_count() <= 8);
  }

  void Finish() {
    channels_.Close(now_);
    Poll();
    KYUU_CHECK(closed_ && channels_.channel_count() == 0 && open_.empty());
    KYUU_CHECK(channels_.NextTimeout() == absl::InfiniteFuture());
  }

 private:
  void Exchange() {
    std::array<uint8_t, 1500> buffer;
    while (auto p = channels_.PollTransmit(now_, absl::MakeSpan(buffer))) {
      peer_.HandlePacket(now_, *p);
    }
    while (auto p = peer_.PollTransmit(now_, absl::MakeSpan(buffer))) {
      channels_.HandlePacket(now_, *p);
    }
    while (peer_.PollEvent()) {
    }
  }
  // Each channel opens once, closes once, and says nothing afterwards.
  void Poll() {
    while (auto event = channels_.PollEvent()) {
      KYUU_CHECK(!closed_);
      if (auto* e = std::get_if<kyuu::sctp::ChannelOpened>(&*event)) {
        KYUU_CHECK(open_.insert(e->channel).second);
      } else if (auto* i = std::get_if<kyuu::sctp::ChannelIncoming>(&*event)) {
        KYUU_CHECK(open_.insert(i->channel).second);
      } else if (auto* m = std::get_if<kyuu::sctp::ChannelMessage>(&*event)) {
        KYUU_CHECK(open_.contains(m->channel));
      } else if (auto* c = std::get_if<kyuu::sctp::ChannelClosed>(&*event)) {
        open_.erase(c->channel);
      } else if (std::get_if<kyuu::sctp::Closed>(&*event)) {
        closed_ = true;
      }
    }
  }

  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  kyuu::SeededRandom random_{1};
  DataChannels channels_{Small(), random_};
  Association peer_{kyuu::sctp::Options{}, random_};
  std::set<ChannelId> open_;
  bool closed_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::Reader r(absl::MakeConstSpan(data, size));
  World world;
  for (int i = 0; i < 500 && !r.empty(); ++i) world.Run(r);
  world.Finish();
  return 0;
}
