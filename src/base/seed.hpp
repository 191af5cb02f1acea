// A seed nobody chose. For the management plane and the command line; the data path draws nothing.
#pragma once

#include <cstdint>
#include <random>

namespace faultline {

/// 64 bits of the system's entropy.
inline std::uint64_t draw_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace faultline
