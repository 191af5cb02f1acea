// Looking for names of files in `rules:` → `impair:` and `match:`.
#include "app/inline_files.hpp"

#include <filesystem>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/file.hpp"
#include "record/capture_reader.hpp"

namespace faultline {
namespace {

class Inliner {
 public:
  Inliner(const std::string& scenario_path, Problems& problems)
      : folder_(std::filesystem::path(scenario_path).parent_path()), problems_(problems) {}

  void rule(ConfigNode& node) {
    if (ConfigNode* wanted = node.is_mapping() ? node.find("match") : nullptr)
      match(*wanted, 0);
    ConfigNode* impair = node.is_mapping() ? node.find("impair") : nullptr;
    if (impair == nullptr || !impair->is_sequence())
      return;
    for (ConfigNode& item : impair->items)
      if (item.is_mapping())
        for (ConfigEntry& entry : item.entries) {
          if (entry.key == "inject")
            put_in_capture(entry.value);
          else
            put_in(entry.value, {"file", "trace"});
        }
  }

  std::size_t count() const { return count_; }

 private:
  /// The patterns of payloads, wherever they stand in a match.
  void match(ConfigNode& node, std::size_t depth) {
    if (depth > kConfigDepthMax)
      return;
    for (ConfigNode& item : node.items) match(item, depth + 1);
    for (ConfigEntry& entry : node.entries) {
      if (entry.key == "payload")
        put_in(entry.value, {"patterns"});
      else
        match(entry.value, depth + 1);
    }
  }

  /// Puts a capture beside `pcap`: a line a frame, its time in ns since the first and its bytes in
  /// hex.
  void put_in_capture(ConfigNode& node) {
    const ConfigNode* name = node.is_mapping() ? node.find("pcap") : nullptr;
    if (name == nullptr || !name->is_scalar() || name->text.empty() ||
        node.find("contents") != nullptr)
      return;
    const auto lines = capture_lines((folder_ / name->text).string());
    if (!lines) {
      for (const Problem& problem : lines.error())
        problems_.push_back(problem_at(
            name->mark, describe(*name) + ": " + problem.message,
            "a capture of Ethernet of at most 1 MiB in hex; its name counts from the scenario's "
            "folder"));
      return;
    }
    put_contents(node, *name, *lines);
  }

  static Result<std::string> capture_lines(const std::string& path) {
    Result<CaptureReader> reader = CaptureReader::open(path);
    if (!reader)
      return tl::unexpected(reader.error());
    std::string lines;
    std::optional<std::uint64_t> first_ns;
    CapturedPacket packet;
    for (;;) {
      const Result<bool> read = reader->next(packet);
      if (!read)
        return tl::unexpected(read.error());
      if (!*read)
        return lines;
      const std::uint64_t begin_ns = first_ns.value_or(packet.time_ns);
      first_ns = begin_ns;
      const auto complain = [&](std::string_view what) {
        return tl::unexpected(Problems{problem_at({path, 0, 0}, std::string(what))});
      };
      if (packet.time_ns < begin_ns)
        return complain("has frames that are earlier than the first");
      if (packet.bytes.size() < packet.original_length_bytes)
        return complain("has frames of which the capture kept not all bytes");
      fmt::format_to(std::back_inserter(lines), "{} ", packet.time_ns - begin_ns);
      for (const std::byte byte : packet.bytes)
        fmt::format_to(std::back_inserter(lines), "{:02x}", std::to_integer<unsigned>(byte));
      lines += '\n';
      if (lines.size() > kConfigBytesMax)
        return complain("is too large");
    }
  }

  void put_contents(ConfigNode& node, const ConfigNode& name, std::string text) {
    ConfigNode contents;
    contents.kind = ConfigNode::Kind::kScalar;
    contents.quoted = true;
    contents.text = std::move(text);
    contents.mark = name.mark;
    node.set("contents", std::move(contents));
    ++count_;
  }

  /// Puts the text of the file that one of `keys` names beside that key.
  void put_in(ConfigNode& node, std::initializer_list<std::string_view> keys) {
    if (!node.is_mapping() || node.find("contents") != nullptr)
      return;
    for (const std::string_view key : keys) {
      const ConfigNode* name = node.find(key);
      if (name == nullptr || !name->is_scalar() || name->text.empty())
        continue;
      const FileText text = read_file((folder_ / name->text).string(), kConfigBytesMax);
      if (!text.readable || text.text.size() > kConfigBytesMax) {
        problems_.push_back(problem_at(
            name->mark,
            describe(*name) + (text.readable ? " is too large" : " cannot be read: ") + text.why,
            "a file of at most 1 MiB; its name counts from the scenario's folder"));
        return;
      }
      put_contents(node, *name, text.text);
      return;
    }
  }

  std::filesystem::path folder_;
  Problems& problems_;
  std::size_t count_ = 0;
};

}  // namespace

std::size_t inline_files(ConfigNode& tree, const std::string& scenario_path, Problems& problems) {
  Inliner inliner(scenario_path, problems);
  ConfigNode* rules = tree.is_mapping() ? tree.find("rules") : nullptr;
  if (rules != nullptr && rules->is_sequence())
    for (ConfigNode& rule : rules->items) inliner.rule(rule);
  return inliner.count();
}

}  // namespace faultline
