// Packets whose fate is decided when they are served: those in queues with head drop or CoDel,
// where what comes later decides too. A queue is a list of nodes; the packets' bytes are elsewhere,
// under a number that whoever stores them gives out. One pool a worker.
#pragma once

#include <cstdint>

namespace faultline {

struct CompiledImpairment;

enum class Verdict : std::uint8_t {
  kWaits,
  kSent,
  kMarked,  ///< sent with CE
  kDropped,
};

/// A scope's queue and the law that governs it. Stands first in the ScopeState of a served stage,
/// so that whoever forgets the scope can give it back. All zero: empty.
struct ServedQueue {
  std::uint32_t head = 0;  ///< place in the pool, plus one; 0: empty
  std::uint32_t tail = 0;  ///< likewise
  std::uint32_t undecided =
      0;  ///< likewise: the first node that waits; those before it are decided
  std::uint32_t packets : 30 = 0;  ///< that wait
  std::uint32_t timed : 1 = 0;     ///< when it is to be looked at has been laid down
  std::uint32_t chased : 1 = 0;    ///< likewise, that its head is to leave before that
  std::uint32_t bytes = 0;         ///< of them
  std::uint32_t epoch = 0;         ///< of the pool; an older one: the queue was emptied since
};

/// A queue that stands still until somebody opens it. Stands first in the ScopeState of a stage
/// that `shares_paths`: its packets leave when its rule ends.
struct GatedQueue {
  ServedQueue queue;
  std::uint64_t opens_ns = 0;  ///< 0: it is closed
};

class ServedPool {
 public:
  struct Node {
    std::uint64_t time_ns;                 ///< when the packet came to the stage
    std::uint64_t departure_ns;            ///< of a packet sent; when it was dropped
    const CompiledImpairment* impairment;  ///< by which it is served
    std::uint64_t generation;              ///< of the policy that keeps that alive
    std::uint32_t bytes;                   ///< or another measure of its stage's own
    std::uint32_t next;                    ///< place plus one; 0: the last
    std::uint32_t packet;                  ///< under which its bytes are stored; 0: nowhere yet
    Verdict verdict;
    std::uint8_t ecn;
  };

  /// Room for at least `packets_max` packets. Memory is taken when first used.
  explicit ServedPool(std::uint64_t packets_max);
  ~ServedPool();
  ServedPool(const ServedPool&) = delete;
  ServedPool& operator=(const ServedPool&) = delete;

  Node& node(std::uint32_t place) noexcept { return nodes_[place - 1]; }

  /// Looks at a queue: what was emptied meanwhile is empty.
  void meet(ServedQueue& queue) const noexcept {
    if (queue.epoch != epoch_)
      queue = ServedQueue{.epoch = epoch_};
  }
  /// Appends a packet that waits. Its place; 0 when the pool is empty.
  std::uint32_t push(ServedQueue& queue, std::uint64_t time_ns, std::uint32_t bytes,
                     std::uint8_t ecn, const CompiledImpairment& impairment) noexcept;
  /// The first packet that waits is decided. The queue must have one.
  Node& decide(ServedQueue& queue, Verdict verdict, std::uint64_t time_ns) noexcept;
  /// Takes the head out, decided or not. The queue must not be empty.
  Node take_head(ServedQueue& queue) noexcept;
  /// Moves from the head of one queue to the end of another what was dropped, or leaves by
  /// `now_ns`.
  void detach_due(ServedQueue& queue, std::uint64_t now_ns, ServedQueue& due) noexcept;
  /// Moves everything to the queue of those that nobody will serve: their scope was forgotten.
  void abandon(ServedQueue& queue) noexcept;
  ServedQueue& abandoned() noexcept { return abandoned_; }

  /// Empties all queues.
  void clear() noexcept;

  std::uint64_t packets() const noexcept { return packets_; }

 private:
  void free(std::uint32_t place) noexcept;
  void append(ServedQueue& queue, std::uint32_t place) noexcept;

  Node* nodes_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t used_ = 0;  ///< nodes that were handed out at least once
  std::uint32_t free_ = 0;  ///< place plus one of the node given back last
  std::uint32_t epoch_ = 1;
  std::uint64_t packets_ = 0;
  ServedQueue abandoned_;
};

}  // namespace faultline
