// What turns a `port:` entry of a scenario into a device. One file a driver: its arguments, its
// checks, its quirks. Nothing here knows rules.
#pragma once

#include <rte_mempool.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "dataplane/live_port.hpp"
#include "policy/scenario.hpp"

namespace faultline {

struct OpenedPort {
  std::unique_ptr<LivePort> port;
  std::vector<std::string> warnings;  ///< works, but the user should know
};

/// Errors: the device is not there, may not be used, or cannot do what is asked; each with what to
/// do about it.
Result<OpenedPort> open_port(const PortSpec& spec, rte_mempool* pool);

Result<OpenedPort> open_af_packet(const PortSpec& spec, rte_mempool* pool);
Result<OpenedPort> open_null(const PortSpec& spec, rte_mempool* pool);

/// The longest frame the port may receive, as far as can be told before it is opened.
std::uint32_t frame_bytes_of(const PortSpec& spec);
std::uint32_t af_packet_frame_bytes_of(const PortSpec& spec);

/// A pool of `count` mbufs for frames of up to `frame_bytes_max`.
Result<rte_mempool*> make_pool(const std::string& name, std::uint32_t count,
                               std::uint32_t frame_bytes_max);

}  // namespace faultline
