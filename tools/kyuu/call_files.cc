// The file half of a call: offers, answers, and the bytes.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "tools/kyuu/call.h"
#include "tools/kyuu/file_name.h"
#include "tools/kyuu/transfer/journal.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

// "At most four times a second."
constexpr absl::Duration kReportInterval = absl::Milliseconds(250);

std::string Text(const json& message, const char* key) {
  const auto it = message.find(key);
  return it != message.end() && it->is_string() ? it->get<std::string>()
                                                : std::string();
}

bool IsFileId(absl::string_view id) {
  if (id.empty() || id.size() > 32) return false;
  for (const char c : id) {
    const bool good = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                      (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!good) return false;
  }
  return true;
}

// Words of docs/application_protocol.md, for a person.
std::string ReasonText(const std::string& reason) {
  if (reason == "declined") return "the other side declined the file";
  if (reason == "exists") return "the other side has something of that name";
  if (reason == "too_large") return "the file is too large for the other side";
  if (reason == "busy") return "the other side is busy";
  if (reason == "bad_name") return "the other side cannot use the file's name";
  if (reason == "no_space") return "the other side has no room for the file";
  if (reason == "cannot_store") return "the other side cannot store files";
  return "the other side refused the file";
}

absl::Status CancelStatus(const std::string& reason) {
  if (reason == "no_space") return absl::UnavailableError(ReasonText(reason));
  if (reason == "io_error") {
    return absl::UnavailableError(
        "the other side could not read or store the file");
  }
  return absl::CancelledError("the other side cancelled");
}

// A file-result, in which damage was the only fault once and still is where
// no reason stands.
absl::Status ResultStatus(const json& message) {
  if (message.value("ok", json()) == true) return absl::OkStatus();
  const std::string reason = Text(message, "reason");
  if (reason == "no_space") return absl::UnavailableError(ReasonText(reason));
  if (reason == "cannot_store") {
    return absl::UnavailableError(
        "the file arrived intact, but the other side could not store it");
  }
  return absl::DataLossError("the file arrived damaged; nothing was kept");
}

// The word for what FileReceiver says before the first byte.
const char* RejectionOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return "bad_name";
    case absl::StatusCode::kResourceExhausted:
      return "no_space";
    case absl::StatusCode::kOutOfRange:
      return "too_large";
    case absl::StatusCode::kAlreadyExists:
      return "exists";
    default:
      return "cannot_store";
  }
}
// And after the last.
const char* ResultReasonOf(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ? "damaged"
         : absl::IsResourceExhausted(status) ? "no_space"
                                             : "cannot_store";
}

std::optional<uint64_t> Count(const json& message, const char* key) {
  const auto it = message.find(key);
  if (it == message.end() || !it->is_number_unsigned()) return std::nullopt;
  const uint64_t count = it->get<uint64_t>();
  return count <= kFileBytesMax ? std::optional(count) : std::nullopt;
}

std::optional<Batch> ReadBatch(const json& offer) {
  const auto it = offer.find("batch");
  if (it == offer.end() || !it->is_object()) return std::nullopt;
  const std::string id = Text(*it, "id");
  const std::optional<uint64_t> files = Count(*it, "files");
  const std::optional<uint64_t> bytes = Count(*it, "bytes");
  if (!IsFileId(id) || !files || !bytes) return std::nullopt;
  return Batch{id, *files, *bytes};
}

}  // namespace

absl::Status Call::OfferFiles(const std::vector<std::string>& paths) {
  if (!connected_) return absl::FailedPreconditionError("not connected yet");
  Batch batch{.id = absl::StrCat("b", next_batch_++), .files = paths.size()};
  for (const std::string& path : paths) {
    // Opened once more when its turn comes: a thousand files are too many
    // descriptors.
    KYUU_ASSIGN_OR_RETURN(const FileSender file, FileSender::Open("", path));
    batch.bytes += file.size();
  }
  for (const std::string& path : paths) {
    waiting_.push_back(
        {path, paths.size() > 1 ? std::optional(batch) : std::nullopt});
  }
  OfferMore();
  return absl::OkStatus();
}

