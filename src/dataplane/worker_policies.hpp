// How a worker goes from one policy to the next: it expects what is published, adopts it when
// packet time has come to its instant, and ends rules whose own time is over. Included by
// worker.hpp, whose members these are.
#pragma once

#include <utility>

#include "dataplane/worker.hpp"

namespace faultline {

template <PacketPort Port, typename Time>
void Worker<Port, Time>::expect(const Policy& published) noexcept {
  newest_ = &published;
  if (pending_ != nullptr && pending_->active_from_ns < published.active_from_ns)
    replacement_ = &published;  // the timeline before goes on until then
  else {
    pending_ = &published;
    replacement_ = nullptr;
  }
  next_instant_ns_ = std::min(next_instant_ns_, published.active_from_ns);
  // Copies take the upper half of a burst.
  bool copies = decide_.policy() != nullptr && decide_.policy()->makes_copies();
  reads_payload_ = decide_.policy() != nullptr && decide_.policy()->payload != nullptr;
  injects_ = injector_.next_ns() != kNever;
  for (const Policy* policy = &published; policy != nullptr; policy = policy->next) {
    copies |= policy->makes_copies();
    reads_payload_ |= policy->payload != nullptr;
    injects_ |= policy->injects();
  }
  rx_burst_ = copies ? std::min(settings_.rx_burst, Decide::kFirstCopy) : settings_.rx_burst;
}

template <PacketPort Port, typename Time>
const Policy* Worker<Port, Time>::follower_of(const Policy& adopted) noexcept {
  const Policy* next = adopted.next;
  if (replacement_ == nullptr ||
      (next != nullptr && next->active_from_ns < replacement_->active_from_ns))
    return next;
  return std::exchange(replacement_, nullptr);
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::inject_by(const Policy& policy, std::uint64_t now_ns) noexcept {
  injector_.adopt(policy, now_ns, [this](std::size_t port) { return ports_[port] != nullptr; });
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::advance(std::uint64_t now_ns) noexcept {
  while (next_instant_ns_ <= now_ns) {
    const std::uint64_t instant_ns = next_instant_ns_;
    inject_until(instant_ns);
    if (pending_ != nullptr && pending_->active_from_ns <= instant_ns) {
      const Policy& policy = *pending_;
      pending_ = follower_of(policy);
      decide_.adopt(policy, instant_ns);
      act_.model().adopt(policy.model, policy.zero_ns);
      for (const PathProgram& path : policy.paths)
        if (path.breaks_order)
          act_.expect_overtaking(path.egress);
      inject_by(policy, instant_ns);
      treat_held(policy);
      if (policy.begins_run)
        begin_run();
      adopted_generation_.store(policy.generation, std::memory_order_release);
      if (act_.witness() != nullptr) [[unlikely]]
        act_.witness()->adopted(policy);
    }
    const bool triggered = decide_.is_triggered();
    next_instant_ns_ = kNever;
    if (decide_.policy() != nullptr) {
      next_instant_ns_ = decide_.refresh(instant_ns);
      act_.in_flight().refresh(*decide_.policy(), instant_ns);
    }
    if (triggered)
      inject_by(*decide_.policy(), instant_ns);
    if (pending_ != nullptr)
      next_instant_ns_ = std::min(next_instant_ns_, pending_->active_from_ns);
  }
}

/// What is on its way here and has not left yet came in now.
template <PacketPort Port, typename Time>
void Worker<Port, Time>::begin_run() noexcept {
  const Ledger& before = counters_.ledger;
  const std::uint64_t here =
      before.received + before.copies + before.injected - before.sent - before.dropped_total();
  counters_ = {};
  counters_.ledger.received = here;
  std::fill(port_counters_.begin(), port_counters_.end(), PortCounters{});
  act_.lateness().clear();
  act_.held().begin_peak();
  decide_.begin_run();
  Witness* witness = witness_of_run_.load(std::memory_order_acquire);
  if (witness != nullptr &&
      witness_of_run_.compare_exchange_strong(witness, nullptr, std::memory_order_acq_rel)) {
    set_witness(witness);
    change_witness();
  }
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::watch_losses(BurstPart part, const PerPacket<rte_mbuf*>& mbufs) noexcept {
  const std::uint32_t most = decide_.policy()->model.losses_max;
  if (!decide_.policy()->model.counts_losses())
    return;
  for (std::uint32_t i = part.first; i < part.first + part.count; ++i)
    if (decide_.losses_in_a_row(i, part.path_id, burst_) > most)
      act_.model().unfair(key_of(i, decide_.policy()->paths[part.path_id]), mbufs[i]);
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::change_witness() noexcept {
  Witness* wanted = wanted_witness_.load(std::memory_order_acquire);
  decide_.set_witness(wanted);
  act_.set_witness(wanted);
  witness_.store(wanted, std::memory_order_release);
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::treat_held(const Policy& policy) noexcept {
  switch (policy.held) {
    case HeldAction::kKeep:
      return;
    case HeldAction::kSend:
      flush_held();
      return;
    case HeldAction::kDrop:
      discard_held(policy.held_drop_reason);
      return;
  }
}

}  // namespace faultline
