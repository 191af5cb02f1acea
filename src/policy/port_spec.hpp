// A port as written: which driver, and what that driver is told. What becomes of it is in drivers/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.hpp"

namespace faultline {

inline constexpr std::uint16_t kQueuesMax = 16;

enum class Driver : std::uint8_t {
  kSim,  ///< of `simulate`
  kAfPacket,
  kAfXdp,
  kTap,
  kPci,
  kMemif,
  kVhost,
  kPcap,
  kNull,
  kRing,
};
/// As in a scenario: "af_packet".
std::string_view driver_name(Driver driver);
/// Whether its ports' links can be taken down, as `link: mirror` asks; simulated ones have none.
bool can_take_link_down(Driver driver);

/// What the driver is told. Two ports with equal settings are the same device.
struct PortSettings {
  Driver driver = Driver::kSim;
  std::string interface;           ///< af_packet, af_xdp, tap: the kernel's name for it
  std::string netns;               ///< tap: the named network namespace it is made in
  std::string address;             ///< pci: "0000:03:00.0"
  std::string path;                ///< memif, vhost: the socket's; ring: the ring's name
  bool socket_abstract = false;    ///< memif: the path is a name in the abstract space
  bool server = false;             ///< memif: it makes the socket; vhost: likewise
  std::uint32_t id = 0;            ///< memif: of the interface on that socket
  std::string rx_file;             ///< pcap: what it receives; empty: nothing
  std::string tx_file;             ///< pcap: where it writes; empty: nowhere
  std::uint32_t frame_bytes = 64;  ///< null: size of the frames it makes
  bool receives = true;            ///< null: false with no_rx
  std::uint32_t mtu_bytes = 1500;  ///< L3 bytes, 68 … 9600
  std::uint16_t queues = 1;        ///< pairs of them; one worker each

  friend bool operator==(const PortSettings&, const PortSettings&) = default;
};

struct PortSpec {
  std::string name;
  PortSettings settings;
  std::optional<std::uint64_t> speed_bps;  ///< the most that comes in, for capacity
  Mark mark;
};

/// Reads one entry of `ports:`. Problems leave defaults in place.
PortSpec read_port(const ConfigEntry& entry, Problems& problems);

}  // namespace faultline
