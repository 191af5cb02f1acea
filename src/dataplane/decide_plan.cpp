// From frames to rules: parsing, flows and their plans, and what of a match only packets tell.
#include <algorithm>

#include "dataplane/decide.hpp"

namespace faultline {

void Decide::plan_by_flow(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
                          WorkerCounters& counters) noexcept {
  PerPacket<ParseOutcome> outcome;
  const std::uint32_t end = part.first + part.count;
  for (std::uint32_t i = part.first; i < end; ++i) {
    const FrameView& frame = frames[i];
    outcome[i] = parse_frame({frame.bytes, frame.available}, frame.length, fields_[i]);
    burst.ecn[i] = fields_[i].ecn;
  }
  // Keys are read when all have been written: read at once, each would wait for its own stores.
  PerPacket<SoughtEntry> sought;
  PerPacket<bool> follows;  // of the same flow as the one before it
  for (std::uint32_t i = part.first; i < end; ++i) {
    const FlowKey& key = fields_[i].key;
    follows[i] = i > part.first && key == fields_[i - 1].key;
    burst.identity[i] = follows[i] ? burst.identity[i - 1] : flow_identity(key);
    if (!follows[i])
      sought[i] = flows_.seek(key, burst.identity[i], part.path_id);
  }
  const bool with_annex = pieces_.any(part.path_id);
  for (std::uint32_t i = part.first; i < end; ++i)
    if (!follows[i])
      flows_.approach(sought[i], with_annex);
  if (plans_.is_used_up()) [[unlikely]] {
    flows_.forget_plans();
    plans_.renumber();
  }
  const PathProgram& path = policy_->paths[part.path_id];
  const bool looks_further = path.needs_connection || path.needs_payload;
  stream_ask_count_ = 0;
  flows_.begin_burst(burst.arrival_ns[part.first]);
  std::uint32_t displaced = 0;
  Flow* last = nullptr;
  FlowAnnex* annex = nullptr;
  Plan plan;
  for (std::uint32_t i = part.first; i < end; ++i) {
    if (outcome[i] == ParseOutcome::kUnparsed) [[unlikely]] {
      ++counters.unparsed;
      burst.number[i] = 0;
      plan_[i] = {};
      connection_[i] = {};
      annex_[i] = nullptr;
      flow_[i] = last = nullptr;
      continue;
    }
    if (last == nullptr || !follows[i]) {
      last = &flows_.find(fields_[i].key, sought[i], part.path_id, burst.arrival_ns[i]);
      plan = plan_of(*last, path);
      annex = with_annex ? &flows_.annex(*last) : nullptr;
      if (flows_.displaced_count() > displaced) [[unlikely]] {
        follow_displaced(flows_.displaced(displaced++), part.first, i);
        std::replace(flow_.begin() + part.first, flow_.begin() + i, last,
                     static_cast<Flow*>(nullptr));
      }
    }
    flow_[i] = last;
    last->last_seen_ns = burst.arrival_ns[i];
    burst.number[i] = ++last->packets;
    annex_[i] = annex;
    if (fields_[i].fragment != FragmentKind::kNone) [[unlikely]]
      fragments_.follow(fields_[i], part.path_id, burst.arrival_ns[i]);
    plan_[i] = plan;
    if (looks_further)
      look_further(frames[i], i, path, *last, burst);
    else
      connection_[i] = {};
  }
  if (stream_ask_count_ > 0)
    search_streams(frames, part.path_id, burst);
}

/// Entries before `until` whose flow has just been driven out go on with what it knew, which nobody
/// else will see.
void Decide::follow_displaced(FlowTable::Displaced& displaced, std::uint32_t from,
                              std::uint32_t until) noexcept {
  std::replace(annex_.begin() + from, annex_.begin() + until, displaced.from, &displaced.to);
}

/// All packets of the part that say what time it is, before anything befalls them.
void Decide::watch_clocks(const PerPacket<FrameView>& frames, BurstPart part,
                          const JudgedBurst& burst) noexcept {
  for (std::uint32_t i = part.first; i < part.first + part.count; ++i)
    clocks_.see({frames[i].bytes, frames[i].available}, fields_[i], burst.arrival_ns[i]);
}

/// At the packet's connection, and whether its stream is to be searched.
void Decide::look_further(const FrameView& frame, std::uint32_t i, const PathProgram& path,
                          Flow& flow, const JudgedBurst& burst) noexcept {
  connection_[i] =
      path.needs_connection
          ? connections_.note(
                {fields_[i], {frame.bytes, frame.available}, path.pair, burst.arrival_ns[i]},
                path.follows_tcp ? &tcp_[i] : nullptr, &flows_.hints(flow).connection)
          : ConnectionPlace{};
  if (path.draws_by_connection)
    follow_connection(flow, connection_[i]);
  if (!path.needs_payload)
    return;
  payload_[i].begin();
  if (const FlowHints& hints = flows_.hints(flow); hints.asks_stream) {
    scanner_->prefetch(hints.stream);
    stream_asks_[stream_ask_count_++] = {&flow, hints.stream, static_cast<std::uint8_t>(i)};
  }
}

/// What a journal knows of the flow is that it was another connection, or the other direction of
/// one. The packet that began this one may have come by another path.
void Decide::follow_connection(Flow& flow, const ConnectionPlace& connection) noexcept {
  const auto now = static_cast<std::uint8_t>(connection.ordinal << 1 |
                                             (connection.role == Role::kReply ? 1U : 0U));
  std::uint8_t& told_of = flows_.hints(flow).told_of;
  if (connection.number != 1 && told_of == now) [[likely]]
    return;
  told_of = now;
  reopened_ |= flow.packets > 1;
  flow.journal = 0;
}

/// All of a burst: when the first is searched, what the others need is on its way.
void Decide::search_streams(const PerPacket<FrameView>& frames, PathId path_id,
                            const JudgedBurst& burst) noexcept {
  for (std::uint32_t turn = 0; turn < stream_ask_count_; ++turn) {
    StreamAsk& ask = stream_asks_[turn];
    const std::uint32_t i = ask.packet;
    const bool found =
        scanner_->search_stream(fields_[i], {frames[i].bytes, frames[i].available},
                                {burst.identity[i], path_id}, ask.known, payload_[i]);
    // A later flow of the burst may have taken the entry.
    if (found && ask.flow->path_id == path_id && ask.flow->key == fields_[i].key) [[unlikely]]
      flows_.hints(*ask.flow).stream = ask.known;
  }
  scanner_->finish();
}

/// Where no rule of the path looks at flows, a frame is still judged only if it can be parsed: what
/// befalls it must not depend on which other rules there are. Those that can.
Selection Decide::parse_all(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
                            WorkerCounters& counters) noexcept {
  const bool all_fields =
      policy_->paths[part.path_id].needs_fields || witness_ != nullptr || watches_clocks_;
  Selection parsed;
  for (std::uint32_t i = part.first; i < part.first + part.count; ++i) {
    const FrameView& frame = frames[i];
    ParseOutcome outcome = ParseOutcome::kParsed;
    if (all_fields) {
      outcome = parse_frame({frame.bytes, frame.available}, frame.length, fields_[i]);
      burst.ecn[i] = fields_[i].ecn;
    } else {
      outcome = parse_ecn({frame.bytes, frame.available}, frame.length, burst.ecn[i]);
    }
    parsed.position[parsed.count] = static_cast<std::uint8_t>(i);
    parsed.count += outcome == ParseOutcome::kParsed ? 1U : 0U;
  }
  counters.unparsed += part.count - parsed.count;
  return parsed;
}

std::uint32_t Decide::losses_in_a_row(std::uint32_t i, PathId path_id,
                                      const JudgedBurst& burst) noexcept {
  Flow* flow = flows_.known(fields_[i].key, burst.identity[i], path_id);
  if (burst.number[i] == 0 || flow == nullptr)
    return 0;
  std::uint16_t& losses = flows_.hints(*flow).losses;
  losses = burst.reason[i] == DropReason::kNone ? 0 : static_cast<std::uint16_t>(losses + 1);
  return losses;
}

void Decide::plan_anew(Flow& flow, const PathProgram& path) noexcept {
  const std::size_t candidates = path.index->find(flow.key, plan_scratch_.data());
  std::size_t count = 0;
  FlowHints& hints = flows_.hints(flow);
  hints.asks_stream = false;
  hints.stream = {};
  for (std::size_t at = 0; at < candidates; ++at) {
    const std::uint16_t index = path.rules[plan_scratch_[at]];
    const RuleProgram& rule = policy_->rules[index];
    if (!rule.may_apply())
      continue;
    const FlowVerdict verdict = rule.match ? rule.match->of_flow(flow.key) : FlowVerdict::kAlways;
    hints.asks_stream |= rule.asks_stream && verdict == FlowVerdict::kPerPacket;
    if (verdict == FlowVerdict::kAlways)
      plan_scratch_[count++] = index;
    else if (verdict == FlowVerdict::kPerPacket)
      plan_scratch_[count++] = index | kAskPacket;
  }
  flow.plan = plans_.intern({plan_scratch_.data(), count});
}

/// Those of `among`, in whose plans `entry` stands, that its rule matches.
Selection Decide::matching(std::uint16_t entry, PathId path_id, const Selection& among,
                           const JudgedBurst& burst) noexcept {
  if ((entry & kAskPacket) == 0)
    return among;
  const RuleProgram& rule = policy_->rules[entry & kRuleOfEntry];
  const RuleMatch& match = *rule.match;
  Selection matched;
  for (std::uint32_t turn = 0; turn < among.count; ++turn) {
    const std::uint8_t i = among.position[turn];
    const FrameView& frame = (*frames_)[i];
    // Streams have been searched: what was found there is the cheapest to ask.
    if (rule.needs_hit && payload_[i].lacks(PayloadHits::Half::kStream, *rule.needs_hit))
      continue;
    if (!match.of_packet({.fields = fields_[i],
                          .bytes = {frame.bytes, frame.available},
                          .role = connection_[i].role,
                          .portless = rule.portless,
                          .payload = rule.asks_payload ? &payload_[i] : nullptr,
                          .scanner = scanner_,
                          .tcp = rule.follows_tcp ? &tcp_[i] : nullptr,
                          .ingress = policy_->paths[path_id].ingress,
                          .egress = policy_->paths[path_id].egress}))
      continue;
    if (rule.counts_packets()) {
      const std::uint64_t number = ++scope_of(rule, path_id, i, burst).candidates;
      if ((match.nth() != 0 && number != match.nth()) ||
          (match.first() != 0 && number > match.first()))
        continue;
    }
    matched.position[matched.count++] = i;
  }
  return matched;
}

}  // namespace faultline
