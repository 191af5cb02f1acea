// DPDK's environment: arguments, start and end.
#include "drivers/eal.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>

#include <fmt/format.h>

#include "base/file.hpp"

namespace faultline {
namespace {

/// Another DPDK program's folders stay.
void remove_folder() {
  const std::string folder = rte_eal_get_runtime_dir();
  if (rmdir(folder.c_str()) == 0)
    rmdir(folder.substr(0, folder.rfind('/')).c_str());
}

}  // namespace

bool huge_pages_free(std::uint64_t bytes_needed) {
  const FileText file = read_file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", 64);
  return file.readable && std::strtoull(file.text.c_str(), nullptr, 10) * (2 << 20) >= bytes_needed;
}

Result<void> start_eal(const EalSettings& settings) {
  // Logical cores are numbered by us and laid on the machine's: main and worker may share one.
  std::string cores = fmt::format("0@{}", settings.main_core);
  for (std::size_t worker = 0; worker < settings.worker_cores.size(); ++worker)
    cores += fmt::format(",{}@{}", worker + 1, settings.worker_cores[worker]);
  std::vector<std::string> words{
      "faultline",
      "--lcores",
      cores,
      "--main-lcore",
      "0",
      "-m",
      std::to_string(settings.memory_mb),
      "--log-level",
      "4",
      "--file-prefix",
      settings.telemetry_prefix.empty() ? "faultline" : settings.telemetry_prefix};
  if (settings.telemetry_prefix.empty())
    words.emplace_back("--no-telemetry");
  // Without huge pages nothing is shared with other processes, so no files; with them, --in-memory
  // leaves none behind either.
  if (settings.huge_pages)
    words.emplace_back("--in-memory");
  else
    words.insert(words.end(), {"--no-huge", "--no-shconf"});
  if (settings.cards.empty())
    words.emplace_back("--no-pci");
  for (const std::string& card : settings.cards) words.insert(words.end(), {"--allow", card});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0)
    return failure(fmt::format("DPDK did not start: {}", rte_strerror(rte_errno)));
  // Nothing is shared with other processes, so the folder DPDK made for that is empty and goes now:
  // a kill -9 then leaves nothing either, and one in between leaves the same folder as the next.
  // With telemetry its socket is there until the end.
  remove_folder();
  return {};
}

void stop_eal() {
  unlink((std::string(rte_eal_get_runtime_dir()) + "/dpdk_telemetry.v2").c_str());
  remove_folder();
  // Not rte_eal_cleanup: it unmaps DPDK's memory while its interrupt thread still looks at what is
  // there (one stop in four crashed after a memif port was closed). Devices are closed by now, no
  // file was made, and the process's end gives back the rest.
}

std::vector<unsigned> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    return {0};
  for (unsigned core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set))
      cores.push_back(core);
  return cores;
}

}  // namespace faultline
