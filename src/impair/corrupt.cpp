// corrupt: bytes change on the way. Which packets, by `rate` or, bit by bit, by `ber`; where, by
// layer or from an offset; how: single bits, a burst of bits, bytes given, two words that change
// places. With `checksum: fix` the damage reaches the application, with `keep` the receiver finds
// it, with `break` it does so whatever the damage is.
//
// All of a packet's damage comes from one number u, drawn for it: u < rate says whether, and a
// stream keyed by u where. Errors by `ber` are the gaps of a Bernoulli process, which are
// geometric: the first is the least g with 1 − (1 − ber)^(g+1) > u.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/portable_math.hpp"
#include "impair/draw_stream.hpp"
#include "impair/edits.hpp"

namespace faultline {
namespace {

enum class Where : std::uint8_t { kAnywhere, kLink, kNetwork, kTransport, kPayload, kOffset };
enum class How : std::uint8_t { kBits, kBurst, kBytes, kSwap };

constexpr std::uint32_t kBitsMax = 64;
constexpr std::uint32_t kPatternMax = 32;
constexpr std::uint32_t kOffsetMax = 65'000;

struct Corrupt {
  Hits hits;
  double log_kept = 0;  ///< of a bit, ln(1 − ber); 0: by `rate`
  Where where = Where::kAnywhere;
  How how = How::kBits;
  ChecksumCare care = ChecksumCare::kKeep;
  std::uint8_t pattern_bytes = 0;
  std::uint32_t offset = 0;
  std::uint32_t bits = 1;
  std::array<std::uint8_t, kPatternMax> pattern{};
};

/// How many bits are right before the next wrong one.
std::uint64_t gap_of(double log_kept, std::uint64_t uniform) noexcept {
  if (log_kept == -HUGE_VAL)
    return 0;  // ber is 1
  const double left = 1 - (static_cast<double>(uniform >> 11) * 0x1p-53);
  const double gap = portable_log(left) / log_kept;
  return gap > 1e15 ? UINT64_MAX / 2 : static_cast<std::uint64_t>(gap);
}

std::uint64_t bits_of(const JudgedBurst& burst, std::uint8_t i) noexcept {
  return std::uint64_t{burst.length_bytes[i]} * 8;
}

/// Whether a number with this upper half may hit a frame of so many bits. By `ber` one does with
/// 1 − (1 − ber)^bits, which is less than −bits · ln(1 − ber); with room for rounding.
bool may_hit(const Corrupt& corrupt, std::uint64_t bits, std::uint32_t upper) noexcept {
  if (corrupt.log_kept == 0)
    return upper <= corrupt.hits.rate.high;
  return upper * 0x1p-32 <= -corrupt.log_kept * static_cast<double>(bits) * 1.001 + 1e-12;
}

bool hits(const Corrupt& corrupt, std::uint64_t bits, std::uint64_t uniform) noexcept {
  if (corrupt.log_kept == 0)
    return corrupt.hits.rate == Threshold::always() ||
           uniform < (std::uint64_t{corrupt.hits.rate.high} << 32 | corrupt.hits.rate.low);
  return gap_of(corrupt.log_kept, uniform) < bits;
}

Selection those_that_may(const Corrupt& corrupt, const Asked& asked, const JudgedBurst& burst,
                         const Selection& selection) noexcept {
  Uppers uppers;
  draw_uppers(corrupt.hits.dice, asked, selection, uppers);
  Selection may;
  may.count = 0;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    may.position[may.count] = i;
    may.count += may_hit(corrupt, bits_of(burst, i), uppers[turn]) ? 1U : 0U;
  }
  return may;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Corrupt& corrupt = parameters.as<Corrupt>();
  const bool every = corrupt.log_kept == 0 && corrupt.hits.rate == Threshold::always();
  const Selection meant = every ? selection : those_that_may(corrupt, asked, burst, selection);
  if (meant.count == 0)
    return;
  Uniforms uniforms;
  draw_uniforms(corrupt.hits.dice, asked, meant, uniforms);
  std::array<std::uint64_t, kBurstMax> firsts;
  DrawStream::firsts(uniforms.data(), meant.count, firsts.data());
  for (std::uint32_t turn = 0; turn < meant.count; ++turn) {
    const std::uint8_t i = meant.position[turn];
    if (hits(corrupt, bits_of(burst, i), uniforms[turn]))
      plan_edit(asked, burst, i, uniforms[turn], firsts[turn]);
  }
}

// --- damage --------------------------------------------------------------------------------------

EditFrame::Part part_of(const Corrupt& corrupt, const EditFrame& frame) noexcept {
  switch (corrupt.where) {
    case Where::kAnywhere:
      return {0, frame.length()};
    case Where::kLink:
      return frame.link_part();
    case Where::kNetwork:
      return frame.network_part();
    case Where::kTransport:
      return frame.transport_part();
    case Where::kPayload:
      return frame.payload_part();
    case Where::kOffset:
      return {std::min(corrupt.offset, frame.length()), frame.length()};
  }
  return {};
}

/// Where checksums stay as they are, what the change does to them need not be known.
void put(const Corrupt& corrupt, EditFrame& frame, std::uint32_t at, std::uint8_t value) noexcept {
  if (corrupt.care == ChecksumCare::kKeep)
    frame.put_unsummed(at, value);
  else
    frame.put(at, value);
}

/// Turns one bit of the frame. A checksum that will be made right is no place for damage.
bool turn(const Corrupt& corrupt, EditFrame& frame, std::uint64_t bit) noexcept {
  const auto at = static_cast<std::uint32_t>(bit / 8);
  const auto value = static_cast<std::uint8_t>(frame.at(at) ^ (0x80U >> (bit % 8)));
  if (corrupt.care == ChecksumCare::kFix)
    return frame.put_unless_checksum(at, value);
  put(corrupt, frame, at, value);
  return true;
}

/// `bits` different bits, each as likely as any other.
void turn_bits(const Corrupt& corrupt, EditFrame& frame, EditFrame::Part part,
               DrawStream& stream) noexcept {
  constexpr std::uint32_t kTries = 1'024;
  std::array<std::uint64_t, kBitsMax> turned;
  std::uint32_t count = 0;
  const std::uint64_t bits = std::uint64_t{part.size()} * 8;
  const std::uint64_t wanted = std::min<std::uint64_t>(corrupt.bits, bits);
  const auto turn_new = [&](std::uint64_t bit) {
    const auto end = turned.begin() + count;
    if (std::find(turned.begin(), end, bit) == end && turn(corrupt, frame, bit))
      turned[count++] = bit;
  };
  const std::uint64_t first = std::uint64_t{part.first} * 8;
  if (wanted == 1 && turn(corrupt, frame, first + stream.below(bits))) [[likely]]
    return;  // nearly always
  for (std::uint32_t tries = 0; count < wanted && tries < kTries; ++tries)
    turn_new(first + stream.below(bits));
  // Of nearly all bits of a part some may not have been met.
  for (std::uint64_t bit = 0; count < wanted && bit < bits; ++bit) turn_new(first + bit);
}

/// An error burst of `bits`: its first and last bit are wrong, those between with one half.
void turn_burst(const Corrupt& corrupt, EditFrame& frame, EditFrame::Part part,
                DrawStream& stream) noexcept {
  const std::uint64_t bits = std::uint64_t{part.size()} * 8;
  const std::uint64_t length = std::min<std::uint64_t>(corrupt.bits, bits);
  const std::uint64_t first = std::uint64_t{part.first} * 8 + stream.below(bits - length + 1);
  std::uint64_t coins = 0;
  for (std::uint64_t at = 0; at < length; ++at) {
    if (at % 64 == 0)
      coins = stream.next();
    if (at == 0 || at + 1 == length || (coins >> (at % 64) & 1) != 0)
      turn(corrupt, frame, first + at);
  }
}

void turn_by_rate(const Corrupt& corrupt, EditFrame& frame, EditFrame::Part part,
                  std::uint64_t uniform, DrawStream& stream) noexcept {
  const std::uint64_t bits = std::uint64_t{part.size()} * 8;
  for (std::uint64_t bit = gap_of(corrupt.log_kept, uniform); bit < bits;
       bit += 1 + gap_of(corrupt.log_kept, stream.next()))
    turn(corrupt, frame, std::uint64_t{part.first} * 8 + bit);
}

void write_pattern(const Corrupt& corrupt, EditFrame& frame, EditFrame::Part part,
                   DrawStream& stream) noexcept {
  if (part.size() < corrupt.pattern_bytes)
    return;
  std::uint32_t at = part.first;
  if (corrupt.where != Where::kOffset)
    at += static_cast<std::uint32_t>(stream.below(part.size() - corrupt.pattern_bytes + 1));
  for (std::uint32_t i = 0; i < corrupt.pattern_bytes; ++i)
    if (corrupt.care != ChecksumCare::kFix || !frame.is_checksum(at + i))
      put(corrupt, frame, at + i, corrupt.pattern[i]);
}

/// Two neighbouring words that differ change places: sums that know no order do not see it. From a
/// place drawn on, the first that can.
void swap_words(const Corrupt& corrupt, EditFrame& frame, EditFrame::Part part,
                DrawStream& stream) noexcept {
  const std::uint32_t pairs = part.size() / 2 == 0 ? 0 : part.size() / 2 - 1;
  if (pairs == 0)
    return;
  const auto start = static_cast<std::uint32_t>(stream.below(pairs));
  for (std::uint32_t tried = 0; tried < pairs; ++tried) {
    const std::uint32_t at = part.first + (start + tried) % pairs * 2;
    const std::uint16_t left = frame.word_at(at);
    const std::uint16_t right = frame.word_at(at + 2);
    const bool sum =
        corrupt.care == ChecksumCare::kFix && (frame.is_checksum(at) || frame.is_checksum(at + 2));
    if (left == right || sum)
      continue;
    frame.put_word(at, right);
    frame.put_word(at + 2, left);
    return;
  }
}

void edit(const Edit& edit, EditFrame& frame) noexcept {
  const Corrupt& corrupt = edit.impairment->parameters.as<Corrupt>();
  const EditFrame::Part part = part_of(corrupt, frame);
  // The checksum over a later fragment's bytes travels in the first: it cannot be made right here.
  const bool elsewhere = frame.fields().fragment == FragmentKind::kLater;
  if (part.size() == 0 || (elsewhere && corrupt.care == ChecksumCare::kFix))
    return;
  DrawStream stream(edit.draw, edit.first);
  if (corrupt.log_kept != 0) {
    turn_by_rate(corrupt, frame, part, edit.draw, stream);
  } else {
    switch (corrupt.how) {
      case How::kBits:
        turn_bits(corrupt, frame, part, stream);
        break;
      case How::kBurst:
        turn_burst(corrupt, frame, part, stream);
        break;
      case How::kBytes:
        write_pattern(corrupt, frame, part, stream);
        break;
      case How::kSwap:
        swap_words(corrupt, frame, part, stream);
        break;
    }
  }
  if (frame.changed())
    frame.settle(corrupt.care);
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst& burst,
                    std::uint8_t i) {
  const Corrupt& corrupt = parameters.as<Corrupt>();
  Explanation why = corrupt.hits.explain(asked, i);
  if (corrupt.log_kept != 0)
    why.threshold =
        1 - portable_exp(corrupt.log_kept * 8 * static_cast<double>(burst.length_bytes[i]));
  return why;
}

// --- reading -------------------------------------------------------------------------------------

void read_where(MappingReader& reader, Corrupt& corrupt, Problems& problems) {
  const ConfigNode* value = reader.take("where");
  if (value == nullptr)
    return;
  constexpr std::string_view kWords[] = {"anywhere", "l2", "l3", "l4", "payload"};
  for (std::size_t word = 0; word < std::size(kWords); ++word)
    if (value->is_scalar() && value->text == kWords[word]) {
      corrupt.where = static_cast<Where>(word);
      return;
    }
  std::uint64_t offset = UINT64_MAX;
  if (value->is_scalar())
    offset = parse_count(value->text).value_or(UINT64_MAX);
  if (offset > kOffsetMax)
    problems.push_back(problem_at(value->mark, "found " + describe(*value),
                                  "anywhere, l2, l3, l4, payload, or an offset in bytes from the "
                                  "frame's beginning, at most 65000"));
  corrupt.where = Where::kOffset;
  corrupt.offset = static_cast<std::uint32_t>(std::min<std::uint64_t>(offset, kOffsetMax));
}

void read_pattern(const ConfigNode& node, Corrupt& corrupt, Problems& problems) {
  const auto bytes = node.is_scalar() ? parse_hex(node.text) : std::nullopt;
  if (!bytes || bytes->empty() || bytes->size() > kPatternMax) {
    problems.push_back(
        problem_at(node.mark, "found " + describe(node), "1 to 32 bytes in hex, such as \"00ff\""));
    return;
  }
  corrupt.pattern_bytes = static_cast<std::uint8_t>(bytes->size());
  std::copy(bytes->begin(), bytes->end(), corrupt.pattern.begin());
}

/// At most one of the kinds of damage; a single bit where none is named.
void read_how(MappingReader& reader, const ConfigNode& node, Corrupt& corrupt, Problems& problems) {
  std::size_t named = 0;
  for (const auto& [key, how] : {std::pair{"bits", How::kBits}, std::pair{"burst", How::kBurst}})
    if (const ConfigNode* value = reader.take(key)) {
      corrupt.how = how;
      const std::uint64_t most = how == How::kBits ? kBitsMax : 4'096;
      corrupt.bits =
          static_cast<std::uint32_t>(read_count(*value, {1, most}, problems).value_or(1));
      ++named;
    }
  if (const ConfigNode* value = reader.take("bytes")) {
    corrupt.how = How::kBytes;
    read_pattern(*value, corrupt, problems);
    ++named;
  }
  if (const ConfigNode* value = reader.take("swap_words"))
    if (read_bool(*value, problems).value_or(true)) {
      corrupt.how = How::kSwap;
      ++named;
    }
  if (named > 1 || (named > 0 && corrupt.log_kept != 0))
    problems.push_back(problem_at(node.mark, "corrupt: more than one kind of damage",
                                  "one of ber, bits, burst, bytes, swap_words"));
}

void read_ber(const ConfigNode& node, Corrupt& corrupt, Problems& problems) {
  const auto ber = read_probability(node, problems);
  if (!ber)
    return;
  if (*ber == Threshold::never())
    problems.push_back(problem_at(node.mark, "a bit error rate of 0 damages nothing",
                                  "a rate above 0, such as 1e-7"));
  const double rate = ber->approximate();
  corrupt.log_kept = rate >= 1 ? -HUGE_VAL : portable_log1p(-rate);
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Corrupt corrupt;
  MappingReader reader(node, "corrupt", problems);
  corrupt.hits = read_hits(reader, context, problems);
  if (const ConfigNode* ber = reader.take("ber")) {
    if (reader.has("rate"))
      problems.push_back(problem_at(ber->mark, "corrupt: both rate and ber", "one of them"));
    read_ber(*ber, corrupt, problems);
  }
  read_where(reader, corrupt, problems);
  read_how(reader, node, corrupt, problems);
  corrupt.care = read_care(reader, ChecksumCare::kKeep, problems);
  reader.finish();
  return unless_wrong({.parameters = Parameters::from(corrupt),
                       .decide = decide,
                       .edit = edit,
                       .explain = explain,
                       .fate = corrupt.hits.dice,
                       .uses_dice = true,
                       .damages = true},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_corrupt;
const ImpairmentModel kModel_corrupt{"corrupt", "", "", true, compile};

}  // namespace faultline
