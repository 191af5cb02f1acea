// Every unit, the exact edge of what is whole and what fits, and the words of each refusal.
#include "base/units.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace faultline {
namespace {

using Value = std::optional<std::uint64_t>;

struct AmountCase {
  std::string_view text;
  Value value;
};

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

TEST(BaseUnits, Durations) {
  const AmountCase cases[] = {
      {"1ns", 1},
      {"1us", 1'000},
      {"40ms", 40'000'000},
      {"2s", 2'000'000'000},
      {"1m", 60'000'000'000},
      {"1h", 3'600'000'000'000},
      {"1d", 86'400'000'000'000},
      {"1.5ms", 1'500'000},
      {"40.123ms", 40'123'000},
      {"0.000001ms", 1},
      {"0.0000001ms", {}},
      {"0.5ns", {}},
      {"2.0ns", 2},
      {"2.00000000000000000000000000000000000000000000ns", 2},
      {"0.000000000000000000000000000000000000000000005s", {}},
      {"0001ms", 1'000'000},
      {"0.1m", 6'000'000'000},
      {"0", 0},
      {"0.0", 0},
      {"0s", 0},
      {"18446744073709551615ns", kMax},
      {"18446744073709551616ns", {}},
      {"18446744073.709551615s", kMax},
      {"18446744073.709551616s", {}},
      {"213503.982334601292534722222d", {}},
      {"99999999999999999999999999999999999999999999999999s", {}},
      {"100000000000000000000000000000000000000000000000000s", {}},
      {"40", {}},
      {"", {}},
      {"ms", {}},
      {".5ms", {}},
      {"5.ms", {}},
      {"-1ms", {}},
      {"+1ms", {}},
      {"1e3ms", {}},
      {"40 ms", {}},
      {" 40ms", {}},
      {"40ms ", {}},
      {"40MS", {}},
      {"40msec", {}},
      {"0x10ms", {}},
      {"1_000ms", {}},
      {"1,5ms", {}},
      {"nan", {}},
      {"inf", {}},
      {std::string_view("1ms\0", 4), {}},
  };
  for (const AmountCase& one : cases) {
    EXPECT_EQ(parse_duration_ns(one.text), one.value) << one.text;
  }
}

TEST(BaseUnits, Rates) {
  const AmountCase cases[] = {
      {"1bit", 1},
      {"1kbit", 1'000},
      {"10Mbit", 10'000'000},
      {"2.5Gbit", 2'500'000'000},
      {"1Tbit", 1'000'000'000'000},
      {"0bit", 0},
      {"0.5bit", {}},
      {"0", {}},
      {"10", {}},
      {"10mbit", {}},
      {"10Mb", {}},
      {"20000000Tbit", {}},
  };
  for (const AmountCase& one : cases) {
    EXPECT_EQ(parse_rate_bps(one.text), one.value) << one.text;
  }
}

TEST(BaseUnits, Sizes) {
  const AmountCase cases[] = {
      {"64B", 64},
      {"1KB", 1'000},
      {"1KiB", 1'024},
      {"1MB", 1'000'000},
      {"1MiB", 1'048'576},
      {"2GB", 2'000'000'000},
      {"1GiB", 1'073'741'824},
      {"1TB", 1'000'000'000'000},
      {"1TiB", 1'099'511'627'776},
      {"1.5KiB", 1'536},
      {"0.0000000000009094947017729282379150390625TiB", 1},
      {"0.00000000000090949470177292823791503906250TiB", 1},
      {"0.00000000000045474735088646411895751953125TiB", {}},
      {"16777215TiB", 18446742974197923840ULL},
      {"16777216TiB", {}},
      {"64", {}},
      {"0", {}},
      {"64b", {}},
      {"1kB", {}},
  };
  for (const AmountCase& one : cases) {
    EXPECT_EQ(parse_size_bytes(one.text), one.value) << one.text;
  }
}

TEST(BaseUnits, Counts) {
  const AmountCase cases[] = {
      {"0", 0},
      {"42", 42},
      {"5k", 5'000},
      {"1M", 1'000'000},
      {"1.5M", 1'500'000},
      {"2G", 2'000'000'000},
      {"1e6", 1'000'000},
      {"1E+6", 1'000'000},
      {"10e-1", 1},
      {"1.0", 1},
      {"18446744073709551615", kMax},
      {"18446744073709551616", {}},
      {"1e19", 10'000'000'000'000'000'000ULL},
      {"1e20", {}},
      {"1e1000", {}},
      {"1e1001", {}},
      {"1e99999999999999999999", {}},
      {"0e1000", 0},
      {"1.5", {}},
      {"1e-7", {}},
      {"-1", {}},
      {"1e", {}},
      {"1e+", {}},
      {"1K", {}},
      {"1m", {}},
      {"", {}},
  };
  for (const AmountCase& one : cases) {
    EXPECT_EQ(parse_count(one.text), one.value) << one.text;
  }
}

struct ProbabilityCase {
  std::string_view text;
  std::optional<Threshold> value;
};

constexpr Threshold share(std::uint64_t value) {
  return {.high = value >> 32, .low = static_cast<std::uint32_t>(value & UINT32_MAX)};
}

// The shares were computed with Python's integers: p * 2**64 // 10**places.
TEST(BaseUnits, Probabilities) {
  const ProbabilityCase cases[] = {
      {"0", Threshold::never()},
      {"0%", Threshold::never()},
      {"0.0", Threshold::never()},
      {"0e5%", Threshold::never()},
      {"1", Threshold::always()},
      {"100%", Threshold::always()},
      {"1.0", Threshold::always()},
      {"100.000%", Threshold::always()},
      {"1e0", Threshold::always()},
      {"0.1e1", Threshold::always()},
      {"10e-1", Threshold::always()},
      {"1%", share(184'467'440'737'095'516)},
      {"0.01", share(184'467'440'737'095'516)},
      {"1e-2", share(184'467'440'737'095'516)},
      {"50%", share(9'223'372'036'854'775'808ULL)},
      {"0.1%", share(18'446'744'073'709'551)},
      {"1e-7", share(1'844'674'407'370)},
      {"1e-9", share(18'446'744'073)},
      {"1E-7", share(1'844'674'407'370)},
      {"1e-5%", share(1'844'674'407'370)},
      {"1e-19", share(1)},
      {"1e-20", share(0)},
      // The least number of twenty digits that reaches 2^-64, and the one before it.
      {"5.4210108624275221701e-20", share(1)},
      {"5.4210108624275221700e-20", share(0)},
      {"0.999999999999999999999999999999", share(kMax)},
      {"99.99999999999999999999999999%", share(kMax)},
      {"0.333333333333333333333333333333", share(6'148'914'691'236'517'205ULL)},
      {"1e-1000", share(0)},
      {"1.00000000000000000001", {}},
      {"100.0000001%", {}},
      {"101%", {}},
      {"2", {}},
      {"1e1", {}},
      {"1e900", {}},
      {"-0.1", {}},
      {"-1%", {}},
      {"%", {}},
      {"1 %", {}},
      {"1%%", {}},
      {"", {}},
      {".5", {}},
      {"abc", {}},
      {"1e", {}},
  };
  for (const ProbabilityCase& one : cases) {
    EXPECT_EQ(parse_probability(one.text), one.value) << one.text;
  }
}

TEST(BaseUnits, MoreThanThirtySignificantDigitsAreRefused) {
  EXPECT_TRUE(parse_probability("0.000123456789012345678901234567890000").has_value());
  EXPECT_FALSE(parse_probability("0.0001234567890123456789012345678912").has_value());
  EXPECT_EQ(parse_duration_ns("1000000000000000000000000000001s"), Value());
}

ConfigNode scalar(std::string text) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kScalar;
  node.mark = {.file = "f", .line = 2, .column = 5};
  node.text = std::move(text);
  return node;
}

ConfigNode node_of(ConfigNode::Kind kind) {
  ConfigNode node;
  node.kind = kind;
  node.mark = {.file = "f", .line = 2, .column = 5};
  return node;
}

std::string only_line(const Problems& problems) {
  return problems.size() == 1 ? to_line(problems[0]) : std::to_string(problems.size());
}

struct ReadCase {
  ConfigNode node;
  Bounds bounds;
  std::string line;  ///< behind "f:2:5: error: "
};

using Reader = std::optional<std::uint64_t> (*)(const ConfigNode&, Bounds, Problems&);

void expect_refusals(Reader reader, const std::vector<ReadCase>& cases) {
  for (const ReadCase& one : cases) {
    Problems problems;
    EXPECT_EQ(reader(one.node, one.bounds, problems), std::nullopt) << one.node.text;
    EXPECT_EQ(only_line(problems), "f:2:5: error: " + one.line);
  }
}

TEST(BaseUnits, DurationsRefused) {
  const std::string allowed = "; a duration such as 40ms (ns us ms s m h d)";
  expect_refusals(
      read_duration_ns,
      {
          {scalar("40"), {}, "'40' has no unit" + allowed},
          {scalar("40msec"), {}, "'40msec' has an unknown unit" + allowed},
          {scalar("40MS"), {}, "'40MS' has an unknown unit" + allowed + "; did you mean '40ms'?"},
          {scalar("0.5ns"), {}, "'0.5ns' is not a whole number of nanoseconds" + allowed},
          {scalar("-5ms"), {}, "'-5ms' is negative" + allowed},
          {scalar("soon"), {}, "found 'soon'" + allowed},
          {scalar(""), {}, "found ''" + allowed},
          {node_of(ConfigNode::Kind::kNull), {}, "found nothing" + allowed},
          {node_of(ConfigNode::Kind::kSequence), {}, "found a list" + allowed},
          {node_of(ConfigNode::Kind::kMapping), {}, "found a mapping" + allowed},
          {scalar("367d"), {}, "'367d' is out of range; a duration of at most 366d"},
          {scalar("99999999999d"),
           {},
           "'99999999999d' is out of range; a duration of at most 366d"},
          {scalar("2s"),
           {.minimum = 1'000'000, .maximum = kNsPerSecond},
           "'2s' is out of range; a duration between 1ms and 1s"},
          {scalar("0"),
           {.minimum = 1'500'000, .maximum = kNsPerSecond},
           "'0' is out of range; a duration between 1500us and 1s"},
      });
}

TEST(BaseUnits, RatesSizesAndCountsRefused) {
  const std::string rate = "; a rate such as 10Mbit (bit kbit Mbit Gbit Tbit, per second)";
  expect_refusals(
      read_rate_bps,
      {
          {scalar("10"), {}, "'10' has no unit" + rate},
          {scalar("0"), {}, "'0' has no unit" + rate},
          {scalar("10mbit"),
           {},
           "'10mbit' has an unknown unit" + rate + "; did you mean '10Mbit'?"},
          {scalar("0.5bit"), {}, "'0.5bit' is not a whole number of bits per second" + rate},
          {scalar("1bit"), {.minimum = 8'000}, "'1bit' is out of range; a rate of at least 8kbit"},
      });
  const std::string size = "; a size such as 64KiB (B KB KiB MB MiB GB GiB TB TiB)";
  expect_refusals(
      read_size_bytes,
      {
          {scalar("64"), {}, "'64' has no unit" + size},
          {scalar("2kb"), {}, "'2kb' has an unknown unit" + size + "; did you mean '2KB'?"},
          {scalar("0.5B"), {}, "'0.5B' is not a whole number of bytes" + size},
          {scalar("2MiB"),
           {.minimum = 64, .maximum = 1 << 20},
           "'2MiB' is out of range; a size between 64B and 1MiB"},
      });
  const std::string count = "; a count such as 10, 5k or 1M (k M G)";
  expect_refusals(
      read_count,
      {
          {scalar("1.5"), {}, "'1.5' is not a whole number" + count},
          {scalar("-1"), {}, "'-1' is negative" + count},
          {scalar("many"), {}, "found 'many'" + count},
          {scalar("5K"), {}, "'5K' has an unknown unit" + count + "; did you mean '5k'?"},
          {scalar("3"), {.minimum = 4}, "'3' is out of range; a count of at least 4"},
          {scalar("0"),
           {.minimum = 1, .maximum = 65'535},
           "'0' is out of range; a count between 1 and 65535"},
          {scalar("4097"), {.maximum = 4'096}, "'4097' is out of range; a count of at most 4096"},
      });
}

TEST(BaseUnits, AmountsRead) {
  Problems problems;
  EXPECT_EQ(read_duration_ns(scalar("0"), {}, problems), Value(0));
  EXPECT_EQ(read_duration_ns(scalar("366d"), {}, problems), Value(kDurationMaxNs));
  EXPECT_EQ(read_rate_bps(scalar("1Gbit"), {}, problems), Value(1'000'000'000));
  EXPECT_EQ(read_size_bytes(scalar("64B"), {.minimum = 64, .maximum = 64}, problems), Value(64));
  EXPECT_EQ(read_count(scalar("18446744073709551615"), {}, problems), Value(kMax));
  ConfigNode quoted = scalar("40ms");
  quoted.quoted = true;  // as JSON must write it
  EXPECT_EQ(read_duration_ns(quoted, {}, problems), Value(40'000'000));
  EXPECT_TRUE(problems.empty());
}

TEST(BaseUnits, ProbabilitiesRead) {
  const std::string allowed = "; a probability between 0% and 100%, such as 1%, 0.01 or 1e-7";
  Problems problems;
  EXPECT_EQ(read_probability(scalar("1%"), problems), share(184'467'440'737'095'516));
  EXPECT_TRUE(problems.empty());
  const ReadCase cases[] = {
      {scalar("1.5"), {}, "'1.5' is out of range" + allowed},
      {scalar("150%"), {}, "'150%' is out of range" + allowed},
      {scalar("-1%"), {}, "'-1%' is out of range" + allowed},
      {scalar("often"), {}, "found 'often'" + allowed},
      {scalar("5ms"), {}, "found '5ms'" + allowed},
      {node_of(ConfigNode::Kind::kSequence), {}, "found a list" + allowed},
      {node_of(ConfigNode::Kind::kNull), {}, "found nothing" + allowed},
  };
  for (const ReadCase& one : cases) {
    problems.clear();
    EXPECT_EQ(read_probability(one.node, problems), std::nullopt);
    EXPECT_EQ(only_line(problems), "f:2:5: error: " + one.line);
  }
}

struct BoolCase {
  std::string_view text;
  std::string line;
};

TEST(BaseUnits, Bools) {
  Problems problems;
  EXPECT_EQ(read_bool(scalar("true"), problems), std::optional(true));
  EXPECT_EQ(read_bool(scalar("false"), problems), std::optional(false));
  EXPECT_TRUE(problems.empty());
  const std::string allowed = "; true or false, without quotes";
  const BoolCase cases[] = {
      {"yes", "found 'yes'" + allowed + "; did you mean 'true'?"},
      {"Off", "found 'Off'" + allowed + "; did you mean 'false'?"},
      {"True", "found 'True'" + allowed + "; did you mean 'true'?"},
      {"fasle", "found 'fasle'" + allowed + "; did you mean 'false'?"},
      {"1", "found '1'" + allowed + "; did you mean 'true'?"},
      {"maybe", "found 'maybe'" + allowed},
  };
  for (const BoolCase& one : cases) {
    problems.clear();
    EXPECT_EQ(read_bool(scalar(std::string(one.text)), problems), std::nullopt);
    EXPECT_EQ(only_line(problems), "f:2:5: error: " + one.line);
  }
  problems.clear();
  ConfigNode quoted = scalar("true");
  quoted.quoted = true;
  EXPECT_EQ(read_bool(quoted, problems), std::nullopt);
  EXPECT_EQ(read_bool(node_of(ConfigNode::Kind::kNull), problems), std::nullopt);
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_EQ(to_line(problems[0]),
            "f:2:5: error: found 'true' in quotes; true or false, without quotes; "
            "did you mean 'true'?");
  EXPECT_EQ(to_line(problems[1]), "f:2:5: error: found nothing" + allowed);
}

TEST(BaseUnits, Texts) {
  Problems problems;
  EXPECT_EQ(read_text(scalar("GET /admin"), problems), std::optional<std::string>("GET /admin"));
  EXPECT_TRUE(problems.empty());
  EXPECT_EQ(read_text(scalar(""), problems), std::nullopt);
  EXPECT_EQ(read_text(node_of(ConfigNode::Kind::kNull), problems), std::nullopt);
  EXPECT_EQ(read_text(node_of(ConfigNode::Kind::kMapping), problems), std::nullopt);
  ASSERT_EQ(problems.size(), 3U);
  EXPECT_EQ(to_line(problems[0]), "f:2:5: error: found an empty text; a text");
  EXPECT_EQ(to_line(problems[1]), "f:2:5: error: found nothing; a text");
  EXPECT_EQ(to_line(problems[2]), "f:2:5: error: found a mapping; a text");
}

TEST(BaseUnits, Names) {
  const std::string good[] = {"a", "wan", "_x", "0", "A.b-c_9", std::string(64, 'n')};
  const std::string bad[] = {"", "-a", ".a", "a b", "a/b", "\xc3\xa4", "a\n", std::string(65, 'n')};
  for (const std::string& name : good) {
    Problems problems;
    EXPECT_EQ(read_name(scalar(name), problems), std::optional(name));
    EXPECT_TRUE(problems.empty());
  }
  for (const std::string& name : bad) {
    Problems problems;
    EXPECT_EQ(read_name(scalar(name), problems), std::nullopt) << name;
    EXPECT_EQ(problems.size(), 1U);
  }
  Problems problems;
  EXPECT_EQ(read_name(scalar("a b"), problems), std::nullopt);
  EXPECT_EQ(only_line(problems),
            "f:2:5: error: found 'a b'; "
            "a name: 1 to 64 of A-Z a-z 0-9 _ . -, not beginning with '-' or '.'");
}

TEST(BaseUnits, Words) {
  const std::vector<std::string_view> words = {"keep", "free", "null"};
  Problems problems;
  EXPECT_EQ(read_word(scalar("free"), words, problems), std::optional<std::size_t>(1));
  EXPECT_TRUE(problems.empty());
  EXPECT_EQ(read_word(scalar("fre"), words, problems), std::nullopt);
  EXPECT_EQ(read_word(scalar("never"), words, problems), std::nullopt);
  EXPECT_EQ(read_word(node_of(ConfigNode::Kind::kNull), words, problems), std::nullopt);
  EXPECT_EQ(read_word(node_of(ConfigNode::Kind::kSequence), words, problems), std::nullopt);
  ASSERT_EQ(problems.size(), 4U);
  EXPECT_EQ(to_line(problems[0]),
            "f:2:5: error: found 'fre'; one of keep, free, null; did you mean 'free'?");
  EXPECT_EQ(to_line(problems[1]), "f:2:5: error: found 'never'; one of keep, free, null");
  EXPECT_EQ(to_line(problems[2]),
            "f:2:5: error: found nothing; one of keep, free, null; did you mean '\"null\"'?");
  EXPECT_EQ(to_line(problems[3]), "f:2:5: error: found a list; one of keep, free, null");
}

struct FormatCase {
  std::uint64_t duration_ns;
  std::string text;
};

TEST(BaseUnits, DurationsWritten) {
  const FormatCase cases[] = {
      {0, "0s"},
      {1, "1ns"},
      {999, "999ns"},
      {1'000, "1us"},
      {1'001, "1.001us"},
      {40'000'000, "40ms"},
      {40'123'000, "40.123ms"},
      {1'500'000'000, "1.5s"},
      {1'000'000'001, "1.000000001s"},
      {60'000'000'000, "1m"},
      {60'000'000'001, "60.000000001s"},
      {90'000'000'000, "90s"},
      {5'400'000'000'000, "90m"},
      {3'600'000'000'000, "1h"},
      {86'400'000'000'000, "1d"},
      {kDurationMaxNs, "366d"},
      {kMax, "18446744073.709551615s"},
  };
  for (const FormatCase& one : cases) {
    EXPECT_EQ(format_duration(one.duration_ns), one.text);
    EXPECT_EQ(parse_duration_ns(one.text), Value(one.duration_ns)) << one.text;
  }
  for (std::uint64_t duration_ns = 1; duration_ns < kMax / 7; duration_ns = duration_ns * 7 + 3) {
    EXPECT_EQ(parse_duration_ns(format_duration(duration_ns)), Value(duration_ns));
  }
}

}  // namespace
}  // namespace faultline
