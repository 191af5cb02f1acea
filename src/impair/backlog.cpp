// The pool behind all queues of a worker.
#include "impair/backlog.hpp"

#include <sys/mman.h>

#include <algorithm>

#include "base/check.hpp"

namespace faultline {

BacklogPool::BacklogPool(std::uint64_t packets_max) {
  capacity_ = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(packets_max, 1, 1U << 30));
  void* memory = mmap(nullptr, std::uint64_t{capacity_} * sizeof(Node), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FAULTLINE_CHECK(memory != MAP_FAILED);
  nodes_ = static_cast<Node*>(memory);
}

BacklogPool::~BacklogPool() {
  munmap(nodes_, std::uint64_t{capacity_} * sizeof(Node));
}

bool BacklogPool::push(BacklogList& list, std::uint64_t departure_ns,
                       std::uint32_t bytes) noexcept {
  std::uint32_t place = free_;
  if (place != 0)
    free_ = nodes_[place - 1].next;
  else if (used_ < capacity_)
    place = ++used_;
  else
    return false;
  nodes_[place - 1] = {departure_ns, bytes, 0};
  if (list.head == 0)
    list.head = place;
  else
    nodes_[list.tail - 1].next = place;
  list.tail = place;
  ++list.packets;
  list.bytes += bytes;
  return true;
}

void BacklogPool::drop_head(BacklogList& list) noexcept {
  Node& node = nodes_[list.head - 1];
  const std::uint32_t next = node.next;
  --list.packets;
  list.bytes -= node.bytes;
  node.next = free_;
  free_ = list.head;
  list.head = next;
  if (next == 0)
    list.tail = 0;
}

}  // namespace faultline
