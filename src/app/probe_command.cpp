// faultline probe: streams, cabling and characterisation, and what they found, told.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "app/probe.hpp"
#include "app/probe_ports.hpp"
#include "base/seed.hpp"
#include "base/units.hpp"
#include "probe/cabling.hpp"
#include "probe/characterise.hpp"

namespace faultline {
namespace {

using Json = nlohmann::ordered_json;

std::atomic<bool> interrupted{false};

/// Ctrl-C ends the sending; what was found until then is told. A second one ends the program.
void end_on_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

std::uint32_t draw_run() {
  return static_cast<std::uint32_t>(draw_seed());
}

double mean_of(const std::vector<std::uint32_t>& sizes) {
  return static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0})) /
         static_cast<double>(sizes.size());
}

/// Bits a second become frames, of the sizes' mean.
void settle_rate(ProbeOptions& options) {
  if (options.bits_per_second > 0)
    options.stream.frames_per_second =
        options.bits_per_second / (8 * mean_of(options.stream.sizes));
}

std::uint32_t largest(const StreamOptions& stream) {
  return *std::max_element(stream.sizes.begin(), stream.sizes.end());
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

double mean_run(const SequenceCounts& counts) {
  return share(counts.lost, counts.loss_runs);
}

Json delays_json(const DelayCounts& delays) {
  const auto quantiles = [](auto value) {
    return Json{{"p50_ns", value(0.5)}, {"p99_ns", value(0.99)}, {"p999_ns", value(0.999)}};
  };
  Json delay = {{"min_ns", delays.least_ns()}, {"mean_ns", delays.mean_ns()}};
  delay.update(quantiles([&](double part) { return delays.quantile_ns(part); }));
  delay["max_ns"] = delays.most_ns();
  Json variation = quantiles([&](double part) { return delays.variation_ns(part); });
  variation["max_ns"] = delays.most_ns() - delays.least_ns();
  return {{"delay", delay}, {"pdv", variation}};
}

Json counts_json(std::uint64_t sent, const SequenceCounts& counts) {
  return {{"sent", sent},
          {"received", counts.received},
          {"lost", counts.lost},
          {"loss",
           {{"rate", share(counts.lost, sent)},
            {"runs", counts.loss_runs},
            {"mean_run", mean_run(counts)},
            {"longest_run", counts.longest_run}}},
          {"duplicated", counts.duplicated},
          {"reordered", counts.reordered},
          {"reordered_ratio", share(counts.reordered, counts.received)},
          {"reorder_extent_max", counts.extent_max},
          {"late", counts.late}};
}

struct WayNames {
  const std::string& from;
  const std::string& to;
};

Json way_json(const StreamResult& way, const WayNames& names, bool by_flow) {
  Json json = {{"from", names.from}, {"to", names.to}};
  json.update(counts_json(way.sent, way.counts));
  json["sent_bytes"] = way.sent_bytes;
  json["sent_pps"] = way.rate();
  json["corrupted"] = way.corrupted;
  json["headers_changed"] = way.changed;
  json["foreign"] = way.foreign;
  json["missed"] = way.missed;
  json.update(delays_json(way.delays));
  if (!by_flow)
    return json;
  json["flows"] = Json::array();
  for (const FlowResult& flow : way.flows) {
    Json one = counts_json(flow.sent, flow.counts);
    one.update(delays_json(flow.delays));
    json["flows"].push_back(std::move(one));
  }
  return json;
}

std::string times_text(const char* word, auto value, std::uint64_t most_ns) {
  return fmt::format("  {:<12}{:>12} half   {:>12} 99 %   {:>12} 99.9 %   {:>12} at most\n", word,
                     format_duration(value(0.5)), format_duration(value(0.99)),
                     format_duration(value(0.999)), format_duration(most_ns));
}

void print_way(const StreamResult& way, const WayNames& names) {
  const SequenceCounts& counts = way.counts;
  const auto row = [](const char* word, std::uint64_t count, const std::string& more) {
    fmt::print("  {:<12}{:>12}{}{}\n", word, count, more.empty() ? "" : "   ", more);
  };
  const double seconds = static_cast<double>(way.sent_in_ns) / 1e9;
  fmt::print("{} > {}\n", names.from, names.to);
  row("sent", way.sent,
      fmt::format("{:.0f} frames/s, {:.3f} Mbit/s", way.rate(),
                  seconds > 0 ? 8e-6 * static_cast<double>(way.sent_bytes) / seconds : 0.0));
  row("received", counts.received, "");
  row("lost", counts.lost,
      fmt::format("{:.4f} %, in {} runs of {:.2f}, {} at most", 100 * share(counts.lost, way.sent),
                  counts.loss_runs, mean_run(counts), counts.longest_run));
  row("duplicated", counts.duplicated, "");
  row("reordered", counts.reordered,
      fmt::format("{:.4f} %, by {} places at most", 100 * share(counts.reordered, counts.received),
                  counts.extent_max));
  row("corrupted", way.corrupted, "");
  if (way.changed > 0)
    row("changed", way.changed, "whole, with other headers than sent");
  if (counts.late > 0)
    row("late", counts.late, "came when they had been given up");
  if (way.missed > 0)
    row("missed", way.missed,
        "came, but the probe was too slow: the figures are not to be trusted");
  if (way.delays.packets() == 0)
    return;
  const DelayCounts& delays = way.delays;
  fmt::print("  {:<12}{:>12} at least, {} on average\n", "delay",
             format_duration(delays.least_ns()), format_duration(delays.mean_ns()));
  fmt::print("{}",
             times_text(
                 "", [&](double part) { return delays.quantile_ns(part); }, delays.most_ns()));
  fmt::print("{}", times_text(
                       "variation", [&](double part) { return delays.variation_ns(part); },
                       delays.most_ns() - delays.least_ns()));
}

void print_flows(const StreamResult& way) {
  fmt::print("  {:<6}{:>10}{:>10}{:>10}{:>12}{:>11}{:>14}{:>14}\n", "flow", "sent", "received",
             "lost", "duplicated", "reordered", "delay half", "99 %");
  for (std::size_t index = 0; index < way.flows.size(); ++index) {
    const FlowResult& flow = way.flows[index];
    fmt::print("  {:<6}{:>10}{:>10}{:>10}{:>12}{:>11}{:>14}{:>14}\n", index, flow.sent,
               flow.counts.received, flow.counts.lost, flow.counts.duplicated,
               flow.counts.reordered, format_duration(flow.delays.quantile_ns(0.5)),
               format_duration(flow.delays.quantile_ns(0.99)));
  }
}

/// A line that is written over, where there is a terminal.
void show_progress(const StreamProgress& progress) {
  fmt::print(stderr, "\r{:.0f} s: {} sent, {} received ",
             static_cast<double>(progress.elapsed_ns) / 1e9, progress.sent, progress.received);
}

Exit tell_refused(Problems problems, OutputForm form) {
  for (Problem& problem : problems)
    if (problem.file.empty())
      problem.file = "faultline";
  tell(problems, form);
  return Exit::kRefused;
}

}  // namespace

