// One end of a pipe against any peer: the first byte is the role; each of the
// others that follow is what happens next, with a line of the input where text
// is needed.

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/check.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/pipe/pipe_end.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kyuu::tools::PipeEnd;
  kyuu::Reader reader({data, size});
  PipeEnd end(absl::UnixEpoch(), reader.U8() % 2 == 0
                                     ? kyuu::tools::PipeRole::kOffers
                                     : kyuu::tools::PipeRole::kAnswers);
  while (reader.remaining() > 0) {
    const uint8_t what = reader.U8();
    const auto text = [&] {
      return kyuu::AsText(reader.Bytes(reader.U8() % (reader.remaining() + 1)));
    };
    if (what == 'c') {
      const absl::string_view line = text();
      end.HandleControl(
          nlohmann::json::parse(line.begin(), line.end(), nullptr, false));
    } else if (what == 'o') {
      end.HandleOpen();
    } else if (what == 'd') {
      end.HandleData(size_t{reader.U8()} * 257);
    } else if (what == 'e') {
      end.HandleEnd(text());
    } else if (what == 'w') {
      end.HandleWritten((end.received() - end.written()) * reader.U8() / 255);
    } else if (what == 'x') {
      end.HandleOutputClosed();
    } else if (what == 's' && end.room() > 0) {
      end.HandleSent(1 + end.room() * reader.U8() / 256);
    } else if (what == 'E' && end.room() > 0) {
      end.End();
    } else if (what == 't') {
      end.HandleTimeout(absl::UnixEpoch() + absl::Seconds(reader.U8()));
    }
    end.TakeOpening();
    while (end.PollControl()) {
    }
    KYUU_CHECK(end.taken() <= end.sent());
    KYUU_CHECK(end.received() - end.written() <= PipeEnd::kWindowBytes);
    KYUU_CHECK(end.room() <= PipeEnd::kChunkBytesMax);
    KYUU_CHECK(!end.outcome() || end.room() == 0);
    KYUU_CHECK(!end.outcome() || !end.outcome()->ok() || end.peer_ended());
  }
  return 0;
}
