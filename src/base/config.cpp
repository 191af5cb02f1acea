// From a user's text to a tree of nodes and back. libyaml is asked for events only, never for its
// own documents; every bound is checked before anything grows. What a key means is not known here.
#include "base/config.hpp"

#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "base/check.hpp"

namespace faultline {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;  ///< bytes; 0: no UTF-8 begins here
};

/// RFC 3629: shortest form only, no surrogates, at most U+10FFFF.
CodePoint decode_utf8(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) {
    return {.value = lead, .length = 1};
  }
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) {
    return {};
  }
  std::uint32_t value = lead & (0x7fU >> length);
  for (std::size_t index = 1; index < length; ++index) {
    const auto byte = static_cast<unsigned char>(text[index]);
    if ((byte & 0xc0) != 0x80) {
      return {};
    }
    value = (value << 6) | (byte & 0x3fU);
  }
  constexpr std::array<std::uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x1'0000};
  const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kSmallest[length] || value > 0x10'ffff || is_surrogate) {
    return {};
  }
  return {.value = value, .length = length};
}

/// YAML 1.1, production c-printable: what may stand in a text unescaped.
bool is_printable(std::uint32_t value) {
  return value == '\t' || value == '\n' || value == '\r' || (value >= 0x20 && value <= 0x7e) ||
         value == 0x85 || (value >= 0xa0 && value <= 0xd7ff) ||
         (value >= 0xe000 && value <= 0xfffd) || (value >= 0x1'0000 && value <= 0x10'ffff);
}

/// The first character that is no text, at its place. libyaml would find it too, but tells only a
/// byte's number.
std::optional<Problem> find_binary(std::string_view text, std::string_view file) {
  Mark mark = {.file = file, .line = 1, .column = 1};
  char before = '\0';
  for (std::size_t offset = 0; offset < text.size();) {
    const CodePoint point = decode_utf8(text.substr(offset));
    if (point.length == 0) {
      const auto byte = static_cast<unsigned char>(text[offset]);
      return problem_at(mark, fmt::format("the byte 0x{:02x} is not UTF-8", byte),
                        "YAML or JSON in UTF-8");
    }
    if (!is_printable(point.value)) {
      return problem_at(mark, fmt::format("the character U+{:04X} is no text", point.value),
                        "YAML or JSON in UTF-8");
    }
    const bool second_of_crlf = point.value == '\n' && before == '\r';
    if (point.value == '\r' || (point.value == '\n' && !second_of_crlf)) {
      ++mark.line;
      mark.column = 1;
    } else if (!second_of_crlf) {
      ++mark.column;
    }
    before = text[offset];
    offset += point.length;
  }
  return std::nullopt;
}

/// Whether to_yaml can write the text without quotes so that it comes back as the same plain
/// scalar.
bool is_plain_safe(std::string_view text) {
  constexpr std::string_view kIndicators = ",[]{}#&*!|>'\"%@`";
  if (text.empty() || text == "~" || text == "null" || text.starts_with("---") ||
      text.starts_with("...") || text.front() == ' ' || text.back() == ' ' || text.back() == ':' ||
      kIndicators.find(text.front()) != std::string_view::npos) {
    return false;
  }
  const bool is_marker = text.front() == '-' || text.front() == '?' || text.front() == ':';
  if (is_marker && (text.size() == 1 || text[1] == ' ')) {
    return false;
  }
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos) {
    return false;
  }
  // Beyond ASCII lie line ends and marks that YAML treats in its own way; letters never need to be
  // plain, so all of it goes into quotes.
  return std::all_of(text.begin(), text.end(),
                     [](char character) { return character >= 0x20 && character <= 0x7e; });
}

struct EventGuard {
  yaml_event_t event = {};

  EventGuard() = default;
  EventGuard(const EventGuard&) = delete;
  EventGuard& operator=(const EventGuard&) = delete;
  ~EventGuard() { yaml_event_delete(&event); }
};

