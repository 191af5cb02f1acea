// What each impairment costs a packet: a whole worker, from a port that makes 64-byte frames to one
// that frees them, in virtual time, with the impairment on every packet and on one in a hundred;
// less the same with a rule whose match no packet meets. Prints a table.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "drivers/eal.hpp"
#include "drivers/pools.hpp"
#include "tests/bench/bed.hpp"

namespace faultline {
namespace {

constexpr std::uint32_t kBurst = 32;
constexpr std::uint32_t kPolls = 8'192;
constexpr std::uint32_t kFlows = 64;
constexpr std::uint32_t kFrameBytes = 60;  // 64 with FCS
constexpr std::uint32_t kSequenceAt = 38;
constexpr std::uint32_t kPayloadBytes = kFrameBytes - 54;
constexpr std::uint64_t kSpacingNs = 100;  // 10 Mpps in virtual time
constexpr int kRounds = 5;

struct Row {
  std::string name;
  std::string always;     ///< items of `impair`, on every packet
  std::string sometimes;  ///< the same on one in a hundred; empty: it has no rate
  std::string rule;       ///< more keys of the rule
};

/// Of a link of 9 Gbit/s: 750 in each ms.
std::string opportunities() {
  std::string text;
  for (int line = 0; line < 750; ++line) text += "1\\n";
  return text;
}

std::vector<Row> rows() {
  std::vector<Row> all;
  const auto add = [&](std::string name, const std::string& item, std::string rule = {}) {
    const auto with = [&](const std::string& rate) {
      std::string text = item;
      if (const auto at = text.find("RATE"); at != std::string::npos)
        text.replace(at, 4, rate);
      return text;
    };
    const bool rated = item.find("RATE") != std::string::npos;
    all.push_back(
        {std::move(name), with("100%"), rated ? with("1%") : std::string{}, std::move(rule)});
  };
  add("loss bernoulli", "{loss: RATE}");
  add("loss gilbert-elliott", "{loss: {model: gilbert-elliott, p: 1%, r: 50%}}");
  add("loss every", "{loss: {model: every, n: 100}}");
  add("delay constant", "{delay: 1ms}");
  add("delay field (keep)", "{delay: {time: 1ms, jitter: 100us}}");
  add("delay free", "{delay: {time: 1ms, jitter: 100us, order: free}}");
  add("reorder early", "{delay: 1ms}, {reorder: {mode: early, rate: RATE}}");
  add("reorder late", "{reorder: {mode: late, rate: RATE, by: 10us}}");
  add("reorder late by 3p", "{reorder: {mode: late, rate: 1%, by: 3p}}");
  add("duplicate", "{duplicate: {rate: RATE}}");
  add("replay", "{replay: {rate: RATE, age: 10us}}");
  add("corrupt 1 bit keep", "{corrupt: {rate: RATE, checksum: keep}}");
  add("corrupt 1 bit fix", "{corrupt: {rate: RATE, where: payload, checksum: fix}}");
  add("corrupt ber", "{corrupt: {ber: 1e-6}}");
  add("truncate", "{truncate: {rate: RATE, to: 40B}}");
  add("mtu (passes)", "{mtu: {size: 1500B}}");
  add("set ttl, dscp", "{set: {rate: RATE, ttl: 9, dscp: 46}}");
  add("set dst, dport", "{set: {rate: RATE, dst: 192.0.2.1, dport: 99}}");
  add("set vlan push", "{set: {rate: RATE, vlan: {push: 7}}}");
  add("tcp zero_window", "{tcp: {rate: RATE, zero_window: true}}");
  add("tcp clamp_mss (no SYN)", "{tcp: {clamp_mss: 1000}}");
  add("tcp reset", "{tcp: {rate: RATE, reset: sender}}");
  add("icmp_unreachable", "{icmp_unreachable: {rate: RATE, code: host}}");
  add("reject", "{reject: {rate: RATE}}");
  add("mark_ce", "{mark_ce: RATE}");
  add("stop_after", "{stop_after: 1000000000}");
  add("rate", "{rate: 10Gbit}");
  add("rate per flow", "{rate: 1Gbit}", "per: flow, ");
  add("rate + CoDel", "{rate: 10Gbit}, {queue: {limit: 1000p, discipline: codel}}");
  add("rate + PIE", "{rate: 10Gbit}, {queue: {limit: 1000p, discipline: pie}}");
  add("rate + RED", "{rate: 10Gbit}, {queue: {limit: 1000p, discipline: red}}");
  add("rate + head drop", "{rate: 10Gbit}, {queue: {limit: 1000p, discipline: head}}");
  add("police", "{police: {rate: 10Gbit, burst: 10KB}}");
  add("slot", "{slot: {min: 10us, max: 10us}}");
  add("link_trace", "{link_trace: {file: inline, contents: \"" + opportunities() + "\"}}");
  add("inject 1 in 100", "{inject: {hex: \"" + std::string(120, '0') + "\", every: 10us}}");
  return all;
}

/// Makes TCP segments of some flows, and frees what is sent.
class BenchPort : public BenchSink {
 public:
  explicit BenchPort(rte_mempool* pool) : pool_(pool) {
    for (std::uint32_t flow = 0; flow < kFlows; ++flow) {
      test::Bytes frame =
          test::make(test::Ipv4Frame{.protocol = 6,
                                     .ports = {static_cast<std::uint16_t>(4'000 + flow), 80},
                                     .payload_bytes = kPayloadBytes});
      frame[15] = 2;   // ECT(0)
      frame[47] = 16;  // ACK
      std::copy(frame.begin(), frame.begin() + kFrameBytes, frames_[flow].begin());
    }
  }

  std::uint32_t receive(rte_mbuf** mbufs, std::uint32_t count) noexcept {
    if (!on_)
      return 0;
    count = std::min(count, kBurst);
    if (rte_pktmbuf_alloc_bulk(pool_, mbufs, count) != 0)
      return 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      auto* bytes = rte_pktmbuf_mtod(mbufs[i], std::uint8_t*);
      std::memcpy(bytes, frames_[next_ % kFlows].data(), kFrameBytes);
      const std::uint32_t sequence = __builtin_bswap32(next_++ / kFlows * kPayloadBytes);
      std::memcpy(bytes + kSequenceAt, &sequence, sizeof sequence);
      mbufs[i]->data_len = kFrameBytes;
      mbufs[i]->pkt_len = kFrameBytes;
    }
    received_ += count;
    return count;
  }
  void stamp(rte_mbuf**, std::uint32_t count, std::uint64_t now_ns,
             JudgedBurst& judged) const noexcept {
    for (std::uint32_t i = 0; i < count; ++i)
      judged.arrival_ns[i] = now_ns - (count - 1 - i) * kSpacingNs;
  }

 private:
  rte_mempool* pool_;
  std::array<std::array<std::uint8_t, kFrameBytes>, kFlows> frames_{};
  std::uint32_t next_ = 0;
};

/// A worker with one policy, fed from the left.
class Bench {
 public:
  Bench(const std::string& yaml, rte_mempool* pool)
      : left_(pool),
        right_(pool),
        bed_(yaml, {.rx_burst = kBurst, .hold_bytes = std::uint64_t{64} << 20}, {&left_, &right_},
             time_, pool) {
    right_.turn(false);
  }

