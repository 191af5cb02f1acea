// pause: a node that stands still. A paused link holds what goes to the node and what comes from
// it, each in a buffer of its own, and lets it go in order when the pause ends; a paused machine
// holds what goes to it and says nothing. Neither is a stopped process, whose kernel still
// acknowledges. The end is not known beforehand, for a rule may be ended at any time: packets wait
// in served queues that whoever ends the rule opens (GatedQueue).
#include <fmt/format.h>

#include "base/int128.hpp"
#include "impair/edits.hpp"
#include "impair/grudge.hpp"
#include "impair/queued_stage.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kBufferPackets = 1'000;
constexpr std::uint64_t kRateMaxBps = 1'000'000'000'000;

enum class Release : std::uint8_t { kBurst, kPaced, kDrop };

struct Pause {
  NodeMask node = 0;
  QueueLimit buffer{QueueLimit::Unit::kPackets, kBufferPackets};
  std::uint64_t rate_bps = 0;  ///< of a paced release
  Release release = Release::kBurst;
  bool towards = true;  ///< the step of what goes to the node; else of what comes from it
  bool silent = false;  ///< nothing comes from it
};

struct PauseState {
  GatedQueue gate;
  std::uint64_t left_ns = 0;  ///< when the last one leaves
};

bool is_full(const Pause& pause, const ServedQueue& queue, std::uint32_t bytes) noexcept {
  return pause.buffer.unit == QueueLimit::Unit::kPackets
             ? queue.packets >= pause.buffer.value
             : std::uint64_t{queue.bytes} + bytes > pause.buffer.value;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Pause& pause = parameters.as<Pause>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    burst.waits[i] = 0;
    const NodeMask ends = pause.towards ? asked.destinations[i] : asked.sources[i];
    if ((ends & pause.node) == 0)
      continue;
    PauseState& state = asked.state[i]->as<PauseState>();
    asked.served->meet(state.gate.queue);
    if (pause.silent || is_full(pause, state.gate.queue, burst.length_bytes[i])) {
      burst.reason[i] = DropReason::kPause;
      continue;
    }
    state.gate.opens_ns = 0;
    burst.waits[i] = asked.served->push(state.gate.queue, burst.time_ns[i], burst.length_bytes[i],
                                        burst.ecn[i], *asked.self);
    if (burst.waits[i] == 0)
      burst.reason[i] = DropReason::kOverflow;
  }
}

/// When the packet that is ready at `ready_ns` leaves.
std::uint64_t departure_of(const Pause& pause, std::uint64_t ready_ns,
                           std::uint32_t bytes) noexcept {
  if (pause.release != Release::kPaced)
    return ready_ns;
  const Uint128 bits = static_cast<Uint128>(bytes) * 8 * kNsPerSecond;
  return ready_ns + static_cast<std::uint64_t>((bits + pause.rate_bps - 1) / pause.rate_bps);
}

/// Once the gate is open everything is decided at once, by the policy that judged it.
std::uint64_t serve(ScopeState& scope, ServedPool& pool, std::uint64_t, std::uint64_t) noexcept {
  PauseState& state = scope.as<PauseState>();
  ServedQueue& queue = state.gate.queue;
  while (queue.undecided != 0 && state.gate.opens_ns != 0) {
    const ServedPool::Node& next = pool.node(queue.undecided);
    const Pause& pause = next.impairment->parameters.as<Pause>();
    const std::uint64_t ready_ns = std::max({state.gate.opens_ns, next.time_ns, state.left_ns});
    state.left_ns = departure_of(pause, ready_ns, next.bytes);
    pool.decide(queue, pause.release == Release::kDrop ? Verdict::kDropped : Verdict::kSent,
                state.left_ns);
  }
  if (queue.head == 0 || queue.head == queue.undecided)
    return UINT64_MAX;
  return pool.node(queue.head).departure_ns;
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  const Pause& pause = parameters.as<Pause>();
  const NodeMask ends = pause.towards ? asked.destinations[i] : asked.sources[i];
  if ((ends & pause.node) == 0)
    return {{}, {}, pause.towards ? "not to the node" : "not from the node"};
  if (pause.silent)
    return {{}, {}, "the machine says nothing"};
  const std::uint32_t waiting = asked.state[i]->as<PauseState>().gate.queue.packets;
  return {{}, {}, fmt::format("{} packets wait", waiting)};
}

