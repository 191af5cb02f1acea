// Models by name.
#include "policy/system_model.hpp"

#include <initializer_list>

#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kLossesDefault = 1'000;

std::uint32_t mask_of(std::initializer_list<DropReason> reasons) {
  std::uint32_t mask = 0;
  for (const DropReason reason : reasons) mask |= 1U << static_cast<unsigned>(reason);
  return mask;
}

/// What the user did, or a switch: no model speaks of it.
std::uint32_t not_the_wires() {
  return mask_of({DropReason::kHeal, DropReason::kShutdown});
}

constexpr std::uint32_t kAllReasons = (1U << kDropReasons) - 1;

class ModelReader {
 public:
  ModelReader(MappingReader& reader, const ConfigNode& node, Problems& problems)
      : reader_(reader), node_(node), problems_(problems) {}

  void read(SystemModel& model) {
    model.drops_allowed = not_the_wires();
    if (model.name == "synchronous") {
      model.delay_ns = required("delay_max");
    } else if (model.name == "partially-synchronous") {
      model.gst_ns = required("gst");
      model.delay_ns = required("after");
      read_before(model);
    } else if (model.name == "fair-loss") {
      model.drops_allowed = kAllReasons;
      model.duplicates = true;
      model.losses_max = static_cast<std::uint32_t>(losses());
    } else if (model.name == "crash-stop") {
      model.drops_allowed |= mask_of({DropReason::kCrash});
      model.answers = true;
    } else if (model.name == "crash-recovery") {
      model.drops_allowed |= mask_of({DropReason::kCrash, DropReason::kPause});
      model.answers = true;
    } else if (model.name == "byzantine") {
      model.drops_allowed = kAllReasons;
      model.duplicates = model.answers = model.lies = true;
    }
  }

 private:
  std::uint64_t required(std::string_view key) {
    const ConfigNode* value = reader_.take(key);
    if (value != nullptr)
      return read_duration_ns(*value, {1, kDurationMaxNs}, problems_).value_or(1);
    problems_.push_back(
        problem_at(node_.mark, "model: '" + std::string(key) + "' is missing", "a duration"));
    return 1;
  }

  /// `any`, `lossy`, or the most that packets take before the GST.
  void read_before(SystemModel& model) {
    const ConfigNode* value = reader_.take("before");
    if (value == nullptr || (value->is_scalar() && value->text == "any"))
      return;
    if (value->is_scalar() && value->text == "lossy")
      model.loses_before_gst = true;
    else
      model.delay_before_ns = read_duration_ns(*value, {1, kDurationMaxNs}, problems_).value_or(1);
  }

  std::uint64_t losses() {
    const ConfigNode* value = reader_.take("losses_max");
    return value == nullptr ? kLossesDefault
                            : read_count(*value, {1, 60'000}, problems_).value_or(1);
  }

  MappingReader& reader_;
  const ConfigNode& node_;
  Problems& problems_;
};

}  // namespace

std::optional<SystemModel> read_system_model(const ConfigNode& node, Problems& problems) {
  constexpr std::string_view kNames[] = {
      "synchronous", "partially-synchronous", "asynchronous", "fair-loss",
      "crash-stop",  "crash-recovery",        "byzantine"};
  const std::size_t before = problems.size();
  ConfigNode mapping = node;
  if (!node.is_mapping()) {
    mapping = ConfigNode{};
    mapping.kind = ConfigNode::Kind::kMapping;
    mapping.mark = node.mark;
    mapping.set("name", node);
  }
  SystemModel model;
  MappingReader reader(mapping, "model", problems);
  if (const ConfigNode* value = reader.require("name"))
    if (const auto word = read_word(*value, {std::begin(kNames), std::end(kNames)}, problems))
      model.name = kNames[*word];
  ModelReader(reader, node, problems).read(model);
  reader.finish();
  if (problems.size() != before)
    return std::nullopt;
  return model;
}

}  // namespace faultline