void Call::OfferMore() {
  while (connected_ && !waiting_.empty() && sending_.size() < kOfferWindow) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    const std::string id = absl::StrCat("f", next_file_++);
    absl::StatusOr<FileSender> file = FileSender::Open(id, next.path);
    if (!file.ok()) {
      Emit(FileFinished{.direction = FileDirection::kOut,
                        .id = id,
                        .name = BaseName(next.path),
                        .status = file.status()});
      continue;
    }
    json offer = json::parse(file->Offer());
    if (next.batch) {
      offer["batch"] = {{"id", next.batch->id},
                        {"files", next.batch->files},
                        {"bytes", next.batch->bytes}};
    }
    sending_.emplace(
        id, Sending{.file = *std::move(file), .source = std::move(next)});
    SendControl(offer);
  }
}

absl::Status Call::AcceptFile(const std::string& id, const std::string& folder,
                              IfExists if_exists) {
  const auto it = offers_.find(id);
  if (it == offers_.end()) return absl::NotFoundError("no such offer");
  absl::StatusOr<FileReceiver> file =
      FileReceiver::Create(folder, it->second.name, it->second.size, if_exists,
                           FileSystem::System(), it->second.version);
  if (!file.ok()) {
    RejectFile(id, RejectionOf(file.status()));
    return file.status();
  }
  offers_.erase(it);
  Receiving& receiving =
      receiving_.emplace(id, Receiving{.file = *std::move(file)}).first->second;
  if (receiving.file.checking()) {
    check_alarm_.Set(net::Loop::Now());
  } else {
    SendAccept(id, receiving);
  }
  return absl::OkStatus();
}

void Call::RejectFile(const std::string& id, const std::string& reason) {
  offers_.erase(id);
  SendControl({{"type", "file-reject"}, {"id", id}, {"reason", reason}});
}

void Call::OnControl(absl::string_view text) {
  const json message = json::parse(text.begin(), text.end(), nullptr, false);
  if (!message.is_object()) return;
  const std::string type = Text(message, "type");
  if (type == "chat") {
    std::string said = Text(message, "text");
    if (said.size() <= kChatBytesMax) Emit(ChatReceived{std::move(said)});
  } else if (type == "bye") {
    // The connection closes next; a page that is closed does not get to that.
    goodbye_ = true;
    Over(absl::OkStatus());
  } else if (type == "file-offer") {
    OnFileOffer(message);
  } else if (type == "verify") {
    OnNumberMessage(message);
  } else if (absl::StartsWith(type, "pipe-") || type == "hello") {
    if (type == "hello") {
      datagram_size_.HandleHello(message);
      UseDatagramSize();
    }
    Emit(Aside(AsideSaid{message}));
  } else if (const std::string id = Text(message, "id"); IsFileId(id)) {
    OnFileAnswer(type, id, message);
  }
}

void Call::OnFileOffer(const json& message) {
  FileOffered offer{.id = Text(message, "id"), .name = Text(message, "name")};
  const auto size = message.find("size");
  if (!IsFileId(offer.id) || size == message.end() ||
      !size->is_number_unsigned() || size->get<uint64_t>() > kFileBytesMax) {
    return;
  }
  if (used_ids_.size() >= kFileIdsMax) return RejectFile(offer.id, "busy");
  if (!used_ids_.insert(offer.id).second) return;
  offer.size = size->get<uint64_t>();
  offer.batch = ReadBatch(message);
  offer.version = ReadFileVersion(message);
  if (!IsSafeFileName(offer.name)) return RejectFile(offer.id, "bad_name");
  if (offers_.size() + receiving_.size() >= kOffersMax) {
    return RejectFile(offer.id, "busy");
  }
  offers_.emplace(offer.id, offer);
  Emit(std::move(offer));
}

