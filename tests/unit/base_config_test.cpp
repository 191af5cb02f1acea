// From text to tree and back: what is read, where each node stands, and everything that is refused.
#include "base/config.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>

namespace faultline {
namespace {

using namespace std::string_view_literals;

/// A tree on one line. Quoted scalars stand in quotes, null is "~".
std::string shape(const ConfigNode& node) {
  std::string out;
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return "~";
    case ConfigNode::Kind::kScalar:
      return node.quoted ? fmt::format("\"{}\"", node.text) : node.text;
    case ConfigNode::Kind::kSequence:
      for (const ConfigNode& item : node.items) {
        out += (out.empty() ? "" : ", ") + shape(item);
      }
      return fmt::format("[{}]", out);
    case ConfigNode::Kind::kMapping:
      for (const ConfigEntry& entry : node.entries) {
        out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", entry.key, shape(entry.value));
      }
      return fmt::format("{{{}}}", out);
  }
  return out;
}

std::string shape_of(std::string_view text) {
  const Result<ConfigNode> tree = parse_config(text, "f");
  return tree ? shape(*tree) : "error: " + to_line(tree.error().front());
}

std::vector<std::string> lines_of(const Problems& problems) {
  std::vector<std::string> lines;
  for (const Problem& problem : problems) {
    lines.push_back(to_line(problem));
  }
  return lines;
}

std::vector<std::string> errors_of(std::string_view text) {
  const Result<ConfigNode> tree = parse_config(text, "f");
  return tree ? std::vector<std::string>{"no error: " + shape(*tree)} : lines_of(tree.error());
}

struct TreeCase {
  std::string_view text;
  std::string_view shape;
};

TEST(BaseConfig, ReadsYaml) {
  const TreeCase cases[] = {
      {"", "~"},
      {"\n\n", "~"},
      {"# nothing but words\n", "~"},
      {"---\n", "~"},
      {"--- 12\n...\n", "12"},
      {"%YAML 1.1\n---\na: 1\n", "{a: 1}"},
      {"\xef\xbb\xbf"
       "a: 1\n",
       "{a: 1}"},
      {"a: 1\r\nb: 2\r\n", "{a: 1, b: 2}"},
      {"a:\nb: ~\nc: null\nd: ''\ne: 'null'\nf: \"~\"\n",
       "{a: ~, b: ~, c: ~, d: \"\", e: \"null\", f: \"~\"}"},
      {"a: Null\nb: NULL\nc: nil\n", "{a: Null, b: NULL, c: nil}"},
      {"a: 40ms # why\nb: 1%\n", "{a: 40ms, b: 1%}"},
      {"- 1\n- [2, 3]\n- - 4\n  - 5\n", "[1, [2, 3], [4, 5]]"},
      {"a:\n- b: 1\n  c: 2\n- d\n", "{a: [{b: 1, c: 2}, d]}"},
      {"{a: {b: [c, {d: e}]}, f: }", "{a: {b: [c, {d: e}]}, f: ~}"},
      {"[a: 1, b: 2]", "[{a: 1}, {b: 2}]"},
      {"{a, b}", "{a: ~, b: ~}"},
      {"? a\n: 1\n", "{a: 1}"},
      {"a: >-\n  two\n  words\nb: |\n  line\n", "{a: \"two words\", b: \"line\n\"}"},
      {"a: two\n  words\n", "{a: two words}"},
      {"a: tcp[tcpflags] & tcp-syn != 0\n", "{a: tcp[tcpflags] & tcp-syn != 0}"},
      {"a: 02:00:00:00:00:01\n", "{a: 02:00:00:00:00:01}"},
      {"a: \"\\u00e9\\n\"\n", "{a: \"\xc3\xa9\n\"}"},
      {"\"a b\": 1\n'c': 2\n", "{a b: 1, c: 2}"},
      {"~: 1\nnull: 2\n", "{~: 1, null: 2}"},
      {"a: {}\nb: []\n", "{a: {}, b: []}"},
      {"<<: 1\n", "{<<: 1}"},
      {"a: b!c&d*e\n", "{a: b!c&d*e}"},
  };
  for (const TreeCase& one : cases) {
    EXPECT_EQ(shape_of(one.text), one.shape) << one.text;
  }
}

TEST(BaseConfig, ATextWithoutAnAddressIsEmpty) {
  const Result<ConfigNode> tree = parse_config(std::string_view{}, "f");
  ASSERT_TRUE(tree);
  EXPECT_EQ(tree->kind, ConfigNode::Kind::kNull);
}

TEST(BaseConfig, ReadsJson) {
  const TreeCase cases[] = {
      {R"({"a":1,"b":[true,null,"40ms"],"c":{"d":-1.5e3}})",
       R"({a: 1, b: [true, ~, "40ms"], c: {d: -1.5e3}})"},
      {"{\n\t\"a\": 1,\n\t\"b\": [\n\t\t2\n\t]\n}\n", "{a: 1, b: [2]}"},
      {R"({"k\u00e9y":"\u0041\u20ac\"\\\/\b\f\n\r\t"})",
       "{k\xc3\xa9y: \"A\xe2\x82\xac\"\\/\b\f\n\r\t\"}"},
      {R"([])", "[]"},
      {R"("only text")", R"("only text")"},
  };
  for (const TreeCase& one : cases) {
    EXPECT_EQ(shape_of(one.text), one.shape) << one.text;
  }
  const std::string long_line = R"({"a":")" + std::string(5'000, 'x') + R"(","b":1})";
  EXPECT_EQ(shape_of(long_line), "{a: \"" + std::string(5'000, 'x') + "\", b: 1}");
}

struct MarkCase {
  std::string_view path;  ///< keys and indices, separated by '/'
  std::uint32_t line;
  std::uint32_t column;
};

const ConfigNode& walk(const ConfigNode& root, std::string_view path) {
  const ConfigNode* node = &root;
  while (!path.empty()) {
    const std::string_view step = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), step.size() + 1));
    node = node->is_mapping() ? node->find(step)
                              : &node->items.at(static_cast<std::size_t>(step[0] - '0'));
    if (node == nullptr) {
      throw std::out_of_range(std::string(step));
    }
  }
  return *node;
}

