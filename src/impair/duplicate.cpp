// duplicate: a packet becomes several. Copies go their own way from here on: what stands behind the
// duplication befalls each by itself, with dice of its own.
#include "impair/edits.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kCopiesMax = 32;
constexpr std::uint64_t kDelayMaxNs = 24 * 3600 * kNsPerSecond;

struct Duplicate {
  Hits hits;
  std::uint8_t copies = 1;
  std::uint64_t delay_ns = 0;  ///< of each copy behind the one before it
};

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Duplicate& duplicate = parameters.as<Duplicate>();
  const Turns hit = duplicate.hits.among(asked, selection);
  for (std::uint32_t turn = 0; turn < selection.count; ++turn)
    burst.copies[selection.position[turn]] =
        (hit >> turn & 1) != 0 ? duplicate.copies : std::uint8_t{0};
}

void copied(const Asked& asked, JudgedBurst& burst, std::uint8_t of, std::uint8_t copy,
            std::uint32_t which) noexcept {
  const Duplicate& duplicate = asked.self->parameters.as<Duplicate>();
  burst.time_ns[copy] = burst.time_ns[of] + which * duplicate.delay_ns;
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  return parameters.as<Duplicate>().hits.explain(asked, i);
}

CompiledImpairment compiled_of(const Duplicate& duplicate) {
  return {.parameters = Parameters::from(duplicate),
          .decide = decide,
          .copied = copied,
          .explain = explain,
          .fate = duplicate.hits.dice,
          .adds_ns = duplicate.delay_ns * duplicate.copies,
          .uses_dice = true,
          .delays = duplicate.delay_ns > 0,
          .copies = duplicate.copies,
          .breaks_order = duplicate.delay_ns > 0};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Duplicate duplicate;
  duplicate.hits.dice = dice_for(context, DicePurpose::kFate);
  if (!node.is_mapping()) {
    duplicate.hits.rate = read_probability(node, problems).value_or(Threshold::never());
    return unless_wrong(compiled_of(duplicate), before, problems);
  }
  MappingReader reader(node, "duplicate", problems);
  duplicate.hits = read_hits(reader, context, problems);
  if (const ConfigNode* value = reader.take("copies"))
    duplicate.copies =
        static_cast<std::uint8_t>(read_count(*value, {1, kCopiesMax}, problems).value_or(1));
  if (const ConfigNode* value = reader.take("delay"))
    duplicate.delay_ns = read_duration_ns(*value, {0, kDelayMaxNs}, problems).value_or(0);
  reader.finish();
  return unless_wrong(compiled_of(duplicate), before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_duplicate;
const ImpairmentModel kModel_duplicate{"duplicate", "", "", true, compile};

}  // namespace faultline
