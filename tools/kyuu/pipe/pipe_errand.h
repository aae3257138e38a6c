// `kyuu pipe`: stdin to the other end's stdout, and the other way round.

#ifndef KYUU_TOOLS_KYUU_PIPE_PIPE_ERRAND_H_
#define KYUU_TOOLS_KYUU_PIPE_PIPE_ERRAND_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "net/loop.h"
#include "tools/kyuu/errand.h"
#include "tools/kyuu/pipe/byte_threads.h"
#include "tools/kyuu/pipe/pipe_end.h"

namespace kyuu::tools {

class PipeErrand : public Errand {
 public:
  explicit PipeErrand(Surroundings surroundings);

  void HandleConnected(Call& call, CallRole role) override;
  void HandlePath(const PathFound&) override {}
  void HandleAside(Aside& aside) override;
  void HandleOver(const absl::Status& status) override;
  void HandleInterrupt() override;

 private:
  void OnMessage(AsideMessage& message);
  void OnInput(absl::Status status, std::vector<uint8_t> bytes);
  void OnOutput(absl::Status status, size_t bytes);
  void ReadOn();
  // Sends what is to be said, and ends if the pipe is over.
  void Flush();
  void Finish(const absl::Status& status);
  std::string Counts() const;

  Surroundings surroundings_;
  net::Alarm alarm_;
  Call* call_ = nullptr;  // While there is one.
  std::optional<PipeEnd> end_;
  std::optional<peer::ChannelId> channel_;
  std::unique_ptr<InputBytes> input_;
  std::unique_ptr<OutputBytes> output_;
  bool reading_ = false;             // The input was asked for more.
  std::vector<uint8_t> unsent_;      // For which the send buffer had no room.
  std::optional<std::string> last_;  // The text behind the last byte, unsent.
  bool finished_ = false;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PIPE_PIPE_ERRAND_H_
