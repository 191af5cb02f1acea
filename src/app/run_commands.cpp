// Commands at times of a run.
#include "app/run_commands.hpp"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include <fmt/format.h>

#include "base/tsc_clock.hpp"
#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kRepeatsMost = 1'000;

/// One entry's fault, and what of it is the client's.
class CommandReader {
 public:
  CommandReader(ConfigNode& entry, Problems& problems) : entry_(entry), problems_(problems) {}

  /// Whether the entry is nothing but that, and goes.
  bool take(std::vector<TimedCommand>& commands) {
    ConfigNode* pause = part("pause");
    ConfigNode* clock = part("clock");
    if (pause != nullptr && pause->find("command") != nullptr) {
      read(*pause, "pause", "resume", commands);
      return pause->find("node") == nullptr;
    }
    const ConfigNode* by = clock != nullptr ? clock->find("by") : nullptr;
    if (by == nullptr || by->text != "command")
      return false;
    read(*clock, "clock", "undo", commands);
    return true;
  }

 private:
  ConfigNode* part(std::string_view kind) {
    ConfigNode* found = entry_.is_mapping() ? entry_.find(kind) : nullptr;
    return found != nullptr && found->is_mapping() ? found : nullptr;
  }

  std::string text_of(ConfigNode& fault, std::string_view key) {
    const ConfigNode* node = fault.find(key);
    if (node == nullptr) {
      problems_.push_back(problem_at(fault.mark, fmt::format("a command without {}:", key),
                                     "both: what it does must be undone"));
      return {};
    }
    return read_text(*node, problems_).value_or("");
  }

  std::uint64_t time_of(std::string_view key) {
    const ConfigNode* node = entry_.find(key);
    if (node != nullptr)
      return read_duration_ns(*node, {0, kDurationMaxNs}, problems_).value_or(0);
    problems_.push_back(problem_at(entry_.mark, fmt::format("a command without {}:", key),
                                   "at: and for:, both are known beforehand"));
    return 0;
  }

  void read(ConfigNode& fault, std::string_view kind, std::string_view undo,
            std::vector<TimedCommand>& commands) {
    TimedCommand command;
    command.command = text_of(fault, "command");
    command.undo = text_of(fault, undo);
    command.at_ns = time_of("at");
    command.lasts_ns = std::max(time_of("for"), kNsPerMs);
    if (const ConfigNode* timeout = fault.find("timeout"))
      command.timeout_ns =
          read_duration_ns(*timeout, {kNsPerMs, kDurationMaxNs}, problems_).value_or(kNsPerMs);
    std::erase_if(fault.entries, [&](const ConfigEntry& each) {
      return each.key == "command" || each.key == undo || each.key == "timeout";
    });
    std::uint64_t every_ns = 0;
    std::uint64_t count = 1;
    if (const ConfigNode* every = entry_.find("every")) {
      every_ns = read_duration_ns(*every, {1, kDurationMaxNs}, problems_).value_or(1);
      const ConfigNode* times = entry_.find("count");
      if (times == nullptr)
        problems_.push_back(problem_at(every->mark, "a command that repeats", "count:, beside it"));
      else
        count = read_count(*times, {1, kRepeatsMost}, problems_).value_or(1);
    }
    for (std::uint64_t turn = 0; turn < count; ++turn) {
      command.what = fmt::format("{} at {}", kind, format_duration(command.at_ns));
      commands.push_back(command);
      command.at_ns += every_ns;
    }
  }

  ConfigNode& entry_;
  Problems& problems_;
};

/// This program, whatever it is called by.
std::string own_path() {
  char path[PATH_MAX] = {};
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  return length > 0 ? path : "faultline";
}

Json event_of(const TimedCommand& command, std::string_view state, std::uint64_t now_ns) {
  return {{"n", nullptr},
          {"t_ns", now_ns},
          {"kind", "command"},
          {"what", command.what},
          {"state", state}};
}

}  // namespace

std::vector<TimedCommand> take_commands(ConfigNode& tree, Problems& problems) {
  std::vector<TimedCommand> commands;
  ConfigNode* timeline = tree.is_mapping() ? tree.find("timeline") : nullptr;
  if (timeline == nullptr || !timeline->is_sequence())
    return commands;
  std::erase_if(timeline->items,
                [&](ConfigNode& entry) { return CommandReader(entry, problems).take(commands); });
  return commands;
}

CommandClock::CommandClock(const std::vector<TimedCommand>& commands, std::string socket)
    : socket_(std::move(socket)) {
  for (const TimedCommand& command : commands) all_.emplace_back().command = &command;
}

std::vector<Json> CommandClock::look(std::uint64_t now_ns) {
  std::vector<Json> events;
  for (Going& one : all_) {
    if (!one.begun && now_ns >= one.command->at_ns) {
      one.begun = true;
      events.push_back(event_of(*one.command, "begun", now_ns));
      const bool started = one.child.start(
          "exec \"$FL_SELF\" --socket \"$FL_SOCKET\" pause --for \"$FL_FOR\" --timeout "
          "\"$FL_TIMEOUT\" --command \"$FL_COMMAND\" --resume \"$FL_UNDO\"",
          "",
          {{"FL_SELF", own_path()},
           {"FL_SOCKET", socket_},
           {"FL_FOR", fmt::format("{}ns", one.command->lasts_ns)},
           {"FL_TIMEOUT", fmt::format("{}ns", one.command->timeout_ns)},
           {"FL_COMMAND", one.command->command},
           {"FL_UNDO", one.command->undo}});
      if (!started)
        note_end(one, kCannotRun, now_ns, events);
    }
    if (const auto status = one.child.take_end())
      note_end(one, *status, now_ns, events);
  }
  return events;
}

void CommandClock::note_end(Going& one, int status, std::uint64_t now_ns,
                            std::vector<Json>& events) {
  one.over = true;
  events.push_back(event_of(*one.command, "undone", now_ns));
  events.back()["status"] = status;
  if (status != 0)
    failures_.push_back(
        fmt::format("{}: the command, or what undoes it, failed ({})", one.command->what, status));
}

std::vector<Json> CommandClock::end(std::uint64_t now_ns) {
  std::vector<Json> events;
  for (Going& one : all_) {
    if (!one.child.is_running())
      continue;
    one.child.ask_to_end();
    const std::uint64_t give_up_ns = monotonic_ns() + 3 * one.command->timeout_ns;
    std::optional<int> status;
    while (!(status = one.child.take_end()) && monotonic_ns() < give_up_ns) {
      const timespec pause{0, 2'000'000};
      nanosleep(&pause, nullptr);
    }
    // Ended with the run and undone, that is as it should be.
    note_end(one, status ? 0 : kTimedOut, now_ns, events);
  }
  return events;
}

}  // namespace faultline
