// What a packet takes into the hold when it must be judged again at a time of its own: a stage that
// needs packets in the order of their times stands behind one that breaks it. The record lies in
// front of the frame's bytes; a count of matches is taken at arrival, so it lies here too.
#pragma once

#include <cstdint>
#include <span>

#include "base/check.hpp"
#include "policy/policy.hpp"

namespace faultline {

/// One rule that is still to be applied.
struct ResumeRule {
  std::uint64_t match_number = 0;
  std::uint32_t rule = 0;  ///< index into the policy's rules
  std::uint32_t reserved = 0;
};
static_assert(sizeof(ResumeRule) == 16);

struct Resume {
  const Policy* policy = nullptr;  ///< that judged the packet at arrival
  std::uint64_t identity = 0;
  std::uint64_t number = 0;
  std::uint64_t connection_identity = 0;
  std::uint64_t connection_number = 0;
  TcpPlace tcp;
  std::uint64_t arrival_number = 0;
  std::uint64_t entered_ns = 0;  ///< the packet's own time when its present rule took it up
  std::uint16_t step = 0;        ///< of the first rule, from which to go on
  std::uint16_t rules = 0;       ///< how many ResumeRules follow
  std::uint8_t ecn = 0;
  std::uint8_t reserved[3]{};
  std::uint64_t salt = 0;  ///< of a copy's dice
  FlowKey key;             ///< on arrival: edits do not move a packet into another scope
  std::uint32_t padding[3]{};
};
static_assert(sizeof(Resume) % 16 == 0);

/// Which policies parked packets still need. One slot a generation; a generation too far ahead of
/// the oldest is counted apart and pins it.
class PolicyUse {
 public:
  /// `generation` is not before oldest().
  void take(std::uint64_t generation) noexcept {
    if (held_ == 0)
      oldest_ = generation;
    ++held_;
    ++(in_window(generation) ? counts_[generation % kWindow] : outside_);
  }
  void give_back(std::uint64_t generation) noexcept {
    --held_;
    --(in_window(generation) ? counts_[generation % kWindow] : outside_);
    // While something is outside, the window stays where it is: what was counted in it is found
    // there again.
    if (held_ > 0 && outside_ == 0)
      while (counts_[oldest_ % kWindow] == 0) ++oldest_;
  }
  void clear() noexcept { *this = PolicyUse(); }

  /// The oldest generation a packet in the hold needs; UINT64_MAX when there is none.
  std::uint64_t oldest() const noexcept { return held_ == 0 ? UINT64_MAX : oldest_; }

 private:
  static constexpr std::uint64_t kWindow = 1'024;

  bool in_window(std::uint64_t generation) const noexcept {
    FAULTLINE_CHECK(generation >= oldest_);
    return generation - oldest_ < kWindow;
  }

  std::uint64_t counts_[kWindow]{};
  std::uint64_t held_ = 0;
  std::uint64_t outside_ = 0;
  std::uint64_t oldest_ = 0;
};

}  // namespace faultline
