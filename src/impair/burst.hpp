// What an impairment sees of a burst: plain arrays, one entry a packet. Impairments decide by
// filling them; they own no packet, read no clock and allocate nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace faultline {

inline constexpr std::uint32_t kBurstMax = 64;

/// Why a packet did not leave. One name a reason in the ledger; kNone: it lives.
enum class DropReason : std::uint8_t {
  kNone,
  kLoss,
  kQueue,
  kPolice,
  kPartition,
  kPause,
  kCrash,
  kMtu,
  kReject,
  kFiltered,
  kHeal,
  kShutdown,
  kOverflow,
  kNoMbuf,
  kTxFull,
  kTxError,
};
inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::kTxError) + 1;

/// The reason's name in the statistics object; empty for kNone.
constexpr std::string_view drop_reason_name(DropReason reason) noexcept {
  constexpr std::array<std::string_view, kDropReasons> kNames{
      "",       "loss",     "queue", "police",   "partition", "pause",   "crash",   "mtu",
      "reject", "filtered", "heal",  "shutdown", "overflow",  "no_mbuf", "tx_full", "tx_error"};
  return kNames[static_cast<std::size_t>(reason)];
}

template <typename T>
using PerPacket = std::array<T, kBurstMax>;

struct JudgedBurst {
  PerPacket<std::uint64_t> arrival_ns;    ///< when the packet came in
  PerPacket<std::uint64_t> time_ns;       ///< the packet's own time: arrival, advanced by delays
  PerPacket<std::uint64_t> identity;      ///< of its directed flow
  PerPacket<std::uint64_t> number;        ///< of the packet within its directed flow, from 1
  PerPacket<std::uint32_t> length_bytes;  ///< of the frame, without FCS
  PerPacket<std::uint32_t> sequence;      ///< of the packet at its worker; wraps
  PerPacket<std::uint8_t> ecn;            ///< the IP header's two bits (RFC 3168); 0: not IP
  PerPacket<bool> marked;                 ///< leaves with CE set; `ecn` says so already
  PerPacket<DropReason> reason;           ///< kNone while it lives
};

inline constexpr std::uint8_t kEcnNotCapable = 0;
inline constexpr std::uint8_t kEcnCongestionExperienced = 3;

/// The packets of a burst an impairment is asked about: those that its rule matched and that still
/// live, in arrival order, as positions in the JudgedBurst.
struct Selection {
  std::array<std::uint8_t, kBurstMax> position;
  std::uint32_t count = 0;
};

}  // namespace faultline
