#include "sctp/internal/chunk/reconfig_chunk.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"

namespace kyuu::sctp::internal {
namespace {

std::vector<StreamId> ReadStreams(Reader& reader) {
  std::vector<StreamId> streams;
  streams.reserve(reader.remaining() / 2);
  while (!reader.empty()) {
    streams.push_back(static_cast<StreamId>(reader.U16()));
  }
  return streams;
}

std::optional<ReconfigParameter> ReadParameter(const ParameterView& view) {
  Reader reader(view.value);
  ReconfigParameter parameter;
  switch (view.type) {
    case OutgoingResetRequest::kType: {
      OutgoingResetRequest request;
      request.request_sn = ReconfigSn(reader.U32());
      request.response_sn = ReconfigSn(reader.U32());
      request.last_assigned_tsn = Tsn(reader.U32());
      request.streams = ReadStreams(reader);
      parameter = std::move(request);
      break;
    }
    case IncomingResetRequest::kType: {
      IncomingResetRequest request;
      request.request_sn = ReconfigSn(reader.U32());
      request.streams = ReadStreams(reader);
      parameter = std::move(request);
      break;
    }
    case OtherRequest::kSsnTsnReset:
    case OtherRequest::kAddOutgoing:
    case OtherRequest::kAddIncoming:
      parameter = OtherRequest{view.type, ReconfigSn(reader.U32())};
      break;
    case ReconfigResponse::kType: {
      ReconfigResponse response;
      response.response_sn = ReconfigSn(reader.U32());
      response.result = static_cast<ReconfigResult>(reader.U32());
      parameter = response;
      break;
    }
    default:
      return std::nullopt;
  }
  if (!reader.ok()) return std::nullopt;
  return parameter;
}

struct WriteParameter {
  Writer& writer;

  void operator()(const OutgoingResetRequest& request) const {
    ParameterWriter parameter(writer, OutgoingResetRequest::kType);
    writer.U32(request.request_sn.value());
    writer.U32(request.response_sn.value());
    writer.U32(request.last_assigned_tsn.value());
    WriteStreams(request.streams);
  }
  void operator()(const IncomingResetRequest& request) const {
    ParameterWriter parameter(writer, IncomingResetRequest::kType);
    writer.U32(request.request_sn.value());
    WriteStreams(request.streams);
  }
  void operator()(const OtherRequest& request) const {
    ParameterWriter parameter(writer, request.type);
    writer.U32(request.request_sn.value());
    // The number of new streams, which the SSN/TSN reset does not have.
    if (request.type != OtherRequest::kSsnTsnReset) writer.U32(0);
  }
  void operator()(const ReconfigResponse& response) const {
    ParameterWriter parameter(writer, ReconfigResponse::kType);
    writer.U32(response.response_sn.value());
    writer.U32(static_cast<uint32_t>(response.result));
  }
  void WriteStreams(const std::vector<StreamId>& streams) const {
    for (StreamId stream : streams) writer.U16(static_cast<uint16_t>(stream));
  }
};

}  // namespace

std::optional<ReconfigChunk> ReconfigChunk::Parse(const ChunkView& chunk) {
  ReconfigChunk reconfig;
  Reader reader(chunk.value);
  while (std::optional<ParameterView> view = NextParameter(reader)) {
    std::optional<ReconfigParameter> parameter = ReadParameter(*view);
    if (!parameter || reconfig.parameters.size() == 2) return std::nullopt;
    reconfig.parameters.push_back(*std::move(parameter));
  }
  if (!reader.ok() || reconfig.parameters.empty()) return std::nullopt;
  return reconfig;
}

void ReconfigChunk::Write(Writer& writer) const {
  ChunkWriter chunk(writer, ChunkType::kReConfig);
  for (const ReconfigParameter& parameter : parameters) {
    std::visit(WriteParameter{writer}, parameter);
  }
}

}  // namespace kyuu::sctp::internal
