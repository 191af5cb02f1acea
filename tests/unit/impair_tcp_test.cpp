// tcp: which segments, what each end's reset says, and which bytes of a segment change: against
// docs/faults/tcp.md, byte by byte.
#include <cmath>

#include "tests/unit/edit_frames.hpp"

namespace faultline {
namespace {

using test::Bytes;
using test::compile_item;
using test::FrameMaker;
using test::item_errors;
using test::MadeFrame;
using test::put16;
using test::word_of;

constexpr CompileContext kContext{42, "uplink", 3};
constexpr std::uint64_t kIdentity = 0x0123456789ABCDEF;

/// One impairment asked about one packet at a time, number after number of a flow.
class Bench {
 public:
  explicit Bench(std::string_view yaml, const CompileContext& context = kContext)
      : compiled(compile_item(yaml, context)) {
    asked_.fields = &fields_;
    asked_.tcp = &tcp_;
    asked_.self = &compiled;
    asked_.rule_slot = 9;
  }

  /// Decides about `bytes`; what was decided is in the members.
  void ask(const Bytes& bytes, const TcpPlace& place = {}) {
    constexpr std::uint8_t kAt = 5;
    burst_.edits.begin();
    burst_.edits.clear(kAt);
    burst_.answer_count = 0;
    burst_.reason[kAt] = DropReason::kNone;
    burst_.time_ns[kAt] = 777;
    asked_.identity[kAt] = kIdentity;
    asked_.number[kAt] = ++number_;
    tcp_[kAt] = place;
    if (parse_frame(bytes, bytes.size(), fields_[kAt]) == ParseOutcome::kUnparsed)
      ADD_FAILURE() << "no frame";
    Selection selection;
    selection.position[0] = kAt;
    selection.count = 1;
    compiled.decide(compiled.parameters, asked_, burst_, selection, tally_);
    reason = burst_.reason[kAt];
    edits = !burst_.edits.empty(kAt);
    answers.clear();
    for (std::uint32_t at = 0; at < burst_.answer_count; ++at)
      answers.push_back(answered(bytes, burst_.answers[at]));
    explained = compiled.explain(compiled.parameters, asked_, burst_, kAt);
  }

  /// The bytes as they leave.
  Bytes edited(Bytes bytes) const {
    FrameFields fields;
    parse_frame(bytes, bytes.size(), fields);
    EditFrame frame(bytes, {}, fields);
    compiled.edit(Edit{&compiled}, frame);
    EXPECT_EQ(frame.length(), bytes.size());
    return bytes;
  }

  struct Answer {
    bool back = false;
    Bytes bytes;  ///< empty: there is none
  };

  CompiledImpairment compiled;
  DropReason reason = DropReason::kNone;
  bool edits = false;
  std::vector<Answer> answers;
  Explanation explained;

 private:
  Answer answered(Bytes bytes, const FrameAnswer& wanted) const {
    EXPECT_EQ(wanted.time_ns, 777U);
    EXPECT_EQ(wanted.of, 5U);
    EXPECT_EQ(wanted.rule_slot, 9U);
    EXPECT_EQ(wanted.impairment, &compiled);
    Bytes out(kAnswerBytesMax);
    const EditFrame frame(bytes, {}, fields_[5]);
    out.resize(wanted.impairment->answer(compiled.parameters, frame, wanted.what, out));
    return {wanted.back, out};
  }

