// Against libusrsctp in the same process: what libdatachannel speaks.

#include <errno.h>
#include <usrsctp.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "sctp/association.h"

namespace kyuu::sctp {
namespace {

// Both ends use port 5000, as WebRTC does. libusrsctp knows its peer by a
// pointer, here that of this object.
class Interop {
 public:
  enum class Opener { kKyuu, kUsrsctp, kBoth };
  // Whether libusrsctp offers I-DATA, as it does in Firefox.
  enum class Mixing { kOff, kOn };

  explicit Interop(double loss = 0, uint64_t seed = 1,
                   Mixing mixing = Mixing::kOff, const Options& options = {})
      : loss_(loss), random_(seed), kyuu(options, random_) {
    static const bool initialised = [] {
      usrsctp_init_nothreads(0, &Interop::Output, nullptr);
      usrsctp_sysctl_set_sctp_ecn_enable(0);
      return true;
    }();
    KYUU_CHECK(initialised);
    usrsctp_register_address(this);
    socket_ = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, nullptr,
                             nullptr, 0, nullptr);
    KYUU_CHECK(socket_ != nullptr);
    KYUU_CHECK(usrsctp_set_non_blocking(socket_, 1) == 0);
    Set(SOL_SOCKET, SO_SNDBUF, 4 << 20);
    Set(SOL_SOCKET, SO_RCVBUF, 4 << 20);
    Set(IPPROTO_SCTP, SCTP_NODELAY, 1);
    Set(IPPROTO_SCTP, SCTP_RECVRCVINFO, 1);
    if (mixing == Mixing::kOn) {
      // SCTP_INTERLEAVING_SUPPORTED, which this version has and its header has
      // not; it asks for messages to be handed over in parts.
      constexpr int kInterleavingSupported = 0x1206;
      Set(IPPROTO_SCTP, SCTP_FRAGMENT_INTERLEAVE, 2);
      sctp_assoc_value on{SCTP_FUTURE_ASSOC, 1};
      KYUU_CHECK(usrsctp_setsockopt(socket_, IPPROTO_SCTP,
                                    kInterleavingSupported, &on,
                                    sizeof(on)) == 0);
    }
    // Close with an ABORT.
    linger l{1, 0};
    KYUU_CHECK(
        usrsctp_setsockopt(socket_, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) == 0);
    sctp_assoc_value reset{SCTP_ALL_ASSOC, SCTP_ENABLE_RESET_STREAM_REQ |
                                               SCTP_ENABLE_CHANGE_ASSOC_REQ};
    KYUU_CHECK(usrsctp_setsockopt(socket_, IPPROTO_SCTP,
                                  SCTP_ENABLE_STREAM_RESET, &reset,
                                  sizeof(reset)) == 0);
    for (int type : {SCTP_STREAM_RESET_EVENT, SCTP_ASSOC_RESET_EVENT,
                     SCTP_STREAM_CHANGE_EVENT}) {
      sctp_event event{};
      event.se_assoc_id = SCTP_ALL_ASSOC;
      event.se_type = static_cast<uint16_t>(type);
      event.se_on = 1;
      KYUU_CHECK(usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_EVENT, &event,
                                    sizeof(event)) == 0);
    }
    sctp_initmsg init{};
    init.sinit_num_ostreams = 1024;
    init.sinit_max_instreams = 1024;
    KYUU_CHECK(usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_INITMSG, &init,
                                  sizeof(init)) == 0);
    sctp_paddrparams params{};
    params.spp_flags = SPP_PMTUD_DISABLE;
    params.spp_pathmtu = 1191;
    KYUU_CHECK(usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS,
                                  &params, sizeof(params)) == 0);
  }
  ~Interop() {
    usrsctp_close(socket_);
    usrsctp_deregister_address(this);
  }

  void Connect(Opener opener) {
    sockaddr_conn address = Address();
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    KYUU_CHECK(usrsctp_bind(socket_, generic, sizeof(address)) == 0);
    // libusrsctp answers an INIT only while it connects itself, or listens; a
    // listener would accept on another socket.
    const int result = usrsctp_connect(socket_, generic, sizeof(address));
    KYUU_CHECK(result == 0 || errno == EINPROGRESS);
    if (opener == Opener::kKyuu) to_kyuu_.clear();  // Its INIT is lost.
    if (opener != Opener::kUsrsctp) {
      KYUU_CHECK(kyuu.Connect(now_).ok());
    }
    ASSERT_TRUE(RunUntil([&] { return kyuu.is_connected(); }));
    RunFor(absl::Milliseconds(200));
  }

  template <typename F>
  bool RunUntil(F done, absl::Duration limit = absl::Minutes(2)) {
    for (const absl::Time end = now_ + limit; now_ < end && !done();) Step();
    return done();
  }
  void RunFor(absl::Duration duration) {
    RunUntil([] { return false; }, duration);
  }

  absl::Status SendFromKyuu(uint16_t stream, absl::string_view text,
                            const SendOptions& how = {}) {
    const auto bytes = AsBytes(text);
    return kyuu.Send(now_,
                     Message{StreamId{stream}, Ppid{51},
                             std::vector<uint8_t>(bytes.begin(), bytes.end())},
                     how);
  }
  // False while its buffer is full.
  bool SendFromUsrsctp(uint16_t stream, const std::string& text) {
    sctp_sndinfo info{};
    info.snd_sid = stream;
    info.snd_ppid = htonl(51);
    info.snd_flags = SCTP_EOR;
    return usrsctp_sendv(socket_, text.data(), text.size(), nullptr, 0, &info,
                         sizeof(info), SCTP_SENDV_SNDINFO, 0) >= 0;
  }
  void ResetFromUsrsctp(uint16_t stream) {
    std::vector<uint8_t> buffer(sizeof(sctp_reset_streams) + 2);
    auto* request = reinterpret_cast<sctp_reset_streams*>(buffer.data());
    request->srs_flags = SCTP_STREAM_RESET_OUTGOING;
    request->srs_number_streams = 1;
    std::memcpy(request->srs_stream_list, &stream, 2);
    EXPECT_EQ(
        usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_RESET_STREAMS, request,
                           static_cast<socklen_t>(buffer.size())),
        0)
        << errno;
  }

  void ResetAllFromUsrsctp() {
    sctp_assoc_t all = SCTP_ALL_ASSOC;
    EXPECT_EQ(usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_RESET_ASSOC, &all,
                                 sizeof(all)),
              0)
        << errno;
  }
  // False while it has a request of its own under way.
  bool AddFromUsrsctp(uint16_t outgoing, uint16_t incoming) {
    sctp_add_streams add{};
    add.sas_assoc_id = SCTP_ALL_ASSOC;
    add.sas_outstrms = outgoing;
    add.sas_instrms = incoming;
    return usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_ADD_STREAMS, &add,
                              sizeof(add)) == 0;
  }

  absl::Time now() const { return now_; }

  std::vector<std::pair<uint16_t, std::string>> at_usrsctp;
  std::vector<uint16_t> usrsctp_resets;
  // The flags of each, 0 for success.
  std::vector<int> usrsctp_whole_resets;
  // Of the last change that was not refused, and how many were.
  uint16_t usrsctp_outgoing = 0;
  uint16_t usrsctp_incoming = 0;
  int usrsctp_refused = 0;
  bool usrsctp_closed = false;
  std::vector<std::pair<uint16_t, std::string>> at_kyuu;
  bool mixing_agreed = false;
  std::vector<StreamsReset> kyuu_resets;
  std::vector<absl::Status> kyuu_whole_resets;
  std::vector<StreamsAdded> kyuu_added;
  std::optional<absl::Status> kyuu_closed;

 private:
  static int Output(void* self, void* buffer, size_t length, uint8_t, uint8_t) {
    auto* bytes = static_cast<uint8_t*>(buffer);
    static_cast<Interop*>(self)->to_kyuu_.emplace_back(bytes, bytes + length);
    return 0;
  }
  sockaddr_conn Address() {
    sockaddr_conn address{};
    address.sconn_family = AF_CONN;
    address.sconn_port = htons(5000);
    address.sconn_addr = this;
    return address;
  }
  void Set(int level, int name, int value) {
    KYUU_CHECK(
        usrsctp_setsockopt(socket_, level, name, &value, sizeof(value)) == 0);
  }
  bool Lost() { return loss_ > 0 && random_.Fraction() < loss_; }

  void Step() {
    now_ += absl::Milliseconds(1);
    usrsctp_handle_timers(1);
    std::deque<std::vector<uint8_t>> packets = std::move(to_kyuu_);
    to_kyuu_.clear();
    for (const std::vector<uint8_t>& packet : packets) {
      if (!Lost()) kyuu.HandlePacket(now_, packet);
    }
    kyuu.HandleTimeout(now_);
    std::vector<uint8_t> buffer(2048);
    while (auto packet = kyuu.PollTransmit(now_, absl::MakeSpan(buffer))) {
      if (Lost()) continue;
      usrsctp_conninput(this, packet->data(), packet->size(), 0);
    }
    TakeEvents();
    Read();
  }
  void TakeEvents() {
    while (auto event = kyuu.PollEvent()) {
      if (auto* m = std::get_if<Message>(&*event)) {
        at_kyuu.emplace_back(static_cast<uint16_t>(m->stream),
                             std::string(m->payload.begin(), m->payload.end()));
      } else if (auto* r = std::get_if<StreamsReset>(&*event)) {
        kyuu_resets.push_back(*r);
      } else if (auto* whole = std::get_if<AssociationReset>(&*event)) {
        kyuu_whole_resets.push_back(whole->status);
      } else if (auto* added = std::get_if<StreamsAdded>(&*event)) {
        kyuu_added.push_back(*added);
      } else if (auto* t = std::get_if<Connected>(&*event)) {
        mixing_agreed = t->interleaving;
      } else if (auto* c = std::get_if<Closed>(&*event)) {
        kyuu_closed = c->status;
      }
    }
  }
  void Read() {
    for (;;) {
      std::vector<char> buffer(1 << 18);
      sctp_rcvinfo info{};
      socklen_t info_size = sizeof(info);
      unsigned int type = 0;
      int flags = 0;
      sockaddr_storage from{};
      socklen_t from_size = sizeof(from);
      const ssize_t n =
          usrsctp_recvv(socket_, buffer.data(), buffer.size(),
                        reinterpret_cast<sockaddr*>(&from), &from_size, &info,
                        &info_size, &type, &flags);
      if (n == 0 || (n < 0 && errno != EWOULDBLOCK)) usrsctp_closed = true;
      if (n <= 0) return;
      if ((flags & MSG_NOTIFICATION) != 0) {
        TakeNotification(buffer.data());
        continue;
      }
      std::string& partial =
          partial_[{info.rcv_sid, (info.rcv_flags & SCTP_UNORDERED) != 0}];
      partial.append(buffer.data(), static_cast<size_t>(n));
      if ((flags & MSG_EOR) != 0) {
        at_usrsctp.emplace_back(info.rcv_sid, std::exchange(partial, {}));
      }
    }
  }

  void TakeNotification(const char* bytes) {
    const auto* reset = reinterpret_cast<const sctp_stream_reset_event*>(bytes);
    const auto* whole = reinterpret_cast<const sctp_assoc_reset_event*>(bytes);
    const auto* change =
        reinterpret_cast<const sctp_stream_change_event*>(bytes);
    if (reset->strreset_type == SCTP_STREAM_RESET_EVENT &&
        (reset->strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN) != 0) {
      const size_t count =
          (reset->strreset_length - sizeof(sctp_stream_reset_event)) / 2;
      usrsctp_resets.insert(usrsctp_resets.end(), reset->strreset_stream_list,
                            reset->strreset_stream_list + count);
    } else if (whole->assocreset_type == SCTP_ASSOC_RESET_EVENT) {
      usrsctp_whole_resets.push_back(whole->assocreset_flags);
    } else if (change->strchange_type == SCTP_STREAM_CHANGE_EVENT) {
      if (change->strchange_flags != 0) {
        ++usrsctp_refused;
      } else {
        usrsctp_outgoing = change->strchange_outstrms;
        usrsctp_incoming = change->strchange_instrms;
      }
    }
  }

  double loss_;
  SeededRandom random_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  struct socket* socket_ = nullptr;
  std::deque<std::vector<uint8_t>> to_kyuu_;
  // Parts of messages so far, by stream and kind.
  std::map<std::pair<uint16_t, bool>, std::string> partial_;

 public:
  Association kyuu;
};

