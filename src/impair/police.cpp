// police: a rate that is enforced by dropping. A token bucket of `burst` bytes fills at `rate`
// (RFC 2697's committed bucket): a packet that finds its length in tokens takes them and passes at
// once, any other is dropped and takes none. The bucket is kept as the instant at which it would be
// full, in 2^-32 ns: a packet conforms iff the bucket, emptied by it, would be full again within
// burst / rate.
#include <algorithm>

#include "base/int128.hpp"
#include "impair/edits.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kRateMaxBps = 10'000'000'000'000;
constexpr std::uint64_t kBurstMaxBytes = std::uint64_t{1} << 40;

struct Police {
  std::uint64_t rate_bps = 1;
  std::uint64_t burst_bytes = 0;
  LossAction action = LossAction::kDrop;
};

/// All zero: a full bucket.
struct Bucket {
  std::uint64_t full_ns = 0;
  std::uint32_t fraction = 0;
};

Uint128 fill_time(const Police& police, std::uint64_t bytes) noexcept {
  return (static_cast<Uint128>(bytes) * 8 * kNsPerSecond << 32) / police.rate_bps;
}

/// When the bucket would be full if the packet took its tokens; 2^-32 ns.
Uint128 full_after(const Police& police, const Bucket& bucket, std::uint64_t now_ns,
                   std::uint32_t bytes) noexcept {
  const Uint128 full = (static_cast<Uint128>(bucket.full_ns) << 32) | bucket.fraction;
  return std::max(full, static_cast<Uint128>(now_ns) << 32) + fill_time(police, bytes);
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Police& police = parameters.as<Police>();
  const Uint128 most = fill_time(police, police.burst_bytes);
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    Bucket& bucket = asked.state[i]->as<Bucket>();
    const std::uint64_t now_ns = burst.time_ns[i];
    const Uint128 full = full_after(police, bucket, now_ns, burst.length_bytes[i]);
    if (full - (static_cast<Uint128>(now_ns) << 32) <= most) {
      bucket.full_ns = static_cast<std::uint64_t>(full >> 32);
      bucket.fraction = static_cast<std::uint32_t>(full);
    } else if (police.action == LossAction::kMarkCe && burst.ecn[i] != kEcnNotCapable) {
      mark(burst, i);
    } else {
      burst.reason[i] = DropReason::kPolice;
    }
  }
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst& burst,
                    std::uint8_t i) {
  const Police& police = parameters.as<Police>();
  const Bucket& bucket = asked.state[i]->as<Bucket>();
  const std::uint64_t now_ns = burst.time_ns[i];
  const std::uint64_t lacks_ns = bucket.full_ns > now_ns ? bucket.full_ns - now_ns : 0;
  const auto lacks = static_cast<std::uint64_t>(static_cast<Uint128>(lacks_ns) * police.rate_bps /
                                                8 / kNsPerSecond);
  return {{},
          {},
          std::to_string(police.burst_bytes - std::min(police.burst_bytes, lacks)) +
              " bytes in the bucket"};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext&,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  Police police;
  MappingReader reader(node, "police", problems);
  if (const ConfigNode* value = reader.require("rate"))
    police.rate_bps = read_rate_bps(*value, {1, kRateMaxBps}, problems).value_or(1);
  if (const ConfigNode* value = reader.require("burst"))
    police.burst_bytes = read_size_bytes(*value, {1, kBurstMaxBytes}, problems).value_or(1);
  police.action = read_loss_action(reader, problems);
  reader.finish();
  return unless_wrong({.parameters = Parameters::from(police),
                       .decide = decide,
                       .explain = explain,
                       .state_bytes = sizeof(Bucket),
                       .drops = true,
                       .owns_scope = true,
                       .needs_order = true},
                      before, problems);
}

}  // namespace

extern const ImpairmentModel kModel_police;
const ImpairmentModel kModel_police{"police", "", "", true, compile};

}  // namespace faultline
