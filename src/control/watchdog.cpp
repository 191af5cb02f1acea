// DPDK's keepalive, for our numbering of workers: worker n is lcore n + 1 (drivers/eal.cpp).
#include "control/watchdog.hpp"

#include <rte_keepalive.h>

#include "base/check.hpp"

namespace faultline {
namespace {

void note(void* data, int lcore, rte_keepalive_state state, std::uint64_t) {
  auto& stalled = *static_cast<std::atomic<std::uint32_t>*>(data);
  const std::uint32_t bit = 1U << (lcore - 1);
  if (state == RTE_KA_STATE_DEAD || state == RTE_KA_STATE_GONE)
    stalled.fetch_or(bit, std::memory_order_relaxed);
  else
    stalled.fetch_and(~bit, std::memory_order_relaxed);
}

/// DPDK has no function to give it back, so there is one, for the process's whole life.
rte_keepalive* the_keepalive() {
  static rte_keepalive* keepalive = rte_keepalive_create(nullptr, nullptr);
  return keepalive;
}

}  // namespace

Watchdog::Watchdog(std::uint32_t workers) : keepalive_(the_keepalive()) {
  FAULTLINE_CHECK(keepalive_ != nullptr);
  rte_keepalive_register_relay_callback(keepalive_, note, &stalled_);
  for (std::uint32_t worker = 0; worker < workers; ++worker)
    rte_keepalive_register_core(keepalive_, static_cast<int>(worker + 1));
}

Watchdog::~Watchdog() {
  rte_keepalive_register_relay_callback(keepalive_, nullptr, nullptr);
}

void Watchdog::look() noexcept {
  rte_keepalive_dispatch_pings(nullptr, keepalive_);
}

}  // namespace faultline
