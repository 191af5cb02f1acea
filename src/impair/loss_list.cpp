// loss, model list: exactly the matching packets with these numbers, from the scenario or from the
// text of a file.
#include <algorithm>
#include <memory>
#include <vector>

#include "base/units.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
using Ranges = std::vector<Range>;

struct List {
  const Range* ranges = nullptr;  ///< ascending, apart
  std::size_t count = 0;
  LossAction action = LossAction::kDrop;

  bool holds(std::uint64_t number) const noexcept {
    const Range* behind = std::partition_point(
        ranges, ranges + count, [number](const Range& range) { return range.last < number; });
    return behind != ranges + count && behind->first <= number;
  }
};

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const List& list = parameters.as<List>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    if (list.holds(asked.match_number[i]))
      lose(list.action, burst, i);
  }
}

Explanation explain(const Parameters&, const Asked& asked, const JudgedBurst&, std::uint8_t i) {
  return {{}, {}, "match number " + std::to_string(asked.match_number[i])};
}

std::optional<Range> parse_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = parse_count(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_count(text.substr(dash + 1));
  if (!first || !last || *first == 0 || *last < *first)
    return std::nullopt;
  return Range{*first, *last};
}

constexpr const char* kAllowed = "packet numbers from 1, such as 5 or 10-20";

void read_ranges(const ConfigNode& node, Ranges& ranges, Problems& problems) {
  if (!node.is_sequence()) {
    problems.push_back(problem_at(node.mark, "packets is " + describe(node), "a list"));
    return;
  }
  for (const ConfigNode& item : node.items) {
    const auto range = item.is_scalar() ? parse_range(item.text) : std::nullopt;
    if (range)
      ranges.push_back(*range);
    else
      problems.push_back(problem_at(item.mark, "found " + describe(item), kAllowed));
  }
}

/// Numbers and ranges with blanks, commas or line ends between them; the rest of a line behind '#'
/// is a comment.
void read_file(const ConfigNode& contents, const std::string& name, Ranges& ranges,
               Problems& problems) {
  std::string_view text = contents.text;
  std::size_t line = 1;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = text.substr(0, std::min(end, text.find('#')));
    while (!rest.empty()) {
      const std::size_t begin = rest.find_first_not_of(" \t\r,");
      if (begin == std::string_view::npos)
        break;
      rest.remove_prefix(begin);
      const std::string_view word = rest.substr(0, rest.find_first_of(" \t\r,"));
      rest.remove_prefix(word.size());
      if (const auto range = parse_range(word))
        ranges.push_back(*range);
      else
        problems.push_back(problem_at(
            contents.mark, name + ", line " + std::to_string(line) + ": found " + in_quotes(word),
            kAllowed));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
  }
}

/// Ascending, and none touching another.
std::shared_ptr<const Ranges> merged(Ranges ranges) {
  std::ranges::sort(ranges, {}, &Range::first);
  auto kept = std::make_shared<Ranges>();
  for (const Range& range : ranges) {
    if (!kept->empty() && (kept->back().last == UINT64_MAX || range.first <= kept->back().last + 1))
      kept->back().last = std::max(kept->back().last, range.last);
    else
      kept->push_back(range);
  }
  return kept;
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext&,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  Ranges ranges;
  List list;
  MappingReader reader(node, "loss", problems);
  reader.take("model");
  list.action = read_loss_action(reader, problems);
  const ConfigNode* packets = reader.take("packets");
  const ConfigNode* file = reader.take("file");
  const ConfigNode* contents = reader.take("contents");
  if (packets != nullptr)
    read_ranges(*packets, ranges, problems);
  if (contents != nullptr && contents->is_scalar())
    read_file(*contents, file != nullptr ? file->text : "contents", ranges, problems);
  else if (file != nullptr)
    problems.push_back(problem_at(file->mark,
                                  "the text of file " + describe(*file) + " did not come along",
                                  "contents: with the file's text"));
  if (packets == nullptr && file == nullptr && contents == nullptr)
    problems.push_back(
        problem_at(node.mark, "loss: neither 'packets' nor 'file'", "one of the two"));
  reader.finish();
  if (problems.size() != problems_before)
    return std::nullopt;
  const std::shared_ptr<const Ranges> kept = merged(std::move(ranges));
  list.ranges = kept->data();
  list.count = kept->size();
  return CompiledImpairment{.parameters = Parameters::from(list),
                            .decide = decide,
                            .explain = explain,
                            .tables = kept,
                            .uses_match_number = true,
                            .drops = true,
                            .owns_scope = true};
}

}  // namespace

extern const ImpairmentModel kModel_loss_list;
const ImpairmentModel kModel_loss_list{"loss", "list", "", false, compile, true};

}  // namespace faultline
