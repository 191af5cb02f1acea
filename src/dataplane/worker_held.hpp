// The second half of the worker: packets that waited, for their time or their turn, go on.
#pragma once

#include "dataplane/worker.hpp"

namespace faultline {

template <PacketPort Port, typename Time>
std::uint32_t Worker<Port, Time>::serve(std::uint64_t now_ns) noexcept {
  ServedQueue due;
  decide_.serve_next(due);
  std::uint32_t served = 1;
  for (; due.head != 0; ++served) {
    const ServedPool::Node node = decide_.served().take_head(due);
    if (node.packet != 0)
      go_on(node, now_ns);
    policies_.give_back(node.generation);
  }
  return served;
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::go_on(const ServedPool::Node& node, std::uint64_t now_ns) noexcept {
  const auto queued = act_.take_queued(node.packet);
  if (queued.mbuf == nullptr)
    return;
  HoldKey came = queued.key;
  came.release_ns = node.departure_ns;
  const rte_mbuf* mbuf = queued.mbuf;
  decide_.resume_served(
      *reinterpret_cast<const Resume*>(queued.resume), came, node,
      {rte_pktmbuf_mtod(mbuf, const std::uint8_t*), mbuf->data_len, mbuf->pkt_len}, burst_);
  act_on_one(queued.mbuf, came, now_ns);
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::drop_abandoned() noexcept {
  ServedQueue& abandoned = decide_.served().abandoned();
  while (abandoned.head != 0) {
    const ServedPool::Node node = decide_.served().take_head(abandoned);
    if (node.packet != 0)
      act_.forget_queued(node.packet);
    policies_.give_back(node.generation);
  }
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::flush_held() noexcept {
  act_.held().begin_flush(sequence_);
  const std::uint64_t now_ns = time_.now_ns();
  decide_.open_gates(now_ns);
  while (!decide_.wakes().empty()) {
    ServedQueue all;
    decide_.empty_next(all);
    while (all.head != 0) {
      const ServedPool::Node node = decide_.served().take_head(all);
      const auto queued =
          node.packet != 0 ? act_.take_queued(node.packet) : typename Act<Port>::Queued{};
      HoldKey key = queued.key;
      key.release_ns = now_ns + 1;  // its turn had not come
      if (queued.mbuf != nullptr)
        act_.leave(queued.mbuf, HeldKey::of(key), true, now_ns, departure());
      policies_.give_back(node.generation);
    }
  }
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::resume(rte_mbuf* mbuf, const HeldPacket& held,
                                std::uint64_t now_ns) noexcept {
  const HoldKey came = held.key;
  const auto& record = *reinterpret_cast<const Resume*>(held.resume);
  const std::uint64_t generation = record.policy->generation;
  if (held.flushed) {
    act_.held().pop();
    act_.leave(mbuf, HeldKey::of(came), true, now_ns, departure());
    policies_.give_back(generation);
    return;
  }
  decide_.resume(record, came,
                 {rte_pktmbuf_mtod(mbuf, const std::uint8_t*), mbuf->data_len, mbuf->pkt_len},
                 burst_);
  act_.held().pop();
  act_on_one(mbuf, came, now_ns);
  policies_.give_back(generation);
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::act_on_one(rte_mbuf* mbuf, const HoldKey& came,
                                    std::uint64_t now_ns) noexcept {
  const auto go = [&](rte_mbuf* made, const HoldKey& key) noexcept {
    if (key.release_ns > came.release_ns)
      act_.hold(made, HeldKey::of(key));
    else
      act_.leave(made, HeldKey::of(key), false, now_ns, departure());
  };
  const PathProgram& way =
      decide_.policy()->paths[decide_.policy()->path_of(came.ingress, came.egress)];
  PerPacket<rte_mbuf*> mbufs;
  mbufs[0] = mbuf;
  if (act_.captures()) [[unlikely]] {
    burst_.captured = act_.witness()->captures();
    if (burst_.wants(0) && !came.captured)
      act_.witness()->seen(key_of(0, way), mbuf);
  }
  if (burst_.answer_count > 0) [[unlikely]]
    answer(way, mbufs, go);
  const std::uint32_t copied = decide_.copies();
  for (std::uint32_t at = 0; at < copied; ++at)
    mbufs[1 + at] = duplicate(mbuf, key_of(Decide::kFirstCopy + at, way));
  dispose(mbuf, key_of(0, way), 0, go);
  for (std::uint32_t at = 0; at < copied; ++at)
    if (mbufs[1 + at] != nullptr)
      dispose(mbufs[1 + at], key_of(Decide::kFirstCopy + at, way), Decide::kFirstCopy + at, go);
  if (act_.witness() != nullptr) [[unlikely]]
    act_.witness()->acted();
}

template <PacketPort Port, typename Time>
std::uint32_t Worker<Port, Time>::send_in_turn() noexcept {
  std::uint32_t released = 0;
  for (std::uint32_t i = 0; i < direct_count_; ++i) {
    const std::uint64_t now_ns = direct_[i].key.arrival_ns;
    for (std::uint32_t more = 1; more > 0 && next_release_ns() <= now_ns; released += more) {
      more = release(now_ns);
      act_.finish();
    }
    act_.send(direct_[i].mbuf, direct_[i].key, now_ns);
  }
  direct_count_ = 0;
  return released;
}

}  // namespace faultline
