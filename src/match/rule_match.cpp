// Answering for flows and for packets.
#include "match/rule_match.hpp"

#include <pcap/bpf.h>

#include <algorithm>
#include <cstring>

#include "base/units.hpp"
#include "match/payload_scanner.hpp"

namespace faultline {
namespace {

bool any_contains(const std::vector<NumberRange>& ranges, std::uint32_t number) noexcept {
  for (const NumberRange& range : ranges)
    if (number >= range.first && number <= range.last)
      return true;
  return false;
}

bool any_contains(const std::vector<AddressPrefix>& prefixes, FlowKind kind,
                  const std::array<std::uint8_t, 16>& address) noexcept {
  for (const AddressPrefix& prefix : prefixes)
    if (prefix.contains(kind, address))
      return true;
  return false;
}

FlowVerdict verdict_of(bool holds) noexcept {
  return holds ? FlowVerdict::kAlways : FlowVerdict::kNever;
}

FlowVerdict packet_decides_if(bool possible) noexcept {
  return possible ? FlowVerdict::kPerPacket : FlowVerdict::kNever;
}

bool is_ip(const FlowKey& key) noexcept {
  return key.kind != FlowKind::kLink;
}

bool is_icmp(const FlowKey& key) noexcept {
  return is_ip(key) && (key.protocol == kProtocolIcmp || key.protocol == kProtocolIcmpv6);
}

FlowVerdict of_ports(const MatchLeaf& leaf, const FlowKey& key, std::uint16_t port) noexcept {
  if (!is_ip(key) || !has_ports(key.protocol))
    return FlowVerdict::kNever;
  // A flow of fragments has ports 0; its packets may know those of their datagram.
  if (key.source_port == 0 && key.destination_port == 0)
    return FlowVerdict::kPerPacket;
  return verdict_of(any_contains(leaf.ranges, port));
}

bool holds_vlan(const MatchLeaf& leaf, const FlowKey& key) noexcept {
  if (key.outer_vlan == 0)
    return leaf.untagged;
  return any_contains(leaf.ranges, key.outer_vlan & 0x0FFFU);
}

bool holds_icmp_type(const MatchLeaf& leaf, const FrameFields& fields) noexcept {
  if (fields.l4_offset == 0)
    return false;
  return fields.key.protocol == kProtocolIcmp ? any_contains(leaf.ranges, fields.icmp_type)
                                              : leaf.icmpv6_types.test(fields.icmp_type);
}

bool holds_fragment(const MatchLeaf& leaf, FragmentKind kind) noexcept {
  if (leaf.fragment)
    return kind == *leaf.fragment;
  return (kind != FragmentKind::kNone) == leaf.wanted;
}

bool knows_ports(const MatchPacket& packet) noexcept {
  const FrameFields& fields = packet.fields;
  return fields.shows_ports && !(packet.portless && fields.fragment == FragmentKind::kLater);
}

bool passes_filter(const bpf_program& filter, const MatchPacket& packet) noexcept {
  return bpf_filter(filter.bf_insns, packet.bytes.data(), packet.fields.length,
                    static_cast<u_int>(packet.bytes.size())) != 0;
}

/// Whether one of the segment's bytes is meant.
bool holds_sequence(const MatchLeaf& leaf, const MatchPacket& packet) noexcept {
  if (packet.tcp == nullptr || !packet.tcp->is_numbered || packet.fields.payload_bytes == 0)
    return false;
  const std::int64_t first = packet.tcp->first_byte;
  const std::int64_t last = first + packet.fields.payload_bytes - 1;
  for (const ByteRange& range : leaf.bytes)
    if (first <= range.last && last >= range.first)
      return true;
  return false;
}

/// Cheaper parts of a match come first, so a packet is searched only if they hold, and once.
bool holds_payload(const MatchLeaf& leaf, const MatchPacket& packet) noexcept {
  PayloadHits* hits = packet.payload;
  if (hits == nullptr)
    return false;
  using Half = PayloadHits::Half;
  if (leaf.in_stream && hits->searched(Half::kStream))
    return hits->test(Half::kStream, leaf.payload_bit);
  if (!hits->searched(Half::kPacket) && packet.scanner != nullptr)
    packet.scanner->search_packet(packet.fields, packet.bytes, *hits);
  return hits->test(Half::kPacket, leaf.payload_bit);
}

}  // namespace

bool AddressPrefix::contains(FlowKind kind_of_flow,
                             const std::array<std::uint8_t, 16>& candidate) const noexcept {
  if (kind_of_flow != kind)
    return false;
  const std::size_t whole = bits / 8;
  if (std::memcmp(address.data(), candidate.data(), whole) != 0)
    return false;
  const unsigned rest = bits % 8U;
  return rest == 0 || ((address[whole] ^ candidate[whole]) >> (8 - rest)) == 0;
}

FlowVerdict MatchLeaf::of_flow(const FlowKey& key) const noexcept {
  switch (field) {
    case MatchField::kProtocol:
      return verdict_of(is_ip(key) && any_contains(ranges, key.protocol));
    case MatchField::kSource:
      return verdict_of(any_contains(prefixes, key.kind, key.source));
    case MatchField::kDestination:
      return verdict_of(any_contains(prefixes, key.kind, key.destination));
    case MatchField::kSourcePort:
      return of_ports(*this, key, key.source_port);
    case MatchField::kDestinationPort:
      return of_ports(*this, key, key.destination_port);
    case MatchField::kVlan:
      return verdict_of(holds_vlan(*this, key));
    case MatchField::kEthertype:
      return verdict_of(any_contains(ranges, key.ethertype));
    case MatchField::kDscp:
    case MatchField::kEcn:
    case MatchField::kTtl:
      return packet_decides_if(is_ip(key));
    case MatchField::kTcpFlags:
    case MatchField::kTcpData:
    case MatchField::kTcpAck:
    case MatchField::kTcpRetransmission:
    case MatchField::kTcpSequence:
    case MatchField::kTcpConnection:
      return packet_decides_if(is_ip(key) && key.protocol == kProtocolTcp);
    case MatchField::kIcmpType:
      return packet_decides_if(is_icmp(key));
    case MatchField::kFragment:
      if (!is_ip(key))
        return verdict_of(!fragment && !wanted);
      return FlowVerdict::kPerPacket;
    case MatchField::kLinks:
      return FlowVerdict::kPerPacket;
    case MatchField::kPayload:
      return packet_decides_if(is_ip(key));
    case MatchField::kLength:
    case MatchField::kBpf:
      return FlowVerdict::kPerPacket;
  }
  return FlowVerdict::kNever;
}

bool MatchLeaf::of_packet(const MatchPacket& packet) const noexcept {
  const FrameFields& fields = packet.fields;
  switch (field) {
    case MatchField::kProtocol:
    case MatchField::kSource:
    case MatchField::kDestination:
    case MatchField::kVlan:
    case MatchField::kEthertype:
      return of_flow(fields.key) == FlowVerdict::kAlways;
    case MatchField::kSourcePort:
      return knows_ports(packet) && any_contains(ranges, fields.source_port);
    case MatchField::kDestinationPort:
      return knows_ports(packet) && any_contains(ranges, fields.destination_port);
    case MatchField::kDscp:
      return fields.is_ip() && any_contains(ranges, fields.dscp);
    case MatchField::kEcn:
      return fields.is_ip() && any_contains(ranges, fields.ecn);
    case MatchField::kTtl:
      return fields.is_ip() && any_contains(ranges, fields.ttl);
    case MatchField::kLength:
      return any_contains(ranges, fields.length);
    case MatchField::kTcpFlags:
      return shows_tcp(fields) && (fields.tcp_flags & flags_set) == flags_set &&
             (fields.tcp_flags & flags_clear) == 0;
    case MatchField::kTcpData:
      return shows_tcp(fields) && (fields.payload_bytes > 0) == wanted;
    case MatchField::kTcpAck:
      return shows_tcp(fields) && is_pure_ack(fields);
    case MatchField::kTcpRetransmission:
      return packet.tcp != nullptr && packet.tcp->is_whole &&
             any_contains(ranges, packet.tcp->retransmission);
    case MatchField::kTcpSequence:
      return holds_sequence(*this, packet);
    case MatchField::kTcpConnection:
      return packet.tcp != nullptr && knows_ports(packet) &&
             any_contains(ranges, packet.tcp->connection);
    case MatchField::kIcmpType:
      return is_icmp(fields.key) && holds_icmp_type(*this, fields);
    case MatchField::kFragment:
      return holds_fragment(*this, fields.fragment);
    case MatchField::kLinks:
      return links->contains({fields, packet.bytes, packet.ingress, packet.egress});
    case MatchField::kBpf:
      return passes_filter(*filter, packet);
    case MatchField::kPayload:
      return holds_payload(*this, packet);
  }
  return false;
}

FlowVerdict MatchNode::of_flow(const FlowKey& key) const noexcept {
  switch (kind) {
    case Kind::kLeaf:
      return leaf.of_flow(key);
    case Kind::kNot:
      switch (children.front().of_flow(key)) {
        case FlowVerdict::kNever:
          return FlowVerdict::kAlways;
        case FlowVerdict::kAlways:
          return FlowVerdict::kNever;
        case FlowVerdict::kPerPacket:
          break;
      }
      return FlowVerdict::kPerPacket;
    case Kind::kAll: {
      FlowVerdict verdict = FlowVerdict::kAlways;
      for (const MatchNode& child : children) {
        verdict = std::min(verdict, child.of_flow(key));
        if (verdict == FlowVerdict::kNever)
          break;
      }
      return verdict;
    }
    case Kind::kAny: {
      FlowVerdict verdict = FlowVerdict::kNever;
      for (const MatchNode& child : children) {
        verdict = std::max(verdict, child.of_flow(key));
        if (verdict == FlowVerdict::kAlways)
          break;
      }
      return verdict;
    }
  }
  return FlowVerdict::kNever;
}

bool MatchNode::joins(const MatchPacket& packet) const noexcept {
  switch (kind) {
    case Kind::kLeaf:
      break;
    case Kind::kNot:
      return !children.front().of_packet(packet);
    case Kind::kAll:
      for (const MatchNode& child : children)
        if (!child.of_packet(packet))
          return false;
      return true;
    case Kind::kAny:
      for (const MatchNode& child : children)
        if (child.of_packet(packet))
          return true;
      return false;
  }
  return false;
}

bool MatchNode::asks_payload() const noexcept {
  return (kind == Kind::kLeaf && leaf.field == MatchField::kPayload) ||
         std::ranges::any_of(children, [](const MatchNode& child) { return child.asks_payload(); });
}

namespace {

/// Whether some leaf of the tree is on a field from first to last.
bool asks_between(const MatchNode& node, MatchField first, MatchField last) {
  if (node.kind == MatchNode::Kind::kLeaf)
    return node.leaf.field >= first && node.leaf.field <= last;
  return std::ranges::any_of(
      node.children, [&](const MatchNode& child) { return asks_between(child, first, last); });
}

void collect_payloads(MatchNode& node, std::vector<MatchLeaf*>& leaves) {
  if (node.kind == MatchNode::Kind::kLeaf && node.leaf.field == MatchField::kPayload)
    leaves.push_back(&node.leaf);
  for (MatchNode& child : node.children) collect_payloads(child, leaves);
}

std::string text_of(const MatchNode& node) {
  if (node.kind == MatchNode::Kind::kLeaf)
    return node.leaf.text;
  if (node.kind == MatchNode::Kind::kNot)
    return "not (" + text_of(node.children.front()) + ")";
  std::string text;
  for (const MatchNode& child : node.children) {
    if (!text.empty())
      text += node.kind == MatchNode::Kind::kAny ? " or " : ", ";
    text += text_of(child);
  }
  return node.kind == MatchNode::Kind::kAny ? "(" + text + ")" : text;
}

}  // namespace

void RuleMatch::add(MatchNode node) {
  if (root_.kind != MatchNode::Kind::kAll) {
    MatchNode all;
    all.children.push_back(std::move(root_));
    root_ = std::move(all);
  }
  root_.children.push_back(std::move(node));
  per_packet_ = true;
}

void RuleMatch::spare_tcp_without_data() {
  MatchNode without;
  without.kind = MatchNode::Kind::kLeaf;
  without.leaf.field = MatchField::kTcpData;
  without.leaf.wanted = false;
  without.leaf.text = "tcp data false";
  MatchNode spared;
  spared.kind = MatchNode::Kind::kNot;
  spared.children.push_back(std::move(without));
  add(std::move(spared));
}

void RuleMatch::narrow(LinkSet links, std::string text) {
  MatchNode node;
  node.kind = MatchNode::Kind::kLeaf;
  node.leaf.field = MatchField::kLinks;
  node.leaf.links = std::make_shared<const LinkSet>(std::move(links));
  node.leaf.text = std::move(text);
  add(std::move(node));
}

std::optional<RuleMatch> RuleMatch::compile(const ConfigNode& node, Problems& problems) {
  const std::size_t problems_before = problems.size();
  RuleMatch match;
  MappingReader reader(node, "match", problems);
  std::optional<MatchNode> root = read_match_tree(reader, node, 0, problems);
  if (const ConfigNode* value = reader.take("role"))
    if (const auto word = read_word(*value, {"request", "reply"}, problems))
      match.role_ = *word == 0 ? Role::kRequest : Role::kReply;
  if (const ConfigNode* value = reader.take("nth"))
    match.nth_ = read_count(*value, {1, UINT64_MAX}, problems).value_or(1);
  if (const ConfigNode* value = reader.take("first"))
    match.first_ = read_count(*value, {1, UINT64_MAX}, problems).value_or(1);
  reader.finish();
  if (!root || problems.size() != problems_before)
    return std::nullopt;
  match.root_ = std::move(*root);
  const auto asks = [&](MatchField first, MatchField last) {
    return asks_between(match.root_, first, last);
  };
  match.per_packet_ = match.counts_packets() || asks(MatchField::kDscp, MatchField::kPayload);
  match.asks_connection_ =
      match.role_ != Role::kAny || asks(MatchField::kTcpConnection, MatchField::kTcpConnection);
  match.asks_tcp_ = asks(MatchField::kTcpRetransmission, MatchField::kTcpConnection);
  return match;
}

std::vector<MatchLeaf*> RuleMatch::payloads() {
  std::vector<MatchLeaf*> leaves;
  collect_payloads(root_, leaves);
  return leaves;
}

std::string RuleMatch::why_not(const MatchPacket& packet) const {
  if (role_ != Role::kAny && packet.role != role_)
    return role_ == Role::kRequest ? "role request" : "role reply";
  for (const MatchNode& child : root_.children)
    if (!child.of_packet(packet))
      return text_of(child);
  return {};
}

std::string RuleMatch::text() const {
  std::string text = text_of(root_);
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (role_ != Role::kAny)
    add(role_ == Role::kRequest ? "role request" : "role reply");
  if (nth_ != 0)
    add("nth " + std::to_string(nth_));
  if (first_ != 0)
    add("first " + std::to_string(first_));
  return text;
}

}  // namespace faultline