Exit run_probe(ProbeOptions options) {
  settle_rate(options);
  StreamOptions& stream = options.stream;
  stream.run = draw_run();
  const ProbeRole sends = stream.both ? ProbeRole::kBoth : ProbeRole::kSends;
  auto ports =
      ProbePorts::open({{options.from, sends}, {options.to, ProbeRole::kListens}}, largest(stream));
  if (!ports)
    return tell_refused(ports.error(), options.form);
  end_on_signals();
  const bool watched = isatty(STDERR_FILENO) != 0;
  const Result<StreamOutcome> outcome =
      run_stream(stream, (*ports)[0], (*ports)[1], interrupted,
                 watched ? show_progress : std::function<void(const StreamProgress&)>{});
  if (watched)
    fmt::print(stderr, "\r{:60}\r", "");
  if (!outcome)
    return tell_refused(outcome.error(), options.form);
  Json json = {{"run", stream.run}, {"silent", outcome->silent}, {"directions", Json::array()}};
  bool spoilt = outcome->silent;
  for (std::size_t i = 0; i < outcome->ways.size(); ++i) {
    const StreamResult& way = outcome->ways[i];
    const WayNames names =
        i == 0 ? WayNames{options.from, options.to} : WayNames{options.to, options.from};
    spoilt = spoilt || way.missed > 0;
    if (options.form == OutputForm::kJson) {
      json["directions"].push_back(way_json(way, names, stream.by_flow));
      continue;
    }
    print_way(way, names);
    if (stream.by_flow)
      print_flows(way);
  }
  if (options.form == OutputForm::kJson)
    fmt::print("{}\n", json.dump());
  if (outcome->silent)
    fmt::print(stderr, "faultline: error: nothing came in {}; given up\n",
               format_duration(stream.silence_ns));
  return spoilt ? Exit::kWrong : Exit::kDone;
}

Exit run_cabling(const ProbeOptions& options) {
  std::vector<ProbePortWish> wishes;
  for (const std::string& name : options.cables) wishes.push_back({name, ProbeRole::kBoth});
  const auto ports = ProbePorts::open(wishes, kProbeBytesMin);
  if (!ports)
    return tell_refused(ports.error(), options.form);
  const auto found = find_cables({.run = draw_run()}, ports->all());
  if (!found)
    return tell_refused(found.error(), options.form);
  Json json = Json::array();
  std::vector<bool> hears(options.cables.size(), false);
  for (const Heard& heard : *found) {
    hears[heard.by] = true;
    json.push_back({{"from", options.cables[heard.from]},
                    {"to", options.cables[heard.by]},
                    {"sent", CablingOptions{}.frames},
                    {"received", heard.frames},
                    {"delay_min_ns", heard.delay_ns}});
    if (options.form == OutputForm::kHuman)
      fmt::print("{} > {}   {} of {} frames, {} at least\n", options.cables[heard.from],
                 options.cables[heard.by], heard.frames, CablingOptions{}.frames,
                 format_duration(heard.delay_ns));
  }
  Json deaf = Json::array();
  for (std::size_t i = 0; i < hears.size(); ++i) {
    if (hears[i])
      continue;
    deaf.push_back(options.cables[i]);
    if (options.form == OutputForm::kHuman)
      fmt::print("{} hears none\n", options.cables[i]);
  }
  const Exit exit = deaf.empty() ? Exit::kDone : Exit::kWrong;
  if (options.form == OutputForm::kJson)
    fmt::print("{}\n", Json{{"heard", json}, {"hear_none", deaf}}.dump());
  return exit;
}

