#include "net/stream_port.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "net/testing/certificate.h"
#include "net/testing/endpoint.h"
#include "net/testing/loop.h"
#include "net/testing/syscall_faults.h"
#include "net/tls.h"

namespace kyuu::net {
namespace {

class StreamPortTest : public testing::Test {
 protected:
  void Open(StreamPortOptions options = {}) {
    std::vector<TcpListener> listeners;
    for (const char* bind : {"127.0.0.1:0", "[::1]:0"}) {
      listeners.push_back(
          TcpListener::Open({.bind = TransportAddress::Parse(bind).value()})
              .value());
      addresses_.push_back(listeners.back().local());
      fds_.push_back(listeners.back().fd());
    }
    port_.emplace(
        *loop_, std::move(listeners), std::move(options),
        [this](AcceptedStream accepted) {
          if (on_accepted_) on_accepted_(accepted);
          accepted.watch.reset();
          accepted_.push_back(std::move(accepted));
          loop_->Stop();
        },
        [this](StreamRefusal why, const TransportAddress&) {
          refusals_.push_back(why);
          loop_->Stop();
        });
  }
  std::unique_ptr<Endpoint<TcpStream>> Client(absl::string_view says,
                                              size_t door = 0) {
    auto client = std::make_unique<Endpoint<TcpStream>>(
        *loop_, TcpStream::Connect(addresses_[door]).value());
    if (!says.empty()) {
      EXPECT_OK(client->Write(says));
    }
    return client;
  }
  void RunUntilAccepted(size_t count) {
    loop_.RunUntil([&] { return accepted_.size() == count; });
  }

