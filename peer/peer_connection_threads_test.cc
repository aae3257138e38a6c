// PeerConnections under several threads: destroyed and closed anywhere at any
// moment, used by many at once. Meant for ThreadSanitizer too.

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/testing.h"
#include "peer/peer_connection.h"
#include "peer/testing/peer_connection_pair.h"

namespace kyuu::peer {
namespace {

constexpr auto kInterruption = Pair::Expect::kInterruption;

// Every event of a connection and its channels.
constexpr const char* kEvents[] = {
    "negotiationneeded", "candidate", "candidateerror", "signaling",
    "gathering",         "ice",       "connection",     "path",
    "datachannel",       "open",      "message",        "low",
    "writable",          "close",     "closed",
};

// What the two threads' arrangement is.
enum class Threads { kOne, kTwo };

// Connects, sends until the buffer is full, makes `event` happen if it has not
// yet, and has the side that gets it first `act` in its handler.
void RunWith(const std::string& event, Threads threads,
             const std::function<void(Side&)>& act) {
  SCOPED_TRACE(event);
  Pair pair;
  Configuration configuration{
      .stun_servers = {{IpAddress::V4(127, 0, 0, 1), 9}}};
  configuration.engine.gatherer.server_deadline = absl::Milliseconds(10);
  configuration.engine.channels.association.send_buffer_bytes = 30000;
  std::shared_ptr<Thread> thread_a = *Thread::Start();
  std::shared_ptr<Thread> thread_b =
      threads == Threads::kOne ? thread_a : *Thread::Start();
  Board board;
  std::atomic<bool> done = false;
  const auto hook = [&](Side& side) {
    return [&](const std::string& name) {
      if (name == event && !done.exchange(true)) {
        act(side);
        board.Note("acted");
      }
      if (done) return;
      const std::shared_ptr<DataChannel> channel = side.channel();
      if (name == "open") {
        while (channel->Send(std::string(5000, 'x')).ok()) {
        }
        if (event == "negotiationneeded") side.get()->RestartIce();
        if (event == "close") channel->Close();
        if (event == "closed" && &side == &pair.b) side.get()->Close();
      }
    };
  };
  configuration.thread = thread_a;
  pair.a.Create(configuration, pair.b, hook(pair.a));
  configuration.thread = thread_b;
  pair.b.Create(configuration, pair.a, hook(pair.b));
  configuration.thread = nullptr;
  // On a's thread, so that nobody else holds a's connection when it is dropped.
  thread_a->Post([&] {
    pair.Connect(kInterruption);
    board.Note("connected");
  });
  EXPECT_TRUE(board.Wait("connected"));
  EXPECT_TRUE(board.Wait("acted"));
  pair.Drop();
  // They wait for the handlers of what was dropped before.
  thread_a = nullptr;
  thread_b = nullptr;
}

TEST(PeerConnectionThreads, H23MayBeDestroyedInEveryHandler) {
  for (const char* event : kEvents) {
    for (const Threads threads : {Threads::kOne, Threads::kTwo}) {
      RunWith(event, threads, [](Side& side) {
        side.Drop();
        side.Keep(nullptr);
      });
    }
  }
}

TEST(PeerConnectionThreads, H23MayBeClosedInEveryHandler) {
  for (const char* event : kEvents) {
    RunWith(event, Threads::kTwo, [](Side& side) { side.get()->Close(); });
  }
}

TEST(PeerConnectionThreads, DieOnTheirOwnThread) {
  // The connection and the last reference to its thread die in a handler.
  for (int i = 0; i < 10; ++i) {
    const auto board = std::make_shared<Board>();
    const auto connection = std::make_shared<std::unique_ptr<PeerConnection>>();
    *connection = *PeerConnection::Create(
        {.loopback = LoopbackUse::kAlways},
        {.on_ice_gathering_state_change = [board, connection](GatheringState) {
          connection->reset();
          board->Note("dead");
        }});
    std::shared_ptr<Thread> thread = (*connection)->thread();
    thread->Post([board, connection] {
      EXPECT_TRUE(board->Wait("go"));
      EXPECT_OK((*connection)->CreateDataChannel({.label = "chat"}));
      EXPECT_OK((*connection)->SetLocalDescription());
    });
    thread = nullptr;
    board->Note("go");
    ASSERT_TRUE(board->Wait("dead"));
  }
}

TEST(PeerConnectionThreads, MayDieBeforeTheyBegin) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK(PeerConnection::Create({.loopback = LoopbackUse::kAlways}, {}));
  }
  // On a thread that dies with them, from itself.
  const auto board = std::make_shared<Board>();
  const auto last = std::make_shared<std::shared_ptr<Thread>>();
  std::shared_ptr<Thread> thread = *Thread::Start();
  thread->Post([board, last] {
    EXPECT_TRUE(board->Wait("go"));
    EXPECT_OK(PeerConnection::Create(
        {.loopback = LoopbackUse::kAlways, .thread = std::move(*last)}, {}));
    board->Note("dead");
  });
  *last = std::move(thread);
  board->Note("go");
  EXPECT_TRUE(board->Wait("dead"));
}

