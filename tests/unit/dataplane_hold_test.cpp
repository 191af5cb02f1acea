// The hold against a sorted map: same packets, same order, same bytes, and every byte of memory
// back.
#include "dataplane/hold.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "tests/unit/support.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;

/// What a loose packet takes beside its record.
constexpr std::uint64_t kLinkBytes = 8;

/// What a record takes in the log: a head of 24 bytes, the frame, up to a multiple of 8.
std::uint64_t record_bytes(std::uint64_t length) {
  return (24 + length + 7) / 8 * 8;
}

/// Bytes that tell this packet from any other, also at its last byte.
std::vector<std::byte> payload_of(std::uint32_t sequence, std::uint32_t length) {
  std::vector<std::byte> bytes(length);
  std::uint32_t state = sequence * 2'654'435'761U + length;
  for (std::byte& byte : bytes) {
    state = state * 1'664'525U + 1'013'904'223U;
    byte = static_cast<std::byte>(state >> 24);
  }
  return bytes;
}

/// A hold and, beside it, the map it must be equal to.
class Model {
 public:
  explicit Model(std::uint64_t bytes) : hold(bytes) {}

  /// Pushes into both; false when the hold is full.
  bool push(std::uint64_t release_ns, std::uint64_t arrival_ns, std::uint32_t length,
            std::uint8_t ingress = 0) {
    const HoldKey key{release_ns, arrival_ns, static_cast<std::uint32_t>(next_), ingress,
                      static_cast<std::uint8_t>(1 - ingress)};
    const std::uint64_t loose = hold.loose_packets();
    std::byte* place = hold.push(key, {0, length});
    if (place == nullptr)
      return false;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(place) % 8, 0U);
    const std::vector<std::byte> bytes = payload_of(key.sequence, length);
    std::memcpy(place, bytes.data(), length);
    waiting.emplace(std::tuple(release_ns, arrival_ns, ingress, next_), length);
    ++next_;
    held_bytes_ += record_bytes(length) + (hold.loose_packets() - loose) * kLinkBytes;
    peak_bytes_ = std::max(peak_bytes_, held_bytes_);
    return true;
  }

  /// Pops from both and compares everything there is to compare.
  void pop() {
    ASSERT_FALSE(waiting.empty());
    check_counters();
    const auto expected = waiting.begin();
    const auto& [release_ns, arrival_ns, ingress, number] = expected->first;
    EXPECT_EQ(hold.next_release_ns(), release_ns);
    const HeldPacket held = hold.front();
    EXPECT_EQ(held.key.release_ns, release_ns);
    EXPECT_EQ(held.key.arrival_ns, arrival_ns);
    EXPECT_EQ(held.key.ingress, ingress);
    EXPECT_EQ(held.key.egress, static_cast<std::uint8_t>(1 - ingress));
    EXPECT_EQ(held.key.sequence, static_cast<std::uint32_t>(number));
    EXPECT_FALSE(held.flushed);
    take(expected, held);
  }

  /// Pops a packet that the flush must give: the one with the lowest number.
  void pop_flushed() {
    const auto expected =
        std::min_element(waiting.begin(), waiting.end(), [](const auto& left, const auto& right) {
          return std::get<3>(left.first) < std::get<3>(right.first);
        });
    ASSERT_NE(expected, waiting.end());
    EXPECT_EQ(hold.next_release_ns(), 0U);
    const HeldPacket held = hold.front();
    EXPECT_TRUE(held.flushed);
    EXPECT_EQ(held.key.release_ns, std::get<0>(expected->first));
    EXPECT_EQ(held.key.sequence, static_cast<std::uint32_t>(std::get<3>(expected->first)));
    take(expected, held);
  }

  void drain() {
    while (!waiting.empty() && !testing::Test::HasFailure()) pop();
    check_counters();
  }

  void check_counters() const {
    EXPECT_EQ(hold.packets(), waiting.size());
    EXPECT_EQ(hold.bytes(), held_bytes_);
    EXPECT_EQ(hold.peak_bytes(), peak_bytes_);
    EXPECT_EQ(hold.empty(), waiting.empty());
    if (waiting.empty()) {
      EXPECT_EQ(hold.next_release_ns(), UINT64_MAX);
      EXPECT_EQ(hold.lines(), 0U);
      EXPECT_EQ(hold.loose_packets(), 0U);
    }
  }

  void set_next(std::uint64_t number) { next_ = number; }
  std::uint64_t next() const { return next_; }

  Hold hold;
  using Key = std::tuple<std::uint64_t, std::uint64_t, std::uint8_t, std::uint64_t>;
  std::multimap<Key, std::uint32_t> waiting;

 private:
  void take(std::multimap<Key, std::uint32_t>::const_iterator expected, const HeldPacket& held) {
    const std::uint32_t length = expected->second;
    ASSERT_EQ(held.length, length);
    const std::vector<std::byte> bytes = payload_of(held.key.sequence, length);
    EXPECT_EQ(std::memcmp(held.bytes, bytes.data(), length), 0) << held.key.sequence;
    const std::uint64_t loose = hold.loose_packets();
    hold.pop();
    held_bytes_ -= record_bytes(length) + (loose - hold.loose_packets()) * kLinkBytes;
    waiting.erase(expected);
  }

  std::uint64_t next_ = 0;
  std::uint64_t held_bytes_ = 0;
  std::uint64_t peak_bytes_ = 0;
};

