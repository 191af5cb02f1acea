// driver: null. DPDK's net_null: makes frames from nothing and swallows what is sent. For
// benchmarks.
#include <rte_dev.h>
#include <rte_errno.h>

#include <fmt/format.h>

#include "dataplane/ethdev_port.hpp"
#include "drivers/driver.hpp"

namespace faultline {
namespace {

class NullPort final : public EthdevPort {
 public:
  NullPort(std::uint16_t port_id, std::string device, std::uint32_t mtu_bytes)
      : EthdevPort(port_id, 0, mtu_bytes), device_(std::move(device)) {}
  ~NullPort() override {
    rte_eth_dev_stop(port_id());
    rte_eth_dev_close(port_id());
    rte_eal_hotplug_remove("vdev", device_.c_str());
  }

 private:
  std::string device_;
};

int start_queue_pair(std::uint16_t port_id, rte_mempool* pool) {
  constexpr std::uint16_t kDescriptors = 512;
  rte_eth_conf configuration{};
  int status = rte_eth_dev_configure(port_id, 1, 1, &configuration);
  if (status == 0)
    status = rte_eth_rx_queue_setup(port_id, 0, kDescriptors,
                                    static_cast<unsigned>(rte_eth_dev_socket_id(port_id)), nullptr,
                                    pool);
  if (status == 0)
    status = rte_eth_tx_queue_setup(port_id, 0, kDescriptors,
                                    static_cast<unsigned>(rte_eth_dev_socket_id(port_id)), nullptr);
  return status == 0 ? rte_eth_dev_start(port_id) : status;
}

}  // namespace

Result<OpenedPort> open_null(const PortSpec& spec, rte_mempool* pool) {
  static int devices = 0;
  const std::string device = fmt::format("net_null{}", devices++);
  const std::string arguments =
      fmt::format("size={},no-rx={}", spec.null_frame_bytes, spec.null_receives ? 0 : 1);
  std::uint16_t port_id = 0;
  int status = rte_eal_hotplug_add("vdev", device.c_str(), arguments.c_str());
  if (status == 0)
    status = rte_eth_dev_get_port_by_name(device.c_str(), &port_id);
  if (status == 0)
    status = start_queue_pair(port_id, pool);
  if (status != 0)
    return failure(
        fmt::format("port '{}': {} did not start: {}", spec.name, device, rte_strerror(-status)));
  return OpenedPort{std::make_unique<NullPort>(port_id, device, spec.mtu_bytes), {}};
}

}  // namespace faultline