TEST(BaseConfig, EveryNodeKnowsItsPlace) {
  const Result<ConfigNode> tree = parse_config(
      "# first line\n"
      "rules:\n"
      "  - name: \"\xc3\xa4\"\n"
      "    impair: [loss: 1%, {delay: 2ms}]\n"
      "    to:\n"
      "\xc3\xa4: {p: 'x', q: y}\n",
      "scenario.yaml");
  ASSERT_TRUE(tree.has_value());
  const MarkCase cases[] = {
      {"", 2, 1},
      {"rules", 3, 3},
      {"rules/0", 3, 5},
      {"rules/0/name", 3, 11},
      {"rules/0/impair", 4, 13},
      {"rules/0/impair/0", 4, 14},
      {"rules/0/impair/0/loss", 4, 20},
      {"rules/0/impair/1", 4, 24},
      {"rules/0/impair/1/delay", 4, 32},
      {"rules/0/to", 5, 8},
      {"\xc3\xa4", 6, 4},
      {"\xc3\xa4/p", 6, 8},
      {"\xc3\xa4/q", 6, 16},
  };
  for (const MarkCase& one : cases) {
    const Mark mark = walk(*tree, one.path).mark;
    EXPECT_EQ(mark.file, "scenario.yaml") << one.path;
    EXPECT_EQ(mark.line, one.line) << one.path;
    EXPECT_EQ(mark.column, one.column) << one.path;
  }
  EXPECT_EQ(tree->entries[1].key_mark.line, 6U);
  EXPECT_EQ(tree->entries[1].key_mark.column, 1U);
  EXPECT_EQ(walk(*tree, "\xc3\xa4").entries[1].key_mark.column, 13U);
}

struct ErrorCase {
  std::string_view text;
  std::vector<std::string> lines;
};

