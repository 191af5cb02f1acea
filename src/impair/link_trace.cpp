// link_trace: a link whose capacity was recorded: a file of delivery opportunities, a line each, in
// ms since time zero (the format of Mahimahi; Netravali et al., USENIX ATC 2015). An opportunity
// carries 1,500 bytes: the rest of the packet that is being sent, and then of the next ones that
// have come by its instant. A packet leaves with its last byte; what an opportunity has left over
// is lost.
#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "impair/queued_stage.hpp"

namespace faultline {
namespace {

constexpr std::uint32_t kOpportunityBytes = 1'500;
constexpr std::size_t kLinesMax = 1'000'000;

struct LinkTrace {
  std::vector<std::uint64_t> times_ns;  ///< ascending; the last one is the file's length
  bool loop = true;
};

struct TraceServer {
  const LinkTrace* trace = nullptr;

  struct Clock {
    std::uint64_t next = 0;  ///< number of the opportunity in use, plus one; 0: none yet
    std::uint32_t left = 0;  ///< bytes that it has left
    std::uint32_t spare = 0;
  };

  /// When opportunity `number` is; UINT64_MAX behind the end.
  std::uint64_t time_ns(std::uint64_t number, std::uint64_t zero_ns) const noexcept {
    const std::uint64_t lines = trace->times_ns.size();
    if (!trace->loop && number >= lines)
      return UINT64_MAX;
    return zero_ns + number / lines * trace->times_ns.back() + trace->times_ns[number % lines];
  }
  /// The first opportunity at or after `at_ns`.
  std::uint64_t first_from(std::uint64_t at_ns, std::uint64_t zero_ns) const noexcept {
    const std::uint64_t since_ns = at_ns > zero_ns ? at_ns - zero_ns : 0;
    const std::uint64_t period_ns = trace->times_ns.back();
    // A cycle's opportunities reach up to and including the beginning of the next.
    const std::uint64_t cycle =
        trace->loop && since_ns > 0 ? (since_ns - 1) / period_ns : std::uint64_t{0};
    const auto found = std::lower_bound(trace->times_ns.begin(), trace->times_ns.end(),
                                        since_ns - cycle * period_ns);
    return cycle * trace->times_ns.size() +
           static_cast<std::uint64_t>(found - trace->times_ns.begin());
  }

  std::uint64_t free_ns(const Clock& clock, std::uint64_t zero_ns) const noexcept {
    if (clock.next == 0)
      return 0;
    return time_ns(clock.left > 0 ? clock.next - 1 : clock.next, zero_ns);
  }
  std::uint64_t delay_ns(const Clock& clock, std::uint64_t instant_ns,
                         std::uint64_t zero_ns) const noexcept {
    const std::uint64_t last_ns = clock.next == 0 ? 0 : time_ns(clock.next - 1, zero_ns);
    return last_ns > instant_ns ? last_ns - instant_ns : 0;
  }
  std::uint64_t serve(Clock& clock, std::uint64_t ready_ns, std::uint32_t frame_bytes,
                      std::uint64_t zero_ns) const noexcept {
    std::uint64_t number = clock.next;
    std::uint32_t left = 0;
    if (clock.next != 0 && clock.left > 0 && time_ns(clock.next - 1, zero_ns) >= ready_ns) {
      number = clock.next - 1;
      left = clock.left;
    } else {
      number = std::max(number, first_from(ready_ns, zero_ns));
      left = kOpportunityBytes;
    }
    const std::uint32_t more = frame_bytes > left ? frame_bytes - left : 0;
    const std::uint32_t further = (more + kOpportunityBytes - 1) / kOpportunityBytes;
    number += further;
    clock.next = number + 1;
    clock.left = further == 0 ? left - frame_bytes : further * kOpportunityBytes - more;
    return time_ns(number, zero_ns);
  }
  double packet_ns() const noexcept {
    return static_cast<double>(trace->times_ns.back()) /
           static_cast<double>(trace->times_ns.size());
  }
};

/// Reads a trace: whole ms, a line each, that do not fall.
class TraceText {
 public:
  TraceText(const ConfigNode& contents, std::string_view name, Problems& problems)
      : contents_(contents), name_(name), problems_(problems) {}

  std::vector<std::uint64_t> read() {
    std::string_view text = contents_.text;
    for (std::size_t line = 1; !text.empty(); ++line) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      take(text.substr(0, end), line);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (wrong_)
        return {};
    }
    if (times_ns_.empty() || times_ns_.back() == 0)
      complain("a trace without an opportunity behind 0", "lines with times in whole ms");
    return times_ns_;
  }

 private:
  void take(std::string_view line, std::size_t number) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#')
      return;
    std::uint64_t time_ms = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), time_ms);
    const bool whole = error == std::errc{} && end == line.data() + line.size();
    if (!whole || time_ms > kDurationMaxNs / kNsPerMs)
      complain(fmt::format("line {}: found '{}'", number, line.substr(0, 40)),
               "a time in whole ms");
    else if (!times_ns_.empty() && time_ms * kNsPerMs < times_ns_.back())
      complain(fmt::format("line {}: a time that falls", number), "times that do not fall");
    else if (times_ns_.size() == kLinesMax)
      complain(fmt::format("more than {} lines", kLinesMax), "a shorter trace");
    else
      times_ns_.push_back(time_ms * kNsPerMs);
  }

  void complain(const std::string& found, std::string allowed) {
    problems_.push_back(
        problem_at(contents_.mark, fmt::format("trace {}: {}", name_, found), std::move(allowed)));
    wrong_ = true;
  }

  const ConfigNode& contents_;
  std::string_view name_;
  Problems& problems_;
  std::vector<std::uint64_t> times_ns_;
  bool wrong_ = false;
};

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  auto trace = std::make_shared<LinkTrace>();
  MappingReader reader(node, "link_trace", problems);
  const ConfigNode* file = reader.require("file");
  const ConfigNode* contents = reader.take("contents");
  if (const ConfigNode* value = reader.take("loop"))
    trace->loop = read_bool(*value, problems).value_or(true);
  reader.finish();
  if (file != nullptr && (contents == nullptr || !contents->is_scalar()))
    problems.push_back(problem_at(file->mark,
                                  "the text of file " + describe(*file) + " did not come along",
                                  "contents: with the file's text"));
  else if (contents != nullptr && file != nullptr)
    trace->times_ns = TraceText(*contents, file->text, problems).read();
  if (problems.size() != before)
    return std::nullopt;
  StageParameters<TraceServer> stage;
  stage.server.trace = trace.get();
  stage.queue = queue_behind(context);
  stage.dice = dice_for(context, DicePurpose::kFate);
  CompiledImpairment compiled = QueuedStage<TraceServer>::compiled(stage);
  const std::uint64_t most = stage.queue.limit.unit == QueueLimit::Unit::kPackets
                                 ? stage.queue.limit.value * 7
                                 : stage.queue.limit.value / kOpportunityBytes + 7;
  if (stage.queue.limit.unit == QueueLimit::Unit::kTime)
    compiled.adds_ns = stage.queue.limit.value + trace->times_ns.back();
  else if (stage.queue.limit.unit != QueueLimit::Unit::kNone)
    compiled.adds_ns = (most / trace->times_ns.size() + 1) * trace->times_ns.back();
  compiled.adds_ns = std::min(compiled.adds_ns, kStayMaxNs);
  compiled.tables = std::move(trace);
  return compiled;
}

}  // namespace

extern const ImpairmentModel kModel_link_trace;
const ImpairmentModel kModel_link_trace{"link_trace", "", "", true, compile};

}  // namespace faultline
