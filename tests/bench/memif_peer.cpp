// Both ends of a wire whose middle is another program: sends stamped frames of many flows into one
// memif interface, takes what comes out of the other, and prints how many and how late as one JSON
// object.
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/tsc_clock.hpp"
#include "drivers/eal.hpp"
#include "drivers/pools.hpp"
#include "tests/bench/generator.hpp"
#include "tests/bench/words.hpp"

namespace faultline {
namespace {

constexpr std::string_view kUsage =
    "Usage: memif_peer --left SOCKET --right SOCKET [--rate PPS] [--seconds S] [--delay-ns NS]\n"
    "\n"
    "Sends 64-byte frames into --left (as many as it takes without --rate), takes them from\n"
    "--right. Two seconds at most are waited for the last ones. --delay-ns: what the middle is to\n"
    "take at least; frames that took less are counted as early.\n";
constexpr std::uint32_t kFrameBytes = 60;
constexpr std::uint32_t kStampAt = 42;
constexpr std::uint32_t kBurst = 32;
constexpr double kWarmUpS = 0.7;
constexpr std::uint64_t kLatenciesMax = 20'000'000;

[[noreturn]] void fail(std::string_view what) {
  fmt::print(stderr, "memif_peer: {}\n", what);
  std::exit(1);
}

/// An interface of ours at another program's socket; its port's number.
std::uint16_t open_interface(int number, const std::string& socket, rte_mempool* pool) {
  const std::string name = fmt::format("net_memif{}", number);
  const std::string arguments =
      fmt::format("role=client,socket={},socket-abstract=no,bsize=2048", socket);
  std::uint16_t port = 0;
  const rte_eth_conf settings{};
  if (rte_eal_hotplug_add("vdev", name.c_str(), arguments.c_str()) != 0 ||
      rte_eth_dev_get_port_by_name(name.c_str(), &port) != 0 ||
      rte_eth_dev_configure(port, 1, 1, &settings) != 0 ||
      rte_eth_rx_queue_setup(port, 0, 1'024, 0, nullptr, pool) != 0 ||
      rte_eth_tx_queue_setup(port, 0, 1'024, 0, nullptr) != 0 || rte_eth_dev_start(port) != 0)
    fail(fmt::format("{} does not open", name));
  return port;
}

bool is_up(std::uint16_t port) {
  rte_eth_link link{};
  return rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

class Peer {
 public:
  Peer(std::uint16_t left, std::uint16_t right, rte_mempool* pool, std::uint64_t delay_ns)
      : left_(left), right_(right), generator_({65'536, {kFrameBytes}, 0}, pool) {
    clock_.calibrate(500'000'000);
    ns_per_tick_ = 1e9 / clock_.ticks_per_second();
    delay_ns_ = static_cast<double>(delay_ns);
    latencies_.reserve(kLatenciesMax);
  }

  /// For so long, at this rate; 0: as many as are taken.
  void run(double seconds, double rate) {
    const double ticks = clock_.ticks_per_second();
    const std::uint64_t end = __rdtsc() + static_cast<std::uint64_t>(seconds * ticks);
    const double gap = rate > 0 ? ticks / rate : 0;
    auto next = static_cast<double>(__rdtsc());
    for (std::uint64_t now = __rdtsc(); now < end; now = __rdtsc()) {
      if (rate == 0)
        send(kBurst);
      else if (static_cast<double>(now) >= next) {
        send(1);
        next += gap;
      }
      receive();
    }
  }
  /// What is still under way.
  void wait_for_rest() {
    const auto patience = static_cast<std::uint64_t>(2 * clock_.ticks_per_second());
    for (const std::uint64_t begin = __rdtsc(); received_ < sent_ && __rdtsc() - begin < patience;)
      receive();
  }
  void forget() noexcept {
    sent_ = received_ = early_ = 0;
    latencies_.clear();
  }

  std::uint64_t sent() const noexcept { return sent_; }
  std::uint64_t received() const noexcept { return received_; }
  std::uint64_t early() const noexcept { return early_; }
  /// ns, sorted.
  const std::vector<float>& latencies() {
    std::ranges::sort(latencies_);
    return latencies_;
  }

 private:
  void send(std::uint32_t count) noexcept {
    std::array<rte_mbuf*, kBurst> mbufs;
    if (generator_.receive(mbufs.data(), count) == 0)
      return;
    const std::uint64_t stamp = __rdtsc();
    for (std::uint32_t i = 0; i < count; ++i)
      std::memcpy(rte_pktmbuf_mtod_offset(mbufs[i], std::uint8_t*, kStampAt), &stamp, sizeof stamp);
    const std::uint32_t taken =
        rte_eth_tx_burst(left_, 0, mbufs.data(), static_cast<std::uint16_t>(count));
    sent_ += taken;
    rte_pktmbuf_free_bulk(&mbufs[taken], count - taken);
  }

  void receive() noexcept {
    std::array<rte_mbuf*, 2 * kBurst> mbufs;
    const std::uint32_t count = rte_eth_rx_burst(right_, 0, mbufs.data(), mbufs.size());
    if (count == 0)
      return;
    const std::uint64_t now = __rdtsc();
    for (std::uint32_t i = 0; i < count; ++i) {
      std::uint64_t stamp = 0;
      std::memcpy(&stamp, rte_pktmbuf_mtod_offset(mbufs[i], std::uint8_t*, kStampAt), sizeof stamp);
      const double took_ns = static_cast<double>(now - stamp) * ns_per_tick_;
      early_ += took_ns < delay_ns_ ? 1U : 0U;
      if (latencies_.size() < kLatenciesMax)
        latencies_.push_back(static_cast<float>(took_ns - delay_ns_));
    }
    received_ += count;
    rte_pktmbuf_free_bulk(mbufs.data(), count);
  }

  std::uint16_t left_;
  std::uint16_t right_;
  TscClock clock_;
  GeneratorPort generator_;
  double ns_per_tick_ = 0;
  double delay_ns_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t early_ = 0;
  std::vector<float> latencies_;  ///< beyond the delay asked for
};

void run(const Words& words) {
  const std::string* left_socket = words.find("--left");
  const std::string* right_socket = words.find("--right");
  if (left_socket == nullptr || right_socket == nullptr)
    words.refuse("--left and --right are needed");
  const Result<rte_mempool*> pool = make_pool("peer", 16'383, 1'536, SOCKET_ID_ANY);
  if (!pool)
    fail("no memory for packets");
  const std::uint16_t left = open_interface(0, *left_socket, *pool);
  const std::uint16_t right = open_interface(1, *right_socket, *pool);
  for (int tries = 0; !is_up(left) || !is_up(right); ++tries) {
    if (tries == 1'000)
      fail("the other side does not answer");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const double seconds = words.number("--seconds", 2);
  const double rate = words.number("--rate", 0);
  Peer peer(left, right, *pool, static_cast<std::uint64_t>(words.number("--delay-ns", 0)));
  peer.run(kWarmUpS, rate);
  peer.wait_for_rest();
  peer.forget();
  // So that what is under way at the begin and at the end is the same.
  if (rate == 0)
    peer.run(kWarmUpS, rate);
  const std::uint64_t before = peer.received();
  const std::uint64_t waited = waited_ns();
  const std::uint64_t begin_ns = monotonic_ns();
  peer.run(seconds, rate);
  const auto took_ns = static_cast<double>(monotonic_ns() - begin_ns);
  const auto during = static_cast<double>(peer.received() - before);
  const double waited_share = static_cast<double>(waited_ns() - waited) / took_ns;
  peer.wait_for_rest();
  const std::vector<float>& latencies = peer.latencies();
  const auto quantile = [&](double share) {
    return latencies.empty() ? 0.0F
                             : latencies[static_cast<std::size_t>(
                                   share * static_cast<double>(latencies.size() - 1))];
  };
  fmt::print(R"({{"pps": {:.0f}, "waited": {:.4f}, "sent": {}, "received": {}, "early": {}, )"
             R"("min_ns": {:.0f}, "p50_ns": {:.0f}, "p90_ns": {:.0f}, "p99_ns": {:.0f}, )"
             R"("max_ns": {:.0f}}})"
             "\n",
             during * 1e9 / took_ns, waited_share, peer.sent(), peer.received(), peer.early(),
             quantile(0), quantile(0.5), quantile(0.9), quantile(0.99), quantile(1));
}

}  // namespace
}  // namespace faultline

int main(int count, char** arguments) {
  using namespace faultline;
  const Words words(count, arguments, kUsage);
  if (const auto started = start_eal(
          {.main_core = allowed_cores().front(), .memory_mb = 256, .telemetry_prefix = ""});
      !started) {
    fmt::print(stderr, "DPDK did not start\n");
    return 1;
  }
  run(words);
  stop_eal();
  return 0;
}
