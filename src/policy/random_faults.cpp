// Drawing faults.
#include "policy/random_faults.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/dice.hpp"
#include "base/units.hpp"
#include "impair/delay_law.hpp"
#include "policy/node_fault.hpp"

namespace faultline {
namespace {

/// Which draw of a fault: identities of the dice.
enum Draw : std::uint64_t { kGap, kLength, kKind, kNode };
constexpr std::string_view kKinds[] = {"partition", "pause", "crash"};

class RandomReader {
 public:
  RandomReader(const ConfigNode& entry, Scenario& scenario, Problems& problems)
      : scenario_(scenario), problems_(problems), mark_(entry.mark) {
    MappingReader reader(entry, "timeline entry", problems);
    const ConfigNode* random = reader.take("random");
    at_ns_ = time_of(reader.require("at"), 0);
    until_ns_ = time_of(reader.require("until"), at_ns_ + 1);
    reader.finish();
    MappingReader keys(*random, "random", problems);
    read_seed(keys.take("seed"));
    if (const ConfigNode* kinds = keys.require("kinds"))
      read_kinds(*kinds);
    every_ = drawn(keys.require("every"));
    for_ = drawn(keys.require("for"));
    keys.finish();
    if (scenario.nodes == nullptr || scenario.nodes->nodes().empty())
      problems.push_back(problem_at(random->mark, "faults of nodes, and there are none", "nodes:"));
  }

  /// Everything was read without a problem.
  void make() {
    std::uint64_t begins_ns = at_ns_;
    for (std::uint64_t turn = 0;; ++turn) {
      begins_ns += std::max<std::uint64_t>(1, length(every_, kGap, turn));
      if (begins_ns >= until_ns_)
        return;
      if (turn == kRandomFaultsMax) {
        problems_.push_back(
            problem_at(mark_, "faults at random, and more than " + std::to_string(kRandomFaultsMax),
                       "a longer every:, or an earlier until:"));
        return;
      }
      add(turn, begins_ns);
    }
  }

 private:
  std::uint64_t time_of(const ConfigNode* node, std::uint64_t least_ns) {
    return node == nullptr
               ? 0
               : read_duration_ns(*node, {least_ns, kDurationMaxNs}, problems_).value_or(0);
  }

  void read_seed(const ConfigNode* node) {
    std::optional<std::uint64_t> seed = scenario_.seed;
    if (node != nullptr && !(node->is_scalar() && node->text == "same"))
      seed = read_count(*node, {0, UINT64_MAX}, problems_);
    dice_ = Dice(seed.value_or(0), "timeline", 0, DicePurpose::kFlow);
  }

  void read_kinds(const ConfigNode& node) {
    if (!node.is_sequence() || node.items.empty()) {
      problems_.push_back(
          problem_at(node.mark, "kinds is " + describe(node), "a list of partition, pause, crash"));
      return;
    }
    for (const ConfigNode& item : node.items)
      if (const auto kind = read_word(item, {std::begin(kKinds), std::end(kKinds)}, problems_))
        kinds_.push_back(kKinds[*kind]);
  }

  FlowTime drawn(const ConfigNode* node) {
    if (node == nullptr)
      return {};
    if (const auto fixed_ns = parse_duration_ns(node->text); node->is_scalar() && fixed_ns)
      return {.fixed_ns = static_cast<std::int64_t>(*fixed_ns)};
    const auto time =
        node->is_scalar() && !node->text.empty() ? parse_drawn_time(node->text) : std::nullopt;
    if (!time)
      problems_.push_back(problem_at(node->mark, "found " + describe(*node),
                                     "20s, \"uniform(1s, 5s)\", \"normal(20s, 5s)\" or "
                                     "\"exponential(20s)\", up to 24h"));
    return time.value_or(FlowTime{});
  }

  std::uint64_t length(const FlowTime& time, Draw draw, std::uint64_t turn) const {
    return static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, time.of(dice_.uniform(draw, turn))));
  }

  void add(std::uint64_t turn, std::uint64_t begins_ns) {
    const std::uint64_t ends_ns =
        std::min(until_ns_, begins_ns + std::max<std::uint64_t>(1, length(for_, kLength, turn)));
    const std::string_view kind = kinds_[dice_.uniform(kKind, turn) % kinds_.size()];
    const auto& nodes = scenario_.nodes->nodes();
    ConfigNode value;
    value.kind = ConfigNode::Kind::kMapping;
    value.mark = mark_;
    const auto set = [&](std::string_view key, std::string text) {
      value.set(key, scalar_node(std::move(text), mark_));
    };
    TimelineEntry entry{.at_ns = begins_ns, .until_ns = ends_ns};
    if (kind == "partition") {
      set("shape", "random-halves");
      set("choice", std::to_string(turn));
    } else {
      set("node", nodes[dice_.uniform(kNode, turn) % nodes.size()].name);
    }
    if (kind == "crash") {
      // Who has come back is not what it was: the rule stays.
      set("down", fmt::format("{}ns", ends_ns - begins_ns));
      entry.until_ns = UINT64_MAX;
    }
    const auto rule =
        add_node_fault(kind, value, fmt::format("random{}", turn + 1), scenario_, problems_);
    if (!rule)
      return;
    scenario_.rules[*rule].optional = true;
    entry.rule = *rule;
    scenario_.timeline.push_back(entry);
  }

  Scenario& scenario_;
  Problems& problems_;
  Mark mark_;
  std::uint64_t at_ns_ = 0;
  std::uint64_t until_ns_ = 0;
  Dice dice_;
  std::vector<std::string_view> kinds_;
  FlowTime every_;
  FlowTime for_;
};

}  // namespace

void read_random_faults(const ConfigNode& entry, Scenario& scenario, Problems& problems) {
  const std::size_t before = problems.size();
  RandomReader reader(entry, scenario, problems);
  if (problems.size() == before)
    reader.make();
}

}  // namespace faultline