TEST(BaseConfig, RefusesWhatItDoesNotKnow) {
  const std::string plain = "; no anchors, aliases or tags";
  const std::string anchor = plain + "; a text that begins with '&' goes in quotes";
  const std::string alias = plain + "; a text that begins with '*' goes in quotes";
  const std::string tag = plain + "; a text that begins with '!' goes in quotes";
  const std::string key = "; a key is a word; a text that begins with '{' or '[' goes in quotes";
  const ErrorCase cases[] = {
      {"a: &x 1\nb: *x\n",
       {"f:1:4: error: an anchor, '&x'" + anchor, "f:2:4: error: an alias, '*x'" + alias}},
      {"a: &x [1]\n", {"f:1:4: error: an anchor, '&x'" + anchor}},
      {"&k a: 1\n", {"f:1:1: error: an anchor, '&k'" + anchor}},
      {"*k : 1\n*k : 2\n",
       {"f:1:1: error: an alias, '*k'" + alias, "f:2:1: error: an alias, '*k'" + alias,
        "f:2:1: error: the key '*k' stands twice; it stood first at line 1, column 1; each key "
        "once"}},
      {"a: !!str 1\nb: !x {c: 1}\nd: !<y> [1]\ne: ! 5\n! f: 1\n!!str g: 1\nh: !\n",
       {"f:1:4: error: a tag" + tag, "f:2:4: error: a tag" + tag, "f:3:4: error: a tag" + tag,
        "f:4:4: error: a tag" + tag, "f:5:1: error: a tag" + tag, "f:6:1: error: a tag" + tag,
        "f:7:4: error: a tag" + tag}},
      {"!!map\na: 1\n", {"f:1:1: error: a tag" + tag}},
      {"%TAG ! tag:x,2000:\n---\na: 1\n", {"f:1:1: error: a %TAG directive" + plain}},
      {"a: 1\n---\nb: 2\n",
       {"f:2:1: error: a second document begins here; one document in a file"}},
      {"---\n---\n", {"f:2:1: error: a second document begins here; one document in a file"}},
      {"{{a: 1}: 2, b: 3}\n", {"f:1:2: error: a mapping stands as a key" + key}},
      {"name: {{ host }}\n", {"f:1:8: error: a mapping stands as a key" + key}},
      {"[1, 2]: 3\n? - a\n: 1\n",
       {"f:1:1: error: a list stands as a key" + key,
        "f:2:3: error: a list stands as a key" + key}},
      {"a: \"x\\0y\"\n", {"f:1:4: error: a text with the character U+0000 in it; text without it"}},
  };
  for (const ErrorCase& one : cases) {
    EXPECT_EQ(errors_of(one.text), one.lines) << one.text;
  }
}

TEST(BaseConfig, AllDuplicateKeysAreTold) {
  EXPECT_EQ(
      errors_of("a: 1\nb: {c: 1, d: 2, c: {x: 1, x: 2}}\na: 2\n\"a\": 3\ne: 1\n"),
      (std::vector<std::string>{
          "f:2:17: error: the key 'c' stands twice; it stood first at line 2, column 5; each key "
          "once",
          "f:2:27: error: the key 'x' stands twice; it stood first at line 2, column 21; each key "
          "once",
          "f:3:1: error: the key 'a' stands twice; it stood first at line 1, column 1; each key "
          "once",
          "f:4:1: error: the key 'a' stands twice; it stood first at line 1, column 1; each key "
          "once"}));
  EXPECT_EQ(shape_of("[{a: 1}, {a: 1}]"), "[{a: 1}, {a: 1}]") << "other mappings are others";
}

