// Finding the model that an item of an `impair:` list names. What a model's parameters mean is its
// own file's business.
#include "impair/impairment.hpp"

#include <string>
#include <vector>

namespace faultline {
namespace {

std::string join(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) {
    text += text.empty() ? "" : ", ";
    text += word;
  }
  return text;
}

/// What stands behind `model:`, or the scalar `all`, which is a model's name by itself.
const ConfigNode* model_node(const ConfigNode& value) {
  if (value.is_scalar() && value.text == "all")
    return &value;
  return value.is_mapping() ? value.find("model") : nullptr;
}

const ImpairmentModel* find_model(std::string_view kind, const ConfigNode& value,
                                  Problems& problems) {
  const ConfigNode* named = model_node(value);
  std::vector<std::string_view> known;
  for (const ImpairmentModel* model : impairment_registry()) {
    if (model->kind != kind)
      continue;
    if (model->model.empty() || (named == nullptr && model->is_default))
      return model;
    if (named != nullptr && named->is_scalar() && !named->text.empty() &&
        (named->text == model->model || named->text == model->alias))
      return model;
    known.push_back(model->model);
  }
  problems.push_back(problem_at(named->mark, "unknown model " + describe(*named), join(known),
                                nearest_word(named->text, known)));
  return nullptr;
}

bool kind_exists(std::string_view kind, std::vector<std::string_view>& known) {
  bool found = false;
  for (const ImpairmentModel* model : impairment_registry()) {
    found |= model->kind == kind;
    if (known.empty() || known.back() != model->kind)
      known.push_back(model->kind);
  }
  return found;
}

}  // namespace

CompileContext context_of(CompileContext context, const ConfigNode& impair) {
  if (context.index > 0) {
    const ConfigNode& before = impair.items[context.index - 1];
    if (before.is_mapping() && before.entries.size() == 1)
      context.kind_before = before.entries.front().key;
  }
  const bool asks = impair.items[context.index].find("reorder") != nullptr;
  for (std::uint32_t index = 0; asks && index < context.index && !context.delay_before; ++index)
    context.delay_before = impair.items[index].find("delay") != nullptr;
  if (context.index + 1 < impair.items.size())
    context.queue_behind = impair.items[context.index + 1].find("queue");
  return context;
}

std::optional<CompiledImpairment> compile_impairment(const ConfigNode& item,
                                                     const CompileContext& context,
                                                     std::string_view* kind, Problems& problems) {
  if (!item.is_mapping() || item.entries.size() != 1) {
    problems.push_back(
        problem_at(item.mark, "an impairment is one key with its value, found " + describe(item),
                   "for example {delay: 40ms}"));
    return std::nullopt;
  }
  const ConfigEntry& entry = item.entries.front();
  std::vector<std::string_view> known;
  if (!kind_exists(entry.key, known)) {
    problems.push_back(problem_at(entry.key_mark, "unknown impairment '" + entry.key + "'",
                                  join(known), nearest_word(entry.key, known)));
    return std::nullopt;
  }
  const ImpairmentModel* model = find_model(entry.key, entry.value, problems);
  if (model == nullptr)
    return std::nullopt;
  *kind = model->kind;
  std::optional<CompiledImpairment> compiled = model->compile(entry.value, context, problems);
  if (!compiled)
    return std::nullopt;
  compiled->model = model->model;
  compiled->reads_frames = !model->blind;
  const ConfigNode* action = entry.value.find("action");
  if (action != nullptr && action->text == "mark-ce")
    compiled->loss.reset();  // what is marked instead is the traffic's
  return compiled;
}

}  // namespace faultline
