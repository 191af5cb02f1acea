// The commands that ask a running daemon: apply, heal, status.
#include "app/daemon_client.hpp"
#include "app/show.hpp"
#include "base/file.hpp"
#include "policy/compile.hpp"

namespace faultline {
namespace {

void print_status(const Json& status) {
  fmt::print("{}: generation {}, seed {}, up {:.1f} s, {} packets lost by faultline itself\n",
             status["state"].get<std::string>(), status["generation"].get<std::uint64_t>(),
             status["seed"].get<std::uint64_t>(),
             static_cast<double>(status["uptime_ns"].get<std::uint64_t>()) / 1e9,
             status["own_drops"].get<std::uint64_t>());
  for (const Json& worker : status["workers"])
    fmt::print("worker on core {}: {:.0f} % busy{}\n", worker["core"].get<unsigned>(),
               100.0 * worker["busy"].get<double>(),
               worker["stalled"].get<bool>() ? ", STALLED" : "");
}

/// Mistakes are told here first, with the file's own lines and without a daemon.
Exit check_here(const Result<Scenario>& scenario, OutputForm form) {
  if (!scenario) {
    tell(scenario.error(), form);
    return Exit::kWrong;
  }
  PolicySlots slots(scenario->path_count());
  if (const auto policy = compile_policy(*scenario, {}, slots); !policy) {
    tell(policy.error(), form);
    return Exit::kWrong;
  }
  return Exit::kDone;
}

}  // namespace

Exit run_apply(const DaemonOptions& options, const std::string& file) {
  const FileText text = read_file(file, kConfigBytesMax);
  if (!text.readable) {
    tell(Problems{problem_at({file, 0, 0}, "cannot be read: " + text.why)}, options.form);
    return Exit::kUnusable;
  }
  const InlinedScenario inlined = read_inlined(text.text, file, ScenarioUse::kLive);
  if (!inlined.unreadable.empty()) {
    tell(inlined.unreadable, options.form);
    return Exit::kWrong;
  }
  // A file that names no ports takes the daemon's, so only the daemon can judge it.
  const bool judged_there = inlined.tree.is_mapping() && inlined.tree.find("ports") == nullptr;
  if (const Exit exit = judged_there ? Exit::kDone : check_here(inlined.scenario, options.form);
      exit != Exit::kDone)
    return exit;
  HttpCall call =
      call_with("PUT", "/v1/policy", inlined.is_changed ? to_yaml(inlined.tree) : text.text);
  const auto applied = [](const Json& answer) {
    fmt::print(stderr, "applied: generation {}, seed {}\n",
               answer["generation"].get<std::uint64_t>(), answer["seed"].get<std::uint64_t>());
  };
  return ask_and_show(options, std::move(call), applied, file);
}

Exit run_heal(const DaemonOptions& options, const std::string& held) {
  return ask_and_show(
      options, call_with("POST", "/v1/heal", "held: " + held), [](const Json& answer) {
        fmt::print(stderr, "healed: generation {}\n", answer["generation"].get<std::uint64_t>());
      });
}

Exit run_status(const DaemonOptions& options) {
  return ask_and_show(options, call_for("GET", "/v1/status"), print_status);
}

}  // namespace faultline
