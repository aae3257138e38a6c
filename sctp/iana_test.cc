// The numbers on the wire against the registries of IANA: the pages
// sctp-parameters and webrtc (data channels), as of RFC 9260, 3758, 4820, 4895,
// 5061, 6525, 8260, 8831, 8832 and 9653.

#include <cstdint>
#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sctp/dcep.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/message.h"

namespace kyuu::sctp {
namespace {

using namespace internal;  // NOLINT: everything here is about its constants.
using ::testing::ElementsAre;

// A row of a registry. Ours is kNone where we have no name for it.
struct Row {
  uint32_t number;
  absl::string_view name;
};

// The registry's name of each of our constants: a switch without default, so
// that a new one does not compile without it.
absl::string_view NameOf(ChunkType type) {
  switch (type) {
    case ChunkType::kData:
      return "Payload Data (DATA)";
    case ChunkType::kInit:
      return "Initiation (INIT)";
    case ChunkType::kInitAck:
      return "Initiation Acknowledgement (INIT ACK)";
    case ChunkType::kSack:
      return "Selective Acknowledgement (SACK)";
    case ChunkType::kHeartbeat:
      return "Heartbeat Request (HEARTBEAT)";
    case ChunkType::kHeartbeatAck:
      return "Heartbeat Acknowledgement (HEARTBEAT ACK)";
    case ChunkType::kAbort:
      return "Abort (ABORT)";
    case ChunkType::kShutdown:
      return "Shutdown (SHUTDOWN)";
    case ChunkType::kShutdownAck:
      return "Shutdown Acknowledgement (SHUTDOWN ACK)";
    case ChunkType::kError:
      return "Operation Error (ERROR)";
    case ChunkType::kCookieEcho:
      return "State Cookie (COOKIE ECHO)";
    case ChunkType::kCookieAck:
      return "Cookie Acknowledgement (COOKIE ACK)";
    case ChunkType::kShutdownComplete:
      return "Shutdown Complete (SHUTDOWN COMPLETE)";
    case ChunkType::kIData:
      return "Payload Data supporting Interleaving (I-DATA)";
    case ChunkType::kReConfig:
      return "Re-configuration Chunk (RE-CONFIG)";
    case ChunkType::kPad:
      return "Padding Chunk (PAD)";
    case ChunkType::kForwardTsn:
      return "Forward TSN (FORWARD-TSN)";
    case ChunkType::kIForwardTsn:
      return "I-FORWARD-TSN";
  }
  return "";
}

constexpr Row kChunkTypes[] = {
    {0, "Payload Data (DATA)"},
    {1, "Initiation (INIT)"},
    {2, "Initiation Acknowledgement (INIT ACK)"},
    {3, "Selective Acknowledgement (SACK)"},
    {4, "Heartbeat Request (HEARTBEAT)"},
    {5, "Heartbeat Acknowledgement (HEARTBEAT ACK)"},
    {6, "Abort (ABORT)"},
    {7, "Shutdown (SHUTDOWN)"},
    {8, "Shutdown Acknowledgement (SHUTDOWN ACK)"},
    {9, "Operation Error (ERROR)"},
    {10, "State Cookie (COOKIE ECHO)"},
    {11, "Cookie Acknowledgement (COOKIE ACK)"},
    {14, "Shutdown Complete (SHUTDOWN COMPLETE)"},
    {0x40, "Payload Data supporting Interleaving (I-DATA)"},
    {0x82, "Re-configuration Chunk (RE-CONFIG)"},
    {0x84, "Padding Chunk (PAD)"},
    {0xc0, "Forward TSN (FORWARD-TSN)"},
    {0xc2, "I-FORWARD-TSN"},
};

absl::string_view NameOf(InitParameter parameter) {
  switch (parameter) {
    case InitParameter::kIpv4Address:
      return "IPv4 Address";
    case InitParameter::kIpv6Address:
      return "IPv6 Address";
    case InitParameter::kStateCookie:
      return "State Cookie";
    case InitParameter::kUnrecognized:
      return "Unrecognized Parameters";
    case InitParameter::kCookiePreservative:
      return "Cookie Preservative";
    case InitParameter::kHostName:
      return "Host Name Address";
    case InitParameter::kSupportedAddressTypes:
      return "Supported Address Types";
    case InitParameter::kEcnCapable:
      return "Reserved for ECN Capable";
    case InitParameter::kZeroChecksum:
      return "Zero Checksum Acceptable";
    case InitParameter::kRandom:
      return "Random";
    case InitParameter::kChunkList:
      return "Chunk List";
    case InitParameter::kHmacAlgorithms:
      return "Requested HMAC Algorithm Parameter";
    case InitParameter::kPadding:
      return "Padding";
    case InitParameter::kSupportedExtensions:
      return "Supported Extensions";
    case InitParameter::kForwardTsnSupported:
      return "Forward TSN supported";
    case InitParameter::kAdaptationLayer:
      return "Adaptation Layer Indication";
  }
  return "";
}

constexpr Row kInitParameters[] = {
    {5, "IPv4 Address"},
    {6, "IPv6 Address"},
    {7, "State Cookie"},
    {8, "Unrecognized Parameters"},
    {9, "Cookie Preservative"},
    {11, "Host Name Address"},
    {12, "Supported Address Types"},
    {0x8000, "Reserved for ECN Capable"},
    {0x8001, "Zero Checksum Acceptable"},
    {0x8002, "Random"},
    {0x8003, "Chunk List"},
    {0x8004, "Requested HMAC Algorithm Parameter"},
    {0x8005, "Padding"},
    {0x8008, "Supported Extensions"},
    {0xc000, "Forward TSN supported"},
    {0xc006, "Adaptation Layer Indication"},
};

absl::string_view NameOf(ErrorCause cause) {
  switch (cause) {
    case ErrorCause::kInvalidStreamIdentifier:
      return "Invalid Stream Identifier";
    case ErrorCause::kMissingMandatoryParameter:
      return "Missing Mandatory Parameter";
    case ErrorCause::kStaleCookie:
      return "Stale Cookie";
    case ErrorCause::kOutOfResource:
      return "Out of Resource";
    case ErrorCause::kUnresolvableAddress:
      return "Unresolvable Address";
    case ErrorCause::kUnrecognizedChunkType:
      return "Unrecognized Chunk Type";
    case ErrorCause::kInvalidMandatoryParameter:
      return "Invalid Mandatory Parameter";
    case ErrorCause::kUnrecognizedParameters:
      return "Unrecognized Parameters";
    case ErrorCause::kNoUserData:
      return "No User Data";
    case ErrorCause::kCookieReceivedWhileShuttingDown:
      return "Cookie Received While Shutting Down";
    case ErrorCause::kRestartWithNewAddresses:
      return "Restart of an Association with New Addresses";
    case ErrorCause::kUserInitiatedAbort:
      return "User Initiated Abort";
    case ErrorCause::kProtocolViolation:
      return "Protocol Violation";
  }
  return "";
}

constexpr Row kErrorCauses[] = {
    {1, "Invalid Stream Identifier"},
    {2, "Missing Mandatory Parameter"},
    {3, "Stale Cookie"},
    {4, "Out of Resource"},
    {5, "Unresolvable Address"},
    {6, "Unrecognized Chunk Type"},
    {7, "Invalid Mandatory Parameter"},
    {8, "Unrecognized Parameters"},
    {9, "No User Data"},
    {10, "Cookie Received While Shutting Down"},
    {11, "Restart of an Association with New Addresses"},
    {12, "User Initiated Abort"},
    {13, "Protocol Violation"},
};

absl::string_view NameOf(ReconfigResult result) {
  switch (result) {
    case ReconfigResult::kNothingToDo:
      return "Success - Nothing to do";
    case ReconfigResult::kPerformed:
      return "Success - Performed";
    case ReconfigResult::kDenied:
      return "Denied";
    case ReconfigResult::kWrongSsn:
      return "Error - Wrong SSN";
    case ReconfigResult::kRequestInProgress:
      return "Error - Request already in progress";
    case ReconfigResult::kBadSequenceNumber:
      return "Error - Bad Sequence Number";
    case ReconfigResult::kInProgress:
      return "In progress";
  }
  return "";
}

// RFC 6525 section 4.4.
constexpr Row kReconfigResults[] = {
    {0, "Success - Nothing to do"},
    {1, "Success - Performed"},
    {2, "Denied"},
    {3, "Error - Wrong SSN"},
    {4, "Error - Request already in progress"},
    {5, "Error - Bad Sequence Number"},
    {6, "In progress"},
};

// Every number that we have a name for is the registry's, and the other way
// round.
template <typename Enum, size_t kSize>
void Compare(const Row (&rows)[kSize], uint32_t largest) {
  const Row* row = std::begin(rows);
  for (uint32_t number = 0; number <= largest; ++number) {
    const absl::string_view ours = NameOf(static_cast<Enum>(number));
    if (row != std::end(rows) && row->number == number) {
      EXPECT_EQ(ours, row->name) << number;
      ++row;
    } else {
      EXPECT_EQ(ours, "") << number;
    }
  }
  EXPECT_EQ(row, std::end(rows));
}

TEST(Iana, ChunkTypes) { Compare<ChunkType>(kChunkTypes, 0xff); }

TEST(Iana, ChunkParameterTypes) {
  Compare<InitParameter>(kInitParameters, 0xffff);
  // Of the same registry, in RE-CONFIG.
  EXPECT_EQ(OutgoingResetRequest::kType, 13);  // Outgoing SSN Reset Request
  EXPECT_EQ(IncomingResetRequest::kType, 14);  // Incoming SSN Reset Request
  EXPECT_EQ(SsnTsnResetRequest::kType, 15);    // SSN/TSN Reset Request
  EXPECT_EQ(ReconfigResponse::kType, 16);      // Re-configuration Response
  // Add Outgoing Streams Request, Add Incoming Streams Request
  EXPECT_EQ(AddOutgoingStreamsRequest::kType, 17);
  EXPECT_EQ(AddIncomingStreamsRequest::kType, 18);
  EXPECT_EQ(HeartbeatChunk::kInfoType, 1);  // Heartbeat Info
}

TEST(Iana, ErrorCauseCodes) { Compare<ErrorCause>(kErrorCauses, 0xffff); }

TEST(Iana, ReconfigurationResults) {
  Compare<ReconfigResult>(kReconfigResults, 0xff);
}

// "DATA Chunk Flags", "ABORT Chunk Flags", "SHUTDOWN COMPLETE Chunk Flags".
TEST(Iana, ChunkFlags) {
  EXPECT_EQ(DataChunk::kEnd, 0x01);
  EXPECT_EQ(DataChunk::kBegin, 0x02);
  EXPECT_EQ(DataChunk::kUnordered, 0x04);
  EXPECT_EQ(DataChunk::kImmediate, 0x08);
  EXPECT_EQ(kReflectedTag, 0x01);
}

// "SCTP Payload Protocol Identifiers", 50 to 57 (RFC 8831 section 8).
TEST(Iana, PayloadProtocolIdentifiers) {
  EXPECT_EQ(kPpidDcep, Ppid{50});           // WebRTC DCEP
  EXPECT_EQ(kPpidString, Ppid{51});         // WebRTC String
  EXPECT_EQ(kPpidBinaryPartial, Ppid{52});  // WebRTC Binary Partial
  EXPECT_EQ(kPpidBinary, Ppid{53});         // WebRTC Binary
  EXPECT_EQ(kPpidStringPartial, Ppid{54});  // WebRTC String Partial
  EXPECT_EQ(kPpidStringEmpty, Ppid{56});    // WebRTC String Empty
  EXPECT_EQ(kPpidBinaryEmpty, Ppid{57});    // WebRTC Binary Empty
}

// "Message Types" and "Channel Types" of the page webrtc.
TEST(Iana, DataChannelEstablishment) {
  EXPECT_THAT(DcepAck{}.Serialize(), ElementsAre(2));  // DATA_CHANNEL_ACK
  struct ChannelType {
    Ordering ordering;
    DcepOpen::Reliability reliability;
    uint8_t number;
  };
  using Reliability = DcepOpen::Reliability;
  for (const ChannelType& type : {
           ChannelType{Ordering::kOrdered, Reliability::kReliable, 0x00},
           ChannelType{Ordering::kOrdered, Reliability::kRetransmits, 0x01},
           ChannelType{Ordering::kOrdered, Reliability::kTimed, 0x02},
           ChannelType{Ordering::kUnordered, Reliability::kReliable, 0x80},
           ChannelType{Ordering::kUnordered, Reliability::kRetransmits, 0x81},
           ChannelType{Ordering::kUnordered, Reliability::kTimed, 0x82},
       }) {
    const std::vector<uint8_t> bytes =
        DcepOpen{.ordering = type.ordering, .reliability = type.reliability}
            .Serialize();
    EXPECT_EQ(bytes[0], 3);  // DATA_CHANNEL_OPEN
    EXPECT_EQ(bytes[1], type.number);
  }
}

}  // namespace
}  // namespace kyuu::sctp
