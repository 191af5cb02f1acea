// partition: which links each shape cuts, by whom the rest is chosen, and what is refused.
#include <gtest/gtest.h>

#include <bit>

#include "impair/grudge.hpp"
#include "tests/unit/impair_bench.hpp"

namespace faultline {
namespace {

using test::tree_of;

std::shared_ptr<const NodeTable> nodes_named(std::size_t count) {
  std::vector<NodeAddresses> nodes;
  for (std::size_t index = 0; index < count; ++index)
    nodes.push_back({.name = std::string(1, static_cast<char>('a' + index)),
                     .port = static_cast<std::uint8_t>(index)});
  return std::make_shared<const NodeTable>(std::move(nodes));
}

struct Read {
  std::optional<CompiledImpairment> compiled;
  std::vector<std::string> problems;
};

Read read(const std::string& value, std::size_t count, std::uint64_t seed = 1) {
  const auto nodes = nodes_named(count);
  Problems problems;
  std::string_view kind;
  Read read;
  read.compiled =
      compile_impairment(tree_of("{partition: " + value + "}"),
                         {.seed = seed, .rule_name = "r", .nodes = &nodes}, &kind, problems);
  read.problems = test::lines_of(problems);
  return read;
}

/// "a<b" for each node b that a does not hear, of a partition of that many nodes.
std::vector<std::string> cuts(const std::string& value, std::size_t count, std::uint64_t seed = 1) {
  const Read made = read(value, count, seed);
  EXPECT_TRUE(made.compiled && made.compiled->links) << value;
  std::vector<std::string> cut;
  if (!made.compiled || !made.compiled->links)
    return cut;
  for (std::size_t hearer = 0; hearer < count; ++hearer)
    for (std::size_t speaker = 0; speaker < count; ++speaker)
      for (const LinkBundle& bundle : made.compiled->links->bundles)
        if (bundle.from.holds(NodeMask{1} << speaker, 63) &&
            bundle.to.holds(NodeMask{1} << hearer, 63))
          cut.push_back({static_cast<char>('a' + hearer), '<', static_cast<char>('a' + speaker)});
  return cut;
}

using Cuts = std::vector<std::string>;

TEST(ImpairPartition, NamedShapes) {
  struct ShapeCase {
    std::string value;
    std::size_t count;
    Cuts cut;
  };
  const ShapeCase cases[] = {
      {"{grudge: {a: [b], c: [a, b]}}", 3, {"a<b", "c<a", "c<b"}},
      {"{shape: one, node: b}", 3, {"a<b", "b<a", "b<c", "c<b"}},
      {"{shape: primary, node: c}", 3, {"a<c", "b<c", "c<a", "c<b"}},
      {"{shape: one-way-in, node: a}", 3, {"a<b", "a<c"}},
      {"{shape: one-way-out, node: a}", 3, {"b<a", "c<a"}},
      {"{shape: halves}", 4, {"a<c", "a<d", "b<c", "b<d", "c<a", "c<b", "d<a", "d<b"}},
      {"{shape: halves, groups: [[c], [a, b]]}", 3, {"a<c", "b<c", "c<a", "c<b"}},
      {"{shape: halves, groups: [[a], [b], [c]]}", 4, {"a<b", "a<c", "b<a", "b<c", "c<a", "c<b"}},
      {"{shape: bridge, node: c}", 5, {"a<d", "a<e", "b<d", "b<e", "d<a", "d<b", "e<a", "e<b"}},
      {"{shape: one, node: a, nodes: [a, c]}", 3, {"a<c", "c<a"}},
  };
  for (const ShapeCase& one : cases) EXPECT_EQ(cuts(one.value, one.count), one.cut) << one.value;
}

TEST(ImpairPartition, TheSeedChoosesAndChoosesAll) {
  // Of an odd number of nodes the larger half is now one, now the other.
  std::set<std::ptrdiff_t> sizes;
  std::set<Cuts> halves, alone, thirds;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Cuts half = cuts("{shape: halves}", 3, seed);
    EXPECT_EQ(half, cuts("{shape: halves}", 3, seed));
    EXPECT_EQ(half.size(), 4U);
    sizes.insert(std::ranges::count_if(half, [](const auto& cut) { return cut[0] == 'a'; }));
    halves.insert(cuts("{shape: random-halves}", 4, seed));
    alone.insert(cuts("{shape: one}", 5, seed));
    thirds.insert(cuts("{shape: minority-third}", 7, seed));
    EXPECT_EQ(thirds.rbegin()->size(), 2U * 2 * 5);
  }
  EXPECT_EQ(sizes, (std::set<std::ptrdiff_t>{1, 2}));
  EXPECT_EQ(halves.size(), 3U);  // ways to halve four
  EXPECT_EQ(alone.size(), 5U);
  EXPECT_GT(thirds.size(), 10U);
}

TEST(ImpairPartition, EachOfARingSeesAMajorityOfItsOwn) {
  for (std::size_t count = 3; count <= 9; ++count) {
    const Cuts cut = cuts("{shape: majorities-ring}", count, count);
    std::set<std::string> heard;
    for (std::size_t hearer = 0; hearer < count; ++hearer) {
      std::string by;
      for (std::size_t speaker = 0; speaker < count; ++speaker) {
        const std::string link{static_cast<char>('a' + hearer), '<',
                               static_cast<char>('a' + speaker)};
        if (std::ranges::find(cut, link) == cut.end())
          by += static_cast<char>('a' + speaker);
      }
      EXPECT_EQ(by.size(), count / 2 + 1);
      EXPECT_NE(by.find(static_cast<char>('a' + hearer)), std::string::npos);
      heard.insert(by);
    }
    EXPECT_EQ(heard.size(), count);
  }
}

TEST(ImpairPartition, SwizzleTakesNodesOneByOne) {
  const auto nodes = nodes_named(4);
  Problems problems;
  std::string_view kind;
  const auto made =
      compile_impairment(tree_of("{partition: {shape: swizzle, count: 3, over: 3s, stay: 10s}}"),
                         {.seed = 5, .rule_name = "r", .nodes = &nodes}, &kind, problems);
  ASSERT_TRUE(made.has_value());
  std::vector<std::uint64_t> whole_seconds;
  std::vector<int> cut_off;
  for (std::uint64_t second = 0; second < 18; ++second) {
    Asked asked;
    JudgedBurst burst;
    Selection selection;
    asked.begins_ns = 7 * kNsPerSecond;
    for (std::uint8_t i = 0; i < 4; ++i) {
      asked.sources[i] = i % 2 == 0 ? NodeMask{1} << i : 0;
      asked.destinations[i] = i % 2 != 0 ? NodeMask{1} << i : 0;
      burst.arrival_ns[i] = asked.begins_ns + second * kNsPerSecond;
      burst.reason[i] = DropReason::kNone;
      selection.position[selection.count++] = i;
    }
    ImpairmentTally tally;
    made->decide(made->parameters, asked, burst, selection, tally);
    int cut = 0;
    for (std::uint8_t i = 0; i < 4; ++i) cut += burst.reason[i] == DropReason::kPartition ? 1 : 0;
    cut_off.push_back(cut);
  }
  EXPECT_EQ(cut_off, (std::vector<int>{1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 1, 0, 0}));
}

TEST(ImpairPartition, WhatIsSpared) {
  EXPECT_FALSE(read("{shape: halves}", 2).compiled->links->spares_neighbours);
  EXPECT_FALSE(read("{shape: halves}", 2).compiled->spares_tcp_acks);
  const Read spared = read("{shape: halves, arp: pass, tcp_acks: pass}", 2);
  EXPECT_TRUE(spared.compiled->links->spares_neighbours);
  EXPECT_TRUE(spared.compiled->spares_tcp_acks);
}

TEST(ImpairPartition, Errors) {
  const auto errors = [](const std::string& value, std::size_t count = 3) {
    return read(value, count).problems;
  };
  const std::string nodes = "; one of the nodes a, b, c";
  EXPECT_EQ(errors("{shape: one, node: z}"), Cuts{"f:1:32: error: unknown node 'z'" + nodes});
  EXPECT_EQ(errors("{grudge: {z: [b]}}"), Cuts{"f:1:23: error: unknown node 'z'" + nodes});
  EXPECT_EQ(errors("{grudge: {a: [a]}}"),
            Cuts{"f:1:26: error: node 'a' would not hear itself; other nodes"});
  EXPECT_EQ(errors("{grudge: {a: [b, b]}}"),
            Cuts{"f:1:30: error: node 'b' is in the list already; each node once"});
  EXPECT_EQ(errors("{shape: halves, groups: [[a, b], [b]]}"),
            Cuts{"f:1:46: error: a node in two groups; each node in one"});
  EXPECT_EQ(errors("{shape: halves, node: a}"),
            Cuts{"f:1:35: error: a shape that is about no single node; node: left out"});
  EXPECT_EQ(errors("{shape: bridge}", 2),
            Cuts{"f:1:21: error: a partition of 2 nodes; 3 or more, told under nodes:"});
  EXPECT_EQ(errors("{shape: one, node: c, nodes: [a, b]}"),
            Cuts{"f:1:21: error: the shape's node is none of `nodes`; one of them"});
  EXPECT_EQ(errors("{shape: primary}"),
            Cuts{"f:1:21: error: shape: primary without a node; node:, which `faultline partition "
                 "primary --command` finds out"});
  EXPECT_EQ(errors("{}").size(), 1U);
  EXPECT_EQ(errors("{shape: halves, grudge: {a: [b]}}").size(), 1U);
  EXPECT_EQ(errors("{shape: haves}").size(), 1U);
  EXPECT_EQ(errors("{shape: swizzle, count: 4}").size(), 1U);
}

}  // namespace
}  // namespace faultline
