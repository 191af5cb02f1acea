// What a worker asks of a port. Two kinds exist: live ones (live_port.hpp) and simulated ones
// in virtual time (drivers/sim.hpp); the worker is the same.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <concepts>
#include <cstdint>

#include "dataplane/hold.hpp"
#include "impair/burst.hpp"

namespace faultline {

/// Packets on their way out of one port, in order, with the keys that put them in that order.
struct OutBurst {
  std::array<rte_mbuf*, kBurstMax> mbufs;
  std::array<HeldKey, kBurstMax> keys;
  std::uint32_t count = 0;
};

/// What became of the packets from the front of a burst.
struct Transmitted {
  std::uint32_t sent = 0;  ///< taken: they are the port's now
  /// The packet after these can never leave this port: the caller drops it and goes on behind it.
  /// False with packets left over: the port is full for the moment.
  bool next_is_refused = false;
};

template <typename P>
concept PacketPort = requires(P& port, rte_mbuf** mbufs, std::uint32_t count, std::uint64_t now_ns,
                              JudgedBurst& judged, const OutBurst& burst) {
  /// Up to `count` received packets.
  { port.receive(mbufs, count) } -> std::same_as<std::uint32_t>;
  /// When each of them arrived; `now_ns` was read after receive() returned. The worker has filled
  /// in running sequence numbers, which a port may replace by its own.
  { port.stamp(mbufs, count, now_ns, judged) } -> std::same_as<void>;
  /// Takes packets of the burst from position `count` on; the rest stays the caller's.
  { port.transmit(burst, count) } -> std::same_as<Transmitted>;
  /// The longest frame that leaves, without FCS. Longer ones are the caller's to drop.
  { port.frame_bytes_max(mbufs[0]) } -> std::same_as<std::uint32_t>;
  /// False while nothing that is sent would arrive.
  { port.carrier() } -> std::same_as<bool>;
  /// Whether that is so because a fault took the link down.
  { port.carrier_is_taken() } -> std::same_as<bool>;
};

}  // namespace faultline
