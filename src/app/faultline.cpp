// faultline: the command line. Options only; the commands are in commands.hpp.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <cstdlib>

#include "app/commands.hpp"
#include "app/probe.hpp"
#include "base/units.hpp"
#include "control/version.hpp"
#include "impair/burst.hpp"
#include "record/journal_line.hpp"

namespace faultline {
namespace {

constexpr const char* kSocketDefault = "/run/faultline/faultline.sock";

void add_json(CLI::App& command, OutputForm& form) {
  command.add_flag_callback(
      "-j,--json", [&form] { form = OutputForm::kJson; }, "JSON on stdout");
}

void add_seed(CLI::App& command, std::optional<std::uint64_t>& seed) {
  command
      .add_option_function<std::string>(
          "--seed",
          [&seed](const std::string& word) {
            seed = parse_count(word);
            if (!seed)
              throw CLI::ValidationError("--seed", word + " is no number from 0 to 2^64 - 1");
          },
          "wins over the scenario's")
      ->type_name("UINT64");
}

void add_left(CLI::App& command, std::vector<std::string>& left) {
  command
      .add_option("--left", left,
                  "CIDR or MAC: splits captures, these sources enter the first port")
      ->take_all()
      ->allow_extra_args(false);
}

struct Arguments {
  CheckOptions check;
  SimulateOptions simulate;
  ExplainOptions explain;
  DaemonOptions daemon;
  std::string apply_file;
  std::string held = "send";
  FollowOptions follow;
  TopOptions top;
  ReportOptions report;
  RuleOptions rule;
  PartitionOptions partition;
  PauseOptions pause;
  RunOptions run;
  ReplayOptions replay;
  DoctorOptions doctor;
  ProbeOptions probe;
  JournalOptions journal;
  DiffOptions diff;
  std::uint32_t limit = 40;
  std::string trigger;
  std::string preset;
  OutputForm preset_form = OutputForm::kHuman;
  std::string shell;
  Exit exit = Exit::kDone;
};

void add_offline_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* check = app.add_subcommand("check", "Say what is wrong with a scenario, and its needs");
  check->add_option("FILE", arguments.check.file, "the scenario")->required();
  add_json(*check, arguments.check.form);
  check->callback([&arguments] { arguments.exit = run_check(arguments.check); });

  SimulateOptions& options = arguments.simulate;
  CLI::App* simulate = app.add_subcommand(
      "simulate", "Run captures through a scenario in virtual time: the daemon's own data path");
  simulate->add_option("FILE", options.file, "the scenario")->required();
  simulate->add_option("--in", options.inputs, "[PORT=]CAPTURE (pcap or pcapng), once a port")
      ->required()
      ->take_all()
      ->allow_extra_args(false);
  add_left(*simulate, options.left);
  simulate->add_option("--out", options.output, "pcapng to write; - for stdout")->required();
  add_seed(*simulate, options.seed);
  simulate->add_option("--drops", options.drops, "pcapng of the packets that were dropped");
  simulate->add_option("--journal", options.journal,
                       "what rules did: one line of JSON each, or NAME.bin as the daemon writes");
  simulate->add_option("--captures", options.captures,
                       "folder for what the scenario's `capture:` asks for");
  simulate->add_option("--junit", options.junit, "the verdict as JUnit XML");
  simulate->add_option("--annotate", options.annotate, "which packets carry a comment")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Annotate>{
          {"none", Annotate::kNone}, {"touched", Annotate::kTouched}, {"all", Annotate::kAll}}));
  simulate->add_option("--burst", options.burst, "packets a worker takes at once")
      ->check(CLI::Range(1U, kBurstMax));
  simulate->add_option("--workers", options.workers, "workers to spread flows over")
      ->check(CLI::Range(1U, 16U));
  add_json(*simulate, options.form);
  simulate->callback([&arguments] { arguments.exit = run_simulate(arguments.simulate); });
}

