// delay by `trace`: a delay that follows rows of time and delay, in steps or linear in between,
// once or over and over. Order is kept: a packet is released at R(t) = sup over s ≤ t of s + d(s),
// which differs from t + d(t) only where the delay falls faster than time runs.
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "impair/delay_law.hpp"

namespace faultline {
namespace {

struct Row {
  std::uint64_t time_ns = 0;
  std::uint64_t delay_ns = 0;
  std::uint64_t release_ns = 0;  ///< R just at this row, from the rows before it in the period
};

struct Trace {
  std::vector<Row> rows;
  std::uint64_t period_ns =
      0;  ///< each row holds until the next, the last as long as the one before
  std::uint64_t latest_ns = 0;  ///< the latest release of a whole period
  std::uint64_t fingerprint = 0;
  std::uint64_t own_ns = 0;  ///< each delay is shorter by this
  bool linear = false;
  bool loop = false;
};

/// t + d(t) within the period, from the row at or before t.
std::uint64_t own_ns(const Trace& trace, std::size_t index, std::uint64_t time_ns) noexcept {
  const Row& row = trace.rows[index];
  if (!trace.linear || index + 1 == trace.rows.size())
    return time_ns + row.delay_ns;
  const Row& next = trace.rows[index + 1];
  const auto rise = static_cast<Int128>(next.delay_ns) - static_cast<Int128>(row.delay_ns);
  const Int128 into = static_cast<Int128>(time_ns - row.time_ns);
  const Int128 whole = static_cast<Int128>(next.time_ns - row.time_ns);
  return time_ns +
         static_cast<std::uint64_t>(static_cast<Int128>(row.delay_ns) + rise * into / whole);
}

/// R(t), t since time zero.
std::uint64_t release_ns(const Trace& trace, std::uint64_t since_zero_ns) noexcept {
  const bool again = trace.loop && since_zero_ns >= trace.period_ns;
  const std::uint64_t round_ns = trace.loop ? since_zero_ns / trace.period_ns * trace.period_ns : 0;
  const std::uint64_t time_ns = since_zero_ns - round_ns;
  const auto after = std::ranges::upper_bound(trace.rows, time_ns, {}, &Row::time_ns);
  const std::size_t index =
      after == trace.rows.begin() ? 0 : static_cast<std::size_t>(after - trace.rows.begin()) - 1;
  std::uint64_t latest_ns = std::max(trace.rows[index].release_ns, own_ns(trace, index, time_ns));
  if (after == trace.rows.begin())  // before the first row its delay holds
    latest_ns = time_ns + trace.rows.front().delay_ns;
  if (again && trace.latest_ns > trace.period_ns)
    latest_ns = std::max(latest_ns, trace.latest_ns - trace.period_ns);
  return round_ns + latest_ns;
}

/// R at each row, and at the end of a period.
void lay_releases(Trace& trace) {
  std::uint64_t latest_ns = 0;
  for (std::size_t index = 0; index < trace.rows.size(); ++index) {
    Row& row = trace.rows[index];
    // The row before held until just now.
    if (index > 0 && !trace.linear)
      latest_ns = std::max(latest_ns, row.time_ns + trace.rows[index - 1].delay_ns);
    latest_ns = std::max(latest_ns, row.time_ns + row.delay_ns);
    row.release_ns = latest_ns;
  }
  trace.latest_ns = std::max(latest_ns, trace.period_ns + trace.rows.back().delay_ns);
}

const Trace& trace_of(const Parameters& parameters) noexcept {
  return *parameters.as<const Trace*>();
}

/// Why it is a template: a trace that nothing is subtracted from pays nothing for that.
enum class Compensates : bool { kNo, kYes };

template <Compensates kCompensates>
void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally& tally) noexcept {
  const Trace& trace = trace_of(parameters);
  for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
    DelayFloor& floor = asked.state[selection.position[first]]->as<DelayFloor>();
    floor.meet(trace.fingerprint);
    for (std::uint32_t turn = first; turn < end; ++turn) {
      const std::uint8_t i = selection.position[turn];
      std::uint64_t wanted_ns = asked.zero_ns + release_ns(trace, burst.time_ns[i] - asked.zero_ns);
      // The supremum of s + max(d(s) − own, 0) over s ≤ t is max(R(t) − own, t).
      if constexpr (kCompensates == Compensates::kYes)
        wanted_ns = std::max(wanted_ns, burst.time_ns[i] + trace.own_ns) - trace.own_ns;
      const std::uint64_t given_ns = floor.give(wanted_ns);
      tally.clamped += given_ns > wanted_ns ? 1 : 0;
      burst.time_ns[i] = given_ns;
    }
  });
}

