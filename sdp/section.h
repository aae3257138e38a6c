// The parts of a description: lines, the session level, and media sections.
//
// All of them are views into a Description: cheap to copy, and valid until it
// is assigned to or destroyed; a move of it takes them along.

#ifndef KYUU_SDP_SECTION_H_
#define KYUU_SDP_SECTION_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "sdp/attribute.h"
#include "sdp/internal/line_table.h"

namespace kyuu::sdp {

// Line is one line of a description, without its line end.
struct Line {
  char type = 0;            // 'a' of "a=mid:0".
  absl::string_view value;  // "mid:0".
  // For a= lines: what is known about the attribute, its name ("mid"), and
  // what follows the colon ("0"; empty for a flag such as "rtcp-mux").
  AttributeType attribute = AttributeType::kNone;
  absl::string_view attribute_name;
  absl::string_view attribute_value;
  size_t number = 0;  // Counted from 1.
};

template <typename T>
class TypedLines;

// Block is a run of lines: the session level, or one media section.
class Block {
 public:
  size_t line_count() const { return end_ - begin_; }
  // `index` must be less than line_count().
  Line line(size_t index) const;
  // That of the line, kNone if it is not an a= line: cheaper than line().
  AttributeType attribute(size_t index) const {
    return table_.attribute(begin_ + index);
  }

  // Get reads the first line of type T (Rtpmap, Simulcast, Bandwidth, ...) that
  // has the syntax of one; nullopt if none has.
  template <typename T>
  std::optional<T> Get() const;
  // All is a range of those lines, in order, read as it is walked:
  //
  //   for (const Extmap& map : media.All<Extmap>()) ...
  template <typename T>
  TypedLines<T> All() const;

  // Has is true if the block has at least one line of that attribute.
  bool Has(AttributeType attribute) const {
    return Find(begin_, attribute) != end_;
  }
  // Value is what follows the colon in the first line of that attribute;
  // nullopt without one, empty for a flag.
  std::optional<absl::string_view> Value(AttributeType attribute) const;
  // Values returns the value of every line of that attribute, in order.
  std::vector<absl::string_view> Values(AttributeType attribute) const;

  // RFC 8839 sections 5.4, 5.6.
  std::optional<absl::string_view> ice_ufrag() const;
  std::optional<absl::string_view> ice_pwd() const;
  // HasIceOption looks for one tag ("trickle", "ice2") in a=ice-options.
  bool HasIceOption(absl::string_view tag) const;
  // RFC 8839 section 5.5: the pacing wanted, in milliseconds.
  std::optional<uint32_t> ice_pacing_ms() const;
  // RFC 4145 section 4, as RFC 8842 uses it.
  std::optional<Setup> setup() const;
  // RFC 8842 section 4.
  std::optional<absl::string_view> tls_id() const;
  // RFC 8866 section 6.7; nullopt when the block says nothing.
  std::optional<Direction> direction() const;

 protected:
  friend class Description;
  template <typename T>
  friend class TypedLines;
  Block(internal::LineTable table, size_t begin, size_t end)
      : table_(table), begin_(begin), end_(end) {}

  // The first line of that kind at or behind `from`, an index of the table;
  // end_ without one.
  size_t Find(size_t from, AttributeType attribute) const;
  size_t Find(size_t from, char type) const;
  template <typename T>
  size_t FindTyped(size_t from) const {
    if constexpr (requires { T::kType; }) {
      return Find(from, T::kType);
    } else {
      return Find(from, T::kLine);
    }
  }
  // What follows the colon of an a= line, else what follows the '='.
  absl::string_view ValueAt(size_t index) const;

  internal::LineTable table_;
  size_t begin_;  // Indexes of its lines.
  size_t end_;
};

// MediaSection is an m= line and all that follows it, up to the next one.
class MediaSection : public Block {
 public:
  // The parts of `m=<media> <port>/<count> <proto> <fmt> ...` (RFC 8866
  // section 5.14).
  absl::string_view media() const;
  uint16_t port() const;
  // 1 unless the line says otherwise.
  uint32_t port_count() const;
  absl::string_view protocol() const;
  // All of the formats, separated by single blanks.
  absl::string_view formats() const;
  // True for media over RTP, secured or not.
  bool is_rtp() const;

  // RFC 5888 section 4.
  std::optional<absl::string_view> mid() const;
  // RFC 9143 section 6.
  bool bundle_only() const { return Has(AttributeType::kBundleOnly); }
  // Refused, or switched off: port 0, and not because a bundle provides the
  // address (RFC 3264 section 6, RFC 9143 section 6).
  bool rejected() const { return port() == 0 && !bundle_only(); }

  // True for data channels over SCTP (RFC 8841), in today's form
  // ("UDP/DTLS/SCTP webrtc-datachannel") or the one from before the RFC
  // ("DTLS/SCTP 5000" with a=sctpmap).
  bool is_data_channel() const;
  // True for the form from before the RFC.
  bool is_legacy_data_channel() const;
  // a=sctp-port (RFC 8841 section 5), else the port that sctpmap names, else
  // nullopt.
  std::optional<uint16_t> sctp_port() const;
  // a=max-message-size (RFC 8841 section 6). 0 means "any size".
  std::optional<uint64_t> max_message_size() const;
  // The number of streams from a=sctpmap, of the form from before the RFC.
  std::optional<uint16_t> sctpmap_streams() const;

 private:
  friend class Description;
  using Block::Block;
};

// TypedLines is the range that Block::All() returns.
template <typename T>
class TypedLines {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    Iterator(const Block& block, size_t index) : block_(block) {
      Settle(index);
    }
    const T& operator*() const { return *value_; }
    const T* operator->() const { return &*value_; }
    Iterator& operator++() {
      Settle(index_ + 1);
      return *this;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.index_ == b.index_;
    }

   private:
    // Goes on to the first line from `index` on that can be read.
    void Settle(size_t index) {
      value_.reset();
      for (index_ = block_.FindTyped<T>(index); index_ != block_.end_;
           index_ = block_.FindTyped<T>(index_ + 1)) {
        const auto parsed = T::Parse(block_.ValueAt(index_));
        if (!parsed.ok()) continue;
        value_ = *parsed;
        return;
      }
    }

    Block block_;
    size_t index_ = 0;
    std::optional<T> value_;
  };

  explicit TypedLines(const Block& block) : block_(block) {}
  Iterator begin() const { return Iterator(block_, block_.begin_); }
  Iterator end() const { return Iterator(block_, block_.end_); }

 private:
  Block block_;
};

template <typename T>
std::optional<T> Block::Get() const {
  for (const T& value : All<T>()) return value;
  return std::nullopt;
}

template <typename T>
TypedLines<T> Block::All() const {
  return TypedLines<T>(*this);
}

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_SECTION_H_