class UsrsctpInterop : public testing::TestWithParam<Interop::Mixing> {};
INSTANTIATE_TEST_SUITE_P(
    Mixing, UsrsctpInterop,
    testing::Values(Interop::Mixing::kOff, Interop::Mixing::kOn),
    [](const testing::TestParamInfo<Interop::Mixing>& mixing) {
      return mixing.param == Interop::Mixing::kOn ? "IData" : "Data";
    });

TEST_P(UsrsctpInterop, HandshakesFromEitherSideAndBoth) {
  for (auto opener : {Interop::Opener::kKyuu, Interop::Opener::kUsrsctp,
                      Interop::Opener::kBoth}) {
    Interop i(0, 1, GetParam());
    i.Connect(opener);
    EXPECT_EQ(i.mixing_agreed, GetParam() == Interop::Mixing::kOn);
    ASSERT_OK(i.SendFromKyuu(1, "from kyuu"));
    ASSERT_TRUE(i.SendFromUsrsctp(2, "from usrsctp"));
    ASSERT_TRUE(i.RunUntil(
        [&] { return !i.at_kyuu.empty() && !i.at_usrsctp.empty(); }));
    EXPECT_EQ(i.at_kyuu[0].second, "from usrsctp");
    EXPECT_EQ(i.at_usrsctp[0].second, "from kyuu");
  }
}

