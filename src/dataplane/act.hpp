// Act: the only place that frees, clones, edits or sends mbufs. What happens to a packet's memory
// after its fate is decided is all here: dropped, copied into the hold, made again at release,
// sent.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/counters.hpp"
#include "dataplane/histogram.hpp"
#include "dataplane/hold.hpp"
#include "dataplane/in_flight.hpp"
#include "dataplane/injector.hpp"
#include "dataplane/mbuf_stock.hpp"
#include "dataplane/mbufs.hpp"
#include "dataplane/model_watch.hpp"
#include "dataplane/packet_store.hpp"
#include "dataplane/port.hpp"
#include "dataplane/reordering.hpp"
#include "dataplane/witness.hpp"
#include "packet/edit.hpp"

namespace faultline {

template <PacketPort Port>
class Act {
 public:
  static constexpr std::uint32_t kTransmitTries = 8;

  Act(std::vector<Port*> ports, rte_mempool* pool, std::uint64_t hold_bytes,
      WorkerCounters& counters, std::vector<PortCounters>& port_counters)
      : ports_(std::move(ports)),
        stock_(pool),
        hold_(hold_bytes),
        store_(hold_bytes),
        counters_(counters),
        port_counters_(port_counters),
        out_(ports_.size()),
        reordering_(new ReorderingMeter[ports_.size()]),
        overtaken_(ports_.size()) {}

  ~Act() { discard_held(DropReason::kShutdown); }
  Act(const Act&) = delete;
  Act& operator=(const Act&) = delete;

  /// Who is told of every drop from now on; null for nobody.
  void set_witness(Witness* witness) noexcept {
    witness_ = witness;
    captures_ = witness != nullptr && witness->wants_packets();
  }
  /// Whether the witness may want to see packets.
  bool captures() const noexcept { return captures_; }
  Witness* witness() const noexcept { return witness_; }

  /// Holds packets against the scenario's model.
  ModelWatch& model() noexcept { return model_; }
  const ModelWatch& model() const noexcept { return model_; }

  /// Cuts off what is on its way.
  InFlight& in_flight() noexcept { return in_flight_; }

  /// From now on packets may overtake each other on their way to this port: that is measured.
  void expect_overtaking(std::size_t egress) noexcept { overtaken_[egress] = true; }

  template <typename Key>
  void drop(rte_mbuf* mbuf, const Key& key, DropReason reason) noexcept {
    lose(key, mbuf, reason);
    stock_.done_with(mbuf);
  }

  /// Changes the packet's bytes as was decided for entry `i` of the burst. `fields` say what they
  /// are, `counters_of(slot)` who counts it. The mbuf that has them from now on: another one where
  /// the packet was in pieces or shared, for others must not see it. Null when there was none to
  /// be had: the packet is dropped then.
  template <typename Key, typename CountersOf>
  rte_mbuf* edit(rte_mbuf* mbuf, const Key& key, const JudgedBurst& burst, std::uint32_t i,
                 const FrameFields& fields, const CountersOf& counters_of) noexcept {
    if (!MbufStock::is_ours_alone(mbuf)) {
      rte_mbuf* own = stock_.copy_of(mbuf);
      if (own == nullptr) {
        drop(mbuf, key, DropReason::kNoMbuf);
        return nullptr;
      }
      stock_.done_with(mbuf);
      mbuf = own;
    }
    EditFrame frame = editable(mbuf, fields);
    burst.edits.visit(i, [&](const Edit& edit) {
      frame.forget_changes();
      edit.impairment->edit(edit, frame);
      if (!frame.changed())
        return;
      if (model_.is_on()) [[unlikely]]
        model_.changed(opened(key), mbuf);
      RuleCounters& counters = counters_of(edit.rule_slot);
      ++(edit.impairment->damages ? counters.corrupted : counters.edited);
      if (witness_ != nullptr) [[unlikely]]
        witness_->edited(opened(key), edit, i);
    });
    if (burst.marked[i]) {
      edit_ecn(frame, kEcnCongestionExperienced);
      frame.settle(ChecksumCare::kFix);
    }
    mbuf->data_off =
        static_cast<std::uint16_t>(frame.bytes() - static_cast<std::uint8_t*>(mbuf->buf_addr));
    mbuf->data_len = static_cast<std::uint16_t>(frame.length());
    mbuf->pkt_len = frame.length();
    return mbuf;
  }

