// SdpJson: the summary for programs.

#include <nlohmann/json.hpp>

#include "sdp/codecs.h"
#include "tools/kyuu/sdp/sdp_facts.h"
#include "tools/kyuu/sdp/sdp_summary.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;
using sdp::AttributeType;

std::string Text(absl::string_view text) { return std::string(text); }

void Put(json& out, const char* key, std::optional<absl::string_view> value) {
  if (value) out[key] = Text(*value);
}

void Flag(json& out, const char* key, bool value) {
  if (value) out[key] = true;
}

json List(const sdp::Pieces& pieces) {
  json list = json::array();
  for (const absl::string_view piece : pieces) list.push_back(Text(piece));
  return list;
}

void PutIce(json& out, const sdp::Block& block) {
  json ice = json::object();
  Put(ice, "ufrag", block.ice_ufrag());
  for (const absl::string_view tag : IceTags(block)) {
    ice["options"].push_back(Text(tag));
  }
  Flag(ice, "lite", block.Has(AttributeType::kIceLite));
  if (const auto pacing = block.ice_pacing_ms()) ice["pacing_ms"] = *pacing;
  for (const CandidateCount& candidates : CountCandidates(block)) {
    ice["candidates"][candidates.kind] = candidates.count;
  }
  Flag(ice, "end_of_candidates", block.Has(AttributeType::kEndOfCandidates));
  if (!ice.empty()) out["ice"] = std::move(ice);
}

void PutDtls(json& out, const sdp::Block& block) {
  json dtls = json::object();
  if (const auto setup = block.setup()) {
    dtls["setup"] = Text(sdp::SetupName(*setup));
  }
  for (const auto& print : block.All<sdp::FingerprintText>()) {
    dtls["fingerprints"].push_back(
        {{"hash", Text(print.hash_function)}, {"digest", Text(print.digest)}});
  }
  Put(dtls, "tls_id", block.tls_id());
  if (!dtls.empty()) out["dtls"] = std::move(dtls);
}

void PutBandwidths(json& out, const sdp::Block& block) {
  for (const sdp::Bandwidth& bandwidth : block.All<sdp::Bandwidth>()) {
    out["bandwidth"][Text(bandwidth.type)] = bandwidth.value;
  }
}

void PutCodecs(json& out, const sdp::MediaSection& media) {
  for (const sdp::Codec& codec : sdp::Codecs(media)) {
    json each = {{"payload_type", codec.payload_type}};
    if (!codec.encoding.empty()) {
      each["name"] = Text(codec.encoding);
      each["clock_rate"] = codec.clock_rate;
      each["channels"] = codec.channels;
    }
    if (!codec.parameters.empty()) {
      each["fmtp"] = Text(codec.parameters.text());
    }
    for (const sdp::RtcpFeedback& feedback : codec.feedback) {
      each["feedback"].push_back(FeedbackName(feedback));
    }
    out["codecs"].push_back(std::move(each));
  }
  for (const sdp::RtcpFeedback& feedback : media.All<sdp::RtcpFeedback>()) {
    if (!feedback.payload_type) {
      out["feedback"].push_back(FeedbackName(feedback));
    }
  }
}

json Streams(const sdp::Pieces& streams) {
  json list = json::array();
  for (const absl::string_view stream : streams) {
    json alternatives = json::array();
    for (const absl::string_view id : sdp::SimulcastAlternatives(stream)) {
      const sdp::SimulcastId read = sdp::ParseSimulcastId(id);
      alternatives.push_back(
          {{"rid", Text(read.rid)}, {"paused", read.paused}});
    }
    list.push_back(std::move(alternatives));
  }
  return list;
}

