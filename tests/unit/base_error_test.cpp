// What a problem looks like on a terminal, and which word is meant by a misspelt one.
#include "base/error.hpp"

#include <gtest/gtest.h>

#include <string>

namespace faultline {
namespace {

struct LineCase {
  Problem problem;
  std::string line;
};

TEST(BaseError, OneLineAProblem) {
  const LineCase cases[] = {
      {{"wan.yaml", 3, 7, "unknown key 'los'", "known keys are loss, delay", "loss"},
       "wan.yaml:3:7: error: unknown key 'los'; known keys are loss, delay; did you mean 'loss'?"},
      {{"wan.yaml", 3, 7, "'40' has no unit", "a duration", ""},
       "wan.yaml:3:7: error: '40' has no unit; a duration"},
      {{"wan.yaml", 3, 7, "broken", "", "whole"},
       "wan.yaml:3:7: error: broken; did you mean 'whole'?"},
      {{"wan.yaml", 3, 7, "broken", "", ""}, "wan.yaml:3:7: error: broken"},
      {{"wan.yaml", 0, 0, "too large", "", ""}, "wan.yaml: error: too large"},
      {{"", 2, 1, "broken", "", ""}, "2:1: error: broken"},
      {{"", 0, 0, "no such thing", "", ""}, "error: no such thing"},
      {{"a\nb", 1, 1, "'\x1b[31m\x7f'", "tab\there", ""},
       "a\\x0ab:1:1: error: '\\x1b[31m\\x7f'; tab\\x09here"},
      {{"f", 1, 1,
        "\xc2\x9b"
        "31m \xc2\xb5 \xe2\x80\xa6",
        "", ""},
       "f:1:1: error: \\x9b31m \xc2\xb5 \xe2\x80\xa6"},
  };
  for (const LineCase& one : cases) {
    EXPECT_EQ(to_line(one.problem), one.line);
  }
}

struct NearCase {
  std::string_view word;
  std::string nearest;
};

TEST(BaseError, NearestWord) {
  const std::vector<std::string_view> known = {"loss",    "delay",   "duplicate", "rate",
                                               "reorder", "corrupt", "to",        "p"};
  const NearCase cases[] = {
      {"loss", "loss"},      // no edit
      {"los", "loss"},       // insert
      {"losss", "loss"},     // delete
      {"lass", "loss"},      // replace
      {"lsos", "loss"},      // swap of neighbours
      {"lsso", ""},          // two edits in four letters
      {"dleya", "delay"},    // two swaps in five letters
      {"delayed", "delay"},  // two inserts
      {"dupliacte", "duplicate"},
      {"dplicaet", "duplicate"},  // two of eight
      {"duplictaion", ""},        // four
      {"corrupted", "corrupt"},
      {"corruption", "corrupt"},  // three of ten
      {"corruptions", ""},        // four
      {"ot", "to"},
      {"x", ""},  // nothing left of "p"
      {"", ""},
      {"q", ""},
      {"RATE", ""},
  };
  for (const NearCase& one : cases) {
    EXPECT_EQ(nearest_word(one.word, known), one.nearest) << one.word;
  }
  EXPECT_EQ(nearest_word("loss", {}), "");
  EXPECT_EQ(nearest_word("bat", {"cat", "hat"}), "cat") << "the first of equals";
  EXPECT_EQ(nearest_word(std::string(1'000'000, 'a'), {"loss", std::string_view()}), "");
}

TEST(BaseError, FileNamesAreKeptOnce) {
  std::string name = "scenario.yaml";
  const std::string_view kept = intern_file_name(name);
  const std::string_view again = intern_file_name(std::string("scenario.yaml"));
  name = "overwritten!!";
  EXPECT_EQ(kept, "scenario.yaml");
  EXPECT_EQ(kept.data(), again.data());
  EXPECT_NE(intern_file_name("other.yaml").data(), kept.data());
}

TEST(BaseError, ProblemTakesItsPlaceFromTheMark) {
  const Mark mark = {.file = intern_file_name("f.yaml"), .line = 4, .column = 9};
  const Problem problem = problem_at(mark, "found", "allowed", "meant");
  EXPECT_EQ(problem.file, "f.yaml");
  EXPECT_EQ(problem.line, 4U);
  EXPECT_EQ(problem.column, 9U);
  EXPECT_EQ(to_line(problem), "f.yaml:4:9: error: found; allowed; did you mean 'meant'?");
}

TEST(BaseError, FailureHasNoPlace) {
  const Result<int> result = failure("no daemon", "start faultlined");
  ASSERT_FALSE(result.has_value());
  ASSERT_EQ(result.error().size(), 1U);
  EXPECT_EQ(to_line(result.error()[0]), "error: no daemon; start faultlined");
}

TEST(BaseError, QuotesAreShortAndCutBetweenCharacters) {
  EXPECT_EQ(in_quotes(""), "''");
  EXPECT_EQ(in_quotes("12"), "'12'");
  EXPECT_EQ(in_quotes(std::string(80, 'a')), "'" + std::string(80, 'a') + "'");
  EXPECT_EQ(in_quotes(std::string(81, 'a')), "'" + std::string(80, 'a') + "\xe2\x80\xa6'");
  EXPECT_EQ(in_quotes(std::string(79, 'a') + "\xc3\xa4" + "b"),
            "'" + std::string(79, 'a') + "\xe2\x80\xa6'");
}

}  // namespace
}  // namespace faultline