  double ns_a_packet() {
    const std::uint64_t before = left_.received();
    const double begin_ns = used_ns();
    for (std::uint32_t poll = 0; poll < kPolls; ++poll) {
      time_.advance(kBurst * kSpacingNs);
      bed_.worker().poll();
    }
    return (used_ns() - begin_ns) / static_cast<double>(left_.received() - before);
  }

  void end() { bed_.end(); }

 private:
  BenchPort left_;
  BenchPort right_;
  BenchTime time_;
  Bed<BenchPort, BenchTime> bed_;
};

std::string scenario_of(const std::string& items, const std::string& rule) {
  return "version: 1\nrules:\n  - {name: r, from: left, " + rule + "impair: [" + items + "]}\n";
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void measure(const Row& row, rte_mempool* pool) {
  const std::string nothing = scenario_of("{loss: 1%}", "match: {proto: udp}, ");
  std::vector<double> base;
  std::vector<double> always;
  std::vector<double> sometimes;
  Bench none(nothing, pool);
  Bench all(scenario_of(row.always, "match: {proto: tcp}, " + row.rule), pool);
  Bench some(row.sometimes.empty() ? nothing
                                   : scenario_of(row.sometimes, "match: {proto: tcp}, " + row.rule),
             pool);
  for (int round = 0; round < kRounds + 1; ++round) {
    const double base_ns = none.ns_a_packet();
    const double always_ns = all.ns_a_packet();
    const double sometimes_ns = some.ns_a_packet();
    if (round == 0)
      continue;  // memory is touched for the first time
    base.push_back(base_ns);
    always.push_back(always_ns - base_ns);
    sometimes.push_back(sometimes_ns - base_ns);
  }
  none.end();
  all.end();
  some.end();
  const std::string rare =
      row.sometimes.empty() ? std::string("-") : fmt::format("{:.1f}", median(sometimes));
  fmt::print("{:22} {:10.1f} {:10.1f} {:>10}\n", row.name, median(base), median(always), rare);
  std::fflush(stdout);
}

}  // namespace
}  // namespace faultline

int main(int count, char** words) {
  using namespace faultline;
  if (const auto started = start_eal({.memory_mb = 256}); !started) {
    fmt::print(stderr, "DPDK did not start\n");
    return 1;
  }
  const Result<rte_mempool*> pool = make_pool("bench", 16'383, 1'536, SOCKET_ID_ANY);
  if (!pool)
    return 1;
  fmt::print("{:22} {:>10} {:>10} {:>10}\n", "", "base ns", "+ every", "+ 1 in 100");
  for (const Row& row : rows())
    if (count < 2 || row.name.find(words[1]) != std::string::npos)
      measure(row, *pool);
  stop_eal();
  return 0;
}
