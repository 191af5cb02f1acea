// The journal's file: a magic word, then chunks, each with its length and a check, so that a file
// that was cut short can be read up to there. Chunks of JSON say what names mean and how it ended;
// the others are what one worker did, coded in few bytes. See docs/journal.md.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/journal_records.hpp"

namespace faultline {

inline constexpr std::string_view kJournalMagic = "FLJRNL01";

enum class JournalChunk : std::uint8_t {
  kNames = 'N',    ///< JSON: of a generation, ports, rules and their impairments
  kRecords = 'R',  ///< of a worker
  kEnd = 'E',      ///< JSON: how many hits there were, and how many were lost
};

struct JournalChunkHead {
  JournalChunk kind = JournalChunk::kRecords;
  std::uint8_t worker = 0;
  std::uint16_t reserved = 0;
  std::uint32_t bytes = 0;
  std::uint32_t check = 0;  ///< journal_check of what follows
};
static_assert(sizeof(JournalChunkHead) == 12);
inline constexpr std::uint32_t kJournalChunkBytesMax = std::uint32_t{64} << 20;

/// Tells bytes from others.
std::uint32_t journal_check(std::string_view bytes) noexcept;

/// What begins a record of a worker; from kHit on the rest of the byte says how it is coded.
enum class JournalCode : std::uint8_t {
  kGeneration = 1,
  kFlow = 2,
  kDigest = 3,
  kGone = 4,
  kLost = 5,
  kPath = 6,
  kConnection = 7,  ///< behind kFlow: of that flow
  kHit = 0x80,
};
/// Of a hit's first byte: what is as in the hit before, or as it usually is, and is left out.
struct HitCode {
  static constexpr std::uint8_t kSameStep = 1;
  static constexpr std::uint8_t kSameDelay = 2;
  static constexpr std::uint8_t kSameLength = 4;  ///< as its flow's last
  static constexpr std::uint8_t kNextNumber = 8;  ///< of its flow
  static constexpr std::uint8_t kPlain = 16;      ///< delayed, or dropped by it
  static constexpr std::uint8_t kSameArrival = 32;
  static constexpr std::uint8_t kDropped = 64;  ///< with kPlain
};

/// One thing that one impairment did to one packet, or to a copy, or a frame it had made.
struct JournalHit {
  std::uint64_t arrival_ns = 0;
  std::uint64_t number = 0;  ///< in its flow, from 1; 0: it was made here
  std::uint64_t generation = 0;
  std::uint64_t delay_ns = 0;    ///< added by this; less than nothing as a number modulo 2^64
  std::uint64_t release_ns = 0;  ///< where it was sent
  std::uint32_t hash = 0;        ///< frame_hash of the packet as it came in
  std::uint32_t place = kNoFlowPlace;
  std::uint32_t sequence = 0;  ///< at its worker
  std::uint16_t slot = 0;      ///< of its rule
  std::uint16_t length_bytes = 0;
  std::uint8_t step = 0;
  std::uint8_t ingress = 0;
  std::uint8_t egress = 0;
  std::uint8_t copy = 0;
  std::uint8_t copies = 0;
  std::uint8_t flags = 0;  ///< of JournalTouch: kMarked, kEdited, kAnswered
  DropReason reason = DropReason::kNone;
  JournalFate fate = JournalFate::kSent;

  bool operator==(const JournalHit&) const = default;
};

/// What slots and ports of a generation are called.
struct JournalNames {
  struct Rule {
    std::string name;
    std::uint64_t hash = 0;
    std::vector<std::string> kinds;  ///< of its impairments
    bool operator==(const Rule&) const = default;
  };
  std::vector<std::string> ports;
  std::vector<Rule> rules;  ///< by slot; a slot nobody has is empty
  bool operator==(const JournalNames&) const = default;
};
using JournalNamesByGeneration = std::map<std::uint64_t, std::shared_ptr<const JournalNames>>;

struct Policy;
JournalNames journal_names(const Policy& policy, const std::vector<std::string>& ports);
/// As a chunk of kNames; `before` is what the generation before had.
std::string names_text(std::uint64_t generation, const JournalNames& names,
                       const JournalNames* before);
/// Reads such a chunk into `all`. False when it is not one.
bool read_names(std::string_view text, JournalNamesByGeneration& all);

/// Bytes of a record, appended.
class JournalBytes {
 public:
  void byte(std::uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void number(std::uint64_t value) {
    while (value >= 0x80) {
      byte(static_cast<std::uint8_t>(value | 0x80));
      value >>= 7;
    }
    byte(static_cast<std::uint8_t>(value));
  }
  /// The step from one number to another, small in both directions.
  void step(std::uint64_t from, std::uint64_t to) {
    const std::uint64_t ahead = to - from;
    number(ahead << 1 ^ (0 - (ahead >> 63)));
  }
  template <typename Plain>
  void plain(const Plain& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  std::string& text() { return bytes_; }
  const std::string& text() const { return bytes_; }

 private:
  std::string bytes_;
};

/// And read again. Once something was not there, ok() is false and everything else reads as 0.
class JournalCursor {
 public:
  explicit JournalCursor(std::string_view bytes) : left_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return left_.empty(); }
  std::uint8_t byte() {
    std::uint8_t value = 0;
    plain(value);
    return value;
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (std::uint32_t shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = byte();
      value |= std::uint64_t{next & 0x7FU} << shift;
      if (next < 0x80)
        return value;
    }
    fail();
    return 0;
  }
  std::uint64_t step(std::uint64_t from) {
    const std::uint64_t coded = number();
    return from + (coded >> 1 ^ (0 - (coded & 1)));
  }
  template <typename Plain>
  void plain(Plain& value) {
    if (left_.size() < sizeof value) {
      fail();
      return;
    }
    std::memcpy(&value, left_.data(), sizeof value);
    left_.remove_prefix(sizeof value);
  }
  void fail() {
    ok_ = false;
    left_ = {};
  }

 private:
  std::string_view left_;
  bool ok_ = true;
};

}  // namespace faultline
