// Making, renewing and ending leases. One thread at a time.
#include "control/leases.hpp"

namespace faultline {

Leases::Put Leases::put(const std::string& id, std::uint64_t end_ns, std::uint64_t now_ns) {
  const auto known = terms_.find(id);
  if (known != terms_.end() && known->second->holds_at(now_ns) && known->second->renew(end_ns))
    return Put::kRenewed;
  if (known == terms_.end() && terms_.size() >= kMax)
    return Put::kTooMany;
  terms_[id] = std::make_shared<LeaseTerm>(end_ns);
  return Put::kMade;
}

bool Leases::remove(const std::string& id) {
  const auto known = terms_.find(id);
  if (known == terms_.end())
    return false;
  known->second->end();
  terms_.erase(known);
  return true;
}

std::vector<std::string> Leases::take_lapsed(std::uint64_t now_ns) {
  std::vector<std::string> lapsed;
  for (const auto& [id, term] : terms_)
    if (!term->holds_at(now_ns))
      lapsed.push_back(id);
  for (const std::string& id : lapsed) terms_.erase(id);
  return lapsed;
}

}  // namespace faultline
