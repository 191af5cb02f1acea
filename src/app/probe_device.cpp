// Frames into mbufs and out of them.
#include "app/probe_device.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "dataplane/mbufs.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kPatienceNs = 100'000'000;

}  // namespace

ProbeDevice::ProbeDevice(const std::string& name, std::unique_ptr<Device> device, rte_mempool* pool)
    : ProbePort(name),
      device_(std::move(device)),
      queue_(*device_->queues().front()),
      pool_(pool),
      before_(device_->counters()),
      taken_ns_(monotonic_ns()),
      pieces_(kBurst) {}

ProbeDevice::~ProbeDevice() {
  give_back();
}

void ProbeDevice::give_back() noexcept {
  free_mbufs(received_.data(), received_count_);
  received_count_ = 0;
}

Result<std::size_t> ProbeDevice::send(std::span<const std::span<std::uint8_t>> frames) {
  OutBurst burst{};
  const std::size_t count = std::min(frames.size(), kBurst);
  while (burst.count < count) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool_);
    if (mbuf == nullptr)
      break;  // all are on their way
    const std::span<std::uint8_t> frame = frames[burst.count];
    char* room = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size()));
    FAULTLINE_CHECK(room != nullptr);  // the pool was made for the longest
    std::memcpy(room, frame.data(), frame.size());
    burst.mbufs[burst.count++] = mbuf;
  }
  const Transmitted done = burst.count > 0 ? queue_.transmit(burst, 0) : Transmitted{};
  free_mbufs(burst.mbufs.data() + done.sent, burst.count - done.sent);
  if (done.next_is_refused)
    return failure(
        fmt::format("port '{}' takes no frame of {} bytes", name(), frames[done.sent].size() + 4));
  if (done.sent > 0)
    taken_ns_ = monotonic_ns();
  else if (is_dead())
    return failure(fmt::format("port '{}' takes no frame: it has no carrier any more", name()));
  return std::size_t{done.sent};
}

/// Whether the other end has gone, asked now and then while nothing is taken.
bool ProbeDevice::is_dead() {
  const std::uint64_t now_ns = monotonic_ns();
  if (now_ns - taken_ns_ < kPatienceNs)
    return false;
  taken_ns_ = now_ns;
  device_->watch_link();
  return !device_->carrier();
}

/// In place where it lies in one piece.
std::span<const std::uint8_t> ProbeDevice::bytes_of(const rte_mbuf* mbuf, FrameBytes& whole) const {
  const auto length = std::min<std::uint32_t>(mbuf->pkt_len, kFrameBytesMax);
  const void* bytes = rte_pktmbuf_read(mbuf, 0, length, whole.data());
  return {static_cast<const std::uint8_t*>(bytes), length};
}

std::span<const ReceivedFrame> ProbeDevice::receive() {
  give_back();
  received_count_ = queue_.receive(received_.data(), kBurst);
  const std::uint64_t now_ns = monotonic_ns();
  for (std::uint32_t i = 0; i < received_count_; ++i)
    frames_[i] = {.bytes = bytes_of(received_[i], pieces_[i]), .arrival_ns = now_ns};
  return {frames_.data(), received_count_};
}

std::uint64_t ProbeDevice::missed() {
  const DeviceCounters lost = device_->counters().since(before_);
  return lost.rx_missed + lost.rx_no_mbuf;
}

}  // namespace faultline
