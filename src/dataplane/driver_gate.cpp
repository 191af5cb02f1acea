// Waiting at the gate between workers and drivers.
#include "dataplane/driver_gate.hpp"

#include <sched.h>

namespace faultline {

DriverGate& DriverGate::instance() noexcept {
  static DriverGate gate;
  return gate;
}

// In both of these a thread says what it does and then looks what the other one said: in one order
// for all (seq_cst), so that one of them sees the other.

void DriverGate::enter() noexcept {
  for (;;) {
    inside_.fetch_add(1, std::memory_order_seq_cst);
    if (!closed_.load(std::memory_order_seq_cst))
      return;
    leave();
    while (closed_.load(std::memory_order_acquire)) sched_yield();
  }
}

void DriverGate::close() noexcept {
  closed_.store(true, std::memory_order_seq_cst);
  while (inside_.load(std::memory_order_seq_cst) != 0) sched_yield();
}

}  // namespace faultline
