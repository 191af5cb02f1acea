// Judging statistics that are written here: what passes, what fails, and what the tool is blamed
// for. Whole runs are judged in tests/sim.
#include <gtest/gtest.h>

#include "control/statistics.hpp"
#include "policy/compile.hpp"
#include "report/verdict.hpp"
#include "tests/unit/support.hpp"

namespace faultline {
namespace {

/// A run of a scenario of one rule `r`, whose statistics a test writes.
class JudgedRun {
 public:
  explicit JudgedRun(const std::string& rule, const std::string& rest = "") {
    Result<Scenario> read = read_scenario(
        test::tree_of("version: 1\nname: run\nrules: [{name: r, " + rule + "}]\n" + rest),
        ScenarioUse::kSimulate);
    if (!read) {
      ADD_FAILURE() << to_line(read.error().front());
      return;
    }
    scenario_ = std::move(*read);
    PolicySlots slots(scenario_.path_count());
    policies_ = std::move(*compile_chain(scenario_, {}, slots));
    laws_ = laws_of(scenario_, policies_);
    std::vector<std::string> ports;
    for (const PortSpec& port : scenario_.ports) ports.push_back(port.name);
    statistics = StatisticsSum(*policies_.front(), ports).to_json(0);
    matched(1000);
  }

  void matched(std::uint64_t packets) {
    statistics["rules"]["r"]["matched"] = packets;
    statistics["rules"]["r"]["loss"]["judged"] = packets;
  }
  void lost(std::uint64_t packets) { statistics["rules"]["r"]["loss"]["lost"] = packets; }

  RunVerdict verdict() const { return judge(scenario_, laws_, {statistics, delays, lasted_ns}); }
  Outcome outcome() const { return verdict().outcome; }

  Json statistics;
  Json delays = Json::object();
  std::uint64_t lasted_ns = 1'000'000'000;

