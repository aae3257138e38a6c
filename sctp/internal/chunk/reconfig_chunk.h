// RE-CONFIG: requests about streams, and the answers (RFC 6525 sections 3
// and 4).

#ifndef KYUU_SCTP_INTERNAL_CHUNK_RECONFIG_CHUNK_H_
#define KYUU_SCTP_INTERNAL_CHUNK_RECONFIG_CHUNK_H_

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

// Outgoing SSN Reset Request (section 4.1): the sender starts `streams` over.
//
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |     Parameter Type = 13       | Parameter Length = 16 + 2 * N |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |           Re-configuration Request Sequence Number            |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |           Re-configuration Response Sequence Number           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                Sender's Last Assigned TSN                     |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Stream Number 1 (optional)   |    Stream Number 2 (optional) |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct OutgoingResetRequest {
  static constexpr uint16_t kType = 13;
  ReconfigSn request_sn;
  ReconfigSn response_sn;
  Tsn last_assigned_tsn;
  std::vector<StreamId> streams;  // Empty: all.
};

// Incoming SSN Reset Request (section 4.2): the receiver is asked to start its
// `streams` over.
//
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |     Parameter Type = 14       |  Parameter Length = 8 + 2 * N |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |          Re-configuration Request Sequence Number             |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Stream Number 1 (optional)   |    Stream Number 2 (optional) |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct IncomingResetRequest {
  static constexpr uint16_t kType = 14;
  ReconfigSn request_sn;
  std::vector<StreamId> streams;  // Empty: all.
};

// SSN/TSN Reset Request (section 4.3): both sides are asked to start all over.
//
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |     Parameter Type = 15       |      Parameter Length = 8     |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |         Re-configuration Request Sequence Number              |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct SsnTsnResetRequest {
  static constexpr uint16_t kType = 15;
  ReconfigSn request_sn;
};

// Add Outgoing Streams Request (section 4.5): the sender wants to send on
// `new_streams` more than until now.
//
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |     Parameter Type = 17       |      Parameter Length = 12    |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |          Re-configuration Request Sequence Number             |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |      Number of new streams    |         Reserved              |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct AddOutgoingStreamsRequest {
  static constexpr uint16_t kType = 17;
  ReconfigSn request_sn;
  uint16_t new_streams = 0;
};

// Add Incoming Streams Request (section 4.6): the receiver is asked to add
// `new_streams` to those that it sends on. The diagram is that of section 4.5,
// with the type 18.
struct AddIncomingStreamsRequest {
  static constexpr uint16_t kType = 18;
  ReconfigSn request_sn;
  uint16_t new_streams = 0;
};

// The results of section 4.4.
enum class ReconfigResult : uint32_t {
  kNothingToDo = 0,
  kPerformed = 1,
  kDenied = 2,
  kWrongSsn = 3,
  kRequestInProgress = 4,
  kBadSequenceNumber = 5,
  kInProgress = 6,
};

// Re-configuration Response (section 4.4); the last two fields are in that to
// an SSN/TSN Reset Request that was performed.
//
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |     Parameter Type = 16       |      Parameter Length         |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |         Re-configuration Response Sequence Number             |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                            Result                             |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                   Sender's Next TSN (optional)                |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                  Receiver's Next TSN (optional)               |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct ReconfigResponse {
  static constexpr uint16_t kType = 16;
  // The next that each is to assign; the sender is that of the response.
  struct NextTsns {
    Tsn sender;
    Tsn receiver;
  };
  ReconfigSn response_sn;
  ReconfigResult result{};
  std::optional<NextTsns> next_tsns;
};

using ReconfigParameter =
    std::variant<OutgoingResetRequest, IncomingResetRequest, SsnTsnResetRequest,
                 AddOutgoingStreamsRequest, AddIncomingStreamsRequest,
                 ReconfigResponse>;

//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Type = 130   |  Chunk Flags  |         Chunk Length          |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /                 Re-configuration Parameter                    /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   /            Re-configuration Parameter (optional)              /
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct ReconfigChunk {
  // Section 3.1 allows two at most.
  absl::InlinedVector<ReconfigParameter, 2> parameters;

  // nullopt for an unknown or broken parameter, none, or more than two.
  static std::optional<ReconfigChunk> Parse(const ChunkView& chunk);
  void Write(Writer& writer) const;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHUNK_RECONFIG_CHUNK_H_