/// Rows `time,delay` in whole µs, times ascending; a first line of names is skipped.
class TraceText {
 public:
  TraceText(const ConfigNode& contents, std::string_view name, Problems& problems)
      : contents_(contents), name_(name), problems_(problems) {}

  std::vector<Row> read() {
    std::string_view text = contents_.text;
    for (line_ = 1; !text.empty(); ++line_) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, std::min(end, text.find('#')));
      while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
      if (!line.empty())
        read_line(line);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    if (rows_.size() < 2)
      complain(fmt::format("{} rows", rows_.size()), "at least two rows of time,delay in us");
    return rows_;
  }

 private:
  void complain(const std::string& found, std::string allowed) {
    problems_.push_back(
        problem_at(contents_.mark, fmt::format("{}: {}", name_, found), std::move(allowed)));
  }

  static bool number(std::string_view word, std::uint64_t& value) {
    while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    return error == std::errc{} && end == word.data() + word.size();
  }

  void read_line(std::string_view line) {
    const std::size_t comma = line.find(',');
    std::uint64_t time_us = 0;
    std::uint64_t delay_us = 0;
    if (comma == std::string_view::npos || !number(line.substr(0, comma), time_us) ||
        !number(line.substr(comma + 1), delay_us)) {
      if (line_ > 1)
        complain(fmt::format("line {}: found {}", line_, in_quotes(line)),
                 "time,delay in whole us");
      return;
    }
    if (time_us > kDurationMaxNs / kNsPerUs || delay_us > kDelayMaxNs / kNsPerUs) {
      complain(fmt::format("line {}: out of range", line_), "a delay of at most 24h");
      return;
    }
    const Row row{time_us * kNsPerUs, delay_us * kNsPerUs, 0};
    if (!rows_.empty() && row.time_ns <= rows_.back().time_ns) {
      complain(fmt::format("line {}: a time that does not rise", line_), "ascending times");
      return;
    }
    rows_.push_back(row);
  }

  const ConfigNode& contents_;
  std::string_view name_;
  Problems& problems_;
  std::size_t line_ = 0;
  std::vector<Row> rows_;
};

}  // namespace

std::optional<CompiledImpairment> compile_trace_delay(const ConfigNode& node, MappingReader& reader,
                                                      std::uint64_t own_ns, Problems& problems) {
  const std::size_t problems_before = problems.size();
  auto trace = std::make_shared<Trace>();
  const ConfigNode* contents = reader.take("contents");
  if (const ConfigNode* value = reader.take("interpolate"))
    trace->linear = read_word(*value, {"step", "linear"}, problems) == 1U;
  if (const ConfigNode* value = reader.take("loop"))
    trace->loop = read_bool(*value, problems).value_or(false);
  if (contents == nullptr || !contents->is_scalar()) {
    problems.push_back(problem_at(node.mark,
                                  "the text of trace " + describe(node) + " did not come along",
                                  "contents: with the file's text"));
    return std::nullopt;
  }
  trace->rows = TraceText(*contents, node.is_scalar() ? node.text : "trace", problems).read();
  if (problems.size() != problems_before)
    return std::nullopt;
  const std::vector<Row>& rows = trace->rows;
  trace->period_ns = 2 * rows.back().time_ns - rows[rows.size() - 2].time_ns;
  lay_releases(*trace);
  trace->own_ns = own_ns;
  trace->fingerprint = hash_name(contents->text) ^ (trace->linear ? 1U : 0U) ^
                       (trace->loop ? 2U : 0U) ^ (own_ns << 2);
  const std::uint64_t longest_ns = std::ranges::max(rows, {}, &Row::delay_ns).delay_ns;
  CompiledImpairment compiled{
      .parameters = Parameters::from(static_cast<const Trace*>(trace.get())),
      .decide = own_ns == 0 ? decide<Compensates::kNo> : decide<Compensates::kYes>,
      .adds_ns = longest_ns - std::min(longest_ns, own_ns),
      .state_bytes = kDelayStateBytes,
      .delays = true};
  compiled.tables = std::move(trace);
  return compiled;
}

}  // namespace faultline
