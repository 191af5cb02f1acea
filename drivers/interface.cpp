// Asking the kernel (netdevice(7), ethtool's ioctl).
#include "drivers/interface.hpp"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace faultline {
namespace {

ifreq request_for(const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

std::string advice_for(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return "root, or a process with cap_net_raw and cap_net_admin";
    case ENOMEM:
      return "about 16 MB of lockable memory a queue (ulimit -l)";
    default:
      return {};
  }
}

/// An ethtool question that is answered by one number; nothing where the device cannot be asked.
std::optional<std::uint32_t> ask_ethtool(int socket, const std::string& name, std::uint32_t what) {
  ifreq request = request_for(name);
  ethtool_value value{what, 0};
  request.ifr_data = reinterpret_cast<char*>(&value);
  if (ioctl(socket, SIOCETHTOOL, &request) != 0)
    return std::nullopt;
  return value.data;
}

}  // namespace

KernelInterface::KernelInterface(std::string name)
    : name_(std::move(name)), socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}

KernelInterface::~KernelInterface() {
  if (socket_ >= 0)
    close(socket_);
}

int KernelInterface::index() const {
  ifreq request = request_for(name_);
  return ioctl(socket_, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : 0;
}

std::optional<std::uint32_t> KernelInterface::mtu_bytes() const {
  ifreq request = request_for(name_);
  if (ioctl(socket_, SIOCGIFMTU, &request) != 0)
    return std::nullopt;
  return static_cast<std::uint32_t>(request.ifr_mtu);
}

bool KernelInterface::set_mtu(std::uint32_t mtu_bytes) const {
  ifreq request = request_for(name_);
  request.ifr_mtu = static_cast<int>(mtu_bytes);
  return ioctl(socket_, SIOCSIFMTU, &request) == 0;
}

bool KernelInterface::is_admin_up() const {
  ifreq request = request_for(name_);
  return ioctl(socket_, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
}

bool KernelInterface::is_up() const {
  return is_admin_up() && ask_ethtool(socket_, name_, ETHTOOL_GLINK).value_or(1) != 0;
}

bool KernelInterface::set_admin_up(bool up) const {
  ifreq request = request_for(name_);
  if (ioctl(socket_, SIOCGIFFLAGS, &request) != 0)
    return false;
  const int flags = up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP;
  request.ifr_flags = static_cast<short>(flags);
  return ioctl(socket_, SIOCSIFFLAGS, &request) == 0;
}

std::string KernelInterface::mac_address() const {
  ifreq request = request_for(name_);
  if (ioctl(socket_, SIOCGIFHWADDR, &request) != 0 || request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
    return {};
  std::array<std::uint8_t, 6> bytes{};
  std::memcpy(bytes.data(), request.ifr_hwaddr.sa_data, bytes.size());
  return fmt::format("{:02x}", fmt::join(bytes, ":"));
}

bool KernelInterface::merges_frames() const {
  const std::uint32_t flags = ask_ethtool(socket_, name_, ETHTOOL_GFLAGS).value_or(0);
  return ask_ethtool(socket_, name_, ETHTOOL_GGRO).value_or(0) != 0 || (flags & ETH_FLAG_LRO) != 0;
}

bool KernelInterface::sends_pause_frames() const {
  ifreq request = request_for(name_);
  ethtool_pauseparam pause{};
  pause.cmd = ETHTOOL_GPAUSEPARAM;
  request.ifr_data = reinterpret_cast<char*>(&pause);
  return ioctl(socket_, SIOCETHTOOL, &request) == 0 && (pause.rx_pause | pause.tx_pause) != 0;
}

std::string KernelInterface::kernel_driver() const {
  ifreq request = request_for(name_);
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  request.ifr_data = reinterpret_cast<char*>(&info);
  return ioctl(socket_, SIOCETHTOOL, &request) == 0 ? info.driver : "";
}

tl::unexpected<Problems> refuse_interface(const PortSpec& spec, const std::string& found,
                                          std::string allowed) {
  return tl::unexpected(Problems{problem_at(
      spec.mark,
      fmt::format("port '{}': interface '{}' {}", spec.name, spec.settings.interface, found),
      std::move(allowed))});
}

tl::unexpected<Problems> refuse_interface_errno(const PortSpec& spec, const char* step, int error) {
  return refuse_interface(spec, fmt::format("cannot be used: {}: {}", step, std::strerror(error)),
                          advice_for(error));
}

std::vector<std::string> interface_warnings(const PortSpec& spec,
                                            const KernelInterface& interface) {
  std::vector<std::string> warnings;
  if (interface.merges_frames())
    warnings.push_back(fmt::format(
        "port '{0}': receive offload is on at {1}, merged frames would be judged as one; "
        "ethtool -K {1} gro off lro off",
        spec.name, interface.name()));
  if (!interface.is_admin_up())
    warnings.push_back(fmt::format("port '{0}': interface '{1}' is down; ip link set {1} up",
                                   spec.name, interface.name()));
  return warnings;
}

}  // namespace faultline
