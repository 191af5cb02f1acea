// delay: a packet's own time moves on. Its keys are read here; a constant delay is decided here,
// its other forms in delay_free.cpp, delay_field.cpp and delay_trace.cpp.
//
// A constant keeps the order by itself; only a change of `time` could let packets overtake. So the
// latest time that a scope gave out before the change is its floor afterwards: 20 ms → 10 ms does
// not reorder.
#include <charconv>

#include <fmt/format.h>

#include "impair/delay_law.hpp"

namespace faultline {
namespace {

/// Light in fibre: 4.9 µs/km (ITU-T G.652 fibre, group index about 1.468).
constexpr std::uint64_t kNsPerKm = 4'900;
constexpr std::uint64_t kGridAKnot = 64;
/// The field looks back at most so far when it knows nothing: beyond that a law needs `max`.
constexpr std::uint64_t kLookBackMax = 1 << 16;

struct ConstantDelay {
  std::uint64_t time_ns = 0;
};

/// With `order: free` a change may let packets overtake.
void decide_freely(const Parameters& parameters, Asked&, JudgedBurst& burst,
                   const Selection& selection, ImpairmentTally&) noexcept {
  const std::uint64_t delay_ns = parameters.as<ConstantDelay>().time_ns;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn)
    burst.time_ns[selection.position[turn]] += delay_ns;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally& tally) noexcept {
  const std::uint64_t delay_ns = parameters.as<ConstantDelay>().time_ns;
  std::uint64_t clamped = 0;
  for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
    ScopeState& state = *asked.state[selection.position[first]];
    DelayFloor floor = state.as<DelayFloor>();
    floor.meet(delay_ns);
    for (std::uint32_t turn = first; turn < end; ++turn) {
      const std::uint8_t i = selection.position[turn];
      const std::uint64_t asked_ns = burst.time_ns[i] + delay_ns;
      const std::uint64_t given_ns = floor.give(asked_ns);
      clamped += given_ns > asked_ns ? 1 : 0;
      burst.time_ns[i] = given_ns;
    }
    state.as<DelayFloor>() = floor;
  });
  tally.clamped += clamped;
}

double share_within(const Parameters& parameters, std::uint64_t delay_ns) {
  return delay_ns >= parameters.as<ConstantDelay>().time_ns ? 1 : 0;
}

CompiledImpairment constant_delay(std::uint64_t time_ns) {
  return CompiledImpairment{.parameters = Parameters::from(ConstantDelay{time_ns}),
                            .decide = decide,
                            .adds_ns = time_ns,
                            .state_bytes = kDelayStateBytes,
                            .delays = true,
                            .delay_shape = DelayShape{.share_within = share_within}};
}

// --- reading -------------------------------------------------------------------------------------

std::optional<FlowTime> read_flow_time(const ConfigNode& node, Problems& problems) {
  if (!node.is_mapping()) {
    const auto time_ns = read_duration_ns(node, {0, kDelayMaxNs}, problems);
    if (!time_ns)
      return std::nullopt;
    return FlowTime{.fixed_ns = static_cast<std::int64_t>(*time_ns)};
  }
  std::optional<FlowTime> time;
  MappingReader reader(node, "drawn time", problems);
  if (const ConfigNode* value = reader.require("draw")) {
    if (value->is_scalar() && !value->text.empty())
      time = parse_drawn_time(value->text);
    if (!time)
      problems.push_back(problem_at(
          value->mark, "found " + describe(*value),
          "\"uniform(10ms, 50ms)\", \"normal(40ms, 5ms)\" or \"exponential(10ms)\", up to 24h"));
  }
  if (const ConfigNode* value = reader.require("per"))
    read_word(*value, {"flow"}, problems);
  reader.finish();
  return time;
}

