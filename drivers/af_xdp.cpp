// driver: af_xdp. An interface of the machine through XDP sockets (net_af_xdp): the fastest way to
// a kernel's interface, for frames that fit into one of its buffers.
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "drivers/ethdev.hpp"
#include "drivers/interface.hpp"

namespace faultline {
namespace {

/// A page holds mbuf, headroom and frame; longer frames are lost without a trace.
constexpr std::uint32_t kMtuMax = 3'200;

bool has_capability(unsigned number) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) != 0)
    return true;  // let the driver find out
  return (data[number / 32].effective & (1U << (number % 32))) != 0;
}

}  // namespace

Result<OpenedPort> open_af_xdp(const PortSpec& spec, rte_mempool* pool) {
  const PortSettings& settings = spec.settings;
  const KernelInterface interface(settings.interface);
  if (interface.index() == 0)
    return refuse_interface(spec, "does not exist",
                            "an interface of this network namespace (ip link)");
  if (!has_capability(CAP_SYS_ADMIN) || !has_capability(CAP_NET_RAW))
    return refuse_interface(spec, "cannot be used with XDP by this process",
                            "root, or a process with cap_sys_admin, cap_net_admin and cap_net_raw");
  const std::uint32_t mtu = std::max(settings.mtu_bytes, interface.mtu_bytes().value_or(0));
  if (mtu > kMtuMax)
    return refuse_interface(
        spec, fmt::format("has an MTU of {}", mtu),
        fmt::format("{} at most with af_xdp; af_packet takes jumbo frames", kMtuMax));
  EthdevRequest request;
  request.device = fresh_device_name("net_af_xdp");
  request.arguments =
      fmt::format("iface={},start_queue=0,queue_count={}", settings.interface, settings.queues);
  request.descriptors = 2'048;
  Result<OpenedPort> opened = open_ethdev(spec, pool, request);
  if (opened)
    for (std::string& warning : interface_warnings(spec, interface))
      opened->warnings.push_back(std::move(warning));
  return opened;
}

}  // namespace faultline
