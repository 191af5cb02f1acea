// driver: af_packet. Any interface of the machine, veth first of all; needs no huge pages and no
// driver of its own, only cap_net_raw and cap_net_admin.
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include <fmt/format.h>

#include "drivers/driver.hpp"
#include "drivers/interface.hpp"
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

bool set_option(int socket, int option, int value) {
  return setsockopt(socket, SOL_PACKET, option, &value, sizeof value) == 0;
}

Result<void> open_receive(const PortSpec& spec, PacketSockets& sockets,
                          const sockaddr_ll& address) {
  sockets.receive = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (sockets.receive < 0)
    return refuse_interface_errno(spec, "packet socket", errno);
  if (!set_option(sockets.receive, PACKET_VERSION, TPACKET_V2))
    return refuse_interface_errno(spec, "ring version", errno);
  // What this machine's own stack sends through the interface is not the wire's traffic.
  if (!set_option(sockets.receive, PACKET_IGNORE_OUTGOING, 1))
    return refuse_interface_errno(spec, "ignoring outgoing frames (needs Linux 4.20)", errno);
  const tpacket_req ring{kBlockBytes, kRingBytes / kBlockBytes, sockets.frame_bytes,
                         kRingBytes / sockets.frame_bytes};
  if (setsockopt(sockets.receive, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) != 0)
    return refuse_interface_errno(spec, "receive ring", errno);
  void* memory = mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED, sockets.receive, 0);
  if (memory == MAP_FAILED)
    return refuse_interface_errno(spec, "mapping the receive ring", errno);
  sockets.ring = static_cast<std::byte*>(memory);
  sockets.ring_bytes = kRingBytes;
  sockets.frames = ring.tp_frame_nr;
  if (bind(sockets.receive, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return refuse_interface_errno(spec, "binding", errno);
  packet_mreq membership{};
  membership.mr_ifindex = sockets.interface_index;
  membership.mr_type = PACKET_MR_PROMISC;
  if (setsockopt(sockets.receive, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership,
                 sizeof membership) != 0)
    return refuse_interface_errno(spec, "promiscuous mode", errno);
  return {};
}

Result<void> open_send(const PortSpec& spec, PacketSockets& sockets, sockaddr_ll address) {
  sockets.send = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (sockets.send < 0)
    return refuse_interface_errno(spec, "packet socket", errno);
  // Past the queueing discipline: what it dropped would have been counted as sent.
  if (!set_option(sockets.send, PACKET_QDISC_BYPASS, 1))
    return refuse_interface_errno(spec, "passing the queueing discipline by", errno);
  setsockopt(sockets.send, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferBytes, sizeof kSendBufferBytes);
  address.sll_protocol = 0;  // this socket receives nothing
  if (bind(sockets.send, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return refuse_interface_errno(spec, "binding", errno);
  return {};
}

/// The interface's own MTU decides what leaves; the scenario may ask for no more than that.
Result<std::uint32_t> check_mtu(const PortSpec& spec, const KernelInterface& interface) {
  const std::optional<std::uint32_t> mtu = interface.mtu_bytes();
  if (!mtu)
    return refuse_interface_errno(spec, "reading its MTU", errno);
  if (*mtu + 18 + kSlotOverhead > kSlotBytesJumbo)
    return refuse_interface(spec, fmt::format("has an MTU of {}", *mtu),
                            fmt::format("at most {}", kSlotBytesJumbo - kSlotOverhead - 18));
  return *mtu;
}

/// Several receive sockets share what comes, by the kernel's own hash of the flow. Which worker a
/// flow belongs to is settled by the workers.
bool join_fanout(const PacketSockets& sockets) {
  const auto group = static_cast<std::uint32_t>(getpid() + sockets.interface_index) & 0xFFFFU;
  const auto type = static_cast<std::uint32_t>(PACKET_FANOUT_HASH) << 16;
  return set_option(sockets.receive, PACKET_FANOUT, static_cast<int>(group | type));
}

class PacketDevice final : public Device {
 public:
  explicit PacketDevice(const std::string& interface) : interface_(interface) {}

  const KernelInterface& interface() const { return interface_; }
  void add(std::unique_ptr<PacketSocketPort> queue) {
    sockets_.push_back(queue.get());
    add_queue(std::move(queue));
  }
  bool force_link(bool up) override { return interface_.set_admin_up(up); }
  DeviceCounters counters() override {
    DeviceCounters sum;
    for (PacketSocketPort* queue : sockets_) {
      sum.rx_missed += queue->missed();
      sum.rx_errors += queue->errors();
    }
    return sum;
  }
  std::string mac_address() override { return interface_.mac_address(); }

 private:
  bool link_is_up() override { return interface_.is_up(); }

  KernelInterface interface_;
  std::vector<PacketSocketPort*> sockets_;
};

Result<std::unique_ptr<PacketSockets>> open_queue(const PortSpec& spec, const sockaddr_ll& address,
                                                  std::uint32_t mtu_bytes) {
  auto sockets = std::make_unique<PacketSockets>();
  sockets->interface_index = address.sll_ifindex;
  if (const auto opened = open_send(spec, *sockets, address); !opened)
    return tl::unexpected(opened.error());
  sockets->frame_bytes = slot_bytes_for(std::max(mtu_bytes, spec.settings.mtu_bytes));
  if (const auto opened = open_receive(spec, *sockets, address); !opened)
    return tl::unexpected(opened.error());
  if (spec.settings.queues > 1 && !join_fanout(*sockets))
    return refuse_interface_errno(spec, "sharing what comes between queues", errno);
  return sockets;
}

}  // namespace

/// A whole slot of the ring, so that no frame the kernel gives is too long for an mbuf.
std::uint32_t af_packet_frame_bytes_of(const PortSpec& spec) {
  const KernelInterface interface(spec.settings.interface);
  return slot_bytes_for(std::max(spec.settings.mtu_bytes, interface.mtu_bytes().value_or(0))) +
         LivePort::kTagBytes;
}

Result<OpenedPort> open_af_packet(const PortSpec& spec, rte_mempool* pool) {
  auto device = std::make_unique<PacketDevice>(spec.settings.interface);
  const KernelInterface& interface = device->interface();
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = interface.index();
  if (address.sll_ifindex == 0)
    return refuse_interface(spec, "does not exist",
                            "an interface of this network namespace (ip link)");
  const Result<std::uint32_t> mtu = check_mtu(spec, interface);
  if (!mtu)
    return tl::unexpected(mtu.error());
  for (std::uint16_t queue = 0; queue < spec.settings.queues; ++queue) {
    Result<std::unique_ptr<PacketSockets>> sockets = open_queue(spec, address, *mtu);
    if (!sockets)
      return tl::unexpected(sockets.error());
    device->add(std::make_unique<PacketSocketPort>(std::move(*sockets), *mtu, pool));
  }
  device->watch_link();
  std::vector<std::string> warnings = interface_warnings(spec, interface);
  return OpenedPort{std::move(device), std::move(warnings)};
}

}  // namespace faultline
