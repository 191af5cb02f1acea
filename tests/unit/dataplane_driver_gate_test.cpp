// The gate between workers and drivers' own threads.
#include "dataplane/driver_gate.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace faultline {
namespace {

TEST(DataplaneDriverGate, NobodyIsInsideWhilePortsChange) {
  DriverGate gate;
  auto rings = std::make_unique<std::vector<int>>(64, 7);  // what a driver takes away
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> polls{0};
  std::vector<std::thread> workers;
  for (int worker = 0; worker < 2; ++worker)
    workers.emplace_back([&] {
      gate.enter();
      while (!stop.load()) {
        if (rings == nullptr || rings->at(63) != 7)
          std::abort();
        polls.fetch_add(1);
        gate.pass();
      }
      gate.leave();
    });
  for (int change = 0; change < 300; ++change) {
    gate.change_ports([&] {
      rings.reset();
      rings = std::make_unique<std::vector<int>>(64, 7);
    });
    const std::uint64_t before = polls.load();
    while (polls.load() == before) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& worker : workers) worker.join();
  bool changed = false;
  gate.change_ports([&] { changed = true; });
  EXPECT_TRUE(changed) << "with no worker nobody is waited for";
}

}  // namespace
}  // namespace faultline
