// What a connection does with a candidate, a channel, a configuration, a
// restart and its end in every situation of an exchange of descriptions (RFC
// 9429 sections 4.1.17 to 4.1.19, RFC 8838, RFC 8840, W3C webrtc-pc section
// 4.4.2). What it does with descriptions is in sdp/session_table_test.cc.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "peer/connection.h"
#include "peer/testing/call.h"
#include "sdp/testing/session_fixture.h"
#include "sdp/testing/verdict_table.h"

namespace kyuu::peer {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

// The peer's; a second generation is an ICE restart.
std::string Offer(char generation) {
  return absl::StrReplaceAll(
      sdp::ForeignOffer(),
      {{"rem1", absl::StrCat("rem", std::string(1, generation))},
       {"rmt1", absl::StrCat("rmt", std::string(1, generation))}});
}
std::string Answer(char generation) {
  return absl::StrReplaceAll(Offer(generation), {{"actpass", "active"}});
}

constexpr char kCandidate[] =
    "candidate:1 1 udp 2113929471 192.0.2.9 7000 typ host";

absl::Status Offered(Connection& c, IceRestart restart) {
  const absl::Status status = c.CreateOffer(restart).status();
  return status.ok() ? c.SetLocalDescription(kNow, SdpType::kOffer) : status;
}
absl::Status Answered(Connection& c, SdpType type) {
  const absl::Status status = c.CreateAnswer().status();
  return status.ok() ? c.SetLocalDescription(kNow, type) : status;
}
absl::Status AddCandidate(Connection& c, absl::string_view ufrag,
                          absl::string_view mid, size_t index = 0) {
  return c.AddIceCandidate(
      kNow,
      ufrag.empty() ? kCandidate : absl::StrCat(kCandidate, " ufrag ", ufrag),
      mid, index);
}

struct Step {
  const char* name;
  absl::Status (*apply)(Connection& connection);
};

// These lead to the situations.
const Step kSteps[] = {
    {"offer", [](Connection& c) { return Offered(c, IceRestart::kNo); }},
    {"restart", [](Connection& c) { return Offered(c, IceRestart::kYes); }},
    {"pranswer", [](Connection& c) { return Answered(c, SdpType::kPranswer); }},
    {"remote offer",
     [](Connection& c) {
       return c.SetRemoteDescription(kNow, SdpType::kOffer, Offer('1'));
     }},
    {"remote offer 2",
     [](Connection& c) {
       return c.SetRemoteDescription(kNow, SdpType::kOffer, Offer('2'));
     }},
    {"remote pranswer",
     [](Connection& c) {
       return c.SetRemoteDescription(kNow, SdpType::kPranswer, Answer('1'));
     }},
    {"remote pranswer 2",
     [](Connection& c) {
       return c.SetRemoteDescription(kNow, SdpType::kPranswer, Answer('2'));
     }},
    {"remote answer",
     [](Connection& c) {
       return c.SetRemoteDescription(kNow, SdpType::kAnswer, Answer('1'));
     }},
    {"close",
     [](Connection& c) {
       c.Close(kNow);
       return absl::OkStatus();
     }},
};

const Step kOperations[] = {
    {"by mid", [](Connection& c) { return AddCandidate(c, "", "0"); }},
    {"by index", [](Connection& c) { return AddCandidate(c, "", ""); }},
    {"mid unknown", [](Connection& c) { return AddCandidate(c, "", "x"); }},
    {"index unknown", [](Connection& c) { return AddCandidate(c, "", "", 7); }},
    {"of generation 1",
     [](Connection& c) { return AddCandidate(c, "rem1", "0"); }},
    {"of generation 2",
     [](Connection& c) { return AddCandidate(c, "rem2", "0"); }},
    {"of no known one",
     [](Connection& c) { return AddCandidate(c, "rem9", "0"); }},
    {"unknown transport",
     [](Connection& c) {
       return c.AddIceCandidate(
           kNow, absl::StrReplaceAll(kCandidate, {{"udp", "dccp"}}), "0", 0);
     }},
    {"malformed",
     [](Connection& c) {
       return c.AddIceCandidate(kNow, "candidate:1 1 udp", "0", 0);
     }},
    {"end of them",
     [](Connection& c) { return c.AddIceCandidate(kNow, "", "0", 0); }},
    {"end of another's",
     [](Connection& c) { return c.AddIceCandidate(kNow, "", "x", 7); }},
    {"end of 1",
     [](Connection& c) { return c.AddIceCandidate(kNow, "", "0", 0, "rem1"); }},
    {"end of 2",
     [](Connection& c) { return c.AddIceCandidate(kNow, "", "0", 0, "rem2"); }},
    {"told as of 1",
     [](Connection& c) {
       return c.AddIceCandidate(kNow, kCandidate, "0", 0, "rem1");
     }},
    {"told as of 2",
     [](Connection& c) {
       return c.AddIceCandidate(kNow, kCandidate, "0", 0, "rem2");
     }},
    {"channel added",
     [](Connection& c) {
       return c.CreateDataChannel(kNow, {.label = "x"}).status();
     }},
    {"other servers",
     [](Connection& c) {
       return c.SetConfiguration(
           kNow, {.stun_servers = {{IpAddress::V4(192, 0, 2, 3), 3478}}});
     }},
    {"other pool",
     [](Connection& c) {
       return c.SetConfiguration(kNow, {.candidate_pool_size = 1});
     }},
    {"address added",
     [](Connection& c) {
       return c.AddLocalAddress(kNow, {{IpAddress::V4(192, 0, 2, 8), 5008}});
     }},
    {"address lost",
     [](Connection& c) {
       return c.RemoveLocalAddress(kNow, {IpAddress::V4(192, 0, 2, 1), 5001});
     }},
    {"restart wanted",
     [](Connection& c) {
       c.RestartIce();
       return absl::OkStatus();
     }},
    {"shutdown",
     [](Connection& c) {
       c.Shutdown(kNow);
       return absl::OkStatus();
     }},
    {"close",
     [](Connection& c) {
       c.Close(kNow);
       return absl::OkStatus();
     }},
};

struct Situation {
  const char* name;
  std::vector<const char*> steps;
};

// "2" stands behind an exchange that was completed; what is pending there
// restarts ICE.
const std::vector<Situation> kSituations = {
    {"S", {}},
    {"L", {"offer"}},
    {"R", {"remote offer"}},
    {"P", {"remote offer", "pranswer"}},
    {"Q", {"offer", "remote pranswer"}},
    {"S2", {"offer", "remote answer"}},
    {"L2", {"offer", "remote answer", "restart"}},
    {"R2", {"offer", "remote answer", "remote offer 2"}},
    {"P2", {"offer", "remote answer", "remote offer 2", "pranswer"}},
    {"Q2", {"offer", "remote answer", "restart", "remote pranswer 2"}},
    {"C", {"offer", "remote answer", "close"}},
};

struct Subject {
  explicit Subject(const Situation& situation)
      // Candidates that have to wait are refused, so that it is seen.
      : random(1),
        connection(testing::CertificateOf(0), {.pending_candidates_max = 0},
                   random) {
    EXPECT_OK(connection.AddLocalAddress(
        kNow, {{IpAddress::V4(192, 0, 2, 1), 5001}}));
    for (const char* name : situation.steps) {
      bool done = false;
      for (const Step& step : kSteps) {
        if (absl::string_view(step.name) != name) continue;
        EXPECT_OK(step.apply(connection)) << situation.name << ": " << name;
        done = true;
      }
      EXPECT_TRUE(done) << name;
    }
  }
  // Whether the peer's candidate takes part in checks.
  bool Pairs() const {
    for (const ice::PairInfo& pair : connection.stats().pairs) {
      if (pair.path.remote.port == 7000) return true;
    }
    return false;
  }

