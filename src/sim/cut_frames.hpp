// Frames that the data path carries otherwise than they were captured: cut by a snap length, they
// are carried at their length on the wire, so that lengths, rates and headers are right; longer
// than the hold takes, they are carried without their end. Remembers what each was for as long as
// it may still leave. What a frame means is not known here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace faultline {

/// How a frame came in. Lengths in bytes.
struct CutFrame {
  std::uint32_t captured_bytes = 0;
  std::uint32_t original_bytes = 0;  ///< on the wire
  std::uint32_t carried_bytes = 0;   ///< what the data path was given
  std::vector<std::byte> tail;       ///< what was captured beyond that
};

/// How a frame goes out.
struct LeavingFrame {
  std::uint32_t shown_bytes = 0;     ///< how many of the carried bytes are the capture's
  std::uint32_t original_bytes = 0;  ///< on the wire
  std::vector<std::byte> tail;       ///< what stands behind those
};

/// Memory: the batches of which a packet is held. What a batch put in and neither sent nor holds
/// was dropped, and that is told from the number of held packets before and after it.
class CutFrames {
 public:
  /// Packets may become several: what a batch sent and holds then says nothing about it, and it is
  /// remembered until nothing is held.
  void expect_copies() { copies_ = true; }
  /// Sequence numbers from this one on, newer than all before, belong to one batch.
  void begin(std::uint32_t first_sequence);
  /// The packet of this sequence number, of the batch begun, is a cut one.
  void add(std::uint32_t sequence, CutFrame frame);
  /// The batch has been judged, its last sequence number is before `next_sequence`, and `held`
  /// packets wait now.
  void end(std::uint32_t next_sequence, std::uint64_t held);

  /// A packet leaves with `length_bytes`, which an edit may have changed. To be told of every one.
  LeavingFrame leaves(std::uint32_t sequence, std::uint32_t length_bytes);

  std::size_t batches() const { return batches_.size(); }

 private:
  struct Batch {
    std::map<std::uint64_t, CutFrame> frames;  ///< by sequence number
    std::uint64_t end = 0;                     ///< its last sequence number is before this
    std::uint64_t waiting = 0;                 ///< packets, cut or not, that may still leave
  };

  std::uint64_t widen(std::uint32_t sequence) const;

  std::map<std::uint64_t, Batch> batches_;  ///< those with cut frames, by first sequence number
  bool open_ = false;                       ///< the last batch is still being judged
  std::uint64_t first_ = std::uint64_t{1} << 32;  ///< of the last batch; widened, like all within
  bool copies_ = false;
  std::uint64_t held_before_ = 0;
  std::uint64_t sent_of_older_ = 0;  ///< since begin()
};

}  // namespace faultline
