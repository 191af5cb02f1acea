// Slots, and the heap of what is next.
#include "dataplane/release_wheel.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kNoSlot = UINT64_MAX;

void* reserve(std::uint64_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FAULTLINE_CHECK(memory != MAP_FAILED);
  return memory;
}

void mark(std::uint64_t* bits, std::uint64_t index) noexcept {
  bits[index / 64] |= std::uint64_t{1} << index % 64;
}

/// Whether the word is empty now.
bool unmark(std::uint64_t* bits, std::uint64_t index) noexcept {
  bits[index / 64] &= ~(std::uint64_t{1} << index % 64);
  return bits[index / 64] == 0;
}

/// The first bit set from `index` on in its own word; kNoSlot when there is none.
std::uint64_t marked_from(const std::uint64_t* bits, std::uint64_t index) noexcept {
  const std::uint64_t left = bits[index / 64] >> index % 64;
  return left != 0 ? index + static_cast<unsigned>(std::countr_zero(left)) : kNoSlot;
}

}  // namespace

ReleaseWheel::ReleaseWheel(std::byte* memory, std::uint64_t packets_max, const LeavingOrder& order)
    : memory_(memory), order_(order), due_bytes_(packets_max * sizeof(Due)) {
  levels_ = static_cast<Level*>(reserve(kLevels * sizeof(Level)));
  due_ = static_cast<Due*>(reserve(due_bytes_));
  first_ns_.fill(kNoSlot);
}

ReleaseWheel::~ReleaseWheel() {
  munmap(levels_, kLevels * sizeof(Level));
  munmap(due_, due_bytes_);
}

void ReleaseWheel::push(std::uint64_t place) noexcept {
  const HeldRecord& record = at(place).record;
  if (packets_++ == 0)
    base_ns_ = open_begin_ns_ = open_end_ns_ = record.key().arrival_ns;
  if (record.release_ns < open_begin_ns_ && record.release_ns >= base_ns_ && due_count_ <= credit_)
      [[unlikely]]
    close_open();
  ++credit_;
  if (record.release_ns < open_end_ns_ || order_.flushed(record.key()))
    put_due(place);
  else
    put(place);
  if (due_count_ == 0)
    open_next();
}

void ReleaseWheel::pop() noexcept {
  if (!order_.flushing || !order_.flushed(front_key())) [[likely]]
    base_ns_ = std::max(base_ns_, due_[0].release_ns);
  std::pop_heap(due_, due_ + due_count_, later());
  --due_count_;
  if (--packets_ > 0 && due_count_ == 0)
    open_next();
}

