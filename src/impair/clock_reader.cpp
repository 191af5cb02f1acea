// Reading `clock:`. Times are told in ns and kept in the ticks of each protocol.
#include <algorithm>
#include <limits>
#include <string>

#include "impair/clock.hpp"
#include "impair/edits.hpp"
#include "impair/grudge.hpp"

namespace faultline {
namespace {

// An era of NTP has 136 years, so its stamps tell apart what is less than 68 years away.
constexpr std::uint64_t kDayNs = 86'400 * kNsPerSecond;
constexpr std::uint64_t kOffsetMaxNs = 60 * 365 * kDayNs;
constexpr std::uint64_t kSpanMaxNs = 366 * kDayNs;
// What correctionField can say: 2^47 ns.
constexpr std::uint64_t kCorrectionMaxNs = 36 * 3'600 * kNsPerSecond;
constexpr std::int64_t kPptPerPpm = 1'000'000;
constexpr std::int64_t kDriftMaxPpt = 1'000'000'000'000 / ClockLaw::kSteepest;

/// Of a duration in 2^-32 s, to the nearest.
std::int64_t ntp_ticks(std::int64_t ns) noexcept {
  constexpr auto kSecond = static_cast<Int128>(kNsPerSecond);
  const Int128 scaled = static_cast<Int128>(ns) << 32;
  return static_cast<std::int64_t>((scaled + (ns < 0 ? -kSecond : kSecond) / 2) / kSecond);
}

/// A duration that may have a sign.
std::int64_t read_signed_ns(const ConfigNode& node, std::uint64_t most, Problems& problems) {
  ConfigNode plain = node;
  const bool has_sign =
      node.is_scalar() && node.text.size() > 1 && (node.text[0] == '-' || node.text[0] == '+');
  if (has_sign)
    plain.text.erase(0, 1);
  Problems wrong;
  const auto size = read_duration_ns(plain, {0, most}, wrong);
  if (!size)
    problems.push_back(problem_at(
        node.mark, "found " + describe(node),
        "a duration such as 250ms or -1s (ns us ms s m h d) of at most " + format_duration(most)));
  const auto ns = static_cast<std::int64_t>(size.value_or(0));
  return has_sign && node.text[0] == '-' ? -ns : ns;
}

/// "50ppm", "-0.5ppm", "20ppb": in 10^-12.
std::optional<std::int64_t> parse_drift(std::string_view text) {
  std::int64_t sign = 1;
  if (text.starts_with('-') || text.starts_with('+')) {
    sign = text[0] == '-' ? -1 : 1;
    text.remove_prefix(1);
  }
  std::int64_t unit = 0;
  if (text.ends_with("ppm"))
    unit = kPptPerPpm;
  else if (text.ends_with("ppb"))
    unit = kPptPerPpm / 1'000;
  if (unit == 0)
    return std::nullopt;
  text.remove_suffix(3);
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point);
  const std::string_view parts = text.substr(std::min(point + 1, text.size()));
  const auto digits = [](std::string_view some) {
    return !some.empty() && some.size() <= 7 &&
           std::all_of(some.begin(), some.end(), [](char one) { return one >= '0' && one <= '9'; });
  };
  if (!digits(whole) || (point < text.size() && !digits(parts)))
    return std::nullopt;
  std::int64_t ppt = 0;
  std::int64_t place = unit;
  for (const char digit : whole) ppt = ppt * 10 + (digit - '0');
  ppt *= unit;
  for (const char digit : parts) {
    if (place % 10 != 0 && digit != '0')
      return std::nullopt;
    place /= 10;
    ppt += place * (digit - '0');
  }
  return ppt > kDriftMaxPpt ? std::nullopt : std::optional(sign * ppt);
}

void read_drift(MappingReader& reader, WrongClock& clock, Problems& problems) {
  const ConfigNode* value = reader.take("drift");
  if (value == nullptr)
    return;
  const auto drift = value->is_scalar() ? parse_drift(value->text) : std::nullopt;
  clock.ntp_law.drift_ppt = clock.ptp_law.drift_ppt = drift.value_or(0);
  if (!drift)
    problems.push_back(problem_at(value->mark, "found " + describe(*value),
                                  "a drift such as 50ppm, -0.5ppm or 20ppb, at most 100000ppm"));
}

struct StepNs {
  std::int64_t at = 0;
  std::int64_t by = 0;
};

void read_steps(MappingReader& reader, WrongClock& clock, Problems& problems) {
  const ConfigNode* list = reader.take("steps");
  if (list == nullptr)
    return;
  if (!list->is_sequence() || list->items.empty() || list->items.size() > ClockLaw::kStepsMax) {
    problems.push_back(problem_at(list->mark, "found " + describe(*list),
                                  "a list of 1 to 64 steps such as {at: 60s, by: -1s}"));
    return;
  }
  std::vector<StepNs> steps;
  for (const ConfigNode& item : list->items) {
    MappingReader step(item, "a step", problems);
    StepNs read;
    if (const ConfigNode* value = step.require("at"))
      read.at = static_cast<std::int64_t>(
          read_duration_ns(*value, {0, kSpanMaxNs}, problems).value_or(0));
    if (const ConfigNode* value = step.require("by"))
      read.by = read_signed_ns(*value, kOffsetMaxNs, problems);
    step.finish();
    steps.push_back(read);
  }
  std::stable_sort(steps.begin(), steps.end(),
                   [](const StepNs& one, const StepNs& other) { return one.at < other.at; });
  for (std::size_t index = 0; index < steps.size(); ++index) {
    clock.ntp_law.steps[index] = {ntp_ticks(steps[index].at), ntp_ticks(steps[index].by)};
    clock.ptp_law.steps[index] = {steps[index].at, steps[index].by};
  }
  clock.ntp_law.step_count = clock.ptp_law.step_count = static_cast<std::uint32_t>(steps.size());
}

void read_smear(MappingReader& reader, WrongClock& clock, Problems& problems) {
  const ConfigNode* value = reader.take("smear");
  if (value == nullptr)
    return;
  const std::size_t before = problems.size();
  MappingReader smear(*value, "smear", problems);
  std::int64_t by = 0;
  std::uint64_t over = 1;
  if (const ConfigNode* part = smear.require("by"))
    by = read_signed_ns(*part, kSpanMaxNs, problems);
  if (const ConfigNode* part = smear.require("over"))
    over = read_duration_ns(*part, {1, kSpanMaxNs}, problems).value_or(1);
  smear.finish();
  const auto size = static_cast<std::uint64_t>(by < 0 ? -by : by);
  if (problems.size() == before && size > over / ClockLaw::kSteepest)
    problems.push_back(problem_at(value->mark, "a smear of more than a tenth of its time",
                                  "such as {by: 1s, over: 24h}"));
  clock.ntp_law.smear_by = ntp_ticks(by);
  clock.ntp_law.smear_over = ntp_ticks(static_cast<std::int64_t>(over));
  clock.ptp_law.smear_by = by;
  clock.ptp_law.smear_over = static_cast<std::int64_t>(over);
}

void read_law(MappingReader& reader, WrongClock& clock, Problems& problems) {
  if (const ConfigNode* value = reader.take("offset")) {
    clock.ptp_law.offset = read_signed_ns(*value, kOffsetMaxNs, problems);
    clock.ntp_law.offset = ntp_ticks(clock.ptp_law.offset);
  }
  read_drift(reader, clock, problems);
  read_steps(reader, clock, problems);
  read_smear(reader, clock, problems);
}

void read_protocols(MappingReader& reader, WrongClock& clock, Problems& problems) {
  const ConfigNode* value = reader.take("protocols");
  if (value == nullptr)
    return;
  clock.ntp = clock.ptp = false;
  const auto add = [&](const ConfigNode& item) {
    if (const auto word = read_word(item, {"ntp", "ptp"}, problems))
      (*word == 0 ? clock.ntp : clock.ptp) = true;
  };
  if (!value->is_sequence()) {
    add(*value);
    return;
  }
  for (const ConfigNode& item : value->items) add(item);
  if (value->items.empty())
    problems.push_back(problem_at(value->mark, "an empty list of protocols", "ntp, ptp"));
}

/// 16 bits of seconds and 16 of their parts.
std::optional<std::uint32_t> read_short(MappingReader& reader, std::string_view key,
                                        Problems& problems) {
  const ConfigNode* value = reader.take(key);
  if (value == nullptr)
    return std::nullopt;
  const auto ns = read_duration_ns(*value, {0, 65'535 * kNsPerSecond}, problems).value_or(0);
  return static_cast<std::uint32_t>((static_cast<Uint128>(ns) << 16) / kNsPerSecond);
}

void read_header(MappingReader& reader, NtpFaults& header, PtpAnnounce& announce,
                 Problems& problems) {
  if (const ConfigNode* value = reader.take("leap"))
    if (const auto word = read_word(*value, {"none", "insert", "delete", "unsync"}, problems)) {
      header.leap = static_cast<NtpLeap>(*word);
      if (*word < 3) {  // PTP has no way to say it is not synchronised
        announce.leap61 = *word == 1;
        announce.leap59 = *word == 2;
      }
    }
  if (const ConfigNode* value = reader.take("stratum"))
    header.stratum = static_cast<std::uint8_t>(read_count(*value, {0, 16}, problems).value_or(0));
  header.root_delay = read_short(reader, "root_delay", problems);
  header.root_dispersion = read_short(reader, "root_dispersion", problems);
  if (const ConfigNode* value = reader.take("kod")) {
    constexpr std::uint32_t kKisses[] = {0, 0x52415445, 0x44454E59, 0x52535452};
    if (const auto word = read_word(*value, {"none", "RATE", "DENY", "RSTR"}, problems))
      header.kiss = kKisses[*word];
  }
}

template <typename Number>
void read_number(MappingReader& reader, std::string_view key, std::optional<Number>& number,
                 Problems& problems) {
  if (const ConfigNode* value = reader.take(key))
    number = static_cast<Number>(
        read_count(*value, {0, std::numeric_limits<Number>::max()}, problems).value_or(0));
}

void read_announce(MappingReader& reader, WrongClock& clock, Problems& problems) {
  if (const ConfigNode* value = reader.take("announce")) {
    MappingReader announce(*value, "announce", problems);
    read_number(announce, "clock_class", clock.announce.clock_class, problems);
    read_number(announce, "priority1", clock.announce.priority1, problems);
    read_number(announce, "priority2", clock.announce.priority2, problems);
    read_number(announce, "steps_removed", clock.announce.steps_removed, problems);
    read_number(announce, "utc_offset", clock.announce.utc_offset, problems);
    announce.finish();
    clock.announces = true;
  }
  clock.announces |= clock.announce.leap61.has_value();
  const auto read_flag = [&](std::string_view key, bool& flag) {
    if (const ConfigNode* value = reader.take(key))
      flag = read_bool(*value, problems).value_or(false);
  };
  read_flag("drop_announce", clock.drops_announce);
  read_flag("correction", clock.corrects);
  read_flag("allow_mutable", clock.allows_mutable);
}

void read_asymmetry(MappingReader& reader, const ConfigNode& node, WrongClock& clock,
                    Problems& problems) {
  ClockAsymmetry& asymmetry = clock.asymmetry;
  asymmetry.wanted = true;
  const ConfigNode* offset = reader.require("offset");
  const std::int64_t ns =
      offset == nullptr ? 0 : read_signed_ns(*offset, 3'600 * kNsPerSecond, problems);
  // The client's offset is half of what the way there has more than the way back: a source that is
  // ahead is one whose questions come late.
  asymmetry.ahead = ns > 0;
  asymmetry.delay_ns = 2 * static_cast<std::uint64_t>(ns < 0 ? -ns : ns);
  if (const ConfigNode* value = reader.take("ramp")) {
    ConfigNode plain = *value;
    const bool a_second = plain.is_scalar() && plain.text.ends_with("/s");
    if (a_second)
      plain.text.resize(plain.text.size() - 2);
    if (!a_second)
      problems.push_back(
          problem_at(value->mark, "found " + describe(*value), "so much a second, such as 1ms/s"));
    else
      asymmetry.ramp_ns =
          2 * read_duration_ns(plain, {1, 3'600 * kNsPerSecond}, problems).value_or(1);
  }
  for (const std::string_view key :
       {"drift", "steps", "smear", "leap", "stratum", "kod", "root_delay", "root_dispersion",
        "announce", "drop_announce", "correction", "allow_mutable", "on_auth"})
    if (reader.take(key) != nullptr)
      problems.push_back(
          problem_at(node.find(key)->mark,
                     "by: delay-asymmetry changes no bytes, so it has no " + std::string(key),
                     "offset, ramp; or by: rewrite"));
}

void read_rewriting(MappingReader& reader, const ConfigNode& node, WrongClock& clock,
                    Problems& problems) {
  const std::size_t before = problems.size();
  read_law(reader, clock, problems);
  read_header(reader, clock.header, clock.announce, problems);
  read_announce(reader, clock, problems);
  if (const ConfigNode* value = reader.take("on_auth"))
    clock.drops_authenticated = read_word(*value, {"pass", "drop"}, problems) == 1;
  if (const ConfigNode* value = reader.take("ramp"))
    problems.push_back(
        problem_at(value->mark, "ramp without by: delay-asymmetry", "both, or steps, or a smear"));
  reader.finish();
  if (problems.size() != before)
    return;
  if (!clock.shifts() && !clock.header.any() && !clock.announces && !clock.drops_announce)
    problems.push_back(problem_at(node.mark, "clock: nothing is wrong with it",
                                  "one of offset, drift, steps, smear, leap, stratum, kod, "
                                  "root_delay, root_dispersion, announce, drop_announce"));
  const auto size = static_cast<std::uint64_t>(std::abs(clock.ptp_law.offset));
  if (clock.corrects && size > kCorrectionMaxNs)
    problems.push_back(problem_at(node.mark, "correction: the offset does not fit into it",
                                  "an offset of at most 36h, or correction: false"));
}

}  // namespace

WrongClock read_clock(const ConfigNode& node, const CompileContext& context, Problems& problems) {
  WrongClock clock;
  MappingReader reader(node, "clock", problems);
  if (const ConfigNode* value = reader.require("node"))
    clock.node = static_cast<std::uint32_t>(read_node(*value, context, problems).value_or(0));
  if (const ConfigNode* value = reader.take("as"))
    if (const auto word = read_word(*value, {"source", "victim"}, problems))
      clock.role = *word == 0 ? ClockRole::kSource : ClockRole::kVictim;
  read_protocols(reader, clock, problems);
  std::optional<std::size_t> by = 0;
  if (const ConfigNode* value = reader.take("by")) {
    by = read_word(*value, {"rewrite", "delay-asymmetry", "command"}, problems);
    if (by == 2)
      problems.push_back(problem_at(value->mark,
                                    "by: command is not for the daemon, which runs none",
                                    "rewrite, delay-asymmetry; on a timeline, faultline run, which "
                                    "runs commands as its own user"));
  }
  if (by == 1)
    read_asymmetry(reader, node, clock, problems);
  else if (by == 0)
    read_rewriting(reader, node, clock, problems);
  return clock;
}

}  // namespace faultline