TEST(PeerConnectionThreads, CloseWaitsForAHandlerAndThenThereIsSilence) {
  std::promise<void> entered, leave;
  std::atomic<int> calls = 0;
  std::atomic<bool> returned = false;
  auto connection =
      *PeerConnection::Create({.loopback = LoopbackUse::kAlways},
                              {.on_ice_candidate = [&](const IceCandidate&) {
                                ++calls;
                                entered.set_value();
                                leave.get_future().wait();
                                returned = true;
                              }});
  ASSERT_OK(connection->CreateDataChannel({.label = "chat"}));
  ASSERT_OK(connection->SetLocalDescription());
  entered.get_future().wait();
  std::thread closer([&] {
    connection->Close();
    EXPECT_TRUE(returned);
  });
  // Everything else goes on while the handler runs and Close() waits.
  while (connection->connection_state() != ConnectionState::kClosed) {
    std::this_thread::yield();
  }
  leave.set_value();
  closer.join();
  connection.reset();
  EXPECT_EQ(calls, 1);
}

// A bridge closes one side when the other one talks, on a thread for each: both
// handlers run, and each closes what the other belongs to.
TEST(PeerConnectionThreads, HandlersMayCloseEachOthersConnections) {
  for (const bool destroy : {false, true}) {
    Pair pair, second;
    std::atomic<int> inside = 0;
    const auto both_inside = [&inside] {
      ++inside;
      while (inside < 2) std::this_thread::yield();
    };
    Board done;
    const auto end = [&](Side& other) {
      both_inside();
      if (destroy) {
        other.Drop();
      } else {
        other->Close();
      }
      done.Note("done");
    };
    // Of two calls, so that the message which starts one handler does not wait
    // for the thread that is in the other.
    pair.a.Create({}, pair.b, [&](const std::string& name) {
      if (name == "message") end(second.a);
    });
    second.a.Create({}, second.b, [&](const std::string& name) {
      if (name == "message") end(pair.a);
    });
    pair.b.Create({}, pair.a);
    second.b.Create({}, second.a);
    for (Pair* call : {&pair, &second}) {
      call->Connect();
      ASSERT_TRUE(call->a.board().Wait("open"));
      ASSERT_TRUE(call->b.board().Wait("open"));
    }
    EXPECT_OK(pair.b.channel()->Send("x"));
    EXPECT_OK(second.b.channel()->Send("y"));
    EXPECT_TRUE(done.Wait("done", 2));
    pair.Drop();
    second.Drop();
  }
}

TEST(PeerConnectionThreads, ReplacedHandlersAreSilent) {
  Pair pair;
  pair.a.Create({}, pair.b);
  pair.b.Create({}, pair.a);
  pair.Connect();
  ASSERT_TRUE(pair.a.board().Wait("open"));
  ASSERT_TRUE(pair.b.board().Wait("open"));
  std::atomic<bool> stop = false;
  std::thread sender([&] {
    while (!stop) {
      pair.a.channel()->Send("x").IgnoreError();
      std::this_thread::yield();
    }
  });
  for (int i = 0; i < 200; ++i) {
    auto alive = std::make_unique<std::atomic<bool>>(true);
    DataChannelHandlers handlers;
    handlers.on_message = [flag = alive.get()](DataChannel&, Message) {
      EXPECT_TRUE(*flag);
    };
    pair.b.channel()->SetHandlers(std::move(handlers));
    std::this_thread::yield();
    pair.b.channel()->SetHandlers({});
    *alive = false;
  }
  stop = true;
  sender.join();
}

