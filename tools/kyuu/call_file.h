// What a call knows of its files.

#ifndef KYUU_TOOLS_KYUU_CALL_FILE_H_
#define KYUU_TOOLS_KYUU_CALL_FILE_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "peer/connection_types.h"
#include "tools/kyuu/call_event.h"
#include "tools/kyuu/file_receiver.h"
#include "tools/kyuu/file_sender.h"

namespace kyuu::tools {

// A file of ours that is not offered yet, or again.
struct WaitingFile {
  std::string path;
  std::optional<Batch> batch;
};
struct SendingFile {
  FileSender file;
  WaitingFile source;
  std::optional<peer::ChannelId> channel;
  bool opened = false;
  bool started = false;  // The "start" message is sent, if there is one.
  bool ended = false;    // The "end" message is sent.
};
struct ReceivingFile {
  FileReceiver file;
  bool accepted = false;  // The sender knows.
  std::optional<peer::ChannelId> channel;
  absl::Time reported = absl::InfinitePast();
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CALL_FILE_H_
