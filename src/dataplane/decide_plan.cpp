// From frames to rules: parsing, flows and their plans, and what of a match only packets tell.
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
  PerPacket<bool> follows;  // of the same flow as the one before it
  for (std::uint32_t i = part.first; i < end; ++i) {
    const FlowKey& key = fields_[i].key;
    follows[i] = i > part.first && key == fields_[i - 1].key;
    if (follows[i]) {
      burst.identity[i] = burst.identity[i - 1];
      continue;
    }
    burst.identity[i] = flow_identity(key);
    flows_.prefetch(key, burst.identity[i], part.ingress);
  }
  const PathProgram& path = policy_->paths[part.ingress];
  stream_ask_count_ = 0;
  Flow* last = nullptr;
  for (std::uint32_t i = part.first; i < end; ++i) {
    if (outcome[i] == ParseOutcome::kUnparsed) {
      ++counters.unparsed;
      burst.number[i] = 0;
      plan_[i] = {};
      connection_[i] = {};
      last = nullptr;
      continue;
    }
    if (last == nullptr || !follows[i])
      last = &flows_.find(fields_[i].key, burst.identity[i], part.ingress, burst.arrival_ns[i]);
    Flow& flow = *last;
    flow.last_seen_ns = burst.arrival_ns[i];
    burst.number[i] = ++flow.packets;
    if (fields_[i].fragment != FragmentKind::kNone) [[unlikely]]
      fragments_.follow(fields_[i], part.ingress, burst.arrival_ns[i]);
    connection_[i] =
        path.needs_connection
            ? connections_.note({fields_[i],
                                 {frames[i].bytes, frames[i].available},
                                 path.wire,
                                 burst.arrival_ns[i]},
                                path.follows_tcp ? &tcp_[i] : nullptr, &flow.connection)
            : ConnectionPlace{};
    plan_[i] = plan_of(flow, path);
    if (path.needs_payload) {
      payload_[i].begin();
      if (flow.asks_stream) {
        scanner_->prefetch(flow.stream);
        stream_asks_[stream_ask_count_++] = {&flow, flow.stream, i};
      }
    }
  }
  if (stream_ask_count_ > 0)
    search_streams(frames, part.ingress, burst);
}

/// All of a burst: when the first is searched, what the others need is on its way.
void Decide::search_streams(const PerPacket<FrameView>& frames, std::uint8_t ingress,
                            const JudgedBurst& burst) noexcept {
  for (std::uint32_t turn = 0; turn < stream_ask_count_; ++turn) {
    StreamAsk& ask = stream_asks_[turn];
    const std::uint32_t i = ask.packet;
    const bool found =
        scanner_->search_stream(fields_[i], {frames[i].bytes, frames[i].available},
                                {burst.identity[i], ingress}, ask.known, payload_[i]);
    // A later flow of the burst may have taken the entry.
    if (found && ask.flow->ingress == ingress && ask.flow->key == fields_[i].key) [[unlikely]]
      ask.flow->stream = ask.known;
  }
  scanner_->finish();
}

/// Where no rule of the path looks at flows, a frame is still judged only if it can be parsed: what
/// befalls it must not depend on which other rules there are.
void Decide::plan_by_path(const PerPacket<FrameView>& frames, BurstPart part, JudgedBurst& burst,
                          WorkerCounters& counters) noexcept {
  const Plan plan = path_plans_[part.ingress];
  for (std::uint32_t i = part.first; i < part.first + part.count; ++i) {
    const FrameView& frame = frames[i];
    const ParseOutcome outcome =
        parse_frame({frame.bytes, frame.available}, frame.length, fields_[i]);
    const bool parsed = outcome == ParseOutcome::kParsed;
    burst.ecn[i] = fields_[i].ecn;
    counters.unparsed += parsed ? 0 : 1;
    plan_[i] = parsed ? plan : Plan{};
  }
}

Plan Decide::plan_of(Flow& flow, const PathProgram& path) noexcept {
  if (flow.plan_generation != plans_.epoch()) {
    const std::size_t candidates = path.index.find(flow.key, plan_scratch_.data());
    std::size_t count = 0;
    flow.asks_stream = false;
    flow.stream = {};
    for (std::size_t at = 0; at < candidates; ++at) {
      const std::uint16_t index = path.rules[plan_scratch_[at]];
      const RuleProgram& rule = policy_->rules[index];
      if (!rule.enabled)
        continue;
      const FlowVerdict verdict = rule.match ? rule.match->of_flow(flow.key) : FlowVerdict::kAlways;
      flow.asks_stream |= rule.asks_stream && verdict == FlowVerdict::kPerPacket;
      if (verdict == FlowVerdict::kAlways)
        plan_scratch_[count++] = index;
      else if (verdict == FlowVerdict::kPerPacket)
        plan_scratch_[count++] = index | kAskPacket;
    }
    flow.plan = plans_.intern({plan_scratch_.data(), count});
    flow.plan_generation = plans_.epoch();
  }
  return plans_.plan(flow.plan);
}

/// Those of `among`, in whose plans `entry` stands, that its rule matches.
Selection Decide::matching(std::uint16_t entry, std::uint8_t ingress, const Selection& among,
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
                          .tcp = rule.follows_tcp ? &tcp_[i] : nullptr}))
      continue;
    if (rule.counts_packets()) {
      const std::uint64_t number = ++scope_of(rule, ingress, i, burst).candidates;
      if ((match.nth() != 0 && number != match.nth()) ||
          (match.first() != 0 && number > match.first()))
        continue;
    }
    matched.position[matched.count++] = i;
  }
  return matched;
}

}  // namespace faultline
