// The worker: receive → parse → match → decide → act → hold/release → send → account.
// Read this file from top to bottom; what each step does is in burst order decide.hpp, act.hpp and
// hold.hpp, what becomes of packets that waited in worker_held.hpp. Time enters once a poll, read
// after the packets were received, and is passed down. The same worker runs on ethdev ports with
// the time-stamp counter and on simulated ones in virtual time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/act.hpp"
#include "dataplane/decide.hpp"
#include "dataplane/flow_survey.hpp"
#include "dataplane/injector.hpp"
#include "dataplane/snapshot.hpp"
#include "dataplane/switching.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {

struct WorkerSettings {
  std::uint32_t rx_burst = 32;         ///< 1 … kBurstMax
  std::uint32_t release_budget = 128;  ///< a poll and port; above rx_burst, or a stall stays
  std::uint64_t flows_max = 65'536;
  std::uint64_t flow_idle_ns = 60 * kNsPerSecond;
  std::uint64_t hold_bytes = std::uint64_t{256} << 20;
  std::uint32_t worker = 0;  ///< its number among all workers
  std::size_t paths = 0;     ///< of a policy; 0: as many as there are ports
  std::vector<SwitchProgram> switches;
};

/// How long a worker has polled, and how much of that it had packets.
struct PollTimes {
  std::uint64_t busy_ns = 0;
  std::uint64_t now_ns = 0;  ///< of the last poll
};

/// `Time` gives now_ns() and departure_ns(now_ns, release_ns), and says whether a poll's packets
/// came at instants of their own, kInTurn: then they leave in the order of time among those that
/// waited, however many a poll takes.
template <PacketPort Port, typename Time>
class Worker {
 public:
  /// `ports` are indexed as in the policy; null where another worker polls. The pool makes the
  /// packets that leave the hold.
  Worker(const WorkerSettings& settings, std::vector<Port*> ports, Time& time, rte_mempool* pool,
         const std::atomic<const Policy*>& published)
      : settings_(settings),
        ports_(std::move(ports)),
        time_(time),
        published_(published),
        port_counters_(ports_.size()),
        decide_({settings.flows_max, settings.flow_idle_ns, settings.hold_bytes / kQueuedBytesMin,
                 std::max(settings.paths, ports_.size()), settings.worker}),
        switching_(ports_.size(), settings.switches),
        act_(ports_, pool, settings.hold_bytes, counters_, port_counters_),
        direct_(ports_.size() * kBurstMax),
        whole_frames_(new WholeFrame[kBurstMax]),
        box_(ports_.size()) {
    rx_burst_ = settings.rx_burst;
    act_.in_flight().count_in(&decide_.counters_of(0));
    for (std::size_t port = 0; port < ports_.size(); ++port)
      if (ports_[port] != nullptr)
        polled_.push_back(static_cast<std::uint8_t>(port));
    release_budget_ = settings.release_budget * static_cast<std::uint32_t>(polled_.size());
  }

  /// Who watches from the next poll on; null for nobody. Any thread.
  void set_witness(Witness* witness) noexcept {
    wanted_witness_.store(witness, std::memory_order_release);
  }
  /// Who does from the next run's time zero on; null: whoever does then.
  void set_witness_of_run(Witness* witness) noexcept {
    witness_of_run_.store(witness, std::memory_order_release);
  }
  /// Who does. A witness that is replaced must stay until this says so. Any thread.
  const Witness* witness() const noexcept { return witness_.load(std::memory_order_acquire); }

  /// One turn: every port once. The caller repeats it.
  void poll() noexcept {
    const Policy* published = published_.load(std::memory_order_acquire);
    if (published != newest_) [[unlikely]]
      expect(*published);
    if (wanted_witness_.load(std::memory_order_relaxed) != act_.witness()) [[unlikely]]
      change_witness();
    if (decide_.is_triggered()) [[unlikely]]
      next_instant_ns_ = std::min(next_instant_ns_, decide_.policy()->board->newest_ns());
    std::uint32_t received = 0;
    for (const std::uint8_t ingress : polled_) received += receive(ingress);
    let_go(received);
    box_.serve([this](WorkerSnapshot& snapshot) { fill(snapshot); });
    survey_.serve(decide_.flows());
  }

