// loss, model bit-error: a frame is lost when one of its bits is wrong. With a bit error rate ber
// and independent errors that is P = 1 − (1 − ber)^bits, bits of the frame with its FCS, which is
// 64 bytes at least: 8·max(length + 4, 64). The power is found by squaring in 64-bit fractions.
#include <array>
#include <memory>

#include "base/dice.hpp"
#include "base/int128.hpp"
#include "base/units.hpp"
#include "impair/hits.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

constexpr std::size_t kPowers = 32;
/// (1 − ber)^(8·2^k) for k = 0, 1, …
using Powers = std::array<Threshold, kPowers>;

struct BitError {
  Dice dice;
  const Powers* powers = nullptr;
  LossAction action = LossAction::kDrop;

  Threshold loss(std::uint32_t frame_bytes) const noexcept {
    constexpr std::uint32_t kFcsBytes = 4;
    constexpr std::uint32_t kFrameBytesMin = 64;
    const std::uint32_t bytes = std::max(frame_bytes + kFcsBytes, kFrameBytesMin);
    Threshold kept = Threshold::always();
    for (std::size_t power = 0; (bytes >> power) != 0; ++power)
      if ((bytes >> power) & 1)
        kept = kept.times((*powers)[power]);
    return kept.complement();
  }
};

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const BitError& model = parameters.as<BitError>();
  Uppers uppers;
  draw_uppers(model.dice, asked, selection, uppers);
  std::uint32_t known_bytes = UINT32_MAX;
  Threshold loss;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    if (burst.length_bytes[i] != known_bytes) {
      known_bytes = burst.length_bytes[i];
      loss = model.loss(known_bytes);
    }
    if (model.dice.hits(uppers[turn], asked.identity[i], asked.number[i], loss))
      lose(model.action, burst, i);
  }
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst& burst,
                    std::uint8_t i) {
  const BitError& model = parameters.as<BitError>();
  return {unit_interval(model.dice.uniform(asked.identity[i], asked.number[i])),
          model.loss(burst.length_bytes[i]).approximate(),
          std::to_string(burst.length_bytes[i]) + " bytes"};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  std::optional<Threshold> ber;
  BitError model{};
  MappingReader reader(node, "loss", problems);
  reader.take("model");
  model.action = read_loss_action(reader, problems);
  if (const ConfigNode* value = reader.require("ber"))
    ber = read_probability(*value, problems);
  reader.finish();
  if (!ber || problems.size() != problems_before)
    return std::nullopt;
  auto powers = std::make_shared<Powers>();
  Threshold power = ber->complement();
  for (int squaring = 0; squaring < 3; ++squaring) power = power.times(power);
  for (Threshold& each : *powers) {
    each = power;
    power = power.times(power);
  }
  model.dice = Dice(context.seed, context.rule_name, context.index, DicePurpose::kFate);
  model.powers = powers.get();
  return CompiledImpairment{.parameters = Parameters::from(model),
                            .decide = decide,
                            .explain = explain,
                            .fate = model.dice,
                            .tables = powers,
                            .uses_dice = true,
                            .drops = true};
}

}  // namespace

extern const ImpairmentModel kModel_loss_bit_error;
const ImpairmentModel kModel_loss_bit_error{"loss", "bit-error", "", false, compile, true};

}  // namespace faultline
