// slot: a link that is opened now and then, as tc-netem has it: what has come is sent when the next
// slot opens, up to `packets` and `bytes` a slot. A packet that comes when the slot in turn has
// opened already, or is used up, has the next one opened a time between `min` and `max` later, from
// then on.
#include <algorithm>

#include "base/int128.hpp"
#include "impair/edits.hpp"
#include "impair/queued_stage.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kSlotMaxNs = 3'600 * kNsPerSecond;

struct Slot {
  std::uint64_t min_ns = 0;
  std::uint64_t max_ns = 0;
  std::uint32_t packets = 0;  ///< 0: no limit
  std::uint32_t bytes = 0;    ///< likewise
  QueueLimit limit;
  Dice dice;
};

struct SlotState {
  BacklogList list;
  std::uint64_t opens_ns = 0;  ///< the slot in turn
  std::uint32_t packets = 0;   ///< sent in it
  std::uint32_t bytes = 0;
  std::uint64_t slots = 0;  ///< drawn so far
};

void open_next(const Slot& slot, SlotState& state, std::uint64_t scope,
               std::uint64_t from_ns) noexcept {
  const std::uint64_t uniform = slot.dice.uniform(scope, state.slots++);
  const std::uint64_t range_ns = slot.max_ns - slot.min_ns + 1;
  state.opens_ns = from_ns + slot.min_ns +
                   static_cast<std::uint64_t>((static_cast<Uint128>(uniform) * range_ns) >> 64);
  state.packets = 0;
  state.bytes = 0;
}

bool is_used_up(const Slot& slot, const SlotState& state) noexcept {
  return (slot.packets != 0 && state.packets >= slot.packets) ||
         (slot.bytes != 0 && state.bytes >= slot.bytes);
}

void offer(const Slot& slot, Asked& asked, JudgedBurst& burst, std::uint8_t i) noexcept {
  SlotState& state = asked.state[i]->as<SlotState>();
  const std::uint64_t now_ns = burst.time_ns[i];
  asked.backlog->depart(state.list, now_ns);
  if (is_full(slot.limit, state.list, state.opens_ns, now_ns, burst.length_bytes[i])) {
    burst.reason[i] = DropReason::kQueue;
    return;
  }
  if (state.slots == 0 || state.opens_ns < now_ns)
    open_next(slot, state, asked.scope[i], now_ns);
  else if (is_used_up(slot, state))
    open_next(slot, state, asked.scope[i], state.opens_ns);
  if (state.opens_ns - burst.arrival_ns[i] > kStayMaxNs ||
      !asked.backlog->push(state.list, state.opens_ns, burst.length_bytes[i])) {
    burst.reason[i] = DropReason::kOverflow;
    return;
  }
  ++state.packets;
  state.bytes += burst.length_bytes[i];
  burst.time_ns[i] = state.opens_ns;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Slot& slot = parameters.as<Slot>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn)
    offer(slot, asked, burst, selection.position[turn]);
}

Explanation explain(const Parameters&, const Asked& asked, const JudgedBurst&, std::uint8_t i) {
  const SlotState& state = asked.state[i]->as<SlotState>();
  return {{},
          {},
          "slot " + std::to_string(state.slots) + ", " + std::to_string(state.packets) +
              " packets in it"};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Slot slot;
  MappingReader reader(node, "slot", problems);
  if (const ConfigNode* value = reader.require("min"))
    slot.min_ns = read_duration_ns(*value, {1, kSlotMaxNs}, problems).value_or(1);
  slot.max_ns = slot.min_ns;
  if (const ConfigNode* value = reader.take("max"))
    slot.max_ns =
        read_duration_ns(*value, {slot.min_ns, kSlotMaxNs}, problems).value_or(slot.min_ns);
  if (const ConfigNode* value = reader.take("packets"))
    slot.packets =
        static_cast<std::uint32_t>(read_count(*value, {1, UINT32_MAX}, problems).value_or(1));
  if (const ConfigNode* value = reader.take("bytes"))
    slot.bytes =
        static_cast<std::uint32_t>(read_size_bytes(*value, {1, 1U << 31}, problems).value_or(1));
  reader.finish();
  slot.limit = queue_behind(context).limit;
  slot.dice = dice_for(context, DicePurpose::kDelay);
  const bool unbounded = slot.packets != 0 || slot.bytes != 0;
  return unless_wrong({.parameters = Parameters::from(slot),
                       .decide = decide,
                       .explain = explain,
                       .adds_ns = slot.max_ns,
                       .state_bytes = sizeof(SlotState),
                       .holds_backlog = true,
                       .delays = true,
                       .drops = true,
                       .owns_scope = true,
                       .needs_order = true,
                       .adds_unbounded = unbounded && slot.limit.unit == QueueLimit::Unit::kNone},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_slot;
const ImpairmentModel kModel_slot{"slot", "", "", true, compile};

}  // namespace faultline