/// "5000km": a whole number of km.
std::optional<std::uint64_t> read_distance_ns(const ConfigNode& node, Problems& problems) {
  std::uint64_t km = 0;
  const std::string_view text = node.text;
  const char* digits_end = text.data() + (text.ends_with("km") ? text.size() - 2 : 0);
  const auto [end, error] = std::from_chars(text.data(), digits_end, km);
  if (!node.is_scalar() || error != std::errc{} || end != digits_end || km > 1'000'000'000) {
    problems.push_back(problem_at(node.mark, "found " + describe(node),
                                  "a distance such as 5000km, at most 1000000000km"));
    return std::nullopt;
  }
  return km * kNsPerKm;
}

class DelayReader {
 public:
  DelayReader(const ConfigNode& node, const CompileContext& context, Problems& problems)
      : node_(node), context_(context), problems_(problems), reader_(node, "delay", problems) {}

  std::optional<CompiledImpairment> read() {
    const std::size_t problems_before = problems_.size();
    if (const ConfigNode* value = reader_.take("compensate"))
      own_ns_ = read_compensation_ns(*value);
    std::optional<CompiledImpairment> compiled;
    if (const ConfigNode* trace = reader_.take("trace")) {
      compiled = compile_trace_delay(*trace, reader_, own_ns_, problems_);
    } else if (const ConfigNode* distance = reader_.take("distance")) {
      const std::uint64_t time_ns = read_distance_ns(*distance, problems_).value_or(0);
      compiled = constant_delay(time_ns - std::min(time_ns, own_ns_));
    } else
      compiled = read_law();
    reader_.finish();
    return problems_.size() == problems_before ? std::move(compiled) : std::nullopt;
  }

 private:
  void complain(const Mark& mark, std::string found, std::string allowed) {
    problems_.push_back(problem_at(mark, std::move(found), std::move(allowed)));
  }

  /// What is to be subtracted.
  std::uint64_t read_compensation_ns(const ConfigNode& node) {
    if (!read_bool(node, problems_).value_or(false))
      return 0;
    if (!context_.own_latency_ns)
      complain(node.mark, "the own latency could not be measured",
               "two cores that this process may use, or compensate: false");
    return context_.own_latency_ns.value_or(0);
  }

  std::optional<CompiledImpairment> read_law() {
    auto law = std::make_shared<DelayLaw>();
    const bool has_table = reader_.has("file") || reader_.has("contents");
    read_distribution();
    if (const ConfigNode* value = reader_.require("time"))
      law->time = read_flow_time(*value, problems_).value_or(FlowTime{});
    const ConfigNode* jitter = reader_.take("jitter");
    if (jitter != nullptr)
      law->jitter = read_flow_time(*jitter, problems_).value_or(FlowTime{});
    if (const ConfigNode* value = reader_.take("order"))
      free_ = read_word(*value, {"keep", "free"}, problems_) == 1U;
    const ConfigNode* max = reader_.take("max");
    if (max != nullptr)
      law->max_ns = read_duration_ns(*max, {0, kDelayMaxNs}, problems_).value_or(0);
    read_correlation(*law);
    const ConfigNode* spacing = reader_.take("correlation_time");
    const std::optional<Quantile> quantile = read_quantile(has_table);
    if (jitter == nullptr && distribution_ != nullptr && law_ != Law::kConstant)
      complain(distribution_->mark, "a distribution without jitter", "jitter: with its width");
    if (jitter != nullptr && law_ == Law::kConstant)
      complain(jitter->mark, "jitter of a constant", "a distribution such as normal");
    if (!quantile || law_ == Law::kConstant)
      return without_jitter(std::move(law), spacing);
    law->quantiles = std::make_shared<const QuantileTable>(**quantile);
    if (!free_ || law->correlation != 0)
      law->gaussian = std::make_shared<const GaussianTable>(**quantile);
    law->subtract(own_ns_);
    throw_dice(*law);
    if (free_) {
      if (spacing != nullptr)
        complain(spacing->mark, "correlation_time with order: free", "order: keep");
      return compile_free_delay(std::move(law));
    }
    if (is_heavy(law_) && max == nullptr) {
      complain(node_.mark,
               fmt::format("{} has so heavy a tail that keeping the order needs a bound",
                           law_names()[static_cast<std::size_t>(law_)]),
               "max: with the longest delay, or order: free");
      return std::nullopt;
    }
    read_spacing(spacing, *law);
    return compile_field_delay(std::move(law));
  }

