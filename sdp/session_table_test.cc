// What every operation of Session does in every situation, as two tables: for
// the first exchange of two peers, and for one after that. Their rules are RFC
// 9429 sections 3.2, 4.1.8 to 4.1.14 and 5.2 to 5.11, RFC 8839 section 4.4 and
// W3C webrtc-pc sections 4.4.1.5 and 4.7.3.

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "base/testing.h"
#include "sdp/session.h"
#include "sdp/testing/session_fixture.h"
#include "sdp/testing/verdict_table.h"

namespace kyuu::sdp {
namespace {

std::string Answer(absl::string_view offer) {
  return absl::StrReplaceAll(offer, {{"actpass", "active"}});
}

// The peer's, with other credentials: an ICE restart.
std::string Restart(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"rem1", "rem2"}, {"rmt1", "rmt2"}});
}

// Without a data section.
std::string Stopped(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"a=group:BUNDLE 0\r\n", ""},
                                    {"m=application 9", "m=application 0"}});
}

std::string WithAudio(absl::string_view text) {
  return absl::StrCat(text, "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:x\r\n");
}

std::string OtherCertificate(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{FingerprintOf('r').ToString(), FingerprintOf('s').ToString()}});
}

using Outcome = absl::StatusOr<Change>;

Outcome Unchanged(const Session& session, const absl::Status& status) {
  KYUU_RETURN_IF_ERROR(status);
  return Change{
      .state = session.state(), .rolled_back = false, .transports = {}};
}

Outcome MakeOffer(Session& session, char generation) {
  return Unchanged(session,
                   session.CreateOffer(TransportOf('a', generation)).status());
}

Outcome MakeAnswer(Session& session, char generation) {
  return Unchanged(session,
                   session.CreateAnswer(TransportOf('a', generation)).status());
}

struct Step {
  const char* name;
  Outcome (*apply)(Session& session);
};

const Step kOperations[] = {
    {"create offer", [](Session& s) { return MakeOffer(s, '1'); }},
    {"create offer 2", [](Session& s) { return MakeOffer(s, '2'); }},
    {"create half one",
     [](Session& s) {
       LocalTransport half = TransportOf('a', '2');
       half.ice_pwd = TransportOf('a').ice_pwd;
       return Unchanged(s, s.CreateOffer(half).status());
     }},
    {"create answer", [](Session& s) { return MakeAnswer(s, '1'); }},
    {"create answer 2", [](Session& s) { return MakeAnswer(s, '2'); }},
    {"local offer", [](Session& s) { return s.SetLocal(SdpType::kOffer); }},
    {"local pranswer",
     [](Session& s) { return s.SetLocal(SdpType::kPranswer); }},
    {"local answer", [](Session& s) { return s.SetLocal(SdpType::kAnswer); }},
    {"other as offer",
     [](Session& s) { return s.SetLocal(SdpType::kOffer, ForeignOffer()); }},
    {"other as answer",
     [](Session& s) { return s.SetLocal(SdpType::kAnswer, ForeignOffer()); }},
    {"remote offer",
     [](Session& s) { return s.SetRemote(SdpType::kOffer, ForeignOffer()); }},
    {"remote offer 2",
     [](Session& s) {
       return s.SetRemote(SdpType::kOffer, Restart(ForeignOffer()));
     }},
    {"other key",
     [](Session& s) {
       return s.SetRemote(SdpType::kOffer,
                          OtherCertificate(Restart(ForeignOffer())));
     }},
    {"audio added",
     [](Session& s) {
       return s.SetRemote(SdpType::kOffer, WithAudio(ForeignOffer()));
     }},
    {"data stopped",
     [](Session& s) {
       return s.SetRemote(SdpType::kOffer, Stopped(ForeignOffer()));
     }},
    {"no description",
     [](Session& s) { return s.SetRemote(SdpType::kOffer, "nonsense"); }},
    {"remote pranswer",
     [](Session& s) {
       return s.SetRemote(SdpType::kPranswer, Answer(ForeignOffer()));
     }},
    {"remote pransw 2",
     [](Session& s) {
       return s.SetRemote(SdpType::kPranswer, Restart(Answer(ForeignOffer())));
     }},
    {"remote answer",
     [](Session& s) {
       return s.SetRemote(SdpType::kAnswer, Answer(ForeignOffer()));
     }},
    {"remote answer 2",
     [](Session& s) {
       return s.SetRemote(SdpType::kAnswer, Restart(Answer(ForeignOffer())));
     }},
    {"answer refuses",
     [](Session& s) {
       return s.SetRemote(SdpType::kAnswer, Stopped(Answer(ForeignOffer())));
     }},
    {"more than asked",
     [](Session& s) {
       return s.SetRemote(SdpType::kAnswer, WithAudio(Answer(ForeignOffer())));
     }},
    {"rollback", [](Session& s) { return s.Rollback(); }},
    {"want data",
     [](Session& s) {
       s.WantData();
       return Unchanged(s, absl::OkStatus());
     }},
    {"want restart",
     [](Session& s) {
       s.WantRestart();
       return Unchanged(s, absl::OkStatus());
     }},
    {"close",
     [](Session& s) {
       s.Close();
       return Unchanged(s, absl::OkStatus());
     }},
};