/// Builds the tree from events with a stack of its own: nothing recurses.
class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, std::string_view file);
  TreeBuilder(const TreeBuilder&) = delete;
  TreeBuilder& operator=(const TreeBuilder&) = delete;
  ~TreeBuilder() { yaml_parser_delete(&parser_); }

  Result<ConfigNode> build();

 private:
  enum class Next { kContinue, kStop };

  /// A mapping or sequence that is not closed yet.
  struct Frame {
    ConfigNode node;
    bool has_key = false;     ///< a key has been read and waits for its value
    bool drop_value = false;  ///< that key was refused; its value is read and forgotten
    std::string key;
    Mark key_mark;
    std::unordered_map<std::string, Mark> seen;
  };

  Next handle(const yaml_event_t& event);
  Next begin_document(const yaml_event_t& event);
  void add_scalar(const yaml_event_t& event);
  void add_alias(const yaml_event_t& event);
  Next begin_collection(const yaml_event_t& event, ConfigNode::Kind kind);
  void end_collection();
  void attach(ConfigNode node, std::string_view key_text);
  void set_key(const ConfigNode& node, std::string_view key_text);
  void check_properties(const yaml_event_t& event, const yaml_char_t* anchor,
                        const yaml_char_t* tag);
  void report(const Mark& mark, std::string message, std::string allowed);
  void report_syntax();
  bool expects_key() const;
  char character_at(std::size_t index);
  Mark mark_of(const yaml_mark_t& mark) const;

  std::string_view text_;
  std::string_view file_;
  yaml_parser_t parser_ = {};
  std::vector<Frame> frames_;
  ConfigNode root_;
  Problems problems_;
  std::size_t documents_ = 0;
  std::size_t last_tag_index_ = SIZE_MAX;
  std::size_t cursor_index_ = 0;  ///< characters before the cursor
  std::size_t cursor_byte_ = 0;   ///< bytes before the cursor
};

TreeBuilder::TreeBuilder(std::string_view text, std::string_view file) : text_(text), file_(file) {
  FAULTLINE_CHECK(yaml_parser_initialize(&parser_) == 1);
  yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
  const char* const input = text.empty() ? "" : text.data();  // libyaml takes no null
  yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(input),
                               text.size());
  root_.mark = {.file = file, .line = 1, .column = 1};
  frames_.reserve(kConfigDepthMax);
}

Result<ConfigNode> TreeBuilder::build() {
  for (Next next = Next::kContinue; next == Next::kContinue;) {
    EventGuard guard;
    if (yaml_parser_parse(&parser_, &guard.event) == 0) {
      report_syntax();
      break;
    }
    next = handle(guard.event);
    if (problems_.size() >= kConfigProblemsMax) {
      report(mark_of(guard.event.start_mark),
             fmt::format("{} problems; what follows was not read", kConfigProblemsMax), {});
      break;
    }
  }
  if (!problems_.empty()) {
    return tl::unexpected<Problems>(std::move(problems_));
  }
  return std::move(root_);
}

TreeBuilder::Next TreeBuilder::handle(const yaml_event_t& event) {
  switch (event.type) {
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
      return Next::kContinue;
    case YAML_DOCUMENT_START_EVENT:
      return begin_document(event);
    case YAML_SCALAR_EVENT:
      add_scalar(event);
      return Next::kContinue;
    case YAML_ALIAS_EVENT:
      add_alias(event);
      return Next::kContinue;
    case YAML_SEQUENCE_START_EVENT:
      return begin_collection(event, ConfigNode::Kind::kSequence);
    case YAML_MAPPING_START_EVENT:
      return begin_collection(event, ConfigNode::Kind::kMapping);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
      end_collection();
      return Next::kContinue;
    case YAML_NO_EVENT:
    case YAML_STREAM_END_EVENT:
      break;
  }
  return Next::kStop;
}

TreeBuilder::Next TreeBuilder::begin_document(const yaml_event_t& event) {
  const Mark mark = mark_of(event.start_mark);
  if (++documents_ > 1) {
    report(mark, "a second document begins here", "one document in a file");
    return Next::kStop;
  }
  const auto& directives = event.data.document_start.tag_directives;
  if (directives.start != directives.end) {
    report(mark, "a %TAG directive", "no anchors, aliases or tags");
  }
  return Next::kContinue;
}

void TreeBuilder::add_scalar(const yaml_event_t& event) {
  const auto& scalar = event.data.scalar;
  check_properties(event, scalar.anchor, scalar.tag);
  const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
  ConfigNode node;
  node.mark = mark_of(event.start_mark);
  if (text.find('\0') != std::string_view::npos) {
    // Names and paths end up in C strings, where the rest of the text would be lost without a word.
    report(node.mark, "a text with the character U+0000 in it", "text without it");
  }
  const bool is_plain = scalar.style == YAML_PLAIN_SCALAR_STYLE;
  if (!is_plain || (!text.empty() && text != "~" && text != "null")) {
    node.kind = ConfigNode::Kind::kScalar;
    node.text = text;
    // A plain text that needs quotes when it is written again is no number either (see to_yaml).
    node.quoted = !is_plain || !is_plain_safe(text);
  }
  attach(std::move(node), text);
}

