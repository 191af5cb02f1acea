// Who does not hear whom: grudges as they are written, and the shapes that have names.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "base/dice.hpp"
#include "impair/impairment.hpp"

namespace faultline {

/// Nodes that each node does not hear, by index.
struct Grudge {
  std::array<NodeMask, kNodesMax> unheard{};

  /// From now on `hearer` does not hear `speaker`. Everybody hears himself.
  void cut(std::size_t hearer, std::size_t speaker) {
    if (hearer != speaker)
      unheard[hearer] |= NodeMask{1} << speaker;
  }
  void cut_both(std::size_t one, std::size_t other) {
    cut(one, other);
    cut(other, one);
  }
  /// The links that it cuts: those to nodes with the same grudge together.
  std::vector<LinkBundle> bundles() const;
};

/// How nodes are chosen where nobody names them: the same for a seed and a rule.
class NodeShuffle {
 public:
  explicit NodeShuffle(const Dice& dice) : dice_(dice) {}
  /// In [0, count).
  std::size_t below(std::size_t count);
  void shuffle(std::vector<std::size_t>& nodes);

 private:
  Dice dice_;
  std::uint64_t drawn_ = 0;
};

/// The words of `shape:`.
inline constexpr std::string_view kPartitionShapes[] = {
    "halves",          "random-halves", "one",         "minority-third", "bridge",
    "majorities-ring", "one-way-in",    "one-way-out", "primary",        "swizzle"};
enum class PartitionShape : std::uint8_t {
  kHalves,
  kRandomHalves,
  kOne,
  kMinorityThird,
  kBridge,
  kMajoritiesRing,
  kOneWayIn,
  kOneWayOut,
  kPrimary,
  kSwizzle,
};

/// The grudge of a shape over `nodes`, two at least, in the order written; `named` is the node that
/// the shape is about, drawn where it is left out. Not for primary and swizzle.
Grudge grudge_of(PartitionShape shape, const std::vector<std::size_t>& nodes,
                 std::optional<std::size_t> named, NodeShuffle& shuffle);

/// Nobody hears a node of another group.
Grudge grudge_of(const std::vector<std::vector<std::size_t>>& groups);

/// The node that a scenario's word names; when there is none, that is told.
std::optional<std::size_t> read_node(const ConfigNode& node, const CompileContext& context,
                                     Problems& problems);

}  // namespace faultline