/// Into the slot of its release time, which is not before the base.
void ReleaseWheel::put(std::uint64_t place) noexcept {
  LooseRecord& packet = at(place);
  const std::uint64_t release_ns = packet.record.release_ns;
  const std::uint32_t which = level_of(release_ns);
  Level& level = levels_[which];
  const std::uint64_t slot = release_ns >> kShift[which];
  const std::uint64_t index = slot % kSlots;
  packet.next = std::exchange(level.slots[index], place + 1);
  mark(level.used, index);  // without asking whether it was: nobody could foretell that
  mark(level.words, index / 64);
  mark(level.blocks, index / 4'096);
  first_ns_[which] = std::min(first_ns_[which], slot << kShift[which]);
}

void ReleaseWheel::put_due(std::uint64_t place) noexcept {
  due_[due_count_++] = {at(place).record.release_ns, place};
  std::push_heap(due_, due_ + due_count_, later());
}

void ReleaseWheel::make_due() noexcept {
  std::make_heap(due_, due_ + due_count_, later());
}

bool ReleaseWheel::leaves_later(const Due& left, const Due& right) const noexcept {
  if (!order_.flushing && left.release_ns != right.release_ns) [[likely]]
    return left.release_ns > right.release_ns;
  return order_.before(key_at(right.place), key_at(left.place));
}

/// The first packet of a slot that is empty from now on.
std::uint64_t ReleaseWheel::take_slot(std::uint32_t which, std::uint64_t index) noexcept {
  Level& level = levels_[which];
  if (unmark(level.used, index) && unmark(level.words, index / 64))
    unmark(level.blocks, index / 4'096);
  const std::uint64_t first = std::exchange(level.slots[index], 0);
  const std::uint64_t base = base_ns_ >> kShift[which];
  std::uint64_t next = next_used(which, base % kSlots);
  if (next == kNoSlot)
    next = next_used(which, 0);
  first_ns_[which] = next == kNoSlot ? kNoSlot : (base + (next - base) % kSlots) << kShift[which];
  return first;
}

/// The first slot in use from `index` on.
std::uint64_t ReleaseWheel::next_used(std::uint32_t which, std::uint64_t index) const noexcept {
  const Level& level = levels_[which];
  if (const std::uint64_t slot = marked_from(level.used, index); slot != kNoSlot)
    return slot;
  std::uint64_t word = index / 64 + 1;
  word = word % 64 != 0 ? marked_from(level.words, word) : kNoSlot;
  if (word == kNoSlot) {
    std::uint64_t block = index / 4'096 + 1;
    std::uint64_t found = kNoSlot;
    while (block < kSlots / 4'096 && found == kNoSlot) {
      found = marked_from(level.blocks, block);
      block = (block / 64 + 1) * 64;
    }
    if (found == kNoSlot)
      return kNoSlot;
    word = marked_from(level.words, found * 64);
  }
  return marked_from(level.used, word * 64);
}

/// The packets of the first slot are at hand; those of a coarse one go to finer slots before.
void ReleaseWheel::open_next() noexcept {
  for (;;) {
    std::uint32_t which = first_ns_[0] < std::min(first_ns_[1], first_ns_[2]) ? 0 : kLevels - 1;
    while (which > 0 &&
           first_ns_[which] > *std::min_element(first_ns_.begin(), first_ns_.begin() + which))
      --which;
    const std::uint64_t begin_ns = first_ns_[which];
    const std::uint64_t last_ns = begin_ns | ((std::uint64_t{1} << kShift[which]) - 1);
    const bool opens = which == 0 || level_of(last_ns) >= which;
    std::uint64_t packet = take_slot(which, (begin_ns >> kShift[which]) % kSlots);
    while (packet != 0) {
      const std::uint64_t place = packet - 1;
      packet = at(place).next;
      __builtin_prefetch(memory_ + place + 64);
      if (opens)
        due_[due_count_++] = {at(place).record.release_ns, place};
      else
        put(place);
    }
    if (!opens)
      continue;
    if (due_count_ > 1)
      make_due();
    open_begin_ns_ = begin_ns;
    open_end_ns_ = last_ns + 1;
    look_ahead();
    return;
  }
}

/// Has what the next slots to be opened hold fetched: of the next one the second packet, whose
/// place its first one tells, and of the one behind it the first.
void ReleaseWheel::look_ahead() const noexcept {
  if (first_ns_[0] == kNoSlot)
    return;
  const Level& level = levels_[0];
  const std::uint64_t next = (first_ns_[0] >> kShift[0]) % kSlots;
  const std::uint64_t second = at(level.slots[next] - 1).next;
  __builtin_prefetch(memory_ + (second != 0 ? second - 1 : 0));
  const std::uint64_t behind = next + 1 < kSlots ? next_used(0, next + 1) : kNoSlot;
  if (behind != kNoSlot)
    __builtin_prefetch(memory_ + level.slots[behind] - 1);
}

/// The packets at hand go back to their slots, but those that are before all slots.
void ReleaseWheel::close_open() noexcept {
  std::uint64_t kept = 0;
  for (std::uint64_t at = 0; at < due_count_; ++at) {
    if (due_[at].release_ns < base_ns_ || order_.flushed(key_at(due_[at].place)))
      due_[kept++] = due_[at];
    else
      put(due_[at].place);
  }
  due_count_ = kept;
  make_due();
  open_begin_ns_ = open_end_ns_ = base_ns_;
  credit_ = kReopenedMax;
}

void ReleaseWheel::begin_flush() noexcept {
  std::uint64_t others = 0;
  for (std::uint32_t which = 0; which < kLevels; ++which)
    while (first_ns_[which] != kNoSlot) {
      std::uint64_t packet = take_slot(which, (first_ns_[which] >> kShift[which]) % kSlots);
      while (packet != 0) {
        const std::uint64_t place = packet - 1;
        packet = at(place).next;
        if (order_.flushed(key_at(place))) {
          due_[due_count_++] = {at(place).record.release_ns, place};
        } else {
          at(place).next = others;
          others = place + 1;
        }
      }
    }
  while (others != 0) {
    const std::uint64_t place = others - 1;
    others = at(place).next;
    put(place);
  }
  make_due();
}

}  // namespace faultline