  std::optional<CompiledImpairment> without_jitter(std::shared_ptr<DelayLaw> law,
                                                   const ConfigNode* spacing) {
    if (spacing != nullptr)
      complain(spacing->mark, "correlation_time without jitter", "jitter: with its width");
    law->subtract(own_ns_);
    if (!law->per_flow()) {
      CompiledImpairment compiled =
          constant_delay(delay_with(*law, delay_of_flow(*law, 0), 0).delay_ns);
      if (free_)
        compiled.decide = decide_freely;
      return compiled;
    }
    throw_dice(*law);
    return compile_per_flow_delay(std::move(law));
  }

  void read_distribution() {
    distribution_ = reader_.take("distribution");
    // Jitter without a distribution is normal, the field's habit.
    law_ = reader_.has("jitter") ? Law::kNormal : Law::kConstant;
    if (distribution_ != nullptr)
      if (const auto word = read_word(*distribution_, law_names(), problems_))
        law_ = static_cast<Law>(*word);
  }

  void read_correlation(DelayLaw& law) {
    const ConfigNode* value = reader_.take("correlation");
    if (value == nullptr)
      return;
    const auto share = read_probability(*value, problems_);
    if (!free_)
      complain(value->mark, "correlation with order: keep",
               "order: free; with order: keep the field has correlation_time");
    else if (share == Threshold::always())
      complain(value->mark, "a correlation of 1: the delay never changes",
               "a correlation below 100%");
    else if (law_ == Law::kConstant)
      complain(value->mark, "correlation without jitter", "jitter: with its width");
    law.correlation = share.value_or(Threshold::never()).approximate();
  }

  std::optional<Quantile> read_quantile(bool has_table) {
    const ConfigNode* shape_node = reader_.take("shape");
    const ConfigNode* file = reader_.take("file");
    const ConfigNode* contents = reader_.take("contents");
    const std::string name(law_names()[static_cast<std::size_t>(law_)]);
    if (has_table && law_ != Law::kTable)
      complain((file != nullptr ? file : contents)->mark, "a file of a law that takes none",
               "distribution: table");
    if (shape_node != nullptr && !has_shape(law_))
      complain(shape_node->mark, name + " has no shape",
               "shape with gamma, lognormal, weibull or pareto");
    if (shape_node == nullptr && has_shape(law_)) {
      complain(node_.mark, name + " needs a shape", "shape: with its parameter");
      return std::nullopt;
    }
    if (has_shape(law_)) {
      const ShapeRange range = shape_range(law_);
      const auto shape = read_real(*shape_node, {range.minimum, range.maximum}, problems_);
      if (!shape)
        return std::nullopt;
      shape_ = *shape;
    }
    if (law_ != Law::kTable)
      return quantile_of(law_, shape_);
    if (contents != nullptr && contents->is_scalar()) {
      table_hash_ = hash_name(contents->text);
      return quantile_of_text(*contents, file != nullptr ? file->text : "contents", problems_);
    }
    if (file != nullptr)
      complain(file->mark, "the text of file " + describe(*file) + " did not come along",
               "contents: with the file's text");
    else
      complain(node_.mark, "a table needs a file", "file: with its name");
    return std::nullopt;
  }