Outcome Apply(Session& session, absl::string_view name) {
  for (const Step& step : kOperations) {
    if (step.name == name) return step.apply(session);
  }
  return absl::NotFoundError(name);
}

// A situation is what these operations lead to.
struct Situation {
  const char* name;
  std::vector<const char*> steps;
};

const std::vector<Situation> kFirst = {
    {"S", {}},
    {"S made", {"create offer"}},
    {"S back", {"create offer", "remote offer", "rollback"}},
    {"L", {"create offer", "local offer"}},
    {"R", {"remote offer"}},
    {"R made", {"remote offer", "create answer"}},
    {"P", {"remote offer", "create answer", "local pranswer"}},
    {"Q", {"create offer", "local offer", "remote pranswer"}},
    {"C", {"create offer", "local offer", "close"}},
};

// Each begins with an exchange that is complete, and what is pending restarts
// ICE.
const std::vector<Situation> kLater = {
    {"S", {}},
    {"S want", {"want restart"}},
    {"S made", {"want restart", "create offer 2"}},
    {"S back", {"create offer 2", "local offer", "rollback"}},
    {"L", {"want restart", "create offer 2", "local offer"}},
    {"L want", {"create offer 2", "local offer", "want restart"}},
    {"R", {"remote offer 2"}},
    {"R made", {"remote offer 2", "create answer 2"}},
    {"P", {"remote offer 2", "create answer 2", "local pranswer"}},
    {"Q", {"create offer 2", "local offer", "remote pransw 2"}},
    {"C", {"close"}},
};

struct Table {
  std::vector<Situation> situations;
  std::vector<const char*> prelude;
  const char* text;
};

// A session and what it needs to live.
struct Subject {
  Subject(const Table& table, const Situation& situation)
      : random(1), session({}, random) {
    for (const char* step : table.prelude) EXPECT_OK(Apply(session, step));
    (void)session.TakeNegotiationNeeded();
    for (const char* step : situation.steps) EXPECT_OK(Apply(session, step));
    (void)session.TakeNegotiationNeeded();
  }
  SeededRandom random;
  Session session;
};

// "S lra": the state's letter, then a letter for each thing that differs.
std::string Said(Session& session, const Outcome& outcome) {
  if (!outcome.ok()) {
    return absl::IsFailedPrecondition(outcome.status()) ? "-"
           : absl::IsInvalidArgument(outcome.status())
               ? "!"
               : outcome.status().ToString();
  }
  EXPECT_EQ(outcome->state, session.state());
  const TransportChange data = outcome->data();
  const std::vector<std::pair<char, bool>> differences = {
      {'b', outcome->rolled_back},
      {'l', data.local_ice},
      {'r', data.remote_ice},
      {'i', data.ice_restart},
      {'d', data.dtls_restart},
      {'c', data.remote_candidates},
      {'a', data.answered},
      {'e', data.ended},
      {'n', session.TakeNegotiationNeeded()},
  };
  std::string said(1,
                   std::string("SLRPQC")[static_cast<size_t>(session.state())]);
  for (const auto& [letter, differs] : differences) {
    if (!differs) continue;
    if (said.size() == 1) said += ' ';
    said += letter;
  }
  return said;
}

