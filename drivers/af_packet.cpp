// driver: af_packet. Any interface of the machine, veth first of all; needs no huge pages and no
// driver of its own, only cap_net_raw and cap_net_admin.
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "drivers/driver.hpp"
#include "drivers/packet_socket.hpp"

namespace faultline {
namespace {

// A slot holds the kernel's header, its address and the frame; the frame's room is what is left.
constexpr std::uint32_t kSlotOverhead = 66;
constexpr std::uint32_t kSlotBytesPlain = 2'048;
constexpr std::uint32_t kSlotBytesJumbo = 16'384;
constexpr std::uint32_t kBlockBytes = 65'536;
constexpr std::uint32_t kRingBytes = 16 << 20;
constexpr int kSendBufferBytes = 8 << 20;

std::uint32_t slot_bytes_for(std::uint32_t mtu_bytes) {
  return mtu_bytes + 18 + kSlotOverhead <= kSlotBytesPlain ? kSlotBytesPlain : kSlotBytesJumbo;
}

tl::unexpected<Problems> refuse(const PortSpec& spec, std::string found, std::string allowed = {}) {
  return tl::unexpected(Problems{problem_at(
      spec.mark, fmt::format("port '{}': interface '{}' {}", spec.name, spec.interface, found),
      std::move(allowed))});
}

std::string advice_for(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return "root, or a process with cap_net_raw and cap_net_admin";
    case ENOMEM:
      return "about 16 MB of lockable memory a port (ulimit -l)";
    default:
      return {};
  }
}

tl::unexpected<Problems> refuse_errno(const PortSpec& spec, const char* step, int error) {
  return refuse(spec, fmt::format("cannot be used: {}: {}", step, std::strerror(error)),
                advice_for(error));
}

bool set_option(int socket, int option, int value) {
  return setsockopt(socket, SOL_PACKET, option, &value, sizeof value) == 0;
}

Result<void> open_receive(const PortSpec& spec, PacketSockets& sockets,
                          const sockaddr_ll& address) {
  sockets.receive = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (sockets.receive < 0)
    return refuse_errno(spec, "packet socket", errno);
  if (!set_option(sockets.receive, PACKET_VERSION, TPACKET_V2))
    return refuse_errno(spec, "ring version", errno);
  // What this machine's own stack sends through the interface is not the wire's traffic.
  if (!set_option(sockets.receive, PACKET_IGNORE_OUTGOING, 1))
    return refuse_errno(spec, "ignoring outgoing frames (needs Linux 4.20)", errno);
  const tpacket_req ring{kBlockBytes, kRingBytes / kBlockBytes, sockets.frame_bytes,
                         kRingBytes / sockets.frame_bytes};
  if (setsockopt(sockets.receive, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) != 0)
    return refuse_errno(spec, "receive ring", errno);
  void* memory = mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED, sockets.receive, 0);
  if (memory == MAP_FAILED)
    return refuse_errno(spec, "mapping the receive ring", errno);
  sockets.ring = static_cast<std::byte*>(memory);
  sockets.ring_bytes = kRingBytes;
  sockets.frames = ring.tp_frame_nr;
  if (bind(sockets.receive, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return refuse_errno(spec, "binding", errno);
  packet_mreq membership{};
  membership.mr_ifindex = sockets.interface_index;
  membership.mr_type = PACKET_MR_PROMISC;
  if (setsockopt(sockets.receive, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership,
                 sizeof membership) != 0)
    return refuse_errno(spec, "promiscuous mode", errno);
  return {};
}

Result<void> open_send(const PortSpec& spec, PacketSockets& sockets, sockaddr_ll address) {
  sockets.send = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (sockets.send < 0)
    return refuse_errno(spec, "packet socket", errno);
  // Past the queueing discipline: what it dropped would have been counted as sent.
  if (!set_option(sockets.send, PACKET_QDISC_BYPASS, 1))
    return refuse_errno(spec, "passing the queueing discipline by", errno);
  setsockopt(sockets.send, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferBytes, sizeof kSendBufferBytes);
  address.sll_protocol = 0;  // this socket receives nothing
  if (bind(sockets.send, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return refuse_errno(spec, "binding", errno);
  return {};
}

ifreq request_for(const PortSpec& spec) {
  ifreq request{};
  spec.interface.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

/// The interface's own MTU decides what leaves; the scenario may ask for no more than that.
Result<std::uint32_t> check_mtu(const PortSpec& spec, int socket) {
  ifreq request = request_for(spec);
  if (ioctl(socket, SIOCGIFMTU, &request) != 0)
    return refuse_errno(spec, "reading its MTU", errno);
  const auto mtu = static_cast<std::uint32_t>(request.ifr_mtu);
  if (mtu + 18 + kSlotOverhead > kSlotBytesJumbo)
    return refuse(spec, fmt::format("has an MTU of {}", mtu),
                  fmt::format("at most {}", kSlotBytesJumbo - kSlotOverhead - 18));
  return mtu;
}

std::vector<std::string> warnings_for(const PortSpec& spec, int socket) {
  std::vector<std::string> warnings;
  ifreq request = request_for(spec);
  ethtool_value offload{ETHTOOL_GGRO, 0};
  request.ifr_data = reinterpret_cast<char*>(&offload);
  if (ioctl(socket, SIOCETHTOOL, &request) == 0 && offload.data != 0)
    warnings.push_back(fmt::format(
        "port '{0}': generic receive offload is on at {1}, merged frames would be judged as one; "
        "ethtool -K {1} gro off",
        spec.name, spec.interface));
  request = request_for(spec);
  if (ioctl(socket, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) == 0)
    warnings.push_back(fmt::format("port '{0}': interface '{1}' is down; ip link set {1} up",
                                   spec.name, spec.interface));
  return warnings;
}

}  // namespace

/// A whole slot of the ring, so that no frame the kernel gives is too long for an mbuf.
std::uint32_t af_packet_frame_bytes_of(const PortSpec& spec) {
  std::uint32_t mtu = spec.mtu_bytes;
  const int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request = request_for(spec);
  if (ioctl(probe, SIOCGIFMTU, &request) == 0)
    mtu = std::max(mtu, static_cast<std::uint32_t>(request.ifr_mtu));
  close(probe);
  return slot_bytes_for(mtu) + LivePort::kTagBytes;
}

Result<OpenedPort> open_af_packet(const PortSpec& spec, rte_mempool* pool) {
  auto sockets = std::make_unique<PacketSockets>();
  sockets->interface_index = static_cast<int>(if_nametoindex(spec.interface.c_str()));
  if (sockets->interface_index == 0)
    return refuse(spec, "does not exist", "an interface of this network namespace (ip link)");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = sockets->interface_index;
  if (const auto opened = open_send(spec, *sockets, address); !opened)
    return tl::unexpected(opened.error());
  const Result<std::uint32_t> mtu = check_mtu(spec, sockets->send);
  if (!mtu)
    return tl::unexpected(mtu.error());
  sockets->frame_bytes = slot_bytes_for(std::max(*mtu, spec.mtu_bytes));
  if (const auto opened = open_receive(spec, *sockets, address); !opened)
    return tl::unexpected(opened.error());
  OpenedPort opened;
  opened.warnings = warnings_for(spec, sockets->send);
  opened.port = std::make_unique<PacketSocketPort>(std::move(sockets), spec.interface, *mtu, pool);
  opened.port->watch_link();
  return opened;
}

}  // namespace faultline
