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
  std::array<std::uint64_t, kBits / 64> words_{};
};

/// Of one packet. Either half is filled at most once, whatever the number of rules.
struct PayloadHits {
  bool searched = false;
  bool in_stream = false;
  PayloadBits packet;  ///< in its own payload; with `searched`
  PayloadBits stream;  ///< ending in what it added to its stream; with `in_stream`

  void begin() noexcept { searched = in_stream = false; }
};

struct PayloadCounters {
  std::uint64_t scanned = 0;         ///< packets whose payload, or whose stream, was searched
  std::uint64_t streams = 0;         ///< streams begun
  std::uint64_t evicted = 0;         ///< streams that made room for others
  std::uint64_t resynchronised = 0;  ///< streams taken up behind a gap that was not waited for
  std::uint64_t restarted = 0;       ///< streams begun anew for other patterns
};

}  // namespace faultline
