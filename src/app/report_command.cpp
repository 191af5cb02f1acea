// faultline report: a run folder as one HTML page.
#include <sys/stat.h>

#include <fstream>

#include <fmt/format.h>

#include "app/commands.hpp"
#include "control/version.hpp"
#include "report/asked.hpp"
#include "report/page.hpp"

namespace faultline {
namespace {

bool is_folder(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

/// A scenario that no longer compiles is no reason for no report: the page says so.
PageExtras extras_of(const std::string& folder) {
  PageExtras extras{.asked = nullptr, .lateness_bound = nullptr, .version = kVersion};
  if (!std::ifstream(folder + "/scenario.yaml"))
    return extras;
  const LoadedPolicies loaded =
      load_policies(folder + "/scenario.yaml", std::nullopt, OutputForm::kHuman);
  if (!loaded.scenario)
    return extras;
  extras.asked = asked_of(laws_of(*loaded.scenario, loaded.policies));
  extras.lateness_bound = lateness_bound_of(*loaded.scenario);
  return extras;
}

}  // namespace

Exit run_report(const ReportOptions& options) {
  if (!is_folder(options.folder)) {
    tell(Problems{problem_at({options.folder, 0, 0}, "is no folder", "a folder of faultline run")},
         OutputForm::kHuman);
    return Exit::kUnusable;
  }
  const RunRecord folder = read_run_record(options.folder);
  if (folder.is_empty()) {
    tell(Problems{problem_at({options.folder, 0, 0}, "has no file of a run",
                             "scenario.yaml, stats.json, series.jsonl, …")},
         OutputForm::kHuman);
    return Exit::kUnusable;
  }
  for (const FolderFile& file : folder.files)
    if (!file.is_there || !file.trouble.empty())
      fmt::print(stderr, "faultline: warning: {}/{}: {}\n", options.folder, file.name,
                 file.is_there ? file.trouble : "is missing");
  const std::string path =
      options.output.empty() ? options.folder + "/report.html" : options.output;
  const std::string page = report_page(folder, extras_of(options.folder));
  if (path == "-") {
    fmt::print("{}", page);
    return std::fflush(stdout) == 0 ? Exit::kDone : Exit::kUnusable;
  }
  std::ofstream file(path, std::ios::binary);
  file << page;
  file.close();
  if (file)
    return Exit::kDone;
  tell(Problems{problem_at({path, 0, 0}, "cannot be written")}, OutputForm::kHuman);
  return Exit::kUnusable;
}

}  // namespace faultline
