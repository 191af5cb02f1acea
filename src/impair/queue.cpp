// queue: the bound of the stage before it, and the law by which it drops. What lies in the queue is
// counted by that stage (queued_stage.hpp); here its keys are read.
#include "impair/queue.hpp"

#include "base/units.hpp"
#include "impair/impairment.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kPacketsMax = 1U << 30;
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 40;
constexpr std::uint64_t kTimeMaxNs = 24 * 3600 * kNsPerSecond;
constexpr std::string_view kAllowed =
    "packets such as 100p, bytes such as 1MB or a time such as "
    "50ms";

}  // namespace

std::optional<QueueLimit> read_queue_limit(const ConfigNode& node, Problems& problems) {
  const auto refuse = [&](const std::string& found) {
    problems.push_back(problem_at(node.mark, found, std::string(kAllowed)));
    return std::nullopt;
  };
  if (!node.is_scalar())
    return refuse("found " + describe(node));
  const std::string_view text = node.text;
  QueueLimit limit;
  std::uint64_t maximum = 0;
  if (const auto packets =
          text.ends_with('p') ? parse_count(text.substr(0, text.size() - 1)) : std::nullopt) {
    limit = {QueueLimit::Unit::kPackets, *packets};
    maximum = kPacketsMax;
  } else if (const auto bytes = parse_size_bytes(text)) {
    limit = {QueueLimit::Unit::kBytes, *bytes};
    maximum = kBytesMax;
  } else if (const auto time_ns = text == "0" ? std::nullopt : parse_duration_ns(text)) {
    limit = {QueueLimit::Unit::kTime, *time_ns};
    maximum = kTimeMaxNs;
  } else {
    return refuse("found " + describe(node));
  }
  if (limit.value > maximum || (limit.value == 0 && limit.unit != QueueLimit::Unit::kTime))
    return refuse(describe(node) + " is out of range");
  return limit;
}

namespace {

bool is_stage(std::string_view kind) {
  return kind == "rate" || kind == "link_trace" || kind == "slot";
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const auto queue = read_queue(node, problems);
  if (!is_stage(context.kind_before)) {
    problems.push_back(problem_at(node.mark,
                                  "a queue shapes the stage before it, and there is none",
                                  "a rate, link_trace or slot right before the queue"));
    return std::nullopt;
  }
  if (queue && context.kind_before == "slot" && queue->discipline != Discipline::kTail) {
    problems.push_back(problem_at(node.find("discipline")->mark,
                                  "a discipline behind a slot, which serves many at once", "tail"));
    return std::nullopt;
  }
  if (!queue)
    return std::nullopt;
  return CompiledImpairment{};
}

/// Keys of one discipline; with another they are refused.
class DisciplineReader {
 public:
  DisciplineReader(MappingReader& reader, QueueSpec& queue, Problems& problems)
      : reader_(reader), queue_(queue), problems_(problems) {}

