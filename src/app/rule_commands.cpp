// The commands about rules: rules, and rule add, set, enable, disable, remove.
#include <utility>

#include "app/daemon_client.hpp"
#include "base/config.hpp"

namespace faultline {
namespace {

std::string place_of(const std::string& name) {
  return "/v1/rules/" + url_part(name);
}

/// "KEY=VALUE", the value in YAML, into the body. `impair` may be one impairment instead of a list.
/// Problems are told by the word they are in.
void take_key(const std::string& word, ConfigNode& body, Problems& problems) {
  const Mark mark{intern_file_name("'" + word + "'"), 0, 0};
  const std::size_t equals = word.find('=');
  if (equals == 0 || equals == std::string::npos) {
    problems.push_back(
        problem_at(mark, "is no KEY=VALUE", "for example ttl=30s or impair='delay: 20ms'"));
    return;
  }
  Result<ConfigNode> value = parse_config(word.substr(equals + 1), mark.file);
  if (!value) {
    problems.insert(problems.end(), value.error().begin(), value.error().end());
    return;
  }
  const std::string key = word.substr(0, equals);
  if (key == "impair" && !value->is_sequence()) {
    ConfigNode list;
    list.kind = ConfigNode::Kind::kSequence;
    list.mark = value->mark;
    list.items.push_back(std::move(*value));
    body.set(key, std::move(list));
    return;
  }
  body.set(key, std::move(*value));
}

/// The body of a change; nothing when a word is wrong, which is told.
std::optional<std::string> body_of(const RuleOptions& options, const DaemonOptions& daemon) {
  ConfigNode body;
  body.kind = ConfigNode::Kind::kMapping;
  Problems problems;
  for (const std::string& word : options.keys) take_key(word, body, problems);
  if (problems.empty())
    return to_yaml(body);
  tell(problems, daemon.form);
  return std::nullopt;
}

void print_change(const Json& answer) {
  fmt::print(stderr, "generation {}\n", answer["generation"].get<std::uint64_t>());
}

std::string state_of(const Json& rule) {
  if (rule["active"].get<bool>())
    return "active";
  return rule["enabled"].get<bool>() ? "ended" : "off";
}

void print_rules(const Json& rules, std::uint64_t uptime_ns) {
  fmt::print("{:<20}{:>8}{:>12}{:>12}{:>12}{:>12}  {}\n", "rule", "state", "ends in", "matched",
             "dropped", "delayed", "impairments");
  for (const Json& rule : rules["rules"]) {
    std::string ends = "-";
    if (rule["active"].get<bool>() && !rule["expires_ns"].is_null())
      ends = fmt::format(
          "{:.0f} s",
          static_cast<double>(rule["expires_ns"].get<std::uint64_t>() -
                              std::min(uptime_ns, rule["expires_ns"].get<std::uint64_t>())) /
              1e9);
    fmt::print("{:<20}{:>8}{:>12}{:>12}{:>12}{:>12}  {}\n", rule["name"].get<std::string>(),
               state_of(rule), ends, rule["matched"].get<std::uint64_t>(),
               rule["dropped"].get<std::uint64_t>(), rule["delayed"].get<std::uint64_t>(),
               rule.contains("impair") ? rule["impair"].dump() : "on the timeline");
  }
}

}  // namespace

Exit run_rules(const DaemonOptions& options) {
  const Answer rules = ask_daemon(options, call_for("GET", "/v1/rules"));
  if (rules.exit != Exit::kDone)
    return rules.exit;
  if (options.form == OutputForm::kJson) {
    fmt::print("{}\n", rules.json.dump());
    return Exit::kDone;
  }
  const Answer status = ask_daemon(options, call_for("GET", "/v1/status"));
  if (status.exit == Exit::kDone)
    print_rules(rules.json, status.json["uptime_ns"].get<std::uint64_t>());
  return status.exit;
}

Exit run_rule_add(const DaemonOptions& daemon, const RuleOptions& options) {
  const std::optional<std::string> body = body_of(options, daemon);
  if (!body)
    return Exit::kUsage;
  HttpCall look = call_for("GET", place_of(options.name));
  look.socket_path = daemon.socket;
  const HttpResult there = http_call(look);
  if (!there.connected)
    return tell_refusal(daemon, there, {});
  if (there.response.status == 200) {
    tell("rule '" + options.name + "' exists; rule set changes it", daemon.form);
    return Exit::kRefused;
  }
  return ask_and_show(daemon, call_with("PUT", place_of(options.name), *body), print_change);
}

Exit run_rule_set(const DaemonOptions& daemon, const RuleOptions& options) {
  const std::optional<std::string> body = body_of(options, daemon);
  if (!body)
    return Exit::kUsage;
  return ask_and_show(daemon, call_with("PATCH", place_of(options.name), *body), print_change);
}

Exit run_rule_enable(const DaemonOptions& daemon, const RuleOptions& options) {
  std::string body = "enabled: true\n";
  if (!options.ttl.empty())
    body += "ttl: " + options.ttl + "\n";
  return ask_and_show(daemon, call_with("PATCH", place_of(options.name), body), print_change);
}

Exit run_rule_disable(const DaemonOptions& daemon, const RuleOptions& options) {
  return ask_and_show(daemon, call_with("PATCH", place_of(options.name), "enabled: false\n"),
                      print_change);
}

Exit run_rule_remove(const DaemonOptions& daemon, const RuleOptions& options) {
  return ask_and_show(daemon, call_for("DELETE", place_of(options.name)), print_change);
}

namespace {

/// The first word of what a command prints; nothing where it fails, which is told.
std::optional<std::string> word_of(const std::string& command, const DaemonOptions& daemon) {
  std::FILE* output = popen(command.c_str(), "re");
  if (output == nullptr) {
    tell("--command cannot be run", daemon.form);
    return std::nullopt;
  }
  char text[256] = {};
  const std::size_t length = std::fread(text, 1, sizeof text - 1, output);
  const int status = pclose(output);
  const std::string_view said(text, length);
  const std::string word(said.substr(0, said.find_first_of(" \t\r\n")));
  if (status == 0 && !word.empty())
    return word;
  tell(fmt::format("--command {}", status == 0 ? "printed no node" : "failed"), daemon.form);
  return std::nullopt;
}

}  // namespace

Exit run_partition(const DaemonOptions& daemon, const PartitionOptions& options) {
  if (options.heal)
    return ask_and_show(daemon, call_for("DELETE", "/v1/partition"), print_change);
  RuleOptions words;
  if (!options.shape.empty())
    words.keys.push_back("shape=" + options.shape);
  for (const auto& [key, value] : options.keys) words.keys.push_back(key + "=" + value);
  if (!options.command.empty()) {
    const auto node = word_of(options.command, daemon);
    if (!node)
      return Exit::kUsage;
    words.keys.push_back("node=" + *node);
  }
  const std::optional<std::string> body = body_of(words, daemon);
  if (!body)
    return Exit::kUsage;
  return ask_and_show(daemon, call_with("PUT", "/v1/partition", *body), print_change);
}

}  // namespace faultline
