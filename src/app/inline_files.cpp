// Looking for names of files in `rules:` → `impair:` and `match:`.
#include "app/inline_files.hpp"

#include <filesystem>

#include "base/file.hpp"

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
        for (ConfigEntry& entry : item.entries) put_in(entry.value, {"file", "trace"});
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
      ConfigNode contents;
      contents.kind = ConfigNode::Kind::kScalar;
      contents.quoted = true;
      contents.text = text.text;
      contents.mark = name->mark;
      node.set("contents", std::move(contents));
      ++count_;
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
