// Reading `match: {tcp: …}`.
#include "match/match_values.hpp"

namespace faultline {
namespace {

constexpr std::string_view kFlagNames[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"};

void read_tcp_flag(const ConfigNode& node, MatchLeaf& leaf, Problems& problems) {
  const bool clear = node.is_scalar() && node.text.starts_with('!');
  const std::string_view name =
      node.is_scalar() ? std::string_view(node.text).substr(clear ? 1 : 0) : "";
  for (unsigned bit = 0; bit < 8; ++bit) {
    if (name != kFlagNames[bit])
      continue;
    auto& flags = clear ? leaf.flags_clear : leaf.flags_set;
    flags = static_cast<std::uint8_t>(flags | (1U << bit));
    return;
  }
  problems.push_back(problem_at(
      node.mark, "no TCP flag: " + describe(node),
      "fin, syn, rst, psh, ack, urg, ece, cwr, or one with '!' in front that must not be set",
      nearest_word(name, {std::begin(kFlagNames), std::end(kFlagNames)})));
}

/// `true`, `false`, or which retransmission of its sequence number.
void read_retransmission(const ConfigNode& node, MatchLeaf& leaf, Problems& problems) {
  constexpr std::uint32_t kMost = 255;  // TcpPlace counts no further
  const NumberKind kind{{},
                        1,
                        kMost,
                        true,
                        false,
                        "",
                        "true, false, a number from 1 to 255 or a range such as 2-5",
                        "no retransmission: "};
  if (node.is_scalar() && node.text == "true")
    leaf.ranges.push_back({1, kMost});
  else if (node.is_scalar() && node.text == "false")
    leaf.ranges.push_back({0, 0});
  else
    read_number(node, kind, leaf.ranges, problems);
}

/// Bytes of a direction, which has more than 32 bits can count.
void read_bytes(const ConfigNode& node, MatchLeaf& leaf, Problems& problems) {
  const std::string_view text = node.is_scalar() ? std::string_view(node.text) : "";
  const std::size_t dash = text.find('-');
  const auto first = parse_number<std::int64_t>(text.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? first : parse_number<std::int64_t>(text.substr(dash + 1));
  if (!first || !last || *first < 1 || *last < *first)
    problems.push_back(problem_at(node.mark, "no bytes of a stream: " + describe(node),
                                  "a number from 1 or a range such as 1-1000"));
  else
    leaf.bytes.push_back({*first, *last});
}

NumberKind connection_kind() {
  return {{},
          1,
          UINT32_MAX,
          true,
          false,
          "",
          "a number from 1 or a range such as 2-4",
          "no number of a connection: "};
}

}  // namespace

std::vector<MatchLeaf> read_tcp_match(const ConfigNode& node, Problems& problems) {
  std::vector<MatchLeaf> leaves;
  MappingReader reader(node, "tcp", problems);
  const auto add = [&](MatchField field, std::string_view key, const auto& read) {
    const ConfigNode* value = reader.take(key);
    if (value == nullptr)
      return;
    leaves.push_back(leaf_of(field, "tcp " + std::string(key), *value));
    read(*value, leaves.back());
  };
  const auto add_list = [&](MatchField field, std::string_view key, const auto& read) {
    add(field, key, [&](const ConfigNode& value, MatchLeaf& leaf) {
      for_each_value(value, problems, [&](const ConfigNode& item) { read(item, leaf, problems); });
    });
  };
  add_list(MatchField::kTcpFlags, "flags", read_tcp_flag);
  add(MatchField::kTcpData, "data", [&](const ConfigNode& value, MatchLeaf& leaf) {
    leaf.wanted = read_bool(value, problems).value_or(true);
  });
  add(MatchField::kTcpAck, "ack",
      [&](const ConfigNode& value, MatchLeaf&) { read_word(value, {"pure"}, problems); });
  add_list(MatchField::kTcpRetransmission, "retransmission", read_retransmission);
  add_list(MatchField::kTcpSequence, "sequence", read_bytes);
  add_list(MatchField::kTcpConnection, "connection",
           [](const ConfigNode& item, MatchLeaf& leaf, Problems& told) {
             read_number(item, connection_kind(), leaf.ranges, told);
           });
  reader.finish();
  return leaves;
}

}  // namespace faultline