void add_report(CLI::App& app, Arguments& arguments) {
  CLI::App* report =
      app.add_subcommand("report", "Make one HTML page of a run: asked against achieved");
  report->add_option("DIR", arguments.report.folder, "the folder of the run")->required();
  report->add_option("--out", arguments.report.output,
                     "the page; - for stdout; default DIR/report.html");
  report->callback([&arguments] { arguments.exit = run_report(arguments.report); });
}

void add_explain(CLI::App& app, Arguments& arguments) {
  ExplainOptions& options = arguments.explain;
  CLI::App* explain =
      app.add_subcommand("explain", "Say which rules match a packet, what they draw, and its fate");
  explain->add_option("FILE", options.file, "the scenario")->required();
  auto* from = explain->add_option_group("packets");
  from->add_option("--pcap", options.capture, "[PORT=]CAPTURE");
  from->add_option("--hex", options.hex, "one frame in hex digits, entering the first port");
  from->require_option(1);
  add_left(*explain, options.left);
  explain->add_option("--packet", options.packet, "only this one, counted from 1")
      ->check(CLI::Range(std::uint64_t{1}, UINT64_MAX));
  add_seed(*explain, options.seed);
  add_json(*explain, options.form);
  explain->callback([&arguments] { arguments.exit = run_explain(arguments.explain); });
}

void add_daemon_commands(CLI::App& app, Arguments& arguments) {
  const auto add = [&](const char* name, const char* help, auto run) {
    CLI::App* command = app.add_subcommand(name, help);
    add_json(*command, arguments.daemon.form);
    command->callback([&arguments, run] { arguments.exit = run(arguments); });
    return command;
  };
  add("apply", "Give the daemon a scenario's rules",
      [](const Arguments& each) { return run_apply(each.daemon, each.apply_file); })
      ->add_option("FILE", arguments.apply_file, "the scenario")
      ->required();
  add("plan", "Say what a scenario would change at the daemon",
      [](const Arguments& each) { return run_plan(each.daemon, each.apply_file); })
      ->add_option("FILE", arguments.apply_file, "the scenario")
      ->required();
  add("heal", "End every fault at once",
      [](const Arguments& each) { return run_heal(each.daemon, each.held); })
      ->add_option("--held", arguments.held, "what becomes of packets that wait")
      ->check(CLI::IsMember({"send", "keep", "drop"}));
  add("status", "Say how the daemon is",
      [](const Arguments& each) { return run_status(each.daemon); });
  CLI::App* stats = add("stats", "Show ports, rules and the ledger",
                        [](const Arguments& each) { return run_stats(each.daemon, each.follow); });
  stats->add_flag("-f,--follow", arguments.follow.follow, "rates, again and again");
  stats->add_option("--count", arguments.follow.count, "end after so many");
  stats->add_option_function<std::string>(
      "--interval",
      [&arguments](const std::string& word) {
        const auto interval_ns = parse_duration_ns(word);
        if (!interval_ns || *interval_ns < 10'000'000)
          throw CLI::ValidationError("--interval", word + " is no duration of 10ms or more");
        arguments.follow.interval_ns = *interval_ns;
      },
      "between them, default 1s");
  CLI::App* top = add("top", "Watch rates and faults, ten times a second",
                      [](const Arguments& each) { return run_top(each.daemon, each.top); });
  top->add_flag("--plain", arguments.top.plain, "a line a second, also on a terminal");
  top->add_option("--count", arguments.top.count, "end after so many lines");
  add("events", "Show what happened", [](const Arguments& each) {
    return run_events(each.daemon, each.follow);
  })->add_flag("-f,--follow", arguments.follow.follow, "and what happens, until ended");
  add("ports", "Show ports and their links",
      [](const Arguments& each) { return run_ports(each.daemon); });
  add("flows", "Show the flows with the most packets",
      [](const Arguments& each) { return run_flows(each.daemon, each.limit); })
      ->add_option("--limit", arguments.limit, "at most so many")
      ->check(CLI::Range(1U, 256U));
  add("rules", "Show all rules", [](const Arguments& each) { return run_rules(each.daemon); });
}