void read_buffer(const ConfigNode& node, Pause& pause, Problems& problems) {
  const auto limit = read_queue_limit(node, problems);
  if (limit && limit->unit == QueueLimit::Unit::kTime)
    problems.push_back(
        problem_at(node.mark, "found " + describe(node), "packets or bytes, such as 1000p or 1MB"));
  else if (limit)
    pause.buffer = *limit;
}

/// `burst`, `drop`, or `paced 10Mbit`.
void read_release(const ConfigNode& node, Pause& pause, Problems& problems) {
  constexpr std::string_view kPacedWord = "paced ";
  if (node.is_scalar() && node.text.starts_with(kPacedWord)) {
    ConfigNode rate = node;
    rate.text = node.text.substr(kPacedWord.size());
    pause.release = Release::kPaced;
    pause.rate_bps = read_rate_bps(rate, {1'000, kRateMaxBps}, problems).value_or(1'000);
    return;
  }
  const bool known = node.is_scalar() && (node.text == "burst" || node.text == "drop");
  if (!known)
    problems.push_back(problem_at(node.mark, "found " + describe(node),
                                  "burst, drop, or paced and a rate, such as paced 10Mbit"));
  else if (node.text == "drop")
    pause.release = Release::kDrop;
}

CompiledImpairment step_of(const Pause& pause, const std::shared_ptr<const NodeTable>& nodes) {
  CompiledImpairment compiled;
  compiled.parameters = Parameters::from(pause);
  compiled.decide = decide;
  compiled.serve = serve;
  compiled.explain = explain;
  compiled.scope = Per::kRule;
  compiled.nodes = nodes;
  compiled.state_bytes = sizeof(PauseState);
  compiled.delays = true;
  compiled.drops = true;
  compiled.owns_scope = true;
  compiled.shares_paths = true;
  compiled.served_drop = DropReason::kPause;
  return compiled;
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Pause pause;
  bool machine = false;
  MappingReader reader(node, "pause", problems);
  std::optional<std::size_t> paused;
  if (const ConfigNode* value = reader.require("node"))
    paused = read_node(*value, context, problems);
  if (const ConfigNode* value = reader.take("kind"))
    machine = read_word(*value, {"link", "machine"}, problems).value_or(0) == 1;
  if (const ConfigNode* value = reader.take("buffer"))
    read_buffer(*value, pause, problems);
  if (const ConfigNode* value = reader.take("release"))
    read_release(*value, pause, problems);
  for (const std::string_view key : {"command", "resume"})
    if (const ConfigNode* value = reader.take(key))
      problems.push_back(problem_at(value->mark, std::string(key) + " in a scenario",
                                    "faultline pause --command, or on a timeline faultline run, "
                                    "which run it as their own user"));
  reader.finish();
  if (problems.size() != before || !paused)
    return std::nullopt;
  pause.node = NodeMask{1} << *paused;
  CompiledImpairment compiled = step_of(pause, *context.nodes);
  pause.towards = false;
  pause.silent = machine;
  compiled.reverse = std::make_shared<const CompiledImpairment>(step_of(pause, *context.nodes));
  const LinkEnd end = LinkEnd::node(*paused);
  compiled.links = {*context.nodes, {{LinkEnd::anybody(), end}, {end, LinkEnd::anybody()}}};
  return compiled;
}

}  // namespace

extern const ImpairmentModel kModel_pause;
const ImpairmentModel kModel_pause{"pause", "", "", true, compile};

}  // namespace faultline