TEST(BaseConfig, ManyProblemsEnd) {
  std::string text;
  for (int line = 0; line < 5'000; ++line) {
    text += "a: 1\n";
  }
  const Result<ConfigNode> tree = parse_config(text, "f");
  ASSERT_FALSE(tree.has_value());
  ASSERT_EQ(tree.error().size(), 1'001U);
  EXPECT_EQ(to_line(tree.error().back()),
            "f:1001:1: error: 1000 problems; what follows was not read");
}

TEST(BaseConfig, SyntaxErrors) {
  const ErrorCase cases[] = {
      {"a: [1, 2\nb: 3\n",
       {"f:2:2: error: not YAML: did not find expected ',' or ']' while parsing a flow sequence "
        "that "
        "begins at line 1"}},
      {"a: 1\n\tb: 2\n",
       {"f:2:1: error: not YAML: found a tab character that violates indentation while scanning a "
        "plain scalar that begins at line 1; indent with spaces, not with tabs"}},
      {"a:\n\tb: 2\n",
       {"f:2:1: error: not YAML: found character that cannot start any token while scanning for "
        "the "
        "next token; indent with spaces, not with tabs"}},
      {"a: 'x\n",
       {"f:2:1: error: not YAML: found unexpected end of stream while scanning a quoted scalar "
        "that "
        "begins at line 1"}},
      {"a: \"\\ud83d\"\n",
       {"f:1:7: error: not YAML: found invalid Unicode character escape code while parsing a "
        "quoted "
        "scalar"}},
      {"a: b: c\n", {"f:1:5: error: not YAML: mapping values are not allowed in this context"}},
      {"a: 1\na: 2\nb: ]\n",
       {"f:2:1: error: the key 'a' stands twice; it stood first at line 1, column 1; each key once",
        "f:3:4: error: not YAML: did not find expected node content while parsing a block node"}},
      {"%",
       {"f:1:2: error: not YAML: could not find expected directive name while scanning a "
        "directive"}},
  };
  for (const ErrorCase& one : cases) {
    EXPECT_EQ(errors_of(one.text), one.lines) << one.text;
  }
}

TEST(BaseConfig, BinaryIsToldAtItsPlace) {
  const std::string text = "; YAML or JSON in UTF-8";
  const ErrorCase cases[] = {
      {"a: 1\nb: \0"sv, {"f:2:4: error: the character U+0000 is no text" + text}},
      {"\0\0\0\0"sv, {"f:1:1: error: the character U+0000 is no text" + text}},
      {"\xff\xfe"
       "a\0"sv,
       {"f:1:1: error: the byte 0xff is not UTF-8" + text}},
      {"%\xff", {"f:1:2: error: the byte 0xff is not UTF-8" + text}},
      {"\x7f"
       "ELF",
       {"f:1:1: error: the character U+007F is no text" + text}},
      {"a: \xc3\xa4\xc3", {"f:1:5: error: the byte 0xc3 is not UTF-8" + text}},
      {"a: \xc0\xaf", {"f:1:4: error: the byte 0xc0 is not UTF-8" + text}},
      {"a: \xe0\x80\xaf", {"f:1:4: error: the byte 0xe0 is not UTF-8" + text}},
      {"a: \xed\xa0\x80", {"f:1:4: error: the byte 0xed is not UTF-8" + text}},
      {"a: \xf4\x90\x80\x80", {"f:1:4: error: the byte 0xf4 is not UTF-8" + text}},
      {"a: \x80", {"f:1:4: error: the byte 0x80 is not UTF-8" + text}},
      {"a: 1\r\nb: \x1b[31m", {"f:2:4: error: the character U+001B is no text" + text}},
      {"a: 1\rb: \xef\xbf\xbf", {"f:2:4: error: the character U+FFFF is no text" + text}},
  };
  for (const ErrorCase& one : cases) {
    EXPECT_EQ(errors_of(one.text), one.lines);
  }
}

TEST(BaseConfig, AtMostOneMebibyte) {
  std::string text(kConfigBytesMax, '\n');
  EXPECT_EQ(shape_of(text), "~");
  text.push_back('\n');
  EXPECT_EQ(errors_of(text),
            std::vector<std::string>{
                "f: error: 1048577 bytes are too many; at most 1048576 bytes (1 MiB)"});
}

TEST(BaseConfig, AtMostThirtyTwoLevels) {
  EXPECT_EQ(shape_of(std::string(32, '[') + std::string(32, ']')),
            std::string(32, '[') + std::string(32, ']'));
  const std::string line = ": error: nested deeper than 32 levels; at most 32 levels";
  EXPECT_EQ(errors_of(std::string(33, '[') + std::string(33, ']')),
            std::vector<std::string>{"f:1:33" + line});
  EXPECT_EQ(errors_of(std::string(500'000, '[')), std::vector<std::string>{"f:1:33" + line});
  std::string dashes;
  std::string maps;
  for (int level = 0; level < 33; ++level) {
    dashes += "- ";
    maps += "{a: ";
  }
  EXPECT_EQ(errors_of(dashes), std::vector<std::string>{"f:1:65" + line});
  EXPECT_EQ(errors_of(maps), std::vector<std::string>{"f:1:129" + line});
}

TEST(BaseConfig, ManyKeysAreReadInLinearTime) {
  std::string text;
  while (text.size() < kConfigBytesMax - 20) {
    text += fmt::format("k{}:\n", text.size());
  }
  const Result<ConfigNode> tree = parse_config(text, "f");
  ASSERT_TRUE(tree.has_value());
  EXPECT_GT(tree->entries.size(), 100'000U);
}

TEST(BaseConfig, FindAndSet) {
  Result<ConfigNode> tree = parse_config("{a: 1, b: 2}", "f");
  ASSERT_TRUE(tree.has_value());
  EXPECT_EQ(tree->find("c"), nullptr);
  ASSERT_NE(tree->find("b"), nullptr);
  EXPECT_EQ(tree->find("b")->text, "2");
  EXPECT_EQ(tree->find("b")->find("x"), nullptr) << "a scalar has no keys";
  ConfigNode value;
  value.kind = ConfigNode::Kind::kScalar;
  value.text = "3";
  tree->set("b", value);
  tree->set("c", value);
  EXPECT_EQ(shape(*tree), "{a: 1, b: 3, c: 3}");
  EXPECT_EQ(shape_of(to_yaml(*tree)), "{a: 1, b: 3, c: 3}");
}

TEST(BaseConfig, SetNeedsAMapping) {
  ConfigNode node;
  EXPECT_DEATH(node.set("a", ConfigNode()), "broken invariant");
}

TEST(BaseConfig, Describe) {
  const TreeCase cases[] = {
      {"", "nothing"}, {"{a: 1}", "a mapping"}, {"[1]", "a list"}, {"12", "'12'"}, {"'x'", "'x'"}};
  for (const TreeCase& one : cases) {
    const Result<ConfigNode> tree = parse_config(one.text, "f");
    ASSERT_TRUE(tree.has_value());
    EXPECT_EQ(describe(*tree), one.shape);
  }
}

TEST(BaseConfig, WritesYaml) {
  const TreeCase cases[] = {
      {"", "null\n"},
      {"{a: 1, b: [2, {c: 3, d: [[4], 5]}], e: {f: {}}, g: []}",
       "a: 1\nb:\n  - 2\n  - c: 3\n    d:\n      - - 4\n      - 5\ne:\n  f: {}\ng: []\n"},
      {"a: '1'\nb: 1%\nc: null\nd: 'null'\ne: \"x\\ty\\n\"\n",
       "a: \"1\"\nb: 1%\nc: null\nd: \"null\"\ne: \"x\\u0009y\\n\"\n"},
      {"'a b': 1\n'': 2\n'#': 3\n'~': 4\n", "a b: 1\n\"\": 2\n\"#\": 3\n\"~\": 4\n"},
  };
  for (const TreeCase& one : cases) {
    const Result<ConfigNode> tree = parse_config(one.text, "f");
    ASSERT_TRUE(tree.has_value());
    EXPECT_EQ(to_yaml(*tree), one.shape);
  }
}

TEST(BaseConfig, WhatIsWrittenReadsBackEqual) {
  const std::string long_key(1'200, 'k');
  const std::string texts[] = {
      "",
      "---a",
      "'---'",
      "[-, a]",
      "[a: , ? b, 'c: d', e#f, 'g #h', -i, ':']",
      "a: >\n  folded\n\n  text\nb: |+\n  kept\n\n",
      "a: \"\\x85\\u2028\\u2029\\ufeff\\x9b\\U0001f600\\uffff \xc3\xa4\"\n",
      "a: \xc3\xa4 \xe2\x82\xac\n",
      "? '" + long_key + "'\n: {a: [1, {b: 2}]}\n? \"" + long_key + "\\n\"\n: 1\n",
      "a:\n  ? '" + long_key + "'\n  : - x\n    - y\n",
      "version: 1\n"
      "confidence: 99.9%\n"
      "lateness: {p99: 100us, on_exceed: invalid}\n"
      "stop_when: [{own_drops: 1}]\n"
      "ports:\n"
      "  left:  {driver: af_packet, interface: fl-left, mtu: 1500, queues: 1}\n"
      "  none: {driver: \"null\", size: 64B}\n"
      "nodes:\n"
      "  db1: {port: n1, ip: [10.0.0.1, \"fd00::1\"]}\n"
      "rules:\n"
      "  - name: loss-models\n"
      "    match: {proto: udp, dport: [53, 5000-5010], src: 10.0.0.0/8, not: {dscp: 46}}\n"
      "    impair:\n"
      "      - loss: 1%                           # short\n"
      "      - loss: {model: gilbert-elliott, p: 1%, r: 20%}\n"
      "      - delay: {time: {draw: \"uniform(10ms, 50ms)\", per: flow}}\n"
      "  - match: {bpf: \"tcp port 80 and tcp[tcpflags] & tcp-syn != 0\"}\n"
      "timeline:\n"
      "  - {at: 20s, for: 6s, partition: {shape: halves, groups: [[db1], [db2, db3]]}}\n"
      "expect:\n"
      "  - {rule: loss-models, loss: \"1% \xc2\xb1 0.2%\"}\n",
  };
  for (const std::string& text : texts) {
    const Result<ConfigNode> first = parse_config(text, "f");
    ASSERT_TRUE(first.has_value()) << text << to_line(first.error().front());
    const std::string written = to_yaml(*first);
    EXPECT_EQ(shape_of(written), shape(*first)) << written;
    EXPECT_EQ(to_yaml(*parse_config(written, "f")), written);
  }
}

TEST(BaseConfig, MappingReaderTellsWhatNobodyAskedFor) {
  const Result<ConfigNode> tree =
      parse_config("name: wan\nlos: 1%\n\nzzz: 1\nto:\n", "f");
  ASSERT_TRUE(tree.has_value());
  Problems problems;
  MappingReader reader(*tree, "rule", problems);
  ASSERT_NE(reader.take("name"), nullptr);
  EXPECT_EQ(reader.take("name")->text, "wan");
  EXPECT_EQ(reader.take("loss"), nullptr);
  ASSERT_NE(reader.take("to"), nullptr) << "an empty value is there";
  EXPECT_EQ(reader.take("to")->kind, ConfigNode::Kind::kNull);
  EXPECT_EQ(reader.require("from"), nullptr);
  ASSERT_NE(reader.require("name"), nullptr);
  reader.finish();
  const std::string known = "; known keys are name, loss, to, from";
  EXPECT_EQ(lines_of(problems),
            (std::vector<std::string>{
                "f:1:1: error: rule: 'from' is missing",
                "f:2:1: error: rule: unknown key 'los'" + known + "; did you mean 'loss'?",
                "f:4:1: error: rule: unknown key 'zzz'" + known,
            }));
}

TEST(BaseConfig, MappingReaderNeedsAMapping) {
  const TreeCase cases[] = {
      {"[1]", "f:1:1: error: rule: found a list; a mapping of keys to values"},
      {"x", "f:1:1: error: rule: found 'x'; a mapping of keys to values"},
      {"", "f:1:1: error: rule: found nothing; a mapping of keys to values"}};
  for (const TreeCase& one : cases) {
    const Result<ConfigNode> tree = parse_config(one.text, "f");
    ASSERT_TRUE(tree.has_value());
    Problems problems;
    MappingReader reader(*tree, "rule", problems);
    EXPECT_EQ(reader.take("a"), nullptr);
    EXPECT_EQ(reader.require("b"), nullptr);
    reader.finish();
    ASSERT_EQ(problems.size(), 1U) << "told once, and not again for each key";
    EXPECT_EQ(to_line(problems[0]), one.shape);
  }
}

}  // namespace
}  // namespace faultline
