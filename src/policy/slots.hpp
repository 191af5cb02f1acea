// Which place in a worker's arrays belongs to which name, across changes of policy: a rule keeps
// its counters as long as its name stays, an impairment its scope states as long as its rule,
// position and model stay.
#pragma once

#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace faultline {

/// Hands out ranges of a fixed array to names. A value: compile on a copy, keep it on success.
class SlotTable {
 public:
  explicit SlotTable(std::uint32_t slots, std::uint32_t slots_a_name)
      : slots_a_name_(slots_a_name) {
    for (std::uint32_t first = 0; first + slots_a_name <= slots; first += slots_a_name)
      free_.push_back(first);
  }

  /// The first slot of `name`; new names are listed in fresh(). False when the table is full.
  bool take(const std::string& name, std::uint32_t& first) {
    if (const auto known = taken_.find(name); known != taken_.end()) {
      known->second.used = true;
      first = known->second.first;
      return true;
    }
    if (free_.empty())
      return false;
    first = free_.front();
    free_.pop_front();
    taken_.emplace(name, Taken{first, true});
    for (std::uint32_t offset = 0; offset < slots_a_name_; ++offset)
      fresh_.push_back(first + offset);
    return true;
  }

  /// Gives back every name that `keep` refuses, so that new names find room.
  template <typename Keep>
  void release_unless(const Keep& keep) {
    for (auto entry = taken_.begin(); entry != taken_.end();)
      entry = keep(entry->first) ? std::next(entry) : give_back(entry);
  }

  /// Every name that is taken next is a new one.
  void renew() {
    release_unless([](const std::string&) { return false; });
  }

  /// Gives back every name that was not taken since the last call. The slot given back first is
  /// handed out again first, so that a slot rests as long as possible.
  void release_unused() {
    for (auto entry = taken_.begin(); entry != taken_.end();) {
      if (entry->second.used) {
        entry->second.used = false;
        ++entry;
      } else {
        entry = give_back(entry);
      }
    }
  }

  std::vector<std::uint32_t> take_fresh() { return std::exchange(fresh_, {}); }

 private:
  struct Taken {
    std::uint32_t first = 0;
    bool used = false;
  };
  using Names = std::map<std::string, Taken>;

  Names::iterator give_back(Names::iterator entry) {
    free_.push_back(entry->second.first);
    return taken_.erase(entry);
  }

  std::uint32_t slots_a_name_;
  Names taken_;
  std::deque<std::uint32_t> free_;
  std::vector<std::uint32_t> fresh_;
};

}  // namespace faultline
