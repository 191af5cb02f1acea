// Following one end of a wire with the other.
#include "control/link_mirror.hpp"

#include "base/units.hpp"

namespace faultline {
namespace {

/// How long a link may take to come up after it was let go.
constexpr std::uint64_t kSettleNs = 3 * kNsPerSecond;

}  // namespace

LinkMirror::LinkMirror(const std::vector<WireSpec>& wires, Wiring& wiring) : wiring_(wiring) {
  for (const WireSpec& wire : wires) {
    if (!wire.mirrors)
      continue;
    wires_.push_back({{wire.first, wire.second}, std::nullopt, 0});
    // A daemon that was killed may have left one of them down.
    for (const std::size_t end : wires_.back().ends) wiring_.device(end).let_up();
  }
}

LinkMirror::~LinkMirror() {
  for (const Mirrored& wire : wires_)
    if (wire.forced)
      wiring_.device(wire.ends[*wire.forced]).let_go(LinkHold::kMirror);
}

/// A flap takes both ends down by itself.
bool LinkMirror::is_flapping(const Mirrored& wire) const {
  return wiring_.device(wire.ends[0]).is_held(LinkHold::kFault) ||
         wiring_.device(wire.ends[1]).is_held(LinkHold::kFault);
}

void LinkMirror::follow(std::uint64_t now_ns) {
  for (Mirrored& wire : wires_) {
    if (is_flapping(wire)) {
      wire.settles_ns = now_ns + kSettleNs;
      continue;
    }
    if (wire.forced) {
      // The end that was taken down tells nothing; the other one decides.
      const std::size_t other = 1 - *wire.forced;
      if (!wiring_.device(wire.ends[other]).carrier())
        continue;
      wiring_.device(wire.ends[*wire.forced]).let_go(LinkHold::kMirror);
      wire.forced.reset();
      wire.settles_ns = now_ns + kSettleNs;
      continue;
    }
    const bool up[2] = {wiring_.device(wire.ends[0]).carrier(),
                        wiring_.device(wire.ends[1]).carrier()};
    if (up[0] && up[1])
      wire.settles_ns = 0;
    if (up[0] == up[1] || now_ns < wire.settles_ns)
      continue;
    const std::size_t follower = up[0] ? 0 : 1;
    if (wiring_.device(wire.ends[follower]).take_down(LinkHold::kMirror))
      wire.forced = follower;
  }
}

}  // namespace faultline
