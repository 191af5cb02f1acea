// Compiling p and r.
#include "impair/two_state_chain.hpp"

#include <algorithm>

namespace faultline {
namespace {

/// p / (p + r) in 32 bits: drawn only where no outcome was found.
Threshold stationary_share(const TwoStateChain::Rates& rates) {
  const double share = rates.p.approximate() / (rates.p.approximate() + rates.r.approximate());
  return {static_cast<std::uint64_t>(share * 4294967296.0), 0};
}

std::uint32_t fingerprint_of(const TwoStateChain& chain) {
  const std::uint64_t words[] = {chain.transition.uniform(0, 0), chain.bad_below.high,
                                 chain.bad_below.low, chain.good_from.high, chain.good_from.low};
  std::uint64_t hash = hash_name("gilbert-elliott");
  for (const std::uint64_t word : words) hash = (hash ^ word) * 0x100000001B3;
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

}  // namespace

TwoStateChain TwoStateChain::from(const CompileContext& context, const Rates& rates) {
  const Threshold stays_bad = rates.r.complement();
  TwoStateChain chain;
  chain.transition = Dice(context.seed, context.rule_name, context.index, DicePurpose::kTransition);
  chain.stationary_dice = Dice(context.seed, context.rule_name, context.index, DicePurpose::kFate);
  chain.bad_below = std::min(rates.p, stays_bad);
  chain.good_from = std::max(rates.p, stays_bad);
  chain.band_flips = rates.p > stays_bad;
  chain.stationary = stationary_share(rates);
  chain.fingerprint = fingerprint_of(chain);
  return chain;
}

}  // namespace faultline
