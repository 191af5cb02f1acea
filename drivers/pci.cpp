// driver: pci. A network card that DPDK drives itself, bound to vfio-pci or uio_pci_generic.
#include <unistd.h>

#include <array>
#include <climits>
#include <string>

#include <fmt/format.h>

#include "drivers/ethdev.hpp"

namespace faultline {
namespace {

/// The kernel driver that holds the card; empty: none does. Nothing without such a card.
std::optional<std::string> kernel_driver_of(const std::string& address) {
  const std::string device = "/sys/bus/pci/devices/" + address;
  if (access(device.c_str(), F_OK) != 0)
    return std::nullopt;
  std::array<char, PATH_MAX> target{};
  const ssize_t length = readlink((device + "/driver").c_str(), target.data(), target.size() - 1);
  const std::string path(target.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  return path.substr(path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
}

tl::unexpected<Problems> refuse(const PortSpec& spec, std::string found, std::string allowed) {
  return tl::unexpected(Problems{problem_at(
      spec.mark, fmt::format("port '{}': card {} {}", spec.name, spec.settings.address, found),
      std::move(allowed))});
}

}  // namespace

Result<OpenedPort> open_pci(const PortSpec& spec, rte_mempool* pool) {
  const std::string& address = spec.settings.address;
  const std::optional<std::string> driver = kernel_driver_of(address);
  if (!driver)
    return refuse(spec, "is not there", "an address that lspci -D lists");
  const bool user_space = *driver == "vfio-pci" || *driver == "uio_pci_generic" ||
                          *driver == "igb_uio" || *driver == "mlx5_core" || *driver == "mlx4_core";
  if (!user_space)
    return refuse(spec,
                  driver->empty() ? "is bound to no driver"
                                  : fmt::format("belongs to the kernel's driver '{}'", *driver),
                  fmt::format("dpdk-devbind.py --bind=vfio-pci {} (needs an IOMMU), or "
                              "uio_pci_generic",
                              address));
  EthdevRequest request;
  request.bus = "pci";
  request.device = address;
  request.checks_mtu = true;
  return open_ethdev(spec, pool, request);
}

}  // namespace faultline
