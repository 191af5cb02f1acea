// crash: a node that is gone for a while and comes back knowing nothing. A crashed host is silent,
// ARP and neighbour discovery included; of a crashed process the kernel still answers: connections
// are reset, new ones refused. From its return on, whatever belongs to a connection from before is
// reset, at both ends.
#include "impair/grudge.hpp"
#include "impair/resets.hpp"

namespace faultline {
namespace {

struct Crash {
  NodeMask node = 0;
  std::uint64_t down_ns = UINT64_MAX;  ///< since the rule was enabled
  bool process = false;
};

bool opens(const FrameFields& fields) noexcept {
  return (fields.tcp_flags & (kSynFlag | kAckFlag)) == kSynFlag;
}

void judge(const Crash& crash, Asked& asked, JudgedBurst& burst, std::uint8_t i) noexcept {
  const FrameFields& fields = (*asked.fields)[i];
  const std::uint64_t returns_ns =
      crash.down_ns == UINT64_MAX ? UINT64_MAX : asked.begins_ns + crash.down_ns;
  const bool down = burst.arrival_ns[i] < returns_ns;
  if (down && !crash.process) {
    burst.reason[i] = DropReason::kCrash;
    return;
  }
  if (!shows_tcp(fields) || burst.piece[i] == Piece::kLater || (fields.tcp_flags & kRstFlag) != 0)
    return;
  if (opens(fields)) {
    if (!down || (asked.destinations[i] & crash.node) == 0)
      return;
    plan_answer(asked, burst, i, true, 0);
    burst.reason[i] = DropReason::kCrash;
    return;
  }
  if (!down && (*asked.tcp)[i].opened_ns >= returns_ns)
    return;
  plan_resets(asked, burst, i, true, true);
  burst.reason[i] = DropReason::kCrash;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Crash& crash = parameters.as<Crash>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn)
    judge(crash, asked, burst, selection.position[turn]);
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst& burst,
                    std::uint8_t i) {
  const Crash& crash = parameters.as<Crash>();
  const bool down =
      crash.down_ns == UINT64_MAX || burst.arrival_ns[i] < asked.begins_ns + crash.down_ns;
  return {{}, {}, down ? "the node is down" : "the node has come back"};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Crash crash;
  MappingReader reader(node, "crash", problems);
  std::optional<std::size_t> crashed;
  if (const ConfigNode* value = reader.require("node"))
    crashed = read_node(*value, context, problems);
  if (const ConfigNode* value = reader.take("kind"))
    crash.process = read_word(*value, {"host", "process"}, problems).value_or(0) == 1;
  if (const ConfigNode* value = reader.take("down"))
    crash.down_ns = read_duration_ns(*value, {1, kDurationMaxNs}, problems).value_or(1);
  reader.finish();
  if (problems.size() != before || !crashed)
    return std::nullopt;
  crash.node = NodeMask{1} << *crashed;
  CompiledImpairment compiled;
  compiled.parameters = Parameters::from(crash);
  compiled.decide = decide;
  compiled.answer = answer_reset;
  compiled.explain = explain;
  const LinkEnd end = LinkEnd::node(*crashed);
  compiled.links = {*context.nodes, {{LinkEnd::anybody(), end}, {end, LinkEnd::anybody()}}};
  compiled.nodes = *context.nodes;
  compiled.follows_tcp = true;
  compiled.drops = true;
  compiled.cuts = !crash.process;
  return compiled;
}

}  // namespace

extern const ImpairmentModel kModel_crash;
const ImpairmentModel kModel_crash{"crash", "", "", true, compile};

}  // namespace faultline