  /// Ends the wait of what is held: sent (in arrival order) or dropped, counted as `reason`.
  /// Receives nothing more. Returns true when nothing is left.
  bool wind_down(HeldAction action, DropReason reason) noexcept {
    if (action == HeldAction::kDrop)
      discard_held(reason);
    else if (action == HeldAction::kSend)
      flush_held();
    release(time_.now_ns());
    act_.finish();
    box_.serve([this](WorkerSnapshot& snapshot) { fill(snapshot); });
    return act_.held_packets() == 0;
  }

  std::uint64_t adopted_generation() const noexcept {
    return adopted_generation_.load(std::memory_order_acquire);
  }
  /// The oldest generation of a policy that a packet in the hold will be judged by again;
  /// UINT64_MAX when there is none.
  std::uint64_t policies_needed() const noexcept {
    return policies_needed_.load(std::memory_order_acquire);
  }
  /// When the next held packet leaves; kNever when none is held.
  std::uint64_t next_release_ns() const noexcept {
    return std::min(act_.held().next_release_ns(), decide_.wakes().next_ns());
  }
  /// When something happens that no packet brings about: a frame of our own leaves or, where there
  /// may be some, a policy or a rule's end comes. kNever: nothing does.
  std::uint64_t next_own_ns() const noexcept {
    return injects_ ? std::min(injector_.next_ns(), next_instant_ns_) : kNever;
  }
  /// When the next policy or the next end of a rule comes, while packets wait for one; else kNever.
  std::uint64_t next_end_ns() noexcept {
    return decide_.waits_for_ends() ? next_instant_ns_ : kNever;
  }
  /// Whether the last poll received or released anything.
  bool had_work() const noexcept { return had_work_; }
  std::uint64_t held_packets() const noexcept { return act_.held_packets(); }
  /// Any thread.
  PollTimes poll_times() const noexcept {
    return {busy_ns_.load(std::memory_order_relaxed),
            last_poll_ns_.load(std::memory_order_relaxed)};
  }
  SnapshotBox& snapshots() noexcept { return box_; }
  FlowSurvey& survey() noexcept { return survey_; }
  const Histogram& lateness() const noexcept { return act_.lateness(); }
  const Histogram& delays_of(std::uint16_t slot) const noexcept { return decide_.delays_of(slot); }
  const Histogram& variations_of(std::uint32_t which) const noexcept {
    return decide_.variations_of(which);
  }
  void fill(WorkerSnapshot& snapshot) const noexcept;

 private:
  std::uint32_t receive(std::uint8_t ingress) noexcept {
    PerPacket<rte_mbuf*> mbufs;
    const std::uint32_t count = ports_[ingress]->receive(mbufs.data(), rx_burst_);
    if (count > 0) {
      for (std::uint32_t i = 0; i < count; ++i) burst_.sequence[i] = sequence_ + i;
      ports_[ingress]->stamp(mbufs.data(), count, time_.now_ns(), burst_);
      account_received(ingress, mbufs, count);
      handle(ingress, mbufs, count);
    }
    return count;
  }

  /// Everything that is due now leaves or is judged on. Only when all ports have been asked: what
  /// one of them still had may come to a stage before what waits for it.
  void let_go(std::uint32_t received) noexcept {
    const std::uint64_t now_ns = time_.now_ns();
    account_time(now_ns);
    if (now_ns >= next_instant_ns_) [[unlikely]]
      advance(now_ns);
    if (now_ns >= injector_.next_ns()) [[unlikely]]
      inject_until(now_ns + 1);
    if (decide_.chases()) [[unlikely]]
      hold_direct();
    std::uint32_t released = 0;
    if constexpr (Time::kInTurn)
      released = send_in_turn();
    released += release(now_ns);
    send_direct(now_ns);
    act_.finish();
    act_.in_flight().forget_ended();
    had_work_ = received + released > 0;
  }

