// A whole worker in real time behind a generator of many flows, or the generator alone: receive and
// send, nothing between. Prints what was measured as one JSON object.
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/tsc_clock.hpp"
#include "dataplane/live_worker.hpp"
#include "drivers/eal.hpp"
#include "drivers/pools.hpp"
#include "record/capture_reader.hpp"
#include "record/journal_writer.hpp"
#include "tests/bench/bed.hpp"
#include "tests/bench/generator.hpp"
#include "tests/bench/words.hpp"

namespace faultline {
namespace {

constexpr std::string_view kUsage =
    "Usage: generator_bench [--rules YAML] [--flows N] [--size BYTES|imix] [--fresh SHARE]\n"
    "                       [--captures DIRECTORY] [--burst N] [--hold MB] [--warm-up S]\n"
    "                       [--seconds S] [--fill PACKETS] [--journal FILE]\n"
    "\n"
    "Without --rules there is no worker: the generator's packets are freed as they come.\n"
    "--size counts the FCS; imix is 64, 570 and 1,518 bytes, 7 : 4 : 1. --fresh: so many of the\n"
    "packets belong to flows not seen before. --captures: instead the Ethernet frames of all\n"
    "captures there, in a loop. With --fill time does not matter: it runs until so\n"
    "many packets were received, and says what memory the process took meanwhile. --journal:\n"
    "two workers in turns on one core, one of them with a journal, which a thread on the first\n"
    "core writes there; their rates are of the time that they had the core.\n";
constexpr std::uint32_t kFcsBytes = 4;
constexpr std::uint32_t kTurns = 256;  ///< between two looks at the clock

std::vector<std::uint32_t> sizes(const Words& words) {
  const std::string* size = words.find("--size");
  if (size != nullptr && *size == "imix") {
    std::vector<std::uint32_t> mix;
    for (const std::uint32_t bytes :
         {64U, 570U, 64U, 570U, 64U, 64U, 1'518U, 64U, 570U, 64U, 570U, 64U})
      mix.push_back(bytes - kFcsBytes);
    return mix;
  }
  const double bytes = words.number("--size", 64);
  if (bytes < 64 || bytes > 1'518)
    words.refuse("--size is imix or 64 … 1518");
  return {static_cast<std::uint32_t>(bytes) - kFcsBytes};
}

/// The frames of all captures of Ethernet in a directory, by file name, that fit into a buffer; of
/// one that is damaged those before the damage.
std::vector<test::Bytes> captured(const Words& words) {
  std::vector<test::Bytes> frames;
  const std::string* directory = words.find("--captures");
  if (directory == nullptr)
    return frames;
  std::set<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(*directory))
    files.insert(entry.path());
  for (const std::filesystem::path& file : files) {
    auto reader = CaptureReader::open(file);
    CapturedPacket packet;
    while (reader.has_value() && reader->next(packet).value_or(false)) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(packet.bytes.data());
      if (packet.bytes.size() >= 14 && packet.bytes.size() <= 1'514)
        frames.emplace_back(bytes, bytes + packet.bytes.size());
    }
  }
  if (frames.empty())
    words.refuse("--captures: no frame of Ethernet in there");
  return frames;
}

/// Bytes of the process in memory.
std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// Turns until `seconds` have passed.
template <typename Turn>
void repeat(const TscClock& clock, double seconds, const Turn& turn) {
  const std::uint64_t end_ns = clock.now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
  while (clock.now_ns() < end_ns)
    for (std::uint32_t turns = 0; turns < kTurns; ++turns) turn();
}

template <typename Turn>
void measure(const Words& words, const TscClock& clock, GeneratorPort& generator,
             const Turn& turn) {
  repeat(clock, words.number("--warm-up", 0.5), turn);
  const std::uint64_t before = generator.received();
  const std::uint64_t waited_before = waited_ns();
  const std::uint64_t begin_ns = clock.now_ns();
  repeat(clock, words.number("--seconds", 1), turn);
  const auto took_ns = static_cast<double>(clock.now_ns() - begin_ns);
  fmt::print(R"({{"pps": {:.0f}, "waited": {:.4f})",
             static_cast<double>(generator.received() - before) * 1e9 / took_ns,
             static_cast<double>(waited_ns() - waited_before) / took_ns);
}

/// A journal whose thread is on the first core, as the worker is on the last.
std::unique_ptr<JournalWriter> start_journal(const Words& words) {
  const std::string* path = words.find("--journal");
  if (path == nullptr)
    return nullptr;
  auto journal = JournalWriter::create(*path, 1);
  if (!journal)
    words.refuse("--journal: no such file can be made");
  cpu_set_t own;
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(allowed_cores().front(), &first);
  pthread_getaffinity_np(pthread_self(), sizeof own, &own);
  pthread_setaffinity_np(pthread_self(), sizeof first, &first);
  (*journal)->start();
  pthread_setaffinity_np(pthread_self(), sizeof own, &own);
  return std::move(*journal);
}

/// What got lost without having been asked for.
std::uint64_t own_drops(const Ledger& ledger) {
  std::uint64_t sum = 0;
  for (const DropReason reason :
       {DropReason::kOverflow, DropReason::kNoMbuf, DropReason::kTxFull, DropReason::kTxError})
    sum += ledger.dropped[static_cast<std::size_t>(reason)];
  return sum;
}

/// What this thread has had of its core.
std::uint64_t thread_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * kNsPerSecond +
         static_cast<std::uint64_t>(time.tv_nsec);
}

/// A worker behind a generator of its own.
struct Side {
  Side(const Words& words, TscTime& time, rte_mempool* pool)
      : left({static_cast<std::uint32_t>(words.number("--flows", 65'536)),
              sizes(words),
              words.number("--fresh", 0),
              {}},
             pool),
        right({1, {60}}, pool),
        bed(*words.find("--rules"),
            {.rx_burst = static_cast<std::uint32_t>(words.number("--burst", 32)),
             .hold_bytes = static_cast<std::uint64_t>(words.number("--hold", 1'024)) << 20},
            {&left, &right}, time, pool) {
    right.turn(false);
  }

  /// ns a packet, in which the first part of the turn does not count: caches are another's then.
  double take_turn(const TscClock& clock) {
    constexpr double kWarmUpS = 0.015;
    constexpr double kTurnS = 0.03;
    repeat(clock, kWarmUpS, [&] { bed.worker().poll(); });
    const std::uint64_t received = left.received();
    const std::uint64_t begin_ns = thread_ns();
    repeat(clock, kTurnS, [&] { bed.worker().poll(); });
    return static_cast<double>(thread_ns() - begin_ns) /
           static_cast<double>(left.received() - received);
  }

  GeneratorPort left;
  GeneratorPort right;
  Bed<GeneratorPort, TscTime> bed;
};

double median(std::vector<double> all) {
  std::ranges::sort(all);
  return all[all.size() / 2];
}

void compare_with_journal(const Words& words, TscTime& time, const TscClock& clock,
                          rte_mempool* pool) {
  Side plain(words, time, pool);
  Side watched(words, time, pool);
  const std::unique_ptr<JournalWriter> journal = start_journal(words);
  watched.bed.worker().set_witness(&journal->tap(0));
  for (std::uint32_t turn = 0; turn < 4; ++turn) {
    plain.take_turn(clock);
    watched.take_turn(clock);
  }
  std::vector<double> without;
  std::vector<double> with;
  std::vector<double> ratios;
  const std::uint64_t end_ns =
      clock.now_ns() + static_cast<std::uint64_t>(words.number("--seconds", 2) * 1e9);
  while (clock.now_ns() < end_ns) {
    without.push_back(plain.take_turn(clock));
    with.push_back(watched.take_turn(clock));
    ratios.push_back(without.back() / with.back());
  }
  watched.bed.worker().set_witness(nullptr);
  watched.bed.worker().poll();
  journal->end();
  const JournalStatus status = journal->status();
  fmt::print(R"({{"pps": {:.0f}, "without_pps": {:.0f}, "kept": {:.4f}, "hits": {}, "lost": {}, )"
             R"("journal_bytes": {}}})"
             "\n",
             1e9 / median(with), 1e9 / median(without), median(ratios), status.hits, status.lost,
             status.bytes);
  plain.bed.end();
  watched.bed.end();
}

void run(const Words& words) {
  const auto burst = static_cast<std::uint32_t>(words.number("--burst", 32));
  const auto flows = static_cast<std::uint32_t>(words.number("--flows", 65'536));
  if (burst < 1 || burst > kBurstMax || flows < 1 || flows > 1U << 24)
    words.refuse("--burst is 1 … 64, --flows 1 … 16777216");
  const Result<rte_mempool*> pool = make_pool("bench", 16'383, 1'536, SOCKET_ID_ANY);
  if (!pool)
    words.refuse("no memory for packets");
  TscClock clock;
  clock.calibrate(100'000'000);
  GeneratorPort left({flows, sizes(words), words.number("--fresh", 0), captured(words)}, *pool);
  GeneratorPort right({1, {60}}, *pool);
  right.turn(false);
  const std::string* rules = words.find("--rules");
  if (rules == nullptr) {
    OutBurst out;
    measure(words, clock, left, [&] {
      out.count = left.receive(out.mbufs.data(), burst);
      right.transmit(out, 0);
    });
    fmt::print("}}\n");
    return;
  }
  TscTime time(clock);
  if (words.find("--journal") != nullptr) {
    compare_with_journal(words, time, clock, *pool);
    return;
  }
  const std::uint64_t without = resident_bytes();
  const double fresh = words.number("--fresh", 0);
  Bed<GeneratorPort, TscTime> bed(
      *rules,
      {.rx_burst = burst,
       .flows_max = fresh > 0 ? std::uint64_t{1} << 20 : std::max<std::uint64_t>(flows, 65'536),
       .flow_idle_ns = (fresh > 0 ? 5 : 60) * kNsPerSecond,
       .hold_bytes = static_cast<std::uint64_t>(words.number("--hold", 1'024)) << 20},
      {&left, &right}, time, *pool);
  const auto turn = [&] { bed.worker().poll(); };
  const auto fill = static_cast<std::uint64_t>(words.number("--fill", 0));
  if (fill > 0) {
    for (std::uint32_t turns = 0; turns < kTurns; ++turns) turn();
    const std::uint64_t before = resident_bytes();
    const std::uint64_t held_before = bed.worker().held_packets();
    while (left.received() < fill) turn();
    fmt::print(R"({{"bytes": {}, "worker_bytes": {})", resident_bytes() - before, before - without);
    fmt::print(R"(, "all_bytes": {})", resident_bytes() - without);
    fmt::print(R"(, "more_held": {})", bed.worker().held_packets() - held_before);
  } else {
    measure(words, clock, left, turn);
  }
  WorkerSnapshot snapshot(2);
  bed.worker().fill(snapshot);
  fmt::print(R"(, "held": {}, "hold_bytes": {}, "flows": {}, "evicted": {}, "own_drops": {}}})"
             "\n",
             snapshot.hold.packets, snapshot.hold.bytes, snapshot.flows.active,
             snapshot.flows.evicted, own_drops(snapshot.counters.ledger));
  bed.end();
}

}  // namespace
}  // namespace faultline

int main(int count, char** arguments) {
  using namespace faultline;
  const Words words(count, arguments, kUsage);
  if (const auto started = start_eal({.main_core = allowed_cores().back(), .memory_mb = 256});
      !started) {
    fmt::print(stderr, "DPDK did not start\n");
    return 1;
  }
  run(words);
  stop_eal();
  return 0;
}
