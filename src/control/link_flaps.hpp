// Carriers that go down and up with the links that `flap` takes down: on the management plane, by
// the same law by which workers lose packets, to the millisecond or so.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/wiring.hpp"
#include "policy/policy.hpp"

namespace faultline {

class LinkFlaps {
 public:
  LinkFlaps(const Scenario& scenario, Wiring& wiring);
  /// Lets every link come up again that it took down.
  ~LinkFlaps();
  LinkFlaps(const LinkFlaps&) = delete;
  LinkFlaps& operator=(const LinkFlaps&) = delete;

  /// What is to go down from now on. Nothing of the policy is needed afterwards.
  void read(const Policy& policy);
  /// Takes carriers down and lets them up, as of `now_ns`.
  void follow(std::uint64_t now_ns);
  /// Lets all of them up, for good.
  void end();
  /// Of the flaps read last: a daemon that was killed may have left their links down.
  void let_up();
  /// Any thread: whether the port's carrier can go down with a link.
  bool can_take(std::size_t port) const noexcept {
    return able_[port].load(std::memory_order_relaxed);
  }

 private:
  /// One flap of a rule that is enabled or may be.
  struct Outages {
    PortMask ports = 0;
    RuleProgram rule;
    std::shared_ptr<TriggerBoard> board;  ///< that the rule's gates look at
    Parameters parameters;
    LinkDownFunction is_down = nullptr;

    bool takes_at(std::uint64_t now_ns) const noexcept;
  };

  PortMask with_mirrored(std::size_t port) const;

  Wiring& wiring_;
  std::vector<WireSpec> wires_;
  std::vector<Outages> flaps_;
  std::unique_ptr<std::atomic<bool>[]> able_;
  PortMask down_ = 0;
};

}  // namespace faultline