  /// A burst is cut where something changes, so that changes happen at a time and not at a burst.
  void handle(std::uint8_t ingress, PerPacket<rte_mbuf*>& mbufs, std::uint32_t count) noexcept {
    view_frames(ingress, mbufs, count);
    if (switching_.joins(ingress)) [[unlikely]]
      forward(ingress, mbufs, count);
    else
      handle_run(ingress, mbufs, 0, count);
  }

  /// Packets [first, last) of the burst, which take the same path.
  void handle_run(PathId path_id, PerPacket<rte_mbuf*>& mbufs, std::uint32_t first,
                  std::uint32_t last) noexcept {
    while (first < last) {
      if (burst_.arrival_ns[first] >= next_instant_ns_)
        advance(burst_.arrival_ns[first]);
      std::uint32_t end = first + 1;
      const std::uint32_t most = std::min(last, first + decide_.part_max(path_id));
      if (next_instant_ns_ == kNever)
        end = most;
      while (end < most && burst_.arrival_ns[end] < next_instant_ns_) ++end;
      const BurstPart part{first, end - first, path_id};
      decide_.judge(frames_, part, burst_, counters_);
      if (act_.captures()) [[unlikely]]
        burst_.captured = act_.witness()->captures();
      if (act_.model().is_on()) [[unlikely]]
        watch_losses(part, mbufs);
      act_on(part, mbufs);
      if (decide_.told_witness()) [[unlikely]]
        act_.witness()->acted();
      if (decide_.is_triggered()) [[unlikely]]
        next_instant_ns_ = std::min(next_instant_ns_, burst_.arrival_ns[first]);
      first = end;
    }
  }

  /// Where the model bounds how many packets of a flow are lost one after the other.
  void watch_losses(BurstPart part, const PerPacket<rte_mbuf*>& mbufs) noexcept;
  /// A switch's packets: each takes the path to the port behind which its destination is, or to all
  /// others.
  void forward(std::uint8_t ingress, PerPacket<rte_mbuf*>& mbufs, std::uint32_t count) noexcept;
  void flood(std::uint8_t ingress, PerPacket<rte_mbuf*>& mbufs, std::uint32_t i) noexcept;

  /// Does to the packets what was decided.
  void act_on(BurstPart part, const PerPacket<rte_mbuf*>& mbufs) noexcept {
    const PathProgram& way = decide_.policy()->paths[part.path_id];
    // Answers and copies are made of the packets as they are before anything is done to them.
    if (burst_.answer_count > 0) [[unlikely]]
      answer(way, mbufs, [this](rte_mbuf* mbuf, const HoldKey& key) noexcept {
        send_or_hold(mbuf, HeldKey::of(key));
      });
    if (decide_.copies() > 0 || decide_.sets_aside() || burst_.captured != 0) [[unlikely]] {
      act_on_each(part, way, mbufs);
      return;
    }
    const bool edits = !burst_.edits.empty() || burst_.any_marked();
    const std::uint64_t path = HeldKey::path(way.ingress, way.egress);
    const std::uint32_t end = part.first + part.count;
    for (std::uint32_t i = part.first; i < end; ++i) {
      if (!edits && burst_.time_ns[i] > burst_.arrival_ns[i]) {
        i = act_.hold_run(mbufs, burst_, i, end, path);
        if (i == end)
          break;
      }
      const HeldKey key{burst_.time_ns[i], burst_.arrival_ns[i], path | burst_.sequence[i]};
      if (burst_.reason[i] != DropReason::kNone) {
        act_.drop(mbufs[i], key, burst_.reason[i]);
        continue;
      }
      rte_mbuf* mbuf = mbufs[i];
      if (edits && (burst_.marked[i] || !burst_.edits.empty(i))) {
        mbuf = edit(mbuf, key, i);
        if (mbuf == nullptr)
          continue;
      }
      send_or_hold(mbuf, key);
    }
    sequence_ = burst_.sequence[end - 1] + 1;
  }

  /// Where more is to be done than to drop, edit, hold and send.
  void act_on_each(BurstPart part, const PathProgram& way,
                   const PerPacket<rte_mbuf*>& mbufs) noexcept;

