// The commands of `faultline`, one function each; parsing of the command line is in faultline.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/load.hpp"
#include "sim/capture_sink.hpp"

namespace CLI {
class App;
}

namespace faultline {

struct CheckOptions {
  std::string file;
  OutputForm form = OutputForm::kHuman;
};
Exit run_check(const CheckOptions& options);

struct SimulateOptions {
  std::string file;
  std::vector<std::string> inputs;  ///< [PORT=]FILE
  std::vector<std::string> left;    ///< CIDR or MAC: sources that enter the first port
  std::string output;
  std::string drops;     ///< empty: not asked for
  std::string journal;   ///< empty: not asked for
  std::string captures;  ///< the folder for `capture:`; empty: not asked for
  std::string junit;     ///< empty: not asked for
  Annotate annotate = Annotate::kTouched;
  std::optional<std::uint64_t> seed;
  std::uint32_t burst = 32;
  std::uint32_t workers = 1;
  OutputForm form = OutputForm::kHuman;
};
Exit run_simulate(const SimulateOptions& options);

struct ExplainOptions {
  std::string file;
  std::string capture;             ///< [PORT=]FILE; empty with hex
  std::vector<std::string> left;   ///< CIDR or MAC: sources that enter the first port
  std::optional<std::string> hex;  ///< one frame, at time zero
  std::optional<std::uint64_t> packet;
  std::optional<std::uint64_t> seed;
  OutputForm form = OutputForm::kHuman;
};
Exit run_explain(const ExplainOptions& options);

struct DaemonOptions {
  std::string socket;
  OutputForm form = OutputForm::kHuman;
};
Exit run_apply(const DaemonOptions& options, const std::string& file);
Exit run_heal(const DaemonOptions& options, const std::string& held);
Exit run_status(const DaemonOptions& options);

struct FollowOptions {
  bool follow = false;
  std::uint64_t interval_ns = 1'000'000'000;
  std::uint64_t count = 0;  ///< how many times; 0: until it is ended
};
Exit run_stats(const DaemonOptions& daemon, const FollowOptions& options);
Exit run_events(const DaemonOptions& daemon, const FollowOptions& options);
struct TopOptions {
  bool plain = false;       ///< lines, also on a terminal
  std::uint64_t count = 0;  ///< of lines; 0: until it is ended
};
Exit run_top(const DaemonOptions& daemon, const TopOptions& options);
Exit run_ports(const DaemonOptions& options);
Exit run_flows(const DaemonOptions& options, std::uint32_t limit);

struct RuleOptions {
  std::string name;
  std::vector<std::string> keys;  ///< KEY=VALUE, values in YAML
  std::string ttl;                ///< of enable; empty: as written
};
Exit run_rules(const DaemonOptions& options);
Exit run_rule_add(const DaemonOptions& daemon, const RuleOptions& options);
Exit run_rule_set(const DaemonOptions& daemon, const RuleOptions& options);
Exit run_rule_enable(const DaemonOptions& daemon, const RuleOptions& options);
Exit run_rule_disable(const DaemonOptions& daemon, const RuleOptions& options);
Exit run_rule_remove(const DaemonOptions& daemon, const RuleOptions& options);

struct RunOptions {
  std::string file;
  std::uint64_t duration_ns = 0;  ///< 0: until the command ends, or the timeline does
  std::string out;                ///< empty: a folder below runs/
  std::string at;                 ///< time zero: RFC 3339, seconds since 1970, or +DURATION
  std::string command;            ///< the workload; empty: none
  std::string junit;              ///< empty: not asked for
  std::optional<std::uint64_t> seed;
  std::uint64_t interval_ns = 0;  ///< between samples; 0: by the duration
  bool force = false;             ///< also where the preflight refuses
};
Exit run_plan(const DaemonOptions& daemon, const std::string& file);
Exit run_run(const DaemonOptions& daemon, const RunOptions& options);

struct ReplayOptions {
  std::string folder;               ///< of a run
  std::string out;                  ///< empty: a folder beside it
  std::vector<std::string> inputs;  ///< [PORT=]FILE: in virtual time; empty: on the daemon
  std::vector<std::string> left;    ///< as in SimulateOptions
};
Exit run_replay(const DaemonOptions& daemon, const ReplayOptions& options);

struct PauseOptions {
  std::string node;                                       ///< empty: nothing on the wire
  std::vector<std::pair<std::string, std::string>> keys;  ///< of the impairment, values in YAML
  std::uint64_t lasts_ns = 0;
  std::string command;                        ///< stops the real thing; empty: none
  std::string resume;                         ///< lets it go on
  std::uint64_t timeout_ns = 10'000'000'000;  ///< of each command
};
Exit run_pause(const DaemonOptions& daemon, const PauseOptions& options);

struct PartitionOptions {
  std::string shape;                                      ///< empty: a grudge, or healed
  std::vector<std::pair<std::string, std::string>> keys;  ///< further keys, values in YAML
  std::string command;                                    ///< of primary: prints the node's name
  bool heal = false;
};
Exit run_partition(const DaemonOptions& daemon, const PartitionOptions& options);

/// What is being captured.
Exit run_capture(const DaemonOptions& daemon);

/// All triggers when `name` is empty.
Exit run_trigger(const DaemonOptions& daemon, const std::string& name);

struct DoctorOptions {
  std::string file;  ///< a scenario whose ports are looked at; empty: none
  OutputForm form = OutputForm::kHuman;
};
Exit run_doctor(const DoctorOptions& options);

struct ReportOptions {
  std::string folder;
  std::string output;  ///< empty: report.html in the folder; -: standard output
};
Exit run_report(const ReportOptions& options);

struct JournalOptions {
  std::string path;     ///< a journal, or the folder in which journal.bin lies
  std::string against;  ///< another one to compare it with; empty: none
  bool follow = false;
  bool digest = false;
  std::string rule;        ///< only its hits; empty: all, as below
  std::string flow;        ///< a part of the flow's text
  std::string action;      ///< one of kJournalActions
  std::string port;        ///< where the packet came in or was on its way to
  bool same_dice = false;  ///< `against` is of the same scenario and seed
  OutputForm form = OutputForm::kHuman;
};
Exit run_journal(const JournalOptions& options);

struct DiffOptions {
  std::string first;   ///< what went in
  std::string second;  ///< what came out
  OutputForm form = OutputForm::kHuman;
};
Exit run_diff(const DiffOptions& options);

Exit run_preset_list(OutputForm form);
Exit run_preset_show(const std::string& name, OutputForm form);

/// A script that completes the program's commands and options. `shell` is bash or zsh.
std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace faultline
