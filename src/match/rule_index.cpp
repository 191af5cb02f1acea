// Building the sets, and intersecting them.
#include "match/rule_index.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <set>

namespace faultline {
namespace {

constexpr std::size_t kNotIp = 256;
constexpr std::size_t kWordBits = 64;

/// The leaf on this field among those joined by "and" at the top.
const MatchLeaf* top_leaf(const RuleMatch* match, MatchField field) {
  if (match == nullptr)
    return nullptr;
  for (const MatchNode& child : match->root().children)
    if (child.kind == MatchNode::Kind::kLeaf && child.leaf.field == field)
      return &child.leaf;
  return nullptr;
}

/// One behind the last address of a prefix; false when there is none.
bool behind(const AddressPrefix& prefix, std::array<std::uint8_t, 16>& next) {
  next = prefix.address;
  for (std::size_t bit = prefix.bits; bit-- > 0;) {
    auto& byte = next[bit / 8];
    const auto mask = static_cast<std::uint8_t>(0x80 >> (bit % 8));
    byte = static_cast<std::uint8_t>(byte ^ mask);
    if ((byte & mask) != 0)
      return true;
  }
  return false;
}

}  // namespace

RuleIndex::RuleIndex(const std::vector<const RuleMatch*>& matches)
    : words_((matches.size() + kWordBits - 1) / kWordBits) {
  const auto set = [](Word* words, std::size_t rule) {
    words[rule / kWordBits] |= Word{1} << (rule % kWordBits);
  };
  by_protocol_.assign((kNotIp + 1) * words_, 0);
  for (std::size_t rule = 0; rule < matches.size(); ++rule) {
    const MatchLeaf* leaf = top_leaf(matches[rule], MatchField::kProtocol);
    for (std::uint32_t protocol = 0; protocol <= kNotIp; ++protocol) {
      const bool named =
          leaf != nullptr && std::ranges::any_of(leaf->ranges, [&](const auto& range) {
            return protocol >= range.first && protocol <= range.last;
          });
      if (leaf == nullptr || named)
        set(&by_protocol_[protocol * words_], rule);
    }
  }
  const auto lay_ports = [&](MatchField field, Line<std::uint32_t>& line) {
    std::set<std::uint32_t> starts{0, 1};
    for (const RuleMatch* match : matches)
      if (const MatchLeaf* leaf = top_leaf(match, field))
        for (const NumberRange& range : leaf->ranges) starts.insert({range.first, range.last + 1});
    line.starts.assign(starts.begin(), starts.end());
    line.sets.assign(line.starts.size() * words_, 0);
    for (std::size_t rule = 0; rule < matches.size(); ++rule) {
      const MatchLeaf* leaf = top_leaf(matches[rule], field);
      for (std::size_t at = 0; at < line.starts.size(); ++at) {
        const std::uint32_t port = line.starts[at];
        // Port 0 may be a fragment's, whose ports only its packets know.
        const bool possible = leaf == nullptr || port == 0 ||
                              std::ranges::any_of(leaf->ranges, [&](const auto& range) {
                                return port >= range.first && port <= range.last;
                              });
        if (possible)
          set(&line.sets[at * words_], rule);
      }
    }
  };
  lay_ports(MatchField::kSourcePort, source_ports_);
  lay_ports(MatchField::kDestinationPort, destination_ports_);
  const auto lay_addresses = [&](MatchField field, std::array<Line<Address>, 2>& lines,
                                 std::vector<Word>& any) {
    any.assign(words_, 0);
    for (const FlowKind kind : {FlowKind::kIpv4, FlowKind::kIpv6}) {
      Line<Address>& line = lines[kind == FlowKind::kIpv4 ? 0 : 1];
      std::set<Address> starts{Address{}};
      for (const RuleMatch* match : matches) {
        const MatchLeaf* leaf = top_leaf(match, field);
        if (leaf == nullptr)
          continue;
        for (const AddressPrefix& prefix : leaf->prefixes) {
          Address next;
          if (prefix.kind != kind)
            continue;
          starts.insert(prefix.address);
          if (behind(prefix, next))
            starts.insert(next);
        }
      }
      line.starts.assign(starts.begin(), starts.end());
      line.sets.assign(line.starts.size() * words_, 0);
      for (std::size_t rule = 0; rule < matches.size(); ++rule) {
        const MatchLeaf* leaf = top_leaf(matches[rule], field);
        if (leaf == nullptr)
          set(any.data(), rule);
        for (std::size_t at = 0; at < line.starts.size(); ++at)
          if (leaf == nullptr ||
              std::ranges::any_of(leaf->prefixes, [&](const AddressPrefix& prefix) {
                return prefix.contains(kind, line.starts[at]);
              }))
            set(&line.sets[at * words_], rule);
      }
    }
  };
  lay_addresses(MatchField::kSource, sources_, any_source_);
  lay_addresses(MatchField::kDestination, destinations_, any_destination_);
}

const RuleIndex::Word* RuleIndex::rules_of(const Line<std::uint32_t>& line,
                                           std::uint32_t number) const noexcept {
  const auto after = std::upper_bound(line.starts.begin(), line.starts.end(), number);
  return &line.sets[static_cast<std::size_t>(after - line.starts.begin() - 1) * words_];
}

const RuleIndex::Word* RuleIndex::rules_of(const Line<Address>& line,
                                           const Address& address) const noexcept {
  const auto after = std::upper_bound(line.starts.begin(), line.starts.end(), address);
  return &line.sets[static_cast<std::size_t>(after - line.starts.begin() - 1) * words_];
}

std::size_t RuleIndex::find(const FlowKey& key, std::uint16_t* candidates) const noexcept {
  if (words_ == 0)
    return 0;
  const bool is_ip = key.kind != FlowKind::kLink;
  const std::size_t family = key.kind == FlowKind::kIpv6 ? 1 : 0;
  const Word* sets[] = {
      &by_protocol_[(is_ip ? key.protocol : kNotIp) * words_],
      rules_of(source_ports_, key.source_port), rules_of(destination_ports_, key.destination_port),
      is_ip ? rules_of(sources_[family], key.source) : any_source_.data(),
      is_ip ? rules_of(destinations_[family], key.destination) : any_destination_.data()};
  std::size_t count = 0;
  for (std::size_t word = 0; word < words_; ++word) {
    Word left = sets[0][word] & sets[1][word] & sets[2][word] & sets[3][word] & sets[4][word];
    for (; left != 0; left &= left - 1)
      candidates[count++] = static_cast<std::uint16_t>(
          word * kWordBits + static_cast<std::size_t>(std::countr_zero(left)));
  }
  return count;
}

}  // namespace faultline
