// Leases by name: who holds one renews it, and what hangs on it ends when nobody does.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "policy/lease.hpp"

namespace faultline {

class Leases {
 public:
  static constexpr std::size_t kMax = 256;
  using Terms = std::map<std::string, std::shared_ptr<LeaseTerm>>;

  enum class Put { kRenewed, kMade, kTooMany };
  /// Until `end_ns`. One that has run out is made anew: rules that hung on it stay ended.
  Put put(const std::string& id, std::uint64_t end_ns, std::uint64_t now_ns);
  /// False when there is no such lease.
  bool remove(const std::string& id);
  /// Takes out those that have run out, and names them.
  std::vector<std::string> take_lapsed(std::uint64_t now_ns);
  const Terms& terms() const { return terms_; }

 private:
  Terms terms_;
};

}  // namespace faultline
