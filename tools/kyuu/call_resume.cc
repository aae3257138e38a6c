// How a file goes on where it was: docs/application_protocol.md, "Going on".

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "tools/kyuu/call.h"
#include "tools/kyuu/transfer/resume_message.h"

namespace kyuu::tools {

using nlohmann::json;

void Call::SendAccept(const std::string& id, Receiving& receiving) {
  json accept{{"type", "file-accept"}, {"id", id}};
  if (receiving.file.can_resume()) {
    accept["resume"] = ToJson(receiving.file.Checkpoints());
  }
  receiving.accepted = true;
  SendControl(accept);
}

void Call::CheckFiles() {
  // One file, one slice: the loop has other things to do.
  for (auto& [id, receiving] : receiving_) {
    if (receiving.accepted) continue;
    receiving.file.Check(kCheckBytes);
    check_alarm_.Set(net::Loop::Now());
    if (!receiving.file.checking()) SendAccept(id, receiving);
    return;
  }
  for (auto& [id, sending] : sending_) {
    if (!sending.file.checking()) continue;
    sending.file.Check(kCheckBytes);
    check_alarm_.Set(net::Loop::Now());
    if (!sending.file.checking()) OpenFileChannel(sending);
    return;
  }
}

void Call::OnFileAccept(Sending& sending, const json& message) {
  if (sending.channel || sending.file.checking()) return;
  busy_until_ = absl::InfiniteFuture();
  sending.file.Accept(ReadCheckpoints(message, sending.file.size()));
  if (!sending.file.checking()) return OpenFileChannel(sending);
  check_alarm_.Set(net::Loop::Now());
}

// False if the channel has no room; WritableAgain follows.
bool Call::StartSending(const std::string& id, Sending& sending) {
  if (sending.started) return true;
  if (const std::string start = sending.file.Start(); !start.empty()) {
    const absl::Status sent =
        engine().Send(net::Loop::Now(), *sending.channel,
                      peer::PayloadType::kText, {start.begin(), start.end()});
    if (!sent.ok()) return false;
  }
  sending.started = true;
  if (sending.file.offered_begin() == 0) return true;
  Emit(FileResumed{.direction = FileDirection::kOut,
                   .id = id,
                   .name = sending.file.name(),
                   .size = sending.file.size(),
                   .from = {.found = sending.file.offered_begin(),
                            .intact = sending.file.offered_begin(),
                            .begin = sending.file.begin()}});
  return true;
}

// The first message says from where the sender goes on.
void Call::BeginReceiving(const std::string& id, Receiving& receiving,
                          const sctp::ChannelMessage& message) {
  absl::StatusOr<Resumption> from =
      absl::InvalidArgumentError("the peer's first message is not \"start\"");
  if (message.type == peer::PayloadType::kText) {
    from = receiving.file.Begin(AsText(message.payload));
  }
  if (!from.ok()) {
    SendControl(
        {{"type", "file-cancel"},
         {"id", id},
         {"reason", absl::IsInvalidArgument(from.status()) ? "protocol_error"
                    : absl::IsResourceExhausted(from.status()) ? "no_space"
                                                               : "io_error"}});
    return FinishReceiving(id, "", from.status());
  }
  if (from->found == 0) return;
  Emit(FileResumed{.direction = FileDirection::kIn,
                   .id = id,
                   .name = receiving.file.name(),
                   .size = receiving.file.size(),
                   .from = *from});
}

}  // namespace kyuu::tools
