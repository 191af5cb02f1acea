// What the unit tests share: dice written down a second time from their layout, frames made byte by
// byte, and ways to compile a line of YAML. Nothing here calls the code it is to check.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/config.hpp"
#include "base/error.hpp"
#include "base/int128.hpp"
#include "base/threshold.hpp"
#include "impair/impairment.hpp"

namespace faultline::test {

// --- problems ------------------------------------------------------------------------------------

inline std::vector<std::string> lines_of(const Problems& problems) {
  std::vector<std::string> lines;
  for (const Problem& problem : problems) lines.push_back(to_line(problem));
  return lines;
}

inline ConfigNode tree_of(std::string_view yaml) {
  Result<ConfigNode> tree = parse_config(yaml, "f");
  if (!tree) {
    ADD_FAILURE() << to_line(tree.error().front()) << "\n" << yaml;
    return {};
  }
  return std::move(*tree);
}

// --- dice, from the comment in base/dice.hpp and from SC 2011 ------------------------------------

/// An impairment's dice.
struct DiceName {
  std::uint64_t seed = 0;
  std::string_view rule;
  std::uint32_t impairment = 0;
  std::uint32_t purpose = 0;
};

using Words4 = std::array<std::uint64_t, 4>;

/// Philox4x32-10 as in figure 2 of the paper, in 64-bit words that are cut explicitly.
inline Words4 reference_philox(std::uint64_t key0, std::uint64_t key1, Words4 counter) {
  for (std::uint64_t round = 0; round < 10; ++round) {
    const std::uint64_t round_key0 = (key0 + round * 0x9E3779B9U) & 0xFFFFFFFFU;
    const std::uint64_t round_key1 = (key1 + round * 0xBB67AE85U) & 0xFFFFFFFFU;
    const std::uint64_t left = 0xD2511F53U * counter[0];
    const std::uint64_t right = 0xCD9E8D57U * counter[2];
    counter = {(right >> 32) ^ counter[1] ^ round_key0, right & 0xFFFFFFFFU,
               (left >> 32) ^ counter[3] ^ round_key1, left & 0xFFFFFFFFU};
  }
  return counter;
}

inline std::uint64_t reference_uniform(const DiceName& name, std::uint64_t identity,
                                       std::uint64_t index) {
  std::uint64_t hash = 14'695'981'039'346'656'037U;
  for (const char letter : name.rule)
    hash = (hash ^ static_cast<std::uint8_t>(letter)) * 1'099'511'628'211U;
  const Words4 key =
      reference_philox(name.seed & 0xFFFFFFFFU, name.seed >> 32,
                       {hash & 0xFFFFFFFFU, hash >> 32, name.impairment, name.purpose});
  std::uint64_t uniform = 0;
  for (const std::uint64_t word : {0U, 1U}) {
    const std::uint64_t quarter = index / 4;
    const Words4 block = reference_philox(key[0], key[1],
                                          {quarter & 0xFFFFFFFFU, (quarter >> 32) | (word << 30),
                                           identity & 0xFFFFFFFFU, identity >> 32});
    uniform = (uniform << 32) | block[index % 4];
  }
  return uniform;
}

inline Uint128 share_of(Threshold threshold) {
  return (static_cast<Uint128>(threshold.high) << 32) | threshold.low;
}

/// floor(numerator / denominator · 2^64).
inline Uint128 share_of_fraction(std::uint64_t numerator, std::uint64_t denominator) {
  return (static_cast<Uint128>(numerator) << 64) / denominator;
}

// --- impairments ---------------------------------------------------------------------------------

/// Compiles "{loss: 1%}" or the like; a test fails where that is refused.
inline CompiledImpairment compile_item(std::string_view yaml, const CompileContext& context) {
  Problems problems;
  std::string_view kind;
  const auto compiled = compile_impairment(tree_of(yaml), context, &kind, problems);
  EXPECT_TRUE(compiled.has_value() && problems.empty())
      << yaml << "\n"
      << (problems.empty() ? "" : to_line(problems.front()));
  return compiled.value_or(CompiledImpairment{});
}

/// What the reader says to "{loss: …}": one line a problem, or nothing.
inline std::vector<std::string> item_errors(std::string_view yaml,
                                            const CompileContext& context = {42, "uplink", 0}) {
  Problems problems;
  std::string_view kind;
  const auto compiled = compile_impairment(tree_of(yaml), context, &kind, problems);
  EXPECT_EQ(compiled.has_value(), problems.empty()) << yaml;
  return lines_of(problems);
}

/// What the reader names when it does not know an impairment.
inline constexpr std::string_view kKinds =
    "clock, corrupt, crash, delay, duplicate, equivocate, flap, icmp_unreachable, inject, "
    "link_trace, "
    "loss, mark_ce, "
    "mtu, partition, pause, police, "
    "queue, rate, reject, reorder, replay, set, slot, "
    "stop_after, tcp, truncate";

struct ErrorCase {
  std::string_view yaml;
  std::vector<std::string> lines;
};

/// A scope's state, and a test fails when more of it is touched than the impairment said: in a
/// flow's annex what lies behind is its neighbour's.
class GuardedState {
 public:
  explicit GuardedState(const CompiledImpairment& compiled) : bytes_(compiled.state_bytes) {
    std::fill(all().begin() + bytes_, all().end(), kMark);
  }
  ~GuardedState() {
    EXPECT_TRUE(std::all_of(all().begin() + bytes_, all().end(),
                            [](std::uint8_t byte) { return byte == kMark; }))
        << "touched more than " << bytes_ << " bytes of state";
  }
  GuardedState(const GuardedState&) = delete;
  GuardedState& operator=(const GuardedState&) = delete;