namespace {

Json latency_json(const std::optional<Latency>& latency) {
  if (!latency)
    return nullptr;
  return {{"p50_ns", latency->p50_ns},
          {"p99_ns", latency->p99_ns},
          {"max_ns", latency->most_ns},
          {"lost", latency->lost}};
}

/// How much more than the baseline; absent without one.
std::optional<double> added_ns(const SizeResult& size) {
  if (!size.latency || !size.baseline)
    return std::nullopt;
  return static_cast<double>(size.latency->p50_ns) - static_cast<double>(size.baseline->p50_ns);
}

Json size_json(const SizeResult& size) {
  Json json = {{"bytes", size.bytes}, {"throughput_pps", nullptr}, {"throughput_bps", nullptr}};
  if (size.frames_per_second) {
    json["throughput_pps"] = *size.frames_per_second;
    json["throughput_bps"] = *size.frames_per_second * 8 * size.bytes;
  }
  json["sender_bound"] = size.sender_bound;
  json["trials"] = size.trials;
  json["latency"] = latency_json(size.latency);
  json["baseline"] = latency_json(size.baseline);
  json["added_p50_ns"] = nullptr;
  if (const auto added = added_ns(size))
    json["added_p50_ns"] = *added;
  return json;
}

void print_size(const SizeResult& size) {
  if (!size.frames_per_second || !size.latency) {
    fmt::print("{:>6}   no rate without loss was found in {} trials\n", size.bytes, size.trials);
    return;
  }
  const auto added = added_ns(size);
  fmt::print("{:>6}{:>14.0f}{:>14.3f}{:>14}{:>14}{:>14}{:>14}{:>8}{}\n", size.bytes,
             *size.frames_per_second, 8e-6 * *size.frames_per_second * size.bytes,
             format_duration(size.latency->p50_ns), format_duration(size.latency->p99_ns),
             format_duration(size.latency->most_ns),
             added ? fmt::format("{:+.3f}us", *added / 1e3) : "-", size.latency->lost,
             size.sender_bound ? "   as fast as was sent" : "");
}

}  // namespace

Exit run_characterise(ProbeOptions options) {
  CharacteriseOptions all{.stream = options.stream, .trial_ns = options.trial_ns};
  all.stream.run = draw_run();
  settle_rate(options);
  all.frames_per_second_max = options.stream.frames_per_second;
  std::vector<ProbePortWish> wishes{{options.from, ProbeRole::kSends},
                                    {options.to, ProbeRole::kListens}};
  for (const std::string& name : options.baseline)
    wishes.push_back({name, wishes.size() == 2 ? ProbeRole::kSends : ProbeRole::kListens});
  auto ports = ProbePorts::open(wishes, largest(options.stream));
  if (!ports)
    return tell_refused(ports.error(), options.form);
  std::optional<ProbePair> direct;
  if (!options.baseline.empty())
    direct.emplace(ProbePair{(*ports)[2], (*ports)[3]});
  end_on_signals();
  const auto watch = [](const Trial& trial) {
    fmt::print(stderr, "trial: {} bytes at {:.0f} frames/s: {} of {} lost\n", trial.bytes,
               trial.frames_per_second, trial.lost, trial.sent);
  };
  const Result<std::vector<SizeResult>> sizes =
      characterise(all, {(*ports)[0], (*ports)[1]}, direct, interrupted, watch);
  if (!sizes)
    return tell_refused(sizes.error(), options.form);
  if (options.form == OutputForm::kJson) {
    Json json = {{"trial_ns", options.trial_ns}, {"sizes", Json::array()}};
    for (const SizeResult& size : *sizes) json["sizes"].push_back(size_json(size));
    fmt::print("{}\n", json.dump());
  } else {
    fmt::print("{:>6}{:>14}{:>14}{:>14}{:>14}{:>14}{:>14}{:>8}\n", "bytes", "frames/s", "Mbit/s",
               "latency half", "99 %", "at most", "added half", "lost");
    for (const SizeResult& size : *sizes) print_size(size);
  }
  const bool all_found = std::all_of(sizes->begin(), sizes->end(),
                                     [](const SizeResult& size) { return size.latency; });
  return all_found && !sizes->empty() ? Exit::kDone : Exit::kWrong;
}

}  // namespace faultline
