// The options of `faultline probe`.
#include <CLI/CLI.hpp>

#include <fmt/format.h>

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>

#include "app/probe.hpp"
#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::uint32_t kBytesMax = 9'018;  ///< an MTU of 9000

/// "1000" and "1000pps" are frames, "10Mbit" bits a second.
void read_rate(const std::string& word, ProbeOptions& options) {
  constexpr std::string_view kFrames = "pps";
  if (word == "max") {
    options.stream.frames_per_second = 0;
    options.bits_per_second = 0;
    return;
  }
  if (const auto bits = parse_rate_bps(word); bits && *bits > 0) {
    options.bits_per_second = static_cast<double>(*bits);
    return;
  }
  const bool unit = word.size() > kFrames.size() && word.ends_with(kFrames);
  const auto frames = parse_count(unit ? word.substr(0, word.size() - kFrames.size()) : word);
  if (!frames || *frames == 0)
    throw CLI::ValidationError(
        "--rate", word + " is no rate, such as 1000pps or 5k (frames a second), 10Mbit, or max");
  options.bits_per_second = 0;
  options.stream.frames_per_second = static_cast<double>(*frames);
}

/// At commas, but for those within braces.
std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts{""};
  int depth = 0;
  for (const char letter : text) {
    depth += letter == '{' ? 1 : letter == '}' ? -1 : 0;
    if (letter == ',' && depth == 0)
      parts.emplace_back();
    else
      parts.back() += letter;
  }
  return parts;
}

void read_sizes(const std::string& word, StreamOptions& stream) {
  stream.sizes.clear();
  for (const std::string& part : parts_of(word)) {
    const auto bytes = part.ends_with("B") ? parse_size_bytes(part) : parse_count(part);
    if (!bytes || *bytes < kProbeBytesMin || *bytes > kBytesMax)
      throw CLI::ValidationError(
          "--size", fmt::format("'{}' is no frame size from {} to {} bytes; several with commas",
                                part, kProbeBytesMin, kBytesMax));
    stream.sizes.push_back(static_cast<std::uint32_t>(*bytes));
  }
}

void read_addresses(const std::string& word, ProbeRoute& route) {
  const std::vector<std::string> parts = parts_of(word);
  const auto are_of = [&](int family) {
    return parts.size() == 2 && inet_pton(family, parts[0].c_str(), route.from.ip.data()) == 1 &&
           inet_pton(family, parts[1].c_str(), route.to.ip.data()) == 1;
  };
  route.ipv6 = are_of(AF_INET6);
  if (!route.ipv6 && !are_of(AF_INET))
    throw CLI::ValidationError("--addresses", word +
                                                  " are no two addresses of IPv4 or of IPv6, such "
                                                  "as 10.0.0.1,10.0.0.2 or fd00::1,fd00::2");
}

bool read_mac(const std::string& word, std::array<std::uint8_t, 6>& mac) {
  const auto bytes = parse_hex(word);
  if (!bytes || bytes->size() != mac.size())
    return false;
  std::copy(bytes->begin(), bytes->end(), mac.begin());
  return true;
}

void read_macs(const std::string& word, ProbeRoute& route) {
  const std::vector<std::string> parts = parts_of(word);
  if (parts.size() != 2 || !read_mac(parts[0], route.from.mac) || !read_mac(parts[1], route.to.mac))
    throw CLI::ValidationError(
        "--macs", word + " are no two addresses, such as 02:00:00:00:00:01,02:00:00:00:00:02");
}

void add_time(CLI::App& command, const char* option, std::uint64_t& time_ns, const char* help) {
  command.add_option_function<std::string>(
      option,
      [option, &time_ns](const std::string& word) {
        const auto read = parse_duration_ns(word);
        if (!read || (*read < kNsPerMs && *read != 0))
          throw CLI::ValidationError(option, word + " is no duration of 1ms or more, such as 10s");
        time_ns = *read;
      },
      help);
}

void add_form(CLI::App& command, ProbeOptions& options) {
  command.add_flag_callback(
      "-j,--json", [&options] { options.form = OutputForm::kJson; }, "JSON on stdout");
}

