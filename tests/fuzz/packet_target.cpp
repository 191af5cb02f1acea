// Any bytes as a frame: what it says of itself, and whether matches hold for it, must be told
// without reading beyond what is there. The first two bytes say how much longer than the rest the
// frame claims to be.
#include <vector>

#include "base/check.hpp"
#include "base/config.hpp"
#include "match/rule_match.hpp"
#include "packet/frame_fields.hpp"
#include "packet/ntp.hpp"
#include "packet/ptp.hpp"
#include "target.hpp"

namespace faultline {
namespace {

constexpr std::string_view kMatches[] = {
    "{proto: [tcp, 47], src: 10.0.0.0/8, dst: \"::/0\"}",
    "{any: [{sport: 1-100}, {dport: 53}, {not: {vlan: [none, 7]}}, {ethertype: 0x88cc}]}",
    "{dscp: ef, ecn: ce, len: 60-100, ttl: 1-9}",
    "{any: [{tcp: {flags: [syn, \"!ack\"], data: true}}, {icmp_type: [echo-request, 3]}]}",
    "{not: {fragment: later}, role: request}",
    "{bpf: \"tcp[tcpflags] & tcp-syn != 0 or ip6[40] == 128 or ether[200] = 7\"}",
};

const std::vector<RuleMatch>& matches() {
  static const std::vector<RuleMatch> all = [] {
    std::vector<RuleMatch> made;
    for (const std::string_view text : kMatches) {
      const Result<ConfigNode> tree = parse_config(text, "match.yaml");
      FAULTLINE_CHECK(tree.has_value());
      Problems problems;
      auto match = RuleMatch::compile(*tree, problems);
      FAULTLINE_CHECK(match.has_value());
      made.push_back(std::move(*match));
    }
    return made;
  }();
  return all;
}

/// What holds for the packet is nothing that never holds for its flow, and the reverse.
void check_matches(const FrameFields& fields, std::span<const std::uint8_t> bytes) {
  for (const RuleMatch& match : matches()) {
    const FlowVerdict verdict = match.of_flow(fields.key);
    const MatchPacket packet{fields, bytes, Role::kRequest, false};
    const bool holds = match.of_packet(packet);
    FAULTLINE_CHECK(verdict != FlowVerdict::kNever || !holds);
    FAULTLINE_CHECK(verdict != FlowVerdict::kAlways || holds);
    FAULTLINE_CHECK(match.why_not(packet).empty() == holds);
  }
}

/// Messages are where they can be written.
void check_times(const FrameFields& fields, std::span<const std::uint8_t> bytes) {
  if (const auto packet = read_ntp(bytes, fields);
      packet && packet->mode != NtpMode::kControl && packet->mode != NtpMode::kPrivate)
    FAULTLINE_CHECK(fields.payload_offset + kNtpHeaderBytes <= bytes.size());
  if (const auto message = read_ptp(bytes, fields))
    FAULTLINE_CHECK(message->offset + kPtpHeaderBytes <= bytes.size());
}

}  // namespace
}  // namespace faultline

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace faultline;
  if (size < 2)
    return 0;
  // Of exactly their size, so that the address sanitizer sees one byte too many.
  const std::vector<std::uint8_t> frame(bytes + 2, bytes + size);
  const std::size_t length = frame.size() + (static_cast<std::size_t>(bytes[0]) << 8 | bytes[1]);
  FrameFields fields;
  const ParseOutcome outcome = parse_frame(frame, length, fields);
  FAULTLINE_CHECK(!to_text(fields.key).empty());
  std::uint8_t ecn = 0;
  FAULTLINE_CHECK(parse_ecn(frame, length, ecn) == outcome && ecn == fields.ecn);
  FAULTLINE_CHECK(flow_pair_hash(fields.key) == flow_pair_hash(fields.key));
  if (outcome == ParseOutcome::kParsed) {
    FAULTLINE_CHECK(fields.l3_offset <= frame.size() && fields.l4_offset <= frame.size());
    FAULTLINE_CHECK(fields.payload_bytes <= length);
    check_matches(fields, frame);
    check_times(fields, frame);
  }
  if (frame.size() <= kParseBytesMax)
    return 0;
  // The first kParseBytesMax must do.
  const std::vector<std::uint8_t> prefix(frame.begin(), frame.begin() + kParseBytesMax);
  FrameFields again;
  FAULTLINE_CHECK(parse_frame(prefix, length, again) == outcome);
  FAULTLINE_CHECK(again == fields);
  return 0;
}