  TestLoop loop_;
  std::vector<TransportAddress> addresses_;
  std::vector<int> fds_;
  std::optional<StreamPort> port_;
  std::vector<StreamRefusal> refusals_;
  absl::AnyInvocable<void(AcceptedStream&)> on_accepted_;
  std::vector<AcceptedStream> accepted_;  // Before the port, by permits.
};

TEST(StreamKindTest, TheFirstByteTells) {
  for (int byte = 0; byte < 256; ++byte) {
    const StreamKind kind = KindOf(static_cast<uint8_t>(byte));
    const bool letter =
        (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
    EXPECT_EQ(kind == StreamKind::kHttp, letter) << byte;
    EXPECT_EQ(kind == StreamKind::kTls, byte == 0x16) << byte;
    EXPECT_EQ(kind == StreamKind::kTurn, byte < 4 || byte == 0x40) << byte;
  }
}

TEST_F(StreamPortTest, EachKindIsHandedOutWithItsFirstByteUnread) {
  Open();
  const auto http = Client("GET /");
  RunUntilAccepted(1);
  EXPECT_EQ(accepted_[0].kind, StreamKind::kHttp);
  uint8_t byte = 0;
  EXPECT_EQ(accepted_[0].stream.Read({&byte, 1}).state, ReadState::kData);
  EXPECT_EQ(byte, 'G');
  const auto turn = Client(absl::string_view("\0\1", 2), 1);
  RunUntilAccepted(2);
  EXPECT_EQ(accepted_[1].kind, StreamKind::kTurn);
  const auto tls = Client("\x16\x03\x01");
  RunUntilAccepted(3);
  EXPECT_EQ(accepted_[2].kind, StreamKind::kTls);
  EXPECT_EQ(port_->open_streams(), 3u);
  accepted_.clear();
  EXPECT_EQ(port_->open_streams(), 0u);
}

TlsContext Serving(const TestCertificate& files) {
  return TlsContext::Server(
             {{{files.certificate_file(), files.key_file()}}, {}})
      .value();
}

TlsStream Connect(const TransportAddress& to, const TestCertificate& trusted,
                  std::string name) {
  return TlsStream(TlsContext::Client({.server_name = std::move(name),
                                       .ca_file = trusted.certificate_file()})
                       .value(),
                   TcpStream::Connect(to).value());
}

TEST_F(StreamPortTest, TlsIsTakenOffAndTheByteInsideTells) {
  const TestCertificate certificate;
  StreamPortOptions options;
  options.tls = Serving(certificate);
  Open(std::move(options));
  Endpoint<TlsStream> client(*loop_,
                             Connect(addresses_[0], certificate, "kyuu.test"));
  ASSERT_OK(client.Write("GET / HTTP/1.1"));
  RunUntilAccepted(1);
  EXPECT_TRUE(accepted_[0].stream.is_tls());
  EXPECT_EQ(accepted_[0].kind, StreamKind::kHttp);
  // And plain HTTP is still told from it.
  const auto plain = Client("GET /");
  RunUntilAccepted(2);
  EXPECT_FALSE(accepted_[1].stream.is_tls());
}

TEST_F(StreamPortTest, ARenewedCertificateIsForNewStreamsAndEndsNone) {
  const TestCertificate before("before.test"), after("after.test");
  StreamPortOptions options;
  options.tls = Serving(before);
  Open(std::move(options));
  Endpoint<TlsStream> old(*loop_,
                          Connect(addresses_[0], before, "before.test"));
  ASSERT_OK(old.Write("GET /"));
  RunUntilAccepted(1);
  port_->SetTls(Serving(after));
  Endpoint<TlsStream> young(*loop_,
                            Connect(addresses_[0], after, "after.test"));
  ASSERT_OK(young.Write("GET /"));
  RunUntilAccepted(2);
  ASSERT_OK(accepted_[0].stream.Write(AsBytes("still here")));
  accepted_[0].stream.Flush();
  loop_.RunUntil([&] { return old.received == "still here"; });
}

TEST_F(StreamPortTest, TheSilentAreNotWaitedFor) {
  Open({.first_byte_timeout = absl::Milliseconds(5)});
  const auto client = Client("");
  loop_.RunUntil([&] { return client->over; });
  EXPECT_EQ(port_->stats().silent, 1u);
  EXPECT_EQ(port_->open_streams(), 0u);
}

TEST_F(StreamPortTest, WhoLeavesWithoutAWordIsForgotten) {
  Open();
  auto client = Client("");
  loop_.RunUntil([&] { return port_->open_streams() == 1; });
  client.reset();
  Alarm tick(*loop_, [&] {
    tick.Set(Loop::Now() + absl::Milliseconds(1));
    loop_->Stop();
  });
  tick.Set(Loop::Now());
  loop_.RunUntil([&] { return port_->stats().silent == 1; });
  EXPECT_EQ(port_->open_streams(), 0u);
}

// P4: one source does not shut out the others.
TEST_F(StreamPortTest, ASourceHasAShare) {
  Open({.max_streams = 3, .max_streams_per_source = 2});
  const auto one = Client("a"), two = Client("b");
  RunUntilAccepted(2);
  const auto three = Client("c");
  loop_.RunUntil([&] { return three->over; });
  EXPECT_EQ(refusals_, std::vector{StreamRefusal::kSource});
  EXPECT_EQ(port_->stats().refused_source, 1u);
  const auto other = Client("d", 1);
  RunUntilAccepted(3);
  const auto late = Client("e", 1);
  loop_.RunUntil([&] { return late->over; });
  EXPECT_EQ(refusals_.back(), StreamRefusal::kTotal);
  EXPECT_EQ(port_->stats().refused_full, 1u);
  // A place that was given back is there for the next one.
  accepted_.pop_back();
  const auto again = Client("f", 1);
  RunUntilAccepted(3);
}

TEST_F(StreamPortTest, AProxyHasNoShare) {
  Open({.max_streams_per_source = 1,
        .shared_sources = {IpPrefix::Parse("127.0.0.0/8").value()}});
  const auto one = Client("a"), two = Client("b");
  RunUntilAccepted(2);
}

// All that has come of a stream by now.
std::string ReadAll(Stream& stream) {
  std::array<uint8_t, 100> buffer;
  const ReadResult got = stream.Read(absl::MakeSpan(buffer));
  return {buffer.begin(),
          buffer.begin() + static_cast<std::ptrdiff_t>(got.bytes)};
}

const absl::string_view kLine =
    "PROXY TCP4 198.51.100.1 192.0.2.1 40000 443\r\n";
const TransportAddress kTold{IpAddress::V4(198, 51, 100, 1), 40000};
const TransportAddress kReached{IpAddress::V4(192, 0, 2, 1), 443};
const IpPrefix kProxies = IpPrefix::Parse("127.0.0.0/8").value();

TEST_F(StreamPortTest, AProxyTellsWhoseConnectionItIs) {
  Open({.header_sources = {kProxies}});
  const auto whole = Client(absl::StrCat(kLine, "GET /"));
  RunUntilAccepted(1);
  EXPECT_EQ(accepted_[0].stream.path().remote, kTold);
  EXPECT_EQ(accepted_[0].stream.path().local, kReached);
  EXPECT_EQ(accepted_[0].kind, StreamKind::kHttp);
  EXPECT_EQ(ReadAll(accepted_[0].stream), "GET /");
  // In pieces, the last of which is not its own; and of version 2.
  const std::string binary(
      "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x01\xc0\0\2\1\x9c\x40\1"
      "\xbb",
      28);
  for (const std::string& header : {std::string(kLine), binary}) {
    accepted_.clear();
    const auto client = Client("");
    const std::string all = header + std::string("\0\1", 2);
    for (size_t i = 0; i < all.size(); ++i) {
      ASSERT_OK(client->Write(all.substr(i, 1)));
      loop_->Post([this] { loop_->Stop(); });
      loop_->Run();
    }
    RunUntilAccepted(1);
    EXPECT_EQ(accepted_[0].stream.path().remote, kTold);
    EXPECT_EQ(accepted_[0].kind, StreamKind::kTurn);
  }
  // Its own, as its checks of us are.
  accepted_.clear();
  const auto check = Client("PROXY UNKNOWN\r\nGET /");
  RunUntilAccepted(1);
  EXPECT_EQ(accepted_[0].stream.path().remote, check->stream.path().local);
  EXPECT_EQ(port_->stats().proxied, 4u);
}

TEST_F(StreamPortTest, WhatItHandsOutIsWatchedAlready) {
  size_t said = 0;
  std::optional<Watch> taken;
  on_accepted_ = [&](AcceptedStream& accepted) {
    said = ReadAll(accepted.stream).size();
    taken.emplace(*std::move(accepted.watch), [&](Readiness) {
      said += ReadAll(accepted_[0].stream).size();
      loop_->Stop();
    });
  };
  Open();
  SyscallFaults faults;
  TcpStream client = TcpStream::Connect(addresses_[0]).value();
  ASSERT_OK(client.Write(AsBytes("GET /")));
  loop_.RunUntil([&] { return said == 5; });
  ASSERT_OK(client.Write(AsBytes(" HTTP")));
  loop_.RunUntil([&] { return said == 10; });
  // One: as it was accepted.
  EXPECT_EQ(faults.calls(Syscall::kEpollCtl), 1u);
}

TEST_F(StreamPortTest, WhatWasHeardGoesWithTheStream) {
  SyscallFaults faults;
  Open();
  TcpStream client = TcpStream::Connect(addresses_[0]).value();
  ASSERT_OK(client.Write(AsBytes("GET / HTTP/1.1")));
  RunUntilAccepted(1);
  EXPECT_TRUE(accepted_[0].stream.has_pending());
  EXPECT_EQ(ReadAll(accepted_[0].stream), "GET / HTTP/1.1");
  EXPECT_FALSE(accepted_[0].stream.has_pending());
  EXPECT_EQ(faults.calls(Syscall::kRecv), 1u);
  // What goes beyond that follows.
  accepted_.clear();
  const std::string longer = "G" + std::string(5000, 'E');
  ASSERT_OK(TcpStream::Connect(addresses_[0]).value().Write(AsBytes(longer)));
  RunUntilAccepted(1);
  std::string got;
  loop_.PollUntil([&] {
    got += ReadAll(accepted_[0].stream);
    return got.size() >= longer.size();
  });
  EXPECT_EQ(got, longer);
}

TEST_F(StreamPortTest, AProxysHeaderComesBeforeTls) {
  const TestCertificate certificate;
  StreamPortOptions options;
  options.header_sources = {kProxies};
  options.tls = Serving(certificate);
  Open(std::move(options));
  TcpStream plain = TcpStream::Connect(addresses_[0]).value();
  ASSERT_OK(plain.Write(AsBytes(kLine)));
  Endpoint<TlsStream> client(
      *loop_,
      TlsStream(TlsContext::Client({.server_name = "kyuu.test",
                                    .ca_file = certificate.certificate_file()})
                    .value(),
                std::move(plain)));
  ASSERT_OK(client.Write("GET /"));
  RunUntilAccepted(1);
  EXPECT_TRUE(accepted_[0].stream.is_tls());
  EXPECT_EQ(accepted_[0].stream.path().remote, kTold);
  EXPECT_EQ(ReadAll(accepted_[0].stream), "GET /");
}

// Nobody else is believed, and nobody waits for what will not come: at the
// first bytes, in however many pieces they come, it is refused.
TEST_F(StreamPortTest, AHeaderOfWhomIsNoProxyIsRefusedAtOnce) {
  Open({.header_sources = {kProxies}, .first_byte_timeout = absl::Hours(1)});
  uint64_t refused = 0;
  const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);
  for (const std::string& begins : {std::string("PROXY "), std::string(kLine),
                                    signature, signature + "\x21\x11"}) {
    for (const size_t piece : {begins.size(), size_t{1}, size_t{4}}) {
      const auto client = Client("", 1);
      for (size_t at = 0; at < begins.size() && !client->over; at += piece) {
        // It may be over before it has said all.
        (void)client->Write(begins.substr(at, piece));
        loop_->Post([this] { loop_->Stop(); });
        loop_->Run();
      }
      loop_.RunUntil([&] { return client->over; });
      EXPECT_EQ(port_->stats().unasked_header, ++refused) << begins;
      EXPECT_EQ(refusals_.back(), StreamRefusal::kUnaskedHeader);
    }
  }
  // A proxy passes on what another one, which is not trusted, has said.
  const auto two = Client(absl::StrCat(kLine, kLine, "GET /"));
  loop_.RunUntil([&] { return two->over; });
  EXPECT_EQ(port_->stats().unasked_header, ++refused);
  EXPECT_EQ(port_->stats().accepted, 0u);
  EXPECT_EQ(port_->open_streams(), 0u);
}

TEST_F(StreamPortTest, WhatOnlyBeginsLikeAHeaderIsHandedOut) {
  Open();
  size_t count = 0;
  for (const absl::string_view says : {"P", "POST / HTTP/1.1", "PRI * HTTP/2.0",
                                       "PROPFIND /", "PROXY\n", "\r\nGET /"}) {
    for (const size_t piece : {says.size(), size_t{1}}) {
      const auto client = Client("");
      for (size_t at = 0; at < says.size(); at += piece) {
        ASSERT_OK(client->Write(says.substr(at, piece)));
        loop_->Post([this] { loop_->Stop(); });
        loop_->Run();
      }
      // Of one that says no more, the end tells.
      if (says == "P") client->stream.ShutdownWrite();
      RunUntilAccepted(++count);
      std::string got;
      loop_.RunUntil([&] {
        got += ReadAll(accepted_.back().stream);
        loop_->Post([this] { loop_->Stop(); });
        return got == says;
      });
      EXPECT_EQ(accepted_.back().kind,
                says[0] == 'P' ? StreamKind::kHttp : StreamKind::kOther);
    }
  }
  EXPECT_TRUE(refusals_.empty());
}

TEST_F(StreamPortTest, WhoStopsWithinAHeaderHasItsTimeAndNoMore) {
  Open({.first_byte_timeout = absl::Milliseconds(50)});
  const auto client = Client("PROX");
  const absl::Time begin = Loop::Now();
  loop_.RunUntil([&] { return client->over; });
  EXPECT_GE(Loop::Now() - begin, absl::Milliseconds(50));
  EXPECT_EQ(port_->stats().silent, 1u);
  EXPECT_EQ(port_->stats().unasked_header + port_->stats().accepted, 0u);
  EXPECT_EQ(port_->open_streams(), 0u);
}

TEST_F(StreamPortTest, AProxyThatDoesNotTellIsRefused) {
  Open({.header_sources = {kProxies},
        .first_byte_timeout = absl::Milliseconds(5)});
  uint64_t refused = 0;
  for (const absl::string_view says :
       {absl::string_view("GET / HTTP/1.1\r\n\r\n"),
        absl::string_view("\0\1\0\0", 4), absl::string_view("\x16\3\1"),
        absl::string_view("PROXY TCP4 nonsense\r\n"),
        // And one that takes too long, or says nothing at all.
        absl::string_view("PROXY TC"), absl::string_view("")}) {
    const auto client = Client(says);
    loop_.RunUntil([&] { return client->over; });
    EXPECT_EQ(port_->stats().refused_header, ++refused);
    EXPECT_EQ(refusals_.back(), StreamRefusal::kHeader);
  }
  EXPECT_EQ(refusals_.size(), refused);
  EXPECT_EQ(port_->open_streams(), 0u);
}

TEST_F(StreamPortTest, WhoIsToldHasAShareAndItsProxyHasNone) {
  Open({.max_streams_per_source = 1, .header_sources = {kProxies}});
  const auto one = Client(absl::StrCat(kLine, "a"));
  const auto two = Client("PROXY TCP4 198.51.100.2 192.0.2.1 1 443\r\nb");
  RunUntilAccepted(2);
  const auto three = Client(absl::StrCat(kLine, "c"));
  loop_.RunUntil([&] { return three->over; });
  EXPECT_EQ(refusals_, std::vector{StreamRefusal::kSource});
  EXPECT_EQ(port_->stats().refused_source, 1u);
  accepted_.clear();
  EXPECT_EQ(port_->open_streams(), 0u);
  const auto again = Client(absl::StrCat(kLine, "d"));
  RunUntilAccepted(1);
}

// P1, T1: out of descriptors the loop goes on, without work and without an end
// of its own, and the port recovers by itself.
TEST_F(StreamPortTest, WithoutDescriptorsItPausesAndRecovers) {
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EBADF}) {
    SCOPED_TRACE(error);
    accepted_.clear();
    addresses_.clear();
    port_.reset();
    refusals_.clear();
    Open();
    SyscallFaults faults;
    faults.Fail(Syscall::kAccept, error);
    const auto client = Client("GET");
    loop_.RunUntil([&] { return refusals_.size() == 4; });
    // 10, 20, 40 ms apart: far from a spin.
    EXPECT_LE(faults.calls(Syscall::kAccept), 4u * 64);
    EXPECT_EQ(port_->stats().exhausted, 4u);
    EXPECT_EQ(refusals_.back(), StreamRefusal::kExhausted);
    faults.Heal(Syscall::kAccept);
    RunUntilAccepted(1);
  }
}

TEST_F(StreamPortTest, WhoCannotBeWatchedIsReset) {
  Open();
  SyscallFaults faults;
  const auto client = Client("GET");
  // The accepted descriptor is the lowest one that is free.
  const int next = dup(0);
  close(next);
  faults.Fail(Syscall::kEpollCtl, ENOSPC, 1, next);
  loop_.RunUntil([&] { return client->over; });
  EXPECT_EQ(port_->stats().unwatched, 1u);
  EXPECT_EQ(refusals_, std::vector{StreamRefusal::kUnwatched});
  EXPECT_EQ(port_->open_streams(), 0u);
}

}  // namespace
}  // namespace kyuu::net
