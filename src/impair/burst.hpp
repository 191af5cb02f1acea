// What an impairment sees of a burst: plain arrays, one entry a packet. Impairments decide by
// filling them; they own no packet, read no clock and allocate nothing.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
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
  kInFlight,
  kHeal,
  kCarrier,
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
      "",        "loss",     "queue",    "police",   "partition", "pause",
      "crash",   "mtu",      "reject",   "filtered", "in_flight", "heal",
      "carrier", "shutdown", "overflow", "no_mbuf",  "tx_full",   "tx_error"};
  return kNames[static_cast<std::size_t>(reason)];
}

template <typename T>
using PerPacket = std::array<T, kBurstMax>;

/// What a packet has become of one that was fragmented here.
enum class Piece : std::uint8_t { kWhole, kFirst, kLater };

struct CompiledImpairment;

/// One change of a packet's bytes: whose, and by which numbers. The impairment's edit function
/// makes it when the packet's fate is known.
struct Edit {
  const CompiledImpairment* impairment = nullptr;
  std::uint64_t draw = 0;
  std::uint64_t first = 0;  ///< of the numbers that follow from `draw`; see DrawStream
  std::uint16_t rule_slot = 0;
  std::uint16_t next = 0;  ///< place in the log, plus one; 0: the packet's last
};

/// The edits of a burst: for each packet a list, in the order in which they were decided.
class EditLog {
 public:
  /// Edits that one packet may meet. A path with more editing impairments is refused.
  static constexpr std::uint32_t kEditsMax = 32;

  /// No packet has edits.
  void begin() noexcept {
    if (used_ > 0)
      first_.fill(0);
    used_ = 0;
  }
  /// The packet has no edits.
  void clear(std::uint32_t i) noexcept { first_[i] = 0; }
  bool empty(std::uint32_t i) const noexcept { return first_[i] == 0; }
  bool empty() const noexcept { return used_ == 0; }

  void add(std::uint32_t i, const CompiledImpairment& impairment, std::uint16_t rule_slot,
           std::uint64_t draw, std::uint64_t first) noexcept {
    edits_[used_++] = {&impairment, draw, first, rule_slot, 0};
    if (first_[i] == 0)
      first_[i] = used_;
    else
      edits_[last_[i] - 1].next = used_;
    last_[i] = used_;
  }

  /// Packet `to` gets the edits that `from` has so far.
  void copy(std::uint32_t from, std::uint32_t to) noexcept {
    clear(to);
    for (std::uint16_t place = first_[from]; place != 0; place = edits_[place - 1].next) {
      const Edit edit = edits_[place - 1];
      add(to, *edit.impairment, edit.rule_slot, edit.draw, edit.first);
    }
  }

  /// Of the edit added last to the packet, which must have one.
  std::uint64_t last_draw(std::uint32_t i) const noexcept { return edits_[last_[i] - 1].draw; }
  void set_last_draw(std::uint32_t i, std::uint64_t draw) noexcept {
    edits_[last_[i] - 1].draw = draw;
  }

  template <typename Visit>
  void visit(std::uint32_t i, const Visit& visit) const noexcept {
    for (std::uint16_t place = first_[i]; place != 0; place = edits_[place - 1].next)
      visit(edits_[place - 1]);
  }

 private:
  std::array<Edit, kBurstMax * kEditsMax> edits_;
  std::uint16_t used_ = 0;
  PerPacket<std::uint16_t> first_{};
  PerPacket<std::uint16_t> last_;
};

/// A packet that is to be made because of another: an ICMP error, a reset.
struct FrameAnswer {
  const CompiledImpairment* impairment = nullptr;
  std::uint64_t what = 0;     ///< for the impairment's answer function
  std::uint64_t time_ns = 0;  ///< when it leaves
  std::uint16_t rule_slot = 0;
  std::uint8_t of = 0;  ///< the packet, as a position in the burst
  bool back = false;    ///< to where the packet came from; else to where it was going
};

/// Answers that one packet may have.
inline constexpr std::uint32_t kAnswersMax = 4;

/// Whether any entry of a whole burst's array of bytes is not zero.
template <typename Byte>
bool any_of_burst(const PerPacket<Byte>& bytes) noexcept {
  static_assert(sizeof(Byte) == 1);
  std::array<std::uint64_t, kBurstMax / sizeof(std::uint64_t)> words;
  std::memcpy(words.data(), bytes.data(), sizeof words);
  std::uint64_t any = 0;
  for (const std::uint64_t word : words) any |= word;
  return any != 0;
}

struct JudgedBurst {
  PerPacket<std::uint64_t> arrival_ns;    ///< when the packet came in
  PerPacket<std::uint64_t> time_ns;       ///< the packet's own time: arrival, advanced by delays
  PerPacket<std::uint64_t> earliest_ns;   ///< arrival, or the last stage that it waited for
  PerPacket<std::uint64_t> identity;      ///< of its directed flow
  PerPacket<std::uint64_t> number;        ///< of the packet within its directed flow, from 1
  PerPacket<std::uint32_t> length_bytes;  ///< of the frame, without FCS
  PerPacket<std::int16_t> tag_bytes;      ///< by which decided edits move the IP header back
  PerPacket<Piece> piece;                 ///< a later one has no transport header
  PerPacket<std::uint32_t> sequence;      ///< of the packet at its worker; wraps
  PerPacket<std::uint8_t> ecn;            ///< the IP header's two bits (RFC 3168); 0: not IP
  PerPacket<bool> marked;                 ///< leaves with CE set; `ecn` says so already
  PerPacket<DropReason> reason;           ///< kNone while it lives
  PerPacket<std::uint32_t> waits;         ///< place in the pool of served queues; 0: it does not
  PerPacket<std::uint8_t> copies;         ///< wanted of the packet by the impairment just asked
  PerPacket<std::uint8_t> copy;           ///< 0: the packet itself; else which of its copies
  std::uint8_t egress = 0;                ///< port that those judged are on their way to
  std::uint64_t captured = 0;             ///< those that a capture wants, by position
  EditLog edits;
  /// More of a packet are not asked for by one impairment, and it ends the packet's life.
  std::array<FrameAnswer, kAnswersMax * std::size_t{kBurstMax}> answers;
  std::uint32_t answer_count = 0;

  bool any_dropped() const noexcept { return any_of_burst(reason); }
  bool any_marked() const noexcept { return any_of_burst(marked); }
  bool wants(std::uint32_t i) const noexcept { return (captured >> i & 1U) != 0; }
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
