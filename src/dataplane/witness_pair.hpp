// Two witnesses of one worker, each of which is told everything: a journal and captures, or the
// trails of packets in a simulation and what a daemon would write.
#pragma once

#include "dataplane/witness.hpp"

namespace faultline {

class WitnessPair final : public Witness {
 public:
  WitnessPair(Witness& first, Witness& second) : first_(first), second_(second) {}

  bool wants_flows() const noexcept override {
    return first_.wants_flows() || second_.wants_flows();
  }
  bool wants_arrivals() const noexcept override {
    return first_.wants_arrivals() || second_.wants_arrivals();
  }
  bool wants_packets() const noexcept override {
    return first_.wants_packets() || second_.wants_packets();
  }
  void begins(FlowTable& flows) noexcept override {
    first_.begins(flows);
    second_.begins(flows);
  }
  void adopted(const Policy& policy) noexcept override {
    first_.adopted(policy);
    second_.adopted(policy);
  }
  void arrived(const Arrivals& arrivals, const JudgedBurst& burst) noexcept override {
    first_.arrived(arrivals, burst);
    second_.arrived(arrivals, burst);
  }
  void matched(const RuleProgram& rule, const Selection& matched,
               const JudgedBurst& burst) noexcept override {
    first_.matched(rule, matched, burst);
    second_.matched(rule, matched, burst);
  }
  void asks(const RuleProgram& rule, std::size_t step, const Selection& selection,
            const Asked& asked, const JudgedBurst& burst) noexcept override {
    first_.asks(rule, step, selection, asked, burst);
    second_.asks(rule, step, selection, asked, burst);
  }
  void served(const RuleProgram& rule, std::size_t step, const Selection& selection,
              const JudgedBurst& burst) noexcept override {
    first_.served(rule, step, selection, burst);
    second_.served(rule, step, selection, burst);
  }
  void judged(const RuleProgram& rule, std::size_t step, const Selection& selection,
              const JudgedBurst& burst) noexcept override {
    first_.judged(rule, step, selection, burst);
    second_.judged(rule, step, selection, burst);
  }
  void copied(const RuleProgram& rule, std::size_t step, const JudgedBurst& burst, std::uint8_t of,
              std::uint8_t copy) noexcept override {
    first_.copied(rule, step, burst, of, copy);
    second_.copied(rule, step, burst, of, copy);
  }
  void decided(const JudgedPackets& packets, const JudgedBurst& burst) noexcept override {
    first_.decided(packets, burst);
    second_.decided(packets, burst);
  }
  void acted() noexcept override {
    first_.acted();
    second_.acted();
  }
  std::uint64_t captures() noexcept override {
    const std::uint64_t first = first_.captures();
    return first | second_.captures();
  }
  bool captures_own(const RuleProgram& rule) const noexcept override {
    return first_.captures_own(rule) || second_.captures_own(rule);
  }
  void seen(const HoldKey& key, const rte_mbuf* mbuf) noexcept override {
    first_.seen(key, mbuf);
    second_.seen(key, mbuf);
  }
  void left(const HoldKey& key, const rte_mbuf* mbuf, std::uint64_t departs_ns) noexcept override {
    first_.left(key, mbuf, departs_ns);
    second_.left(key, mbuf, departs_ns);
  }
  void edited(const HoldKey& key, const Edit& edit, std::uint32_t i) noexcept override {
    first_.edited(key, edit, i);
    second_.edited(key, edit, i);
  }
  void answered(const HoldKey& key, const HoldKey& of,
                const FrameAnswer& answer) noexcept override {
    first_.answered(key, of, answer);
    second_.answered(key, of, answer);
  }
  void injected(const HoldKey& key, const RuleProgram& rule, std::size_t step,
                const FrameView& frame) noexcept override {
    first_.injected(key, rule, step, frame);
    second_.injected(key, rule, step, frame);
  }
  void dropped(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept override {
    first_.dropped(key, mbuf, reason);
    second_.dropped(key, mbuf, reason);
  }

 private:
  Witness& first_;
  Witness& second_;
};

}  // namespace faultline
