// A user's YAML or JSON text as a tree in which every node knows its place. Built from libyaml's
// events; bounded (1 MiB, depth 32), without anchors, aliases and tags. What keys mean is not here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace faultline {

inline constexpr std::size_t kConfigBytesMax = 1 << 20;
inline constexpr std::size_t kConfigDepthMax = 32;
/// More problems than this in one text help nobody, and a hostile text must not cost memory.
inline constexpr std::size_t kConfigProblemsMax = 1'000;

struct ConfigEntry;

struct ConfigNode {
  enum class Kind { kNull, kScalar, kSequence, kMapping };

  Kind kind = Kind::kNull;
  Mark mark;
  std::string text;                  ///< kScalar: the value without its quotes
  bool quoted = false;               ///< kScalar: it stood in quotes, so it is text and no number
  std::vector<ConfigNode> items;     ///< kSequence
  std::vector<ConfigEntry> entries;  ///< kMapping, in file order, keys unique

  bool is_mapping() const { return kind == Kind::kMapping; }
  bool is_sequence() const { return kind == Kind::kSequence; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  const ConfigNode* find(std::string_view key) const;
  ConfigNode* find(std::string_view key);
  /// Replaces the value of `key`, or appends the entry. The node must be a mapping.
  void set(std::string_view key, ConfigNode value);
};

struct ConfigEntry {
  std::string key;
  Mark key_mark;
  ConfigNode value;
};

/// A scalar that nobody wrote, in the place of what it stands for.
ConfigNode scalar_node(std::string text, const Mark& mark);

/// Reads one document. An empty text is a null node.
/// Errors: not UTF-8 or not YAML, larger than kConfigBytesMax, deeper than kConfigDepthMax,
/// anchors, aliases, tags, several documents, keys that are not scalars, duplicate keys (all of
/// them).
Result<ConfigNode> parse_config(std::string_view text, std::string_view file_name);

/// The tree as YAML text that parse_config reads back to an equal tree (marks apart).
std::string to_yaml(const ConfigNode& node);

/// Words for error messages: "a mapping", "a list", "nothing", or the scalar in quotes ("'12'").
std::string describe(const ConfigNode& node);

/// Reads the keys of one mapping and, at the end, reports those that nobody asked for.
class MappingReader {
 public:
  /// `what` names the mapping in messages, e.g. "rule". A node that is no mapping is reported here
  /// and then reads as an empty one.
  MappingReader(const ConfigNode& node, std::string_view what, Problems& problems);

  const ConfigNode& node() const { return node_; }
  /// The value of `key`, or null when it is absent. The key becomes a known one.
  const ConfigNode* take(std::string_view key);
  bool has(std::string_view key) const { return node_.is_mapping() && node_.find(key) != nullptr; }
  /// As take; absence is reported at the mapping's own place.
  const ConfigNode* require(std::string_view key);
  /// Reports every key that was never named, with the nearest known one.
  void finish();

 private:
  const ConfigNode& node_;
  std::string what_;
  Problems& problems_;
  std::vector<std::string_view> known_;
};

}  // namespace faultline
