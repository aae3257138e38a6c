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

// The requests of sections 4.5 and 4.6, which differ in their types only.
template <typename Addition>
Addition ReadAddition(Reader& reader) {
  Addition addition;
  addition.request_sn = ReconfigSn(reader.U32());
  addition.new_streams = reader.U16();
  reader.U16();  // Reserved.
  return addition;
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
    case SsnTsnResetRequest::kType:
      parameter = SsnTsnResetRequest{ReconfigSn(reader.U32())};
      break;
    case AddOutgoingStreamsRequest::kType:
      parameter = ReadAddition<AddOutgoingStreamsRequest>(reader);
      break;
    case AddIncomingStreamsRequest::kType:
      parameter = ReadAddition<AddIncomingStreamsRequest>(reader);
      break;
    case ReconfigResponse::kType: {
      ReconfigResponse response;
      response.response_sn = ReconfigSn(reader.U32());
      response.result = static_cast<ReconfigResult>(reader.U32());
      if (!reader.empty()) {
        ReconfigResponse::NextTsns& next = response.next_tsns.emplace();
        next.sender = Tsn(reader.U32());
        next.receiver = Tsn(reader.U32());
      }
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
  void operator()(const SsnTsnResetRequest& request) const {
    ParameterWriter parameter(writer, SsnTsnResetRequest::kType);
    writer.U32(request.request_sn.value());
  }
  void operator()(const AddOutgoingStreamsRequest& request) const {
    WriteAddition(request);
  }
  void operator()(const AddIncomingStreamsRequest& request) const {
    WriteAddition(request);
  }
  void operator()(const ReconfigResponse& response) const {
    ParameterWriter parameter(writer, ReconfigResponse::kType);
    writer.U32(response.response_sn.value());
    writer.U32(static_cast<uint32_t>(response.result));
    if (response.next_tsns) {
      writer.U32(response.next_tsns->sender.value());
      writer.U32(response.next_tsns->receiver.value());
    }
  }
  template <typename Addition>
  void WriteAddition(const Addition& addition) const {
    ParameterWriter parameter(writer, Addition::kType);
    writer.U32(addition.request_sn.value());
    writer.U16(addition.new_streams);
    writer.U16(0);  // Reserved.
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
