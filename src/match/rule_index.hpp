// Which of many rules may match a flow, without asking each: bit sets of rules for every protocol
// and for every interval between the bounds of ports and addresses that the rules name,
// intersected. What is left is asked exactly.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "match/rule_match.hpp"

namespace faultline {

class RuleIndex {
 public:
  static constexpr std::size_t kRulesMax = 1024;

  RuleIndex() = default;
  /// `matches`: of the rules in their order; null where a rule matches everything. At most
  /// kRulesMax.
  explicit RuleIndex(const std::vector<const RuleMatch*>& matches);

  /// Fills `candidates`, which has room for all rules, with positions in ascending order. Rules
  /// that are not among them never match the flow. Returns how many.
  std::size_t find(const FlowKey& key, std::uint16_t* candidates) const noexcept;

 private:
  using Word = std::uint64_t;

  /// Rules for each interval of a number line.
  template <typename Number>
  struct Line {
    std::vector<Number> starts;  ///< ascending, the first is 0
    std::vector<Word> sets;      ///< words_ each
  };
  using Address = std::array<std::uint8_t, 16>;

  const Word* rules_of(const Line<std::uint32_t>& line, std::uint32_t number) const noexcept;
  const Word* rules_of(const Line<Address>& line, const Address& address) const noexcept;

  std::size_t words_ = 0;
  std::vector<Word> by_protocol_;  ///< 257 sets: one a protocol, and one for what is not IP
  Line<std::uint32_t> source_ports_;
  Line<std::uint32_t> destination_ports_;
  std::array<Line<Address>, 2> sources_;       ///< IPv4, IPv6
  std::array<Line<Address>, 2> destinations_;  ///< likewise
  std::vector<Word> any_source_;               ///< rules that name no source, for what is not IP
  std::vector<Word> any_destination_;
};

}  // namespace faultline