  /// A copy of the packet; null when there is no mbuf for it, which is counted.
  rte_mbuf* copy(const rte_mbuf* mbuf, const HoldKey& key) noexcept {
    ++counters_.ledger.copies;
    rte_mbuf* made = stock_.copy_of(mbuf);
    if (made == nullptr)
      lose(key, mbuf, DropReason::kNoMbuf);
    return made;
  }

  /// Makes the frame that answers the packet. Null when there is none, or no mbuf for it, which is
  /// counted.
  rte_mbuf* answer(const rte_mbuf* mbuf, const HoldKey& key, const HoldKey& of,
                   const FrameAnswer& answer, const FrameFields& fields) noexcept;
  /// Makes a frame of our own. Null when there is no mbuf for it, which is counted.
  rte_mbuf* inject(const HoldKey& key, const DueFrame& due) noexcept;

  /// Copies the packet into the hold. A full hold is a counted drop.
  [[gnu::always_inline]] void hold(rte_mbuf* mbuf, const HeldKey& key) noexcept {
    if (mbuf->nb_segs != 1 || store_.bytes() != 0) [[unlikely]] {
      put(mbuf, key.open(), 0, [](std::byte*) {});
      return;
    }
    const std::uint32_t length = mbuf->data_len;
    std::byte* place =
        length <= Hold::kFrameBytesMax ? hold_.push(key, Hold::Size{0, length}) : nullptr;
    if (place == nullptr) [[unlikely]] {
      drop(mbuf, key, DropReason::kOverflow);
      return;
    }
    copy_frame(place, rte_pktmbuf_mtod(mbuf, const void*), length);
    stock_.done_with(mbuf);
  }

  /// As hold for entries [first, end) of the burst, as far as they are to be held, one behind the
  /// other and quickly; `path` is HeldKey::path(). Returns up to where.
  std::uint32_t hold_run(const PerPacket<rte_mbuf*>& mbufs, const JudgedBurst& burst,
                         std::uint32_t first, std::uint32_t end, std::uint64_t path) noexcept {
    if (store_.bytes() != 0)
      return first;
    const auto wanted = [&](std::uint32_t n) noexcept -> Hold::Wanted {
      const std::uint32_t i = first + n;
      const bool waits = burst.reason[i] == DropReason::kNone && mbufs[i]->nb_segs == 1 &&
                         burst.time_ns[i] > burst.arrival_ns[i] &&
                         mbufs[i]->data_len <= Hold::kFrameBytesMax;
      return {{burst.time_ns[i], burst.arrival_ns[i], path | burst.sequence[i]},
              waits ? mbufs[i]->data_len : std::uint32_t{0}};
    };
    const auto write = [&](std::uint32_t n, std::byte* place) noexcept {
      const rte_mbuf* mbuf = mbufs[first + n];
      copy_frame(place, rte_pktmbuf_mtod(mbuf, const void*), mbuf->data_len);
    };
    const std::uint32_t held = hold_.loose_packets() == 0
                                   ? hold_.push_run(end - first, wanted, write)
                                   : hold_.push_loose_run(end - first, wanted, write);
    for (std::uint32_t i = first; i < first + held; ++i) stock_.done_with(mbufs[i]);
    return first + held;
  }

  /// As hold, but the packet will be judged again at its release: `write` fills `resume_bytes`
  /// (a multiple of 8) with what it takes to go on. False when it was dropped instead.
  template <typename Write>
  bool park(rte_mbuf* mbuf, const HoldKey& key, std::uint32_t resume_bytes,
            const Write& write) noexcept {
    return put(mbuf, key, resume_bytes, write);
  }

  /// Stores the packet where served queues' packets lie, with what `write` fills in to go on. Its
  /// number; 0 when there was no room and it was dropped instead.
  template <typename Write>
  std::uint32_t queue(rte_mbuf* mbuf, const HoldKey& key, std::uint32_t resume_bytes,
                      const Write& write) noexcept {
    const QueuedHead head{key, resume_bytes, mbuf->pkt_len};
    const auto head_bytes = static_cast<std::uint32_t>(sizeof head);
    const std::uint32_t bytes = head_bytes + resume_bytes + mbuf->pkt_len;
    const bool fits =
        mbuf->pkt_len <= Hold::kFrameBytesMax && has_room(PacketStore::taken_by(bytes));
    const std::uint32_t chain = fits ? store_.take(bytes) : 0;
    if (chain == 0) {
      drop(mbuf, key, DropReason::kOverflow);
      return 0;
    }
    PacketStore::Cursor cursor(store_, chain);
    cursor.write(&head, sizeof head);
    write(resume_.data());
    cursor.write(resume_.data(), resume_bytes);
    for (const rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next)
      cursor.write(rte_pktmbuf_mtod(segment, const void*), segment->data_len);
    ++queued_;
    stock_.done_with(mbuf);
    return chain;
  }

