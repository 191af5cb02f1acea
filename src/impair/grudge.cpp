// Shapes into grudges. The names are those of Jepsen's nemeses.
#include "impair/grudge.hpp"

#include <algorithm>
#include <numeric>

#include "base/int128.hpp"

namespace faultline {

std::vector<LinkBundle> Grudge::bundles() const {
  std::vector<LinkBundle> bundles;
  for (std::size_t hearer = 0; hearer < kNodesMax; ++hearer) {
    if (unheard[hearer] == 0)
      continue;
    const auto same = std::ranges::find_if(
        bundles, [&](const LinkBundle& bundle) { return bundle.from.nodes == unheard[hearer]; });
    if (same != bundles.end())
      same->to.nodes |= NodeMask{1} << hearer;
    else
      bundles.push_back({{.nodes = unheard[hearer]}, LinkEnd::node(hearer)});
  }
  return bundles;
}

std::size_t NodeShuffle::below(std::size_t count) {
  const std::uint64_t uniform = dice_.uniform(0, drawn_++);
  return static_cast<std::size_t>((static_cast<Uint128>(uniform) * count) >> 64);
}

/// Fisher and Yates.
void NodeShuffle::shuffle(std::vector<std::size_t>& nodes) {
  for (std::size_t left = nodes.size(); left > 1; --left)
    std::swap(nodes[left - 1], nodes[below(left)]);
}

namespace {

/// Each node hears as many as make a majority with itself, those next to it in a ring, and no two
/// hear the same.
Grudge ring_of(const std::vector<std::size_t>& nodes) {
  const std::size_t count = nodes.size();
  const std::size_t majority = count / 2 + 1;
  const std::size_t behind = (majority - 1) / 2;
  Grudge grudge;
  for (std::size_t place = 0; place < count; ++place) {
    for (std::size_t other = 0; other < count; ++other) grudge.cut(nodes[place], nodes[other]);
    for (std::size_t step = 0; step < majority; ++step) {
      const std::size_t heard = nodes[(place + count - behind + step) % count];
      grudge.unheard[nodes[place]] &= ~(NodeMask{1} << heard);
    }
  }
  return grudge;
}

std::vector<std::vector<std::size_t>> split(const std::vector<std::size_t>& nodes,
                                            std::size_t first) {
  const auto middle = nodes.begin() + static_cast<std::ptrdiff_t>(first);
  return {{nodes.begin(), middle}, {middle, nodes.end()}};
}

}  // namespace

Grudge grudge_of(const std::vector<std::vector<std::size_t>>& groups) {
  Grudge grudge;
  for (const auto& one : groups)
    for (const auto& other : groups)
      if (&one != &other)
        for (const std::size_t hearer : one)
          for (const std::size_t speaker : other) grudge.cut(hearer, speaker);
  return grudge;
}

Grudge grudge_of(PartitionShape shape, const std::vector<std::size_t>& nodes,
                 std::optional<std::size_t> named, NodeShuffle& shuffle) {
  std::vector<std::size_t> order = nodes;
  const std::size_t count = nodes.size();
  // Of an odd number one half is larger: whose, the dice say.
  const auto half = [&] { return count / 2 + (count % 2 != 0 ? shuffle.below(2) : 0); };
  const auto node = [&] { return named ? *named : nodes[shuffle.below(count)]; };
  Grudge grudge;
  switch (shape) {
    case PartitionShape::kHalves:
      return grudge_of(split(order, half()));
    case PartitionShape::kRandomHalves:
      shuffle.shuffle(order);
      return grudge_of(split(order, half()));
    case PartitionShape::kMinorityThird:
      shuffle.shuffle(order);
      return grudge_of(split(order, std::max<std::size_t>((count - 1) / 3, 1)));
    case PartitionShape::kBridge: {
      const std::size_t bridge = node();
      std::erase(order, bridge);
      const std::size_t first = order.size() / 2 + (order.size() % 2 != 0 ? shuffle.below(2) : 0);
      return grudge_of(split(order, first));
    }
    case PartitionShape::kMajoritiesRing:
      shuffle.shuffle(order);
      return ring_of(order);
    case PartitionShape::kOneWayIn:
    case PartitionShape::kOneWayOut:
    case PartitionShape::kOne:
    case PartitionShape::kPrimary:
    case PartitionShape::kSwizzle:
      break;
  }
  const std::size_t alone = node();
  for (const std::size_t other : nodes) {
    if (shape != PartitionShape::kOneWayOut)
      grudge.cut(alone, other);
    if (shape != PartitionShape::kOneWayIn)
      grudge.cut(other, alone);
  }
  return grudge;
}

std::optional<std::size_t> read_node(const ConfigNode& node, const CompileContext& context,
                                     Problems& problems) {
  std::vector<std::string_view> names;
  if (context.nodes != nullptr && *context.nodes != nullptr)
    for (const NodeAddresses& known : (*context.nodes)->nodes()) names.push_back(known.name);
  const auto found = std::ranges::find(names, node.is_scalar() ? node.text : std::string());
  if (node.is_scalar() && found != names.end())
    return static_cast<std::size_t>(found - names.begin());
  std::string allowed = names.empty() ? "a node, told under nodes:" : "one of the nodes ";
  for (const std::string_view name : names)
    allowed += (name == names.front() ? "" : ", ") + std::string(name);
  problems.push_back(problem_at(node.mark, "unknown node " + describe(node), std::move(allowed),
                                node.is_scalar() ? nearest_word(node.text, names) : ""));
  return std::nullopt;
}

}  // namespace faultline
