// Reading `forge:` of inject: a frame told by what it says instead of by its bytes.
#pragma once

#include <optional>

#include "base/config.hpp"
#include "packet/forge.hpp"

namespace faultline {

/// `{arp | vrrp | tcp | icmp: {…}, src_mac, dst_mac, vlan}`; nothing where something is wrong,
/// which is told.
std::optional<ForgedFrame> read_forged(const ConfigNode& node, Problems& problems);

}  // namespace faultline
