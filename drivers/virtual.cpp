// Drivers that need little more than a name and arguments for DPDK: memif, vhost, pcap and null.
#include <fmt/format.h>

#include "drivers/driver_events.hpp"
#include "drivers/ethdev.hpp"

namespace faultline {

/// Shared memory between two programs (net_memif). Buffers are as large as the longest frame, so
/// that every frame is one piece.
Result<OpenedPort> open_memif(const PortSpec& spec, rte_mempool* pool) {
  const PortSettings& settings = spec.settings;
  EthdevRequest request;
  hold_driver_events();
  request.device = fresh_device_name("net_memif");
  request.arguments = fmt::format("role={},id={},socket={},socket-abstract={},bsize={},rsize=10",
                                  settings.server ? "server" : "client", settings.id, settings.path,
                                  settings.socket_abstract ? "yes" : "no",
                                  settings.mtu_bytes <= 2'026 ? 2'048 : 10'240);
  return open_ethdev(spec, pool, request);
}

/// A virtual machine's virtio card, or another program's virtio-user (net_vhost). Segments that
/// are to be cut up, or checksums to be filled in, by whoever sends next are not offered.
Result<OpenedPort> open_vhost(const PortSpec& spec, rte_mempool* pool) {
  EthdevRequest request;
  request.device = fresh_device_name("net_vhost");
  request.arguments =
      fmt::format("iface={},queues={},client={},tso=0,legacy-ol-flags=0", spec.settings.path,
                  spec.settings.queues, spec.settings.server ? 0 : 1);
  return open_ethdev(spec, pool, request);
}

/// Capture files (net_pcap): as fast as they can be read, their own times are lost.
Result<OpenedPort> open_pcap(const PortSpec& spec, rte_mempool* pool) {
  EthdevRequest request;
  request.device = fresh_device_name("net_pcap");
  if (!spec.settings.rx_file.empty())
    request.arguments += "rx_pcap=" + spec.settings.rx_file;
  if (!spec.settings.tx_file.empty())
    request.arguments +=
        (request.arguments.empty() ? "" : ",") + ("tx_pcap=" + spec.settings.tx_file);
  return open_ethdev(spec, pool, request);
}

/// Makes frames of nothing and swallows what is sent (net_null): for benchmarks.
Result<OpenedPort> open_null(const PortSpec& spec, rte_mempool* pool) {
  EthdevRequest request;
  request.device = fresh_device_name("net_null");
  request.arguments =
      fmt::format("size={},no-rx={}", spec.settings.frame_bytes, spec.settings.receives ? 0 : 1);
  return open_ethdev(spec, pool, request);
}

}  // namespace faultline
