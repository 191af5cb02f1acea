// Looking for names of files in `rules:` → `impair:`.
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
    ConfigNode* impair = node.is_mapping() ? node.find("impair") : nullptr;
    if (impair == nullptr || !impair->is_sequence())
      return;
    for (ConfigNode& item : impair->items)
      if (item.is_mapping())
        for (ConfigEntry& entry : item.entries) impairment(entry.value);
  }

  std::size_t count() const { return count_; }

 private:
  void impairment(ConfigNode& node) {
    if (!node.is_mapping() || node.find("contents") != nullptr)
      return;
    for (const std::string_view key : {"file", "trace"}) {
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
