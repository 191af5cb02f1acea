// set: header fields get other values, with their checksums right. Fields that a frame does not
// have stay what they are: a port of a packet without ports, an IPv4 address of an IPv6 packet.
#include <arpa/inet.h>

#include <array>
#include <cstring>

#include "impair/edits.hpp"

namespace faultline {
namespace {

using Mac = MacAddress;

struct Address {
  FlowKind kind = FlowKind::kLink;  ///< kLink: stays
  std::array<std::uint8_t, 16> bytes{};
};

enum class VlanAction : std::uint8_t { kNone, kSet, kPush, kPop, kRewrite };

constexpr std::int32_t kStays = -1;
constexpr int kTagBytes = 4;

/// What each field becomes.
struct Fields {
  Hits hits;
  std::int16_t ttl = kStays;
  std::int16_t dscp = kStays;
  std::int16_t ecn = kStays;
  std::int32_t window = kStays;
  std::int32_t ports[2] = {kStays, kStays};  ///< source, destination
  VlanAction vlan = VlanAction::kNone;
  std::uint16_t tag = 0;
  std::uint16_t tag_mask = kVlanIdMask;
  bool has_mac[2]{};
  Mac macs[2]{};
  Address addresses[2];
};

/// Too large for the parameters themselves, so kept by the policy.
struct SetParameters {
  const Fields* fields = nullptr;
};

void note_ecn(const Fields& fields, const FrameFields& frame, JudgedBurst& burst,
              std::uint8_t i) noexcept {
  if (fields.ecn == kStays || !frame.is_ip())
    return;
  burst.ecn[i] = static_cast<std::uint8_t>(fields.ecn);
  burst.marked[i] = false;  // what was marked before is overwritten
}

/// How many tags become more. A tag that was cut off by half cannot go.
int tags_more(const Fields& fields, bool tagged, std::uint32_t length_bytes) noexcept {
  if (fields.vlan == VlanAction::kPush || (fields.vlan == VlanAction::kSet && !tagged))
    return 1;
  return fields.vlan == VlanAction::kPop && tagged && length_bytes >= kTaggedBytesMin ? -1 : 0;
}

/// The frame's tags are those it came with and what was decided of them since.
void note_length(const Fields& fields, const FrameFields& frame, JudgedBurst& burst,
                 std::uint8_t i) noexcept {
  if (fields.vlan == VlanAction::kNone)
    return;
  const bool tagged = frame.vlan_tags + burst.tag_bytes[i] / kTagBytes > 0;
  const int more = tags_more(fields, tagged, burst.length_bytes[i]);
  burst.length_bytes[i] += static_cast<std::uint32_t>(more * kTagBytes);
  burst.tag_bytes[i] = static_cast<std::int16_t>(burst.tag_bytes[i] + more * kTagBytes);
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Fields& fields = *parameters.as<SetParameters>().fields;
  for_each_turn(fields.hits.among(asked, selection), selection, [&](std::uint8_t i, std::uint32_t) {
    note_ecn(fields, (*asked.fields)[i], burst, i);
    note_length(fields, (*asked.fields)[i], burst, i);
    plan_edit(asked, burst, i, 0);
  });
}

void edit_tags(const Fields& fields, EditFrame& frame) noexcept {
  const bool tagged = frame.fields().vlan_tags > 0;
  const bool pushes =
      fields.vlan == VlanAction::kPush || (fields.vlan == VlanAction::kSet && !tagged);
  if (pushes)
    push_vlan(frame, fields.tag);
  else if (fields.vlan == VlanAction::kPop)
    pop_vlan(frame);
  else if (fields.vlan != VlanAction::kNone)
    rewrite_vlan(frame, fields.tag, fields.tag_mask);
}

void edit(const Edit& edit, EditFrame& frame) noexcept {
  const Fields& fields = *edit.impairment->parameters.as<SetParameters>().fields;
  for (const End end : {End::kSource, End::kDestination}) {
    const auto at = static_cast<std::size_t>(end);
    if (fields.has_mac[at])
      edit_mac(frame, end, fields.macs[at]);
    if (fields.addresses[at].kind != FlowKind::kLink)
      edit_address(frame, end, fields.addresses[at].kind, fields.addresses[at].bytes);
    if (fields.ports[at] != kStays)
      edit_port(frame, end, static_cast<std::uint16_t>(fields.ports[at]));
  }
  if (fields.ttl != kStays)
    edit_ttl(frame, static_cast<std::uint8_t>(fields.ttl));
  if (fields.dscp != kStays)
    edit_dscp(frame, static_cast<std::uint8_t>(fields.dscp));
  if (fields.ecn != kStays)
    edit_ecn(frame, static_cast<std::uint8_t>(fields.ecn));
  if (fields.window != kStays)
    edit_window(frame, static_cast<std::uint16_t>(fields.window));
  frame.settle(ChecksumCare::kFix);
  edit_tags(fields, frame);
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  return parameters.as<SetParameters>().fields->hits.explain(asked, i);
}

// --- reading -------------------------------------------------------------------------------------

void read_number(MappingReader& reader, std::string_view key, std::uint64_t most,
                 std::int32_t& number, Problems& problems) {
  if (const ConfigNode* value = reader.take(key))
    if (const auto count = read_count(*value, {0, most}, problems))
      number = static_cast<std::int32_t>(*count);
}

void read_number(MappingReader& reader, std::string_view key, std::uint64_t most,
                 std::int16_t& number, Problems& problems) {
  std::int32_t wide = number;
  read_number(reader, key, most, wide, problems);
  number = static_cast<std::int16_t>(wide);
}

void read_ecn(MappingReader& reader, Fields& fields, Problems& problems) {
  constexpr std::int16_t kValues[] = {0, 2, 1, 3};
  if (const ConfigNode* value = reader.take("ecn"))
    if (const auto word = read_word(*value, {"not-ect", "ect0", "ect1", "ce"}, problems))
      fields.ecn = kValues[*word];
}

void read_address(MappingReader& reader, std::string_view key, Address& address,
                  Problems& problems) {
  const ConfigNode* value = reader.take(key);
  if (value == nullptr)
    return;
  if (const auto parsed = value->is_scalar() ? parse_ip(value->text) : std::nullopt) {
    address.kind = parsed->kind;
    address.bytes = parsed->bytes;
    return;
  }
  problems.push_back(problem_at(value->mark, "found " + describe(*value),
                                "an address such as 10.0.0.9 or fd00::9"));
}

void read_mac(MappingReader& reader, std::string_view key, bool& has, Mac& mac,
              Problems& problems) {
  const ConfigNode* value = reader.take(key);
  if (value == nullptr)
    return;
  const auto parsed = value->is_scalar() ? parse_mac(value->text) : std::nullopt;
  has = parsed.has_value();
  mac = parsed.value_or(Mac{});
  if (!parsed)
    problems.push_back(problem_at(value->mark, "found " + describe(*value),
                                  "an address such as \"02:00:00:00:00:01\""));
}

/// `vlan: 7` rewrites or pushes, `vlan: none` pops, `vlan: {push: 7, pcp: 3}`, `{rewrite: 7}` and
/// `{pop: true}` do just that.
void read_vlan(MappingReader& reader, Fields& fields, Problems& problems) {
  constexpr std::uint64_t kIdMax = 4'095;
  const ConfigNode* value = reader.take("vlan");
  if (value == nullptr)
    return;
  if (value->is_scalar() && value->text == "none") {
    fields.vlan = VlanAction::kPop;
    return;
  }
  if (!value->is_mapping()) {
    fields.vlan = VlanAction::kSet;
    fields.tag = static_cast<std::uint16_t>(read_count(*value, {0, kIdMax}, problems).value_or(0));
    return;
  }
  MappingReader vlan(*value, "vlan", problems);
  std::size_t named = 0;
  for (const auto& [key, action] :
       {std::pair{"push", VlanAction::kPush}, std::pair{"rewrite", VlanAction::kRewrite}})
    if (const ConfigNode* id = vlan.take(key)) {
      fields.vlan = action;
      fields.tag = static_cast<std::uint16_t>(read_count(*id, {0, kIdMax}, problems).value_or(0));
      ++named;
    }
  if (const ConfigNode* pop = vlan.take("pop")) {
    if (read_bool(*pop, problems) == false)
      problems.push_back(problem_at(pop->mark, "found " + describe(*pop), "true"));
    fields.vlan = VlanAction::kPop;
    ++named;
  }
  if (const ConfigNode* pcp = vlan.take("pcp")) {
    fields.tag = static_cast<std::uint16_t>(fields.tag |
                                            read_count(*pcp, {0, 7}, problems).value_or(0) << 13);
    fields.tag_mask |= 0xE000;
  }
  vlan.finish();
  if (named != 1)
    problems.push_back(problem_at(value->mark, "vlan: says what to do with the tag just once",
                                  "one of push, rewrite, pop"));
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  auto fields = std::make_shared<Fields>();
  MappingReader reader(node, "set", problems);
  fields->hits = read_hits(reader, context, problems);
  read_number(reader, "ttl", 255, fields->ttl, problems);
  read_number(reader, "dscp", 63, fields->dscp, problems);
  read_ecn(reader, *fields, problems);
  read_vlan(reader, *fields, problems);
  read_address(reader, "src", fields->addresses[0], problems);
  read_address(reader, "dst", fields->addresses[1], problems);
  read_number(reader, "sport", 65'535, fields->ports[0], problems);
  read_number(reader, "dport", 65'535, fields->ports[1], problems);
  read_number(reader, "window", 65'535, fields->window, problems);
  read_mac(reader, "src_mac", fields->has_mac[0], fields->macs[0], problems);
  read_mac(reader, "dst_mac", fields->has_mac[1], fields->macs[1], problems);
  reader.finish();
  const std::size_t rates = reader.has("rate") ? 1 : 0;
  if (node.is_mapping() && node.entries.size() == rates)
    problems.push_back(problem_at(node.mark, "set: no field is named",
                                  "fields such as ttl, dscp, ecn, vlan, src, dst, sport, dport, "
                                  "window, src_mac, dst_mac"));
  const Fields* kept = fields.get();
  return unless_wrong({.parameters = Parameters::from(SetParameters{kept}),
                       .decide = decide,
                       .edit = edit,
                       .explain = explain,
                       .fate = kept->hits.dice,
                       .tables = std::move(fields),
                       .uses_dice = true},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_set;
const ImpairmentModel kModel_set{"set", "", "", true, compile};

}  // namespace faultline
