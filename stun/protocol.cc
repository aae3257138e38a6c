#include "stun/protocol.h"

#include "absl/strings/escaping.h"
#include "base/bytes.h"

namespace kyuu::stun {

absl::string_view ReasonPhrase(Error code) {
  switch (code) {
    case Error::kTryAlternate:
      return "Try Alternate";
    case Error::kBadRequest:
      return "Bad Request";
    case Error::kUnauthenticated:
      return "Unauthenticated";
    case Error::kForbidden:
      return "Forbidden";
    case Error::kMobilityForbidden:
      return "Mobility Forbidden";
    case Error::kUnknownAttribute:
      return "Unknown Attribute";
    case Error::kAllocationMismatch:
      return "Allocation Mismatch";
    case Error::kStaleNonce:
      return "Stale Nonce";
    case Error::kAddressFamilyNotSupported:
      return "Address Family not Supported";
    case Error::kWrongCredentials:
      return "Wrong Credentials";
    case Error::kUnsupportedTransport:
      return "Unsupported Transport Protocol";
    case Error::kPeerAddressFamilyMismatch:
      return "Peer Address Family Mismatch";
    case Error::kConnectionAlreadyExists:
      return "Connection Already Exists";
    case Error::kConnectionTimeout:
      return "Connection Timeout or Failure";
    case Error::kAllocationQuotaReached:
      return "Allocation Quota Reached";
    case Error::kRoleConflict:
      return "Role Conflict";
    case Error::kServerError:
      return "Server Error";
    case Error::kInsufficientCapacity:
      return "Insufficient Capacity";
  }
  return "";
}

absl::string_view MethodName(Method method) {
  switch (method) {
    case Method::kBinding:
      return "Binding";
    case Method::kAllocate:
      return "Allocate";
    case Method::kRefresh:
      return "Refresh";
    case Method::kSend:
      return "Send";
    case Method::kData:
      return "Data";
    case Method::kCreatePermission:
      return "CreatePermission";
    case Method::kChannelBind:
      return "ChannelBind";
    case Method::kConnect:
      return "Connect";
    case Method::kConnectionBind:
      return "ConnectionBind";
    case Method::kConnectionAttempt:
      return "ConnectionAttempt";
  }
  return "";
}

TransactionId TransactionId::Generate(Random& random) {
  TransactionId id;
  random.Fill(absl::MakeSpan(id.bytes));
  return id;
}

std::string TransactionId::ToString() const {
  return absl::BytesToHexString(AsText(bytes));
}

}  // namespace kyuu::stun
