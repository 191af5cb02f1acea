// The commands that ask a running daemon: apply, heal, status, stats.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "base/file.hpp"
#include "control/http_client.hpp"
#include "policy/compile.hpp"

namespace faultline {
namespace {

using Json = nlohmann::ordered_json;

/// The daemon's answer, or the exit status that says why there is none.
struct Answer {
  Exit exit = Exit::kDone;
  Json json;
};

Problems problems_from(const Json& json, const std::string& file) {
  Problems problems;
  if (!json.contains("errors"))
    return problems;
  for (const Json& error : json["errors"]) {
    Problem problem;
    problem.file = error.value("file", "") == "policy" ? file : error.value("file", "");
    problem.line = error.value("line", 0U);
    problem.column = error.value("column", 0U);
    problem.message = error.value("message", "");
    problem.allowed = error.value("allowed", "");
    problem.suggestion = error.value("suggestion", "");
    problems.push_back(std::move(problem));
  }
  return problems;
}

/// 400 and 422 mean that the scenario is wrong; every other refusal is the daemon's.
Answer refused(const HttpResponse& response, const std::string& file, OutputForm form) {
  const Json json = Json::parse(response.body, nullptr, false);
  const Problems problems = json.is_object() ? problems_from(json, file) : Problems{};
  const std::string detail = json.is_object() ? json.value("detail", "") : response.body;
  if (problems.empty())
    tell(fmt::format("the daemon answered {}: {}", response.status, detail), form);
  else
    tell(problems, form);
  const bool wrong = response.status == 400 || response.status == 422;
  return {wrong ? Exit::kWrong : Exit::kRefused, {}};
}

Answer ask(const DaemonOptions& options, HttpCall call, const std::string& file) {
  call.socket_path = options.socket;
  const HttpResult result = http_call(call);
  if (!result.connected) {
    const char* what =
        result.permission_denied ? "the daemon's socket may not be used" : "no daemon answers";
    tell(fmt::format("{} at {}: {}", what, options.socket, result.why_not), options.form);
    return {result.permission_denied ? Exit::kRefused : Exit::kNoDaemon, {}};
  }
  if (result.response.status >= 300)
    return refused(result.response, file, options.form);
  Json json = Json::parse(result.response.body, nullptr, false);
  if (json.is_discarded()) {
    tell("the daemon's answer is no JSON", options.form);
    return {Exit::kNoDaemon, {}};
  }
  return {Exit::kDone, std::move(json)};
}

HttpCall get(const char* path) {
  HttpCall call;
  call.method = "GET";
  call.path = path;
  return call;
}

/// Asks, and shows the answer: as JSON, or in the words of `show`.
template <typename Show>
Exit ask_and_show(const DaemonOptions& options, HttpCall call, const Show& show,
                  const std::string& file = {}) {
  const Answer answer = ask(options, std::move(call), file);
  if (answer.exit != Exit::kDone)
    return answer.exit;
  if (options.form == OutputForm::kJson)
    fmt::print("{}\n", answer.json.dump());
  else
    show(answer.json);
  return Exit::kDone;
}

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

std::string duration_text(std::uint64_t duration_ns) {
  return fmt::format("{:.3f} ms", static_cast<double>(duration_ns) / 1e6);
}

void print_stats(const Json& stats) {
  fmt::print("{:<12}{:>14}{:>14}{:>12}{:>10}{:>10}\n", "port", "received", "sent", "rx missed",
             "tx full", "tx error");
  for (const auto& [name, port] : stats["ports"].items())
    fmt::print("{:<12}{:>14}{:>14}{:>12}{:>10}{:>10}\n", name,
               port["rx_packets"].get<std::uint64_t>(), port["tx_packets"].get<std::uint64_t>(),
               port["rx_missed"].get<std::uint64_t>(), port["tx_full"].get<std::uint64_t>(),
               port["tx_errors"].get<std::uint64_t>());
  fmt::print("\n{:<20}{:>12}{:>12}{:>12}{:>10}{:>10}{:>16}\n", "rule", "matched", "dropped",
             "delayed", "loss", "mean run", "mean delay");
  for (const auto& [name, rule] : stats["rules"].items())
    fmt::print("{:<20}{:>12}{:>12}{:>12}{:>9.3f}%{:>10.2f}{:>16}\n", name,
               rule["matched"].get<std::uint64_t>(), rule["dropped"].get<std::uint64_t>(),
               rule["delayed"].get<std::uint64_t>(), 100.0 * rule["loss"]["rate"].get<double>(),
               rule["loss"]["mean_run"].get<double>(),
               duration_text(rule["delay"]["mean_ns"].get<std::uint64_t>()));
  const Json& ledger = stats["ledger"];
  fmt::print("\nledger: received {} + copies {} + injected {} = sent {} + held {}",
             ledger["received"].get<std::uint64_t>(), ledger["copies"].get<std::uint64_t>(),
             ledger["injected"].get<std::uint64_t>(), ledger["sent"].get<std::uint64_t>(),
             ledger["held"].get<std::uint64_t>());
  for (const auto& [reason, count] : ledger["dropped"].items())
    if (count.get<std::uint64_t>() > 0)
      fmt::print(" + {} {}", reason, count.get<std::uint64_t>());
  fmt::print("   ({})\n", ledger["balanced"].get<bool>() ? "balanced" : "NOT BALANCED");
}

/// Mistakes are told here first, with the file's own lines and without a daemon.
Exit check_here(const Result<Scenario>& scenario, OutputForm form) {
  if (!scenario) {
    tell(scenario.error(), form);
    return Exit::kWrong;
  }
  PolicySlots slots(scenario->ports.size());
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
  HttpCall call;
  call.method = "PUT";
  call.path = "/v1/policy";
  call.body = inlined.files > 0 ? to_yaml(inlined.tree) : text.text;
  call.content_type = "application/yaml";
  const auto applied = [](const Json& answer) {
    fmt::print(stderr, "applied: generation {}, seed {}\n",
               answer["generation"].get<std::uint64_t>(), answer["seed"].get<std::uint64_t>());
  };
  return ask_and_show(options, std::move(call), applied, file);
}

Exit run_heal(const DaemonOptions& options, const std::string& held) {
  HttpCall call;
  call.method = "POST";
  call.path = "/v1/heal";
  call.body = Json{{"held", held}}.dump();
  call.content_type = "application/json";
  return ask_and_show(options, std::move(call), [](const Json& answer) {
    fmt::print(stderr, "healed: generation {}\n", answer["generation"].get<std::uint64_t>());
  });
}

Exit run_status(const DaemonOptions& options) {
  return ask_and_show(options, get("/v1/status"), print_status);
}

Exit run_stats(const DaemonOptions& options) {
  return ask_and_show(options, get("/v1/stats"), print_stats);
}

}  // namespace faultline