TEST_P(UsrsctpInterop, MessagesOfAllSizesBothWaysUnderLoss) {
  for (double loss : {0.0, 0.05}) {
    SCOPED_TRACE(loss);
    Interop i(loss, 7, GetParam());
    i.Connect(Interop::Opener::kBoth);
    std::vector<std::string> sent;
    for (size_t size : {1u, 2u, 1000u, 1163u, 1164u, 5000u, 65536u, 262144u}) {
      std::string text(size, '\0');
      for (size_t k = 0; k < size; ++k) text[k] = static_cast<char>(k * 7);
      sent.push_back(text);
    }
    for (const std::string& text : sent) {
      ASSERT_OK(i.SendFromKyuu(3, text));
      bool taken = false;
      ASSERT_TRUE(i.RunUntil(
          [&] { return taken = taken || i.SendFromUsrsctp(4, text); }));
    }
    ASSERT_TRUE(i.RunUntil([&] {
      return i.at_kyuu.size() == sent.size() &&
             i.at_usrsctp.size() == sent.size();
    })) << i.at_kyuu.size()
        << " and " << i.at_usrsctp.size() << " arrived; "
        << i.kyuu.DebugString();
    for (size_t k = 0; k < sent.size(); ++k) {
      EXPECT_TRUE(i.at_kyuu[k].second == sent[k]) << sent[k].size();
      EXPECT_TRUE(i.at_usrsctp[k].second == sent[k]) << sent[k].size();
    }
  }
}

