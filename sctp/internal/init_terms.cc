#include "sctp/internal/init_terms.h"

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/random.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/receive_window.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/state_cookie.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

uint32_t NewTag(Random& random) {
  uint32_t tag = 0;
  do {
    tag = random.U32();
  } while (tag == 0);
  return tag;
}

InitChunk OwnInit(const Options& options, uint32_t tag, Tsn initial_tsn) {
  InitChunk init;
  init.initiate_tag = tag;
  init.a_rwnd = static_cast<uint32_t>(ReceiveWindow(options).size());
  init.outbound_streams = options.outgoing_streams;
  init.inbound_streams = options.incoming_streams;
  init.initial_tsn = initial_tsn;
  init.extensions = {.forward_tsn = true,
                     .re_config = true,
                     .i_data = options.interleaving,
                     .i_forward_tsn = options.interleaving};
  return init;
}

bool IsAcceptable(const InitChunk& init) {
  return init.initiate_tag != 0 && init.outbound_streams != 0 &&
         init.inbound_streams != 0;
}

StateCookie TermsOfPeer(const InitChunk& init) {
  StateCookie terms;
  terms.peer_tag = init.initiate_tag;
  terms.peer_initial_tsn = init.initial_tsn;
  terms.peer_a_rwnd = init.a_rwnd;
  terms.peer_outbound_streams = init.outbound_streams;
  terms.peer_inbound_streams = init.inbound_streams;
  terms.peer_extensions = init.extensions;
  return terms;
}

absl::StatusOr<InitChunk> ReadInit(Bytes bytes) {
  Reader reader(bytes);
  const std::optional<ChunkView> chunk = NextChunk(reader);
  if (!chunk) return absl::InvalidArgumentError("not a whole chunk");
  if (!reader.empty()) {
    return absl::InvalidArgumentError("bytes behind the INIT chunk");
  }
  if (chunk->type != ChunkType::kInit) {
    return absl::InvalidArgumentError("a chunk other than INIT");
  }
  const std::optional<InitChunk> init = InitChunk::Parse(*chunk);
  if (!init) return absl::InvalidArgumentError("a malformed INIT chunk");
  if (!IsAcceptable(*init)) {
    return absl::InvalidArgumentError("an INIT with a tag or streams of 0");
  }
  return *init;
}

}  // namespace kyuu::sctp::internal