 private:
  Scenario scenario_;
  PolicyChain policies_;
  std::vector<RuleLaw> laws_;
};

TEST(ReportVerdict, ALossIsComparedWithinTheStatisticsOwnWidth) {
  JudgedRun run("impair: [{loss: {model: bit-error, ber: 1e-6}}]",
                "expect: [{rule: r, loss: 10%}]");
  run.lost(100);
  EXPECT_EQ(run.outcome(), Outcome::kPass);
  run.lost(135);  // 3.3 σ at 1,000 packets would be 131
  EXPECT_EQ(run.outcome(), Outcome::kFail);
  const Finding finding = run.verdict().findings.front();
  EXPECT_LT(*finding.p_value, 1e-3);
  EXPECT_GT(finding.interval->low, 0.1);
  run.lost(65);
  EXPECT_EQ(run.outcome(), Outcome::kFail);
}

TEST(ReportVerdict, LossesInRunsTellLess) {
  JudgedRun run("impair: [{loss: {model: bit-error, ber: 1e-6}}]",
                "expect: [{rule: r, loss: 10%}]");
  run.lost(135);
  run.statistics["rules"]["r"]["loss"]["mean_run"] = 5.0;
  EXPECT_EQ(run.outcome(), Outcome::kPass);
}

TEST(ReportVerdict, ATolerancePassesWhatIsCompatibleWithOneOfItsRates) {
  JudgedRun run("impair: [{loss: {model: bit-error, ber: 1e-6}}]",
                "expect: [{rule: r, loss: 10% ± 3%}]");
  run.lost(135);
  EXPECT_EQ(run.outcome(), Outcome::kPass);
  run.lost(175);
  EXPECT_EQ(run.outcome(), Outcome::kFail);
}

TEST(ReportVerdict, ARuleIsHeldToItsOwnLaw) {
  JudgedRun run("impair: [{loss: 10%}]");
  run.lost(135);
  const RunVerdict verdict = run.verdict();
  EXPECT_EQ(verdict.outcome, Outcome::kFail);
  EXPECT_EQ(verdict.findings.at(0).expected, "law: loss 10 %");
  JudgedRun bursts("impair: [{loss: {model: gilbert-elliott, rate: 10%, burst: 5}}]");
  bursts.lost(135);
  EXPECT_EQ(bursts.outcome(), Outcome::kPass);
}

TEST(ReportVerdict, AFloodedFrameMeetsTheSameDiceOnEachPath) {
  JudgedRun run("impair: [{loss: 10%}]",
                "ports: {a: {driver: sim}, b: {driver: sim}, c: {driver: sim}}\n"
                "switches: {rack: [a, b, c]}\n");
  run.lost(138);  // 4 σ of 1,000 throws, 2.8 σ of 500
  EXPECT_EQ(run.outcome(), Outcome::kFail);
  run.statistics["ledger"]["copies"] = 500;
  EXPECT_EQ(run.outcome(), Outcome::kPass);
}

TEST(ReportVerdict, ACountIsHeldToItself) {
  JudgedRun every("impair: [{loss: {model: every, n: 10}}], from: left");
  every.lost(100);
  EXPECT_EQ(every.outcome(), Outcome::kPass);
  every.lost(102);
  EXPECT_EQ(every.outcome(), Outcome::kFail);
  JudgedRun all("impair: [loss: all]");
  all.lost(1000);
  EXPECT_EQ(all.outcome(), Outcome::kPass);
  all.lost(999);
  EXPECT_EQ(all.outcome(), Outcome::kFail);
}

TEST(ReportVerdict, AChangedLawIsNotJudged) {
  JudgedRun run("impair: [{loss: 10%}]", "timeline: [{at: 500ms, rule: r, set: {loss: 20%}}]");
  run.lost(150);
  EXPECT_EQ(run.outcome(), Outcome::kPass);
  EXPECT_TRUE(run.verdict().findings.empty());
  run.lasted_ns = 400'000'000;  // the change was still to come
  EXPECT_EQ(run.outcome(), Outcome::kFail);
}

TEST(ReportVerdict, ARuleThatMetNothingFails) {
  JudgedRun run("impair: [{loss: 10%}]");
  run.matched(0);
  EXPECT_EQ(run.verdict().reasons.at(0), "r: matched: >= 1");
  JudgedRun optional("impair: [{loss: 10%}], optional: true", "expect: [{rule: r, loss: 10%}]");
  optional.matched(0);
  EXPECT_EQ(optional.outcome(), Outcome::kPass);
  JudgedRun off("impair: [{loss: 10%}], enabled: false");
  off.matched(0);
  EXPECT_EQ(off.outcome(), Outcome::kPass);
  JudgedRun later("impair: [{loss: 10%}], enabled: false",
                  "timeline: [{at: 2s, rule: r, enable: true}]");
  later.matched(0);
  EXPECT_EQ(later.outcome(), Outcome::kPass) << "the run was over";
  later.lasted_ns = 3'000'000'000;
  EXPECT_EQ(later.outcome(), Outcome::kFail);
  JudgedRun triggered("impair: [{loss: 10%}], enabled: false",
                      "timeline: [{when: {call: now}, rule: r, enable: true}]");
  triggered.matched(0);
  EXPECT_EQ(triggered.outcome(), Outcome::kPass) << "nobody called";
  triggered.statistics["triggers"][0]["first_ns"] = 5;
  EXPECT_EQ(triggered.outcome(), Outcome::kFail);
}

TEST(ReportVerdict, TheToolsOwnFaultsAreInvalid) {
  JudgedRun run("impair: [{loss: 10%}]", "lateness: {p99: 100us}");
  run.lost(100);
  EXPECT_EQ(run.outcome(), Outcome::kPass);
  run.statistics["ledger"]["dropped"]["overflow"] = 3;
  EXPECT_EQ(run.outcome(), Outcome::kInvalid);
  EXPECT_EQ(run.verdict().reasons.at(0), "faultline itself lost 3 packets");
  run.statistics["ledger"]["dropped"]["overflow"] = 0;
  run.statistics["ports"]["left"]["rx_missed"] = 1;
  EXPECT_EQ(run.outcome(), Outcome::kInvalid);
  run.statistics["ports"]["left"]["rx_missed"] = 0;
  run.statistics["ledger"]["balanced"] = false;
  EXPECT_EQ(run.outcome(), Outcome::kInvalid);
  run.statistics["ledger"]["balanced"] = true;
  run.statistics["lateness"]["p99_ns"] = 100'000;
  EXPECT_EQ(run.outcome(), Outcome::kPass);
  run.statistics["lateness"]["p99_ns"] = 100'001;
  EXPECT_EQ(run.outcome(), Outcome::kInvalid);
  run.lost(1000);
  EXPECT_EQ(run.outcome(), Outcome::kInvalid) << "what the tool spoilt, it cannot judge";
  JudgedRun warned("impair: [{loss: 10%}]", "lateness: {p99: 100us, on_exceed: warn}");
  warned.lost(100);
  warned.statistics["lateness"]["p99_ns"] = 100'001;
  EXPECT_EQ(warned.outcome(), Outcome::kPass);
  EXPECT_EQ(warned.verdict().warnings.size(), 1U);
}

TEST(ReportVerdict, QuantilesCarryBucketsAndRanks) {
  JudgedRun run("impair: [{delay: {time: 40ms, jitter: 5ms, distribution: normal, order: free}}]",
                "expect: [{rule: r, delay_p50: 41ms}, {rule: r, delay_max: 50ms}, "
                "{rule: r, pdv_p50: 10ms}]");
  Json& rule = run.statistics["rules"]["r"];
  rule["delayed"] = 1000;
  rule["delay"] = {{"mean_ns", 39'750'000}, {"p50_ns", 0}, {"p99_ns", 0}, {"max_ns", 50'000'000}};
  run.delays["r"] = {{30'000'000, 30'999'999, 100},
                     {38'000'000, 38'999'999, 400},
                     {40'000'000, 40'999'999, 450},
                     {49'000'000, 50'999'999, 50}};
  const RunVerdict verdict = run.verdict();
  const Finding& median = verdict.findings.at(0);
  EXPECT_EQ(median.interval->low, 38e6);
  EXPECT_EQ(median.interval->high, 40'999'999);
  EXPECT_FALSE(median.passes) << "1 ns beyond the bucket";
  EXPECT_EQ(*verdict.findings.at(1).observed, 50e6);
  EXPECT_TRUE(verdict.findings.at(1).passes);
  EXPECT_EQ(verdict.findings.at(2).interval->low, 38e6 - 30'999'999);
  EXPECT_EQ(verdict.findings.at(2).interval->high, 40'999'999 - 30e6);
  EXPECT_EQ(verdict.findings.at(3).expected, "law: delay");
  EXPECT_FALSE(verdict.findings.at(3).passes) << "that is no normal law";
}

TEST(ReportVerdict, JUnitIsEscaped) {
  JudgedRun run("impair: [{loss: 10%}]", "expect: [{rule: r, loss: '<= 1%'}]");
  run.lost(100);
  const std::string xml = to_junit(run.verdict(), "x<y & \"z\"");
  EXPECT_NE(xml.find("name=\"x&lt;y &amp; &quot;z&quot;\""), std::string::npos) << xml;
  EXPECT_NE(xml.find("name=\"rule r: loss: &lt;= 1%\""), std::string::npos) << xml;
  EXPECT_NE(xml.find("tests=\"3\" failures=\"1\" errors=\"0\""), std::string::npos) << xml;
}

}  // namespace
}  // namespace faultline
