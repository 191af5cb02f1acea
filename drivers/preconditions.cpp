// Looking at the machine through /proc, /sys and ioctls.
#include "drivers/preconditions.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/file.hpp"
#include "base/tsc_clock.hpp"
#include "base/units.hpp"
#include "drivers/eal.hpp"
#include "drivers/interface.hpp"

namespace faultline {
namespace {

using State = Precondition::State;

constexpr const char* kHugePages = "/sys/kernel/mm/hugepages/hugepages-2048kB/";

std::string text_of(const std::string& path) {
  std::string text = read_file(path, 1 << 20).text;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::vector<std::string> entries_of(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

bool may(unsigned capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  return syscall(SYS_capget, &header, data) == 0 &&
         (data[capability / 32].effective >> (capability % 32) & 1) != 0;
}

bool can_open(const char* path) {
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file >= 0)
    close(file);
  return file >= 0;
}

Precondition cores() {
  const std::vector<unsigned> allowed = allowed_cores();
  Precondition finding{"cores", State::kGood, fmt::format("{} may be used", allowed.size()), {}};
  const std::string isolated = text_of("/sys/devices/system/cpu/isolated");
  finding.found += isolated.empty() ? ", none is isolated" : ", isolated: " + isolated;
  if (allowed.size() < 2) {
    finding.state = State::kMissing;
    finding.advice = "two at least: a worker that shares its core is late by milliseconds";
  } else if (isolated.empty()) {
    finding.state = State::kNote;
    finding.advice = "isolcpus= or a cpuset for the workers' cores, where lateness matters";
  }
  return finding;
}

Precondition clock_finding() {
  constexpr std::uint64_t kMeasureNs = 100 * kNsPerMs;
  TscClock clock;
  clock.calibrate(kMeasureNs);
  const std::uint64_t before_ns = monotonic_ns();
  while (monotonic_ns() < before_ns + kMeasureNs) {
  }
  clock.refine();
  const std::string info = text_of("/proc/cpuinfo");
  const bool steady = info.find("constant_tsc") != std::string::npos &&
                      info.find("nonstop_tsc") != std::string::npos;
  Precondition finding{"clock",
                       State::kGood,
                       fmt::format("time-stamp counter at {:.6f} MHz, {:+.3f} ppm off after 100 ms",
                                   clock.ticks_per_second() / 1e6, clock.error_ppm()),
                       {}};
  if (!steady) {
    finding.state = State::kMissing;
    finding.found += ", and not said to be constant and non-stop";
    finding.advice = "a processor whose counter never changes its rate";
  }
  return finding;
}

Precondition huge_pages() {
  const std::string free = text_of(std::string(kHugePages) + "free_hugepages");
  const std::string all = text_of(std::string(kHugePages) + "nr_hugepages");
  Precondition finding{
      "huge pages",
      State::kGood,
      fmt::format("{} of {} free, of 2 MB", free.empty() ? "0" : free, all.empty() ? "0" : all),
      {}};
  if (std::atoi(free.c_str()) < 64) {
    finding.state = State::kNote;
    finding.advice = "sysctl vm.nr_hugepages=128: the daemon does without, more slowly";
  }
  return finding;
}

Precondition locked_memory() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  const bool unlimited = limit.rlim_cur == RLIM_INFINITY || may(CAP_IPC_LOCK);
  Precondition finding{"locked memory",
                       State::kGood,
                       unlimited ? "unlimited" : fmt::format("{} KiB", limit.rlim_cur >> 10),
                       {}};
  if (!unlimited && limit.rlim_cur < (std::uint64_t{32} << 20)) {
    finding.state = State::kNote;
    finding.advice = "ulimit -l 65536: an af_packet queue takes 16 MB";
  }
  return finding;
}

Precondition iommu() {
  const std::size_t groups = entries_of("/sys/kernel/iommu_groups").size();
  const bool vfio = access("/dev/vfio/vfio", F_OK) == 0;
  Precondition finding{
      "IOMMU",
      State::kGood,
      fmt::format("{} groups, vfio {}", groups, vfio ? "is there" : "is not there"),
      {}};
  if (groups == 0 || !vfio) {
    finding.state = State::kNote;
    finding.advice = "for driver pci: intel_iommu=on or amd_iommu=on, and modprobe vfio-pci";
  }
  return finding;
}

/// The cards that a driver in user space may have.
std::vector<std::string> cards_for_us() {
  std::vector<std::string> cards;
  for (const char* driver : {"vfio-pci", "uio_pci_generic", "igb_uio"})
    for (const std::string& name : entries_of(std::string("/sys/bus/pci/drivers/") + driver))
      if (std::count(name.begin(), name.end(), ':') == 2)
        cards.push_back(name);
  return cards;
}

Precondition driver(Driver which, bool ready, std::string found, std::string advice) {
  return {fmt::format("driver {}", driver_name(which)), ready ? State::kGood : State::kMissing,
          std::move(found), ready ? "" : std::move(advice)};
}

Precondition xdp_driver() {
  const int probe = socket(44 /* AF_XDP */, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (probe >= 0)
    close(probe);
  const bool ready = probe >= 0 && may(CAP_SYS_ADMIN) && may(CAP_NET_ADMIN);
  return driver(Driver::kAfXdp, ready,
                probe >= 0 ? "the kernel has XDP sockets" : "no XDP socket can be made",
                "root, or cap_sys_admin, cap_net_admin and cap_net_raw; Linux 5.4 or later");
}

}  // namespace

std::vector<Precondition> look_at_machine() {
  return {cores(), clock_finding(), huge_pages(), locked_memory(), iommu()};
}

std::vector<Precondition> look_at_drivers() {
  const bool packet = may(CAP_NET_RAW) && may(CAP_NET_ADMIN);
  const bool tun = can_open("/dev/net/tun") && may(CAP_NET_ADMIN);
  const std::vector<std::string> cards = cards_for_us();
  return {
      driver(Driver::kAfPacket, packet, "packet sockets",
             "root, or cap_net_raw and cap_net_admin (setcap on faultlined)"),
      xdp_driver(),
      driver(Driver::kTap, tun, "/dev/net/tun",
             "root, or cap_net_admin and a /dev/net/tun that may be opened"),
      driver(Driver::kPci, !cards.empty(),
             cards.empty() ? "no card is bound to a driver for user space"
                           : fmt::format("{}", fmt::join(cards, ", ")),
             "dpdk-devbind.py --bind=vfio-pci ADDRESS"),
      driver(Driver::kMemif, true, "shared memory with another program", {}),
      driver(Driver::kVhost, true, "virtual machines; theirs must be shared memory", {}),
      driver(Driver::kPcap, true, "capture files", {}),
      driver(Driver::kNull, true, "for benchmarks", {}),
      driver(Driver::kRing, true, "cables inside the daemon", {}),
  };
}

std::vector<Precondition> look_at_port(const PortSpec& spec) {
  const std::string about = "port " + spec.name;
  const std::string& name = spec.settings.interface;
  const bool has_interface =
      spec.settings.driver == Driver::kAfPacket || spec.settings.driver == Driver::kAfXdp;
  if (!has_interface)
    return {{about,
             State::kGood,
             fmt::format("driver {}, nothing to be seen before it is opened",
                         driver_name(spec.settings.driver)),
             {}}};
  const KernelInterface interface(name);
  if (interface.index() == 0)
    return {{about, State::kMissing, fmt::format("interface '{}' does not exist", name),
             "an interface of this network namespace (ip link)"}};
  std::vector<Precondition> findings{
      {about,
       State::kGood,
       fmt::format("interface '{}', {}, MTU {}, driver {}", name, interface.mac_address(),
                   interface.mtu_bytes().value_or(0), interface.kernel_driver()),
       {}}};
  const auto note = [&](std::string found, std::string advice) {
    findings.push_back({about, State::kNote, std::move(found), std::move(advice)});
  };
  if (!interface.is_admin_up())
    note("it is down", fmt::format("ip link set {} up", name));
  else if (!interface.is_up())
    note("it has no carrier", "a cable, or the other end of the veth pair up");
  if (interface.merges_frames())
    note("receive offload merges frames: they would be judged as one",
         fmt::format("ethtool -K {} gro off lro off", name));
  if (interface.sends_pause_frames())
    note("pause frames are on: a full ring stops the neighbour instead of losing packets",
         fmt::format("ethtool -A {} rx off tx off", name));
  if (interface.kernel_driver() == "veth")
    note(
        "a veth pair: the peer's frames have no checksums unless told so, and are not padded to 60 "
        "bytes",
        "ethtool -K PEER tx off, at the other end");
  return findings;
}

}  // namespace faultline
