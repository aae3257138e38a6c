// TrainBuilder: gathers datagrams of one path into a train.

#ifndef KYUU_NET_TRAIN_BUILDER_H_
#define KYUU_NET_TRAIN_BUILDER_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/address.h"
#include "net/train.h"
#include "net/udp_socket.h"

namespace kyuu::net {

// TrainBuilder holds one train in the making: the one place that knows which
// datagrams may travel together. The kernel cuts a train into equal segments,
// of which only the last may be shorter; an empty datagram travels alone.
//
//   if (builder.Accepts(path, bytes)) builder.Continue(bytes);
//   else { socket.Send(builder.train()); builder.Begin(path, bytes); }
//   builder.Add(header);
//   builder.Add(payload);     // The pieces of those bytes, in order.
//
// Pieces are not copied and must outlive the train.
class TrainBuilder {
 public:
  // Whether a datagram of `bytes` may follow those that are here. False for a
  // builder without any.
  bool Accepts(const Path& path, size_t bytes,
               const IpMarks& marks = {}) const {
    return segments_ > 0 && !complete_ && bytes > 0 && bytes <= segment_size_ &&
           segments_ < UdpSocket::kMaxTrainSegments &&
           bytes_ + bytes <= UdpSocket::kMaxTrainBytes && path_ == path &&
           marks_ == marks;
  }
  // Forgets what is here and begins a train with a datagram of `bytes`.
  void Begin(const Path& path, size_t bytes, const IpMarks& marks = {}) {
    Clear();
    path_ = path;
    marks_ = marks;
    segment_size_ = bytes;
    Count(bytes);
  }
  // The next datagram of the train, for which Accepts() must hold.
  void Continue(size_t bytes) { Count(bytes); }
  // Adds a piece of the datagram that was begun last.
  void Add(absl::Span<const uint8_t> piece) {
    if (!piece.empty()) pieces_.push_back(Piece(piece));
  }
  void Clear() {
    pieces_.clear();
    segments_ = 0;
    bytes_ = 0;
    complete_ = false;
  }
  // Takes the first `segments` datagrams out, which have left one by one.
  void DropFront(size_t segments);

  bool empty() const { return segments_ == 0; }
  const Path& path() const { return path_; }
  size_t segments() const { return segments_; }
  // Views this builder until its next change.
  OutTrain train() const {
    return {path_, pieces_, segments_ > 1 ? segment_size_ : 0, marks_};
  }

 private:
  void Count(size_t bytes) {
    ++segments_;
    bytes_ += bytes;
    complete_ = bytes < segment_size_ || bytes == 0;
  }

  Path path_;
  IpMarks marks_;
  std::vector<iovec> pieces_;
  size_t segment_size_ = 0;
  size_t segments_ = 0;
  size_t bytes_ = 0;
  bool complete_ = false;  // Its last segment is shorter than the others.
};

}  // namespace kyuu::net

#endif  // KYUU_NET_TRAIN_BUILDER_H_
