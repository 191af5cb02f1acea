// Cut frames by batch, and when to forget them.
#include "sim/cut_frames.hpp"

#include <algorithm>
#include <utility>

namespace faultline {
namespace {

/// The frame as it was captured, with what an edit did to its length done to both lengths.
LeavingFrame leaving(const CutFrame& frame, std::uint32_t length_bytes) {
  const std::uint32_t shown = std::min(frame.captured_bytes, frame.carried_bytes);
  if (length_bytes == frame.carried_bytes)
    return {shown, frame.original_bytes, frame.tail};
  const std::int64_t original =
      std::int64_t{frame.original_bytes} + length_bytes - frame.carried_bytes;
  return {std::min(shown, length_bytes),
          static_cast<std::uint32_t>(std::clamp<std::int64_t>(original, length_bytes, UINT32_MAX)),
          {}};
}

}  // namespace

/// 64 bits of a sequence number that wraps, from the last batch's first.
std::uint64_t CutFrames::widen(std::uint32_t sequence) const {
  const auto ahead = static_cast<std::int32_t>(sequence - static_cast<std::uint32_t>(first_));
  return first_ + static_cast<std::uint64_t>(std::int64_t{ahead});
}

void CutFrames::begin(std::uint32_t first_sequence) {
  first_ = widen(first_sequence);
  sent_of_older_ = 0;
  open_ = true;
}

void CutFrames::add(std::uint32_t sequence, CutFrame frame) {
  const std::uint64_t wide = widen(sequence);
  Batch& batch = batches_[first_];
  batch.frames.emplace_hint(batch.frames.end(), wide, std::move(frame));
}

void CutFrames::end(std::uint32_t next_sequence, std::uint64_t held) {
  const std::uint64_t waiting = held + sent_of_older_ - held_before_;
  held_before_ = held;
  open_ = false;
  if (held == 0) {
    batches_.clear();
  } else if (const auto batch = batches_.find(first_); batch != batches_.end()) {
    batch->second.end = widen(next_sequence);
    batch->second.waiting = waiting;
    if (waiting == 0 && !copies_)
      batches_.erase(batch);
  }
}

LeavingFrame CutFrames::leaves(std::uint32_t sequence, std::uint32_t length_bytes) {
  const std::uint64_t wide = widen(sequence);
  const bool older = !open_ || wide < first_;
  sent_of_older_ += older ? 1U : 0U;
  LeavingFrame frame{length_bytes, length_bytes, {}};
  auto batch = batches_.upper_bound(wide);
  if (batch == batches_.begin())
    return frame;
  --batch;
  const auto found = batch->second.frames.find(wide);
  if (found != batch->second.frames.end())
    frame = leaving(found->second, length_bytes);
  if (!copies_ && older && wide < batch->second.end && --batch->second.waiting == 0)
    batches_.erase(batch);
  return frame;
}

}  // namespace faultline
