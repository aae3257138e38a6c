#include "sctp/internal/chunk/init_chunk.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"

namespace kyuu::sctp::internal {
namespace {

// RFC 9653 section 6: the error detection method that is DTLS.
constexpr uint32_t kOverDtls = 1;

// Takes one parameter into `init`. False: read no further parameter.
bool TakeParameter(const ParameterView& parameter, InitChunk& init) {
  switch (static_cast<InitParameter>(parameter.type)) {
    case InitParameter::kStateCookie:
      init.cookie = parameter.value;
      return true;
    case InitParameter::kForwardTsnSupported:
      init.extensions.forward_tsn = true;
      return true;
    case InitParameter::kSupportedExtensions:
      for (uint8_t type : parameter.value) {
        switch (static_cast<ChunkType>(type)) {
          case ChunkType::kForwardTsn:
            init.extensions.forward_tsn = true;
            break;
          case ChunkType::kReConfig:
            init.extensions.re_config = true;
            break;
          case ChunkType::kIData:
            init.extensions.i_data = true;
            break;
          case ChunkType::kIForwardTsn:
            init.extensions.i_forward_tsn = true;
            break;
          default:
            break;
        }
      }
      return true;
    case InitParameter::kZeroChecksum: {
      Reader method(parameter.value);
      init.extensions.zero_checksum = method.U32() == kOverDtls;
      return true;
    }
    // Known, and of no use on a single path below DTLS, or an answer to us.
    case InitParameter::kIpv4Address:
    case InitParameter::kIpv6Address:
    case InitParameter::kUnrecognized:
    case InitParameter::kCookiePreservative:
    case InitParameter::kHostName:
    case InitParameter::kSupportedAddressTypes:
    case InitParameter::kEcnCapable:
    case InitParameter::kRandom:
    case InitParameter::kChunkList:
    case InitParameter::kHmacAlgorithms:
    case InitParameter::kPadding:
    case InitParameter::kAdaptationLayer:
      return true;
  }
  const UnknownAction action = UnknownParameterAction(parameter.type);
  if ((action == UnknownAction::kStopAndReport ||
       action == UnknownAction::kSkipAndReport) &&
      init.unrecognized.size() < InitChunk::kMaxUnrecognized) {
    init.unrecognized.push_back(parameter.whole);
  }
  return action == UnknownAction::kSkip ||
         action == UnknownAction::kSkipAndReport;
}

}  // namespace

std::optional<InitChunk> InitChunk::Parse(const ChunkView& chunk) {
  InitChunk init;
  init.type = chunk.type;
  Reader reader(chunk.value);
  init.initiate_tag = reader.U32();
  init.a_rwnd = reader.U32();
  init.outbound_streams = reader.U16();
  init.inbound_streams = reader.U16();
  init.initial_tsn = Tsn(reader.U32());
  while (std::optional<ParameterView> parameter = NextParameter(reader)) {
    if (!TakeParameter(*parameter, init)) break;
  }
  if (!reader.ok()) return std::nullopt;
  return init;
}

void InitChunk::Write(Writer& writer) const {
  ChunkWriter chunk(writer, type);
  writer.U32(initiate_tag);
  writer.U32(a_rwnd);
  writer.U16(outbound_streams);
  writer.U16(inbound_streams);
  writer.U32(initial_tsn.value());
  if (!cookie.empty()) {
    ParameterWriter parameter(
        writer, static_cast<uint16_t>(InitParameter::kStateCookie));
    writer.Bytes(cookie);
  }
  if (extensions.forward_tsn) {
    ParameterWriter parameter(
        writer, static_cast<uint16_t>(InitParameter::kForwardTsnSupported));
  }
  const std::pair<bool, ChunkType> supported[] = {
      {extensions.re_config, ChunkType::kReConfig},
      {extensions.forward_tsn, ChunkType::kForwardTsn},
      {extensions.i_data, ChunkType::kIData},
      {extensions.i_forward_tsn, ChunkType::kIForwardTsn},
  };
  if (extensions.zero_checksum) {
    ParameterWriter parameter(
        writer, static_cast<uint16_t>(InitParameter::kZeroChecksum));
    writer.U32(kOverDtls);
  }
  if (extensions.re_config || extensions.forward_tsn || extensions.i_data ||
      extensions.i_forward_tsn) {
    ParameterWriter parameter(
        writer, static_cast<uint16_t>(InitParameter::kSupportedExtensions));
    for (const auto& [has, chunk_type] : supported) {
      if (has) writer.U8(static_cast<uint8_t>(chunk_type));
    }
  }
  for (Bytes report : unrecognized) {
    if (type == ChunkType::kInit) {
      writer.PadTo(4);
      writer.Bytes(report);
      continue;
    }
    ParameterWriter parameter(
        writer, static_cast<uint16_t>(InitParameter::kUnrecognized));
    writer.Bytes(report);
  }
}

}  // namespace kyuu::sctp::internal
