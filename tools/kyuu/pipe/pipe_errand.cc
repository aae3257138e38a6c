#include "tools/kyuu/pipe/pipe_errand.h"

#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "tools/kyuu/overload.h"
#include "tools/kyuu/progress.h"

namespace kyuu::tools {
namespace {

constexpr char kPipeLabel[] = "pipe";
constexpr char kPipeProtocol[] = "kyuu.pipe.v1";

std::string Bytes(uint64_t count) {
  return FormatBytes(static_cast<double>(count));
}

}  // namespace

PipeErrand::PipeErrand(Surroundings surroundings)
    : surroundings_(std::move(surroundings)),
      alarm_(surroundings_.loop, [this] {
        end_->HandleTimeout(net::Loop::Now());
        Flush();
      }) {}

void PipeErrand::HandleConnected(Call& call, CallRole role) {
  call_ = &call;
  end_.emplace(net::Loop::Now(), role == CallRole::kCaller
                                     ? PipeRole::kOffers
                                     : PipeRole::kAnswers);
  input_ = std::make_unique<InputBytes>(
      surroundings_.loop, STDIN_FILENO,
      [this](absl::Status status, std::vector<uint8_t> bytes) {
        OnInput(std::move(status), std::move(bytes));
      });
  output_ =
      std::make_unique<OutputBytes>(surroundings_.loop, STDOUT_FILENO,
                                    [this](absl::Status status, size_t bytes) {
                                      OnOutput(std::move(status), bytes);
                                    });
  Flush();
}

void PipeErrand::HandleAside(Aside& aside) {
  if (!end_ || finished_) return;
  std::visit(Overload{
                 [&](AsideOpened&) { end_->HandleOpen(); },
                 [&](AsideIncoming& incoming) {
                   if (channel_ || incoming.label != kPipeLabel) return;
                   channel_ = incoming.channel;
                   call_->TakeAside(*channel_);
                   end_->HandleOpen();
                 },
                 [&](AsideMessage& message) { OnMessage(message); },
                 [&](AsideWritable&) {},
                 [&](AsideClosed&) {
                   end_->Fail("protocol_error",
                              absl::UnavailableError(
                                  "the other side closed the pipe before "
                                  "everything was through"));
                 },
                 [&](AsideSaid& said) { end_->HandleControl(said.message); },
             },
             aside);
  Flush();
}

void PipeErrand::OnMessage(AsideMessage& message) {
  if (message.type == peer::PayloadType::kBinary) {
    if (end_->HandleData(message.payload.size())) {
      output_->Write(message.payload);
    }
    return;
  }
  end_->HandleEnd(AsText(message.payload));
  if (end_->peer_ended()) output_->Close();
}

void PipeErrand::OnInput(absl::Status status, std::vector<uint8_t> bytes) {
  if (finished_) return;
  reading_ = false;
  if (!status.ok()) {
    end_->Fail("io_error", std::move(status));
  } else if (bytes.empty()) {
    last_ = end_->End();
  } else {
    end_->HandleSent(bytes.size());
    unsent_ = std::move(bytes);
  }
  Flush();
}

void PipeErrand::OnOutput(absl::Status status, size_t bytes) {
  if (finished_) return;
  if (!status.ok()) {
    // What abseil makes of EPIPE.
    const bool gone = absl::IsFailedPrecondition(status);
    end_->Fail(gone ? "closed" : "io_error",
               gone ? absl::UnavailableError("who reads our stdout has gone "
                                             "before all was read")
                    : std::move(status));
  } else if (bytes > 0) {
    end_->HandleWritten(bytes);
  } else {
    end_->HandleOutputClosed();
  }
  Flush();
}

// Reads what may be sent, so that neither the peer nor the send buffer has to
// take more.
void PipeErrand::ReadOn() {
  if (call_ == nullptr || !channel_) return;
  if (!unsent_.empty()) {
    const absl::Status sent = call_->SendAside(
        *channel_, peer::PayloadType::kBinary, std::move(unsent_));
    // It is as it was, and AsideWritable follows; any other reason ends the
    // call as well.
    if (!sent.ok()) return;
    unsent_.clear();
  }
  if (last_) {
    if (call_
            ->SendAside(*channel_, peer::PayloadType::kText,
                        {last_->begin(), last_->end()})
            .ok()) {
      last_.reset();
    }
    return;
  }
  const size_t room = end_->room();
  if (reading_ || room == 0 ||
      call_->AsideBuffered(*channel_) > Call::kQueueBytes) {
    return;
  }
  reading_ = true;
  input_->Read(room);
}

void PipeErrand::Flush() {
  if (finished_ || call_ == nullptr) return;
  if (end_->TakeOpening()) {
    const absl::StatusOr<peer::ChannelId> made =
        call_->OpenAside({.label = kPipeLabel, .protocol = kPipeProtocol});
    if (!made.ok()) return Finish(made.status());
    channel_ = *made;
  }
  ReadOn();
  while (const auto message = end_->PollControl()) call_->SayAside(*message);
  call_->Flush();
  alarm_.Set(end_->NextTimeout());
  if (end_->outcome()) Finish(*end_->outcome());
}

std::string PipeErrand::Counts() const {
  std::string text = absl::StrCat("sent ", Bytes(end_->sent()));
  if (end_->outcome() != absl::OkStatus() && end_->taken() != end_->sent()) {
    absl::StrAppend(&text, " (", Bytes(end_->taken()),
                    " are known to have been taken)");
  }
  absl::StrAppend(&text, ", received ", Bytes(end_->received()));
  if (end_->written() != end_->received()) {
    absl::StrAppend(&text, " (", Bytes(end_->written()), " written)");
  }
  return text;
}

void PipeErrand::Finish(const absl::Status& status) {
  if (std::exchange(finished_, true)) return;
  alarm_.Stop();
  if (end_) surroundings_.terminal.Say(Counts());
  surroundings_.done(status);
}

void PipeErrand::HandleOver(const absl::Status& status) {
  call_ = nullptr;
  Finish(status.ok() ? absl::UnavailableError(
                           "the other side hung up before everything was "
                           "through")
                     : status);
}

void PipeErrand::HandleInterrupt() {
  if (end_ && call_ != nullptr) {
    end_->Fail("interrupted", absl::CancelledError(
                                  "interrupted before everything was through"));
    return Flush();
  }
  Finish(absl::CancelledError("interrupted before anybody was connected"));
}

}  // namespace kyuu::tools
