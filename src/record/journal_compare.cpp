// Sums of flows compared first, then the hits of those that differ.
#include "record/journal_compare.hpp"

#include <fmt/format.h>

#include <map>
#include <set>
#include <tuple>

#include "base/dice.hpp"
#include "record/journal_encoder.hpp"

namespace faultline {
namespace {

struct FlowName {
  std::string port;
  std::string flow;
  auto operator<=>(const FlowName&) const = default;
};

/// What all hits of a flow sum up to.
struct FlowSum {
  std::uint64_t digest = 0;
  std::uint64_t hits = 0;
  bool operator==(const FlowSum&) const = default;
};
using FlowSums = std::map<FlowName, FlowSum>;

std::string port_name(const JournalNames& names, std::uint8_t port) {
  return port < names.ports.size() ? names.ports[port] : "?";
}

class Sums final : public JournalVisitor {
 public:
  void hit(std::uint8_t, const JournalLine&) override {}
  void digest(const JournalDigest& digest, const FlowKey& flow,
              const JournalNames& names) override {
    FlowSum& sum = sums[{port_name(names, digest.ingress), to_text(flow)}];
    sum.digest += digest.digest;
    sum.hits += digest.hits;
  }
  FlowSums sums;
};

struct PacketName {
  FlowName flow;
  std::string to;
  std::uint64_t number = 0;
  std::uint8_t copy = 0;
  auto operator<=>(const PacketName&) const = default;
};

/// What befell one packet.
struct Fate {
  std::uint32_t hash = 0;
  std::uint64_t digest = 0;      ///< of all hits
  std::uint64_t without_ns = 0;  ///< of all hits, whatever their times
  std::string words;
};

class Hits final : public JournalVisitor {
 public:
  explicit Hits(const std::set<FlowName>* wanted) : wanted_(wanted) {}

  void hit(std::uint8_t, const JournalLine& line) override {
    FlowName flow{std::string(line.port), to_text(line.flow)};
    if (wanted_ != nullptr && !wanted_->contains(flow))
      return;
    Fate& fate = fates[{std::move(flow), std::string(line.to), line.hit.number, line.hit.copy}];
    const std::uint64_t rule = hash_name(line.rule);
    fate.hash = line.hit.hash;
    fate.digest += journal_digest(line.hit, rule);
    JournalHit timeless = line.hit;
    timeless.delay_ns = timeless.delay_ns == 0 ? 0 : 1;
    timeless.arrival_ns = timeless.release_ns = 0;
    fate.without_ns += journal_digest(timeless, rule);
    fmt::format_to(std::back_inserter(fate.words), "{}{}/{} {}", fate.words.empty() ? "" : ", ",
                   line.rule, line.impairment, journal_action(line.hit));
    if (line.hit.delay_ns != 0)
      fmt::format_to(std::back_inserter(fate.words), " {} ns",
                     static_cast<std::int64_t>(line.hit.delay_ns));
  }

  std::map<PacketName, Fate> fates;

 private:
  const std::set<FlowName>* wanted_;
};

Result<std::uint64_t> visit(const std::string& path, JournalVisitor& visitor) {
  Result<JournalReader> reader = JournalReader::open(path);
  if (!reader)
    return tl::unexpected(reader.error());
  if (reader->read(visitor) == JournalEnd::kDamaged)
    return tl::unexpected(Problems{problem_at(
        {path, 0, 0}, fmt::format("is damaged from byte {} on", reader->offset_bytes()))});
  return reader->lost();
}

/// The flows whose hits must be looked at one by one.
std::set<FlowName> different_flows(const FlowSums& first, const FlowSums& second) {
  std::set<FlowName> different;
  for (const auto& [flow, sum] : first)
    if (const auto other = second.find(flow); other == second.end() || other->second != sum)
      different.insert(flow);
  for (const auto& [flow, sum] : second)
    if (!first.contains(flow))
      different.insert(flow);
  return different;
}

class Comparing {
 public:
  Comparing(JournalComparison& result, std::size_t most) : result_(result), most_(most) {}

  void compare(const PacketName& name, const Fate* first, const Fate* second) {
    using Kind = JournalDifference::Kind;
    if (first == nullptr)
      add(Kind::kSecond, ++result_.second_only, name, nullptr, second);
    else if (second == nullptr)
      add(Kind::kFirst, ++result_.first_only, name, first, nullptr);
    else if (first->digest == second->digest)
      ++result_.packets_same;
    else if (first->hash != second->hash)
      add(Kind::kPacket, ++result_.packets, name, first, second);
    else if (first->without_ns == second->without_ns)
      add(Kind::kDelay, ++result_.delays, name, first, second);
    else
      add(Kind::kFate, ++result_.fates, name, first, second);
  }

 private:
  void add(JournalDifference::Kind kind, std::uint64_t, const PacketName& name, const Fate* first,
           const Fate* second) {
    if (result_.differences.size() < most_)
      result_.differences.push_back({kind, name.flow.port, name.to, name.flow.flow, name.number,
                                     name.copy, first != nullptr ? first->words : "",
                                     second != nullptr ? second->words : ""});
  }

  JournalComparison& result_;
  std::size_t most_;
};

}  // namespace

std::string_view difference_name(JournalDifference::Kind kind) {
  switch (kind) {
    case JournalDifference::Kind::kFate:
      return "fate";
    case JournalDifference::Kind::kDelay:
      return "delay";
    case JournalDifference::Kind::kPacket:
      return "packet";
    case JournalDifference::Kind::kFirst:
      return "first-only";
    case JournalDifference::Kind::kSecond:
      return "second-only";
  }
  return "";
}

Result<JournalComparison> compare_journals(const std::string& first, const std::string& second,
                                           std::size_t differences_max) {
  JournalComparison result;
  Sums first_sums;
  Sums second_sums;
  const Result<std::uint64_t> first_lost = visit(first, first_sums);
  if (!first_lost)
    return tl::unexpected(first_lost.error());
  const Result<std::uint64_t> second_lost = visit(second, second_sums);
  if (!second_lost)
    return tl::unexpected(second_lost.error());
  result.first_lost = *first_lost;
  result.second_lost = *second_lost;
  const std::set<FlowName> different = different_flows(first_sums.sums, second_sums.sums);
  for (const auto& [flow, sum] : first_sums.sums)
    result.flows_same += different.contains(flow) ? 0U : 1U;
  result.flows_different = different.size();
  if (different.empty())
    return result;
  Hits first_hits(&different);
  Hits second_hits(&different);
  if (const auto read = visit(first, first_hits); !read)
    return tl::unexpected(read.error());
  if (const auto read = visit(second, second_hits); !read)
    return tl::unexpected(read.error());
  Comparing comparing(result, differences_max);
  auto left = first_hits.fates.begin();
  auto right = second_hits.fates.begin();
  while (left != first_hits.fates.end() || right != second_hits.fates.end()) {
    const bool no_right = right == second_hits.fates.end();
    const bool take_left =
        left != first_hits.fates.end() && (no_right || left->first <= right->first);
    const bool take_right =
        !no_right && (left == first_hits.fates.end() || right->first <= left->first);
    const PacketName& name = take_left ? left->first : right->first;
    comparing.compare(name, take_left ? &left->second : nullptr,
                      take_right ? &right->second : nullptr);
    if (take_left)
      ++left;
    if (take_right)
      ++right;
  }
  return result;
}

}  // namespace faultline
