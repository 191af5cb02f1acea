// A stage with a server and a queue before it: a rate, a trace of opportunities. Where a packet's
// fate follows from what came before it (tail drop, RED, PIE), it is judged as it comes, and the
// queue is a list of departures. Where it follows from what comes later too (CoDel, head drop), the
// packet waits: each is decided at the instant its service starts, never looked at earlier, so that
// the order in which anybody asks cannot matter.
//
// A Server has a Clock (16 bytes, all zero at first, with a `spare` for the queue's use), and
//   free_ns(clock, zero_ns)                  when it can start on a packet, rounded up;
//   serve(clock, ready_ns, bytes, zero_ns)   takes a packet that is ready: its departure;
//   packet_ns()                              what a packet of 1,500 bytes takes, about.
#pragma once

#include <algorithm>

#include "impair/aqm.hpp"
#include "impair/edits.hpp"
#include "impair/loss.hpp"
#include "impair/served_pool.hpp"

namespace faultline {

/// A packet that would have to wait longer is one that the hold has no room for.
inline constexpr std::uint64_t kStayMaxNs = 72 * 3600 * kNsPerSecond;

template <typename Server>
struct StageParameters {
  Server server;
  QueueSpec queue;
  Dice dice;  ///< of RED and PIE
};

/// The `queue:` behind a stage; none where it is wrong, which its own compilation tells.
inline QueueSpec queue_behind(const CompileContext& context) {
  Problems told_there;
  if (context.queue_behind == nullptr)
    return {};
  return read_queue(*context.queue_behind, told_there).value_or(QueueSpec{});
}

/// Whether a queue judged at arrival has no room for a packet.
inline bool is_full(const QueueLimit& limit, const BacklogList& list, std::uint64_t free_ns,
                    std::uint64_t now_ns, std::uint32_t bytes) noexcept {
  switch (limit.unit) {
    case QueueLimit::Unit::kNone:
      return false;
    case QueueLimit::Unit::kPackets:
      return list.packets >= limit.value;
    case QueueLimit::Unit::kBytes:
      return list.bytes + bytes > limit.value;
    case QueueLimit::Unit::kTime:
      return free_ns > now_ns + limit.value;
  }
  return false;
}

template <typename Server>
class QueuedStage {
 public:
  using Parameters_ = StageParameters<Server>;
  using Clock = typename Server::Clock;

  struct ArrivalState {
    BacklogList list;
    Clock clock;  ///< its spare: PIE's updates
    union Law {
      RedState red;
      PieState pie;
    } law;
  };
  struct ServedState {
    ServedQueue queue;
    Clock clock;  ///< its spare: bytes of the packet in service
    CodelState codel;
  };
  static_assert(sizeof(ArrivalState) <= ScopeState::kBytes);
  static_assert(sizeof(ServedState) <= ScopeState::kBytes);

  /// The stage, complete but for what is its own: adds_ns and the like.
  static CompiledImpairment compiled(const Parameters_& stage) {
    const bool served = stage.queue.is_served();
    const bool draws =
        stage.queue.discipline == Discipline::kRed || stage.queue.discipline == Discipline::kPie;
    const std::uint32_t state_bytes = served ? sizeof(ServedState) : sizeof(ArrivalState);
    return {.parameters = Parameters::from(stage),
            .decide = served ? decide_served : decide_at_arrival,
            .serve = served ? serve : nullptr,
            .explain = explain,
            .uses_dice = draws,
            .state_bytes = state_bytes,
            .holds_backlog = !served,
            .delays = true,
            .drops = true,
            .owns_scope = true,
            .needs_order = true,
            .adds_unbounded = stage.queue.limit.unit == QueueLimit::Unit::kNone};
  }

 private:
  // --- judged at arrival -------------------------------------------------------------------------

