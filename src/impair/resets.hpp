// Resets of TCP that both ends believe (RFC 5961 makes every other one a question): which are to be
// made of a segment, and how. Which number an end expects depends on what becomes of segments on
// their way, so an end may get two.
#pragma once

#include "impair/edits.hpp"
#include "packet/craft.hpp"

namespace faultline {

// What an answer is: to whom, and with which sequence number in the lower 32 bits. Without kGiven
// it is what the segment itself says: to the receiver its own, to the sender what its ACK asks for.
inline constexpr std::uint64_t kResetReceiver = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kResetGiven = std::uint64_t{1} << 33;

/// First what the end itself asked for, then where it is if all that was sent to it has come. Needs
/// `follows_tcp`.
inline void plan_resets(const Asked& asked, JudgedBurst& burst, std::uint8_t i, bool sender,
                        bool receiver) noexcept {
  const TcpPlace& place = (*asked.tcp)[i];
  if (sender) {
    plan_answer(asked, burst, i, true, 0);
    if (place.sender_differs)
      plan_answer(asked, burst, i, true, kResetGiven | place.sender_next);
  }
  if (receiver) {
    if (place.receiver_differs)
      plan_answer(asked, burst, i, false, kResetReceiver | kResetGiven | place.receiver_next);
    plan_answer(asked, burst, i, false, kResetReceiver);
  }
}

/// The answer function of what plans resets.
inline std::uint32_t answer_reset(const Parameters&, const EditFrame& packet, std::uint64_t what,
                                  std::span<std::uint8_t> out) noexcept {
  const auto given = static_cast<std::uint32_t>(what);
  if ((what & kResetReceiver) == 0)
    return (what & kResetGiven) != 0 ? craft_reset_back(packet, given, out)
                                     : craft_reset(packet, Towards::kSender, 0, out);
  if ((what & kResetGiven) != 0)
    return craft_reset(packet, Towards::kReceiver, given, out);
  const std::uint32_t at = packet.fields().l4_offset + 4U;
  const std::uint32_t sequence = std::uint32_t{packet.word_at(at)} << 16 | packet.word_at(at + 2);
  return craft_reset(packet, Towards::kReceiver, sequence, out);
}

}  // namespace faultline