void TreeBuilder::add_alias(const yaml_event_t& event) {
  ConfigNode node;
  node.mark = mark_of(event.start_mark);
  const auto* const name = reinterpret_cast<const char*>(event.data.alias.anchor);
  report(node.mark, fmt::format("an alias, {}", in_quotes(fmt::format("*{}", name))),
         "no anchors, aliases or tags; a text that begins with '*' goes in quotes");
  const std::string key_text = fmt::format("*{}", name);
  attach(std::move(node), key_text);
}

TreeBuilder::Next TreeBuilder::begin_collection(const yaml_event_t& event, ConfigNode::Kind kind) {
  const bool is_mapping = kind == ConfigNode::Kind::kMapping;
  if (is_mapping) {
    const auto& start = event.data.mapping_start;
    check_properties(event, start.anchor, start.tag);
  } else {
    const auto& start = event.data.sequence_start;
    check_properties(event, start.anchor, start.tag);
  }
  Frame frame;
  frame.node.kind = kind;
  frame.node.mark = mark_of(event.start_mark);
  if (frames_.size() >= kConfigDepthMax) {
    report(frame.node.mark, fmt::format("nested deeper than {} levels", kConfigDepthMax),
           fmt::format("at most {} levels", kConfigDepthMax));
    return Next::kStop;
  }
  if (expects_key()) {
    report(frame.node.mark, fmt::format("{} stands as a key", describe(frame.node)),
           "a key is a word; a text that begins with '{' or '[' goes in quotes");
  }
  frames_.push_back(std::move(frame));
  return Next::kContinue;
}

void TreeBuilder::end_collection() {
  ConfigNode node = std::move(frames_.back().node);
  frames_.pop_back();
  attach(std::move(node), {});
}

/// Puts a complete node where it belongs: into its parent, or as the root.
void TreeBuilder::attach(ConfigNode node, std::string_view key_text) {
  if (frames_.empty()) {
    root_ = std::move(node);
    return;
  }
  Frame& frame = frames_.back();
  if (frame.node.is_sequence()) {
    frame.node.items.push_back(std::move(node));
    return;
  }
  if (!frame.has_key) {
    set_key(node, key_text);
    return;
  }
  if (!frame.drop_value) {
    frame.node.entries.push_back(
        {.key = std::move(frame.key), .key_mark = frame.key_mark, .value = std::move(node)});
  }
  frame.has_key = false;
}

void TreeBuilder::set_key(const ConfigNode& node, std::string_view key_text) {
  Frame& frame = frames_.back();
  frame.has_key = true;
  frame.drop_value = node.is_mapping() || node.is_sequence();  // reported where it began
  if (frame.drop_value) {
    return;
  }
  frame.key = key_text;
  frame.key_mark = node.mark;
  // A hash table: looking through the entries would be quadratic in a text of one megabyte.
  const auto [first, is_new] = frame.seen.emplace(frame.key, frame.key_mark);
  if (!is_new) {
    frame.drop_value = true;
    report(frame.key_mark,
           fmt::format("the key {} stands twice; it stood first at line {}, column {}",
                       in_quotes(frame.key), first->second.line, first->second.column),
           "each key once");
  }
}

void TreeBuilder::check_properties(const yaml_event_t& event, const yaml_char_t* anchor,
                                   const yaml_char_t* tag) {
  const Mark mark = mark_of(event.start_mark);
  if (anchor != nullptr) {
    const std::string name = fmt::format("&{}", reinterpret_cast<const char*>(anchor));
    report(mark, fmt::format("an anchor, {}", in_quotes(name)),
           "no anchors, aliases or tags; a text that begins with '&' goes in quotes");
  }
  // libyaml hides the lone tag "!", so the text itself is asked. A mapping without brackets begins
  // where its first key does: one tag may be seen by two events, and is told once.
  const std::size_t index = event.start_mark.index;
  const bool has_tag = tag != nullptr || character_at(index) == '!';
  if (has_tag && index != last_tag_index_) {
    last_tag_index_ = index;
    report(mark, "a tag",
           "no anchors, aliases or tags; a text that begins with '!' goes in quotes");
  }
}

void TreeBuilder::report(const Mark& mark, std::string message, std::string allowed) {
  problems_.push_back(problem_at(mark, std::move(message), std::move(allowed)));
}

void TreeBuilder::report_syntax() {
  const Mark mark = mark_of(parser_.problem_mark);
  std::string message = parser_.problem != nullptr ? parser_.problem : "it cannot be read";
  if (parser_.context != nullptr) {
    message += fmt::format(" {}", parser_.context);
    if (parser_.context_mark.line != parser_.problem_mark.line) {
      message += fmt::format(" that begins at line {}", parser_.context_mark.line + 1);
    }
  }
  const bool is_tab = character_at(parser_.problem_mark.index) == '\t';
  report(mark, fmt::format("not YAML: {}", message),
         is_tab ? "indent with spaces, not with tabs" : "");
}

