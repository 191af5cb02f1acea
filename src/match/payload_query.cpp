// Reading `payload:` and asking Hyperscan about each pattern on its own, so that all that it
// refuses are told at once.
#include "match/payload_query.hpp"

#include <hs.h>

#include <cctype>
#include <cstdlib>

#include <fmt/format.h>

#include "base/units.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kPayloadBytesMax = 65'535;
constexpr std::uint64_t kStreamBytesMax = std::uint64_t{1} << 40;

/// Bytes as an expression that means just them.
std::string literal_expression(std::string_view bytes) {
  std::string expression;
  for (const char byte : bytes) {
    const auto code = static_cast<std::uint8_t>(byte);
    if (std::isalnum(code) != 0 && code < 0x80)
      expression += byte;
    else
      expression += fmt::format("\\x{:02x}", code);
  }
  return expression;
}

/// What Hyperscan says of an expression by itself.
struct ExpressionFacts {
  std::string refused;  ///< why; empty: it is taken
  std::uint64_t bytes_min = 0;
  std::uint64_t bytes_max = 0;
};

/// Only compiling shows that a pattern needs no bytes to match.
std::string why_not_compiled(const PayloadPattern& pattern) {
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  std::string why;
  if (hs_compile(pattern.expression.c_str(), pattern.flags, HS_MODE_BLOCK, nullptr, &database,
                 &error) != HS_SUCCESS)
    why = error != nullptr ? error->message : "it cannot be compiled";
  hs_free_compile_error(error);
  hs_free_database(database);
  return why;
}

ExpressionFacts ask_hyperscan(const PayloadPattern& pattern) {
  hs_expr_ext_t bounds{};
  if (pattern.end_min_bytes > 0)
    bounds.flags |= HS_EXT_FLAG_MIN_OFFSET;
  bounds.min_offset = pattern.end_min_bytes;
  if (pattern.end_max_bytes)
    bounds.flags |= HS_EXT_FLAG_MAX_OFFSET;
  bounds.max_offset = pattern.end_max_bytes.value_or(0);
  hs_expr_info_t* info = nullptr;
  hs_compile_error_t* error = nullptr;
  ExpressionFacts facts;
  if (hs_expression_ext_info(pattern.expression.c_str(), pattern.flags, &bounds, &info, &error) !=
      HS_SUCCESS) {
    facts.refused = error != nullptr ? error->message : "it cannot be read";
    hs_free_compile_error(error);
    return facts;
  }
  facts.bytes_min = info->min_width;
  facts.bytes_max = info->max_width;
  std::free(info);
  if (facts.bytes_min == 0)
    facts.refused = why_not_compiled(pattern);
  return facts;
}

class QueryReader {
 public:
  QueryReader(const ConfigNode& node, Problems& problems)
      : node_(node), reader_(node, "payload", problems), problems_(problems) {}

  std::optional<PayloadQuery> read() {
    const std::size_t problems_before = problems_.size();
    if (!node_.is_mapping())
      return std::nullopt;  // the MappingReader has told it
    if (const ConfigNode* value = reader_.take("offset"))
      offset_bytes_ = read_count(*value, {0, kPayloadBytesMax}, problems_);
    if (const ConfigNode* value = reader_.take("within"))
      query_.within_bytes = read_size_bytes(*value, {1, kStreamBytesMax}, problems_);
    if (const ConfigNode* value = reader_.take("stream"))
      query_.stream = read_bool(*value, problems_).value_or(false);
    query_.at_offset = offset_bytes_.has_value();
    read_patterns();
    reader_.finish();
    if (problems_.size() != problems_before)
      return std::nullopt;
    return std::move(query_);
  }