  /// As if the scope had been forgotten.
  void forget() { std::fill(all().begin(), all().begin() + bytes_, std::uint8_t{0}); }

  ScopeState state;

 private:
  static constexpr std::uint8_t kMark = 0xA5;
  std::array<std::uint8_t, ScopeState::kBytes>& all() {
    return state.as<std::array<std::uint8_t, ScopeState::kBytes>>();
  }
  std::uint32_t bytes_;
};

/// One scope of one impairment, asked in bursts.
class ImpairmentBench {
 public:
  ImpairmentBench(std::string_view yaml, const CompileContext& context, std::uint64_t identity)
      : compiled(compile_item(yaml, context)), guarded(compiled), identity_(identity) {}

  /// Which of `numbers` are lost, asked `burst_size` at a time. A packet's number in its flow and
  /// among the scope's matches are the same here.
  std::vector<std::uint64_t> lost(const std::vector<std::uint64_t>& numbers,
                                  std::uint32_t burst_size) {
    std::vector<std::uint64_t> hits;
    JudgedBurst burst{};
    Asked asked{};
    for (std::size_t first = 0; first < numbers.size(); first += burst_size) {
      Selection selection;
      for (std::size_t turn = first; turn < numbers.size() && turn < first + burst_size; ++turn) {
        // Backwards through the burst: positions, not neighbours, say which packet is meant.
        const auto i = static_cast<std::uint8_t>(kBurstMax - 1 - selection.count);
        asked.identity[i] = identity_;
        asked.scope[i] = identity_;
        asked.number[i] = numbers[turn];
        asked.match_number[i] = numbers[turn];
        asked.step[i] = numbers[turn];
        asked.state[i] = &guarded.state;
        burst.time_ns[i] = (numbers[turn] - 1) * spacing_ns;
        burst.length_bytes[i] = length_bytes;
        burst.ecn[i] = ecn;
        burst.reason[i] = DropReason::kNone;
        selection.position[selection.count++] = i;
      }
      compiled.decide(compiled.parameters, asked, burst, selection, tally);
      for (std::uint32_t turn = 0; turn < selection.count; ++turn)
        if (burst.reason[selection.position[turn]] == DropReason::kLoss)
          hits.push_back(numbers[first + turn]);
    }
    return hits;
  }

  CompiledImpairment compiled;
  GuardedState guarded;
  ImpairmentTally tally;
  std::uint64_t spacing_ns = 0;     ///< packet number n comes at (n − 1) · spacing
  std::uint32_t length_bytes = 60;  ///< of every packet
  std::uint8_t ecn = 0;             ///< likewise

 private:
  std::uint64_t identity_;
};

inline std::vector<std::uint64_t> numbers_to(std::uint64_t last) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t number = 1; number <= last; ++number) numbers.push_back(number);
  return numbers;
}