// All that can be seen of a session without asking it to do something.
std::string Describe(const Session& session) {
  std::string text = absl::StrCat(SignalingStateName(session.state()), "\n");
  for (const Description* description :
       {session.current_local_description(),
        session.pending_local_description(),
        session.current_remote_description(),
        session.pending_remote_description()}) {
    absl::StrAppend(&text, "--\n",
                    description == nullptr ? "" : description->text());
  }
  for (const auto& type : {session.local_type(), session.remote_type()}) {
    absl::StrAppend(&text, "type ", type ? SdpTypeName(*type) : "none", "\n");
  }
  if (const auto& remote = session.remote()) {
    absl::StrAppend(
        &text, remote->tag, " ", remote->ice_ufrag, " ", remote->ice_pwd, " ",
        remote->fingerprints[0].ToString(), " ",
        static_cast<int>(remote->remote_setup), " ",
        remote->local_setup ? static_cast<int>(*remote->local_setup) : -1,
        "\n");
  }
  for (const Section& section : session.sections()) {
    absl::StrAppend(&text, section.mid, " ", section.media, " ",
                    static_cast<int>(section.use), "\n");
  }
  absl::StrAppend(&text, session.tag_mid(), " ", session.tag_mline_index(),
                  session.Shares("0", 0) ? " shares" : "",
                  session.restart_wanted() ? " restarts" : "",
                  session.offerer() ? " offers" : "");
  return text;
}

// The columns are situations, the rows operations, of which "2" is an ICE
// restart. S stable, L have-local-offer, R have-remote-offer, P
// have-local-pranswer, Q have-remote-pranswer, C closed; "-"
// FAILED_PRECONDITION, "!" INVALID_ARGUMENT. Then what the Change told: b
// rolled back, l our ICE credentials, r the peer's, i a restart of ICE, d one
// of DTLS, c candidates, a answered, e ended; and n, an offer is due. "want": a
// restart is; "made": a description was created and not set.
constexpr char kFirstTable[] = R"(
operation       | S      | S made | S back | L      | R      | R made | P      | Q      | C
create offer    | S      | S      | S      | L      | -      | -      | -      | -      | -
create offer 2  | S      | S      | S      | L      | -      | -      | -      | -      | -
create half one | S      | S      | S      | L      | -      | -      | -      | -      | -
create answer   | -      | -      | -      | -      | R      | R      | P      | -      | -
create answer 2 | -      | -      | -      | -      | R      | R      | P      | -      | -
local offer     | -      | L l    | L l    | L      | -      | -      | -      | -      | -
local pranswer  | -      | -      | -      | -      | -      | P la   | P a    | -      | -
local answer    | -      | -      | -      | -      | -      | S la   | S a    | -      | -
other as offer  | -      | !      | !      | !      | -      | -      | -      | -      | -
other as answer | -      | -      | -      | -      | -      | !      | !      | -      | -
remote offer    | R r    | R r    | R r    | R br   | R      | R      | -      | -      | -
remote offer 2  | R r    | R r    | R r    | R br   | R ri   | R ri   | -      | -      | -
other key       | R r    | R r    | R r    | R br   | R rid  | R rid  | -      | -      | -
audio added     | R r    | R r    | R r    | R br   | R      | R      | -      | -      | -
data stopped    | R      | R      | R      | R b    | R      | R      | -      | -      | -
no description  | !      | !      | !      | !      | !      | !      | -      | -      | -
remote pranswer | -      | -      | -      | Q ra   | -      | -      | -      | Q a    | -
remote pransw 2 | -      | -      | -      | Q ra   | -      | -      | -      | Q ria  | -
remote answer   | -      | -      | -      | S ra   | -      | -      | -      | S a    | -
remote answer 2 | -      | -      | -      | S ra   | -      | -      | -      | S ria  | -
answer refuses  | -      | -      | -      | S e    | -      | -      | -      | S e    | -
more than asked | -      | -      | -      | !      | -      | -      | -      | !      | -
rollback        | -      | -      | -      | S be   | S be   | S be   | S be   | S be   | -
want data       | S n    | S n    | S n    | L      | R      | R      | P      | Q      | C
want restart    | S      | S      | S      | L      | R      | R      | P      | Q      | C
close           | C      | C      | C      | C      | C      | C      | C      | C      | C
)";