TEST_P(UsrsctpInterop, PartialReliabilityUnderLoss) {
  Interop i(0.1, 3, GetParam());
  i.Connect(Interop::Opener::kBoth);
  for (int k = 0; k < 200; ++k) {
    SendOptions how;
    if (k % 2 == 0) how.max_retransmits = 0;
    if (k % 4 == 2) how.ordering = Ordering::kUnordered;
    ASSERT_OK(i.SendFromKyuu(static_cast<uint16_t>(k % 4),
                             std::string(3000, 'x') + std::to_string(k), how));
  }
  ASSERT_OK(i.SendFromKyuu(0, "last"));
  ASSERT_TRUE(i.RunUntil([&] {
    return i.kyuu.stats().send_occupied_bytes == 0;
  })) << i.kyuu.DebugString();
  i.RunFor(absl::Seconds(1));
  size_t reliable = 0;
  std::string last;
  for (const auto& [stream, text] : i.at_usrsctp) {
    reliable += stream % 2;
    if (stream == 0) last = text;
  }
  EXPECT_EQ(reliable, 100u);
  EXPECT_EQ(last, "last");
  EXPECT_GT(i.kyuu.stats().messages_abandoned, 0u);
}

TEST_P(UsrsctpInterop, StreamResetsBothWays) {
  for (double loss : {0.0, 0.1}) {
    SCOPED_TRACE(loss);
    Interop i(loss, 5, GetParam());
    i.Connect(Interop::Opener::kBoth);
    ASSERT_OK(i.SendFromKyuu(6, "before"));
    ASSERT_TRUE(i.SendFromUsrsctp(6, "before"));
    i.RunFor(absl::Seconds(2));
    ASSERT_OK(i.kyuu.ResetStreams(i.now(), {StreamId{6}}));
    ASSERT_TRUE(i.RunUntil([&] { return i.kyuu_resets.size() == 1; }));
    EXPECT_OK(i.kyuu_resets[0].status);
    EXPECT_EQ(i.usrsctp_resets, std::vector<uint16_t>{6});
    i.ResetFromUsrsctp(6);
    ASSERT_TRUE(i.RunUntil([&] { return i.kyuu_resets.size() == 2; }));
    EXPECT_EQ(i.kyuu_resets[1].direction, StreamDirection::kIncoming);
    i.RunFor(absl::Seconds(3));
    ASSERT_OK(i.SendFromKyuu(6, "after"));
    ASSERT_TRUE(i.SendFromUsrsctp(6, "after"));
    ASSERT_TRUE(i.RunUntil(
        [&] { return i.at_kyuu.size() == 2 && i.at_usrsctp.size() == 2; }));
  }
}

