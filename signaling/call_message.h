// Messages about a call between two peers (docs/signaling_protocol.md). Values,
// and their JSON form.

#ifndef KYUU_SIGNALING_CALL_MESSAGE_H_
#define KYUU_SIGNALING_CALL_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "signaling/internal/message_fields.h"
#include "signaling/internal/object_writer.h"
#include "signaling/message_limits.h"

namespace kyuu::signaling {

// From the client.
struct Call {
  static constexpr absl::string_view kType = "call";
  std::string to;
  RawJson meta = "{}";
};
struct Accept {
  static constexpr absl::string_view kType = "accept";
  std::string call;
};
struct Reject {
  static constexpr absl::string_view kType = "reject";
  std::string call;
  std::string reason;
};

// In both directions.
struct Hangup {
  static constexpr absl::string_view kType = "hangup";
  std::string call;
  std::string reason;
};
enum class SignalKind : uint8_t {
  kOffer,
  kAnswer,
  kPranswer,  // An answer that another one follows (RFC 9429 section 4.1.8).
  kRollback,  // The offer is taken back.
  kCandidate,
  kEndOfCandidates,
};
// True for what comes with an SDP.
constexpr bool IsDescription(SignalKind kind) {
  return kind == SignalKind::kOffer || kind == SignalKind::kAnswer ||
         kind == SignalKind::kPranswer;
}
struct Signal {
  static constexpr absl::string_view kType = "signal";
  std::string call;
  SignalKind kind = SignalKind::kOffer;
  // Of a description: the SDP as a JSON string, quotes included. kCandidate: an
  // RTCIceCandidateInit object. Else empty.
  RawJson payload;
};

// What came of a call between the two, as one of them saw it.
enum class CallOutcome : uint8_t { kDirect, kRelayed, kFailed };
// From the client.
struct Report {
  static constexpr absl::string_view kType = "report";
  std::string call;
  CallOutcome outcome = CallOutcome::kFailed;
  std::optional<uint64_t> round_trip_ms;
};

// From the server.
struct Calling {
  static constexpr absl::string_view kType = "calling";
  std::string call;
  std::string to;
  bool polite = false;
};
struct Incoming {
  static constexpr absl::string_view kType = "incoming";
  std::string call;
  std::string from;
  bool polite = true;
  std::string meta = "{}";
};
struct Accepted {
  static constexpr absl::string_view kType = "accepted";
  std::string call;
};
struct Rejected {
  static constexpr absl::string_view kType = "rejected";
  std::string call;
  std::string reason;
};

// Each message's JSON form: `kType`, and how its members are read and written.
// Read leaves what is wrong in Fields::error().
void Read(internal::Fields& f, Call& m);
void Write(const Call& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Accept& m);
void Write(const Accept& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Reject& m);
void Write(const Reject& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Hangup& m);
void Write(const Hangup& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Signal& m);
void Write(const Signal& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Report& m);
void Write(const Report& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Calling& m);
void Write(const Calling& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Incoming& m);
void Write(const Incoming& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Accepted& m);
void Write(const Accepted& m, internal::ObjectWriter& w);
void Read(internal::Fields& f, Rejected& m);
void Write(const Rejected& m, internal::ObjectWriter& w);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_CALL_MESSAGE_H_