void add_rule_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* rule = app.add_subcommand("rule", "Add, change or remove one rule");
  rule->require_subcommand(1);
  using Run = Exit (*)(const DaemonOptions&, const RuleOptions&);
  const auto add = [&](const char* name, const char* help, Run run) {
    CLI::App* command = rule->add_subcommand(name, help);
    command->add_option("NAME", arguments.rule.name, "the rule's name")->required();
    add_json(*command, arguments.daemon.form);
    command->callback(
        [&arguments, run] { arguments.exit = run(arguments.daemon, arguments.rule); });
    return command;
  };
  add("add", "Add a rule behind the others", run_rule_add)
      ->add_option("KEY=VALUE", arguments.rule.keys,
                   "its keys, values in YAML: from=left impair='delay: 20ms' ttl=30s")
      ->required();
  add("set", "Change keys of a rule", run_rule_set)
      ->add_option("KEY=VALUE", arguments.rule.keys, "as for add")
      ->required();
  add("enable", "Enable a rule; its time starts anew", run_rule_enable)
      ->add_option("--ttl", arguments.rule.ttl, "until it ends by itself");
  add("disable", "Disable a rule; what is held keeps its time", run_rule_disable);
  add("remove", "Remove a rule", run_rule_remove);
}

void add_partition(CLI::App& app, Arguments& arguments) {
  PartitionOptions& options = arguments.partition;
  CLI::App* partition =
      app.add_subcommand("partition", "Cut links between nodes, all at one instant, or heal them");
  partition->add_option("SHAPE", options.shape,
                        "halves, random-halves, one, minority-third, bridge, majorities-ring, "
                        "one-way-in, one-way-out, primary, swizzle");
  const auto key = [&](const char* option, const char* name, const char* help) {
    partition->add_option_function<std::string>(
        option,
        [&options, name](const std::string& word) { options.keys.emplace_back(name, word); }, help);
  };
  key("--node", "node", "the node that the shape is about");
  key("--nodes", "nodes", "those that take part: '[n1, n2]'");
  key("--groups", "groups", "of halves: '[[n1], [n2, n3]]'");
  key("--grudge", "grudge", "instead of a shape, who does not hear whom: '{n1: [n2]}'");
  key("--tcp-acks", "tcp_acks", "drop, or pass: TCP without data goes through");
  key("--arp", "arp", "drop, or pass");
  key("--choice", "choice", "another number, other nodes");
  key("--count", "count", "of swizzle: how many nodes");
  key("--over", "over", "of swizzle: the time over which they stop");
  key("--stay", "stay", "of swizzle: for how long all of them stay so");
  key("--ttl", "ttl", "until it heals by itself");
  key("--lease", "lease", "until this lease ends");
  partition->add_option("--command", options.command,
                        "of primary: prints the name of the node, run by the shell as you");
  partition->add_flag("--heal", options.heal, "end the partition");
  add_json(*partition, arguments.daemon.form);
  partition->callback(
      [&arguments] { arguments.exit = run_partition(arguments.daemon, arguments.partition); });
}

/// A duration of 1 ms or more.
void add_duration(CLI::App& command, const char* option, std::uint64_t& time_ns, const char* help,
                  bool required) {
  command
      .add_option_function<std::string>(
          option,
          [option, &time_ns](const std::string& word) {
            const auto read = parse_duration_ns(word);
            if (!read || *read < 1'000'000)
              throw CLI::ValidationError(option, word + " is no duration of 1ms or more");
            time_ns = *read;
          },
          help)
      ->required(required);
}