// RFC 6525 section 4.3, again and again. Messages on several streams before and
// after tell whether both count alike.
// It does not read a request that names more than 248, and answers it not.
TEST_P(UsrsctpInterop, ManyStreamsAreResetAtOnce) {
  Interop i(0, 5, GetParam());
  i.Connect(Interop::Opener::kBoth);
  std::vector<StreamId> streams;
  for (uint16_t stream = 0; stream < 450; ++stream) {
    ASSERT_OK(i.SendFromKyuu(stream, "before"));
    streams.push_back(StreamId{stream});
  }
  ASSERT_OK(i.kyuu.ResetStreams(i.now(), streams));
  ASSERT_TRUE(i.RunUntil([&] { return i.usrsctp_resets.size() == 450; }))
      << i.usrsctp_resets.size() << i.kyuu.DebugString();
}

TEST_P(UsrsctpInterop, AssociationResetByKyuu) {
  for (double loss : {0.0, 0.1}) {
    SCOPED_TRACE(loss);
    Interop i(loss, 5, GetParam());
    i.Connect(Interop::Opener::kBoth);
    for (size_t round = 1; round <= 6; ++round) {
      SCOPED_TRACE(round);
      for (uint16_t stream : std::vector<uint16_t>{0, 6, 6, 6}) {
        ASSERT_OK(i.SendFromKyuu(stream, std::string(3000, 'k')));
        ASSERT_TRUE(i.SendFromUsrsctp(stream, std::string(3000, 'u')));
      }
      ASSERT_TRUE(i.RunUntil([&] {
        return i.at_kyuu.size() == 4 * round &&
               i.at_usrsctp.size() == 4 * round;
      }));
      i.RunFor(absl::Seconds(3));
      ASSERT_OK(i.kyuu.ResetAssociation(i.now()));
      ASSERT_TRUE(i.RunUntil([&] {
        return i.kyuu_whole_resets.size() == round &&
               i.usrsctp_whole_resets.size() == round;
      })) << i.kyuu.DebugString();
      EXPECT_OK(i.kyuu_whole_resets.back());
      EXPECT_EQ(i.usrsctp_whole_resets.back(), 0);
    }
    EXPECT_EQ(i.kyuu.stats().drop_invalid_reconfig, 0u);
  }
}