  HoldKey key_of(std::uint32_t i, const PathProgram& way) const noexcept {
    return {burst_.time_ns[i], burst_.arrival_ns[i], burst_.sequence[i], way.ingress,
            way.egress,        burst_.copy[i],       burst_.wants(i)};
  }

  /// Does to a packet what was decided for entry `i` of the burst; what lives goes on by `go`.
  template <typename Go>
  void dispose(rte_mbuf* mbuf, const HoldKey& key, std::uint32_t i, const Go& go) noexcept;
  /// A copy that a rule makes of the packet.
  rte_mbuf* duplicate(const rte_mbuf* mbuf, const HoldKey& key) noexcept;

  /// Into the store, until it is the packet's turn. One that finds no room has left its place in
  /// the queue to nobody.
  void queue(rte_mbuf* mbuf, const HoldKey& key, std::uint32_t i) noexcept {
    ServedPool::Node& node = decide_.served().node(decide_.waits(i));
    node.packet = act_.queue(mbuf, key, decide_.resume_bytes(i),
                             [&](std::byte* place) { decide_.write_resume(i, place); });
    policies_.take(node.generation);
  }

  template <typename Key>
  rte_mbuf* edit(rte_mbuf* mbuf, const Key& key, std::uint32_t i) noexcept {
    return act_.edit(
        mbuf, key, burst_, i, decide_.fields(i),
        [this](std::uint16_t slot) -> RuleCounters& { return decide_.counters_of(slot); });
  }

  /// Makes what is to leave because of packets of the burst and gives it to `go(mbuf, key)`.
  template <typename Go>
  void answer(const PathProgram& way, const PerPacket<rte_mbuf*>& mbufs, const Go& go) noexcept;

  /// Sends frames of our own whose time is before `end_ns`.
  void inject_until(std::uint64_t end_ns) noexcept;

  /// Out of the port now, or into the hold for later.
  [[gnu::always_inline]] void send_or_hold(rte_mbuf* mbuf, const HeldKey& key) noexcept {
    if (key.release_ns > key.arrival_ns || direct_count_ == direct_.size())
      act_.hold(mbuf, key);
    else
      direct_[direct_count_++] = {mbuf, key};
  }

  /// Into the hold until the packet's own time has come, to be judged again then.
  void park(rte_mbuf* mbuf, const HoldKey& key, std::uint32_t i) noexcept {
    std::uint64_t generation = 0;
    const bool parked = act_.park(mbuf, key, decide_.resume_bytes(i), [&](std::byte* place) {
      decide_.write_resume(i, place);
      generation = reinterpret_cast<const Resume*>(place)->policy->generation;
    });
    if (parked)
      policies_.take(generation);
  }

  /// Lets go what is due, in the order of time; at one instant served queues go first.
  std::uint32_t release(std::uint64_t now_ns) noexcept {
    std::uint32_t released = 0;
    for (;;) {
      released += act_.release(
          now_ns, release_budget_ - released, departure(),
          [&](rte_mbuf* mbuf, const HeldPacket& held) noexcept { resume(mbuf, held, now_ns); },
          [&]() noexcept { return decide_.wakes().next_ns(); });
      if (decide_.wakes().next_ns() > now_ns || released >= release_budget_ || !act_.has_spare())
        break;
      released += serve(now_ns);
    }
    drop_abandoned();
    policies_needed_.store(policies_.oldest(), std::memory_order_release);
    return released;
  }

  /// One served queue at the instant at which it is due.
  std::uint32_t serve(std::uint64_t now_ns) noexcept;
  /// A packet has been served, or dropped instead.
  void go_on(const ServedPool::Node& node, std::uint64_t now_ns) noexcept;
  /// Queues whose scope was forgotten lose their packets.
  void drop_abandoned() noexcept;
  /// Everything held leaves: the delay line in the order of arrival, queues as they stand.
  void flush_held() noexcept;
  /// A packet has come to the stage it was parked for: it is judged from there on.
  void resume(rte_mbuf* mbuf, const HeldPacket& held, std::uint64_t now_ns) noexcept;
  /// Does to a packet that was held, entry 0 of the burst, and to what was made of it, what was
  /// decided.
  void act_on_one(rte_mbuf* mbuf, const HoldKey& came, std::uint64_t now_ns) noexcept;