void Call::OnFileAnswer(const std::string& type, const std::string& id,
                        const json& message) {
  const auto sending = sending_.find(id);
  if (type == "file-cancel") {
    // Which direction is meant shows by who has that id running.
    const absl::Status status = CancelStatus(Text(message, "reason"));
    if (sending != sending_.end()) FinishSending(id, status);
    if (receiving_.count(id) > 0) FinishReceiving(id, "", status);
    if (offers_.erase(id) > 0) Emit(FileWithdrawn{id});
    return;
  }
  if (sending == sending_.end()) return;
  if (type == "file-accept") {
    OnFileAccept(sending->second, message);
  } else if (type == "file-reject") {
    OnRejected(id, Text(message, "reason"));
  } else if (type == "file-result") {
    FinishSending(id, ResultStatus(message));
  }
}

// "busy" means later, by another id: none is used twice.
void Call::OnRejected(const std::string& id, const std::string& reason) {
  const absl::Time now = net::Loop::Now();
  if (reason == "busy" && busy_until_ == absl::InfiniteFuture()) {
    busy_until_ = now + kBusyMax;
  }
  if (reason != "busy" || now >= busy_until_) {
    return FinishSending(id, absl::PermissionDeniedError(ReasonText(reason)));
  }
  auto node = sending_.extract(id);
  waiting_.push_front(std::move(node.mapped().source));
  offer_alarm_.Set(now + kBusyPause);
}

void Call::OpenFileChannel(Sending& sending) {
  if (sending.channel) return;
  const absl::StatusOr<peer::ChannelId> channel = engine().CreateDataChannel(
      net::Loop::Now(), {.label = absl::StrCat("file:", sending.file.id()),
                         .protocol = "kyuu.file.v1"});
  if (!channel.ok()) return FinishSending(sending.file.id(), channel.status());
  sending.channel = *channel;
  // The channel was made two lines above.
  (void)engine().SetBufferedAmountLowThreshold(*channel, kQueueBytes / 2);
  connection_->Flush();
}

void Call::PumpFiles() {
  // Finishing a file takes it out of the map: one at a time.
  std::vector<std::string> ids;
  for (const auto& [id, sending] : sending_) ids.push_back(id);
  for (const std::string& id : ids) {
    if (const auto it = sending_.find(id); it != sending_.end()) {
      Pump(id, it->second);
    }
  }
}

void Call::Pump(const std::string& id, Sending& sending) {
  if (!sending.opened || sending.ended) return;
  const absl::Time now = net::Loop::Now();
  if (!StartSending(id, sending)) return;
  while (!sending.file.at_end()) {
    if (engine().buffered_amount(*sending.channel) > kQueueBytes) break;
    const auto chunk = sending.file.Chunk();
    if (!chunk.ok()) {
      SendControl(
          {{"type", "file-cancel"}, {"id", id}, {"reason", "io_error"}});
      return FinishSending(id, chunk.status());
    }
    const absl::Status sent =
        engine().Send(now, *sending.channel, peer::PayloadType::kBinary,
                      std::move(sending.file.buffer()));
    if (absl::IsResourceExhausted(sent)) break;  // WritableAgain follows.
    if (!sent.ok()) return FinishSending(id, sent);
    sending.file.Advance();
  }
  Emit(FileProgress{
      FileDirection::kOut, id, sending.file.name(),
      sending.file.offset() -
          std::min<uint64_t>(sending.file.offset() - sending.file.begin(),
                             engine().buffered_amount(*sending.channel)),
      sending.file.size()});
  if (!sending.file.at_end()) return;
  const std::string end = sending.file.End();
  const absl::Status sent =
      engine().Send(now, *sending.channel, peer::PayloadType::kText,
                    {end.begin(), end.end()});
  if (sent.ok()) sending.ended = true;  // Else WritableAgain follows.
}

