// partition: nodes that do not hear each other. What goes from one to another that does not hear it
// is dropped; which links that are is settled when the policy is compiled, so that a partition
// begins and ends at an instant, for all of them at once. Only `swizzle` changes with time: nodes
// are cut off one by one, and come back one by one in another order.
#include <algorithm>
#include <numeric>

#include "base/units.hpp"
#include "impair/edits.hpp"
#include "impair/grudge.hpp"

namespace faultline {
namespace {

/// When each node is cut off, since the rule's beginning.
struct Swizzle {
  struct Span {
    std::uint64_t from_ns = UINT64_MAX;
    std::uint64_t until_ns = 0;
  };
  std::array<Span, kNodesMax> of{};
};

struct Partition {
  const Swizzle* swizzle = nullptr;  ///< null: everything that the rule matches is cut
};

bool is_cut(const Swizzle& swizzle, NodeMask nodes, std::uint64_t since_ns) noexcept {
  for (; nodes != 0; nodes &= nodes - 1) {
    const Swizzle::Span& span = swizzle.of[static_cast<std::size_t>(std::countr_zero(nodes))];
    if (since_ns >= span.from_ns && since_ns < span.until_ns)
      return true;
  }
  return false;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Swizzle* swizzle = parameters.as<Partition>().swizzle;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    if (swizzle == nullptr || is_cut(*swizzle, asked.sources[i] | asked.destinations[i],
                                     burst.arrival_ns[i] - asked.begins_ns))
      burst.reason[i] = DropReason::kPartition;
  }
}

Explanation explain(const Parameters& parameters, const Asked&, const JudgedBurst&, std::uint8_t) {
  return {
      {},
      {},
      parameters.as<Partition>().swizzle == nullptr ? "the link is cut" : "a node cut off in turn"};
}

class PartitionReader {
 public:
  PartitionReader(const ConfigNode& node, const CompileContext& context, Problems& problems)
      : node_(node),
        context_(context),
        problems_(problems),
        reader_(node, "partition", problems),
        shuffle_(dice_for(context, DicePurpose::kFlow)) {}

  std::optional<CompiledImpairment> read() {
    const std::size_t before = problems_.size();
    CompiledImpairment compiled;
    compiled.decide = decide;
    compiled.explain = explain;
    compiled.drops = true;
    compiled.cuts = true;
    read_spared(compiled);
    read_nodes();
    if (const ConfigNode* value = reader_.take("choice"))
      shuffle_ = NodeShuffle(dice_for(context_, DicePurpose::kFlow),
                             read_count(*value, {0, UINT64_MAX}, problems_).value_or(0));
    const ConfigNode* grudge = reader_.take("grudge");
    const ConfigNode* shape = reader_.take("shape");
    if (node_.is_mapping() && (grudge == nullptr) == (shape == nullptr))
      problems_.push_back(problem_at(node_.mark,
                                     grudge == nullptr ? "a partition without shape or grudge"
                                                       : "a partition with shape and grudge",
                                     "one of shape: " + std::string(kPartitionShapes[0]) +
                                         " and the like, or "
                                         "grudge: {a: [b]}, the nodes that a does not hear"));
    else if (grudge != nullptr)
      compiled.links = links_of(read_grudge(*grudge));
    else if (shape != nullptr)
      read_shape(*shape, compiled);
    reader_.finish();
    if (problems_.size() != before)
      return std::nullopt;
    return compiled;
  }

 private:
  void complain(const Mark& mark, std::string found, std::string allowed) {
    problems_.push_back(problem_at(mark, std::move(found), std::move(allowed)));
  }

  void read_spared(CompiledImpairment& compiled) {
    if (const ConfigNode* value = reader_.take("arp"))
      spares_neighbours_ = read_word(*value, {"drop", "pass"}, problems_).value_or(0) == 1;
    if (const ConfigNode* value = reader_.take("tcp_acks"))
      compiled.spares_tcp_acks = read_word(*value, {"drop", "pass"}, problems_).value_or(0) == 1;
  }

  /// All of them, or those that `nodes:` lists.
  void read_nodes() {
    const ConfigNode* list = reader_.take("nodes");
    if (list != nullptr) {
      read_list(*list, nodes_);
      return;
    }
    if (context_.nodes == nullptr || *context_.nodes == nullptr)
      return;
    nodes_.resize((*context_.nodes)->nodes().size());
    std::iota(nodes_.begin(), nodes_.end(), std::size_t{0});
  }

  void read_list(const ConfigNode& list, std::vector<std::size_t>& nodes) {
    if (!list.is_sequence() || list.items.empty()) {
      complain(list.mark, "found " + describe(list), "a list of nodes");
      return;
    }
    for (const ConfigNode& item : list.items) {
      const auto node = read_node(item, context_, problems_);
      if (node && std::ranges::find(nodes, *node) != nodes.end())
        complain(item.mark, "node '" + item.text + "' is in the list already", "each node once");
      else if (node)
        nodes.push_back(*node);
    }
  }

  Grudge read_grudge(const ConfigNode& map) {
    Grudge grudge;
    if (!map.is_mapping() || map.entries.empty()) {
      complain(map.mark, "grudge is " + describe(map), "for example {a: [b, c]}");
      return grudge;
    }
    for (const ConfigEntry& entry : map.entries) {
      ConfigNode name;
      name.kind = ConfigNode::Kind::kScalar;
      name.text = entry.key;
      name.mark = entry.key_mark;
      const auto hearer = read_node(name, context_, problems_);
      std::vector<std::size_t> speakers;
      read_list(entry.value, speakers);
      for (const std::size_t speaker : speakers) {
        if (hearer && speaker == *hearer)
          complain(entry.value.mark, "node '" + entry.key + "' would not hear itself",
                   "other nodes");
        else if (hearer)
          grudge.cut(*hearer, speaker);
      }
    }
    return grudge;
  }