 private:
  void read_patterns() {
    const ConfigNode* literal = reader_.take("literal");
    const ConfigNode* regex = reader_.take("regex");
    const ConfigNode* hex = reader_.take("hex");
    const ConfigNode* patterns = reader_.take("patterns");
    const ConfigNode* contents = reader_.take("contents");
    const ConfigNode* flags = reader_.take("flags");
    const int kinds = (literal != nullptr) + (regex != nullptr) + (hex != nullptr) +
                      (patterns != nullptr || contents != nullptr);
    if (kinds != 1) {
      problems_.push_back(problem_at(
          node_.mark, kinds == 0 ? "a payload without a pattern" : "a payload of several kinds",
          "just one of literal, regex, hex, patterns"));
      return;
    }
    if (flags != nullptr)
      read_flags(*flags, literal != nullptr ? "i" : hex != nullptr ? "" : "imsu");
    if (literal != nullptr)
      add_literal(*literal);
    else if (hex != nullptr)
      add_hex(*hex);
    else if (regex != nullptr)
      add_regex(*regex, is_text(*regex) ? regex->text : "");
    else
      add_list(patterns, contents);
  }

  static bool is_text(const ConfigNode& node) { return node.is_scalar() && !node.text.empty(); }

  void read_flags(const ConfigNode& node, std::string_view allowed) {
    constexpr std::pair<char, std::uint32_t> kFlags[] = {{'i', HS_FLAG_CASELESS},
                                                         {'m', HS_FLAG_MULTILINE},
                                                         {'s', HS_FLAG_DOTALL},
                                                         {'u', HS_FLAG_UTF8}};
    bool known = node.is_scalar();
    for (const char letter : node.text) {
      known &= allowed.find(letter) != std::string_view::npos;
      for (const auto& [name, flag] : kFlags) flags_ |= name == letter ? flag : 0;
    }
    if (known)
      return;
    const std::string_view what =
        allowed.empty()  ? "no flags with hex"
        : allowed == "i" ? "with literal only i (any case)"
                         : "letters of i (any case), m (^ and $ at lines), s (. is any byte), u "
                           "(UTF-8)";
    problems_.push_back(
        problem_at(node.mark, "unknown flags " + describe(node), std::string(what)));
  }

  void add_literal(const ConfigNode& node) {
    if (!is_text(node)) {
      problems_.push_back(problem_at(node.mark, "literal is " + describe(node), "a text"));
      return;
    }
    add(node, node.text, literal_expression(node.text), 0);
  }

  void add_hex(const ConfigNode& node) {
    const auto bytes = node.is_scalar() ? parse_hex(node.text) : std::nullopt;
    if (!bytes || bytes->empty()) {
      problems_.push_back(problem_at(node.mark, "hex is " + describe(node),
                                     "pairs of hex digits, such as \"deadbeef\""));
      return;
    }
    add(node, node.text,
        literal_expression({reinterpret_cast<const char*>(bytes->data()), bytes->size()}), 0);
  }

  void add_regex(const ConfigNode& node, const std::string& text, std::uint32_t line = 0) {
    if (text.empty() || text.find('\0') != std::string::npos) {
      problems_.push_back(
          problem_at(node.mark, "a pattern is " + describe(node), "a regular expression"));
      return;
    }
    add(node, text, text, line);
  }

  void add_list(const ConfigNode* patterns, const ConfigNode* contents) {
    if (patterns != nullptr && patterns->is_sequence()) {
      if (patterns->items.empty())
        problems_.push_back(
            problem_at(patterns->mark, "an empty list matches nothing", "at least one value"));
      for (const ConfigNode& item : patterns->items)
        add_regex(item, item.is_scalar() ? item.text : "");
      return;
    }
    if (contents == nullptr || !contents->is_scalar()) {
      const Mark mark = patterns != nullptr ? patterns->mark : contents->mark;
      problems_.push_back(problem_at(mark, "the patterns' text is not there",
                                     "a list, a file beside the scenario, or contents: with the "
                                     "file's text"));
      return;
    }
    query_.file = patterns != nullptr && patterns->is_scalar() ? patterns->text : "contents";
    add_lines(*contents);
  }