  /// A packet out of the store again. The mbuf is null when there was none, and the packet is
  /// dropped then. `resume` is valid until the next call.
  struct Queued {
    rte_mbuf* mbuf = nullptr;
    HoldKey key;
    const std::byte* resume = nullptr;
  };
  Queued take_queued(std::uint32_t chain) noexcept {
    QueuedHead head;
    PacketStore::Cursor cursor(store_, chain);
    cursor.read(&head, sizeof head);
    cursor.read(resume_.data(), head.resume_bytes);
    rte_mbuf* mbuf = stock_.take_spare();
    if (mbuf != nullptr) {
      char* bytes = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(head.frame_bytes));
      FAULTLINE_CHECK(bytes != nullptr);
      cursor.read(bytes, head.frame_bytes);
    } else {
      ++counters_.ledger.dropped[static_cast<std::size_t>(DropReason::kNoMbuf)];
    }
    store_.give_back(chain);
    --queued_;
    return {mbuf, head.key, resume_.data()};
  }

  /// Ends the wait of a stored packet that nobody will serve.
  void forget_queued(std::uint32_t chain) noexcept {
    store_.give_back(chain);
    --queued_;
    ++counters_.ledger.dropped[static_cast<std::size_t>(DropReason::kOverflow)];
  }

  /// Whether an mbuf is to be had for a packet that leaves the hold.
  bool has_spare() noexcept { return stock_.has_spare(); }

  /// Packets that wait, for their time or their turn.
  std::uint64_t held_packets() const noexcept { return hold_.packets() + queued_; }
  std::uint64_t held_bytes() const noexcept { return hold_.bytes() + store_.bytes(); }

  /// Queues the packet for its port; it leaves at finish(), or earlier when the queue is full.
  void send(rte_mbuf* mbuf, const HeldKey& key, std::uint64_t departs_ns) noexcept {
    const std::size_t egress = key.egress();
    Port& port = *ports_[egress];
    if (mbuf->pkt_len > port.frame_bytes_max(mbuf) || !port.carrier()) [[unlikely]] {
      refuse(mbuf, key);
      return;
    }
    if (key.captured() && captures_) [[unlikely]]
      witness_->left(key.open(), mbuf, departs_ns);
    OutBurst& out = out_[egress];
    out.mbufs[out.count] = mbuf;
    out.keys[out.count] = key;
    if (++out.count == kBurstMax)
      transmit(egress);
  }

  /// Takes up to `budget` packets whose time has come out of the hold. One that is to be judged
  /// again goes to `resume(mbuf, held)` (held is valid until the hold changes), the others leave.
  /// `departure` gives the instant at which a packet with this release time leaves, for its
  /// lateness. `turn` gives when the next served queue is due: it goes before. Returns how many
  /// were taken.
  template <typename Departure, typename Judge, typename Turn>
  std::uint32_t release(std::uint64_t now_ns, std::uint32_t budget, const Departure& departure,
                        const Judge& resume, const Turn& turn) noexcept {
    std::uint32_t released = 0;
    while (released < budget && hold_.next_release_ns() <= now_ns &&
           (hold_.next_release_ns() < turn() || hold_.next_release_ns() == 0)) {
      if (!has_spare())
        break;  // late rather than lost: mbufs come back with the next poll
      const std::uint64_t until_ns = std::min(now_ns, turn() - 1);
      const std::uint32_t most = std::min(budget - released, stock_.spares());
      const auto go = [&](const HeldRecord& record, const std::byte* frame) noexcept {
        leave(stock_.take_out(frame, record.size().frame), record.key(), false, now_ns, departure);
      };
      if (const std::uint32_t run =
              hold_.take_run(until_ns, most, go) + hold_.take_loose(until_ns, most, go);
          run > 0) {
        released += run;
        continue;
      }
      const HeldPacket held = hold_.front();
      rte_mbuf* mbuf = stock_.take_out(held.bytes, held.length);
      ++released;
      if (held.resume != nullptr) {
        resume(mbuf, held);
        continue;
      }
      hold_.pop();
      leave(mbuf, HeldKey::of(held.key), held.flushed, now_ns, departure);
    }
    return released;
  }