bool TreeBuilder::expects_key() const {
  return !frames_.empty() && frames_.back().node.is_mapping() && !frames_.back().has_key;
}

/// The character (its first byte) with this number. libyaml counts characters, and its marks hardly
/// ever go back, so that a cursor makes all look-ups of one text linear together.
char TreeBuilder::character_at(std::size_t index) {
  if (index < cursor_index_) {
    cursor_index_ = 0;
    cursor_byte_ = 0;
  }
  while (cursor_byte_ < text_.size() && cursor_index_ < index) {
    do {
      ++cursor_byte_;
    } while (cursor_byte_ < text_.size() &&
             (static_cast<unsigned char>(text_[cursor_byte_]) & 0xc0) == 0x80);
    ++cursor_index_;
  }
  return cursor_byte_ < text_.size() ? text_[cursor_byte_] : '\0';
}

/// libyaml counts lines and columns from 0.
Mark TreeBuilder::mark_of(const yaml_mark_t& mark) const {
  return {.file = file_,
          .line = static_cast<std::uint32_t>(mark.line + 1),
          .column = static_cast<std::uint32_t>(mark.column + 1)};
}

std::string double_quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    FAULTLINE_CHECK(point.length != 0);
    const bool is_line_end = point.value == 0x85 || point.value == 0x2028 || point.value == 0x2029;
    if (point.value == '"' || point.value == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(point.value));
    } else if (point.value == '\n') {
      out += "\\n";
    } else if (point.value < 0x20 || !is_printable(point.value) || is_line_end ||
               point.value == 0xfeff) {
      out += fmt::format("\\u{:04x}", point.value);
    } else {
      out += text.substr(0, point.length);
    }
    text.remove_prefix(point.length);
  }
  out.push_back('"');
  return out;
}

std::string scalar_text(std::string_view text) {
  return is_plain_safe(text) ? std::string(text) : double_quoted(text);
}

/// A node that fits behind its key or dash on one line.
std::optional<std::string> one_line(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return "null";
    case ConfigNode::Kind::kScalar:
      return node.quoted ? double_quoted(node.text) : scalar_text(node.text);
    case ConfigNode::Kind::kSequence:
      return node.items.empty() ? std::optional<std::string>("[]") : std::nullopt;
    case ConfigNode::Kind::kMapping:
      return node.entries.empty() ? std::optional<std::string>("{}") : std::nullopt;
  }
  return std::nullopt;
}

void write_node(std::string& out, const ConfigNode& node, std::size_t indent);

void write_entry(std::string& out, const ConfigEntry& entry, std::size_t indent) {
  // libyaml looks no further than 1,024 characters for the colon behind a key without '?'.
  constexpr std::size_t kSimpleKeyMax = 1'000;
  const std::string key = scalar_text(entry.key);
  if (key.size() > kSimpleKeyMax) {
    out += fmt::format("? {}\n{:{}}", key, "", indent);
  } else {
    out += key;
  }
  if (const auto line = one_line(entry.value)) {
    out += fmt::format(": {}\n", *line);
    return;
  }
  out += fmt::format(":\n{:{}}", "", indent + 2);
  write_node(out, entry.value, indent + 2);
}

/// Writes a node whose first line is already indented. Recursion ends with the tree's depth, which
/// parse_config bounds.
void write_node(std::string& out, const ConfigNode& node, std::size_t indent) {
  if (const auto line = one_line(node)) {
    out += fmt::format("{}\n", *line);
    return;
  }
  bool first = true;
  for (const ConfigEntry& entry : node.entries) {
    out.append(first ? 0 : indent, ' ');
    write_entry(out, entry, indent);
    first = false;
  }
  for (const ConfigNode& item : node.items) {
    out.append(first ? 0 : indent, ' ');
    out += "- ";
    write_node(out, item, indent + 2);
    first = false;
  }
}

}  // namespace

Result<ConfigNode> parse_config(std::string_view text, std::string_view file_name) {
  const std::string_view file = intern_file_name(file_name);
  if (text.size() > kConfigBytesMax) {
    return tl::unexpected<Problems>(
        Problems{problem_at({.file = file}, fmt::format("{} bytes are too many", text.size()),
                            fmt::format("at most {} bytes (1 MiB)", kConfigBytesMax))});
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
  }
  if (auto binary = find_binary(text, file)) {
    return tl::unexpected<Problems>(Problems{*std::move(binary)});
  }
  return TreeBuilder(text, file).build();
}

std::string to_yaml(const ConfigNode& node) {
  std::string out;
  write_node(out, node, 0);
  return out;
}

}  // namespace faultline
