// A whole worker on a fixed input in virtual time, for callgrind: a row's packets pass through one
// function, which tells it where to begin and where to end. Without an argument it prints the rows'
// names; with a name, how many packets passed.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "drivers/eal.hpp"
#include "drivers/pools.hpp"
#include "tests/bench/bed.hpp"
#include "tests/bench/generator.hpp"

namespace faultline {

using BudgetBed = Bed<GeneratorPort, BenchTime>;

constexpr std::uint32_t kBurst = 32;
constexpr std::uint64_t kSpacingNs = 100;      // 10 Mpps
constexpr std::uint32_t kWarmUpPolls = 1'500;  // 4.8 ms: all flows are known, delays have passed
constexpr std::uint32_t kPolls = 1'500;

/// Callgrind collects inside of this.
[[gnu::noinline]] void budget_window(BudgetBed& bed, BenchTime& time) {
  for (std::uint32_t poll = 0; poll < kPolls; ++poll) {
    time.advance(kBurst * kSpacingNs);
    bed.worker().poll();
  }
}

namespace {

struct Row {
  std::string name;
  std::string rules;
  std::uint32_t flows = 1;
};

std::vector<Row> rows() {
  return {
      {"pass-through", "{name: r, from: right, impair: [loss: 1%]}"},
      {"no match", "{name: r, match: {proto: tcp}, impair: [delay: 1ms]}"},
      {"no match, 4,096 flows", "{name: r, match: {proto: tcp}, impair: [delay: 1ms]}", 4'096},
      {"1 ms", "{name: r, from: left, impair: [delay: 1ms]}"},
      {"1 ms + 1 %, by arrival",
       "{name: r, from: left, draw: arrival, impair: [{loss: 1%}, {delay: 1ms}]}"},
      {"1 ms + 1 %, 4,096 flows", "{name: r, from: left, impair: [{loss: 1%}, {delay: 1ms}]}",
       4'096},
      {"0.5 to 1.5 ms, overtaking",
       "{name: r, from: left, impair: [delay: {time: 1ms, jitter: 500us, distribution: uniform, "
       "order: free}]}"},
      {"each its own, 4,096 flows",
       "{name: r, from: left, per: flow, impair: [{loss: {model: gilbert-elliott, p: 1%, r: 50%}}, "
       "{delay: {time: {draw: \"uniform(500us, 1500us)\", per: flow}}}]}",
       4'096},
      {"10 Gbit/s and CoDel",
       "{name: r, from: left, impair: [{rate: 10Gbit}, {queue: {limit: 1000p, discipline: "
       "codel}}]}"},
      {"corrupt, checksums fixed",
       "{name: r, from: left, impair: [{corrupt: {rate: 100%, where: payload, checksum: fix}}]}"},
      {"100 rules", {}, 4'096},
  };
}

std::string scenario_of(const Row& row) {
  std::string rules = row.rules;
  for (int number = 0; rules.empty() || (row.rules.empty() && number < 100); ++number)
    rules += fmt::format("{}{{name: r{}, match: {{proto: udp, dport: {}}}, impair: [loss: 1%]}}",
                         rules.empty() ? "" : ", ", number, 10'000 + number);
  return "version: 1\nrules: [" + rules + "]\n";
}

void run(const Row& row, rte_mempool* pool) {
  GeneratorPort left({row.flows, {60}, 0}, pool);
  GeneratorPort right({1, {60}, 0}, pool);
  right.turn(false);
  BenchTime time;
  BudgetBed bed(scenario_of(row), {.rx_burst = kBurst, .hold_bytes = std::uint64_t{64} << 20},
                {&left, &right}, time, pool);
  for (std::uint32_t poll = 0; poll < kWarmUpPolls; ++poll) {
    time.advance(kBurst * kSpacingNs);
    bed.worker().poll();
  }
  const std::uint64_t before = left.received();
  budget_window(bed, time);
  fmt::print("{}\n", left.received() - before);
  bed.end();
}

}  // namespace
}  // namespace faultline

int main(int count, char** words) {
  using namespace faultline;
  if (count < 2) {
    for (const Row& row : rows()) fmt::print("{}\n", row.name);
    return 0;
  }
  const std::vector<Row> all = rows();
  const auto row = std::ranges::find(all, words[1], &Row::name);
  if (row == all.end() || !start_eal({.memory_mb = 256}))
    return 1;
  const Result<rte_mempool*> pool = make_pool("bench", 16'383, 1'536, SOCKET_ID_ANY);
  if (!pool)
    return 1;
  run(*row, *pool);
  stop_eal();
  return 0;
}