void PutRtp(json& out, const sdp::MediaSection& media) {
  Flag(out, "rtcp_mux", media.Has(AttributeType::kRtcpMux));
  Flag(out, "rtcp_rsize", media.Has(AttributeType::kRtcpRsize));
  if (const auto ptime = media.Get<sdp::Ptime>()) {
    out["ptime_ms"] = ptime->milliseconds;
  }
  if (const auto ptime = media.Get<sdp::Maxptime>()) {
    out["maxptime_ms"] = ptime->milliseconds;
  }
  PutCodecs(out, media);
  for (const sdp::Extmap& map : media.All<sdp::Extmap>()) {
    json each = {{"id", map.id}, {"uri", Text(map.uri)}};
    if (map.direction) {
      each["direction"] = Text(sdp::DirectionName(*map.direction));
    }
    out["header_extensions"].push_back(std::move(each));
  }
  for (const sdp::Rid& rid : media.All<sdp::Rid>()) {
    out["rids"].push_back({{"id", Text(rid.id)},
                           {"direction", rid.send ? "send" : "recv"},
                           {"restrictions", Text(rid.restrictions.text())}});
  }
  if (const auto simulcast = media.Get<sdp::Simulcast>()) {
    out["simulcast"] = {{"send", Streams(simulcast->send)},
                        {"recv", Streams(simulcast->recv)}};
  }
  for (const sdp::Msid& msid : media.All<sdp::Msid>()) {
    out["msid"].push_back(
        {{"stream", Text(msid.stream)}, {"track", Text(msid.track)}});
  }
  for (const sdp::SsrcGroup& group : media.All<sdp::SsrcGroup>()) {
    out["source_groups"].push_back(
        {{"semantics", Text(group.semantics)}, {"ssrcs", List(group.ssrcs)}});
  }
}

json Media(const sdp::MediaSection& media) {
  json out = {{"media", Text(media.media())},
              {"port", media.port()},
              {"protocol", Text(media.protocol())},
              {"rejected", media.rejected()}};
  Put(out, "mid", media.mid());
  Flag(out, "bundle_only", media.bundle_only());
  if (const auto direction = media.direction()) {
    out["direction"] = Text(sdp::DirectionName(*direction));
  }
  PutBandwidths(out, media);
  if (media.is_rtp()) PutRtp(out, media);
  if (media.is_data_channel()) {
    json sctp = json::object();
    if (const auto port = media.sctp_port()) sctp["port"] = *port;
    if (const auto size = media.max_message_size()) {
      sctp["max_message_size"] = *size;
    }
    Flag(sctp, "legacy", media.is_legacy_data_channel());
    out["sctp"] = std::move(sctp);
  }
  PutIce(out, media);
  PutDtls(out, media);
  return out;
}

}  // namespace

std::string SdpJson(const sdp::Description& description,
                    const sdp::Findings& findings) {
  const sdp::Origin origin = description.origin();
  json out = {{"session_id", origin.session_id},
              {"session_version", origin.session_version},
              {"bytes", description.text().size()},
              {"sections", json::array()},
              {"findings", json::array()}};
  const sdp::Block session = description.session();
  for (const sdp::Group& group : session.All<sdp::Group>()) {
    out["groups"].push_back(
        {{"semantics", Text(group.semantics)}, {"mids", List(group.mids)}});
  }
  Flag(out, "extmap_allow_mixed",
       session.Has(AttributeType::kExtmapAllowMixed));
  PutBandwidths(out, session);
  PutIce(out, session);
  PutDtls(out, session);
  for (size_t i = 0; i < description.media_count(); ++i) {
    out["sections"].push_back(Media(description.media(i)));
  }
  for (const sdp::Finding& finding : findings.kept) {
    out["findings"].push_back(
        {{"line", finding.line},
         {"column", finding.column},
         {"code", Text(sdp::FindingCodeName(finding.code))},
         {"attribute", Text(sdp::AttributeName(finding.attribute))},
         {"message", Text(finding.message)},
         {"rule", Text(finding.rule)}});
  }
  if (findings.dropped > 0) out["findings_dropped"] = findings.dropped;
  return out.dump(2, ' ', true, json::error_handler_t::replace);
}

}  // namespace kyuu::tools