  static void decide_at_arrival(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                                const Selection& selection, ImpairmentTally&) noexcept {
    const Parameters_& stage = parameters.as<Parameters_>();
    for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
      ArrivalState& state = asked.state[selection.position[first]]->template as<ArrivalState>();
      for (std::uint32_t turn = first; turn < end; ++turn)
        offer(stage, state, asked, burst, selection.position[turn]);
    });
  }

  static void offer(const Parameters_& stage, ArrivalState& state, Asked& asked, JudgedBurst& burst,
                    std::uint8_t i) noexcept {
    const QueueSpec& queue = stage.queue;
    const std::uint64_t now_ns = burst.time_ns[i];
    const std::uint32_t bytes = burst.length_bytes[i];
    if (queue.discipline == Discipline::kPie)
      run_updates(stage, state, asked.zero_ns, now_ns);
    // At equal times a departure makes room before the next packet asks for it.
    asked.backlog->depart(state.list, now_ns);
    const std::uint64_t free_ns = stage.server.free_ns(state.clock, asked.zero_ns);
    if (is_full(queue.limit, state.list, free_ns, now_ns, bytes)) {
      burst.reason[i] = DropReason::kQueue;
      if (queue.discipline == Discipline::kPie)
        state.law.pie.accumulated = 0;
      return;
    }
    if (!passes_law(stage, state, asked, burst, i))
      return;
    Clock clock = state.clock;
    const std::uint64_t departure_ns = stage.server.serve(clock, now_ns, bytes, asked.zero_ns);
    if (departure_ns == UINT64_MAX) {
      burst.reason[i] = DropReason::kQueue;  // the link is gone for good
      return;
    }
    const bool counted = queue.limit.unit == QueueLimit::Unit::kPackets ||
                         queue.limit.unit == QueueLimit::Unit::kBytes ||
                         queue.discipline != Discipline::kTail;
    if (departure_ns - burst.arrival_ns[i] > kStayMaxNs ||
        (counted && !asked.backlog->push(state.list, departure_ns, bytes))) {
      burst.reason[i] = DropReason::kOverflow;
      return;
    }
    state.clock = clock;
    burst.time_ns[i] = departure_ns;
  }

  /// RED and PIE: whether the packet lives, marked perhaps.
  static bool passes_law(const Parameters_& stage, ArrivalState& state, const Asked& asked,
                         JudgedBurst& burst, std::uint8_t i) noexcept {
    const QueueSpec& queue = stage.queue;
    if (queue.discipline == Discipline::kTail)
      return true;
    const LawDraw uniform{stage.dice, asked.identity[i], asked.number[i]};
    bool may_mark = queue.ecn;
    bool hit = false;
    if (queue.discipline == Discipline::kRed) {
      const bool bytes = queue.limit.unit == QueueLimit::Unit::kBytes;
      const std::uint64_t free_ns = stage.server.free_ns(state.clock, asked.zero_ns);
      const std::uint64_t now_ns = burst.time_ns[i];
      const bool idle = state.list.packets == 0 && now_ns > free_ns;
      const QueueSight sight{static_cast<double>(bytes ? state.list.bytes : state.list.packets),
                             idle ? now_ns - free_ns : 0,
                             idle && state.law.red.average > 0 ? stage.server.packet_ns() : 1};
      hit = red_hits(queue, state.law.red, sight, uniform);
    } else {
      const std::uint64_t waiting = state.list.bytes - asked.backlog->head_bytes(state.list);
      hit = pie_hits(queue, state.law.pie, state.list.spare, waiting, uniform);
      may_mark = may_mark && state.law.pie.probability < kPieMarkMax;
    }
    if (hit && may_mark && burst.ecn[i] != kEcnNotCapable) {
      mark(burst, i);
      return true;
    }
    if (hit)
      burst.reason[i] = DropReason::kQueue;
    return !hit;
  }

  /// PIE's updates at multiples of its interval since time zero, up to now. A link that stays idle
  /// comes to rest; what changes nothing is not repeated. They are counted modulo 2^32: whatever
  /// has been idle for so many has long come to rest.
  static void run_updates(const Parameters_& stage, ArrivalState& state, std::uint64_t zero_ns,
                          std::uint64_t now_ns) noexcept {
    const std::uint64_t interval_ns = stage.queue.interval_ns;
    const std::uint64_t since_ns = now_ns <= zero_ns ? 0 : now_ns - zero_ns;
    const std::uint64_t last_ns = state.clock.spare * interval_ns;
    if (since_ns >= last_ns && since_ns - last_ns < interval_ns)
      return;
    const std::uint64_t due = since_ns / interval_ns;
    constexpr std::uint32_t kLongAgo = UINT32_MAX / 2;
    constexpr std::uint32_t kAtOnceMax =
        100'000;  // some ms of work, and long enough to come to rest
    std::uint32_t left = static_cast<std::uint32_t>(due) - state.clock.spare;
    if (left > kLongAgo)
      left = 0;  // `update` was made longer
    const std::uint64_t free_ns = std::max(stage.server.free_ns(state.clock, zero_ns), zero_ns);
    if (now_ns > free_ns && (now_ns - free_ns) / interval_ns > kLongAgo)
      left = kLongAgo;
    left = std::min(left, kAtOnceMax);  // many more where `update` was made shorter
    state.clock.spare = static_cast<std::uint32_t>(due);
    for (; left > 0; --left) {
      const std::uint64_t instant_ns = zero_ns + (due - left + 1) * interval_ns;
      const std::uint64_t delay_ns = stage.server.delay_ns(state.clock, instant_ns, zero_ns);
      PieState& pie = state.law.pie;
      const PieState before = pie;
      pie_update(stage.queue, pie, state.list.spare, delay_ns);
      const bool rests = delay_ns == 0 && before.probability == pie.probability &&
                         before.delay_ns == pie.delay_ns &&
                         state.list.spare * interval_ns >= stage.queue.burst_ns;
      if (rests)
        return;
    }
  }

  // --- judged when served ------------------------------------------------------------------------

  static void decide_served(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                            const Selection& selection, ImpairmentTally&) noexcept {
    const Parameters_& stage = parameters.as<Parameters_>();
    for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
      const std::uint8_t i = selection.position[turn];
      ServedState& state = asked.state[i]->template as<ServedState>();
      asked.served->meet(state.queue);
      burst.waits[i] = 0;
      take_in(stage, state, asked, burst, i);
    }
  }

  static void take_in(const Parameters_& stage, ServedState& state, Asked& asked,
                      JudgedBurst& burst, std::uint8_t i) noexcept {
    ServedPool& pool = *asked.served;
    const std::uint64_t now_ns = burst.time_ns[i];
    const std::uint32_t bytes = burst.length_bytes[i];
    catch_up(state, pool, asked.zero_ns, now_ns);
    const std::uint64_t free_ns = stage.server.free_ns(state.clock, asked.zero_ns);
    if (!make_room(stage.queue.limit, stage.queue.discipline, state, pool, free_ns, now_ns,
                   bytes)) {
      burst.reason[i] = DropReason::kQueue;
      return;
    }
    if (free_ns > now_ns) {
      burst.waits[i] = pool.push(state.queue, now_ns, bytes, burst.ecn[i], *asked.self);
      burst.reason[i] = burst.waits[i] == 0 ? DropReason::kOverflow : DropReason::kNone;
      return;
    }
    // Nobody waits and the server is free: served as it comes.
    if (stage.queue.discipline == Discipline::kCodel)
      state.codel.set(state.codel.count(), codel_may_drop(stage.queue, state.codel, now_ns, 0, 0) &&
                                               state.codel.dropping());
    const std::uint64_t departure_ns =
        stage.server.serve(state.clock, now_ns, bytes, asked.zero_ns);
    state.clock.spare = bytes;
    if (departure_ns == UINT64_MAX)
      burst.reason[i] = DropReason::kQueue;
    else if (departure_ns - burst.arrival_ns[i] > kStayMaxNs)
      burst.reason[i] = DropReason::kOverflow;
    else
      burst.time_ns[i] = departure_ns;
  }

  /// Whether the packet may be taken in; with head drop the oldest that wait make room.
  static bool make_room(const QueueLimit& limit, Discipline discipline, ServedState& state,
                        ServedPool& pool, std::uint64_t free_ns, std::uint64_t now_ns,
                        std::uint32_t bytes) noexcept {
    const bool busy = free_ns > now_ns;
    const auto full = [&] {
      if (limit.unit == QueueLimit::Unit::kPackets)
        return state.queue.packets + (busy ? 1U : 0U) >= limit.value;
      return limit.unit == QueueLimit::Unit::kBytes &&
             std::uint64_t{state.queue.bytes} + (busy ? state.clock.spare : 0U) + bytes >
                 limit.value;
    };
    while (full()) {
      if (discipline != Discipline::kHead || state.queue.packets == 0)
        return false;
      pool.decide(state.queue, Verdict::kDropped, now_ns);
    }
    return true;
  }

  /// Decides on every packet whose service starts by `now_ns`.
  static void catch_up(ServedState& state, ServedPool& pool, std::uint64_t zero_ns,
                       std::uint64_t now_ns) noexcept {
    while (state.queue.undecided != 0) {
      const Parameters_& stage = first_stage(state, pool);
      const std::uint64_t start_ns = stage.server.free_ns(state.clock, zero_ns);
      if (start_ns > now_ns)
        return;
      start_one(stage, state, pool, zero_ns, start_ns);
    }
  }

  /// A packet is served under the policy that judged it at arrival.
  static const Parameters_& first_stage(const ServedState& state, ServedPool& pool) noexcept {
    return pool.node(state.queue.undecided).impairment->parameters.template as<Parameters_>();
  }

  static void start_one(const Parameters_& stage, ServedState& state, ServedPool& pool,
                        std::uint64_t zero_ns, std::uint64_t start_ns) noexcept {
    if (stage.queue.discipline == Discipline::kCodel) {
      start_by_codel(stage, state, pool, zero_ns, start_ns);
      return;
    }
    const std::uint64_t sojourn_ns = start_ns - pool.node(state.queue.undecided).time_ns;
    if (is_stale(stage.queue.limit, sojourn_ns))
      pool.decide(state.queue, Verdict::kDropped, start_ns);
    else
      send(stage, state, pool, zero_ns, start_ns, false);
  }

  /// A limit in time is one of waiting.
  static bool is_stale(const QueueLimit& limit, std::uint64_t sojourn_ns) noexcept {
    return limit.unit == QueueLimit::Unit::kTime && sojourn_ns > limit.value;
  }

  /// The first that waits is served.
  static void send(const Parameters_& stage, ServedState& state, ServedPool& pool,
                   std::uint64_t zero_ns, std::uint64_t start_ns, bool marked) noexcept {
    const std::uint32_t bytes = pool.node(state.queue.undecided).bytes;
    // It was there before the server was free: the clock's fraction counts, not the rounded start.
    const std::uint64_t departure_ns = stage.server.serve(state.clock, 0, bytes, zero_ns);
    state.clock.spare = bytes;
    if (departure_ns == UINT64_MAX)
      pool.decide(state.queue, Verdict::kDropped, start_ns);
    else
      pool.decide(state.queue, marked ? Verdict::kMarked : Verdict::kSent, departure_ns);
  }

  /// The packet that would be served next, if there is one, and whether CoDel may drop it. It is
  /// still in the queue.
  static bool next_may_drop(const Parameters_& stage, ServedState& state, ServedPool& pool,
                            std::uint64_t now_ns) noexcept {
    if (state.queue.undecided == 0) {
      state.codel.first_above_ns = 0;
      return false;
    }
    const ServedPool::Node& node = pool.node(state.queue.undecided);
    return codel_may_drop(stage.queue, state.codel, now_ns, now_ns - node.time_ns,
                          state.queue.bytes - node.bytes);
  }

  /// RFC 8289, section 5.5: one packet is sent, those before it that must go are dropped.
  static void start_by_codel(const Parameters_& stage, ServedState& state, ServedPool& pool,
                             std::uint64_t zero_ns, std::uint64_t now_ns) noexcept {
    const QueueSpec& queue = stage.queue;
    CodelState& codel = state.codel;
    const auto may_mark = [&] {
      return queue.ecn && pool.node(state.queue.undecided).ecn != kEcnNotCapable;
    };
    bool marked = false;
    bool may_drop = next_may_drop(stage, state, pool, now_ns);
    if (!codel.dropping()) {
      if (may_drop) {
        marked = may_mark();
        if (!marked) {
          pool.decide(state.queue, Verdict::kDropped, now_ns);
          next_may_drop(stage, state, pool, now_ns);
        }
        codel_enter(queue, codel, now_ns);
      }
    } else {
      codel.set(codel.count(), may_drop);
      while (codel.dropping() && now_ns >= codel.drop_next_ns && !marked) {
        codel.set(codel.count() + 1, true);
        marked = may_mark();
        if (!marked) {
          pool.decide(state.queue, Verdict::kDropped, now_ns);
          may_drop = next_may_drop(stage, state, pool, now_ns);
          codel.set(codel.count(), may_drop);
        }
        if (codel.dropping())
          codel.drop_next_ns = codel_next(queue, codel.drop_next_ns, codel.count());
      }
    }
    if (state.queue.undecided == 0)
      return;
    const std::uint64_t sojourn_ns = now_ns - pool.node(state.queue.undecided).time_ns;
    if (is_stale(queue.limit, sojourn_ns))
      pool.decide(state.queue, Verdict::kDropped, now_ns);
    else
      send(stage, state, pool, zero_ns, now_ns, marked);
  }

  /// Decides what is due and says when the queue is to be looked at again; UINT64_MAX: not at all.
  static std::uint64_t serve(ScopeState& scope, ServedPool& pool, std::uint64_t zero_ns,
                             std::uint64_t now_ns) noexcept {
    ServedState& state = scope.as<ServedState>();
    pool.meet(state.queue);
    catch_up(state, pool, zero_ns, now_ns);
    if (state.queue.head == 0)
      return UINT64_MAX;
    if (state.queue.head != state.queue.undecided)
      return pool.node(state.queue.head).departure_ns;
    return first_stage(state, pool).server.free_ns(state.clock, zero_ns);
  }

  static Explanation explain(const Parameters& parameters, const Asked& asked,
                             const JudgedBurst& burst, std::uint8_t i) {
    const Parameters_& stage = parameters.as<Parameters_>();
    const bool served = stage.queue.is_served();
    const std::uint64_t now_ns = burst.time_ns[i];
    Clock clock = served ? asked.state[i]->template as<ServedState>().clock
                         : asked.state[i]->template as<ArrivalState>().clock;
    const std::uint64_t free_ns = stage.server.free_ns(clock, asked.zero_ns);
    const std::uint64_t start_ns = std::max(now_ns, free_ns);
    const std::uint64_t end_ns =
        stage.server.serve(clock, now_ns, burst.length_bytes[i], asked.zero_ns);
    Explanation why;
    why.state = "waits " + format_duration(start_ns - now_ns);
    if (end_ns != UINT64_MAX)
      why.state += ", takes " + format_duration(end_ns - std::min(end_ns, start_ns));
    return why;
  }
};

}  // namespace faultline