  SeededRandom random;
  Connection connection;
};

std::string Said(const Subject& subject, const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      break;
    case absl::StatusCode::kFailedPrecondition:
      return "-";
    case absl::StatusCode::kInvalidArgument:
      return "!";
    case absl::StatusCode::kResourceExhausted:
      return "w";
    default:
      return status.ToString();
  }
  const ConnectionStats stats = subject.connection.stats();
  std::string said(
      1,
      std::string(
          "SLRPQC")[static_cast<size_t>(subject.connection.signaling_state())]);
  if (subject.Pairs()) said += " t";
  if (stats.counters.ignored_candidates > 0) said += " x";
  return said;
}

// What can be seen of it, its events included.
std::string Describe(Connection& connection) {
  std::string text = connection.DebugString();
  absl::StrAppend(&text, "\n", connection.LocalDescription().value_or("none"));
  const ConnectionStats stats = connection.stats();
  absl::StrAppend(&text, stats.local_candidates.size(), " ", stats.pairs.size(),
                  " ", stats.counters.ignored_candidates, " ",
                  connection.local_ufrag());
  while (const auto event = connection.PollEvent()) {
    absl::StrAppend(&text, " ", event->index());
  }
  return text;
}

// The columns are situations, the rows operations, the first ones candidates.
// S stable, L have-local-offer, R have-remote-offer, P have-local-pranswer, Q
// have-remote-pranswer, C closed: the state then. t: the candidate is taken and
// checked, no letter: taken, and there is nothing yet to check it with; x: it
// is ignored and counted, or, of another generation, kept for its description
// while there is room; w: it waits for a description, here without room
// (RESOURCE_EXHAUSTED); "-": FAILED_PRECONDITION; "!": INVALID_ARGUMENT.
constexpr char kTable[] = R"(
operation         | S | L | R   | P   | Q   | S2  | L2  | R2 | P2  | Q2  | C
by mid            | w | w | R   | P t | Q t | S t | L   | w  | P t | Q t | -
by index          | w | w | R   | P t | Q t | S t | L   | w  | P t | Q t | -
mid unknown       | w | w | R x | P x | Q x | S x | L x | w  | P x | Q x | -
index unknown     | w | w | R x | P x | Q x | S x | L x | w  | P x | Q x | -
of generation 1   | w | w | R   | P t | Q t | S t | L   | w  | P x | Q x | -
of generation 2   | w | w | R x | P x | Q x | S x | L x | w  | P t | Q t | -
of no known one   | w | w | R x | P x | Q x | S x | L x | w  | P x | Q x | -
unknown transport | w | w | R x | P x | Q x | S x | L x | w  | P x | Q x | -
malformed         | ! | ! | !   | !   | !   | !   | !   | !  | !   | !   | -
end of them       | w | w | R   | P   | Q   | S   | L   | w  | P   | Q   | -
end of another's  | w | w | R x | P x | Q x | S x | L x | w  | P x | Q x | -
end of 1          | w | w | R   | P   | Q   | S   | L   | w  | P x | Q x | -
end of 2          | w | w | R x | P x | Q x | S x | L x | w  | P   | Q   | -
told as of 1      | w | w | R   | P t | Q t | S t | L   | w  | P x | Q x | -
told as of 2      | w | w | R x | P x | Q x | S x | L x | w  | P t | Q t | -
channel added     | S | L | R   | P   | Q   | S   | L   | R  | P   | Q   | -
other servers     | S | L | R   | P   | Q   | S   | L   | R  | P   | Q   | -
other pool        | S | ! | R   | !   | !   | !   | !   | !  | !   | !   | -
address added     | S | L | R   | P   | Q   | S   | L   | R  | P   | Q   | -
address lost      | S | L | R   | P   | Q   | S   | L   | R  | P   | Q   | -
restart wanted    | S | L | R   | P   | Q   | S   | L   | R  | P   | Q   | C
shutdown          | C | C | C   | C   | C   | C   | C   | C  | C   | C   | C
close             | C | C | C   | C   | C   | C   | C   | C  | C   | C   | C
)";

