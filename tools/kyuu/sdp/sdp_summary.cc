#include "tools/kyuu/sdp/sdp_summary.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "sdp/codecs.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/sdp/sdp_facts.h"

namespace kyuu::tools {
namespace {

using sdp::AttributeType;

// Lines of text. Whatever is said in them comes from strangers.
class Page {
 public:
  // Nothing is written where there is nothing to say.
  void Line(int indent, absl::string_view text) {
    if (text.empty()) return;
    absl::StrAppend(&text_, std::string(2 * indent, ' '), PrintableLine(text),
                    "\n");
  }
  void Line(int indent, const std::vector<std::string>& parts) {
    Line(indent, absl::StrJoin(parts, ", "));
  }
  // A line that begins with its subject.
  void About(absl::string_view subject, const std::vector<std::string>& parts) {
    if (!parts.empty()) {
      Line(1, absl::StrCat(subject, ": ", absl::StrJoin(parts, ", ")));
    }
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

void WriteIce(const sdp::Block& block, Page& page) {
  std::vector<std::string> parts;
  if (const auto ufrag = block.ice_ufrag()) {
    parts.push_back(absl::StrCat("ufrag ", *ufrag));
  }
  const auto tags = IceTags(block);
  if (!tags.empty()) {
    parts.push_back(absl::StrCat("options ", absl::StrJoin(tags, " ")));
  }
  if (block.Has(AttributeType::kIceLite)) parts.emplace_back("lite");
  if (const auto pacing = block.ice_pacing_ms()) {
    parts.push_back(absl::StrCat("pacing ", *pacing, " ms"));
  }
  std::vector<std::string> kinds;
  for (const CandidateCount& candidates : CountCandidates(block)) {
    kinds.push_back(absl::StrCat(candidates.count, " ", candidates.kind));
  }
  if (!kinds.empty()) {
    parts.push_back(absl::StrCat("candidates ", absl::StrJoin(kinds, " + ")));
  }
  if (const auto remote = block.Get<sdp::RemoteCandidates>()) {
    parts.push_back(absl::StrCat("remote candidates ", remote->list));
  }
  if (block.Has(AttributeType::kEndOfCandidates)) {
    parts.emplace_back("end of candidates");
  }
  page.About("ICE", parts);
}

void WriteDtls(const sdp::Block& block, Page& page) {
  std::vector<std::string> parts;
  if (const auto setup = block.setup()) {
    parts.push_back(absl::StrCat("setup ", sdp::SetupName(*setup)));
  }
  for (const auto& print : block.All<sdp::FingerprintText>()) {
    parts.push_back(
        absl::StrCat("fingerprint ", print.hash_function, " ", print.digest));
  }
  if (const auto id = block.tls_id()) {
    parts.push_back(absl::StrCat("tls-id ", *id));
  }
  if (block.Has(AttributeType::kIdentity)) {
    parts.emplace_back("identity assertion");
  }
  page.About("DTLS", parts);
}

void WriteBandwidths(const sdp::Block& block, Page& page) {
  std::vector<std::string> parts;
  for (const sdp::Bandwidth& bandwidth : block.All<sdp::Bandwidth>()) {
    parts.push_back(absl::StrCat(bandwidth.type, " ", bandwidth.value));
  }
  page.About("bandwidth", parts);
}

void WriteCodecs(const sdp::MediaSection& media, Page& page) {
  for (const sdp::Codec& codec : sdp::Codecs(media)) {
    std::string text = absl::StrCat(codec.payload_type, " ");
    if (codec.encoding.empty()) {
      absl::StrAppend(&text, "(nothing is said of it)");
    } else {
      absl::StrAppend(&text, codec.encoding, "/", codec.clock_rate);
    }
    if (codec.channels > 1) absl::StrAppend(&text, "/", codec.channels);
    if (!codec.parameters.empty()) {
      absl::StrAppend(&text, "  ", codec.parameters.text());
    }
    std::vector<std::string> feedback;
    for (const sdp::RtcpFeedback& each : codec.feedback) {
      feedback.push_back(FeedbackName(each));
    }
    if (!feedback.empty()) {
      absl::StrAppend(&text, "  feedback ", absl::StrJoin(feedback, ", "));
    }
    page.Line(2, text);
  }
}

std::string Streams(absl::string_view direction, const sdp::Pieces& streams) {
  if (streams.empty()) return "";
  std::vector<std::string> parts;
  for (const absl::string_view stream : streams) {
    std::vector<std::string> ids;
    for (const absl::string_view id : sdp::SimulcastAlternatives(stream)) {
      const sdp::SimulcastId read = sdp::ParseSimulcastId(id);
      ids.push_back(absl::StrCat(read.rid, read.paused ? " (paused)" : ""));
    }
    parts.push_back(absl::StrJoin(ids, " or "));
  }
  return absl::StrCat(direction, " ", absl::StrJoin(parts, ", "));
}

void WriteSimulcast(const sdp::MediaSection& media, Page& page) {
  for (const sdp::Rid& rid : media.All<sdp::Rid>()) {
    page.Line(1, absl::StrCat("rid ", rid.id, rid.send ? " send " : " recv ",
                              rid.restrictions.text()));
  }
  if (const auto simulcast = media.Get<sdp::Simulcast>()) {
    std::vector<std::string> parts;
    for (std::string& part :
         std::vector<std::string>{Streams("send", simulcast->send),
                                  Streams("recv", simulcast->recv)}) {
      if (!part.empty()) parts.push_back(std::move(part));
    }
    page.About("simulcast", parts);
  }
  for (const auto& image : media.All<sdp::ImageAttribute>()) {
    page.Line(
        1, absl::StrCat("images of ",
                        image.payload_type ? absl::StrCat(*image.payload_type)
                                           : "all formats",
                        ": send ", image.send.empty() ? "-" : image.send,
                        ", recv ", image.recv.empty() ? "-" : image.recv));
  }
}

void WriteSources(const sdp::MediaSection& media, Page& page) {
  for (const sdp::Msid& msid : media.All<sdp::Msid>()) {
    page.Line(1,
              absl::StrCat("stream ", msid.stream,
                           msid.track.empty() ? "" : ", track ", msid.track));
  }
  std::vector<std::string> sources;
  for (const sdp::Ssrc& ssrc : media.All<sdp::Ssrc>()) {
    if (ssrc.attribute == "cname") sources.push_back(absl::StrCat(ssrc.ssrc));
  }
  page.About("sources", sources);
  for (const sdp::SsrcGroup& group : media.All<sdp::SsrcGroup>()) {
    page.Line(1, absl::StrCat("source group ", group.semantics, " ",
                              group.ssrcs.text()));
  }
}

void WriteRtp(const sdp::MediaSection& media, Page& page) {
  std::vector<std::string> parts;
  if (media.Has(AttributeType::kRtcpMux)) parts.emplace_back("muxed");
  if (media.Has(AttributeType::kRtcpMuxOnly)) parts.emplace_back("muxed only");
  if (media.Has(AttributeType::kRtcpRsize)) parts.emplace_back("reduced size");
  if (const auto rtcp = media.Get<sdp::Rtcp>()) {
    parts.push_back(absl::StrCat("port ", rtcp->port));
  }
  for (const auto& feedback : media.All<sdp::RtcpFeedback>()) {
    if (!feedback.payload_type) parts.push_back(FeedbackName(feedback));
  }
  page.About("RTCP", parts);
  parts.clear();
  if (const auto ptime = media.Get<sdp::Ptime>()) {
    parts.push_back(absl::StrCat("packets of ", ptime->milliseconds, " ms"));
  }
  if (const auto ptime = media.Get<sdp::Maxptime>()) {
    parts.push_back(absl::StrCat("at most ", ptime->milliseconds, " ms"));
  }
  if (const auto rate = media.Get<sdp::Framerate>()) {
    parts.push_back(absl::StrCat(rate->frames_per_second, " frames/s"));
  }
  page.About("time", parts);
  page.Line(1, sdp::Codecs(media).empty() ? "" : "codecs");
  WriteCodecs(media, page);
  bool first = true;
  for (const sdp::Extmap& map : media.All<sdp::Extmap>()) {
    if (std::exchange(first, false)) page.Line(1, "header extensions");
    page.Line(2, absl::StrCat(
                     map.id, " ", map.uri, map.direction ? " " : "",
                     map.direction ? sdp::DirectionName(*map.direction) : ""));
  }
  WriteSimulcast(media, page);
  WriteSources(media, page);
}

void WriteSctp(const sdp::MediaSection& media, Page& page) {
  std::vector<std::string> parts;
  if (const auto port = media.sctp_port()) {
    parts.push_back(absl::StrCat("port ", *port));
  }
  if (const auto size = media.max_message_size()) {
    parts.push_back(
        *size == 0 ? "messages of any size"
                   : absl::StrCat("messages of at most ", *size, " bytes"));
  }
  if (const auto streams = media.sctpmap_streams()) {
    parts.push_back(absl::StrCat(*streams, " streams"));
  }
  if (media.is_legacy_data_channel()) {
    parts.emplace_back("in the form from before RFC 8841");
  }
  if (media.Has(AttributeType::kSctpInit)) parts.emplace_back("INIT told");
  page.About("SCTP", parts);
}

void WriteMedia(const sdp::MediaSection& media, size_t index, Page& page) {
  std::vector<std::string> parts = {absl::StrCat(index, ": ", media.media())};
  if (const auto mid = media.mid()) parts.push_back(absl::StrCat("mid ", *mid));
  if (const auto direction = media.direction()) {
    parts.emplace_back(sdp::DirectionName(*direction));
  }
  if (media.rejected()) {
    parts.emplace_back("rejected");
  } else if (media.port() == 0) {
    parts.emplace_back("bundle-only");
  }
  parts.push_back(absl::StrCat(media.protocol(), " port ", media.port()));
  page.Line(0, parts);
  if (const auto connection = media.Get<sdp::Connection>()) {
    page.About("address", {std::string(connection->address)});
  }
  WriteBandwidths(media, page);
  if (media.is_rtp()) WriteRtp(media, page);
  if (media.is_data_channel()) WriteSctp(media, page);
  WriteIce(media, page);
  WriteDtls(media, page);
}

}  // namespace

std::string SdpSummary(const sdp::Description& description) {
  Page page;
  const sdp::Block session = description.session();
  const sdp::Origin origin = description.origin();
  page.Line(0, {absl::StrCat("session ", origin.session_id),
                absl::StrCat("version ", origin.session_version),
                absl::StrCat("by ", origin.username, " at ", origin.address),
                absl::StrCat(
                    description.media_count(),
                    description.media_count() == 1 ? " section" : " sections"),
                absl::StrCat(description.text().size(), " bytes")});
  for (const sdp::Group& group : session.All<sdp::Group>()) {
    page.Line(1, absl::StrCat(group.semantics, " ", group.mids.text()));
  }
  if (session.Has(AttributeType::kExtmapAllowMixed)) {
    page.Line(1, "header extensions of both sizes may be mixed");
  }
  if (const auto semantic = session.Get<sdp::MsidSemantic>()) {
    page.Line(1, absl::StrCat("streams ", semantic->semantics, " ",
                              semantic->streams.text()));
  }
  WriteBandwidths(session, page);
  WriteIce(session, page);
  WriteDtls(session, page);
  for (size_t i = 0; i < description.media_count(); ++i) {
    WriteMedia(description.media(i), i, page);
  }
  return page.Take();
}

}  // namespace kyuu::tools
