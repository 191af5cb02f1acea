// Plans: the ordered lists of rules that apply to flows. Few different ones exist however many
// flows there are, so each is stored once and a flow remembers its number. When the store is full
// it is started afresh with other numbers, and flows are planned again as they come by.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace faultline {

/// Indices of rules, ascending; kAskPacket with those whose match each packet decides.
using Plan = std::span<const std::uint16_t>;
inline constexpr std::uint16_t kAskPacket = 0x8000;
inline constexpr std::uint16_t kRuleOfEntry = 0x7FFF;

class PlanCache {
 public:
  PlanCache() {
    for (Store& store : stores_) {
      store.rules.resize(kRulesStored);
      store.plans.resize(kPlansMax);
      store.table.resize(kTable);
    }
    restart();
  }

  /// Whether the number is that of a plan stored now. 0 never is.
  bool knows(std::uint32_t number) const noexcept { return number - first_ < count_; }
  /// Numbers are about to come round: renumber() as soon as nobody remembers one.
  bool is_used_up() const noexcept { return first_ > UINT32_MAX - 4 * kPlansMax; }
  void renumber() noexcept {
    restart();
    first_ = 1;
  }

  /// Forgets all plans. Those handed out before stay readable until the next call but one.
  void restart() noexcept {
    first_ += count_;
    count_ = 0;
    ++epoch_;
    Store& store = current();
    store.rules_used = 0;
    plans_ = store.plans.data();
    rules_ = store.rules.data();
    std::fill(store.table.begin(), store.table.end(), 0U);
  }

  Plan plan(std::uint32_t number) const noexcept {
    const Entry& entry = plans_[number - first_];
    return {rules_ + entry.offset, entry.count};
  }

  /// The number of this list of rules, stored now if it is new.
  std::uint32_t intern(Plan rules) noexcept {
    if (current().rules_used + rules.size() > kRulesStored || count_ == kPlansMax)
      restart();
    Store& store = current();
    std::uint64_t hash = 0xCBF29CE484222325;
    for (const std::uint16_t rule : rules) hash = (hash ^ rule) * 0x100000001B3;
    for (std::uint64_t probe = hash ^ (hash >> 32);; ++probe) {
      std::uint32_t& cell = store.table[probe & (kTable - 1)];
      if (cell == 0) {
        cell = first_ + store_plan(store, rules);
        return cell;
      }
      if (std::ranges::equal(plan(cell), rules))
        return cell;
    }
  }

 private:
  // One burst interns at most kBurstMax plans of kRulesMax rules, half of what a store holds: so it
  // restarts the cache at most once, and every plan of the burst stays readable.
  static constexpr std::size_t kRulesStored = 131'072;
  static constexpr std::size_t kPlansMax = 8'192;
  static constexpr std::size_t kTable = 16'384;

  struct Entry {
    std::uint32_t offset = 0;
    std::uint32_t count = 0;
  };
  struct Store {
    std::vector<std::uint16_t> rules;
    std::vector<Entry> plans;
    std::vector<std::uint32_t> table;  ///< plan numbers; 0: free
    std::size_t rules_used = 0;
  };

  Store& current() noexcept { return stores_[epoch_ & 1]; }

  std::uint32_t store_plan(Store& store, Plan rules) noexcept {
    std::ranges::copy(rules, store.rules.begin() + static_cast<std::ptrdiff_t>(store.rules_used));
    store.plans[count_] = {static_cast<std::uint32_t>(store.rules_used),
                           static_cast<std::uint32_t>(rules.size())};
    store.rules_used += rules.size();
    return count_++;
  }

  Store stores_[2];
  std::uint64_t epoch_ = 1;
  std::uint32_t first_ = 1;               ///< the number of this epoch's first plan
  std::uint32_t count_ = 0;               ///< of its plans
  const Entry* plans_ = nullptr;          ///< of the current store
  const std::uint16_t* rules_ = nullptr;  ///< likewise
};

}  // namespace faultline
