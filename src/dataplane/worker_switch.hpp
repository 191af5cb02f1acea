// What a worker does with the packets of a switch before they are judged: each run of packets for
// one port is judged on the path to it; one that is flooded becomes as many as there are other
// ports, and each is judged on a path of its own. Included by worker.hpp, whose members these are.
#pragma once

#include "dataplane/worker.hpp"

namespace faultline {

template <PacketPort Port, typename Time>
void Worker<Port, Time>::forward(std::uint8_t ingress, PerPacket<rte_mbuf*>& mbufs,
                                 std::uint32_t count) noexcept {
  if (burst_.arrival_ns[0] >= next_instant_ns_)
    advance(burst_.arrival_ns[0]);  // so that there is a policy
  const Policy& policy = *decide_.policy();
  PerPacket<std::uint8_t> egress;
  for (std::uint32_t i = 0; i < count; ++i)
    egress[i] = switching_.egress_of(ingress, {frames_[i].bytes, frames_[i].available},
                                     burst_.arrival_ns[i]);
  for (std::uint32_t first = 0; first < count;) {
    if (egress[first] == Switching::kFilter) {
      const HoldKey key{burst_.arrival_ns[first], burst_.arrival_ns[first], burst_.sequence[first],
                        ingress, ingress};
      act_.drop(mbufs[first], key, DropReason::kFiltered);
      sequence_ = burst_.sequence[first++] + 1;
      continue;
    }
    if (egress[first] == Switching::kFlood) {
      flood(ingress, mbufs, first++);
      continue;
    }
    std::uint32_t end = first + 1;
    while (end < count && egress[end] == egress[first]) ++end;
    handle_run(policy.path_of(ingress, egress[first]), mbufs, first, end);
    first = end;
  }
}

/// The last port gets the packet itself.
template <PacketPort Port, typename Time>
void Worker<Port, Time>::flood(std::uint8_t ingress, PerPacket<rte_mbuf*>& mbufs,
                               std::uint32_t i) noexcept {
  const Policy& policy = *decide_.policy();
  rte_mbuf* original = mbufs[i];
  const auto ports = switching_.ports_with(ingress);
  const std::uint8_t last = ports.back() == ingress ? ports[ports.size() - 2] : ports.back();
  for (const std::uint8_t port : ports) {
    if (port == ingress)
      continue;
    mbufs[i] = original;
    if (port != last) {
      const HoldKey key{burst_.arrival_ns[i], burst_.arrival_ns[i], burst_.sequence[i], ingress,
                        port};
      mbufs[i] = act_.copy(original, key);
    }
    if (mbufs[i] != nullptr)
      handle_run(policy.path_of(ingress, port), mbufs, i, i + 1);
  }
}

}  // namespace faultline