/// What a stream and the trials of characterise have in common.
void add_stream(CLI::App& command, ProbeOptions& options) {
  StreamOptions& stream = options.stream;
  command.add_option("--from", options.from,
                     "where frames are sent: INTERFACE, NETNS/INTERFACE or {driver: …}");
  command.add_option("--to", options.to, "where they are to come");
  command
      .add_option("--flows", stream.flows, "how many, each from a UDP port of its own, default 1")
      ->check(CLI::Range(1U, kProbeFlowsMax));
  command.add_option_function<std::string>(
      "--size", [&stream](const std::string& word) { read_sizes(word, stream); },
      "bytes of a frame with its check, one or more with commas");
  command.add_option_function<std::string>(
      "--rate", [&options](const std::string& word) { read_rate(word, options); },
      "frames (1000pps, 5k) or bits (10Mbit) a second, or max");
  command.add_option_function<std::string>(
      "--addresses", [&stream](const std::string& word) { read_addresses(word, stream.route); },
      "FROM,TO of IPv4 or IPv6, default 198.18.0.1,198.18.0.2");
  command.add_option_function<std::string>(
      "--macs", [&stream](const std::string& word) { read_macs(word, stream.route); },
      "FROM,TO, default nobody's");
  command.add_option("--port", stream.route.port, "of UDP, where frames go, default 9")
      ->check(CLI::Range(1, 65'535));
  add_time(command, "--wait", stream.linger_ns, "for late frames behind the last, default 500ms");
}

bool has_ports(const ProbeOptions& options) {
  if (!options.from.empty() && !options.to.empty() && options.from != options.to)
    return true;
  std::fputs("faultline probe: --from and --to say which two interfaces; see --help\n", stderr);
  return false;
}

/// Sizes that nobody asked for are as small as the route lets them be; others are refused.
bool fit_sizes(StreamOptions& stream, bool asked) {
  const std::uint32_t least = least_bytes(stream.route);
  for (std::uint32_t& bytes : stream.sizes) {
    if (bytes < least && asked) {
      fmt::print(stderr, "faultline probe: --size: {} bytes are no room for IPv6; at least {}\n",
                 bytes, least);
      return false;
    }
    bytes = std::max(bytes, least);
  }
  return true;
}

bool is_ready(ProbeOptions& options, const CLI::App& command) {
  return has_ports(options) && fit_sizes(options.stream, command.count("--size") > 0);
}

void set_defaults(ProbeOptions& options) {
  options.stream.frames_per_second = 1'000;
  options.stream.silence_ns = 5 * kNsPerSecond;
  options.stream.route.from = {.mac = {0x02, 0x66, 0x6C, 0, 0, 1}, .ip = {198, 18, 0, 1}};
  options.stream.route.to = {.mac = {0x02, 0x66, 0x6C, 0, 0, 2}, .ip = {198, 18, 0, 2}};
  options.trial_ns = 2 * kNsPerSecond;
}

void add_parts(CLI::App& probe, ProbeOptions& options, Exit& exit) {
  CLI::App* cabling = probe.add_subcommand("cabling", "Say which interface hears which");
  cabling->add_option("INTERFACE", options.cables, "INTERFACE, NETNS/INTERFACE or {driver: …}")
      ->required()
      ->expected(2, 64);
  add_form(*cabling, options);
  cabling->callback([&options, &exit] { exit = run_cabling(options); });

  CLI::App* characterise = probe.add_subcommand(
      "characterise", "Throughput and latency by frame size, in the words of RFC 2544");
  add_stream(*characterise, options);
  characterise->add_option_function<std::string>(
      "--baseline",
      [&options](const std::string& word) {
        options.baseline = parts_of(word);
        if (options.baseline.size() != 2)
          throw CLI::ValidationError("--baseline", word + " is not FROM,TO");
      },
      "FROM,TO: a pair with nothing in between, to be subtracted");
  add_time(*characterise, "--trial", options.trial_ns, "how long each trial sends, default 2s");
  add_form(*characterise, options);
  characterise->callback([&options, &exit, characterise] {
    if (characterise->count("--size") == 0)
      options.stream.sizes = {64, 128, 256, 512, 1024, 1280, 1518};
    if (characterise->count("--rate") == 0)
      options.stream.frames_per_second = 0;
    exit = is_ready(options, *characterise) ? run_characterise(options) : Exit::kUsage;
  });
}

}  // namespace

void add_probe(CLI::App& app, ProbeOptions& options, Exit& exit) {
  set_defaults(options);
  CLI::App* probe = app.add_subcommand(
      "probe", "Send numbered frames from one interface to another, and check what comes");
  add_stream(*probe, options);
  probe->add_flag("--both", options.stream.both, "and back");
  add_time(*probe, "--duration", options.stream.duration_ns,
           "how long frames are sent, default 10s; 0: until it is ended");
  probe->add_option_function<std::string>(
      "--count",
      [&options](const std::string& word) {
        const auto count = parse_count(word);
        if (!count || *count == 0)
          throw CLI::ValidationError("--count", word + " is no count of 1 or more");
        options.stream.count = *count;
      },
      "at most so many frames each way");
  add_time(*probe, "--silence", options.stream.silence_ns,
           "gives up when nothing has come by then, default 5s; 0: never");
  probe->add_flag("--by-flow", options.stream.by_flow, "each flow's figures too");
  add_form(*probe, options);
  add_parts(*probe, options, exit);
  probe->callback([&options, &exit, probe] {
    if (!probe->get_subcommands().empty())
      return;
    if (probe->count("--duration") == 0 && options.stream.count == 0)
      options.stream.duration_ns = 10 * kNsPerSecond;
    exit = is_ready(options, *probe) ? run_probe(options) : Exit::kUsage;
  });
}

}  // namespace faultline
