// Frames made from nothing but a packet that is to be answered: resets and ICMP errors. Each writes
// into `out` and returns the frame's length, padded to what Ethernet asks for; 0 where the packet
// is not to be answered, or `out` is too small.
#pragma once

#include <cstdint>
#include <span>

#include "packet/edit.hpp"

namespace faultline {

enum class Towards : std::uint8_t { kSender, kReceiver };

/// A TCP reset (RFC 9293, section 3.10.7.1) as the packet's other end would send it. Towards the
/// sender it has the sequence number that the packet's ACK asks for, or acknowledges what has no
/// ACK. Towards the receiver it has `sequence`, and the packet's ACK. No reset answers a reset.
std::uint32_t craft_reset(const EditFrame& packet, Towards towards, std::uint32_t sequence,
                          std::span<std::uint8_t> out) noexcept;

/// Towards the sender with this sequence number, whatever the packet's ACK asks for.
std::uint32_t craft_reset_back(const EditFrame& packet, std::uint32_t sequence,
                               std::span<std::uint8_t> out) noexcept;

/// Where a packet cannot be delivered to.
enum class Unreachable : std::uint8_t { kNet, kHost, kProtocol, kPort, kAdmin };

/// ICMP destination unreachable (RFC 792; RFC 1812, section 5.2.7.1), ICMPv6 (RFC 4443, sections
/// 3.1 and 3.4), as if the packet's destination had sent it. Quotes what fits into 576 or 1280
/// bytes. ICMP errors, multicast, broadcast and later fragments are not answered (RFC 1122, section
/// 3.2.2; RFC 4443, section 2.4).
std::uint32_t craft_unreachable(const EditFrame& packet, Unreachable what,
                                std::span<std::uint8_t> out) noexcept;

/// Fragmentation needed (RFC 1191), packet too big (RFC 4443, section 3.2), with the MTU.
std::uint32_t craft_too_big(const EditFrame& packet, std::uint32_t mtu,
                            std::span<std::uint8_t> out) noexcept;

}  // namespace faultline