  void add_lines(const ConfigNode& contents) {
    std::string_view text = contents.text;
    for (std::uint32_t line = 1; !text.empty(); ++line) {
      const std::size_t end = text.find('\n');
      std::string_view pattern = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      if (pattern.ends_with('\r'))
        pattern.remove_suffix(1);
      if (!pattern.empty())
        add_regex(contents, std::string(pattern), line);
    }
    if (query_.patterns.empty())
      problems_.push_back(
          problem_at(contents.mark, query_.file + ": no patterns", "one pattern a line"));
  }

  /// Narrows the expression to the place it may have, as Hyperscan can say it: by where matches
  /// end, or, where their length varies, by what stands before them.
  void add(const ConfigNode& node, const std::string& written, std::string expression,
           std::uint32_t line) {
    PayloadPattern pattern{std::move(expression), written, node.mark, line, flags_, 0, {}};
    ExpressionFacts facts = ask_hyperscan(pattern);
    if (facts.refused.empty() && (offset_bytes_ || query_.within_bytes)) {
      pattern.end_max_bytes = query_.within_bytes;
      if (offset_bytes_ && facts.bytes_min == facts.bytes_max)
        put_end(pattern, *offset_bytes_ + facts.bytes_min);
      else if (offset_bytes_ && (flags_ & HS_FLAG_UTF8) != 0)
        facts.refused =
            "offset counts bytes, and a pattern with flag u whose length varies does "
            "not";
      else if (offset_bytes_)
        put_begin(pattern, *offset_bytes_);
      if (facts.refused.empty())
        facts = ask_hyperscan(pattern);
    }
    if (facts.refused.empty())
      query_.patterns.push_back(std::move(pattern));
    else
      problems_.push_back(problem_of_pattern(pattern, query_.file, facts.refused));
  }

  static void put_end(PayloadPattern& pattern, std::uint64_t end_bytes) {
    pattern.end_min_bytes = end_bytes;
    pattern.end_max_bytes = std::min(pattern.end_max_bytes.value_or(end_bytes), end_bytes);
  }

  static void put_begin(PayloadPattern& pattern, std::uint64_t bytes) {
    const std::string before = bytes > 0 ? fmt::format("(?s:.{{{}}})", bytes) : "";
    pattern.expression = fmt::format("\\A{}(?:{})", before, pattern.expression);
  }

  const ConfigNode& node_;
  MappingReader reader_;
  Problems& problems_;
  PayloadQuery query_;
  std::uint32_t flags_ = 0;
  std::optional<std::uint64_t> offset_bytes_;
};

}  // namespace

Problem problem_of_pattern(const PayloadPattern& pattern, const std::string& file,
                           std::string said) {
  while (said.ends_with('.')) said.pop_back();
  const std::string place =
      pattern.line == 0 ? "" : fmt::format("{}, line {}: ", file, pattern.line);
  return problem_at(pattern.mark,
                    fmt::format("{}pattern {}: {}", place, in_quotes(pattern.written), said),
                    "a pattern that Hyperscan takes");
}

std::string PayloadQuery::text() const {
  const std::string first = in_quotes(patterns.front().written);
  return patterns.size() == 1 ? first : fmt::format("{} or {} more", first, patterns.size() - 1);
}

std::string PayloadQuery::content() const {
  std::string content =
      fmt::format("{} {} {} {}\n", stream, at_offset, within_bytes.value_or(0), patterns.size());
  for (const PayloadPattern& pattern : patterns)
    content += fmt::format("{} {} {} {} {}\n", pattern.flags, pattern.end_min_bytes,
                           pattern.end_max_bytes ? std::to_string(*pattern.end_max_bytes) : "-",
                           pattern.expression.size(), pattern.expression);
  return content;
}

std::optional<PayloadQuery> read_payload_query(const ConfigNode& node, Problems& problems) {
  return QueryReader(node, problems).read();
}

}  // namespace faultline
