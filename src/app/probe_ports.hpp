// The probe's ports by name: interfaces that the kernel has, and ports of DPDK, written as in a
// scenario: {driver: pci, address: "0000:03:00.0"}. All of a command are opened at once, and DPDK
// is started only where one needs it.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "probe/port.hpp"

namespace faultline {

struct ProbePortWish {
  std::string name;
  ProbeRole role = ProbeRole::kBoth;
};

/// In the order of the wishes; closed when this ends, and DPDK with it.
class ProbePorts {
 public:
  /// Ports that take frames of `frame_bytes`, with the card's check. Errors: of all of them.
  static Result<ProbePorts> open(const std::vector<ProbePortWish>& wishes,
                                 std::uint32_t frame_bytes);

  ProbePorts(ProbePorts&& other) noexcept;
  ProbePorts& operator=(ProbePorts&&) = delete;
  ~ProbePorts();

  ProbePort& operator[](std::size_t at) { return *ports_[at]; }
  const std::vector<ProbePortPtr>& all() const { return ports_; }

 private:
  ProbePorts() = default;

  std::vector<ProbePortPtr> ports_;
  bool dpdk_ = false;  ///< was started
};

}  // namespace faultline