  void read(const QueueLimit& limit) {
    read_time("target", {Discipline::kCodel, Discipline::kPie}, queue_.target_ns,
              queue_.discipline == Discipline::kPie ? 15 * kNsPerMs : 5 * kNsPerMs);
    read_time("interval", {Discipline::kCodel}, queue_.interval_ns, 100 * kNsPerMs);
    if (const ConfigNode* value =
            take("ecn", {Discipline::kCodel, Discipline::kPie, Discipline::kRed}))
      queue_.ecn = read_bool(*value, problems_).value_or(false);
    if (queue_.discipline == Discipline::kPie)
      queue_.interval_ns = 15 * kNsPerMs;
    read_time("update", {Discipline::kPie}, queue_.interval_ns, queue_.interval_ns);
    read_time("burst", {Discipline::kPie}, queue_.burst_ns, 150 * kNsPerMs);
    read_number("alpha", Discipline::kPie, {0, 1'000}, queue_.least, 0.125);
    read_number("beta", Discipline::kPie, {0, 1'000}, queue_.most, 1.25);
    read_red(limit);
  }

 private:
  const ConfigNode* take(std::string_view key, std::initializer_list<Discipline> of) {
    const ConfigNode* value = reader_.take(key);
    for (const Discipline one : of)
      if (one == queue_.discipline)
        return value;
    if (value != nullptr)
      problems_.push_back(problem_at(value->mark,
                                     std::string(key) + ": is no key of this discipline",
                                     "limit and discipline, and what that discipline takes"));
    return nullptr;
  }

  void read_time(std::string_view key, std::initializer_list<Discipline> of, std::uint64_t& time_ns,
                 std::uint64_t otherwise) {
    const ConfigNode* value = take(key, of);
    bool mine = false;
    for (const Discipline one : of) mine |= one == queue_.discipline;
    if (value != nullptr)
      time_ns = read_duration_ns(*value, {1'000, kTimeMaxNs}, problems_).value_or(otherwise);
    else if (mine)
      time_ns = otherwise;
  }

  void read_number(std::string_view key, Discipline of, RealBounds bounds, double& number,
                   double otherwise) {
    const ConfigNode* value = take(key, {of});
    if (value != nullptr)
      number = read_real(*value, bounds, problems_).value_or(otherwise);
    else if (of == queue_.discipline)
      number = otherwise;
  }

  /// A threshold is written in the limit's unit.
  void read_threshold(std::string_view key, const QueueLimit& limit, double& threshold,
                      double otherwise) {
    const ConfigNode* value = take(key, {Discipline::kRed});
    if (queue_.discipline == Discipline::kRed)
      threshold = otherwise;
    if (value == nullptr)
      return;
    const auto read = read_queue_limit(*value, problems_);
    if (read && read->unit != limit.unit)
      problems_.push_back(problem_at(value->mark, "found " + describe(*value),
                                     "the unit of limit: packets or bytes"));
    threshold = read ? static_cast<double>(read->value) : otherwise;
  }

  void read_red(const QueueLimit& limit) {
    const auto most = static_cast<double>(limit.value);
    read_threshold("min", limit, queue_.least, most / 6);
    read_threshold("max", limit, queue_.most, most / 2);
    const ConfigNode* probability = take("probability", {Discipline::kRed});
    const bool red = queue_.discipline == Discipline::kRed;
    if (red)
      queue_.probability = 0.1;
    if (probability != nullptr)
      queue_.probability =
          read_probability(*probability, problems_).value_or(Threshold::never()).approximate();
    read_number("weight", Discipline::kRed, {1e-6, 1}, queue_.weight, 0.002);
    if (red && limit.unit == QueueLimit::Unit::kTime)
      problems_.push_back(problem_at(reader_.node().mark, "RED with a limit in time",
                                     "a limit in packets or bytes"));
    else if (red && queue_.least >= queue_.most)
      problems_.push_back(
          problem_at(reader_.node().mark, "RED: min is not below max", "min below max"));
  }

  MappingReader& reader_;
  QueueSpec& queue_;
  Problems& problems_;
};

}  // namespace

std::optional<QueueSpec> read_queue(const ConfigNode& node, Problems& problems) {
  const std::size_t problems_before = problems.size();
  QueueSpec queue;
  MappingReader reader(node, "queue", problems);
  if (const ConfigNode* value = reader.take("discipline"))
    if (const auto word = read_word(*value, {"tail", "head", "red", "codel", "pie"}, problems))
      queue.discipline = static_cast<Discipline>(*word);
  if (const ConfigNode* value = reader.require("limit"))
    queue.limit = read_queue_limit(*value, problems).value_or(QueueLimit{});
  DisciplineReader(reader, queue, problems).read(queue.limit);
  reader.finish();
  return problems.size() == problems_before ? std::optional(queue) : std::nullopt;
}

extern const ImpairmentModel kModel_queue;
const ImpairmentModel kModel_queue{"queue", "", "", true, compile};

}  // namespace faultline
