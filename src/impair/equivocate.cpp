// equivocate: one packet says different things to different nodes. Each patch is about the packets
// that go to one node and changes bytes of their payload, behind TCP or UDP; what goes to nodes
// without a patch passes as it is. A frame for a group is judged on each of its paths by itself, so
// that each receiver gets bytes of its own.
#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include <fmt/format.h>

#include "impair/edits.hpp"
#include "impair/grudge.hpp"

namespace faultline {
namespace {

constexpr std::size_t kPatchesMax = 64;
constexpr std::uint32_t kPatchBytesMax = 64;
constexpr std::uint32_t kOffsetMax = 65'000;

using PatchBytes = std::array<std::uint8_t, kPatchBytesMax>;

struct Patch {
  NodeMask to = 0;
  bool finds = false;        ///< `wanted` is looked for; else it stands at the offset
  std::uint32_t offset = 0;  ///< from the beginning of the payload
  std::uint32_t count = 0;   ///< bytes
  PatchBytes wanted{};
  PatchBytes bytes{};  ///< what is written
};

/// Too large for the parameters themselves, so kept by the policy.
struct Patches {
  std::vector<Patch> list;  ///< as written
  NodeMask to = 0;          ///< of all of them
  ChecksumCare care = ChecksumCare::kFix;
};

struct Equivocate {
  const Patches* patches = nullptr;
};

bool has_payload(const FrameFields& fields) noexcept {
  return (fields.key.protocol == kProtocolTcp || fields.key.protocol == kProtocolUdp) &&
         fields.is_ip() && fields.l4_offset != 0;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const NodeMask patched = parameters.as<Equivocate>().patches->to;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    const NodeMask to = asked.destinations[i] & patched;
    if (to != 0 && has_payload((*asked.fields)[i]))
      plan_edit(asked, burst, i, to);
  }
}

/// What is behind the transport header, by its own length too: a datagram may go on behind UDP.
EditFrame::Part payload_of(const EditFrame& frame) noexcept {
  const FrameFields& fields = frame.fields();
  if (!has_payload(fields))
    return {};
  EditFrame::Part part = frame.payload_part();
  part.end = std::min(part.end, fields.payload_offset + std::uint32_t{fields.payload_bytes});
  part.first = std::min(part.first, part.end);
  return part;
}

/// Where checksums stay as they are, what the change does to them need not be known.
void write(EditFrame& frame, const Patch& patch, std::uint32_t at, ChecksumCare care) noexcept {
  for (std::uint32_t i = 0; i < patch.count; ++i)
    if (care == ChecksumCare::kKeep)
      frame.put_unsummed(at + i, patch.bytes[i]);
    else
      frame.put(at + i, patch.bytes[i]);
}

/// Each place where the bytes stand, from the first on; places do not overlap.
void write_where_found(EditFrame& frame, const Patch& patch, EditFrame::Part part,
                       ChecksumCare care) noexcept {
  const std::uint8_t* end = frame.bytes() + part.end;
  const std::uint8_t* from = frame.bytes() + part.first;
  for (;;) {
    const std::uint8_t* found =
        std::search(from, end, patch.wanted.begin(), patch.wanted.begin() + patch.count);
    if (found == end)
      return;
    write(frame, patch, static_cast<std::uint32_t>(found - frame.bytes()), care);
    from = found + patch.count;
  }
}

void edit(const Edit& edit, EditFrame& frame) noexcept {
  const Patches& patches = *edit.impairment->parameters.as<Equivocate>().patches;
  const EditFrame::Part part = payload_of(frame);
  for (const Patch& patch : patches.list) {
    if ((patch.to & edit.draw) == 0)
      continue;
    if (patch.finds)
      write_where_found(frame, patch, part, patches.care);
    else if (patch.offset + patch.count <= part.size())
      write(frame, patch, part.first + patch.offset, patches.care);
  }
  if (frame.changed())
    frame.settle(patches.care);
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  const Patches& patches = *parameters.as<Equivocate>().patches;
  if (!has_payload((*asked.fields)[i]))
    return {{}, {}, "no payload of TCP or UDP"};
  const NodeMask to = asked.destinations[i] & patches.to;
  if (to == 0)
    return {{}, {}, "to no node with a patch"};
  const auto node = static_cast<std::size_t>(std::countr_zero(to));
  return {{}, {}, fmt::format("what {} is told", asked.self->nodes->nodes()[node].name)};
}

// --- reading -------------------------------------------------------------------------------------

void read_hex_patch(const ConfigNode& node, Patch& patch, Problems& problems) {
  const auto bytes = node.is_scalar() ? parse_hex(node.text) : std::nullopt;
  if (!bytes || bytes->empty() || bytes->size() > kPatchBytesMax) {
    problems.push_back(
        problem_at(node.mark, "found " + describe(node), "1 to 64 bytes in hex, such as \"00ff\""));
    return;
  }
  patch.count = static_cast<std::uint32_t>(bytes->size());
  std::copy(bytes->begin(), bytes->end(), patch.bytes.begin());
}

std::uint32_t read_text_patch(const ConfigNode& node, PatchBytes& bytes, Problems& problems) {
  const auto text = read_text(node, problems);
  if (!text)
    return 0;
  if (text->empty() || text->size() > kPatchBytesMax) {
    problems.push_back(
        problem_at(node.mark, fmt::format("a text of {} bytes", text->size()), "1 to 64 bytes"));
    return 0;
  }
  std::copy(text->begin(), text->end(), bytes.begin());
  return static_cast<std::uint32_t>(text->size());
}

/// `find: old, with: new`, both of one length: a segment that grew would move all that follow.
void read_found_patch(const ConfigNode& find, const ConfigNode* with, Patch& patch,
                      Problems& problems) {
  patch.finds = true;
  patch.count = read_text_patch(find, patch.wanted, problems);
  if (with == nullptr) {
    problems.push_back(problem_at(find.mark, "find without with", "with: a text as long"));
    return;
  }
  const std::uint32_t count = read_text_patch(*with, patch.bytes, problems);
  if (count != patch.count && count != 0 && patch.count != 0)
    problems.push_back(problem_at(with->mark,
                                  fmt::format("{} bytes in place of {}", count, patch.count),
                                  "a text as long as the one that is found"));
}

Patch read_patch(const ConfigNode& node, const CompileContext& context, Problems& problems) {
  Patch patch;
  MappingReader reader(node, "a patch", problems);
  if (const ConfigNode* to = reader.require("to"))
    if (const auto index = read_node(*to, context, problems))
      patch.to = NodeMask{1} << *index;
  const ConfigNode* offset = reader.take("offset");
  const ConfigNode* hex = reader.take("hex");
  const ConfigNode* find = reader.take("find");
  const ConfigNode* with = reader.take("with");
  reader.finish();
  if (offset != nullptr)
    patch.offset =
        static_cast<std::uint32_t>(read_count(*offset, {0, kOffsetMax}, problems).value_or(0));
  const bool by_place = hex != nullptr && find == nullptr && with == nullptr;
  const bool by_text = hex == nullptr && find != nullptr && offset == nullptr;
  if (by_place)
    read_hex_patch(*hex, patch, problems);
  else if (by_text)
    read_found_patch(*find, with, patch, problems);
  else if (node.is_mapping())
    problems.push_back(problem_at(node.mark, "a patch says what changes just once",
                                  "offset and hex, or find and with"));
  return patch;
}

void read_patches(const ConfigNode& list, const CompileContext& context, Patches& patches,
                  Problems& problems) {
  if (!list.is_sequence() || list.items.empty() || list.items.size() > kPatchesMax) {
    problems.push_back(
        problem_at(list.mark, "found " + describe(list),
                   "a list of 1 to 64 patches such as {to: db2, offset: 8, hex: \"01\"}"));
    return;
  }
  for (const ConfigNode& item : list.items) {
    patches.list.push_back(read_patch(item, context, problems));
    patches.to |= patches.list.back().to;
  }
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  auto patches = std::make_shared<Patches>();
  MappingReader reader(node, "equivocate", problems);
  if (const ConfigNode* list = reader.require("patches"))
    read_patches(*list, context, *patches, problems);
  patches->care = read_care(reader, ChecksumCare::kFix, problems);
  reader.finish();
  if (problems.size() != before)
    return std::nullopt;
  CompiledImpairment compiled;
  compiled.parameters = Parameters::from(Equivocate{patches.get()});
  compiled.decide = decide;
  compiled.edit = edit;
  compiled.explain = explain;
  compiled.nodes = *context.nodes;
  compiled.links = {*context.nodes, {{LinkEnd::anybody(), {.nodes = patches->to}}}};
  compiled.tables = std::move(patches);
  return compiled;
}

}  // namespace

extern const ImpairmentModel kModel_equivocate;
const ImpairmentModel kModel_equivocate{"equivocate", "", "", true, compile};

}  // namespace faultline