  /// Drops a packet that was on its way when a cut began that is in force.
  bool is_cut_off(rte_mbuf* mbuf, const HeldKey& key) noexcept {
    if (!in_flight_.takes(key.open(), {rte_pktmbuf_mtod(mbuf, const std::uint8_t*), mbuf->data_len},
                          mbuf->pkt_len))
      return false;
    drop(mbuf, key, DropReason::kInFlight);
    return true;
  }

  /// Sends a packet that was in the hold and notes how late it is.
  template <typename Departure>
  void leave(rte_mbuf* mbuf, const HeldKey& key, bool flushed, std::uint64_t now_ns,
             const Departure& departure) noexcept {
    if (key.arrival_ns < in_flight_.before_ns() && is_cut_off(mbuf, key)) [[unlikely]]
      return;
    const std::uint64_t departs_ns = departure(now_ns, key.release_ns);
    note_departure(key.release_ns, flushed, departs_ns);
    if (model_.is_on()) [[unlikely]]
      model_.left(key.open(), mbuf, departs_ns);
    send(mbuf, key, departs_ns);
  }

  /// Ends a burst: everything queued is handed to its port, everything done with is freed.
  void finish() noexcept {
    for (std::size_t egress = 0; egress < out_.size(); ++egress)
      if (out_[egress].count > 0)
        transmit(egress);
    count_late();
    stock_.settle();
  }

  /// Ends the wait of every held packet at once, without sending it.
  void discard_held(DropReason reason) noexcept {
    counters_.ledger.dropped[static_cast<std::size_t>(reason)] += held_packets();
    while (!hold_.empty()) hold_.pop();
    store_.clear();
    queued_ = 0;
  }

  /// How long after their time packets left, as of the last finish().
  const Histogram& lateness() const noexcept { return lateness_; }
  Histogram& lateness() noexcept { return lateness_; }

  Hold& held() noexcept { return hold_; }
  const Hold& held() const noexcept { return hold_; }

 private:
  template <typename Write>
  bool put(rte_mbuf* mbuf, const HoldKey& key, std::uint32_t resume_bytes,
           const Write& write) noexcept {
    std::byte* place = mbuf->pkt_len <= Hold::kFrameBytesMax && has_room(mbuf->pkt_len)
                           ? hold_.push(key, {resume_bytes, mbuf->pkt_len})
                           : nullptr;
    if (place == nullptr) {
      drop(mbuf, key, DropReason::kOverflow);
      return false;
    }
    write(place);
    place += resume_bytes;
    for (const rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next) {
      copy_frame(place, rte_pktmbuf_mtod(segment, const void*), segment->data_len);
      place += segment->data_len;
    }
    stock_.done_with(mbuf);
    return true;
  }

  /// Delay line and queues share what the hold may take.
  bool has_room(std::uint64_t bytes) const noexcept {
    return store_.bytes() == 0 || held_bytes() + bytes <= hold_.capacity_bytes();
  }

  /// A packet that has an mbuf of its own is not sent.
  template <typename Key>
  void lose(const Key& key, const rte_mbuf* mbuf, DropReason reason) noexcept {
    if (witness_ != nullptr) [[unlikely]]
      witness_->dropped(opened(key), mbuf, reason);
    if (model_.is_on()) [[unlikely]]
      model_.dropped(opened(key), mbuf, reason);
    ++counters_.ledger.dropped[static_cast<std::size_t>(reason)];
  }

  static const HoldKey& opened(const HoldKey& key) noexcept { return key; }
  static HoldKey opened(const HeldKey& key) noexcept { return key.open(); }

  static FrameView view_of(const rte_mbuf* mbuf) noexcept {
    return {rte_pktmbuf_mtod(mbuf, const std::uint8_t*), mbuf->data_len, mbuf->pkt_len};
  }

  static EditFrame editable(rte_mbuf* mbuf, const FrameFields& fields) noexcept {
    return {{rte_pktmbuf_mtod(mbuf, std::uint8_t*), mbuf->data_len},
            {rte_pktmbuf_headroom(mbuf), rte_pktmbuf_tailroom(mbuf)},
            fields};
  }

