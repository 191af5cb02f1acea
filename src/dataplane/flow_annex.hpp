// What rules and impairments remember of single flows, kept beside the flow: a flow's packet finds
// all of it with the flow. Room is handed out to owners, each the same piece of every flow's annex;
// whoever finds none, or is too large, keeps its states in the table of scopes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "dataplane/table_memory.hpp"
#include "policy/policy.hpp"

namespace faultline {

/// The room beside a flow. All zero: nobody has used it.
struct FlowAnnex {
  static constexpr std::uint32_t kOwnersMax = 4;
  static constexpr std::uint32_t kBytes = 80;

  std::array<std::uint32_t, kOwnersMax> stamp{};  ///< of the owner that used its piece last
  alignas(8) std::array<std::byte, kBytes> states{};

  std::uint32_t used() const noexcept {
    std::uint32_t count = 0;
    for (const std::uint32_t one : stamp) count += one != 0 ? 1U : 0U;
    return count;
  }
};
static_assert(sizeof(FlowAnnex) == 96);

/// An owner's piece of each annex.
struct AnnexPiece {
  std::uint32_t stamp = 0;  ///< another one whenever a piece is handed out; 0: there is none
  std::uint8_t owner = 0;   ///< which of the annex's stamps
  std::uint8_t offset = 0;
  std::uint8_t bytes = 0;

  bool is_of(const FlowAnnex& annex) const noexcept { return annex.stamp[owner] == stamp; }
  ScopeState* in(FlowAnnex& annex) const noexcept {
    return reinterpret_cast<ScopeState*>(annex.states.data() + offset);
  }
  /// All zero from now on.
  ScopeState* begin_in(FlowAnnex& annex) const noexcept {
    annex.stamp[owner] = stamp;
    std::memset(annex.states.data() + offset, 0, bytes);
    return in(annex);
  }
};

/// Who has which piece, by owner as in the table of scopes. Flows of one path have the same owners.
class AnnexPieces {
 public:
  struct Owner {
    std::uint32_t slot = 0;
    std::uint32_t epoch = 0;  ///< how often the slot was handed out
    std::uint32_t bytes = 0;  ///< of a state
  };

  AnnexPieces(std::size_t slots, std::size_t paths) : held_(slots), paths_(paths) {}

  /// From now on flows of path `path_id` have the owners that `owners` tells its argument. One that
  /// has a piece keeps it, one that had to do without does so on; the others get a piece while
  /// there is room.
  template <typename Owners>
  void assign(PathId path_id, const Owners& owners) noexcept {
    ++round_;
    owners([this](const Owner& owner) {
      Held& held = held_[owner.slot];
      if (held.epoch == owner.epoch)
        held.round = round_;
    });
    release_others(path_id);
    owners([this, path_id](const Owner& owner) {
      Held& held = held_[owner.slot];
      if (held.round != round_)
        held = {owner.epoch, round_, new_piece(path_id, owner), false};
      held.outgrown |= held.piece.stamp != 0 && owner.bytes > held.piece.bytes;
    });
  }

  /// The owner's piece of at least `bytes`, null when it has none.
  const AnnexPiece* piece_of(const Owner& owner) const noexcept {
    const Held& held = held_[owner.slot];
    return is_held(held, owner) && !held.outgrown && held.piece.bytes >= owner.bytes ? &held.piece
                                                                                     : nullptr;
  }
  /// The piece of an owner that came to need more than that: how its states in the table of scopes
  /// begin. Null for all others.
  const AnnexPiece* outgrown_by(const Owner& owner) const noexcept {
    const Held& held = held_[owner.slot];
    return is_held(held, owner) && held.outgrown ? &held.piece : nullptr;
  }
  /// Whether flows of the path have anything in their annexes.
  bool any(PathId path_id) const noexcept { return paths_[path_id].count > 0; }

 private:
  struct Held {
    std::uint32_t epoch = 0;
    std::uint64_t round = 0;  ///< when it was an owner last; 0: never
    AnnexPiece piece;         ///< its stamp 0: it does without
    bool outgrown = false;    ///< it came to need more, and does without since
  };
  static bool is_held(const Held& held, const Owner& owner) noexcept {
    return held.piece.stamp != 0 && held.epoch == owner.epoch;
  }
  /// Slots with a piece.
  struct Path {
    std::array<std::uint32_t, FlowAnnex::kOwnersMax> slot{};
    std::uint32_t count = 0;
  };
  void release_others(PathId path_id) noexcept;
  AnnexPiece new_piece(PathId path_id, const Owner& owner) noexcept;

  TableOf<Held> held_;       ///< by slot
  std::vector<Path> paths_;  ///< by PathId
  std::uint64_t round_ = 0;
  std::uint32_t stamps_ = 0;  ///< handed out so far
};

}  // namespace faultline
