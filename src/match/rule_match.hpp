// A rule's `match:`. What is constant for a flow is answered once, when the flow is first seen;
// what changes from packet to packet is tested only for flows for which that can decide. Fields are
// joined by "and", the values of one field by "or"; `not`, `any` and `all` nest.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/config.hpp"
#include "match/payload_hits.hpp"
#include "match/payload_query.hpp"
#include "packet/node_table.hpp"
#include "packet/tcp_segment.hpp"

struct bpf_program;

namespace faultline {

class PayloadScanner;

struct AddressPrefix {
  std::array<std::uint8_t, 16> address{};
  std::uint8_t bits = 0;
  FlowKind kind = FlowKind::kIpv4;

  bool contains(FlowKind kind_of_flow,
                const std::array<std::uint8_t, 16>& candidate) const noexcept;
};

/// Numbers from first to last.
struct NumberRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};

/// Bytes of a stream from first to last, counted from 1.
struct ByteRange {
  std::int64_t first = 1;
  std::int64_t last = 1;
};

/// Whether a match holds for a flow's packets.
enum class FlowVerdict : std::uint8_t { kNever, kPerPacket, kAlways };

/// Who opened the connection that a packet belongs to: its sender or its receiver.
enum class Role : std::uint8_t { kAny, kRequest, kReply };

/// A packet as a match sees it.
struct MatchPacket {
  const FrameFields& fields;            ///< ports of a fragment filled in where they are known
  std::span<const std::uint8_t> bytes;  ///< of the frame, from its beginning
  Role role = Role::kAny;
  bool portless = false;  ///< what a later fragment knows of its datagram's ports is not used
  PayloadHits* payload = nullptr;     ///< what was found so far; null: nothing ever
  PayloadScanner* scanner = nullptr;  ///< who finds more when it is asked for
  const TcpPlace* tcp = nullptr;      ///< null: nobody followed its connection
  std::uint8_t ingress = 0;           ///< port
  std::uint8_t egress = 0;            ///< likewise
};

enum class MatchField : std::uint8_t {
  kProtocol,
  kSource,
  kDestination,
  kSourcePort,
  kDestinationPort,
  kVlan,
  kEthertype,
  kDscp,
  kEcn,
  kLength,
  kTtl,
  kTcpFlags,
  kTcpData,
  kTcpAck,
  kTcpRetransmission,
  kTcpSequence,
  kTcpConnection,
  kIcmpType,
  kFragment,
  kLinks,
  kBpf,
  kPayload,
};

/// One field and the values it may have.
struct MatchLeaf {
  MatchField field = MatchField::kProtocol;
  std::string text;  ///< as written, for explanations
  std::vector<AddressPrefix> prefixes;
  std::vector<NumberRange> ranges;
  std::bitset<256> icmpv6_types;  ///< kIcmpType: of ICMPv6; `ranges` are ICMP's
  std::vector<ByteRange> bytes;   ///< kTcpSequence
  std::uint8_t flags_set = 0;     ///< kTcpFlags
  std::uint8_t flags_clear = 0;
  bool wanted = false;                          ///< kTcpData; kFragment with both kinds
  std::optional<FragmentKind> fragment;         ///< kFragment: just this kind
  bool untagged = false;                        ///< kVlan: `none` is one of the values
  std::shared_ptr<const LinkSet> links;         ///< kLinks
  std::shared_ptr<const bpf_program> filter;    ///< kBpf
  std::shared_ptr<const PayloadQuery> payload;  ///< kPayload
  bool in_stream = false;                       ///< kPayload: it may lie across segments
  std::uint16_t payload_bit = 0;                ///< of PayloadBits, among its policy's queries

  FlowVerdict of_flow(const FlowKey& key) const noexcept;
  bool of_packet(const MatchPacket& packet) const noexcept;
};

/// A tree of leaves.
struct MatchNode {
  enum class Kind : std::uint8_t { kAll, kAny, kNot, kLeaf };
  Kind kind = Kind::kAll;
  MatchLeaf leaf;
  std::vector<MatchNode> children;

  FlowVerdict of_flow(const FlowKey& key) const noexcept;
  bool of_packet(const MatchPacket& packet) const noexcept {
    return kind == Kind::kLeaf ? leaf.of_packet(packet) : joins(packet);
  }
  bool joins(const MatchPacket& packet) const noexcept;  ///< of_packet() of a node that is no leaf
  bool asks_payload() const noexcept;
};

class RuleMatch {
 public:
  static constexpr int kDepthMax = 8;

  /// Reads `match:`; docs/match.md has the keys. Reports every problem.
  static std::optional<RuleMatch> compile(const ConfigNode& node, Problems& problems);

  /// What a rule without `match:` matches.
  static RuleMatch everything() { return {}; }
  /// From now on segments of TCP without data are none of the rule's: `tcp_acks: pass`.
  void spare_tcp_without_data();
  /// From now on only packets of these links are the rule's; `text` says which those are.
  void narrow(LinkSet links, std::string text);

  /// nth and first are the caller's to judge.
  FlowVerdict of_flow(const FlowKey& key) const noexcept {
    const FlowVerdict verdict = root_.of_flow(key);
    return verdict == FlowVerdict::kAlways && counts_packets() ? FlowVerdict::kPerPacket : verdict;
  }
  bool of_packet(const MatchPacket& packet) const noexcept {
    return (role_ == Role::kAny || packet.role == role_) && root_.of_packet(packet);
  }

  Role role() const noexcept { return role_; }
  /// Whether it asks who opened the packet's connection, or which it is.
  bool asks_connection() const noexcept { return asks_connection_; }
  /// Whether it asks for the packet's TcpPlace.
  bool asks_tcp() const noexcept { return asks_tcp_; }
  /// Of the packets for which the rest holds only this one; 0: all.
  std::uint64_t nth() const noexcept { return nth_; }
  /// Only so many; 0: all.
  std::uint64_t first() const noexcept { return first_; }
  /// Whether more than the tree decides.
  bool counts_packets() const noexcept { return role_ != Role::kAny || nth_ != 0 || first_ != 0; }
  /// Whether flows alone decide, for every flow.
  bool per_packet() const noexcept { return per_packet_; }

  /// The leaves that ask for payloads: who compiles a policy gives them their bits.
  std::vector<MatchLeaf*> payloads();
  /// The fields joined by "and" at the top, for an index over many rules.
  const MatchNode& root() const noexcept { return root_; }
  /// Which part of it fails for a packet: "dport 53", or nothing when all of it but nth and first
  /// holds.
  std::string why_not(const MatchPacket& packet) const;
  /// "proto udp, dport 53": all of it.
  std::string text() const;

 private:
  /// One more condition that packets tell.
  void add(MatchNode node);

  MatchNode root_;
  Role role_ = Role::kAny;
  std::uint64_t nth_ = 0;
  std::uint64_t first_ = 0;
  bool per_packet_ = false;
  bool asks_connection_ = false;
  bool asks_tcp_ = false;
};

/// Reads `tcp:` of a match into leaves, all of which must hold (tcp_match.cpp).
std::vector<MatchLeaf> read_tcp_match(const ConfigNode& node, Problems& problems);

/// Reads the values of `match:` into a tree (match_reader.cpp).
std::optional<MatchNode> read_match_tree(MappingReader& reader, const ConfigNode& node, int depth,
                                         Problems& problems);

}  // namespace faultline
