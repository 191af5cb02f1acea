// Who told whom what time it is, and what a wrong clock made of it: a client follows the majority
// of its sources, so whether a lie is believed depends on how many of them lie. A bounded table of
// a worker's, without allocation once it is made.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "impair/clock.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {

/// How a source told the time last.
enum class ClockMode : std::uint8_t {
  kUnknown,
  kBasic,
  kInterleaved,  ///< RFC 9769: the answer to the question before
  kSymmetric,
  kBroadcast,
  kAuthenticated,
  kPtp,
};

/// Empty: it is not known.
constexpr std::string_view clock_mode_name(ClockMode mode) noexcept {
  constexpr std::array<std::string_view, 7> kNames{
      "", "basic", "interleaved", "symmetric", "broadcast", "authenticated", "ptp"};
  return kNames[static_cast<std::size_t>(mode)];
}

/// One who asks, or hears, and one who tells.
struct ToldPair {
  static constexpr std::uint16_t kNoRule = UINT16_MAX;

  std::array<std::uint8_t, 16> client{};  ///< as in FlowKey
  std::array<std::uint8_t, 16> source{};
  FlowKind kind = FlowKind::kLink;
  bool is_ptp = false;
  ClockMode mode = ClockMode::kUnknown;
  ClockRole role = ClockRole::kByItself;  ///< of the rule's node
  bool is_shifted = false;                ///< what was told last
  bool asked_late = false;                ///< the last question, on purpose
  std::uint16_t rule_slot = kNoRule;      ///< that did something last
  std::uint64_t told = 0;                 ///< packets with the source's time
  std::uint64_t rewritten = 0;
  std::uint64_t unrewritable = 0;
  std::uint64_t dropped = 0;
  std::uint64_t late = 0;         ///< on purpose, questions too
  std::int64_t first_ns = 0;      ///< f(t) - t, of the first packet that was rewritten
  std::int64_t last_ns = 0;       ///< likewise, of the last one
  std::uint64_t seen_ns = 0;      ///< when it told last
  std::uint64_t question_in = 0;  ///< receive stamp of the last question
  std::uint64_t question_out = 0;
};

class ClockPairs {
 public:
  static constexpr std::size_t kPairs = 256;

  ClockPairs() : identities_(kPairs), pairs_(kPairs) {}

  std::span<const ToldPair> pairs() const noexcept { return {pairs_.data(), count_}; }
  /// Packets with a time that found no room.
  std::uint64_t uncounted() const noexcept { return uncounted_; }

  void clear() noexcept { count_ = uncounted_ = 0; }
  /// The slot is another rule's from now on.
  void forget_rule(std::uint16_t slot) noexcept;
  /// Becomes as this one is.
  void copy_from(const ClockPairs& other) noexcept;
  /// What another worker has seen, too.
  void add(const ClockPairs& other) noexcept;

  /// A packet passes, whatever becomes of it. Not about time: nothing happens.
  void see(std::span<const std::uint8_t> frame, const FrameFields& fields,
           std::uint64_t now_ns) noexcept;

  /// The pair of a packet that was seen; null where there was no room.
  ToldPair* of_told(const FlowKey& key, bool is_ptp) noexcept;
  ToldPair* of_asked(const FlowKey& key) noexcept;

 private:
  struct Ends {
    const std::array<std::uint8_t, 16>& client;
    const std::array<std::uint8_t, 16>& source;
    FlowKind kind;
    bool is_ptp;
  };
  static Ends told_ends(const FlowKey& key, bool is_ptp) noexcept {
    return {key.destination, key.source, key.kind, is_ptp};
  }
  static Ends asked_ends(const FlowKey& key) noexcept {
    return {key.source, key.destination, key.kind, false};
  }
  static std::uint64_t identity_of(const Ends& ends) noexcept;
  ToldPair* find(const Ends& ends) noexcept;
  ToldPair* find_or_make(const Ends& ends) noexcept;
  void see_ntp(const NtpPacket& packet, const FlowKey& key, std::uint64_t now_ns) noexcept;
  void see_ptp(const PtpMessage& message, const FlowKey& key, std::uint64_t now_ns) noexcept;

  std::vector<std::uint64_t> identities_;  ///< of pairs_, side by side to be looked through
  std::vector<ToldPair> pairs_;
  std::size_t count_ = 0;
  std::uint64_t uncounted_ = 0;
};

}  // namespace faultline
