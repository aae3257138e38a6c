#include "signaling/call_message.h"

#include <array>

namespace kyuu::signaling {

using internal::Fields;
using internal::Need;
using internal::ObjectWriter;

namespace {

struct KindName {
  SignalKind kind;
  absl::string_view name;
};
constexpr std::array<KindName, 6> kKindNames = {{
    {SignalKind::kOffer, "offer"},
    {SignalKind::kAnswer, "answer"},
    {SignalKind::kPranswer, "pranswer"},
    {SignalKind::kRollback, "rollback"},
    {SignalKind::kCandidate, "candidate"},
    {SignalKind::kEndOfCandidates, "end-of-candidates"},
}};

struct OutcomeName {
  CallOutcome outcome;
  absl::string_view name;
};
constexpr std::array<OutcomeName, 3> kOutcomeNames = {{
    {CallOutcome::kDirect, "direct"},
    {CallOutcome::kRelayed, "relayed"},
    {CallOutcome::kFailed, "failed"},
}};

std::string ReadReason(Fields& f) {
  return f.Text("reason", Need::kOptional, f.limits().max_name_bytes);
}

}  // namespace

void Read(Fields& f, Call& m) {
  m.to = f.Text("to", Need::kRequired);
  m.meta = f.RawObject("meta", Need::kOptional, f.limits().max_meta_bytes);
}
void Write(const Call& m, ObjectWriter& w) {
  w.Type(m).Text("to", m.to).Raw("meta", m.meta);
}

void Read(Fields& f, Accept& m) { m.call = f.Text("call", Need::kRequired); }
void Write(const Accept& m, ObjectWriter& w) { w.Type(m).Text("call", m.call); }

void Read(Fields& f, Reject& m) {
  m.call = f.Text("call", Need::kRequired);
  m.reason = ReadReason(f);
}
void Write(const Reject& m, ObjectWriter& w) {
  w.Type(m).Text("call", m.call).TextIfAny("reason", m.reason);
}

void Read(Fields& f, Hangup& m) {
  m.call = f.Text("call", Need::kRequired);
  m.reason = ReadReason(f);
}
void Write(const Hangup& m, ObjectWriter& w) {
  w.Type(m).Text("call", m.call).TextIfAny("reason", m.reason);
}

void Read(Fields& f, Signal& m) {
  m.call = f.Text("call", Need::kRequired);
  const std::string kind = f.Text("kind", Need::kRequired);
  if (f.error().has_value()) return;
  for (const KindName& entry : kKindNames) {
    if (entry.name != kind) continue;
    m.kind = entry.kind;
    switch (m.kind) {
      case SignalKind::kOffer:
      case SignalKind::kAnswer:
      case SignalKind::kPranswer:
        m.payload = f.RawText("sdp");
        return;
      case SignalKind::kCandidate:
        m.payload = f.RawObject("candidate", Need::kRequired);
        return;
      case SignalKind::kRollback:
      case SignalKind::kEndOfCandidates:
        return;
    }
  }
  f.Fail(ErrorCode::kBadMessage,
         "\"kind\" must be offer, answer, pranswer, rollback, candidate or "
         "end-of-candidates");
}
void Write(const Signal& m, ObjectWriter& w) {
  w.Type(m).Text("call", m.call);
  for (const KindName& entry : kKindNames) {
    if (entry.kind == m.kind) w.Text("kind", entry.name);
  }
  if (IsDescription(m.kind)) {
    w.Raw("sdp", m.payload);
  } else if (m.kind == SignalKind::kCandidate) {
    w.Raw("candidate", m.payload);
  }
}

void Read(Fields& f, Report& m) {
  m.call = f.Text("call", Need::kRequired);
  const std::string outcome = f.Text("outcome", Need::kRequired);
  if (f.Has("round_trip_ms")) {
    m.round_trip_ms = f.Count("round_trip_ms", Need::kRequired);
  }
  for (const OutcomeName& entry : kOutcomeNames) {
    if (entry.name != outcome) continue;
    m.outcome = entry.outcome;
    return;
  }
  f.Fail(ErrorCode::kBadMessage,
         "\"outcome\" must be direct, relayed or failed");
}
void Write(const Report& m, ObjectWriter& w) {
  w.Type(m).Text("call", m.call);
  for (const OutcomeName& entry : kOutcomeNames) {
    if (entry.outcome == m.outcome) w.Text("outcome", entry.name);
  }
  if (m.round_trip_ms.has_value()) w.Count("round_trip_ms", *m.round_trip_ms);
}

void Read(Fields& f, Calling& m) {
  m.call = f.Text("call", Need::kRequired);
  m.to = f.Text("to", Need::kRequired);
  m.polite = f.Bool("polite", Need::kRequired);
}
void Write(const Calling& m, ObjectWriter& w) {
  w.Type(m).Text("call", m.call).Text("to", m.to);
  w.Bool("polite", m.polite);
}

void Read(Fields& f, Incoming& m) {
  m.call = f.Text("call", Need::kRequired);
  m.from = f.Text("from", Need::kRequired);
  m.polite = f.Bool("polite", Need::kRequired);
  m.meta = std::string(
      f.RawObject("meta", Need::kOptional, f.limits().max_meta_bytes));
}
void Write(const Incoming& m, ObjectWriter& w) {
  w.Type(m).Text("call", m.call).Text("from", m.from);
  w.Bool("polite", m.polite).Raw("meta", m.meta);
}

void Read(Fields& f, Accepted& m) { m.call = f.Text("call", Need::kRequired); }
void Write(const Accepted& m, ObjectWriter& w) {
  w.Type(m).Text("call", m.call);
}

void Read(Fields& f, Rejected& m) {
  m.call = f.Text("call", Need::kRequired);
  m.reason = f.Text("reason", Need::kOptional);
}
void Write(const Rejected& m, ObjectWriter& w) {
  w.Type(m).Text("call", m.call).TextIfAny("reason", m.reason);
}

}  // namespace kyuu::signaling
