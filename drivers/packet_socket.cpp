// Receiving and sending on packet sockets (packet(7)). A frame that the kernel refuses is known
// when the call returns, so `sent` counts what left and nothing else.
#include "drivers/packet_socket.hpp"

#include <net/ethernet.h>
#include <rte_memcpy.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dataplane/mbufs.hpp"

namespace faultline {
namespace {

constexpr std::uint32_t kAddressesBytes = 12;  // both MAC addresses, in front of a VLAN tag
constexpr std::uint16_t kTagDefault = 0x8100;

/// Whether the refused frame can never leave, or the socket is only full for the moment.
bool refused_for_good(int error) noexcept {
  return error != EAGAIN && error != EWOULDBLOCK && error != EINTR;
}

}  // namespace

PacketSockets::~PacketSockets() {
  if (ring != nullptr)
    munmap(ring, ring_bytes);
  if (receive >= 0)
    close(receive);
  if (send >= 0)
    close(send);
}

PacketSocketPort::PacketSocketPort(std::unique_ptr<PacketSockets> sockets, std::uint32_t mtu_bytes,
                                   rte_mempool* pool)
    : LivePort(mtu_bytes), sockets_(std::move(sockets)), pool_(pool) {
  for (std::uint32_t i = 0; i < kBurstMax; ++i) {
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

/// How many slots from the next one on hold a frame.
std::uint32_t PacketSocketPort::ready(std::uint32_t most) const noexcept {
  std::uint32_t found = 0;
  while (found < most) {
    tpacket2_hdr& header = slot((next_slot_ + found) % sockets_->frames);
    const std::atomic_ref<std::uint32_t> status(header.tp_status);
    if ((status.load(std::memory_order_acquire) & TP_STATUS_USER) == 0)
      break;
    ++found;
  }
  return found;
}

std::uint32_t PacketSocketPort::receive(rte_mbuf** mbufs, std::uint32_t count) noexcept {
  const std::uint32_t found = ready(count);
  // Without mbufs the frames stay in the ring; what the ring then drops, the kernel counts.
  if (found == 0 || rte_pktmbuf_alloc_bulk(pool_, mbufs, found) != 0)
    return 0;
  std::uint32_t received = 0;
  std::uint32_t spoiled = 0;
  std::array<rte_mbuf*, kBurstMax> unused;
  for (std::uint32_t i = 0; i < found; ++i) {
    tpacket2_hdr& header = slot(next_slot_);
    rte_mbuf* mbuf = mbufs[i];
    if (copy_out(header, mbuf))
      mbufs[received++] = mbuf;
    else
      unused[spoiled++] = mbuf;
    std::atomic_ref<std::uint32_t>(header.tp_status)
        .store(TP_STATUS_KERNEL, std::memory_order_release);
    next_slot_ = next_slot_ + 1 == sockets_->frames ? 0 : next_slot_ + 1;
  }
  if (spoiled > 0) {
    rte_mempool_put_bulk(pool_, reinterpret_cast<void* const*>(unused.data()), spoiled);
    rx_errors_.store(rx_errors_.load(std::memory_order_relaxed) + spoiled,
                     std::memory_order_relaxed);
  }
  return received;
}

/// The frame with its VLAN tag back in place (the kernel takes it out). False: cut short, or too
/// long.
bool PacketSocketPort::copy_out(tpacket2_hdr& header, rte_mbuf* mbuf) noexcept {
  const auto* frame = reinterpret_cast<const char*>(&header) + header.tp_mac;
  const std::uint32_t length = header.tp_snaplen;
  const bool tagged = (header.tp_status & TP_STATUS_VLAN_VALID) != 0;
  const std::uint32_t whole = length + (tagged ? kTagBytes : 0);
  if (header.tp_len != length || length < kAddressesBytes || whole > rte_pktmbuf_tailroom(mbuf))
    return false;
  char* bytes = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(whole));
  if (!tagged) {
    rte_memcpy(bytes, frame, length);
    return true;
  }
  const std::uint16_t tag =
      (header.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? header.tp_vlan_tpid : kTagDefault;
  std::memcpy(bytes, frame, kAddressesBytes);
  bytes[12] = static_cast<char>(tag >> 8);
  bytes[13] = static_cast<char>(tag & 0xFF);
  bytes[14] = static_cast<char>(header.tp_vlan_tci >> 8);
  bytes[15] = static_cast<char>(header.tp_vlan_tci & 0xFF);
  std::memcpy(bytes + kAddressesBytes + kTagBytes, frame + kAddressesBytes,
              length - kAddressesBytes);
  return true;
}

Transmitted PacketSocketPort::transmit(const OutBurst& burst, std::uint32_t first) noexcept {
  const std::uint32_t count = burst.count - first;
  for (std::uint32_t i = 0; i < count; ++i) {
    rte_mbuf* mbuf = burst.mbufs[first + i];
    vectors_[i] = {rte_pktmbuf_mtod(mbuf, void*), mbuf->pkt_len};
  }
  const int done = sendmmsg(sockets_->send, messages_.data(), count, MSG_DONTWAIT);
  if (done <= 0)
    return {0, refused_for_good(errno)};
  // The kernel has copied them: they are done with, as after any driver's transmit.
  const auto sent = static_cast<std::uint32_t>(done);
  free_mbufs(&burst.mbufs[first], sent);
  return {sent, false};
}

std::uint64_t PacketSocketPort::missed() {
  // Reading PACKET_STATISTICS resets it, so this is its only reader.
  tpacket_stats statistics{};
  socklen_t length = sizeof statistics;
  if (getsockopt(sockets_->receive, SOL_PACKET, PACKET_STATISTICS, &statistics, &length) == 0)
    rx_missed_ += statistics.tp_drops;
  return rx_missed_;
}

}  // namespace faultline
