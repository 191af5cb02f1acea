// Learning and looking up.
#include "dataplane/switching.hpp"

#include "packet/frame_fields.hpp"

namespace faultline {
namespace {

constexpr std::size_t kAddressBytes = 6;
constexpr std::uint8_t kGroupBit = 1;

std::uint16_t big_endian(const std::uint8_t* bytes) noexcept {
  return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
}

/// The outer VLAN; untagged and priority-tagged frames are of none.
std::uint16_t vlan_of(std::span<const std::uint8_t> frame) noexcept {
  constexpr std::size_t kTypeAt = 2 * kAddressBytes;
  if (frame.size() < kTypeAt + 4 || !is_vlan_tag(big_endian(&frame[kTypeAt])))
    return 0;
  return big_endian(&frame[kTypeAt + 2]) & 0x0FFF;
}

}  // namespace

std::uint8_t Switching::egress_of(std::uint8_t ingress, std::span<const std::uint8_t> frame,
                                  std::uint64_t now_ns) noexcept {
  if (frame.size() < 2 * kAddressBytes)
    return kFilter;
  MacTable& stations = of_port_[ingress]->stations;
  const std::uint16_t vlan = vlan_of(frame);
  const std::uint8_t* source = &frame[kAddressBytes];
  if ((source[0] & kGroupBit) == 0)
    stations.learn(MacTable::station_of(source, vlan), ingress, now_ns);
  if ((frame[0] & kGroupBit) != 0)
    return kFlood;
  const auto port = stations.port_of(MacTable::station_of(frame.data(), vlan), now_ns);
  if (!port)
    return kFlood;
  return *port == ingress ? kFilter : *port;
}

}  // namespace faultline
