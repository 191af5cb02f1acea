// Changing a frame in place, checksums kept right.
#pragma once

#include <cstdint>

namespace faultline {

/// Sets the ECN field of the IP header at `header` (20 bytes of IPv4 or 4 of IPv6 at least) to
/// Congestion Experienced (RFC 3168); the checksum of an IPv4 header is brought up to date
/// incrementally (RFC 1624, equation 3).
void mark_congestion(std::uint8_t* header) noexcept;

}  // namespace faultline
