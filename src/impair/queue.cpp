// queue: the bound of the stage before it. A packet that finds the queue full is dropped (tail
// drop). What lies in the queue is counted by that stage; here its keys are read.
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

std::optional<QueueLimit> read_limit(const ConfigNode& node, Problems& problems) {
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

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const auto limit = read_queue(node, problems);
  if (context.kind_before != "rate") {
    problems.push_back(problem_at(node.mark,
                                  "a queue shapes the stage before it, and there is none",
                                  "a rate right before the queue"));
    return std::nullopt;
  }
  if (!limit)
    return std::nullopt;
  return CompiledImpairment{};
}

}  // namespace

std::optional<QueueLimit> read_queue(const ConfigNode& node, Problems& problems) {
  const std::size_t problems_before = problems.size();
  std::optional<QueueLimit> limit;
  MappingReader reader(node, "queue", problems);
  reader.refuse_not_yet({"ecn", "target", "interval"});
  if (const ConfigNode* value = reader.take("discipline")) {
    const auto word = read_word(*value, {"tail", "head", "red", "codel", "pie"}, problems);
    if (word && *word > 0)
      problems.push_back(problem_at(
          value->mark, "discipline " + describe(*value) + " is not yet supported", "tail"));
  }
  if (const ConfigNode* value = reader.require("limit"))
    limit = read_limit(*value, problems);
  reader.finish();
  return problems.size() == problems_before ? limit : std::nullopt;
}

extern const ImpairmentModel kModel_queue;
const ImpairmentModel kModel_queue{"queue", "", "", true, compile};

}  // namespace faultline
