// What a call tells its owner.

#ifndef KYUU_TOOLS_KYUU_CALL_EVENT_H_
#define KYUU_TOOLS_KYUU_CALL_EVENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"
#include "peer/connection_types.h"
#include "signaling/client.h"
#include "tools/kyuu/code/code_exchange.h"
#include "tools/kyuu/transfer/resume_message.h"
#include "tools/kyuu/transfer/resumption.h"

namespace kyuu::tools {

// To be sent to the peer by signaling.
struct LocalDescription {
  signaling::SignalKind kind;
  std::string sdp;
};
struct LocalCandidate {
  signaling::CandidateInit candidate;  // An empty one ends them.
};
// The code that was required is proven, or the call ends for that reason.
struct CodeEnded {
  CodeOutcome outcome;
};
// The control channel is open: chat and files may go.
struct Connected {};
// Call::number() is known.
struct NumberKnown {};
// The way that data takes.
struct PathFound {
  bool relayed = false;
  // Type of our candidate: "host", "srflx", ..., "host over tcp", "relay over
  // tls".
  std::string local;
  std::string remote;  // Of the peer's.
  // "192.0.2.1:50000", the two ends of it as they are seen from here.
  std::string local_address = {};
  std::string remote_address = {};
};
// The way does not answer any more; another one is looked for.
struct WayLost {};
struct ChatReceived {
  std::string text;
};
// Files that a sender offers together, for one answer to all of them.
struct Batch {
  std::string id;
  uint64_t files = 0;
  uint64_t bytes = 0;
};
// The peer wants to send a file: AcceptFile or RejectFile.
struct FileOffered {
  std::string id;
  std::string name;
  uint64_t size = 0;
  std::optional<Batch> batch;  // As the sender says.
  // Known if the sender can go on with it another time.
  std::optional<FileVersion> version;
};
// The peer takes an offer back that has no answer yet.
struct FileWithdrawn {
  std::string id;
};
enum class FileDirection : uint8_t { kOut, kIn };
// A file begins of which the receiver had something already; the events of the
// file itself follow.
struct FileResumed {
  FileDirection direction;
  std::string id;
  std::string name;
  uint64_t size = 0;
  Resumption from;  // Of a file of ours only found and begin are known.
};
struct FileProgress {
  FileDirection direction;
  std::string id;
  std::string name;
  uint64_t done = 0;
  uint64_t size = 0;
};
// The last event of a file. OK: it arrived and its hash was right. Otherwise
// the status says why to a person, and what was kept, if anything was.
struct FileFinished {
  FileDirection direction;
  std::string id;
  std::string name;
  std::string path;    // Of a received file.
  std::string sha256;  // If known.
  uint64_t size = 0;
  uint64_t begin = 0;  // What of it was there before.
  absl::Status status;
};
// Beside chat and files (Call::OpenAside): a channel of ours is open, or one of
// the peer's there to be taken; what comes on one; there is room to send again;
// one is closed; a control message of a pipe, or the peer's hello.
struct AsideOpened {
  peer::ChannelId channel;
};
struct AsideIncoming {
  peer::ChannelId channel;
  std::string label;
};
struct AsideMessage {
  peer::ChannelId channel;
  peer::PayloadType type;
  std::vector<uint8_t> payload;
};
struct AsideWritable {};
struct AsideClosed {
  peer::ChannelId channel;
};
struct AsideSaid {
  nlohmann::json message;
};
using Aside = std::variant<AsideOpened, AsideIncoming, AsideMessage,
                           AsideWritable, AsideClosed, AsideSaid>;
// The last event. OK if either side hung up.
struct CallOver {
  absl::Status status;
};

using CallEvent =
    std::variant<LocalDescription, LocalCandidate, CodeEnded, Connected,
                 NumberKnown, PathFound, WayLost, ChatReceived, FileOffered,
                 FileWithdrawn, FileResumed, FileProgress, FileFinished, Aside,
                 CallOver>;

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CALL_EVENT_H_
