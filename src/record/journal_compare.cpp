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
  bool by_connection = false;
  bool begins_later = false;  ///< its numbers do not begin with the connection: look at its hits
  bool operator==(const FlowSum&) const = default;
};
using FlowSums = std::map<FlowName, FlowSum>;

std::string port_name(const JournalNames& names, std::uint8_t port) {
  return port < names.ports.size() ? names.ports[port] : "?";
}

std::uint16_t client_port(const FlowKey& flow, const FlowConnection& connection) {
  return connection.role == Role::kReply ? flow.destination_port : flow.source_port;
}

/// "tcp 10.0.0.1:* > 10.0.0.2:80 (connection 3, request)": the same in every run.
std::string connection_text(const FlowKey& flow, const FlowConnection& connection) {
  const bool reply = connection.role == Role::kReply;
  FlowKey key = flow;
  (reply ? key.destination_port : key.source_port) = 0;
  std::string text = to_text(key);
  const std::string_view sought = reply ? ":0" : ":0 > ";
  const std::size_t at = reply ? text.rfind(sought) : text.find(sought);
  if (has_ports(key.protocol) && at != std::string::npos)
    text[at + 1] = '*';
  return text +
         fmt::format(" (connection {}, {})", connection.ordinal, reply ? "reply" : "request");
}

/// By its connection, where `by_connection` and that is known; else by all its ports.
std::string flow_text(const FlowKey& flow, const FlowConnection& connection, bool by_connection) {
  return by_connection && connection.known() ? connection_text(flow, connection) : to_text(flow);
}

/// Both ways, as long as it is not known whether the other journal knows connections.
class Sums final : public JournalVisitor {
 public:
  void hit(std::uint8_t, const JournalLine&) override {}
  void digest(const JournalDigest& digest, const FlowKey& flow,
              const JournalNames& names) override {
    const FlowConnection& connection = digest.connection;
    knows_connections |= connection.known();
    const std::string port = port_name(names, digest.ingress);
    add(by_ports, {port, to_text(flow)}, digest);
    FlowSum& sum = add(by_connection, {port, flow_text(flow, connection, true)}, digest);
    sum.by_connection = connection.known();
    sum.begins_later |= connection.known() && connection.before != 0;
  }
  FlowSums by_ports;
  FlowSums by_connection;
  bool knows_connections = false;

 private:
  static FlowSum& add(FlowSums& sums, FlowName name, const JournalDigest& digest) {
    FlowSum& sum = sums[std::move(name)];
    sum.digest += digest.digest;
    sum.hits += digest.hits;
    return sum;
  }
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
  std::uint16_t length_bytes = 0;
  std::uint16_t client_port = 0;  ///< of a connection
  std::uint64_t digest = 0;       ///< of all hits
  std::uint64_t without_ns = 0;   ///< of all hits, whatever their times
  std::string words;
};

class Hits final : public JournalVisitor {
 public:
  Hits(const std::set<FlowName>& wanted, bool by_connection)
      : wanted_(wanted), by_connection_(by_connection) {}

  void hit(std::uint8_t, const JournalLine& line) override {
    FlowName flow{std::string(line.port), flow_text(line.flow, line.connection, by_connection_)};
    if (!wanted_.contains(flow))
      return;
    const bool in_connection = by_connection_ && line.connection.known();
    JournalHit told = line.hit;
    if (in_connection && told.number != 0)
      told.number -= line.connection.before;
    Fate& fate = fates[{std::move(flow), std::string(line.to), told.number, told.copy}];
    const std::uint64_t rule = hash_name(line.rule);
    fate.hash = told.hash;
    fate.length_bytes = told.length_bytes;
    fate.client_port = in_connection ? client_port(line.flow, line.connection) : std::uint16_t{0};
    fate.digest += journal_digest(told, rule);
    JournalHit timeless = told;
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
  const std::set<FlowName>& wanted_;
  bool by_connection_;
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
    if (const auto other = second.find(flow);
        other == second.end() || other->second != sum || sum.begins_later)
      different.insert(flow);
  for (const auto& [flow, sum] : second)
    if (!first.contains(flow))
      different.insert(flow);
  return different;
}

using Fates = std::map<PacketName, Fate>;

class Comparing {
 public:
  Comparing(JournalComparison& result, const JournalCompareOptions& options)
      : result_(result), options_(options) {}

