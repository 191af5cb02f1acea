// faultline diff: one capture against another, in words or JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "record/capture_diff.hpp"

namespace faultline {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const CaptureComparison& result) {
  Json differences = Json::array();
  for (const CaptureDifference& each : result.differences)
    differences.push_back({{"kind", difference_name(each.kind)},
                           {"first", each.first == 0 ? Json(nullptr) : Json(each.first)},
                           {"second", each.second == 0 ? Json(nullptr) : Json(each.second)},
                           {"flow", each.flow},
                           {"fields", each.fields}});
  return {{"packets", {result.first_packets, result.second_packets}},
          {"same", result.same},
          {"lost", result.lost},
          {"late",
           {{"packets", result.late.packets},
            {"min_ns", result.late.least_ns},
            {"p50_ns", result.late.p50_ns},
            {"p99_ns", result.late.p99_ns},
            {"max_ns", result.late.most_ns}}},
          {"doubled", result.doubled},
          {"overtaken", {{"packets", result.overtaken}, {"extent_max", result.extent_max}}},
          {"changed", {{"packets", result.changed}, {"fields", result.fields}}},
          {"new", result.made},
          {"differences", differences}};
}

void print(const CaptureComparison& result) {
  const auto share = [&](std::uint64_t packets) {
    return result.first_packets == 0
               ? 0.0
               : 100.0 * static_cast<double>(packets) / static_cast<double>(result.first_packets);
  };
  const auto ms = [](std::int64_t time_ns) { return static_cast<double>(time_ns) / 1e6; };
  fmt::print("{} packets went in, {} came out, {} of them as they were\n", result.first_packets,
             result.second_packets, result.same);
  fmt::print("lost       {:>9}  {:.3f} %\n", result.lost, share(result.lost));
  fmt::print(
      "late       {:>9}  {:.3f} ms at least, {:.3f} in the median, {:.3f} for 99 %, {:.3f} "
      "at most\n",
      result.late.packets, ms(result.late.least_ns), ms(result.late.p50_ns), ms(result.late.p99_ns),
      ms(result.late.most_ns));
  fmt::print("doubled    {:>9}  {:.3f} %\n", result.doubled, share(result.doubled));
  fmt::print("overtaken  {:>9}  {:.3f} %, at most {} places too late\n", result.overtaken,
             share(result.overtaken), result.extent_max);
  fmt::print("changed    {:>9}  {:.3f} %\n", result.changed, share(result.changed));
  for (const auto& [field, count] : result.fields) fmt::print("  {:<14} {}\n", field, count);
  fmt::print("new        {:>9}\n", result.made);
}

}  // namespace

Exit run_diff(const DiffOptions& options) {
  const Result<CaptureComparison> result = compare_captures(options.first, options.second);
  if (!result) {
    tell(result.error(), options.form);
    return Exit::kUnusable;
  }
  if (options.form == OutputForm::kJson)
    fmt::print("{}\n", to_json(*result).dump());
  else
    print(*result);
  return Exit::kDone;
}

}  // namespace faultline