void add_pause(CLI::App& app, Arguments& arguments) {
  PauseOptions& options = arguments.pause;
  CLI::App* pause = app.add_subcommand("pause", "Have a node stand still for a while");
  pause->add_option("NODE", options.node, "a node of the daemon's: paused on the wire");
  add_duration(*pause, "--for", options.lasts_ns, "how long", true);
  const auto key = [&](const char* option, const char* name, const char* help) {
    pause->add_option_function<std::string>(
        option,
        [&options, name](const std::string& word) { options.keys.emplace_back(name, word); }, help);
  };
  key("--kind", "kind", "link, or machine");
  key("--buffer", "buffer", "of each direction: 1000p or 1MB");
  key("--release", "release", "burst, drop, or 'paced 10Mbit'");
  pause->add_option("--command", options.command, "stops the real thing, run by the shell as you");
  pause->add_option("--resume", options.resume, "lets it go on: run whatever happens");
  add_duration(*pause, "--timeout", options.timeout_ns, "of each command, default 10s", false);
  add_json(*pause, arguments.daemon.form);
  pause->callback([&arguments] { arguments.exit = run_pause(arguments.daemon, arguments.pause); });
}

void add_run(CLI::App& app, Arguments& arguments) {
  RunOptions& options = arguments.run;
  CLI::App* run = app.add_subcommand(
      "run", "Run a scenario on the daemon: verdict, and a folder of what happened");
  run->add_option("FILE", options.file, "the scenario")->required();
  add_duration(*run, "--duration", options.duration_ns,
               "how long, default as long as the timeline or the command", false);
  run->add_option("--out", options.out, "the folder, default runs/NAME-TIME");
  run->add_option("--at", options.at, "time zero: 2026-11-30T12:00:00Z, or +5s from now");
  run->add_option("--command", options.command,
                  "the workload, run by the shell as you from time zero on");
  run->add_option("--junit", options.junit, "the verdict as JUnit XML");
  add_seed(*run, options.seed);
  add_duration(*run, "--interval", options.interval_ns, "between samples, default 100ms or more",
               false);
  run->add_flag("--force", options.force, "also where the preflight refuses");
  add_json(*run, arguments.daemon.form);
  run->callback([&arguments] { arguments.exit = run_run(arguments.daemon, arguments.run); });
}

void add_replay(CLI::App& app, Arguments& arguments) {
  ReplayOptions& options = arguments.replay;
  CLI::App* replay =
      app.add_subcommand("replay", "Make a run again from its folder, and compare the journals");
  replay->add_option("DIR", options.folder, "the run's folder")->required();
  replay->add_option("--out", options.out, "the new folder, default DIR-again");
  replay
      ->add_option("--in", options.inputs,
                   "[PORT=]CAPTURE of what came in: in virtual time, instead of on the daemon")
      ->take_all()
      ->allow_extra_args(false);
  add_left(*replay, options.left);
  add_json(*replay, arguments.daemon.form);
  replay->callback(
      [&arguments] { arguments.exit = run_replay(arguments.daemon, arguments.replay); });
}

void add_trigger(CLI::App& app, Arguments& arguments) {
  CLI::App* trigger =
      app.add_subcommand("trigger", "Show what the timeline waits for, or call what waits for it");
  trigger->add_option("NAME", arguments.trigger, "fires the trigger that waits for this call");
  add_json(*trigger, arguments.daemon.form);
  trigger->callback(
      [&arguments] { arguments.exit = run_trigger(arguments.daemon, arguments.trigger); });
}

void add_capture(CLI::App& app, Arguments& arguments) {
  CLI::App* capture = app.add_subcommand("capture", "Show what is being captured, and how much");
  add_json(*capture, arguments.daemon.form);
  capture->callback([&arguments] { arguments.exit = run_capture(arguments.daemon); });
}

void add_preset_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* preset = app.add_subcommand("preset", "Show the presets that scenarios may use");
  preset->require_subcommand(1);
  CLI::App* list = preset->add_subcommand("list", "Name all of them, with what they do");
  add_json(*list, arguments.preset_form);
  list->callback([&arguments] { arguments.exit = run_preset_list(arguments.preset_form); });
  CLI::App* show = preset->add_subcommand("show", "Print one, and where its numbers come from");
  show->add_option("NAME", arguments.preset, "the preset's name")->required();
  add_json(*show, arguments.preset_form);
  show->callback(
      [&arguments] { arguments.exit = run_preset_show(arguments.preset, arguments.preset_form); });
}

