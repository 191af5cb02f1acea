// Configuring DPDK's devices. No offload is asked for: a merged frame, a stripped tag or a checksum
// that is filled in later would falsify what is seen or sent.
#include "drivers/ethdev.hpp"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <array>
#include <map>

#include <fmt/format.h>

#include "dataplane/ethdev_port.hpp"

namespace faultline {
namespace {

/// Toeplitz with this key gives both directions of a flow the same hash (Woo and Park, "Scalable
/// TCP Session Monitoring with Symmetric Receive-side Scaling", 2012).
constexpr std::array<std::uint8_t, 2> kSymmetricPair{0x6D, 0x5A};

class EthdevDevice final : public Device {
 public:
  EthdevDevice(std::uint16_t port_id, const PortSpec& spec, const EthdevRequest& request)
      : port_id_(port_id), bus_(request.bus), device_(request.device) {
    for (std::uint16_t queue = 0; queue < spec.settings.queues; ++queue)
      add_queue(std::make_unique<EthdevPort>(port_id, queue, spec.settings.mtu_bytes));
  }

  ~EthdevDevice() override {
    rte_eth_dev_stop(port_id_);
    rte_eth_dev_close(port_id_);
    rte_eal_hotplug_remove(bus_.c_str(), device_.c_str());
  }

  bool force_link(bool up) override {
    return (up ? rte_eth_dev_set_link_up(port_id_) : rte_eth_dev_set_link_down(port_id_)) == 0;
  }

  DeviceCounters counters() override {
    rte_eth_stats stats{};
    rte_eth_stats_get(port_id_, &stats);
    return {stats.imissed, stats.ierrors, stats.rx_nombuf};
  }

  std::string mac_address() override {
    rte_ether_addr address{};
    if (rte_eth_macaddr_get(port_id_, &address) != 0)
      return {};
    return fmt::format("{:02x}", fmt::join(address.addr_bytes, ":"));
  }

 private:
  bool link_is_up() override {
    rte_eth_link link{};
    return rte_eth_link_get_nowait(port_id_, &link) != 0 || link.link_status == RTE_ETH_LINK_UP;
  }

  std::uint16_t port_id_;
  std::string bus_;
  std::string device_;
};

tl::unexpected<Problems> refuse(const PortSpec& spec, const EthdevRequest& request,
                                const char* step, int status) {
  return tl::unexpected(
      Problems{problem_at(spec.mark, fmt::format("port '{}': {} cannot be used: {}: {}", spec.name,
                                                 request.device, step, rte_strerror(-status)))});
}

/// Receive-side scaling by addresses alone, so that all fragments of a datagram stay together.
void ask_for_spreading(const rte_eth_dev_info& info, std::uint16_t queues, rte_eth_conf& wanted,
                       std::vector<std::uint8_t>& key) {
  const std::uint64_t types = (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6) & info.flow_type_rss_offloads;
  if (queues < 2 || types == 0 || info.hash_key_size == 0)
    return;
  key.resize(info.hash_key_size);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = kSymmetricPair[i % 2];
  wanted.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
  wanted.rx_adv_conf.rss_conf = {key.data(), static_cast<std::uint8_t>(key.size()), types};
}

int start(std::uint16_t port_id, const PortSpec& spec, const EthdevRequest& request,
          const rte_eth_dev_info& info, rte_mempool* pool) {
  const std::uint16_t queues = spec.settings.queues;
  rte_eth_conf wanted{};
  if (request.checks_mtu)
    wanted.rxmode.mtu = spec.settings.mtu_bytes;
  std::vector<std::uint8_t> key;
  ask_for_spreading(info, queues, wanted, key);
  int status = rte_eth_dev_configure(port_id, queues, queues, &wanted);
  std::uint16_t received = request.descriptors;
  std::uint16_t sent = request.descriptors;
  if (status == 0)
    status = rte_eth_dev_adjust_nb_rx_tx_desc(port_id, &received, &sent);
  const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(port_id));
  for (std::uint16_t queue = 0; status == 0 && queue < queues; ++queue) {
    status = rte_eth_rx_queue_setup(port_id, queue, received, socket, nullptr, pool);
    if (status == 0)
      status = rte_eth_tx_queue_setup(port_id, queue, sent, socket, nullptr);
  }
  return status == 0 ? rte_eth_dev_start(port_id) : status;
}

}  // namespace

std::string fresh_device_name(const std::string& driver) {
  static std::map<std::string, int> taken;
  return driver + std::to_string(taken[driver]++);
}

Result<OpenedPort> open_ethdev(const PortSpec& spec, rte_mempool* pool,
                               const EthdevRequest& request) {
  std::uint16_t port_id = 0;
  int status = rte_eth_dev_get_port_by_name(request.device.c_str(), &port_id);
  if (status != 0) {
    status =
        rte_eal_hotplug_add(request.bus.c_str(), request.device.c_str(), request.arguments.c_str());
    if (status != 0)
      return refuse(spec, request, "making it known to DPDK", status);
    status = rte_eth_dev_get_port_by_name(request.device.c_str(), &port_id);
  }
  if (status != 0)
    return refuse(spec, request, "finding it", status);
  // From here on the device closes what was begun.
  OpenedPort opened{std::make_unique<EthdevDevice>(port_id, spec, request), {}};
  rte_eth_dev_info info{};
  rte_eth_dev_info_get(port_id, &info);
  const std::uint16_t queues = std::min(info.max_rx_queues, info.max_tx_queues);
  if (spec.settings.queues > queues)
    return tl::unexpected(
        Problems{problem_at(spec.mark,
                            fmt::format("port '{}': {} has {} queues, not {}", spec.name,
                                        request.device, queues, spec.settings.queues),
                            fmt::format("queues: 1 to {}", queues))});
  if (status = start(port_id, spec, request, info, pool); status != 0)
    return refuse(spec, request, "starting it", status);
  // What is not for this machine passes too. Devices that take everything anyway may not know how
  // to be asked.
  status = rte_eth_promiscuous_enable(port_id);
  if (status != 0 && status != -ENOTSUP)
    return refuse(spec, request, "promiscuous mode", status);
  opened.device->watch_link();
  return opened;
}

}  // namespace faultline