/// Whoever asks in bursts of 1, 7 or 64, forwards through the same packets, loses the same.
inline std::vector<std::uint64_t> lost_in_any_bursts(std::string_view yaml, std::uint64_t identity,
                                                     std::uint64_t last) {
  std::vector<std::uint64_t> first;
  for (const std::uint32_t burst_size : {1U, 7U, 64U}) {
    ImpairmentBench bench(yaml, {42, "uplink", 0}, identity);
    const std::vector<std::uint64_t> lost = bench.lost(numbers_to(last), burst_size);
    if (burst_size == 1)
      first = lost;
    EXPECT_EQ(lost, first) << yaml << " in bursts of " << burst_size;
  }
  return first;
}

inline std::vector<std::uint64_t> first_20(std::vector<std::uint64_t> numbers) {
  numbers.resize(20);
  return numbers;
}

// --- frames --------------------------------------------------------------------------------------

using Bytes = std::vector<std::uint8_t>;

inline void put16(Bytes& bytes, std::size_t at, std::size_t value) {
  bytes.at(at) = static_cast<std::uint8_t>(value >> 8);
  bytes.at(at + 1) = static_cast<std::uint8_t>(value);
}

inline Bytes ethernet(std::size_t ethertype, std::size_t payload_bytes) {
  Bytes frame(14 + payload_bytes, 0);
  for (std::size_t i = 0; i < 6; ++i) {
    frame[i] = static_cast<std::uint8_t>(0xA0 + i);
    frame[6 + i] = static_cast<std::uint8_t>(0xB0 + i);
  }
  put16(frame, 12, ethertype);
  return frame;
}

struct Ports {
  std::uint16_t source = 0;
  std::uint16_t destination = 0;
};

struct Ipv4Frame {
  std::array<std::uint8_t, 4> source{10, 0, 0, 1};
  std::array<std::uint8_t, 4> destination{10, 0, 0, 2};
  std::uint8_t protocol = 17;
  Ports ports{4242, 80};
  std::size_t option_bytes = 0;   ///< a multiple of 4
  std::size_t payload_bytes = 4;  ///< behind the TCP or UDP header
  std::uint16_t fragment = 0;     ///< flags and offset as on the wire
};

inline std::size_t l4_header_bytes(std::uint8_t protocol) {
  return protocol == 6 ? 20 : 8;
}

/// The TCP or UDP header at `at`; other protocols get zeros.
inline void put_l4(Bytes& frame, std::size_t at, std::uint8_t protocol, Ports ports,
                   std::size_t payload_bytes) {
  if (protocol != 6 && protocol != 17)
    return;
  put16(frame, at, ports.source);
  put16(frame, at + 2, ports.destination);
  if (protocol == 6)
    frame.at(at + 12) = 5U << 4;
  else
    put16(frame, at + 4, 8 + payload_bytes);
}

inline Bytes make(const Ipv4Frame& wanted) {
  const std::size_t header = 20 + wanted.option_bytes;
  const std::size_t total = header + l4_header_bytes(wanted.protocol) + wanted.payload_bytes;
  Bytes frame = ethernet(0x0800, total);
  frame[14] = static_cast<std::uint8_t>(0x40 + header / 4);
  put16(frame, 16, total);
  put16(frame, 20, wanted.fragment);
  frame[22] = 64;
  frame[23] = wanted.protocol;
  std::copy(wanted.source.begin(), wanted.source.end(), frame.begin() + 26);
  std::copy(wanted.destination.begin(), wanted.destination.end(), frame.begin() + 30);
  put_l4(frame, 14 + header, wanted.protocol, wanted.ports, wanted.payload_bytes);
  return frame;
}

struct Ipv6Frame {
  std::uint8_t protocol = 17;  ///< the next header
  Ports ports{4242, 80};
  std::size_t payload_bytes = 4;
};

/// From fd00::1 to fd00::2.
inline Bytes make(const Ipv6Frame& wanted) {
  const std::size_t payload = l4_header_bytes(wanted.protocol) + wanted.payload_bytes;
  Bytes frame = ethernet(0x86DD, 40 + payload);
  frame[14] = 0x60;
  put16(frame, 18, payload);
  frame[20] = wanted.protocol;
  frame[21] = 64;
  frame[22] = 0xFD;
  frame[37] = 1;
  frame[38] = 0xFD;
  frame[53] = 2;
  put_l4(frame, 54, wanted.protocol, wanted.ports, wanted.payload_bytes);
  return frame;
}

/// Numbers for structured random tests: the same in every run.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace faultline::test