struct Traffic {
  std::string_view name;
  std::function<std::uint64_t(std::uint64_t packet, test::Random&)> delay_ns;
  std::uint32_t lines_max;
};

const std::vector<Traffic>& traffics() {
  static const std::vector<Traffic> all{
      {"one constant delay", [](std::uint64_t, test::Random&) { return 40'000U; }, 1},
      {"no delay", [](std::uint64_t, test::Random&) { return 0U; }, 1},
      {"three delays in turn",
       [](std::uint64_t packet, test::Random&) { return 1'000 + packet % 3 * 20'000; }, 3},
      {"eight delays at random",
       [](std::uint64_t, test::Random& random) { return random.below(8) * 5'000; }, 8},
      {"any delay", [](std::uint64_t, test::Random& random) { return random.below(100'000); },
       Hold::kLinesMax},
      {"mostly short, some very long",
       [](std::uint64_t, test::Random& random) {
         return random.below(50) == 0 ? 1'000'000 + random.below(9) : 10'000U;
       },
       Hold::kLinesMax},
  };
  return all;
}

TEST(DataplaneHold, IsAMapSortedByReleaseArrivalPortAndSequence) {
  for (const Traffic& traffic : traffics()) {
    Model model(64 * kMebibyte);
    test::Random random(5);
    std::uint64_t now_ns = 0;
    std::uint32_t lines_seen = 0;
    for (std::uint64_t packet = 0; packet < 100'000 && !HasFailure(); ++packet) {
      // Bursts of equal arrivals, port 0 first, as a worker polls: what is pushed later never
      // goes before an equal release.
      now_ns += packet % 4 == 0 ? 1 + random.below(400) : 0;
      const auto length =
          static_cast<std::uint32_t>(14 + random.below(packet % 64 == 0 ? 9'000 : 200));
      ASSERT_TRUE(model.push(now_ns + traffic.delay_ns(packet, random), now_ns, length,
                             packet % 4 < 2 ? 0 : 1));
      lines_seen = std::max(lines_seen, model.hold.lines());
      while (!HasFailure() && model.hold.next_release_ns() <= now_ns) model.pop();
      EXPECT_TRUE(model.waiting.empty() || std::get<0>(model.waiting.begin()->first) > now_ns);
    }
    EXPECT_LE(lines_seen, traffic.lines_max) << traffic.name;
    model.drain();
    ASSERT_FALSE(HasFailure()) << traffic.name;
  }
}

TEST(DataplaneHold, EveryLengthKeepsItsBytes) {
  Model model(64 * kMebibyte);
  std::uint64_t now_ns = 0;
  for (std::uint32_t length = 14; length <= Hold::kFrameBytesMax;
       length += length < 300 ? 1 : 997) {
    ASSERT_TRUE(model.push(now_ns + 1'000'000, now_ns, length)) << length;
    ++now_ns;
  }
  for (const std::uint32_t length : {1U, 8U, 13U, Hold::kFrameBytesMax - 1, Hold::kFrameBytesMax})
    ASSERT_TRUE(model.push(now_ns + 1'000'000, now_ns, length)) << length;
  model.drain();
}

TEST(DataplaneHold, ChunksTurnOver) {
  // Three chunks carry any amount of traffic whose delay is worth less than two.
  Model model(3 * Hold::kChunkBytes);
  EXPECT_EQ(model.hold.capacity_bytes(), 3U * Hold::kChunkBytes);
  std::uint64_t now_ns = 0;
  for (std::uint32_t packet = 0; packet < 20'000 && !HasFailure(); ++packet) {
    now_ns += 1'000;
    while (model.hold.next_release_ns() <= now_ns && !HasFailure()) model.pop();
    ASSERT_TRUE(model.push(now_ns + 50'000, now_ns, 60 + packet % 1'400)) << packet;
  }
  model.drain();
}

struct FillCase {
  std::uint32_t length;
  std::uint64_t packets_a_chunk;
};

TEST(DataplaneHold, FullHoldRefusesAndRecovers) {
  // (65536 − 8) bytes of a chunk, divided by records.
  const FillCase cases[] = {{60, 744}, {1'500, 42}, {32'700, 2}, {65'000, 1}, {14, 1'638}};
  constexpr std::uint64_t kChunks = 5;
  for (const FillCase& one : cases) {
    Model model(kChunks * Hold::kChunkBytes + 1'000);  // what is no whole chunk is not used
    ASSERT_EQ(model.hold.capacity_bytes(), kChunks * Hold::kChunkBytes);
    for (int round = 0; round < 3 && !HasFailure(); ++round) {
      std::uint64_t stored = 0;
      while (model.push(1'000 + stored, stored, one.length)) ++stored;
      EXPECT_EQ(stored, kChunks * one.packets_a_chunk) << one.length << " round " << round;
      const std::uint64_t peak = model.hold.peak_bytes();
      EXPECT_FALSE(model.push(1'000 + stored, stored, one.length)) << "and refuses again";
      EXPECT_FALSE(model.push(1, 0, one.length)) << "also where a new line would be needed";
      EXPECT_EQ(model.hold.peak_bytes(), peak);
      for (std::uint64_t packet = 0; packet < one.packets_a_chunk && !HasFailure(); ++packet)
        model.pop();
      EXPECT_TRUE(model.push(1'000 + stored, stored, one.length)) << "one chunk came back";
      model.drain();
    }
  }
}

TEST(DataplaneHold, AChunkIsUsedToItsLastByte) {
  Model model(Hold::kChunkBytes);
  const std::uint64_t left = Hold::kChunkBytes - 8 - record_bytes(65'000);
  const auto fits = static_cast<std::uint32_t>(left - 24);
  ASSERT_TRUE(model.push(1'000, 0, 65'000));
  EXPECT_FALSE(model.push(1'000, 1, fits + 1)) << "eight bytes too many";
  EXPECT_TRUE(model.push(1'000, 1, fits));
  EXPECT_FALSE(model.push(1'000, 2, 1));
  model.drain();
}

TEST(DataplaneHold, MemoryReturnsFromLinesAndLoosePackets) {
  // Ever earlier releases: the first packets have a line each, the others are loose.
  constexpr std::uint64_t kChunks = 20;
  Model model(kChunks * Hold::kChunkBytes);
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t stored = 0; stored < 1'000; ++stored) {
      ASSERT_TRUE(model.push(1'000'000 - stored, 500'000 - stored, 100));
    }
    EXPECT_EQ(model.hold.lines(), Hold::kLinesMax);
    EXPECT_EQ(model.hold.loose_packets(), 1'000U - Hold::kLinesMax);
    model.drain();
    // All chunks are free again: one line can have every one of them.
    std::uint64_t filled = 0;
    while (model.push(2'000'000 + filled, filled, 65'000)) ++filled;
    EXPECT_EQ(filled, kChunks);
    model.drain();
  }
}

TEST(DataplaneHold, LoosePacketsFillEveryChunk) {
  constexpr std::uint64_t kChunks = Hold::kLinesMax + 3;
  Model model(kChunks * Hold::kChunkBytes);
  std::uint64_t stored = 0;
  while (model.push(10'000'000 - stored, 0, 60)) ++stored;
  EXPECT_EQ(stored, Hold::kLinesMax + 3 * (65'528 / record_bytes(60)));
  EXPECT_TRUE(model.push(20'000'000, 0, 60)) << "what fits a line still has room in its chunk";
  model.drain();
}

TEST(DataplaneHold, LoosePacketsOfAnyWaitShareTheLastChunk) {
  Model model((Hold::kLinesMax + 1) * std::uint64_t{Hold::kChunkBytes});
  for (std::uint64_t line = 0; line < Hold::kLinesMax; ++line)
    ASSERT_TRUE(model.push(1'000'000'000'000 - line, 0, 60));
  for (std::uint64_t wait_ns = 1; wait_ns < 500'000'000'000; wait_ns *= 2)
    ASSERT_TRUE(model.push(wait_ns, 0, 60)) << wait_ns;
  EXPECT_GT(model.hold.loose_packets(), 30U);
  model.drain();
}

TEST(DataplaneHold, LoosePacketsLeaveInOrderOverEveryReach) {
  // Waits from nanoseconds to days, so that all levels of the wheel are in use, and far ones first:
  // what is at hand must make way for what comes later and goes before.
  test::Random random(8);
  for (const std::uint64_t reach_ns :
       {std::uint64_t{3'000}, std::uint64_t{3'000'000}, std::uint64_t{3'000'000'000},
        std::uint64_t{200'000'000'000}, std::uint64_t{250'000'000'000'000}}) {
    Model model(64 * kMebibyte);
    std::uint64_t now_ns = 77;
    for (std::uint64_t packet = 0; packet < 20'000 && !HasFailure(); ++packet) {
      if (packet % 8 == 0)
        now_ns += random.below(reach_ns / 2'000);
      const std::uint64_t wait_ns = packet < 40 ? reach_ns - packet : random.below(reach_ns);
      ASSERT_TRUE(model.push(now_ns + wait_ns, now_ns, 60));
      while (!HasFailure() && model.hold.next_release_ns() <= now_ns) model.pop();
      // And a pause in which most of them leave.
      if (packet % 5'000 == 4'999)
        now_ns += reach_ns / 2;
    }
    EXPECT_GT(model.hold.loose_packets(), 100U);
    model.drain();
    ASSERT_FALSE(HasFailure()) << reach_ns;
  }
}

TEST(DataplaneHold, ManyLoosePacketsOfOneInstant) {
  Model model(64 * kMebibyte);
  for (std::uint64_t line = 0; line < Hold::kLinesMax; ++line)
    ASSERT_TRUE(model.push(2'000'000'000 - line, 0, 60));
  // All in one slot, then earlier ones in between: that slot is closed and opened again.
  for (std::uint64_t packet = 0; packet < 5'000; ++packet) {
    ASSERT_TRUE(model.push(1'000'000'000, packet, 60));
    if (packet % 10 == 9) {
      ASSERT_TRUE(model.push(900'000'000 - packet * 1'000, packet, 60));
    }
  }
  model.drain();
}

TEST(DataplaneHold, APacketHeldLongPinsOneChunk) {
  Model model(4 * Hold::kChunkBytes);
  ASSERT_TRUE(model.push(60'000'000'000, 0, 60));
  for (std::uint64_t now_ns = 1; now_ns < 10'000 && !HasFailure(); ++now_ns) {
    while (model.hold.next_release_ns() <= now_ns && !HasFailure()) model.pop();
    ASSERT_TRUE(model.push(now_ns + 30, now_ns, 1'500)) << now_ns;
  }
  EXPECT_EQ(model.hold.lines(), 2U);
  model.drain();
}

TEST(DataplaneHold, EqualReleasesLeaveByArrivalThenPortThenSequence) {
  Model model(kMebibyte);
  // Ten packets that all leave at 1000, on five lines.
  for (const std::uint64_t arrival_ns : {100U, 200U, 300U, 400U, 500U}) {
    for (const std::uint8_t ingress : std::to_array<std::uint8_t>({0, 0, 1, 1}))
      ASSERT_TRUE(model.push(1'000, arrival_ns, 60, ingress));
    ASSERT_TRUE(model.push(1'000 + 600 - arrival_ns, arrival_ns, 60, 1));
  }
  model.drain();
}

TEST(DataplaneHold, ThePortGoesBeforeTheSequence) {
  Model model(kMebibyte);
  ASSERT_TRUE(model.push(1'000, 100, 60, 1));
  ASSERT_TRUE(model.push(2'000, 100, 60, 1));  // takes the first line's end away
  ASSERT_TRUE(model.push(1'000, 100, 60, 0));
  EXPECT_EQ(model.hold.lines(), 2U);
  EXPECT_EQ(model.hold.front().key.sequence, 2U);
  model.drain();
}

TEST(DataplaneHold, FlushLeavesInTheOrderOfArrival) {
  for (const Traffic& traffic : traffics()) {
    Model model(16 * kMebibyte);
    test::Random random(6);
    for (std::uint64_t packet = 0; packet < 2'000; ++packet)
      ASSERT_TRUE(model.push(packet + traffic.delay_ns(packet, random), packet, 60));
    for (int early = 0; early < 100; ++early) model.pop();
    const std::size_t flushed = model.waiting.size();
    model.hold.begin_flush(static_cast<std::uint32_t>(model.next()));
    // Packets that come meanwhile wait for their own time.
    for (std::uint64_t packet = 0; packet < 200; ++packet)
      ASSERT_TRUE(model.push(2'000 + packet, 2'000 + packet, 60));
    for (std::size_t left = flushed; left > 0 && !HasFailure(); --left) {
      if (left % 500 == 0) {
        ASSERT_TRUE(model.push(2'200 + traffic.delay_ns(left, random), 2'200, 60));
      }
      model.pop_flushed();
    }
    ASSERT_FALSE(HasFailure()) << traffic.name;
    model.drain();
  }
}

TEST(DataplaneHold, FlushTouchesNothingFromItsEnd) {
  Model model(kMebibyte);
  for (std::uint64_t packet = 0; packet < 10; ++packet)
    ASSERT_TRUE(model.push(1'000 - packet * 10, packet, 60));
  model.hold.begin_flush(6);
  for (int packet = 0; packet < 6; ++packet) model.pop_flushed();
  EXPECT_EQ(model.hold.next_release_ns(), 910U) << "9, the earliest of 6 … 9";
  model.drain();
}

TEST(DataplaneHold, FlushOfNothingChangesNothing) {
  Model model(kMebibyte);
  model.hold.begin_flush(0);
  EXPECT_EQ(model.hold.next_release_ns(), UINT64_MAX);
  ASSERT_TRUE(model.push(50, 0, 60));
  EXPECT_EQ(model.hold.next_release_ns(), 50U) << "an empty hold had nothing to flush";
  model.hold.begin_flush(0);
  EXPECT_EQ(model.hold.next_release_ns(), 50U) << "packet 0 is not before 0";
  ASSERT_TRUE(model.push(40, 1, 60));
  model.drain();
}

TEST(DataplaneHold, AFlushThatIsOverStaysOver) {
  // 2^31 packets later the numbers before `end` come again: they are other packets.
  Model model(kMebibyte);
  model.hold.begin_flush(5);
  model.set_next((std::uint64_t{1} << 31) + 50);
  ASSERT_TRUE(model.push(70, 60, 60));
  EXPECT_EQ(model.hold.next_release_ns(), 70U) << "there was nothing to flush";
  model.drain();
  model.set_next(0);
  ASSERT_TRUE(model.push(90, 60, 60));
  ASSERT_TRUE(model.push(80, 60, 60));
  ASSERT_TRUE(model.push(10'000, 60, 60));
  model.hold.begin_flush(2);
  model.pop_flushed();
  model.pop_flushed();
  model.set_next((std::uint64_t{1} << 31) + 50);
  ASSERT_TRUE(model.push(9'000, 60, 60));
  model.drain();
}

TEST(DataplaneHold, FlushClosesLinesInAnyOrder) {
  // Without a flush the line opened last is empty first; here it is the first line.
  Model model(kMebibyte);
  ASSERT_TRUE(model.push(1'000, 0, 60));
  ASSERT_TRUE(model.push(900, 0, 60));
  ASSERT_TRUE(model.push(800, 0, 60));
  EXPECT_EQ(model.hold.lines(), 3U);
  model.hold.begin_flush(1);
  model.pop_flushed();
  EXPECT_EQ(model.hold.lines(), 2U);
  ASSERT_TRUE(model.push(700, 0, 60));
  ASSERT_TRUE(model.push(600, 0, 60));
  EXPECT_EQ(model.hold.lines(), 4U);
  model.drain();
}

TEST(DataplaneHold, ASecondFlushTakesWhatCameSince) {
  Model model(kMebibyte);
  for (std::uint64_t packet = 0; packet < 8; ++packet)
    ASSERT_TRUE(model.push(1'000 - packet, packet, 60));
  model.hold.begin_flush(4);
  model.pop_flushed();
  for (std::uint64_t packet = 8; packet < 12; ++packet)
    ASSERT_TRUE(model.push(2'000 - packet, packet, 60));
  model.hold.begin_flush(10);
  for (int packet = 1; packet < 10; ++packet) model.pop_flushed();
  model.drain();
}

TEST(DataplaneHold, SequenceWraps) {
  Model model(16 * kMebibyte);
  model.set_next((std::uint64_t{1} << 32) - 500);
  test::Random random(7);
  for (std::uint64_t packet = 0; packet < 1'000; ++packet)
    ASSERT_TRUE(model.push(5'000 + random.below(3), 100, 60));  // many ties, decided by sequence
  for (int packet = 0; packet < 300; ++packet) model.pop();
  ASSERT_FALSE(HasFailure());
  const std::uint64_t end = (std::uint64_t{1} << 32) + 100;  // 600 of 1000, across the wrap
  std::uint64_t flushed = 0;
  for (const auto& [key, length] : model.waiting) flushed += std::get<3>(key) < end ? 1U : 0U;
  ASSERT_GT(flushed, 100U);
  model.hold.begin_flush(static_cast<std::uint32_t>(end));
  for (; flushed > 0; --flushed) model.pop_flushed();
  model.drain();
}

TEST(DataplaneHold, ReleaseAndArrivalMayBeThreeDaysApart) {
  Model model(kMebibyte);
  const std::uint64_t three_days_ns = std::uint64_t{72} * 3'600 * 1'000'000'000;
  ASSERT_TRUE(model.push(three_days_ns + 5, 5, 65'000));
  ASSERT_TRUE(model.push(UINT64_MAX - 1, UINT64_MAX - 1 - three_days_ns, 60));
  model.drain();
}

TEST(DataplaneHold, AtLeastOneChunk) {
  Model model(0);
  EXPECT_EQ(model.hold.capacity_bytes(), Hold::kChunkBytes);
  EXPECT_TRUE(model.push(1, 0, 65'000));
  EXPECT_FALSE(model.push(2, 1, 65'000));
  model.drain();
}

/// The same packets by runs, wherever these can, and by push and pop. How many went in runs, in and
/// out, of how many.
struct InRuns {
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  std::uint64_t loose = 0;
  std::uint64_t all = 0;
};
template <typename DelayNs>
InRuns compare_runs(const DelayNs& delay_of) {
  Hold runs(8 * kMebibyte);
  Hold single(8 * kMebibyte);
  InRuns found;
  const auto next = [](const Hold& hold) {
    const HeldPacket packet = hold.front();
    return std::pair{packet.key.sequence,
                     std::string(reinterpret_cast<const char*>(packet.bytes), packet.length)};
  };
  for (std::uint64_t now_ns = 0; now_ns < 4'000'000 && !testing::Test::HasFailure();) {
    now_ns += 1'000;
    const auto count = static_cast<std::uint32_t>(1 + now_ns / 1'000 % 40);
    const auto first = static_cast<std::uint32_t>(found.all);
    found.all += count;
    std::vector<HoldKey> keys;
    for (std::uint32_t n = 0; n < count; ++n)
      keys.push_back(
          {.release_ns = now_ns + delay_of(now_ns), .arrival_ns = now_ns, .sequence = first + n});
    const auto length = [&](std::uint32_t n) { return 1 + (first + n) % 200; };
    const auto fill = [&](std::uint32_t n, std::byte* place) {
      std::fill_n(place, length(n), static_cast<std::byte>(first + n));
    };
    for (std::uint32_t n = 0; n < count;) {
      const auto wanted = [&](std::uint32_t at) {
        return Hold::Wanted{HeldKey::of(keys[n + at]), length(n + at)};
      };
      const auto write = [&](std::uint32_t at, std::byte* place) { fill(n + at, place); };
      const bool loose = runs.loose_packets() > 0;
      const std::uint32_t put = loose ? runs.push_loose_run(count - n, wanted, write)
                                      : runs.push_run(count - n, wanted, write);
      found.in += put;
      found.loose += loose ? put : 0;
      n += put;
      if (n == count)
        break;
      fill(n, runs.push(keys[n], {0, length(n)}));
      ++n;
    }
    for (std::uint32_t n = 0; n < count; ++n) fill(n, single.push(keys[n], {0, length(n)}));
    EXPECT_EQ(runs.packets(), single.packets());
    EXPECT_EQ(runs.bytes(), single.bytes());
    EXPECT_EQ(runs.peak_bytes(), single.peak_bytes());
    while (runs.next_release_ns() <= now_ns) {
      const auto visit = [&](const HeldRecord& record, const std::byte* frame) {
        EXPECT_EQ(
            next(single),
            (std::pair{record.key().sequence(),
                       std::string(reinterpret_cast<const char*>(frame), record.size().frame)}));
        single.pop();
      };
      const std::uint32_t taken =
          runs.take_run(now_ns, 7, visit) + runs.take_loose(now_ns, 7, visit);
      EXPECT_LE(taken, 7U);
      found.out += taken;
      if (taken > 0)
        continue;
      EXPECT_EQ(next(runs), next(single));
      runs.pop();
      single.pop();
    }
    EXPECT_EQ(runs.packets(), single.packets());
    EXPECT_EQ(runs.next_release_ns(), single.next_release_ns());
  }
  return found;
}

TEST(DataplaneHold, RunsAreWhatPacketsOneByOneAre) {
  const InRuns constant = compare_runs([](std::uint64_t now_ns) {
    return now_ns % 50'000 == 0 ? 5'000U : 100'000U;  // some open a second line
  });
  EXPECT_GT(constant.in, constant.all / 2) << "most go in runs";
  EXPECT_GT(constant.out, constant.all / 2);
  EXPECT_EQ(constant.loose, 0U);
  for (const std::uint64_t least_ns : {std::uint64_t{0}, std::uint64_t{50'000}}) {
    test::Random random(9);
    const InRuns overtaking =
        compare_runs([&](std::uint64_t) { return least_ns + random.below(200'000); });
    EXPECT_GT(overtaking.loose, overtaking.all / 2) << least_ns;
    EXPECT_GT(overtaking.out, overtaking.all / 2) << least_ns;
  }
}

TEST(DataplaneHold, AFarSlotDoesNotGoBeforeNearOnes) {
  // From the first packet's arrival on, the wheel's finest slots reach 67,108,864 ns far. A coarse
  // slot begins before that and ends behind it: what it holds leaves behind what fine slots hold.
  Model model(4 * kMebibyte);
  for (std::uint64_t line = 0; line < Hold::kLinesMax; ++line)
    ASSERT_TRUE(model.push(200'000'000 - line, 100, 60));
  for (const std::uint64_t release_ns :
       {67'108'000U, 67'109'500U, 67'109'000U, 67'300'000U, 67'107'000U})
    ASSERT_TRUE(model.push(release_ns, 100, 60));
  EXPECT_EQ(model.hold.loose_packets(), 5U);
  model.drain();
}

TEST(DataplaneHoldDeathTest, BrokenKeysEndTheProcess) {
  Hold hold(kMebibyte);
  EXPECT_DEATH(hold.push(HoldKey{.release_ns = 1, .arrival_ns = 2}, {0, 60}), "broken invariant");
  EXPECT_DEATH(hold.push(HoldKey{.release_ns = 2, .arrival_ns = 1}, {0, Hold::kFrameBytesMax + 1}),
               "broken invariant");
}

}  // namespace
}  // namespace faultline