  void compare(const Fates& first, const Fates& second) {
    auto left = first.begin();
    auto right = second.begin();
    while (left != first.end() || right != second.end()) {
      const bool no_right = right == second.end();
      const bool take_left = left != first.end() && (no_right || left->first <= right->first);
      const bool take_right = !no_right && (left == first.end() || right->first <= left->first);
      const PacketName& name = take_left ? left->first : right->first;
      compare(name, take_left ? &left->second : nullptr, take_right ? &right->second : nullptr);
      if (take_left)
        ++left;
      if (take_right)
        ++right;
    }
  }

  /// Flows of which some packet differs.
  const std::set<FlowName>& flows() const { return flows_; }

 private:
  using Kind = JournalDifference::Kind;

  void compare(const PacketName& name, const Fate* first, const Fate* second) {
    if (first == nullptr)
      add(Kind::kSecond, result_.second_only, name, nullptr, second);
    else if (second == nullptr)
      add(Kind::kFirst, result_.first_only, name, first, nullptr);
    else if (first->digest == second->digest)
      ++result_.packets_same;
    else
      tell_apart(name, *first, *second);
  }

  /// Another port is another hash, whatever else is the same: then lengths tell packets apart.
  void tell_apart(const PacketName& name, const Fate& first, const Fate& second) {
    const bool same_ports = first.client_port == second.client_port;
    const bool timeless = first.without_ns == second.without_ns;
    if (first.length_bytes != second.length_bytes || (same_ports && first.hash != second.hash) ||
        (!same_ports && !timeless && options_.same_dice))
      add(Kind::kPacket, result_.packets, name, &first, &second);
    else if (timeless)
      add(Kind::kDelay, result_.delays, name, &first, &second);
    else
      add(Kind::kFate, result_.fates, name, &first, &second);
  }

  void add(Kind kind, std::uint64_t& count, const PacketName& name, const Fate* first,
           const Fate* second) {
    ++count;
    flows_.insert(name.flow);
    if (result_.differences.size() < options_.differences_max)
      result_.differences.push_back({kind, name.flow.port, name.to, name.flow.flow, name.number,
                                     name.copy, first != nullptr ? first->words : "",
                                     second != nullptr ? second->words : ""});
  }

  JournalComparison& result_;
  const JournalCompareOptions& options_;
  std::set<FlowName> flows_;
};

/// Flows as sums have them; `different` are those of which some packet differs.
void count_flows(const FlowSums& first, const FlowSums& second, const std::set<FlowName>& different,
                 JournalComparison& result) {
  result.flows_different = different.size();
  for (const auto& [flow, sum] : first) {
    const bool same = !different.contains(flow);
    result.flows_same += same ? 1U : 0U;
    if (!sum.by_connection || !second.contains(flow))
      continue;
    ++(same ? result.connections_same : result.connections_different);
    result.connection_hits += same ? sum.hits : 0U;
  }
}

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
                                           const JournalCompareOptions& options) {
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
  const bool by_connection = first_sums.knows_connections && second_sums.knows_connections;
  const FlowSums& left = by_connection ? first_sums.by_connection : first_sums.by_ports;
  const FlowSums& right = by_connection ? second_sums.by_connection : second_sums.by_ports;
  const std::set<FlowName> looked_at = different_flows(left, right);
  Comparing comparing(result, options);
  if (!looked_at.empty()) {
    Hits first_hits(looked_at, by_connection);
    Hits second_hits(looked_at, by_connection);
    if (const auto read = visit(first, first_hits); !read)
      return tl::unexpected(read.error());
    if (const auto read = visit(second, second_hits); !read)
      return tl::unexpected(read.error());
    comparing.compare(first_hits.fates, second_hits.fates);
  }
  count_flows(left, right, comparing.flows(), result);
  return result;
}

}  // namespace faultline
