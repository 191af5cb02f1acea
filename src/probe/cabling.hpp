// Which interface hears which: a few frames from each in turn, while all listen.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "probe/frame.hpp"
#include "probe/port.hpp"

namespace faultline {

struct Heard {
  std::size_t from = 0;
  std::size_t by = 0;
  std::uint64_t frames = 0;    ///< different ones that came whole
  std::uint64_t delay_ns = 0;  ///< of the fastest
};

struct CablingOptions {
  std::uint32_t run = 0;
  std::uint32_t frames = 5;  ///< from each
  std::uint64_t linger_ns = 500'000'000;
};

/// Ports that send and listen. Only pairs of which anything was heard, by sender.
Result<std::vector<Heard>> find_cables(const CablingOptions& options,
                                       const std::vector<ProbePortPtr>& ports);

}  // namespace faultline