  void discard_held(DropReason reason) noexcept {
    act_.discard_held(reason);
    decide_.forget_queues();
    policies_.clear();
  }

  /// Packets that wait for nothing leave behind those whose time has come; if the budget left some
  /// of these in the hold, they queue there too.
  void send_direct(std::uint64_t now_ns) noexcept {
    if (next_release_ns() <= now_ns) {
      hold_direct();
      return;
    }
    for (std::uint32_t i = 0; i < direct_count_; ++i)
      act_.send(direct_[i].mbuf, direct_[i].key, now_ns);
    direct_count_ = 0;
  }

  /// Each leaves behind what is due at its own time.
  std::uint32_t send_in_turn() noexcept;
  /// They queue in the hold.
  void hold_direct() noexcept {
    for (std::uint32_t i = 0; i < direct_count_; ++i) act_.hold(direct_[i].mbuf, direct_[i].key);
    direct_count_ = 0;
  }

  /// The frames' first bytes, in one piece each; all of them where rules look behind headers.
  void view_frames(std::uint8_t ingress, const PerPacket<rte_mbuf*>& mbufs,
                   std::uint32_t count) noexcept {
    const bool read = switching_.joins(ingress) || decide_.reads_frames(ingress) ||
                      next_instant_ns_ != kNever || decide_.wants_flows();
    const std::uint32_t most = reads_payload_ ? kWholeBytes : kParseBytesMax;
    for (std::uint32_t i = 0; i < count; ++i) {
      const rte_mbuf* mbuf = mbufs[i];
      frames_[i] = {rte_pktmbuf_mtod(mbuf, const std::uint8_t*), mbuf->data_len, mbuf->pkt_len};
      if (!read)
        continue;
      if (mbuf->data_len < mbuf->pkt_len && mbuf->data_len < most) [[unlikely]] {
        const auto wanted = std::min<std::uint32_t>(mbuf->pkt_len, most);
        void* place = most > kParseBytesMax ? whole_frames_[i].bytes : prefixes_[i].data();
        frames_[i].bytes =
            static_cast<const std::uint8_t*>(rte_pktmbuf_read(mbuf, 0, wanted, place));
        frames_[i].available = wanted;
      }
    }
  }

  // --- policies and their instants ---------------------------------------------------------------

  /// A policy was published: it is awaited, and those behind it.
  void expect(const Policy& published) noexcept;
  /// What follows a policy that has been adopted.
  const Policy* follower_of(const Policy& adopted) noexcept;
  void inject_by(const Policy& policy, std::uint64_t now_ns) noexcept;
  /// Does what is due at or before `now_ns`, in the order of time.
  void advance(std::uint64_t now_ns) noexcept;
  void treat_held(const Policy& policy) noexcept;
  void begin_run() noexcept;
  void change_witness() noexcept;

  // --- account -----------------------------------------------------------------------------------

