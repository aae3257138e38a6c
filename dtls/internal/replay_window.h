// Which sequence numbers were received (RFC 6347 section 4.1.2.6).

#ifndef KYUU_DTLS_INTERNAL_REPLAY_WINDOW_H_
#define KYUU_DTLS_INTERNAL_REPLAY_WINDOW_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace kyuu::dtls::internal {

// ReplayWindow remembers the records that were authentic. As in RFC 6479 it is
// a ring of words, so that moving it ahead clears words and shifts nothing.
class ReplayWindow {
 public:
  // How far behind the newest record another one is still taken. RFC 6347 asks
  // for 32 and advises 64; a path that delays some packets by 10 ms has over
  // 1000 records of 1200 bytes in that time at 1 Gbit/s.
  static constexpr uint64_t kRecords = 2048;

  enum class Verdict : uint8_t { kNew, kSeen, kOld };

  // Whether the record `sequence` may be opened. It is noted only by Add, once
  // it was found authentic: who forges one must not move the window.
  Verdict Check(uint64_t sequence) const {
    if (sequence >= end_) return Verdict::kNew;
    if (end_ - sequence > kRecords) return Verdict::kOld;
    return (words_[WordOf(sequence)] & BitOf(sequence)) != 0 ? Verdict::kSeen
                                                             : Verdict::kNew;
  }

  // Notes a record for which Check said kNew.
  void Add(uint64_t sequence) {
    if (sequence >= end_) {
      // Word numbers before they are taken around the ring. The word of the
      // newest record is in use already, unless there is none.
      const uint64_t newest = sequence / kWordBits;
      const uint64_t fresh =
          std::min(newest - (end_ == 0 ? 0 : (end_ - 1) / kWordBits),
                   static_cast<uint64_t>(kWords));
      for (uint64_t i = 0; i < fresh; ++i) words_[(newest - i) % kWords] = 0;
      end_ = sequence + 1;
    }
    words_[WordOf(sequence)] |= BitOf(sequence);
  }

 private:
  static constexpr uint64_t kWordBits = 64;
  // One word more than the window, since its oldest word is used in part.
  static constexpr size_t kWords = kRecords / kWordBits + 1;

  static size_t WordOf(uint64_t sequence) {
    return static_cast<size_t>(sequence / kWordBits % kWords);
  }
  static uint64_t BitOf(uint64_t sequence) {
    return uint64_t{1} << (sequence % kWordBits);
  }

  uint64_t end_ = 0;  // The newest sequence number, and one.
  std::array<uint64_t, kWords> words_{};
};

}  // namespace kyuu::dtls::internal

#endif  // KYUU_DTLS_INTERNAL_REPLAY_WINDOW_H_
