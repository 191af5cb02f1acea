// What searching payloads costs: judging packets by a rule with a payload, less the same without
// it, beside Hyperscan alone on the same bytes with the same database. Prints a table.
#include <hs.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include <fmt/format.h>

#include "dataplane/decide.hpp"
#include "policy/compile.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::Bytes;

constexpr std::size_t kPackets = 4'096;  // some 64 flows
constexpr std::uint32_t kBurst = 32;
constexpr int kRounds = 15;

enum class Searching : std::uint8_t { kPacket, kStream };

std::string scenario_of(const std::string& payload) {
  return "version: 1\nrules:\n  - {name: r, from: left, match: {len: 1-9999" + payload +
         "}, impair: [loss: {model: every, n: 1000000}]}\n";
}

std::string payload_of(std::size_t patterns, Searching searching) {
  std::string yaml = ", payload: {stream: ";
  yaml += searching == Searching::kStream ? "true" : "false";
  yaml += ", patterns: [";
  for (std::size_t at = 0; at < patterns; ++at) yaml += fmt::format("q{:05}zx, ", at * 7 % 100'000);
  return yaml + "qqq]}";
}

/// TCP segments of 64 flows, each in order.
std::vector<Bytes> frames_of(std::size_t frame_bytes) {
  test::Random random(5);
  std::vector<Bytes> frames;
  for (std::size_t at = 0; at < kPackets; ++at) {
    const auto flow = static_cast<std::uint16_t>(at % 64);
    const std::size_t payload = frame_bytes - 54;
    Bytes frame =
        test::make(test::Ipv4Frame{.protocol = 6,
                                   .ports = {static_cast<std::uint16_t>(4'000 + flow), 80},
                                   .payload_bytes = payload});
    for (std::size_t byte = 54; byte < frame.size(); ++byte)
      frame[byte] = static_cast<std::uint8_t>("abcdefghij klmnop./=0123456789qr"[random.below(32)]);
    frame[47] = 16;
    frames.push_back(std::move(frame));
  }
  return frames;
}

void put_sequence(Bytes& frame, std::uint32_t sequence) {
  for (unsigned byte = 0; byte < 4; ++byte)
    frame[38 + byte] = static_cast<std::uint8_t>(sequence >> (24 - 8 * byte));
}

template <typename Work>
double ns_of(const Work& work) {
  const auto before = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - before;
  return took.count() / static_cast<double>(kPackets);
}

/// A worker's deciding half with one policy.
class Judge {
 public:
  explicit Judge(const std::string& yaml)
      : decide_(std::make_unique<Decide>(Decide::Settings{})), slots_(2) {
    Result<Scenario> scenario = read_scenario(test::tree_of(yaml), ScenarioUse::kSimulate);
    FAULTLINE_CHECK(scenario.has_value());
    Result<Policy> policy = compile_policy(*scenario, {.seed = 1}, slots_);
    FAULTLINE_CHECK(policy.has_value());
    policy_ = std::make_unique<Policy>(std::move(*policy));
    if (policy_->payload != nullptr)
      FAULTLINE_CHECK(policy_->payload->prepare(1).has_value());
    decide_->adopt(*policy_, 0);
  }

  double ns(const std::vector<Bytes>& frames) {
    return ns_of([&] {
      for (std::size_t first = 0; first < frames.size(); first += kBurst) {
        for (std::uint32_t i = 0; i < kBurst; ++i) {
          const auto size = static_cast<std::uint32_t>(frames[first + i].size());
          views_[i] = {frames[first + i].data(), size, size};
          burst_.arrival_ns[i] = ++now_ns_;
        }
        decide_->judge(views_, {0, kBurst, 0}, burst_, counters_);
      }
    });
  }

  const PayloadDatabase& database() const { return *policy_->payload->database(); }

 private:
  std::unique_ptr<Decide> decide_;
  PolicySlots slots_;
  std::unique_ptr<Policy> policy_;
  PerPacket<FrameView> views_{};
  JudgedBurst burst_{};
  WorkerCounters counters_;
  std::uint64_t now_ns_ = 0;
};

int ignore(unsigned, unsigned long long, unsigned long long, unsigned, void*) {
  return 0;
}

/// Hyperscan alone.
class Pure {
 public:
  Pure(const PayloadDatabase& database, Searching searching)
      : database_(database), searching_(searching) {
    FAULTLINE_CHECK(hs_alloc_scratch(database.packet(), &scratch_) == HS_SUCCESS);
    if (searching == Searching::kPacket)
      return;
    FAULTLINE_CHECK(hs_alloc_scratch(database.stream(), &scratch_) == HS_SUCCESS);
    for (hs_stream_t*& stream : streams_)
      FAULTLINE_CHECK(hs_open_stream(database.stream(), 0, &stream) == HS_SUCCESS);
  }
  ~Pure() {
    for (hs_stream_t* stream : streams_) hs_close_stream(stream, nullptr, nullptr, nullptr);
    hs_free_scratch(scratch_);
  }
  Pure(const Pure&) = delete;
  Pure& operator=(const Pure&) = delete;

  double ns(const std::vector<Bytes>& frames) {
    return ns_of([&] {
      for (std::size_t at = 0; at < frames.size(); ++at) {
        const char* data = reinterpret_cast<const char*>(frames[at].data()) + 54;
        const auto size = static_cast<unsigned>(frames[at].size() - 54);
        if (searching_ == Searching::kPacket)
          hs_scan(database_.packet(), data, size, 0, scratch_, ignore, nullptr);
        else
          hs_scan_stream(streams_[at % 64], data, size, 0, scratch_, ignore, nullptr);
      }
    });
  }

 private:
  const PayloadDatabase& database_;
  Searching searching_;
  hs_scratch_t* scratch_ = nullptr;
  std::array<hs_stream_t*, 64> streams_{};
};

void measure(std::size_t frame_bytes, std::size_t patterns, Searching searching) {
  std::vector<Bytes> frames = frames_of(frame_bytes);
  Judge without(scenario_of(""));
  Judge with(scenario_of(payload_of(patterns, searching)));
  Pure pure(with.database(), searching);
  double without_ns = 1e9;
  double with_ns = 1e9;
  double pure_ns = 1e9;
  const auto payload_bytes = static_cast<std::uint32_t>(frame_bytes - 54);
  std::uint32_t sent = 1;
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t at = 0; at < frames.size(); ++at)
      put_sequence(frames[at], sent + static_cast<std::uint32_t>(at / 64) * payload_bytes);
    sent += static_cast<std::uint32_t>(kPackets / 64) * payload_bytes;
    without_ns = std::min(without_ns, without.ns(frames));
    with_ns = std::min(with_ns, with.ns(frames));
    pure_ns = std::min(pure_ns, pure.ns(frames));
  }
  fmt::print("{:8} {:6} {:8} {:9.1f} {:9.1f} {:9.1f} {:7.2f}\n",
             searching == Searching::kPacket ? "packets" : "streams", frame_bytes, patterns + 1,
             without_ns, with_ns, pure_ns, (with_ns - without_ns) / pure_ns);
}

}  // namespace
}  // namespace faultline

int main() {
  using faultline::Searching;
  fmt::print("{:8} {:>6} {:>8} {:>9} {:>9} {:>9} {:>7}\n", "", "bytes", "patterns", "without ns",
             "with ns", "hs ns", "ratio");
  for (const Searching searching : {Searching::kPacket, Searching::kStream})
    for (const std::size_t patterns : {1U, 100U, 10'000U})
      for (const std::size_t bytes : {64U, 512U, 1'500U})
        faultline::measure(bytes, patterns - 1, searching);
  return 0;
}
