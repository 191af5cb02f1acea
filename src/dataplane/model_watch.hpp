// Holds what becomes of packets against the scenario's system model, and remembers the first that
// left it. A model that nobody asked for costs a comparison: what it takes to watch stands apart
// from the path of packets.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/held_record.hpp"
#include "packet/frame_fields.hpp"
#include "policy/system_model.hpp"

namespace faultline {

/// What a packet did that the model does not know.
enum class Breach : std::uint8_t {
  kNone,
  kDropped,
  kLate,
  kDuplicated,
  kChanged,
  kCreated,
  kUnfair,  ///< too many of its flow were lost one after the other
};

struct ModelBreaches {
  std::uint64_t count = 0;
  // Of the first:
  Breach what = Breach::kNone;
  DropReason reason = DropReason::kNone;  ///< of kDropped
  std::uint8_t ingress = 0;
  std::uint8_t egress = 0;
  std::uint64_t arrival_ns = 0;  ///< since time zero
  std::uint64_t took_ns = 0;     ///< of kLate
  FlowKey flow;
};

class ModelWatch {
 public:
  /// From now on by this model, with this time zero: begins anew where one of them is another.
  void adopt(const SystemModel& model, std::uint64_t zero_ns) noexcept {
    if (model_ != nullptr && zero_ns_ == zero_ns && same(model, *model_)) {
      model_ = &model;
      return;
    }
    model_ = &model;
    zero_ns_ = zero_ns;
    breaches_ = {};
    watched_ = model.is_watched();
  }
  bool is_on() const noexcept { return watched_; }
  const ModelBreaches& breaches() const noexcept { return breaches_; }

  [[gnu::cold, gnu::noinline]] void dropped(const HoldKey& key, const rte_mbuf* mbuf,
                                            DropReason reason) noexcept {
    // A switch has nowhere to send it: that is no link's doing.
    const bool nowhere = reason == DropReason::kFiltered && key.ingress == key.egress;
    if (nowhere || model_->allows(reason) ||
        (model_->loses_before_gst && came(key) < model_->gst_ns))
      return;
    note(Breach::kDropped, key, mbuf);
    if (breaches_.count == 1)
      breaches_.reason = reason;
  }
  [[gnu::cold, gnu::noinline]] void left(const HoldKey& key, const rte_mbuf* mbuf,
                                         std::uint64_t now_ns) noexcept {
    const std::uint64_t most =
        came(key) < model_->gst_ns ? model_->delay_before_ns : model_->delay_ns;
    const std::uint64_t took_ns = now_ns - std::min(now_ns, key.arrival_ns);
    if (took_ns <= most)
      return;
    note(Breach::kLate, key, mbuf);
    if (breaches_.count == 1)
      breaches_.took_ns = took_ns;
  }
  [[gnu::cold, gnu::noinline]] void duplicated(const HoldKey& key, const rte_mbuf* mbuf) noexcept {
    if (!model_->duplicates)
      note(Breach::kDuplicated, key, mbuf);
  }
  [[gnu::cold, gnu::noinline]] void changed(const HoldKey& key, const rte_mbuf* mbuf) noexcept {
    if (!model_->lies)
      note(Breach::kChanged, key, mbuf);
  }
  [[gnu::cold, gnu::noinline]] void created(const HoldKey& key, const rte_mbuf* mbuf,
                                            bool answers) noexcept {
    if (!(answers ? model_->answers : model_->lies))
      note(Breach::kCreated, key, mbuf);
  }
  [[gnu::cold, gnu::noinline]] void unfair(const HoldKey& key, const rte_mbuf* mbuf) noexcept {
    note(Breach::kUnfair, key, mbuf);
  }

 private:
  static bool same(const SystemModel& one, const SystemModel& other) noexcept {
    return one == other;
  }
  std::uint64_t came(const HoldKey& key) const noexcept {
    return key.arrival_ns - std::min(key.arrival_ns, zero_ns_);
  }
  void note(Breach what, const HoldKey& key, const rte_mbuf* mbuf) noexcept {
    if (++breaches_.count > 1)
      return;
    breaches_.what = what;
    breaches_.ingress = key.ingress;
    breaches_.egress = key.egress;
    breaches_.arrival_ns = came(key);
    if (mbuf != nullptr)
      parse_flow_key({rte_pktmbuf_mtod(mbuf, const std::uint8_t*), mbuf->data_len}, mbuf->pkt_len,
                     breaches_.flow);
  }

  const SystemModel* model_ = nullptr;
  std::uint64_t zero_ns_ = 0;
  bool watched_ = false;
  ModelBreaches breaches_;
};

}  // namespace faultline