  void read_spacing(const ConfigNode* node, DelayLaw& law) {
    const double jitter_ns = static_cast<double>(law.jitter.most());
    std::uint64_t spacing_ns =
        static_cast<std::uint64_t>(jitter_ns * default_spacing(law_, shape_));
    if (node != nullptr)
      spacing_ns = read_duration_ns(*node, {kGridAKnot, kDelayMaxNs}, problems_).value_or(0);
    law.grid_ns = std::max<std::uint64_t>(1, (spacing_ns + kGridAKnot / 2) / kGridAKnot);
    const FlowDelay most = most_of_flows(law);
    const std::uint64_t longest_ns = delay_with(law, most, law.gaussian->at(8)).delay_ns;
    const std::uint64_t range_ns =
        longest_ns - std::min(longest_ns, delay_with(law, most, law.gaussian->at(-8)).delay_ns);
    law.look_back = range_ns / law.grid_ns + 2;
    if (law.look_back > kLookBackMax)
      complain(node_.mark,
               fmt::format("the delay ranges over {}, {} times the field's grid",
                           format_duration(range_ns), law.look_back),
               "a smaller max, or a longer correlation_time");
    law.fingerprint = (law.fingerprint ^ law.grid_ns) * 0x100000001B3;
  }

  void throw_dice(DelayLaw& law) {
    const auto dice = [&](DicePurpose purpose) {
      return Dice(context_.seed, context_.rule_name, context_.index, purpose);
    };
    law.flow_dice = dice(DicePurpose::kFlow);
    law.draw_dice = dice(DicePurpose::kDelay);
    law.knot_dice = dice(DicePurpose::kKnot);
    law.fingerprint = table_hash_;
    for (const std::uint64_t word :
         {static_cast<std::uint64_t>(law.time.fixed_ns), law.time.scale_ns,
          static_cast<std::uint64_t>(law.jitter.fixed_ns), law.jitter.scale_ns, law.max_ns,
          static_cast<std::uint64_t>(law_), static_cast<std::uint64_t>(shape_ * 1'000'000)})
      law.fingerprint = (law.fingerprint ^ word) * 0x100000001B3;
  }

  const ConfigNode& node_;
  const CompileContext& context_;
  Problems& problems_;
  MappingReader reader_;
  const ConfigNode* distribution_ = nullptr;
  Law law_ = Law::kConstant;
  double shape_ = 0;
  std::uint64_t table_hash_ = 0;
  bool free_ = false;
  std::uint64_t own_ns_ = 0;  ///< is subtracted
};

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  if (node.is_mapping())
    return DelayReader(node, context, problems).read();
  const auto time_ns = read_duration_ns(node, {0, kDelayMaxNs}, problems);
  return time_ns ? std::optional(constant_delay(*time_ns)) : std::nullopt;
}

}  // namespace

std::optional<FlowTime> parse_drawn_time(std::string_view text) {
  const std::size_t open = text.find('(');
  if (open == std::string_view::npos || text.back() != ')')
    return std::nullopt;
  const std::string_view name = text.substr(0, open);
  std::string_view list = text.substr(open + 1, text.size() - open - 2);
  std::vector<std::uint64_t> times_ns;
  while (true) {
    std::string_view word = list.substr(0, list.find(','));
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    const auto time_ns = parse_duration_ns(word);
    if (!time_ns || *time_ns > kDelayMaxNs)
      return std::nullopt;
    times_ns.push_back(*time_ns);
    if (list.find(',') == std::string_view::npos)
      break;
    list.remove_prefix(list.find(',') + 1);
  }
  const auto drawn_around = [](std::uint64_t fixed_ns, std::uint64_t scale_ns, Law law) {
    return FlowTime{.fixed_ns = static_cast<std::int64_t>(fixed_ns),
                    .scale_ns = scale_ns,
                    .drawn = std::make_shared<const QuantileTable>(*quantile_of(law, 0))};
  };
  if (name == "uniform" && times_ns.size() == 2 && times_ns[0] <= times_ns[1])
    return drawn_around((times_ns[0] + times_ns[1]) / 2, (times_ns[1] - times_ns[0]) / 2,
                        Law::kUniform);
  if (name == "normal" && times_ns.size() == 2)
    return drawn_around(times_ns[0], times_ns[1], Law::kNormal);
  if (name == "exponential" && times_ns.size() == 1)
    return drawn_around(0, times_ns[0], Law::kExponential);
  return std::nullopt;
}

extern const ImpairmentModel kModel_delay;
const ImpairmentModel kModel_delay{"delay", "", "", true, compile, true};

}  // namespace faultline
