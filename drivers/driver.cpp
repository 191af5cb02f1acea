// Choosing the driver, and what all drivers share.
#include "drivers/driver.hpp"

#include <rte_errno.h>
#include <rte_mbuf.h>

#include <fmt/format.h>

namespace faultline {

Result<OpenedPort> open_port(const PortSpec& spec, rte_mempool* pool) {
  if (spec.driver == "af_packet")
    return open_af_packet(spec, pool);
  if (spec.driver == "null")
    return open_null(spec, pool);
  return tl::unexpected(Problems{problem_at(
      spec.mark, "port '" + spec.name + "': driver '" + spec.driver + "' is for simulate only",
      "af_packet, null")});
}

std::uint32_t frame_bytes_of(const PortSpec& spec) {
  return spec.driver == "af_packet" ? af_packet_frame_bytes_of(spec)
                                    : std::max(spec.mtu_bytes + 22, spec.null_frame_bytes);
}

Result<rte_mempool*> make_pool(const std::string& name, std::uint32_t count,
                               std::uint32_t frame_bytes_max) {
  constexpr std::uint32_t kCache = 256;
  const std::uint32_t room = (RTE_PKTMBUF_HEADROOM + frame_bytes_max + 63) & ~63U;
  rte_mempool* pool =
      rte_pktmbuf_pool_create(name.c_str(), count, kCache, 0,
                              static_cast<std::uint16_t>(std::min(room, 65'535U)), SOCKET_ID_ANY);
  if (pool == nullptr)
    return failure(fmt::format("no memory for {} packets of {} bytes: {}", count, room,
                               rte_strerror(rte_errno)));
  return pool;
}

}  // namespace faultline