constexpr char kLaterTable[] = R"(
operation       | S       | S want  | S made  | S back  | L       | L want  | R       | R made  | P       | Q       | C
create offer    | S       | S       | S       | S       | L       | L       | -       | -       | -       | -       | -
create offer 2  | S       | S       | S       | S       | L       | L       | -       | -       | -       | -       | -
create half one | !       | !       | !       | !       | !       | !       | -       | -       | -       | -       | -
create answer   | -       | -       | -       | -       | -       | -       | -       | -       | -       | -       | -
create answer 2 | -       | -       | -       | -       | -       | -       | R       | R       | P       | -       | -
local offer     | -       | -       | L li    | L li    | L       | L       | -       | -       | -       | -       | -
local pranswer  | -       | -       | -       | -       | -       | -       | -       | P lia   | P a     | -       | -
local answer    | -       | -       | -       | -       | -       | -       | -       | S lia   | S a     | -       | -
other as offer  | -       | -       | !       | !       | !       | !       | -       | -       | -       | -       | -
other as answer | -       | -       | -       | -       | -       | -       | -       | !       | !       | -       | -
remote offer    | R       | R       | R       | R       | R bl    | R bl    | R ri    | R ri    | -       | -       | -
remote offer 2  | R ri    | R ri    | R ri    | R ri    | R blri  | R blri  | R       | R       | -       | -       | -
other key       | R rid   | R rid   | R rid   | R rid   | R blrid | R blrid | R d     | R d     | -       | -       | -
audio added     | R       | R       | R       | R       | R bl    | R bl    | R ri    | R ri    | -       | -       | -
data stopped    | R       | R       | R       | R       | R bl    | R bl    | R       | R       | -       | -       | -
no description  | !       | !       | !       | !       | !       | !       | !       | !       | -       | -       | -
remote pranswer | -       | -       | -       | -       | !       | !       | -       | -       | -       | !       | -
remote pransw 2 | -       | -       | -       | -       | Q ria   | Q ria   | -       | -       | -       | Q a     | -
remote answer   | -       | -       | -       | -       | !       | !       | -       | -       | -       | !       | -
remote answer 2 | -       | -       | -       | -       | S ria   | S rian  | -       | -       | -       | S a     | -
answer refuses  | -       | -       | -       | -       | S e     | S en    | -       | -       | -       | S e     | -
more than asked | -       | -       | -       | -       | !       | !       | -       | -       | -       | !       | -
rollback        | -       | -       | -       | -       | S bln   | S bln   | S br    | S br    | S blr   | S blr   | -
want data       | S       | S       | S       | S       | L       | L       | R       | R       | P       | Q       | C
want restart    | S n     | S       | S       | S n     | L       | L       | R       | R       | P       | Q       | C
close           | C       | C       | C       | C       | C       | C       | C       | C       | C       | C       | C
)";

const Table kTables[] = {
    {kFirst, {}, kFirstTable},
    {kLater, {"create offer", "local offer", "remote answer"}, kLaterTable},
};

TEST(SessionTableTest, EveryOperationInEverySituation) {
  for (const Table& table : kTables) {
    std::vector<std::string> rows, columns;
    for (const Step& step : kOperations) rows.emplace_back(step.name);
    for (const Situation& situation : table.situations) {
      columns.emplace_back(situation.name);
    }
    const VerdictTable verdicts(table.text);
    ASSERT_NO_FATAL_FAILURE(verdicts.ExpectWhole(rows, columns));
    for (size_t row = 0; row < rows.size(); ++row) {
      for (size_t column = 0; column < columns.size(); ++column) {
        Subject subject(table, table.situations[column]);
        const Outcome outcome = kOperations[row].apply(subject.session);
        EXPECT_EQ(Said(subject.session, outcome), verdicts.At(row, column))
            << rows[row] << ", " << columns[column] << ": " << outcome.status();
      }
    }
  }
}

// Whatever is done next has the same outcome as without it.
TEST(SessionTableTest, WhatIsRefusedChangesNothing) {
  size_t refused = 0;
  for (const Table& table : kTables) {
    for (const Situation& situation : table.situations) {
      for (const Step& first : kOperations) {
        if (Subject probe(table, situation); first.apply(probe.session).ok()) {
          continue;
        }
        ++refused;
        for (const Step& next : kOperations) {
          SCOPED_TRACE(absl::StrCat(situation.name, ": ", first.name, ", then ",
                                    next.name));
          Subject subject(table, situation), twin(table, situation);
          (void)first.apply(subject.session);
          ASSERT_EQ(Describe(subject.session), Describe(twin.session));
          const Outcome outcome = next.apply(subject.session);
          const Outcome expected = next.apply(twin.session);
          ASSERT_EQ(Said(subject.session, outcome),
                    Said(twin.session, expected));
          ASSERT_EQ(Describe(subject.session), Describe(twin.session));
        }
      }
    }
  }
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace kyuu::sdp
