// Reading `capture:`.
#include "policy/capture_spec.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/units.hpp"
#include "policy/scenario.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kLimitMax = std::uint64_t{1} << 44;
constexpr std::uint64_t kFilesMax = 10'000;

void read_points(const ConfigNode* node, CaptureSpec& spec, Problems& problems) {
  if (node == nullptr) {
    spec.points.fill(true);
    return;
  }
  if (!node->is_sequence() || node->items.empty()) {
    problems.push_back(problem_at(
        node->mark, "points is " + (node->is_sequence() ? "an empty list" : describe(*node)),
        "a list of before, after, drops"));
    spec.points.fill(true);
    return;
  }
  for (const ConfigNode& item : node->items)
    spec.points[read_word(item, {"before", "after", "drops"}, problems).value_or(0)] = true;
}

/// How long a packet is recorded, and how much room there is.
void read_sizes(MappingReader& reader, CaptureSpec& spec, Problems& problems) {
  if (const ConfigNode* value = reader.take("snaplen"))
    spec.snap_bytes =
        static_cast<std::uint32_t>(read_size_bytes(*value, {14, 65'535}, problems).value_or(14));
  if (const ConfigNode* value = reader.take("files"))
    spec.files =
        static_cast<std::uint32_t>(read_count(*value, {1, kFilesMax}, problems).value_or(1));
  const ConfigNode* limit = reader.take("limit");
  if (limit != nullptr)
    spec.limit_bytes =
        read_size_bytes(*limit, {kCaptureFileBytesMin, kLimitMax}, problems).value_or(kLimitMax);
  if (spec.file_bytes() < kCaptureFileBytesMin)
    problems.push_back(
        problem_at(limit != nullptr ? limit->mark : reader.node().mark,
                   fmt::format("a limit of {} bytes for {} files", spec.limit_bytes,
                               spec.files_at_all_points()),
                   fmt::format("at least {} bytes for each, {} together", kCaptureFileBytesMin,
                               kCaptureFileBytesMin * spec.files_at_all_points())));
}

CaptureSpec read_capture(const ConfigNode& node, const Scenario& scenario, Problems& problems) {
  CaptureSpec spec;
  spec.mark = node.mark;
  MappingReader reader(node, "capture", problems);
  if (const ConfigNode* rule = reader.take("rule"))
    if (const auto index = find_rule_named(*rule, scenario, problems))
      spec.rule = scenario.rules[*index].name;
  // Of a rule that is not known the trouble has been told.
  spec.name = reader.has("rule") ? reader.take("rule")->text : "all";
  if (const ConfigNode* name = reader.take("name"))
    spec.name = read_name(*name, problems).value_or("");
  read_points(reader.take("points"), spec, problems);
  read_sizes(reader, spec, problems);
  reader.finish();
  if (std::ranges::find(scenario.captures, spec.name, &CaptureSpec::name) !=
      scenario.captures.end())
    problems.push_back(problem_at(node.mark, "a second capture with the name '" + spec.name + "'",
                                  "a name of its own, such as name: " + spec.name + "-2"));
  return spec;
}

}  // namespace

std::uint64_t CaptureSpec::files_at_all_points() const {
  return static_cast<std::uint64_t>(std::ranges::count(points, true)) * files;
}

std::uint64_t CaptureSpec::file_bytes() const {
  return limit_bytes / std::max<std::uint64_t>(files_at_all_points(), 1);
}

bool CaptureSpec::asks_as(const CaptureSpec& other) const {
  return name == other.name && rule == other.rule && points == other.points &&
         snap_bytes == other.snap_bytes && limit_bytes == other.limit_bytes && files == other.files;
}

void read_captures(const ConfigNode& node, Scenario& scenario, Problems& problems) {
  if (!node.is_sequence() || node.items.size() > kCapturesMax) {
    problems.push_back(problem_at(
        node.mark, node.is_sequence() ? "more than 16 captures" : "capture is " + describe(node),
        "a list of at most 16, each {rule: NAME, points: [before, after, drops]}"));
    return;
  }
  for (const ConfigNode& item : node.items)
    scenario.captures.push_back(read_capture(item, scenario, problems));
}

}  // namespace faultline