TEST(PeerConnectionThreads, HandlersMayOwnTheirChannel) {
  std::weak_ptr<DataChannel> weak;
  {
    Pair pair;
    pair.a.Create({}, pair.b);
    pair.b.Create({}, pair.a);
    pair.Connect();
    weak = pair.a.channel();
    ASSERT_TRUE(pair.a.board().Wait("open"));
    DataChannelHandlers handlers;
    handlers.on_message = [self = pair.a.channel()](DataChannel&, Message) {};
    pair.a.channel()->SetHandlers(std::move(handlers));
    pair.a.Keep(nullptr);
    EXPECT_FALSE(weak.expired());
  }
  EXPECT_TRUE(weak.expired());
}

// Several threads use both sides; then, while they go on, both are closed.
TEST(PeerConnectionThreads, ServeManyAtOnce) {
  constexpr size_t kThreads = 4, kMessages = 50;
  Pair pair;
  pair.a.Create({}, pair.b);
  // How it ends depends on what was in its way: by ABORT or close_notify.
  pair.b.Create({}, pair.a, [&](const std::string& name) {
    if (name == "closed") pair.b.board().Note("ended");
  });
  pair.Connect();
  ASSERT_TRUE(pair.a.board().Wait("open"));
  ASSERT_TRUE(pair.b.board().Wait("open"));
  std::atomic<bool> stop = false;
  // Each side keeps the newest of its peer's channels; these are the oldest.
  const std::shared_ptr<DataChannel> chats[] = {pair.a.channel(),
                                                pair.b.channel()};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    Side& side = t % 2 == 0 ? pair.a : pair.b;
    threads.emplace_back([&stop, connection = side.get(),
                          channel = chats[t % 2]] {
      for (size_t i = 0; i < kMessages; ++i) EXPECT_OK(channel->Send("chat"));
      while (!stop) {
        channel->Send("more").IgnoreError();
        channel->SetBufferedAmountLowThreshold(channel->buffered_amount() / 2);
        (void)channel->ready_state();
        auto own = connection->CreateDataChannel({.label = "own"});
        if (own.ok()) (*own)->Close();
        connection->CreateOffer().IgnoreError();
        connection
            ->AddIceCandidate({.candidate = "candidate:1 1 udp 1 "
                                            "127.0.0.1 9 typ host",
                               .sdp_mid = "0"})
            .IgnoreError();
        (void)connection->GetStats();
        (void)connection->local_description();
        (void)connection->connection_state();
      }
    });
  }
  EXPECT_TRUE(pair.a.board().Wait("message text:chat", kMessages * 2));
  EXPECT_TRUE(pair.b.board().Wait("message text:chat", kMessages * 2));
  pair.a->Close();
  EXPECT_TRUE(pair.b.board().Wait("ended"));
  pair.b->Close();
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

// Also between the connection's end and what is told of it.
TEST(PeerConnectionThreads, WhatAChannelCountsNeverFallsBack) {
  for (int i = 0; i < 10; ++i) {
    Pair pair;
    pair.a.Create({}, pair.b);
    pair.b.Create({}, pair.a);
    pair.Connect();
    ASSERT_TRUE(pair.a.board().Wait("open"));
    ASSERT_OK(pair.a.channel()->Send("x"));
    ASSERT_TRUE(pair.b.board().Wait("message text:x"));
    std::atomic<bool> stop = false;
    std::atomic<int> fallen = 0;
    std::thread reader([&, channel = pair.a.channel()] {
      while (!stop) fallen += channel->stats().messages_sent != 1;
    });
    pair.b->Close();
    EXPECT_TRUE(pair.a.board().Wait("close ABORTED"));
    stop = true;
    reader.join();
    EXPECT_EQ(fallen, 0);
  }
}

TEST(PeerConnectionThreads, OneThreadServesManyConnections) {
  const std::shared_ptr<Thread> thread = *Thread::Start();
  EXPECT_FALSE(thread->IsCurrent());
  {
    std::vector<Pair> pairs(8);
    for (Pair& pair : pairs) {
      const auto check = [&](const std::string&) {
        EXPECT_TRUE(thread->IsCurrent());
      };
      pair.a.Create({.thread = thread}, pair.b, check);
      pair.b.Create({.thread = thread}, pair.a, check);
      pair.Connect();
    }
    for (Pair& pair : pairs) {
      EXPECT_TRUE(pair.a.board().Wait("open"));
      EXPECT_OK(pair.a.channel()->Send("x"));
      EXPECT_TRUE(pair.b.board().Wait("message text:x"));
    }
  }
  // It is still at work.
  Board board;
  thread->Post([&] { board.Note("ran"); });
  EXPECT_TRUE(board.Wait("ran"));
}

}  // namespace
}  // namespace kyuu::peer
