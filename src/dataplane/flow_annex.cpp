// Handing out pieces of flows' annexes.
#include "dataplane/flow_annex.hpp"

#include <algorithm>

namespace faultline {

void AnnexPieces::release_others(PathId path_id) noexcept {
  Path& path = paths_[path_id];
  std::uint32_t kept = 0;
  for (std::uint32_t at = 0; at < path.count; ++at) {
    const std::uint32_t slot = path.slot[at];
    if (held_[slot].round == round_)
      path.slot[kept++] = slot;
    else
      held_[slot] = {};
  }
  path.count = kept;
}

/// With a stamp that no other owner uses, in the first gap that is wide enough; without a stamp
/// when there is none.
AnnexPiece AnnexPieces::new_piece(PathId path_id, const Owner& owner) noexcept {
  Path& path = paths_[path_id];
  if (owner.bytes > FlowAnnex::kBytes || path.count == FlowAnnex::kOwnersMax)
    return {};
  AnnexPiece piece;
  piece.bytes = static_cast<std::uint8_t>((owner.bytes + 7) & ~7U);
  std::array<bool, FlowAnnex::kOwnersMax> taken{};
  std::array<bool, FlowAnnex::kBytes> used{};
  for (std::uint32_t at = 0; at < path.count; ++at) {
    const AnnexPiece& other = held_[path.slot[at]].piece;
    taken[other.owner] = true;
    std::fill_n(used.begin() + other.offset, other.bytes, true);
  }
  piece.owner = static_cast<std::uint8_t>(std::ranges::find(taken, false) - taken.begin());
  for (std::uint32_t at = 0; at + piece.bytes <= FlowAnnex::kBytes; at += 8) {
    if (std::any_of(used.begin() + at, used.begin() + at + piece.bytes,
                    [](bool is_used) { return is_used; }))
      continue;
    piece.offset = static_cast<std::uint8_t>(at);
    piece.stamp = ++stamps_;
    path.slot[path.count++] = owner.slot;
    return piece;
  }
  return {};
}

}  // namespace faultline