  std::optional<std::size_t> read_named(PartitionShape shape) {
    const ConfigNode* value = reader_.take("node");
    if (value == nullptr)
      return std::nullopt;
    if (shape == PartitionShape::kHalves || shape == PartitionShape::kRandomHalves ||
        shape == PartitionShape::kMinorityThird || shape == PartitionShape::kMajoritiesRing ||
        shape == PartitionShape::kSwizzle)
      complain(value->mark, "a shape that is about no single node", "node: left out");
    return read_node(*value, context_, problems_);
  }

  void read_shape(const ConfigNode& node, CompiledImpairment& compiled) {
    const auto word =
        read_word(node, {std::begin(kPartitionShapes), std::end(kPartitionShapes)}, problems_);
    if (!word)
      return;
    const auto shape = static_cast<PartitionShape>(*word);
    const auto named = read_named(shape);
    if (const ConfigNode* groups = reader_.take("groups")) {
      if (shape != PartitionShape::kHalves)
        complain(groups->mark, "groups of another shape than halves", "shape: halves");
      compiled.links = links_of(read_groups(*groups));
      return;
    }
    if (shape == PartitionShape::kPrimary && !named)
      complain(node.mark, "shape: primary without a node",
               "node:, which `faultline partition primary --command` finds out");
    const std::size_t least = shape == PartitionShape::kBridge ? 3 : 2;
    if (nodes_.size() < least) {
      complain(node.mark, "a partition of " + std::to_string(nodes_.size()) + " nodes",
               std::to_string(least) + " or more, told under nodes:");
      return;
    }
    if (named && std::ranges::find(nodes_, *named) == nodes_.end())
      complain(node.mark, "the shape's node is none of `nodes`", "one of them");
    if (shape == PartitionShape::kSwizzle)
      read_swizzle(compiled);
    else
      compiled.links = links_of(grudge_of(shape, nodes_, named, shuffle_));
  }

  Grudge read_groups(const ConfigNode& list) {
    std::vector<std::vector<std::size_t>> groups;
    std::vector<std::size_t> all;
    if (!list.is_sequence() || list.items.size() < 2) {
      complain(list.mark, "groups is " + describe(list), "two or more lists of nodes");
      return {};
    }
    for (const ConfigNode& item : list.items) {
      read_list(item, groups.emplace_back());
      for (const std::size_t node : groups.back()) {
        if (std::ranges::find(all, node) != all.end())
          complain(item.mark, "a node in two groups", "each node in one");
        all.push_back(node);
      }
    }
    return grudge_of(groups);
  }

  /// `count` of the nodes stop one by one over `over`, stay cut off for `stay`, and come back one
  /// by one over `over` again.
  void read_swizzle(CompiledImpairment& compiled) {
    std::uint64_t count = nodes_.size();
    std::uint64_t over_ns = 5 * kNsPerSecond;
    std::uint64_t stay_ns = 0;
    if (const ConfigNode* value = reader_.take("count"))
      count = read_count(*value, {1, nodes_.size()}, problems_).value_or(1);
    if (const ConfigNode* value = reader_.take("over"))
      over_ns = read_duration_ns(*value, {1, kDurationMaxNs}, problems_).value_or(1);
    if (const ConfigNode* value = reader_.take("stay"))
      stay_ns = read_duration_ns(*value, {0, kDurationMaxNs}, problems_).value_or(0);
    std::vector<std::size_t> chosen = nodes_;
    shuffle_.shuffle(chosen);
    chosen.resize(count);
    compiled.cuts = false;  // nodes go one after the other
    auto swizzle = std::make_shared<Swizzle>();
    LinkEnd cut;
    for (std::size_t place = 0; place < count; ++place) {
      swizzle->of[chosen[place]].from_ns = over_ns * place / count;
      cut.nodes |= NodeMask{1} << chosen[place];
    }
    shuffle_.shuffle(chosen);
    for (std::size_t place = 0; place < count; ++place)
      swizzle->of[chosen[place]].until_ns = over_ns + stay_ns + over_ns * (place + 1) / count;
    compiled.links = {
        table(), {{cut, LinkEnd::anybody()}, {LinkEnd::anybody(), cut}}, spares_neighbours_};
    compiled.nodes = table();
    compiled.parameters = Parameters::from(Partition{swizzle.get()});
    compiled.tables = std::move(swizzle);
  }

  std::shared_ptr<const NodeTable> table() const {
    return context_.nodes == nullptr ? nullptr : *context_.nodes;
  }

  LinkSet links_of(const Grudge& grudge) const {
    return {table(), grudge.bundles(), spares_neighbours_};
  }

  const ConfigNode& node_;
  const CompileContext& context_;
  Problems& problems_;
  MappingReader reader_;
  NodeShuffle shuffle_;
  std::vector<std::size_t> nodes_;
  bool spares_neighbours_ = false;
};

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  return PartitionReader(node, context, problems).read();
}

}  // namespace

extern const ImpairmentModel kModel_partition;
const ImpairmentModel kModel_partition{"partition", "", "", true, compile};

}  // namespace faultline