void Call::OnFileMessage(const std::string& id, Receiving& receiving,
                         sctp::ChannelMessage& message) {
  if (!receiving.file.begun()) return BeginReceiving(id, receiving, message);
  if (message.type == peer::PayloadType::kBinary) {
    const absl::Status stored = receiving.file.Add(message.payload);
    if (stored.ok()) return Report(id, receiving);
    SendControl({{"type", "file-cancel"},
                 {"id", id},
                 {"reason", absl::IsOutOfRange(stored) ? "protocol_error"
                            : absl::IsResourceExhausted(stored) ? "no_space"
                                                                : "io_error"}});
    return FinishReceiving(id, "", stored);
  }
  const absl::StatusOr<std::string> path =
      receiving.file.Finish(AsText(message.payload));
  json result{{"type", "file-result"},
              {"id", id},
              {"ok", path.ok()},
              {"sha256", receiving.file.sha256()}};
  if (!path.ok()) result["reason"] = ResultReasonOf(path.status());
  SendControl(result);
  FinishReceiving(id, path.ok() ? *path : "", path.status());
}

void Call::Report(const std::string& id, Receiving& receiving) {
  const FileReceiver& file = receiving.file;
  const absl::Time now = net::Loop::Now();
  Emit(FileProgress{FileDirection::kIn, id, file.name(), file.received(),
                    file.size()});
  if (now - receiving.reported < kReportInterval) return;
  receiving.reported = now;
  SendControl(
      {{"type", "file-progress"}, {"id", id}, {"received", file.received()}});
}

void Call::FinishSending(const std::string& id, absl::Status status) {
  auto node = sending_.extract(id);
  if (node.empty()) return;
  Sending& sending = node.mapped();
  if (sending.channel) {
    // Refused if it has closed by itself.
    (void)engine().CloseChannel(net::Loop::Now(), *sending.channel);
  }
  // Less than that the receiver does not keep.
  if (!status.ok() && !absl::IsDataLoss(status) && sending.file.can_resume() &&
      sending.file.offset() > kJournalChunkBytesMin) {
    status = absl::Status(
        status.code(),
        absl::StrCat(status.message(), "; sent again, it goes on"));
  }
  Emit(FileFinished{.direction = FileDirection::kOut,
                    .id = node.key(),
                    .name = sending.file.name(),
                    .sha256 = sending.file.sha256(),
                    .size = sending.file.size(),
                    .begin = sending.file.begin(),
                    .status = std::move(status)});
  OfferMore();
}

void Call::FinishReceiving(const std::string& id, std::string path,
                           absl::Status status) {
  auto node = receiving_.extract(id);
  if (node.empty()) return;
  Receiving& receiving = node.mapped();
  if (const std::string kept = receiving.file.Suspend(); !kept.empty()) {
    status =
        absl::Status(status.code(), absl::StrCat(status.message(), "; ", kept));
  }
  if (!status.ok() && receiving.channel) {
    // Refused if it has closed by itself.
    (void)engine().CloseChannel(net::Loop::Now(), *receiving.channel);
  }
  Emit(FileFinished{.direction = FileDirection::kIn,
                    .id = node.key(),
                    .name = receiving.file.name(),
                    .path = std::move(path),
                    .sha256 = receiving.file.sha256(),
                    .size = receiving.file.size(),
                    .begin = receiving.file.begin(),
                    .status = std::move(status)});
}

void Call::FailFiles(const absl::Status& status) {
  // Those that were never offered first: nothing may take a place that is free.
  for (const Waiting& waiting : std::exchange(waiting_, {})) {
    Emit(FileFinished{.direction = FileDirection::kOut,
                      .id = absl::StrCat("f", next_file_++),
                      .name = BaseName(waiting.path),
                      .status = status});
  }
  while (!sending_.empty()) {
    const std::string id = sending_.begin()->first;
    FinishSending(id, status);
  }
  while (!receiving_.empty()) {
    const std::string id = receiving_.begin()->first;
    FinishReceiving(id, "", status);
  }
}

}  // namespace kyuu::tools
