// What a worker does packet by packet: where a burst has copies, answers, or packets that wait.
// Included by worker.hpp, whose members these are.
#pragma once

#include "dataplane/worker.hpp"

namespace faultline {

template <PacketPort Port, typename Time>
void Worker<Port, Time>::act_on_each(BurstPart part, const PathProgram& way,
                                     const PerPacket<rte_mbuf*>& mbufs) noexcept {
  const auto go = [this](rte_mbuf* mbuf, const HoldKey& key) noexcept {
    send_or_hold(mbuf, HeldKey::of(key));
  };
  PerPacket<rte_mbuf*> copies;
  const std::uint32_t copied = decide_.copies();
  std::uint32_t next = 0;
  for (std::uint32_t i = part.first; i < part.first + part.count; ++i) {
    sequence_ = burst_.sequence[i] + 1;
    if (burst_.wants(i)) [[unlikely]]
      act_.witness()->seen(key_of(i, way), mbufs[i]);
    const std::uint32_t first_copy = next;
    for (; next < copied && decide_.copied_from(next) == i; ++next)
      copies[next] = duplicate(mbufs[i], key_of(Decide::kFirstCopy + next, way));
    dispose(mbufs[i], key_of(i, way), i, go);
    for (std::uint32_t at = first_copy; at < next; ++at)
      if (copies[at] != nullptr)
        dispose(copies[at], key_of(Decide::kFirstCopy + at, way), Decide::kFirstCopy + at, go);
  }
}

template <PacketPort Port, typename Time>
template <typename Go>
[[gnu::always_inline]] inline void Worker<Port, Time>::dispose(rte_mbuf* mbuf, const HoldKey& key,
                                                               std::uint32_t i,
                                                               const Go& go) noexcept {
  if (burst_.reason[i] != DropReason::kNone) {
    act_.drop(mbuf, key, burst_.reason[i]);
    return;
  }
  if (burst_.marked[i] || !burst_.edits.empty(i)) {
    mbuf = edit(mbuf, key, i);
    if (mbuf == nullptr)
      return;
  }
  if (decide_.waits(i) != 0)
    queue(mbuf, key, i);
  else if (decide_.resume_bytes(i) > 0)
    park(mbuf, key, i);
  else
    go(mbuf, key);
}

template <PacketPort Port, typename Time>
rte_mbuf* Worker<Port, Time>::duplicate(const rte_mbuf* mbuf, const HoldKey& key) noexcept {
  if (act_.model().is_on()) [[unlikely]]
    act_.model().duplicated(key, mbuf);
  return act_.copy(mbuf, key);
}

template <PacketPort Port, typename Time>
void Worker<Port, Time>::inject_until(std::uint64_t end_ns) noexcept {
  injector_.send_until(end_ns, [this](const DueFrame& due) {
    HoldKey key{due.time_ns, due.time_ns, injected_++, due.ingress, due.egress, kOwnFrame};
    key.captured = act_.captures() && act_.witness()->captures_own(due.rule);
    rte_mbuf* made = act_.inject(key, due);
    if (made == nullptr)
      return;
    ++decide_.counters_of(due.rule.slot).injected;
    send_or_hold(made, HeldKey::of(key));
  });
}

template <PacketPort Port, typename Time>
template <typename Go>
void Worker<Port, Time>::answer(const PathProgram& way, const PerPacket<rte_mbuf*>& mbufs,
                                const Go& go) noexcept {
  std::uint32_t which = 0;
  for (std::uint32_t at = 0; at < burst_.answer_count; ++at) {
    const FrameAnswer& wanted = burst_.answers[at];
    which = at > 0 && burst_.answers[at - 1].of == wanted.of ? which + 1 : 0;
    const HoldKey because = key_of(wanted.of, way);
    const auto number =
        static_cast<std::uint8_t>(kFirstAnswer + kAnswersMax * because.copy + which);
    HoldKey key = because;
    key.egress = wanted.back ? way.ingress : way.egress;
    key.release_ns = wanted.time_ns;
    key.copy = number;
    // No packet was received where copies stand.
    const bool of_copy = decide_.copies() > 0 && wanted.of >= Decide::kFirstCopy;
    const std::uint32_t of =
        of_copy ? decide_.copied_from(wanted.of - Decide::kFirstCopy) : wanted.of;
    rte_mbuf* made = act_.answer(mbufs[of], key, because, wanted, decide_.fields(wanted.of));
    if (made == nullptr)
      continue;
    ++decide_.counters_of(wanted.rule_slot).injected;
    go(made, key);
  }
}

}  // namespace faultline