TEST(ConnectionTableTest, EveryOperationInEverySituation) {
  std::vector<std::string> rows, columns;
  for (const Step& step : kOperations) rows.emplace_back(step.name);
  for (const Situation& situation : kSituations) {
    columns.emplace_back(situation.name);
  }
  const sdp::VerdictTable verdicts(kTable);
  ASSERT_NO_FATAL_FAILURE(verdicts.ExpectWhole(rows, columns));
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t column = 0; column < columns.size(); ++column) {
      Subject subject(kSituations[column]);
      const absl::Status status = kOperations[row].apply(subject.connection);
      EXPECT_EQ(Said(subject, status), verdicts.At(row, column))
          << rows[row] << ", " << columns[column] << ": " << status;
    }
  }
}

// Whatever is done next has the same outcome as without it.
TEST(ConnectionTableTest, WhatIsRefusedChangesNothing) {
  size_t refused = 0;
  for (const Situation& situation : kSituations) {
    for (const Step& first : kOperations) {
      if (Subject probe(situation); first.apply(probe.connection).ok()) {
        continue;
      }
      ++refused;
      for (const Step& next : kOperations) {
        SCOPED_TRACE(absl::StrCat(situation.name, ": ", first.name, ", then ",
                                  next.name));
        Subject subject(situation), twin(situation);
        (void)first.apply(subject.connection);
        ASSERT_EQ(Describe(subject.connection), Describe(twin.connection));
        const absl::Status status = next.apply(subject.connection);
        const absl::Status expected = next.apply(twin.connection);
        ASSERT_EQ(Said(subject, status), Said(twin, expected));
        ASSERT_EQ(Describe(subject.connection), Describe(twin.connection));
        ASSERT_EQ(subject.connection.CreateOffer().value_or("none"),
                  twin.connection.CreateOffer().value_or("none"));
      }
    }
  }
  EXPECT_GT(refused, 40u);
}

}  // namespace
}  // namespace kyuu::peer
