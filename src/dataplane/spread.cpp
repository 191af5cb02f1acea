// Handing packets to the workers that own their flows.
#include "dataplane/spread.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <string>

#include "dataplane/mbufs.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {
namespace {

constexpr unsigned kSlots = 4'096;

std::string fresh_ring_name() {
  static std::atomic<unsigned> made{0};
  return "handover" + std::to_string(made++);
}

/// The worker that owns the packet's flow.
std::size_t owner_of(const rte_mbuf* mbuf, std::size_t workers) noexcept {
  std::array<std::uint8_t, kParseBytesMax> prefix;
  const auto wanted = std::min<std::uint32_t>(mbuf->pkt_len, kParseBytesMax);
  const auto* bytes =
      static_cast<const std::uint8_t*>(rte_pktmbuf_read(mbuf, 0, wanted, prefix.data()));
  FlowKey key;
  parse_flow_key({bytes, wanted}, mbuf->pkt_len, key);
  return flow_pair_hash(key) % workers;
}

}  // namespace

Handover::Handover(std::size_t workers) : workers_(workers), rings_(workers * workers, nullptr) {
  for (std::size_t from = 0; from < workers; ++from)
    for (std::size_t to = 0; to < workers; ++to)
      if (from != to)
        rings_[from * workers + to] = rte_ring_create(fresh_ring_name().c_str(), kSlots,
                                                      SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

Handover::~Handover() {
  for (rte_ring* ring : rings_) {
    void* mbuf = nullptr;
    while (ring != nullptr && rte_ring_sc_dequeue(ring, &mbuf) == 0)
      rte_pktmbuf_free(static_cast<rte_mbuf*>(mbuf));
    rte_ring_free(ring);
  }
}

bool Handover::complete() const noexcept {
  for (std::size_t i = 0; i < rings_.size(); ++i)
    if (rings_[i] == nullptr && i / workers_ != i % workers_)
      return false;
  return true;
}

std::uint32_t SpreadPort::take_from_others(rte_mbuf** mbufs, std::uint32_t count) noexcept {
  const std::size_t workers = handover_.workers();
  std::uint32_t taken = 0;
  for (std::size_t turn = 0; turn < workers && taken < count; ++turn) {
    const std::size_t from = (next_other_ + turn) % workers;
    if (from != worker_)
      taken += rte_ring_sc_dequeue_burst(handover_.ring(from, worker_),
                                         reinterpret_cast<void**>(mbufs + taken), count - taken,
                                         nullptr);
  }
  next_other_ = next_other_ + 1 < workers ? next_other_ + 1 : 0;
  return taken;
}

void SpreadPort::hand_over(std::size_t to, rte_mbuf** mbufs, std::uint32_t count) noexcept {
  const std::uint32_t taken = rte_ring_sp_enqueue_burst(
      handover_.ring(worker_, to), reinterpret_cast<void* const*>(mbufs), count, nullptr);
  if (taken == count)
    return;
  free_mbufs(mbufs + taken, count - taken);
  lost_.store(lost_.load(std::memory_order_relaxed) + count - taken, std::memory_order_relaxed);
}

std::uint32_t SpreadPort::receive(rte_mbuf** mbufs, std::uint32_t count) noexcept {
  // Half of a burst at most for what others have, so that neither waits for the other for ever.
  std::uint32_t ours = take_from_others(mbufs, count > 1 ? count / 2 : 1);
  PerPacket<rte_mbuf*> received;
  const std::uint32_t came = inner_.receive(received.data(), count - ours);
  PerPacket<std::uint8_t> owners;
  for (std::uint32_t i = 0; i < came; ++i)
    owners[i] = static_cast<std::uint8_t>(owner_of(received[i], handover_.workers()));
  for (std::size_t worker = 0; worker < handover_.workers(); ++worker) {
    PerPacket<rte_mbuf*> theirs;
    std::uint32_t packets = 0;
    for (std::uint32_t i = 0; i < came; ++i)
      if (owners[i] == worker)
        theirs[packets++] = received[i];
    if (worker == worker_)
      for (std::uint32_t i = 0; i < packets; ++i) mbufs[ours++] = theirs[i];
    else if (packets > 0)
      hand_over(worker, theirs.data(), packets);
  }
  return ours;
}

}  // namespace faultline
