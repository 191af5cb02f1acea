// What searching payloads costs: judging packets by a rule with a payload, less the same without
// it, beside Hyperscan alone on the same bytes with the same database. Prints a table.
//
// All three are measured in turns, in bursts, with bytes as cold, in the thread's own time. The
// rule without a payload asks every packet too and matches none, as the other one nearly none: what
// becomes of packets that match is no part of the search. Whoever judges has read the headers
// before payloads are searched, and both rules pay for that; so Hyperscan finds them read as well.
#include <hs.h>
#include <time.h>

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "dataplane/decide.hpp"
#include "policy/compile.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

using test::Bytes;

constexpr std::size_t kPackets = 4'096;
constexpr std::uint32_t kBurst = 32;
constexpr int kRounds = 61;
constexpr std::uint32_t kFlows = 64;
constexpr std::size_t kHeaderBytes = 54;

enum class Searching : std::uint8_t { kPacket, kStream };

std::string scenario_of(const std::string& match) {
  return "version: 1\nrules:\n  - {name: r, from: left, match: {" + match +
         "}, impair: [loss: {model: every, n: 1000000}]}\n";
}

/// Asked of every packet, true of none.
constexpr const char* kNoMatch = "len: 20000-30000";

std::string payload_of(std::size_t patterns, Searching searching) {
  std::string yaml = "len: 1-9999, payload: {stream: ";
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
    const auto flow = static_cast<std::uint16_t>(at % kFlows);
    const std::size_t payload = frame_bytes - kHeaderBytes;
    Bytes frame =
        test::make(test::Ipv4Frame{.protocol = 6,
                                   .ports = {static_cast<std::uint16_t>(4'000 + flow), 80},
                                   .payload_bytes = payload});
    for (std::size_t byte = kHeaderBytes; byte < frame.size(); ++byte)
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

double thread_ns() {
  timespec now{};
  FAULTLINE_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// Of a packet.
template <typename Work>
double ns_of(const Work& work) {
  const double before = thread_ns();
  work();
  return (thread_ns() - before) / static_cast<double>(kPackets);
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

  /// Of reading headers, and of searching behind it where that is wanted.
  double ns(const std::vector<Bytes>& frames, bool searches) {
    return ns_of([&] {
      for (std::size_t first = 0; first < frames.size(); first += kBurst) {
        for (std::size_t at = first; at < first + kBurst; ++at) read_header(frames[at]);
        for (std::size_t at = first; searches && at < first + kBurst; ++at)
          search(frames[at], streams_[at % kFlows]);
      }
    });
  }

 private:
  void read_header(const Bytes& frame) {
    read_ = static_cast<std::uint8_t>(read_ + frame[12] + frame[kHeaderBytes - 1]);
  }
  void search(const Bytes& frame, hs_stream_t* stream) {
    const char* data = reinterpret_cast<const char*>(frame.data()) + kHeaderBytes;
    const auto size = static_cast<unsigned>(frame.size() - kHeaderBytes);
    if (searching_ == Searching::kPacket)
      hs_scan(database_.packet(), data, size, 0, scratch_, ignore, nullptr);
    else
      hs_scan_stream(stream, data, size, 0, scratch_, ignore, nullptr);
  }

  const PayloadDatabase& database_;
  Searching searching_;
  volatile std::uint8_t read_ = 0;
  hs_scratch_t* scratch_ = nullptr;
  std::array<hs_stream_t*, kFlows> streams_{};
};

void measure(std::size_t frame_bytes, std::size_t patterns, Searching searching) {
  std::vector<Bytes> frames = frames_of(frame_bytes);
  Judge without(scenario_of(kNoMatch));
  Judge with(scenario_of(payload_of(patterns, searching)));
  Pure pure(with.database(), searching);
  double without_ns = 1e9;
  double with_ns = 1e9;
  double header_ns = 1e9;
  double search_ns = 1e9;
  const auto payload_bytes = static_cast<std::uint32_t>(frame_bytes - kHeaderBytes);
  std::uint32_t sent = 1;
  // Written before each measurement, so that each finds the frames as the others do.
  const auto put_sequences = [&] {
    for (std::size_t at = 0; at < frames.size(); ++at)
      put_sequence(frames[at], sent + static_cast<std::uint32_t>(at / kFlows) * payload_bytes);
  };
  for (int round = 0; round < kRounds; ++round) {
    put_sequences();
    without_ns = std::min(without_ns, without.ns(frames));
    put_sequences();
    with_ns = std::min(with_ns, with.ns(frames));
    put_sequences();
    header_ns = std::min(header_ns, pure.ns(frames, false));
    put_sequences();
    search_ns = std::min(search_ns, pure.ns(frames, true));
    sent += static_cast<std::uint32_t>(kPackets / kFlows) * payload_bytes;
  }
  const double pure_ns = search_ns - header_ns;
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