// What libusrsctp sends after a reset that it has asked for is not looked at:
// it takes its own TSNs for ours then, and hears an acknowledgement or not as
// they happen to be (sctp_handle_stream_reset_response sets last_acked_seq from
// cumulative_tsn).
TEST_P(UsrsctpInterop, AssociationResetByUsrsctp) {
  for (double loss : {0.0, 0.1}) {
    SCOPED_TRACE(loss);
    Interop i(loss, 5, GetParam(), {.grant_association_reset = true});
    i.Connect(Interop::Opener::kBoth);
    ASSERT_OK(i.SendFromKyuu(6, "before"));
    ASSERT_TRUE(i.SendFromUsrsctp(6, "before"));
    i.RunFor(absl::Seconds(3));
    i.ResetAllFromUsrsctp();
    ASSERT_TRUE(i.RunUntil([&] { return !i.usrsctp_whole_resets.empty(); }));
    EXPECT_EQ(i.usrsctp_whole_resets, std::vector<int>{0});
    ASSERT_EQ(i.kyuu_whole_resets.size(), 1u);
    EXPECT_OK(i.kyuu_whole_resets[0]);
    for (uint16_t stream : std::vector<uint16_t>{0, 6, 6}) {
      ASSERT_OK(i.SendFromKyuu(stream, "after"));
    }
    ASSERT_TRUE(i.RunUntil([&] { return i.at_usrsctp.size() == 4; }));
  }
}

// A kyuu that does not want it says so.
TEST_P(UsrsctpInterop, AssociationResetIsDeniedWhereItIsNotGranted) {
  Interop i(0, 5, GetParam());
  i.Connect(Interop::Opener::kBoth);
  i.ResetAllFromUsrsctp();
  ASSERT_TRUE(i.RunUntil([&] { return !i.usrsctp_whole_resets.empty(); }));
  EXPECT_EQ(i.usrsctp_whole_resets.back(), SCTP_ASSOC_RESET_DENIED);
  ASSERT_OK(i.SendFromKyuu(6, "after"));
  ASSERT_TRUE(i.SendFromUsrsctp(6, "after"));
  ASSERT_TRUE(i.RunUntil(
      [&] { return i.at_kyuu.size() == 1 && i.at_usrsctp.size() == 1; }));
  EXPECT_TRUE(i.kyuu_whole_resets.empty());
}

TEST_P(UsrsctpInterop, StreamsAddedByKyuu) {
  for (double loss : {0.0, 0.1}) {
    SCOPED_TRACE(loss);
    Interop i(loss, 5, GetParam(),
              {.outgoing_streams = 100, .incoming_streams = 200});
    i.Connect(Interop::Opener::kBoth);
    ASSERT_OK(i.kyuu.AddStreams(i.now(), 10, 20));
    ASSERT_TRUE(i.RunUntil([&] { return i.kyuu_added.size() == 2; }));
    EXPECT_OK(i.kyuu_added[0].status);
    EXPECT_OK(i.kyuu_added[1].status);
    EXPECT_EQ(i.kyuu_added[1].outgoing_streams, 110);
    EXPECT_EQ(i.kyuu_added[1].incoming_streams, 220);
    i.RunFor(absl::Seconds(5));
    EXPECT_EQ(i.usrsctp_incoming, 110);
    EXPECT_EQ(i.usrsctp_outgoing, 220);
    ASSERT_OK(i.SendFromKyuu(109, "on the last one"));
    ASSERT_TRUE(i.SendFromUsrsctp(219, "on the last one"));
    ASSERT_TRUE(i.RunUntil(
        [&] { return i.at_kyuu.size() == 1 && i.at_usrsctp.size() == 1; }));
    EXPECT_EQ(i.at_kyuu[0].first, 219);
    EXPECT_EQ(i.at_usrsctp[0].first, 109);
    // It takes 1024 of ours at most.
    ASSERT_OK(i.kyuu.AddStreams(i.now(), 915, 0));
    ASSERT_TRUE(i.RunUntil([&] { return i.kyuu_added.size() == 3; }));
    EXPECT_EQ(i.kyuu_added[2].status.code(), absl::StatusCode::kUnavailable);
    // The numbers of the requests are still the same on both sides.
    ASSERT_OK(i.kyuu.AddStreams(i.now(), 914, 0));
    ASSERT_TRUE(i.RunUntil([&] { return i.kyuu_added.size() == 4; }));
    EXPECT_EQ(i.kyuu_added[3].outgoing_streams, 1024);
    ASSERT_OK(i.kyuu.ResetStreams(i.now(), {StreamId{109}}));
    ASSERT_TRUE(i.RunUntil([&] { return i.kyuu_resets.size() == 1; }));
    EXPECT_OK(i.kyuu_resets[0].status);
  }
}

