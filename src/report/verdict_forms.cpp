// A verdict as JSON, as lines and as JUnit XML.
#include <cmath>

#include <fmt/format.h>

#include "base/units.hpp"
#include "report/verdict.hpp"

namespace faultline {
namespace {

/// The words of a finding's unit, in the order of Measure.
constexpr std::string_view kUnits[] = {"share", "ns", "packets", "bit/s", "truth", "distance"};

Json number_json(double value, Measure measure) {
  if (!std::isfinite(value))
    return nullptr;
  switch (measure) {
    case Measure::kTime:
    case Measure::kCount:
    case Measure::kRate:
      return static_cast<std::uint64_t>(std::llround(value));
    case Measure::kTruth:
      return value != 0;
    case Measure::kShare:
    case Measure::kDistance:
      break;
  }
  return value;
}

std::string number_text(double value, Measure measure) {
  if (!std::isfinite(value))
    return "unbounded";
  switch (measure) {
    case Measure::kShare:
      return fmt::format("{:.5g} %", value * 100);
    case Measure::kTime:
      return format_duration(static_cast<std::uint64_t>(std::llround(value)));
    case Measure::kCount:
      return fmt::format("{:.0f}", value);
    case Measure::kRate:
      return fmt::format("{:.0f} bit/s", value);
    case Measure::kTruth:
      return value != 0 ? "true" : "false";
    case Measure::kDistance:
      break;
  }
  return fmt::format("{:.5f}", value);
}

std::string place_of(const Finding& finding) {
  if (finding.about.empty())
    return "run";
  return (finding.is_port ? "port " : "rule ") + finding.about;
}

std::string observed_text(const Finding& finding) {
  if (!finding.observed)
    return "observed nothing";
  std::string text = "observed " + number_text(*finding.observed, finding.measure);
  if (finding.interval && finding.interval->low != finding.interval->high)
    text += fmt::format(" [{}, {}]", number_text(finding.interval->low, finding.measure),
                        number_text(finding.interval->high, finding.measure));
  if (finding.p_value)
    text += fmt::format(" p {:.3g}", *finding.p_value);
  return text;
}

Json to_json(const Finding& finding) {
  Json json = {{"rule", nullptr}};
  if (!finding.about.empty() && !finding.is_port)
    json["rule"] = finding.about;
  if (finding.is_port)
    json["port"] = finding.about;
  const Measure measure = finding.measure;
  json["expected"] = finding.expected;
  json["observed"] = finding.observed ? number_json(*finding.observed, measure) : Json();
  json["interval"] = finding.interval ? Json::array({number_json(finding.interval->low, measure),
                                                     number_json(finding.interval->high, measure)})
                                      : Json();
  json["pass"] = finding.passes;
  json["unit"] = kUnits[static_cast<std::size_t>(measure)];
  json["p_value"] = finding.p_value ? Json(*finding.p_value) : Json();
  json["packets"] = finding.packets ? number_json(*finding.packets, Measure::kCount) : Json();
  return json;
}

/// Text as XML's; what XML 1.0 does not allow at all becomes a question mark.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    switch (letter) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\n':
        out += "&#10;";
        break;
      case '\t':
        out += "&#9;";
        break;
      default:
        out += static_cast<unsigned char>(letter) < 0x20 ? '?' : letter;
        break;
    }
  }
  return out;
}

std::string test_case(const std::string& suite, const std::string& name, const std::string& inner) {
  return fmt::format("    <testcase classname=\"{}\" name=\"{}\"{}\n", escaped(suite),
                     escaped(name),
                     inner.empty() ? "/>" : ">\n      " + inner + "\n    </testcase>");
}

}  // namespace

std::string_view outcome_word(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPass:
      return "pass";
    case Outcome::kFail:
      return "fail";
    case Outcome::kInvalid:
      break;
  }
  return "invalid";
}

Json to_json(const RunVerdict& verdict) {
  Json expectations = Json::array();
  for (const Finding& finding : verdict.findings) expectations.push_back(to_json(finding));
  return {{"verdict", outcome_word(verdict.outcome)},
          {"expectations", expectations},
          {"reasons", verdict.reasons},
          {"warnings", verdict.warnings}};
}

std::vector<std::string> to_lines(const RunVerdict& verdict) {
  std::vector<std::string> lines;
  for (const Finding& finding : verdict.findings)
    lines.push_back(fmt::format("{} {}: expected {}, {}", finding.passes ? "pass" : "FAIL",
                                place_of(finding), finding.expected, observed_text(finding)));
  if (verdict.outcome == Outcome::kInvalid)
    for (const std::string& reason : verdict.reasons) lines.push_back("invalid: " + reason);
  for (const std::string& warning : verdict.warnings) lines.push_back("warning: " + warning);
  return lines;
}

std::string to_junit(const RunVerdict& verdict, const std::string& name) {
  std::string cases;
  std::size_t failures = 0;
  for (const Finding& finding : verdict.findings) {
    const std::string observed = observed_text(finding);
    failures += finding.passes ? 0U : 1U;
    cases += test_case(
        name, place_of(finding) + ": " + finding.expected,
        finding.passes ? "" : fmt::format("<failure message=\"{}\"/>", escaped(observed)));
  }
  std::string trouble;
  if (verdict.outcome == Outcome::kInvalid)
    for (const std::string& reason : verdict.reasons)
      trouble += (trouble.empty() ? "" : "; ") + reason;
  cases +=
      test_case(name, "the run itself is valid",
                trouble.empty() ? "" : fmt::format("<error message=\"{}\"/>", escaped(trouble)));
  const std::string counts =
      fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\"", verdict.findings.size() + 1,
                  failures, trouble.empty() ? 0 : 1);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {}>\n"
      "  <testsuite name=\"{}\" {}>\n{}  </testsuite>\n</testsuites>\n",
      counts, escaped(name), counts, cases);
}

}  // namespace faultline
