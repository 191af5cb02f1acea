// tcp: what a middlebox does to TCP. `reset` ends a connection: the segment is dropped, and one end
// or both get an RST that they believe, with the sequence number they expect (RFC 5961 makes every
// other one a question). Which one that is depends on what becomes of segments on their way, so an
// end may get two. `zero_window`, `strip_option` and `clamp_mss` change the segment.
#include <array>

#include "impair/resets.hpp"

namespace faultline {
namespace {

enum class Only : std::uint8_t { kAll, kData, kAcks, kRetransmissions };

struct Tcp {
  Hits hits;
  Only only = Only::kAll;
  bool resets_sender = false;
  bool resets_receiver = false;
  bool zero_window = false;
  std::uint16_t mss = 0;       ///< 0: stays
  std::uint64_t stripped = 0;  ///< option kinds, a bit each

  bool resets() const noexcept { return resets_sender || resets_receiver; }
  bool edits() const noexcept { return zero_window || mss != 0 || stripped != 0; }
};

bool is_meant(Only only, const Asked& asked, std::uint8_t i) noexcept {
  const FrameFields& fields = (*asked.fields)[i];
  if (!shows_tcp(fields))
    return false;
  switch (only) {
    case Only::kAll:
      return true;
    case Only::kData:
      return fields.payload_bytes > 0;
    case Only::kAcks:
      return is_pure_ack(fields);
    case Only::kRetransmissions:
      return (*asked.tcp)[i].retransmission > 0;
  }
  return false;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Tcp& tcp = parameters.as<Tcp>();
  for_each_turn(tcp.hits.among(asked, selection), selection, [&](std::uint8_t i, std::uint32_t) {
    if (burst.piece[i] == Piece::kLater || !is_meant(tcp.only, asked, i))
      return;
    if (!tcp.resets()) {
      plan_edit(asked, burst, i, 0);
      return;
    }
    plan_resets(asked, burst, i, tcp.resets_sender, tcp.resets_receiver);
    burst.reason[i] = DropReason::kReject;
  });
}

void edit(const Edit& edit, EditFrame& frame) noexcept {
  const Tcp& tcp = edit.impairment->parameters.as<Tcp>();
  if (tcp.zero_window)
    edit_window(frame, 0);
  if (tcp.stripped != 0)
    strip_tcp_options(frame, tcp.stripped);
  if (tcp.mss != 0)
    clamp_mss(frame, tcp.mss);
  frame.settle(ChecksumCare::kFix);
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst& burst,
                    std::uint8_t i) {
  const Tcp& tcp = parameters.as<Tcp>();
  Explanation why = tcp.hits.explain(asked, i);
  if (burst.piece[i] == Piece::kLater || !is_meant(tcp.only, asked, i))
    why.state = "not a segment that is meant";
  return why;
}

void read_options(const ConfigNode& node, std::uint64_t& kinds, Problems& problems) {
  // RFC 9293, RFC 7323, RFC 2018, RFC 8684, RFC 7413. SACK is told of by its own option, 4.
  constexpr std::array<std::uint64_t, 6> kKinds{1U << 2, 1U << 3,  1U << 4 | 1U << 5,
                                                1U << 8, 1U << 30, std::uint64_t{1} << 34};
  const auto add = [&](const ConfigNode& item) {
    const auto word = read_word(
        item, {"mss", "window-scale", "sack", "timestamp", "mptcp", "fast-open"}, problems);
    if (word)
      kinds |= kKinds[*word];
  };
  if (!node.is_sequence()) {
    add(node);
    return;
  }
  for (const ConfigNode& item : node.items) add(item);
  if (node.items.empty())
    problems.push_back(problem_at(node.mark, "an empty list of options", "one or more options"));
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Tcp tcp;
  MappingReader reader(node, "tcp", problems);
  tcp.hits = read_hits(reader, context, problems);
  if (const ConfigNode* value = reader.take("only"))
    if (const auto word = read_word(*value, {"data", "acks", "retransmissions"}, problems))
      tcp.only = static_cast<Only>(*word + 1);
  const ConfigNode* reset = reader.take("reset");
  if (reset != nullptr)
    if (const auto word = read_word(*reset, {"sender", "receiver", "both"}, problems)) {
      tcp.resets_sender = *word != 1;
      tcp.resets_receiver = *word != 0;
    }
  if (const ConfigNode* value = reader.take("zero_window"))
    tcp.zero_window = read_bool(*value, problems).value_or(false);
  if (const ConfigNode* value = reader.take("strip_option"))
    read_options(*value, tcp.stripped, problems);
  if (const ConfigNode* value = reader.take("clamp_mss"))
    tcp.mss = static_cast<std::uint16_t>(read_count(*value, {1, 65'535}, problems).value_or(1));
  reader.finish();
  const bool wrong = problems.size() != before;
  if (!wrong && tcp.resets() && tcp.edits())
    problems.push_back(problem_at(reset->mark, "a segment is reset or changed, not both",
                                  "two impairments, or one of them"));
  if (!wrong && !tcp.resets() && !tcp.edits())
    problems.push_back(problem_at(node.mark, "tcp: nothing to do",
                                  "one of reset, zero_window, strip_option, clamp_mss"));
  return unless_wrong({.parameters = Parameters::from(tcp),
                       .decide = decide,
                       .edit = tcp.edits() ? edit : nullptr,
                       .answer = tcp.resets() ? answer_reset : nullptr,
                       .explain = explain,
                       .fate = tcp.hits.dice,
                       .uses_dice = true,
                       .follows_tcp = tcp.resets() || tcp.only == Only::kRetransmissions,
                       .drops = tcp.resets()},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_tcp;
const ImpairmentModel kModel_tcp{"tcp", "", "", true, compile};

}  // namespace faultline