TEST_P(UsrsctpInterop, StreamsAddedByUsrsctp) {
  for (double loss : {0.0, 0.1}) {
    SCOPED_TRACE(loss);
    Interop i(loss, 5, GetParam(),
              {.outgoing_streams = 100,
               .incoming_streams = 200,
               .max_outgoing_streams = 150,
               .max_incoming_streams = 250});
    i.Connect(Interop::Opener::kBoth);
    ASSERT_TRUE(i.AddFromUsrsctp(20, 10));
    ASSERT_TRUE(i.RunUntil([&] { return i.kyuu_added.size() == 2; }));
    EXPECT_EQ(i.kyuu_added[1].outgoing_streams, 110);
    EXPECT_EQ(i.kyuu_added[1].incoming_streams, 220);
    i.RunFor(absl::Seconds(10));
    EXPECT_EQ(i.usrsctp_incoming, 110);
    EXPECT_EQ(i.usrsctp_outgoing, 220);
    EXPECT_EQ(i.usrsctp_refused, 0);
    ASSERT_OK(i.SendFromKyuu(109, "on the last one"));
    ASSERT_TRUE(i.SendFromUsrsctp(219, "on the last one"));
    ASSERT_TRUE(i.RunUntil(
        [&] { return i.at_kyuu.size() == 1 && i.at_usrsctp.size() == 1; }));
    ASSERT_TRUE(i.AddFromUsrsctp(31, 0));
    ASSERT_TRUE(i.RunUntil([&] { return i.usrsctp_refused == 1; }));
    EXPECT_EQ(i.kyuu_added.size(), 2u);
    i.RunFor(absl::Seconds(5));
    ASSERT_TRUE(i.AddFromUsrsctp(30, 0));
    ASSERT_TRUE(i.RunUntil([&] { return i.usrsctp_outgoing == 250; }));
  }
}

TEST_P(UsrsctpInterop, ShutdownFromKyuu) {
  Interop i(0, 1, GetParam());
  i.Connect(Interop::Opener::kBoth);
  ASSERT_OK(i.SendFromKyuu(0, std::string(50'000, 'x')));
  i.kyuu.Shutdown(i.now());
  ASSERT_TRUE(i.RunUntil([&] { return i.kyuu_closed.has_value(); }));
  EXPECT_OK(*i.kyuu_closed);
  ASSERT_EQ(i.at_usrsctp.size(), 1u);
  EXPECT_TRUE(i.usrsctp_closed);
}

TEST_P(UsrsctpInterop, AbortFromKyuu) {
  Interop i(0, 1, GetParam());
  i.Connect(Interop::Opener::kBoth);
  i.kyuu.Abort(i.now(), "enough");
  i.RunFor(absl::Milliseconds(100));
  ASSERT_TRUE(i.kyuu_closed);
  EXPECT_EQ(i.kyuu_closed->code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(i.usrsctp_closed);
}

}  // namespace
}  // namespace kyuu::sctp
