// A device that DPDK drives: made known to it, configured the one way faultline wants it, started,
// and taken down again. What each driver adds to that is in its own file.
#pragma once

#include <string>

#include "drivers/driver.hpp"

namespace faultline {

struct EthdevRequest {
  std::string bus = "vdev";  ///< or "pci"
  std::string device;        ///< "net_memif0", "0000:03:00.0"
  std::string arguments;     ///< DPDK's devargs behind the name
  bool checks_mtu = false;   ///< the device itself must be told the MTU, and may refuse it
  std::uint16_t descriptors = 512;
};

/// Errors: the device does not start, or has too few queues.
Result<OpenedPort> open_ethdev(const PortSpec& spec, rte_mempool* pool,
                               const EthdevRequest& request);

/// A name that no device of this process has: "net_memif0", "net_memif1", …
std::string fresh_device_name(const std::string& driver);

}  // namespace faultline
