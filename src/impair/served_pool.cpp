// The pool behind all served queues of a worker.
#include "impair/served_pool.hpp"

#include <sys/mman.h>

#include <algorithm>

#include "base/check.hpp"

namespace faultline {

ServedPool::ServedPool(std::uint64_t packets_max) {
  capacity_ = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(packets_max, 1, (1U << 30) - 1));
  void* memory = mmap(nullptr, std::uint64_t{capacity_} * sizeof(Node), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FAULTLINE_CHECK(memory != MAP_FAILED);
  nodes_ = static_cast<Node*>(memory);
}

ServedPool::~ServedPool() {
  munmap(nodes_, std::uint64_t{capacity_} * sizeof(Node));
}

std::uint32_t ServedPool::push(ServedQueue& queue, std::uint64_t time_ns, std::uint32_t bytes,
                               std::uint8_t ecn, const CompiledImpairment& impairment) noexcept {
  std::uint32_t place = free_;
  if (place != 0)
    free_ = node(place).next;
  else if (used_ < capacity_)
    place = ++used_;
  else
    return 0;
  node(place) = {time_ns, 0, &impairment, 0, bytes, 0, 0, Verdict::kWaits, ecn};
  append(queue, place);
  if (queue.undecided == 0)
    queue.undecided = place;
  ++queue.packets;
  queue.bytes += bytes;
  ++packets_;
  return place;
}

ServedPool::Node& ServedPool::decide(ServedQueue& queue, Verdict verdict,
                                     std::uint64_t time_ns) noexcept {
  Node& first = node(queue.undecided);
  first.verdict = verdict;
  first.departure_ns = time_ns;
  --queue.packets;
  queue.bytes -= first.bytes;
  queue.undecided = first.next;
  return first;
}

ServedPool::Node ServedPool::take_head(ServedQueue& queue) noexcept {
  const std::uint32_t place = queue.head;
  if (place == queue.undecided)
    decide(queue, Verdict::kWaits, 0);
  const Node taken = node(place);
  queue.head = taken.next;
  if (queue.head == 0)
    queue.tail = 0;
  free(place);
  return taken;
}

void ServedPool::append(ServedQueue& queue, std::uint32_t place) noexcept {
  node(place).next = 0;
  if (queue.head == 0)
    queue.head = place;
  else
    node(queue.tail).next = place;
  queue.tail = place;
}

void ServedPool::detach_due(ServedQueue& queue, std::uint64_t now_ns, ServedQueue& due) noexcept {
  while (queue.head != 0 && queue.head != queue.undecided) {
    const std::uint32_t place = queue.head;
    const Node& head = node(place);
    if (head.verdict != Verdict::kDropped && head.departure_ns > now_ns)
      return;
    queue.head = head.next;
    if (queue.head == 0)
      queue.tail = 0;
    append(due, place);
  }
}

void ServedPool::abandon(ServedQueue& queue) noexcept {
  meet(queue);
  if (queue.head == 0)
    return;
  if (abandoned_.head == 0)
    abandoned_.head = queue.head;
  else
    node(abandoned_.tail).next = queue.head;
  abandoned_.tail = queue.tail;
  queue = ServedQueue{.epoch = epoch_};
}

void ServedPool::clear() noexcept {
  ++epoch_;
  used_ = 0;
  free_ = 0;
  packets_ = 0;
  abandoned_ = {};
}

void ServedPool::free(std::uint32_t place) noexcept {
  node(place).next = free_;
  free_ = place;
  --packets_;
}

}  // namespace faultline
