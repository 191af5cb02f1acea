// Slots, the one that is open, and the heap of what came too late for it.
#include "dataplane/release_wheel.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kNoSlot = UINT64_MAX;

template <typename T>
T* reserve(std::uint64_t count) {
  void* memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FAULTLINE_CHECK(memory != MAP_FAILED);
  return static_cast<T*>(memory);
}

template <typename T>
void release(T* memory, std::uint64_t count) {
  munmap(memory, count * sizeof(T));
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
    : memory_(memory), order_(order), packets_max_(packets_max) {
  // A slot has at most one block that is not full.
  blocks_max_ = packets_max / kBlockEntries + std::uint64_t{kLevels} * kSlots + 2;
  levels_ = reserve<Level>(kLevels);
  blocks_ = reserve<Block>(blocks_max_);
  gathered_ = reserve<Entry>(packets_max);
  sorted_ = reserve<Entry>(packets_max);
  late_ = reserve<Due>(packets_max);
  first_ns_.fill(kNoSlot);
}

ReleaseWheel::~ReleaseWheel() {
  release(levels_, kLevels);
  release(blocks_, blocks_max_);
  release(gathered_, packets_max_);
  release(sorted_, packets_max_);
  release(late_, packets_max_);
}

void ReleaseWheel::push(const HeldKey& key, std::uint64_t place) noexcept {
  const std::uint64_t release_ns = key.release_ns;
  if (packets_++ == 0)
    base_ns_ = open_begin_ns_ = open_end_ns_ = key.arrival_ns;
  bool front_changes = false;
  if (release_ns < open_begin_ns_ && release_ns >= base_ns_ &&
      sorted_end_ - next_ + late_count_ <= credit_) [[unlikely]] {
    close_open();
    front_changes = true;
  }
  ++credit_;
  if (release_ns < open_end_ns_ || order_.flushed(key)) {
    put_late(release_ns, place);
    front_changes = true;
  } else {
    put(release_ns, place);
  }
  if (nothing_due())
    open_next();
  else if (front_changes)
    choose_front();
}

/// What pop() does where the next one is not simply the next in the open slot.
void ReleaseWheel::go_on() noexcept {
  if (front_is_late_)
    std::pop_heap(late_, late_ + late_count_--, later());
  if (!nothing_due())
    choose_front();
  else if (packets_ > 0)
    open_next();
}

void ReleaseWheel::choose_front() noexcept {
  front_is_late_ =
      next_ == sorted_end_ || (late_count_ > 0 && leaves_later(due(sorted_[next_]), late_[0]));
  front_ = front_is_late_ ? late_[0] : due(sorted_[next_]);
}

std::uint32_t ReleaseWheel::take_block() noexcept {
  if (free_block_ == 0)
    return ++blocks_used_;
  return std::exchange(free_block_, block(free_block_).next);
}

/// One more for the slot, which has none, or none that is not full.
void ReleaseWheel::add_block(std::uint32_t which, std::uint64_t slot) noexcept {
  Level& level = levels_[which];
  const std::uint64_t index = slot % kSlots;
  const std::uint32_t taken = take_block();
  const std::uint32_t before = std::exchange(level.slots[index], taken);
  block(taken).next = before;
  block(taken).count = before != 0 ? block(before).count : 0;
  if (before != 0)
    return;
  mark(level.used, index);
  mark(level.words, index / 64);
  first_ns_[which] = std::min(first_ns_[which], slot << kShift[which]);
}

void ReleaseWheel::push_near(const Batch& batch) noexcept {
  std::uint32_t* slots = levels_[0].slots;
  for (std::uint32_t i = 0; i < batch.count_; ++i)
    __builtin_prefetch(&blocks_[slots[batch.slots_[i] % kSlots]], 1);
  for (std::uint32_t i = 0; i < batch.count_; ++i) put_in(0, batch.slots_[i], batch.entries_[i]);
  packets_ += batch.count_;
  credit_ += batch.count_;
}

void ReleaseWheel::put_late(std::uint64_t release_ns, std::uint64_t place) noexcept {
  late_[late_count_++] = {release_ns, place};
  std::push_heap(late_, late_ + late_count_, later());
}

bool ReleaseWheel::leaves_later(const Due& left, const Due& right) const noexcept {
  if (!order_.flushing && left.release_ns != right.release_ns) [[likely]]
    return left.release_ns > right.release_ns;
  return order_.before(key_at(right.place), key_at(left.place));
}

/// Of two entries of the open slot.
bool ReleaseWheel::entry_before(Entry left, Entry right) const noexcept {
  if ((left & kOffsets) != (right & kOffsets)) [[likely]]
    return (left & kOffsets) < (right & kOffsets);
  return LeavingOrder::key_before(key_at(place_of(left)), key_at(place_of(right)));
}

/// The block of a slot that is empty from now on.
std::uint32_t ReleaseWheel::take_slot(std::uint32_t which, std::uint64_t index) noexcept {
  Level& level = levels_[which];
  if (unmark(level.used, index))
    unmark(level.words, index / 64);
  const std::uint64_t base = base_ns_ >> kShift[which];
  std::uint64_t next = next_used(which, base % kSlots);
  if (next == kNoSlot)
    next = next_used(which, 0);
  first_ns_[which] = next == kNoSlot ? kNoSlot : (base + (next - base) % kSlots) << kShift[which];
  return std::exchange(level.slots[index], 0);
}

/// The first slot in use from `index` on.
std::uint64_t ReleaseWheel::next_used(std::uint32_t which, std::uint64_t index) const noexcept {
  const Level& level = levels_[which];
  if (const std::uint64_t slot = marked_from(level.used, index); slot != kNoSlot)
    return slot;
  for (std::uint64_t word = index / 64 + 1; word < kSlots / 64; word = (word / 64 + 1) * 64)
    if (const std::uint64_t found = marked_from(level.words, word); found != kNoSlot)
      return marked_from(level.used, found * 64);
  return kNoSlot;
}

/// Visits the entries of a slot, the last one first, and empties it.
template <typename Visit>
void ReleaseWheel::empty_slot(std::uint32_t which, std::uint64_t index,
                              const Visit& visit) noexcept {
  std::uint32_t number = take_slot(which, index);
  ahead_ = 0;
  while (number != 0) {
    Block& emptied = block(number);
    for (std::uint32_t left = (emptied.count - 1) % kBlockEntries + 1; left-- > 0;)
      visit(emptied.entries[left]);
    const std::uint32_t next = std::exchange(emptied.next, free_block_);
    free_block_ = number;
    number = next;
  }
}

/// The level whose first slot comes first; of several the coarsest, whose packets may be before
/// those of the others.
std::uint32_t ReleaseWheel::first_level() const noexcept {
  std::uint32_t first = 0;
  for (std::uint32_t which = 1; which < kLevels; ++which)
    if (first_ns_[which] <= first_ns_[first] && first_ns_[which] != kNoSlot)
      first = which;
  return first;
}

std::uint64_t ReleaseWheel::release_of(std::uint32_t which, std::uint64_t begin_ns,
                                       Entry entry) const noexcept {
  return kUnit[which] == 0 ? begin_ns + (entry & kOffsets) : at(place_of(entry)).release_ns;
}

/// Sorts the first slot, so that its packets are at hand. Those of a coarse one go to finer slots
/// before, or, where it is still too far ahead for these, into the heap.
void ReleaseWheel::open_next() noexcept {
  for (;;) {
    const std::uint32_t which = first_level();
    const std::uint64_t begin_ns = first_ns_[which];
    const std::uint64_t last_ns = begin_ns | ((std::uint64_t{1} << kShift[which]) - 1);
    const std::uint64_t index = (begin_ns >> kShift[which]) % kSlots;
    if (which > 0 && level_of(last_ns) < which) {
      empty_slot(which, index, [&](Entry entry) noexcept {
        put(release_of(which, begin_ns, entry), place_of(entry));
      });
      continue;
    }
    open_begin_ns_ = begin_ns;
    open_end_ns_ = last_ns + 1;
    next_ = sorted_end_ = 0;
    if (which == 0) {
      sorted_end_ = block(levels_[0].slots[index]).count;
      std::uint64_t left = sorted_end_;
      empty_slot(0, index, [&](Entry entry) noexcept {
        fetch(entry);
        gathered_[--left] = entry;
      });
      sort_open();
    } else {
      for (std::uint32_t up_to = 0; up_to <= which; ++up_to) move_to_heap(up_to, last_ns);
      std::make_heap(late_, late_ + late_count_, later());
    }
    choose_front();
    ahead_ = first_ns_[0] != kNoSlot ? levels_[0].slots[(first_ns_[0] >> kShift[0]) % kSlots] : 0;
    __builtin_prefetch(&blocks_[ahead_]);
    return;
  }
}

/// What is in slots that begin by `until_ns`. The heap is none any more.
void ReleaseWheel::move_to_heap(std::uint32_t which, std::uint64_t until_ns) noexcept {
  while (first_ns_[which] <= until_ns && first_ns_[which] != kNoSlot) {
    const std::uint64_t begin_ns = first_ns_[which];
    empty_slot(which, (begin_ns >> kShift[which]) % kSlots, [&](Entry entry) noexcept {
      late_[late_count_++] = {release_of(which, begin_ns, entry), place_of(entry)};
    });
  }
}

/// From gathered_ into sorted_: into 64 parts of the slot, then each packet to its place in its
/// part.
void ReleaseWheel::sort_open() noexcept {
  constexpr std::uint32_t kParts = 64;
  constexpr std::uint32_t kPartShift = kShift[0] - 6;
  constexpr std::uint64_t kFew = 6;
  constexpr std::uint64_t kManyInAPart = 64;
  const std::uint64_t count = sorted_end_;
  if (count <= kFew) {
    std::copy(gathered_, gathered_ + count, sorted_);
    insert_open();
    return;
  }
  std::array<std::uint32_t, kParts> ends{};
  for (std::uint64_t i = 0; i < count; ++i) ++ends[(gathered_[i] & kOffsets) >> kPartShift];
  std::uint32_t most = 0;
  std::uint32_t begin = 0;
  for (std::uint32_t& end : ends) {
    most = std::max(most, end);
    begin += std::exchange(end, begin);
  }
  for (std::uint64_t i = 0; i < count; ++i)
    sorted_[ends[(gathered_[i] & kOffsets) >> kPartShift]++] = gathered_[i];
  if (most > kManyInAPart)
    std::sort(sorted_, sorted_ + count,
              [this](Entry left, Entry right) { return entry_before(left, right); });
  else
    insert_open();
}

void ReleaseWheel::insert_open() noexcept {
  for (std::uint64_t i = 1; i < sorted_end_; ++i) {
    const Entry entry = sorted_[i];
    std::uint64_t to = i;
    for (; to > 0 && entry_before(entry, sorted_[to - 1]); --to) sorted_[to] = sorted_[to - 1];
    sorted_[to] = entry;
  }
}

/// The packets at hand go back to their slots, but those that are before all slots.
void ReleaseWheel::close_open() noexcept {
  for (; next_ < sorted_end_; ++next_) {
    const Due waits = due(sorted_[next_]);
    put(waits.release_ns, waits.place);
  }
  next_ = sorted_end_ = 0;
  std::uint64_t kept = 0;
  for (std::uint64_t at = 0; at < late_count_; ++at) {
    if (late_[at].release_ns < base_ns_ || order_.flushed(key_at(late_[at].place)))
      late_[kept++] = late_[at];
    else
      put(late_[at].release_ns, late_[at].place);
  }
  late_count_ = kept;
  std::make_heap(late_, late_ + late_count_, later());
  open_begin_ns_ = open_end_ns_ = base_ns_;
  credit_ = kReopenedMax;
}

void ReleaseWheel::begin_flush() noexcept {
  for (; next_ < sorted_end_; ++next_) late_[late_count_++] = due(sorted_[next_]);
  for (std::uint32_t which = 0; which < kLevels; ++which) move_to_heap(which, kNoSlot);
  close_open();
  if (packets_ > 0 && nothing_due())
    open_next();
  else if (packets_ > 0)
    choose_front();
}

}  // namespace faultline