  /// In front of a stored packet.
  struct QueuedHead {
    HoldKey key;
    std::uint32_t resume_bytes = 0;
    std::uint32_t frame_bytes = 0;
  };
  /// What a packet may take along: a Resume and a rule for each of a policy.
  static constexpr std::size_t kResumeBytesMax = 32'768;

  void note_departure(std::uint64_t release_ns, bool flushed, std::uint64_t departs_ns) noexcept {
    if (departs_ns < release_ns) {
      ++(flushed ? counters_.flushed : counters_.early);
      return;
    }
    const std::uint64_t late_ns = departs_ns - release_ns;
    if (late_ns != late_ns_) {
      count_late();
      late_ns_ = late_ns;
    }
    ++late_times_;
  }

  /// Packets that were equally late are counted together.
  void count_late() noexcept {
    if (late_times_ == 0)
      return;
    lateness_.add(late_ns_, late_times_);
    counters_.lateness_max_ns = std::max(counters_.lateness_max_ns, late_ns_);
    late_times_ = 0;
  }

  /// Packets [first, end) of the port's burst have left.
  void note_order(std::size_t egress, std::uint32_t first, std::uint32_t end) noexcept {
    PortCounters& counters = port_counters_[egress];
    for (std::uint32_t i = first; i < end; ++i) {
      const HeldKey& key = out_[egress].keys[i];
      const std::uint64_t extent = key.copy() == 0 ? reordering_[egress].note(key.sequence()) : 0;
      counters.tx_reordered += extent > 0 ? 1U : 0U;
      counters.tx_extent_sum += extent;
      counters.tx_extent_max = std::max(counters.tx_extent_max, extent);
    }
  }

  /// Drops what cannot leave by its port: a fault's doing, or one's own.
  void refuse(rte_mbuf* mbuf, const HeldKey& key) noexcept {
    if (ports_[key.egress()]->carrier_is_taken()) {
      drop(mbuf, key, DropReason::kCarrier);
      return;
    }
    ++port_counters_[key.egress()].tx_errors;
    drop(mbuf, key, DropReason::kTxError);
  }

  void transmit(std::size_t egress) noexcept {
    OutBurst& out = out_[egress];
    PortCounters& counters = port_counters_[egress];
    // The port takes ownership of what it accepts, so lengths are read before.
    std::array<std::uint32_t, kBurstMax> lengths;
    for (std::uint32_t i = 0; i < out.count; ++i) lengths[i] = out.mbufs[i]->pkt_len;
    std::uint32_t next = 0;
    for (std::uint32_t tries = 0; next < out.count && tries < kTransmitTries; ++tries) {
      const Transmitted done = ports_[egress]->transmit(out, next);
      for (std::uint32_t i = next; i < next + done.sent; ++i) counters.tx_bytes += lengths[i];
      counters.tx_packets += done.sent;
      counters_.ledger.sent += done.sent;
      if (overtaken_[egress])
        note_order(egress, next, next + done.sent);
      next += done.sent;
      if (done.next_is_refused) {
        refuse(out.mbufs[next], out.keys[next]);
        ++next;
        tries = 0;
      }
    }
    counters.tx_full += out.count - next;
    for (; next < out.count; ++next) drop(out.mbufs[next], out.keys[next], DropReason::kTxFull);
    out.count = 0;
  }

  std::vector<Port*> ports_;
  MbufStock stock_;
  Witness* witness_ = nullptr;
  bool captures_ = false;
  ModelWatch model_;
  InFlight in_flight_;
  Hold hold_;
  PacketStore store_;  ///< what waits in served queues
  std::uint64_t queued_ = 0;
  WorkerCounters& counters_;
  std::vector<PortCounters>& port_counters_;
  Histogram lateness_;
  std::uint64_t late_ns_ = 0;  ///< of the packets that left last
  std::uint64_t late_times_ = 0;
  std::vector<OutBurst> out_;
  std::unique_ptr<ReorderingMeter[]> reordering_;  ///< by egress
  std::vector<bool> overtaken_;                    ///< by egress: its order is measured
  alignas(16) std::array<std::byte, kResumeBytesMax> resume_;
};

}  // namespace faultline

#include "dataplane/act_made.hpp"
