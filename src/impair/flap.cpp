// flap: a link that goes down and comes back, again and again: an outage of everything that enters
// or leaves a port, or goes to or comes from a node. Which outage a packet meets is told by its
// time alone, and so is when the management plane takes the carrier down: by the same function.
#include <algorithm>

#include <fmt/format.h>

#include "base/int128.hpp"
#include "impair/edits.hpp"
#include "impair/grudge.hpp"

namespace faultline {
namespace {

struct Flap {
  std::uint64_t down_ns = 0;
  std::uint64_t up_ns = 0;
  std::uint64_t jitter_ns = 0;
  std::uint64_t count = UINT64_MAX;
  Dice dice;
};

/// Whether the link is down, so long after the rule's beginning: outage k begins at
/// k·(down + up) + U[0, jitter), and lasts `down`.
bool is_down(const Flap& flap, std::uint64_t since_ns) noexcept {
  const std::uint64_t period_ns = flap.down_ns + flap.up_ns;
  const std::uint64_t turn = since_ns / period_ns;
  if (turn >= flap.count)
    return false;
  const std::uint64_t late_ns =
      flap.jitter_ns == 0
          ? 0
          : static_cast<std::uint64_t>(
                (static_cast<Uint128>(flap.dice.uniform(0, turn)) * flap.jitter_ns) >> 64);
  const std::uint64_t into_ns = since_ns % period_ns;
  return into_ns >= late_ns && into_ns - late_ns < flap.down_ns;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Flap& flap = parameters.as<Flap>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    if (is_down(flap, burst.arrival_ns[i] - asked.begins_ns))
      burst.reason[i] = DropReason::kPartition;
  }
}

bool link_is_down(const Parameters& parameters, std::uint64_t since_ns) noexcept {
  return is_down(parameters.as<Flap>(), since_ns);
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst& burst,
                    std::uint8_t i) {
  const Flap& flap = parameters.as<Flap>();
  const std::uint64_t since_ns = burst.arrival_ns[i] - asked.begins_ns;
  return {{},
          {},
          fmt::format("outage {}, {}", since_ns / (flap.down_ns + flap.up_ns) + 1,
                      is_down(flap, since_ns) ? "down" : "up")};
}

std::optional<LinkEnd> read_port(const ConfigNode& node, const CompileContext& context,
                                 Problems& problems) {
  std::vector<std::string_view> names;
  if (context.nodes != nullptr && *context.nodes != nullptr)
    names.assign((*context.nodes)->ports().begin(), (*context.nodes)->ports().end());
  const auto found = std::ranges::find(names, node.is_scalar() ? node.text : std::string());
  if (node.is_scalar() && found != names.end())
    return LinkEnd{.ports = PortMask{1} << (found - names.begin())};
  std::string allowed = "one of the ports";
  for (const std::string_view name : names)
    allowed += (name == names.front() ? " " : ", ") + std::string(name);
  problems.push_back(problem_at(node.mark, "unknown port " + describe(node), std::move(allowed),
                                node.is_scalar() ? nearest_word(node.text, names) : ""));
  return std::nullopt;
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Flap flap{.dice = dice_for(context, DicePurpose::kFlow)};
  MappingReader reader(node, "flap", problems);
  const ConfigNode* port = reader.take("port");
  const ConfigNode* named = reader.take("node");
  LinkEnd end;
  if (node.is_mapping() && (port == nullptr) == (named == nullptr))
    problems.push_back(
        problem_at(node.mark, "a flap of nothing, or of two things", "one of port: and node:"));
  else if (port != nullptr)
    end = read_port(*port, context, problems).value_or(LinkEnd{});
  else if (named != nullptr)
    if (const auto index = read_node(*named, context, problems))
      end = LinkEnd::node(*index);
  const auto read = [&](std::string_view key, std::uint64_t least, std::uint64_t& time_ns) {
    if (const ConfigNode* value = reader.take(key))
      time_ns = read_duration_ns(*value, {least, kDurationMaxNs}, problems).value_or(least);
    else if (least > 0 && node.is_mapping())
      problems.push_back(problem_at(node.mark, "flap: '" + std::string(key) + "' is missing", ""));
  };
  read("down", 1, flap.down_ns);
  read("up", 1, flap.up_ns);
  read("jitter", 0, flap.jitter_ns);
  if (const ConfigNode* value = reader.take("count"))
    flap.count = read_count(*value, {1, UINT64_MAX}, problems).value_or(1);
  reader.finish();
  if (problems.size() == before && flap.jitter_ns > flap.up_ns)
    problems.push_back(problem_at(reader.node().find("jitter")->mark,
                                  "a jitter longer than the link is up", "at most `up`"));
  if (problems.size() != before)
    return std::nullopt;
  CompiledImpairment compiled;
  compiled.parameters = Parameters::from(flap);
  compiled.decide = decide;
  compiled.explain = explain;
  compiled.link_is_down = link_is_down;
  compiled.drops = true;
  compiled.links = {*context.nodes, {{LinkEnd::anybody(), end}, {end, LinkEnd::anybody()}}};
  return compiled;
}

}  // namespace

extern const ImpairmentModel kModel_flap;
const ImpairmentModel kModel_flap{"flap", "", "", true, compile};

}  // namespace faultline
