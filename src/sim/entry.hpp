// At which port a captured packet enters: one port for all of a capture, the port that its
// interface is named after, or one of two by its source. Reads addresses only; which flow a packet
// belongs to is the data path's to say.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "record/capture_reader.hpp"

namespace faultline {

/// The sources that lie on the left: prefixes of IPv4 and IPv6, and MAC addresses.
class SourceSet {
 public:
  /// "10.0.0.0/8", "10.0.0.1", "2001:db8::/32" or "02:00:00:00:00:01"; false if it is none of them.
  bool add(std::string_view text);
  bool empty() const { return prefixes_.empty(); }

  /// Whether the frame's source is in the set: its MAC address, or the source address of IPv4 and
  /// IPv6 or the sender's of ARP (RFC 826), behind up to four VLAN tags (IEEE 802.1Q).
  bool holds_source_of(std::span<const std::byte> frame) const;

 private:
  enum class Kind : std::uint8_t { kMac, kIpv4, kIpv6 };
  struct Prefix {
    Kind kind = Kind::kMac;
    std::array<std::uint8_t, 16> address{};
    unsigned bits = 0;
  };
  bool holds(Kind kind, std::span<const std::byte> address) const;

  std::vector<Prefix> prefixes_;
};

/// A port by its number, of two.
struct EntryPorts {
  std::uint8_t first = 0;   ///< also where nothing tells
  std::uint8_t second = 0;  ///< for sources that are not on the left
};

class Entry {
 public:
  /// Every packet enters `port`.
  static Entry at(std::uint8_t port);
  /// A packet enters the port that its interface is named after, else `otherwise`.
  static Entry by_interface(std::vector<std::string> port_names, std::uint8_t otherwise);
  /// A packet whose source is in `left` enters the first port, any other the second.
  static Entry by_source(SourceSet left, EntryPorts ports);

  std::uint8_t port_for(std::span<const std::byte> frame,
                        const std::vector<CaptureInterface>& interfaces, std::uint32_t interface);

 private:
  SourceSet left_;
  EntryPorts ports_;
  std::vector<std::string> port_names_;
  std::vector<std::uint8_t> port_of_interface_;  ///< as far as interfaces have been met
};

}  // namespace faultline
