// A worker's deciding half with its policies and nothing else, for packets that become several or
// wait for their turn.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/decide.hpp"
#include "policy/compile.hpp"
#include "tests/unit/support.hpp"

namespace faultline::test {

inline std::string rules(const std::vector<std::string>& lines) {
  std::string yaml = "version: 1\nrules:\n";
  for (const std::string& line : lines) yaml += "  - {" + line + "}\n";
  return yaml;
}

/// A frame of so many bytes of a flow that is told by its destination port.
inline Bytes udp_to(std::uint16_t port, std::size_t bytes = 100) {
  return make(Ipv4Frame{.ports = {4'242, port}, .payload_bytes = bytes - 42});
}

/// What compiling the rules complains of.
inline std::vector<std::string> policy_errors(const std::vector<std::string>& lines) {
  Result<Scenario> scenario = read_scenario(tree_of(rules(lines)), ScenarioUse::kSimulate);
  if (!scenario)
    return lines_of(scenario.error());
  PolicySlots slots(2);
  const Result<Policy> compiled = compile_policy(*scenario, {.seed = 42}, slots);
  return compiled ? std::vector<std::string>{} : lines_of(compiled.error());
}

class DecideBench {
 public:
  explicit DecideBench(const std::vector<std::string>& lines, const Decide::Settings& settings = {})
      : decide(settings), slots_(2) {
    adopt(lines);
  }

  void adopt(const std::vector<std::string>& lines, std::uint64_t now_ns = 0,
             std::uint64_t generation = 1) {
    Result<Scenario> scenario = read_scenario(tree_of(rules(lines)), ScenarioUse::kSimulate);
    ASSERT_TRUE(scenario.has_value()) << to_line(scenario.error().front());
    Result<Policy> compiled =
        compile_policy(*scenario, {.seed = 42, .active_from_ns = now_ns}, slots_);
    ASSERT_TRUE(compiled.has_value()) << to_line(compiled.error().front());
    policies_.push_back(std::make_unique<Policy>(std::move(*compiled)));
    policies_.back()->generation = generation;
    decide.adopt(*policies_.back(), now_ns);
  }

  /// Judges one packet: entry 0 of the burst, its copies from Decide::kFirstCopy on.
  void judge(const Bytes& frame, std::uint64_t arrival_ns = 0, PathId path_id = 0) {
    judge_part({{frame, arrival_ns}}, path_id);
  }

  struct Arrival {
    Bytes frame;
    std::uint64_t time_ns = 0;
  };
  /// Entries from 0 on.
  void judge_part(const std::vector<Arrival>& packets, PathId path_id = 0) {
    for (std::size_t i = 0; i < packets.size(); ++i) {
      const Bytes& frame = packets[i].frame;
      frames_[i] = {frame.data(), static_cast<std::uint32_t>(frame.size()),
                    static_cast<std::uint32_t>(frame.size())};
      burst.arrival_ns[i] = packets[i].time_ns;
      burst.sequence[i] = sequence_++;
    }
    decide.judge(frames_, {0, static_cast<std::uint32_t>(packets.size()), path_id}, burst,
                 counters);
  }

  /// The entries of the packet judged last and of its copies, in the order in which they act.
  std::vector<std::uint32_t> entries() const {
    std::vector<std::uint32_t> all{0};
    for (std::uint32_t at = 0; at < decide.copies(); ++at) all.push_back(Decide::kFirstCopy + at);
    return all;
  }
  /// By entry: whether it lives.
  std::vector<bool> alive() const {
    std::vector<bool> lives;
    for (const std::uint32_t i : entries()) lives.push_back(burst.reason[i] == DropReason::kNone);
    return lives;
  }
  std::vector<std::uint64_t> times() const {
    std::vector<std::uint64_t> all;
    for (const std::uint32_t i : entries()) all.push_back(burst.time_ns[i]);
    return all;
  }

  /// What a packet takes along to be judged on later.
  struct Parked {
    std::vector<std::uint64_t> record;
    HoldKey key;
    Bytes frame;

    const Resume& resume() const { return *reinterpret_cast<const Resume*>(record.data()); }
  };
  Parked parked(std::uint32_t i, const Bytes& frame) const {
    Parked taken;
    EXPECT_EQ(decide.resume_bytes(i) % 8, 0U);
    taken.record.resize(decide.resume_bytes(i) / 8);
    decide.write_resume(i, reinterpret_cast<std::byte*>(taken.record.data()));
    taken.key = {burst.time_ns[i], burst.arrival_ns[i], burst.sequence[i], 0, 1, burst.copy[i]};
    taken.frame = frame;
    return taken;
  }
  static FrameView view_of(const Bytes& frame) {
    return {frame.data(), static_cast<std::uint32_t>(frame.size()),
            static_cast<std::uint32_t>(frame.size())};
  }
  /// Goes on with it at its release time.
  void resume(const Parked& packet) {
    decide.resume(packet.resume(), packet.key, view_of(packet.frame), burst);
  }

  const RuleCounters& counted(std::size_t rule) const {
    return decide.rule_counters().at(policies_.back()->rules.at(rule).slot);
  }
  const Policy& policy() const { return *policies_.back(); }

  Decide decide;
  WorkerCounters counters;
  JudgedBurst burst{};

 private:
  PolicySlots slots_;
  std::vector<std::unique_ptr<Policy>> policies_;
  PerPacket<FrameView> frames_{};
  std::uint32_t sequence_ = 0;
};

}  // namespace faultline::test