  PerPacket<FrameFields> fields_{};
  PerPacket<TcpPlace> tcp_{};
  Asked asked_{};
  JudgedBurst burst_{};
  ImpairmentTally tally_;
  std::uint64_t number_ = 0;
};

constexpr std::uint8_t kFin = 1;
constexpr std::uint8_t kSyn = 2;
constexpr std::uint8_t kRst = 4;
constexpr std::uint8_t kPsh = 8;
constexpr std::uint8_t kAck = 16;

void put32(Bytes& bytes, std::size_t at, std::uint32_t value) {
  put16(bytes, at, value >> 16);
  put16(bytes, at + 2, value & 0xFFFF);
}

std::uint32_t long_of(const Bytes& bytes, std::size_t at) {
  return static_cast<std::uint32_t>(word_of(bytes, at) << 16 | word_of(bytes, at + 2));
}

/// Sequence 1,000, ACK 500.
Bytes segment(std::uint8_t flags, std::size_t payload_bytes, bool ipv6 = false) {
  Bytes bytes = ipv6 ? make(test::Ipv6Frame{.protocol = 6, .payload_bytes = payload_bytes})
                     : make(test::Ipv4Frame{.protocol = 6, .payload_bytes = payload_bytes});
  const std::size_t l4 = ipv6 ? 54 : 34;
  put32(bytes, l4 + 4, 1'000);
  put32(bytes, l4 + 8, 500);
  bytes.at(l4 + 13) = flags;
  put16(bytes, l4 + 14, 8'192);
  return bytes;
}

TEST(ImpairTcp, OnlyWhatIsMeant) {
  struct Case {
    Bytes bytes;
    bool data;
    bool ack;
    bool tcp;
  };
  const std::vector<Case> cases{
      {segment(kAck, 10), true, false, true},
      {segment(kAck, 10, true), true, false, true},
      {segment(kAck | kPsh, 1), true, false, true},
      {segment(kSyn, 10), true, false, true},
      {segment(kAck, 0), false, true, true},
      {segment(kAck, 0, true), false, true, true},
      {segment(kAck | kPsh, 0), false, true, true},
      {segment(kAck | kSyn, 0), false, false, true},
      {segment(kAck | kFin, 0), false, false, true},
      {segment(kAck | kRst, 0), false, false, true},
      {segment(kSyn, 0), false, false, true},
      {segment(0, 0), false, false, true},
      {make(test::Ipv4Frame{.protocol = 17}), false, false, false},
      {make(test::Ipv4Frame{.protocol = 6, .fragment = 0x2000}), true, false, true},
      {make(test::Ipv4Frame{.protocol = 6, .fragment = 0x2001}), false, false, false},
      {test::ethernet(0x0806, 46), false, false, false},
  };
  Bench all("tcp: {zero_window: true}");
  Bench data("tcp: {zero_window: true, only: data}");
  Bench acks("tcp: {zero_window: true, only: acks}");
  Bench again("tcp: {zero_window: true, only: retransmissions}");
  for (std::size_t at = 0; at < cases.size(); ++at) {
    const Case& one = cases[at];
    for (Bench* bench : {&all, &data, &acks}) bench->ask(one.bytes);
    EXPECT_EQ(all.edits, one.tcp) << at;
    EXPECT_EQ(data.edits, one.data) << at;
    EXPECT_EQ(acks.edits, one.ack) << at;
    EXPECT_EQ(all.explained.state, one.tcp ? "" : "not a segment that is meant") << at;
    for (const int times : {0, 1, 2, 255}) {
      again.ask(one.bytes, {.retransmission = static_cast<std::uint8_t>(times)});
      EXPECT_EQ(again.edits, one.tcp && times > 0) << at;
      EXPECT_EQ(again.reason, DropReason::kNone);
    }
  }
}

TEST(ImpairTcp, WhoAsksForConnections) {
  const std::pair<std::string_view, bool> cases[] = {
      {"tcp: {zero_window: true}", false},
      {"tcp: {zero_window: true, only: data}", false},
      {"tcp: {zero_window: true, only: retransmissions}", true},
      {"tcp: {reset: sender, only: acks}", true},
      {"tcp: {reset: both}", true},
  };
  for (const auto& [yaml, follows] : cases) {
    const CompiledImpairment compiled = compile_item(yaml, kContext);
    EXPECT_EQ(compiled.follows_tcp, follows) << yaml;
    EXPECT_EQ(compiled.drops, compiled.answer != nullptr) << yaml;
    EXPECT_EQ(compiled.drops, compiled.edit == nullptr) << yaml;
    EXPECT_TRUE(compiled.uses_dice);
  }
}

struct Reset {
  bool back;
  std::uint32_t sequence;
  std::uint32_t acknowledgement;
  bool has_ack;
  bool operator==(const Reset&) const = default;
};

void PrintTo(const Reset& reset, std::ostream* out) {
  *out << (reset.back ? "back " : "on ") << reset.sequence << " ack "
       << (reset.has_ack ? std::to_string(reset.acknowledgement) : "none");
}

std::vector<Reset> resets_of(const Bench& bench, bool ipv6 = false) {
  std::vector<Reset> resets;
  const std::size_t l4 = ipv6 ? 54 : 34;
  for (const Bench::Answer& answer : bench.answers) {
    EXPECT_EQ(answer.bytes.at(l4 + 13) & ~unsigned{kAck}, kRst);
    EXPECT_EQ(word_of(answer.bytes, l4), answer.back ? 80U : 4242U) << "from port";
    EXPECT_EQ(word_of(answer.bytes, l4 + 2), answer.back ? 4242U : 80U) << "to port";
    resets.push_back({answer.back, long_of(answer.bytes, l4 + 4), long_of(answer.bytes, l4 + 8),
                      (answer.bytes[l4 + 13] & kAck) != 0});
  }
  return resets;
}

TEST(ImpairTcp, ResetsHaveTheNumbersExpected) {
  const TcpPlace known{
      .receiver_next = 900, .sender_next = 560, .receiver_differs = true, .sender_differs = true};
  const Reset back{true, 500, 0, false};
  const Reset back_ahead{true, 560, 0, false};
  const Reset on{false, 1'000, 500, true};
  const Reset on_asked{false, 900, 500, true};
  struct Case {
    std::string_view to;
    TcpPlace place;
    std::vector<Reset> resets;
  };
  const std::vector<Case> cases{
      {"sender", {}, {back}},
      {"receiver", {}, {on}},
      {"both", {}, {back, on}},
      {"sender", known, {back, back_ahead}},
      {"receiver", known, {on_asked, on}},
      {"both", known, {back, back_ahead, on_asked, on}},
      {"both", {.sender_next = 560, .sender_differs = true}, {back, back_ahead, on}},
      {"both", {.receiver_next = 900, .receiver_differs = true}, {back, on_asked, on}},
  };
  for (const Case& one : cases)
    for (const bool ipv6 : {false, true}) {
      Bench bench("tcp: {reset: " + std::string(one.to) + "}");
      bench.ask(segment(kAck, 30, ipv6), one.place);
      EXPECT_EQ(bench.reason, DropReason::kReject);
      EXPECT_FALSE(bench.edits);
      EXPECT_EQ(resets_of(bench, ipv6), one.resets) << one.to;
    }
}

/// A segment without ACK is acknowledged, SYN and FIN and data counted; the number is 0.
TEST(ImpairTcp, ResetsOfWhatHasNoAck) {
  const std::pair<std::uint8_t, std::uint32_t> flags[] = {
      {0, 0}, {kSyn, 1}, {kFin, 1}, {kSyn | kFin, 2}};
  for (const auto& [flag, taken] : flags)
    for (const std::uint32_t bytes : {0U, 30U}) {
      Bench bench("tcp: {reset: both}");
      bench.ask(segment(flag, bytes));
      EXPECT_EQ(resets_of(bench), (std::vector<Reset>{{true, 0, 1'000 + taken + bytes, true},
                                                      {false, 1'000, 0, false}}));
    }
}

TEST(ImpairTcp, WhatIsNotAnswered) {
  Bench bench("tcp: {reset: both}");
  bench.ask(segment(kRst | kAck, 0), {.receiver_next = 7, .receiver_differs = true});
  EXPECT_EQ(bench.reason, DropReason::kReject) << "dropped all the same";
  for (const Bench::Answer& answer : bench.answers) EXPECT_TRUE(answer.bytes.empty());
  // A later fragment shows no header, and passes; so does what is not TCP.
  bench.ask(make(test::Ipv4Frame{.protocol = 6, .fragment = 0x2001}));
  EXPECT_EQ(bench.reason, DropReason::kNone);
  bench.ask(make(test::Ipv4Frame{.protocol = 17}));
  EXPECT_EQ(bench.reason, DropReason::kNone);
  EXPECT_TRUE(bench.answers.empty());
  // A first fragment is a segment.
  bench.ask(make(test::Ipv4Frame{.protocol = 6, .fragment = 0x2000}));
  EXPECT_EQ(bench.reason, DropReason::kReject);
  EXPECT_EQ(bench.answers.size(), 2U);
  EXPECT_FALSE(bench.answers[0].bytes.empty());
}

TEST(ImpairTcp, DiceOfTheirOwn) {
  Bench bench("tcp: {reset: sender, rate: 30%, only: data}");
  const test::DiceName name{kContext.seed, kContext.rule_name, kContext.index, 0};
  std::uint32_t hits = 0;
  constexpr std::uint32_t kAsked = 20'000;
  for (std::uint64_t number = 1; number <= kAsked; ++number) {
    const bool data = number % 2 == 0;
    bench.ask(segment(kAck, data ? 9 : 0));
    const bool below = test::reference_uniform(name, kIdentity, number) <
                       static_cast<std::uint64_t>(test::share_of_fraction(3, 10));
    ASSERT_EQ(bench.reason == DropReason::kReject, data && below) << number;
    hits += data && below ? 1U : 0U;
  }
  // 10,000 were meant: five standard deviations of a binomial law around 3,000.
  EXPECT_LT(std::abs(static_cast<double>(hits) - 3'000), 5 * std::sqrt(10'000 * 0.3 * 0.7));
  EXPECT_NEAR(bench.explained.threshold.value(), 0.3, 1e-9);
}

// --- changes -------------------------------------------------------------------------------------

/// Offsets of the options of a kind, and of padding and ends, as RFC 9293, section 3.2, lays them.
std::vector<std::pair<std::size_t, std::size_t>> options_of(const MadeFrame& made,
                                                            const Bytes& bytes, std::uint8_t kind) {
  std::vector<std::pair<std::size_t, std::size_t>> found;
  for (std::size_t at = made.l4 + 20; at < made.payload && bytes[at] != 0;) {
    const std::size_t size = bytes[at] == 1 ? 1 : bytes.at(at + 1);
    if (bytes[at] != 1 && (size < 2 || at + size > made.payload))
      break;
    if (bytes[at] == kind)
      found.emplace_back(at, size);
    at += size;
  }
  return found;
}

struct Change {
  std::string_view yaml;
  std::vector<std::uint8_t> kinds;  ///< of options that go
  std::size_t mss = 65'535;
  bool zero_window = false;
};

const std::vector<Change> kChanges{
    {"tcp: {zero_window: true}", {}, 65'535, true},
    {"tcp: {strip_option: mss}", {2}},
    {"tcp: {strip_option: window-scale}", {3}},
    {"tcp: {strip_option: sack}", {4, 5}},
    {"tcp: {strip_option: [timestamp]}", {8}},
    {"tcp: {strip_option: [sack, timestamp, mptcp, fast-open]}", {4, 5, 8, 30, 34}},
    {"tcp: {clamp_mss: 1200}", {}, 1'200},
    {"tcp: {clamp_mss: 1460}", {}, 1'460},
    {"tcp: {clamp_mss: 65535}", {}},
    {"tcp: {clamp_mss: 1}", {}, 1},
    {"tcp: {strip_option: [mss, window-scale], clamp_mss: 600, zero_window: true}",
     {2, 3},
     600,
     true},
};

/// What the page says the bytes become, checksums apart.
Bytes expected_of(const MadeFrame& made, const Change& change) {
  Bytes bytes = made.bytes;
  if (made.protocol != 6 || made.l4 == 0)
    return bytes;
  if (change.zero_window)
    put16(bytes, made.l4 + 14, 0);
  for (const std::uint8_t kind : change.kinds)
    for (const auto& [at, size] : options_of(made, made.bytes, kind))
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), size, std::uint8_t{1});
  if ((made.bytes[made.l4 + 13] & kSyn) != 0)
    for (const auto& [at, size] : options_of(made, bytes, 2))
      put16(bytes, at + 2, std::min(word_of(bytes, at + 2), change.mss));
  return bytes;
}

TEST(ImpairTcp, ChangesAreThoseOfThePage) {
  for (const Change& change : kChanges) {
    FrameMaker maker(7);
    Bench bench(change.yaml);
    std::uint32_t differing = 0;
    for (int turn = 0; turn < 4'000; ++turn) {
      const MadeFrame made = maker.make();
      bench.ask(made.bytes);
      ASSERT_EQ(bench.edits, made.protocol == 6 && made.l4 != 0) << turn;
      if (!bench.edits)
        continue;
      const Bytes got = bench.edited(made.bytes);
      Bytes wanted = expected_of(made, change);
      differing += wanted != made.bytes ? 1U : 0U;
      ASSERT_EQ(test::transport_residue(made, got), test::transport_residue(made, made.bytes))
          << "as right or wrong as before";
      put16(wanted, made.sum_at, word_of(got, made.sum_at));
      ASSERT_EQ(got, wanted) << change.yaml << " " << turn;
    }
    EXPECT_EQ(differing > 0,
              change.yaml != "tcp: {clamp_mss: 65535}" && change.yaml != "tcp: {clamp_mss: 1460}")
        << change.yaml;
  }
}

TEST(ImpairTcp, OptionsThatContradictThemselvesStay) {
  // MSS, then an option whose length is 0, 1 or beyond the header: what stands there is no option.
  constexpr std::uint8_t kLengths[] = {0, 1, 9, 255};
  for (const std::uint8_t length : kLengths) {
    Bytes bytes = segment(kSyn, 8);
    bytes[34 + 12] = 7 << 4;
    const std::uint8_t options[] = {2, 4, 5, 0xB4, 8, length, 2, 4};
    std::copy(std::begin(options), std::end(options), bytes.begin() + 54);
    Bench bench("tcp: {strip_option: [mss, timestamp]}");
    const Bytes got = bench.edited(bytes);
    EXPECT_EQ(Bytes(got.begin() + 54, got.begin() + 62), (Bytes{1, 1, 1, 1, 8, length, 2, 4}));
  }
  // Behind the end of the list nothing is an option.
  Bytes bytes = segment(kSyn, 8);
  bytes[34 + 12] = 7 << 4;
  const std::uint8_t options[] = {1, 0, 2, 4, 5, 0xB4, 1, 1};
  std::copy(std::begin(options), std::end(options), bytes.begin() + 54);
  Bench bench("tcp: {clamp_mss: 100}");
  EXPECT_EQ(bench.edited(bytes), bytes);
}

TEST(ImpairTcp, Errors) {
  const std::string nothing =
      "tcp: nothing to do; one of reset, zero_window, strip_option, clamp_mss";
  const test::ErrorCase cases[] = {
      {"tcp: {}", {"f:1:6: error: " + nothing}},
      {"tcp: {only: data}", {"f:1:6: error: " + nothing}},
      {"tcp: {rate: 10%, zero_window: false}", {"f:1:6: error: " + nothing}},
      {"tcp: true", {"f:1:6: error: tcp: found 'true'; a mapping of keys to values"}},
      {"tcp: {reset: all}", {"f:1:14: error: found 'all'; one of sender, receiver, both"}},
      {"tcp: {reset: both, clamp_mss: 9}",
       {"f:1:14: error: a segment is reset or changed, not both; two impairments, or one of them"}},
      {"tcp: {reset: sender, only: retransmission}",
       {"f:1:28: error: found 'retransmission'; one of data, acks, retransmissions; did you mean "
        "'retransmissions'?"}},
      {"tcp: {strip_option: []}", {"f:1:21: error: an empty list of options; one or more options"}},
      {"tcp: {strip_option: [sack, sak]}",
       {"f:1:28: error: found 'sak'; one of mss, window-scale, sack, timestamp, mptcp, fast-open; "
        "did "
        "you mean 'sack'?"}},
      {"tcp: {clamp_mss: 0}", {"f:1:18: error: '0' is out of range; a count between 1 and 65535"}},
      {"tcp: {clamp_mss: 65536, zero_window: 1}",
       {"f:1:38: error: found '1'; true or false, without quotes; did you mean 'true'?",
        "f:1:18: error: '65536' is out of range; a count between 1 and 65535"}},
      {"tcp: {reset: both, rate: 2}",
       {"f:1:26: error: '2' is out of range; a probability between 0% and 100%, such as 1%, 0.01 "
        "or 1e-7"}},
      {"tcp: {resets: both}",
       {"f:1:7: error: tcp: unknown key 'resets'; known keys are rate, only, reset, zero_window, "
        "strip_option, clamp_mss; did you mean 'reset'?"}},
  };
  for (const test::ErrorCase& one : cases) EXPECT_EQ(item_errors(one.yaml), one.lines) << one.yaml;
}

}  // namespace
}  // namespace faultline