  void account_received(std::uint8_t ingress, const PerPacket<rte_mbuf*>& mbufs,
                        std::uint32_t count) noexcept {
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < count; ++i) bytes += mbufs[i]->pkt_len;
    port_counters_[ingress].rx_packets += count;
    port_counters_[ingress].rx_bytes += bytes;
    counters_.ledger.received += count;
  }

  /// The time since the last poll belongs to that poll.
  void account_time(std::uint64_t now_ns) noexcept {
    const std::uint64_t last_ns = last_poll_ns_.load(std::memory_order_relaxed);
    if (had_work_)
      busy_ns_.store(busy_ns_.load(std::memory_order_relaxed) + now_ns - last_ns,
                     std::memory_order_relaxed);
    last_poll_ns_.store(now_ns, std::memory_order_relaxed);
  }

  auto departure() const noexcept {
    return [this](std::uint64_t now_ns, std::uint64_t release_ns) noexcept {
      return time_.departure_ns(now_ns, release_ns);
    };
  }

  /// What a queued packet takes in the hold at least.
  static constexpr std::uint64_t kQueuedBytesMin = 64;

  WorkerSettings settings_;
  std::vector<Port*> ports_;
  Time& time_;
  const std::atomic<const Policy*>& published_;
  const Policy* newest_ = nullptr;       ///< the last one seen published
  const Policy* pending_ = nullptr;      ///< published, its time not yet come
  const Policy* replacement_ = nullptr;  ///< of a timeline of which pending_ still comes before it
  std::uint64_t next_instant_ns_ = kNever;
  std::uint32_t sequence_ = 0;  ///< of the next packet
  WorkerCounters counters_;
  std::vector<PortCounters> port_counters_;
  Decide decide_;
  Switching switching_;
  Injector injector_;
  std::uint32_t injected_ = 0;  ///< frames of our own; wraps
  Act<Port> act_;
  JudgedBurst burst_;
  PerPacket<FrameView> frames_;
  struct DirectPacket {
    rte_mbuf* mbuf = nullptr;
    HeldKey key;
  };
  std::vector<DirectPacket> direct_;  ///< of this poll: those that wait for nothing
  std::uint32_t direct_count_ = 0;
  std::vector<std::uint8_t> polled_;  ///< ports that are this worker's
  std::uint32_t rx_burst_ = 0;
  std::uint32_t release_budget_ = 0;
  PerPacket<std::array<std::uint8_t, kParseBytesMax>> prefixes_;
  /// An IP datagram and what may stand before it. Pages are taken only where frames come in parts.
  static constexpr std::uint32_t kWholeBytes = 65'536 + kParseBytesMax;
  struct WholeFrame {
    std::uint8_t bytes[kWholeBytes];
  };
  std::unique_ptr<WholeFrame[]> whole_frames_;
  bool injects_ = false;        ///< there may be frames of our own, now or later
  bool reads_payload_ = false;  ///< a rule now or to come looks behind frames' headers
  std::atomic<std::uint64_t> last_poll_ns_{0};
  std::atomic<std::uint64_t> busy_ns_{0};
  bool had_work_ = false;
  std::atomic<std::uint64_t> adopted_generation_{0};
  std::atomic<std::uint64_t> policies_needed_{UINT64_MAX};
  std::atomic<Witness*> wanted_witness_{nullptr};
  std::atomic<const Witness*> witness_{nullptr};
  std::atomic<Witness*> witness_of_run_{nullptr};
  PolicyUse policies_;
  SnapshotBox box_;
  FlowSurvey survey_;
};

template <PacketPort Port, typename Time>
void Worker<Port, Time>::fill(WorkerSnapshot& snapshot) const noexcept {
  snapshot.now_ns = last_poll_ns_.load(std::memory_order_relaxed);
  snapshot.generation = adopted_generation_.load(std::memory_order_relaxed);
  snapshot.counters = counters_;
  std::copy(port_counters_.begin(), port_counters_.end(), snapshot.ports.begin());
  snapshot.flows = decide_.flow_counters();
  snapshot.scopes = decide_.scope_counters();
  snapshot.fragments = decide_.fragment_counters();
  snapshot.connections = decide_.connection_counters();
  snapshot.payload = decide_.payload_counters();
  snapshot.stations = switching_.counters();
  snapshot.clocks.copy_from(decide_.clocks());
  snapshot.model = act_.model().breaches();
  const Hold& hold = act_.held();
  snapshot.hold = {act_.held_packets(), act_.held_bytes(), hold.capacity_bytes(),
                   hold.peak_bytes()};
  if (decide_.policy() == nullptr)
    return;
  for (const RuleProgram& rule : decide_.policy()->rules)
    snapshot.rules[rule.slot] = decide_.rule_counters()[rule.slot];
}

}  // namespace faultline

#include "dataplane/worker_each.hpp"
#include "dataplane/worker_held.hpp"
#include "dataplane/worker_policies.hpp"
#include "dataplane/worker_switch.hpp"