void add_records(CLI::App& app, Arguments& arguments) {
  JournalOptions& options = arguments.journal;
  CLI::App* journal =
      app.add_subcommand("journal", "Show what rules did to which packet, from a daemon's journal");
  journal->add_option("FILE", options.path, "the journal, or the folder with its journal.bin")
      ->required();
  CLI::Option* against =
      journal->add_option("--against", options.against, "another journal: what differs");
  CLI::Option* digest =
      journal->add_flag("--digest", options.digest, "of each flow and second instead of each hit");
  journal->add_flag("-f,--follow", options.follow, "and what is written, until it is ended")
      ->excludes(against)
      ->excludes(digest);
  digest->excludes(against);
  journal->add_option("--rule", options.rule, "only what this rule did");
  journal->add_option("--flow", options.flow, "only flows with this in their text");
  journal->add_option("--action", options.action, "only what was done so")
      ->check(CLI::IsMember(
          std::vector<std::string>(std::begin(kJournalActions), std::end(kJournalActions))));
  journal->add_option("--port", options.port, "only packets from this port, or to it");
  add_json(*journal, options.form);
  journal->callback([&arguments] { arguments.exit = run_journal(arguments.journal); });
  CLI::App* diff = app.add_subcommand(
      "diff", "Say what became of a capture's packets: lost, late, doubled, overtaken, changed");
  diff->add_option("FIRST", arguments.diff.first, "what went in (pcap or pcapng)")->required();
  diff->add_option("SECOND", arguments.diff.second, "what came out")->required();
  add_json(*diff, arguments.diff.form);
  diff->callback([&arguments] { arguments.exit = run_diff(arguments.diff); });
}

void add_machine_commands(CLI::App& app, Arguments& arguments) {
  CLI::App* doctor =
      app.add_subcommand("doctor", "Say what this machine can do, and what is missing");
  doctor->add_option("FILE", arguments.doctor.file, "a scenario whose ports are looked at");
  add_json(*doctor, arguments.doctor.form);
  doctor->callback([&arguments] { arguments.exit = run_doctor(arguments.doctor); });
  CLI::App* completion = app.add_subcommand("completion", "Print a script that completes commands");
  completion->add_option("SHELL", arguments.shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  completion->callback(
      [&app, &arguments] { std::fputs(completion_script(app, arguments.shell).c_str(), stdout); });
}

int run(int count, char** words) {
  CLI::App app("faultline breaks networks on purpose: the same packets each time, and proves it.");
  // None is an error too, told below: asked for here, it would hide a mistyped command's name.
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", kVersion);
  Arguments arguments;
  const char* from_environment = std::getenv("FAULTLINE_SOCKET");
  arguments.daemon.socket = from_environment != nullptr ? from_environment : kSocketDefault;
  app.add_option("--socket", arguments.daemon.socket, "the daemon's socket (or FAULTLINE_SOCKET)");
  app.fallthrough();
  add_offline_commands(app, arguments);
  add_explain(app, arguments);
  add_report(app, arguments);
  add_daemon_commands(app, arguments);
  add_rule_commands(app, arguments);
  add_partition(app, arguments);
  add_pause(app, arguments);
  add_run(app, arguments);
  add_replay(app, arguments);
  add_trigger(app, arguments);
  add_capture(app, arguments);
  add_preset_commands(app, arguments);
  add_records(app, arguments);
  add_machine_commands(app, arguments);
  add_probe(app, arguments.probe, arguments.exit);
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? code(Exit::kDone) : code(Exit::kUsage);
  }
  if (app.get_subcommands().empty()) {
    std::fprintf(stderr, "faultline: which command?\n\n%s", app.help().c_str());
    return code(Exit::kUsage);
  }
  return code(arguments.exit);
}

}  // namespace
}  // namespace faultline

int main(int count, char** words) {
  return faultline::run(count, words);
}
