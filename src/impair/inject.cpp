// inject: frames of one's own, forged, written out or captured, once or periodically. No packet is
// asked anything; the workers send by the schedule.
#include <charconv>

#include <fmt/format.h>

#include "impair/edits.hpp"
#include "impair/forge_reader.hpp"
#include "impair/frame_schedule.hpp"

namespace faultline {
namespace {

constexpr std::size_t kFrameBytesMin = 14;  ///< an Ethernet header
constexpr std::size_t kFrameBytesMax = 9'216;
constexpr std::size_t kFramesMax = 10'000;
constexpr std::uint64_t kEveryMinNs = 10'000;

std::string lengths_text() {
  return fmt::format("{} to {} bytes", kFrameBytesMin, kFrameBytesMax);
}

/// Reads a capture as whoever opened it wrote it down: a line a frame, its time in ns since the
/// first one and its bytes in hex.
class FrameLines {
 public:
  FrameLines(const ConfigNode& contents, std::string_view name, Problems& problems)
      : contents_(contents), name_(name), problems_(problems) {}

  std::vector<ScheduledFrame> read() {
    std::string_view text = contents_.text;
    for (std::size_t line = 1; !text.empty() && !wrong_; ++line) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      take(text.substr(0, end), line);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    if (frames_.empty() && !wrong_)
      complain("no frame", "one frame or more");
    return std::move(frames_);
  }

 private:
  void take(std::string_view line, std::size_t number) {
    ScheduledFrame frame;
    const auto [end, error] =
        std::from_chars(line.data(), line.data() + line.size(), frame.offset_ns);
    const bool timed = error == std::errc{} && end != line.data() + line.size() && *end == ' ' &&
                       frame.offset_ns <= kDurationMaxNs;
    const auto bytes = timed
                           ? parse_hex(line.substr(static_cast<std::size_t>(end - line.data()) + 1))
                           : std::nullopt;
    if (!bytes)
      complain(fmt::format("line {}: found '{}'", number, line.substr(0, 40)),
               "a time in ns and a frame in hex");
    else if (bytes->size() < kFrameBytesMin || bytes->size() > kFrameBytesMax)
      complain(fmt::format("frame {} has {} bytes", number, bytes->size()), lengths_text());
    else if (!frames_.empty() && frame.offset_ns < frames_.back().offset_ns)
      complain(fmt::format("frame {} is earlier than the one before it", number),
               "times that do not fall");
    else if (frames_.size() == kFramesMax)
      complain(fmt::format("more than {} frames", kFramesMax), "a shorter capture");
    else
      frames_.push_back({frame.offset_ns, *bytes});
  }

  void complain(const std::string& found, std::string allowed) {
    problems_.push_back(
        problem_at(contents_.mark, fmt::format("pcap {}: {}", name_, found), std::move(allowed)));
    wrong_ = true;
  }

  const ConfigNode& contents_;
  std::string_view name_;
  Problems& problems_;
  std::vector<ScheduledFrame> frames_;
  bool wrong_ = false;
};

void read_hex_frame(const ConfigNode& node, FrameSchedule& schedule, Problems& problems) {
  const auto bytes = node.is_scalar() ? parse_hex(node.text) : std::nullopt;
  if (!bytes)
    problems.push_back(problem_at(node.mark, "found " + describe(node), "pairs of hex digits"));
  else if (bytes->size() < kFrameBytesMin || bytes->size() > kFrameBytesMax)
    problems.push_back(
        problem_at(node.mark, fmt::format("a frame of {} bytes", bytes->size()), lengths_text()));
  else
    schedule.frames.push_back({0, *bytes});
}

void read_frames(MappingReader& reader, FrameSchedule& schedule, Problems& problems) {
  const ConfigNode* hex = reader.take("hex");
  const ConfigNode* pcap = reader.take("pcap");
  const ConfigNode* forge = reader.take("forge");
  const ConfigNode* contents = reader.take("contents");
  const int named = (hex != nullptr) + (pcap != nullptr) + (forge != nullptr);
  if (named != 1)
    problems.push_back(
        problem_at(reader.node().mark, "inject: which frames?", "just one of hex, pcap, forge"));
  else if (hex != nullptr)
    read_hex_frame(*hex, schedule, problems);
  else if (forge != nullptr)
    schedule.frames.push_back({0, read_forged(*forge, problems).value_or(ForgedFrame{})});
  else if (contents == nullptr || !contents->is_scalar())
    problems.push_back(problem_at(pcap->mark,
                                  "the frames of file " + describe(*pcap) + " did not come along",
                                  "contents: with the file's frames"));
  else
    schedule.frames = FrameLines(*contents, pcap->text, problems).read();
}

void read_times(MappingReader& reader, FrameSchedule& schedule, Problems& problems) {
  if (const ConfigNode* value = reader.take("at"))
    schedule.first_ns = read_duration_ns(*value, {0, kDurationMaxNs}, problems).value_or(0);
  const ConfigNode* every = reader.take("every");
  if (every != nullptr) {
    schedule.rounds = 0;
    schedule.every_ns =
        read_duration_ns(*every, {kEveryMinNs, kDurationMaxNs}, problems).value_or(UINT64_MAX);
    if (!schedule.frames.empty() && schedule.frames.back().offset_ns >= schedule.every_ns)
      problems.push_back(problem_at(every->mark,
                                    "every " + format_duration(schedule.every_ns) +
                                        ", and the capture takes " +
                                        format_duration(schedule.frames.back().offset_ns),
                                    "longer than the capture"));
  }
  if (const ConfigNode* value = reader.take("count")) {
    if (every == nullptr)
      problems.push_back(problem_at(value->mark, "count without every", "every: with the period"));
    schedule.rounds = read_count(*value, {1, 1'000'000'000}, problems).value_or(1);
  }
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext&,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  auto schedule = std::make_shared<FrameSchedule>();
  MappingReader reader(node, "inject", problems);
  read_frames(reader, *schedule, problems);
  read_times(reader, *schedule, problems);
  if (const ConfigNode* value = reader.take("to")) {
    schedule->to = read_name(*value, problems).value_or("");
    schedule->to_mark = value->mark;
  }
  reader.finish();
  if (problems.size() != before)
    return std::nullopt;
  schedule->fingerprint = hash_name(to_yaml(node));
  // One worker sends what the rule as a whole asks for.
  return CompiledImpairment{
      .schedule = std::move(schedule), .scope = Per::kRule, .owns_scope = true};
}

}  // namespace

extern const ImpairmentModel kModel_inject;
const ImpairmentModel kModel_inject{"inject", "", "", true, compile};

}  // namespace faultline
