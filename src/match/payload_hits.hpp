// What was found in a packet's payload, and what a worker counts of searching.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace faultline {

/// A bit for each `payload:` of a policy.
class PayloadBits {
 public:
  static constexpr std::size_t kBits = 1'024;

  /// The first `bits` of them; nobody looks at others.
  void clear(std::size_t bits) noexcept {
    for (std::size_t word = 0; word * 64 < bits; ++word) words_[word] = 0;
  }
  void set(std::size_t bit) noexcept { words_[bit / 64] |= std::uint64_t{1} << (bit % 64); }
  bool test(std::size_t bit) const noexcept { return (words_[bit / 64] >> (bit % 64) & 1) != 0; }

 private:
  std::array<std::uint64_t, kBits / 64> words_;
};

/// Of one packet. Either half is filled at most once, whatever the number of rules. Bits are
/// cleared by the first one that is set: most searches find nothing and touch none.
class PayloadHits {
 public:
  enum class Half : std::uint8_t {
    kPacket,  ///< in its own payload
    kStream,  ///< ending in what it added to its stream
  };

  /// Nothing was searched.
  void begin() noexcept { state_ = {State::kNotSearched, State::kNotSearched}; }
  /// The half is searched from now on.
  void search(Half half) noexcept { state(half) = State::kNothing; }
  bool searched(Half half) const noexcept {
    return state_[static_cast<std::size_t>(half)] != State::kNotSearched;
  }
  /// Found: query `bit` of `bits` in all.
  void set(Half half, std::size_t bit, std::size_t bits) noexcept {
    PayloadBits& found = bits_[static_cast<std::size_t>(half)];
    if (state(half) != State::kSomething)
      found.clear(bits);
    state(half) = State::kSomething;
    found.set(bit);
  }
  /// Whether it was searched for and not found.
  bool lacks(Half half, std::size_t bit) const noexcept {
    return searched(half) && !test(half, bit);
  }
  bool test(Half half, std::size_t bit) const noexcept {
    return state_[static_cast<std::size_t>(half)] == State::kSomething &&
           bits_[static_cast<std::size_t>(half)].test(bit);
  }

 private:
  enum class State : std::uint8_t { kNotSearched, kNothing, kSomething };
  State& state(Half half) noexcept { return state_[static_cast<std::size_t>(half)]; }

  std::array<State, 2> state_{};
  std::array<PayloadBits, 2> bits_;  ///< where the state is kSomething
};

struct PayloadCounters {
  std::uint64_t scanned = 0;         ///< packets whose payload, or whose stream, was searched
  std::uint64_t streams = 0;         ///< streams begun
  std::uint64_t evicted = 0;         ///< streams that made room for others
  std::uint64_t resynchronised = 0;  ///< streams taken up behind a gap that was not waited for
  std::uint64_t restarted = 0;       ///< streams begun anew for other patterns
};

}  // namespace faultline
