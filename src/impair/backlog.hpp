// Who is still in a queue: for each scope of a rate a list of departures, so that a limit in
// packets or bytes is counted and never derived from a clock. One pool a worker.
#pragma once

#include <cstdint>

namespace faultline {

/// A scope's queue. Stands first in the ScopeState of a model that has one (`holds_backlog`), so
/// that whoever forgets the scope can give it back. All zero: empty.
struct BacklogList {
  std::uint32_t head = 0;  ///< place in the pool, plus one; 0: empty
  std::uint32_t tail = 0;  ///< likewise
  std::uint32_t packets = 0;
  std::uint32_t spare = 0;  ///< for whoever owns the list
  std::uint64_t bytes = 0;
};

class BacklogPool {
 public:
  /// Room for at least `packets_max` packets of all scopes together. Memory is taken when first
  /// used.
  explicit BacklogPool(std::uint64_t packets_max);
  ~BacklogPool();
  BacklogPool(const BacklogPool&) = delete;
  BacklogPool& operator=(const BacklogPool&) = delete;

  /// Takes out of the list whoever has departed by `now_ns`.
  void depart(BacklogList& list, std::uint64_t now_ns) noexcept {
    while (list.head != 0 && nodes_[list.head - 1].departure_ns <= now_ns) drop_head(list);
  }
  /// Appends a packet; departures of a list never fall. False when the pool is empty.
  bool push(BacklogList& list, std::uint64_t departure_ns, std::uint32_t bytes) noexcept;
  /// Of the packet that leaves next; 0 when the list is empty.
  std::uint32_t head_bytes(const BacklogList& list) const noexcept {
    return list.head == 0 ? 0 : nodes_[list.head - 1].bytes;
  }
  /// Empties the list.
  void clear(BacklogList& list) noexcept {
    while (list.head != 0) drop_head(list);
  }

 private:
  struct Node {
    std::uint64_t departure_ns;
    std::uint32_t bytes;
    std::uint32_t next;  ///< place plus one; 0: the last
  };

  void drop_head(BacklogList& list) noexcept;

  Node* nodes_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t used_ = 0;  ///< nodes that were handed out at least once
  std::uint32_t free_ = 0;  ///< place plus one of the node given back last
};

}  // namespace faultline
