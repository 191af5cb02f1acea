// Who gets a piece of flows' annexes, and what becomes of it when owners come, go and grow.
#include "dataplane/flow_annex.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace faultline {
namespace {

using Owner = AnnexPieces::Owner;

void assign(AnnexPieces& pieces, PathId path_id, const std::vector<Owner>& owners) {
  pieces.assign(path_id, [&](const auto& owner) {
    for (const Owner& one : owners) owner(one);
  });
}

TEST(DataplaneFlowAnnex, OwnersGetPiecesThatDoNotOverlap) {
  AnnexPieces pieces(8, 2);
  EXPECT_FALSE(pieces.any(0));
  const std::vector<Owner> owners{{0, 1, 24}, {1, 1, 16}, {2, 1, 40}};
  assign(pieces, 0, owners);
  EXPECT_TRUE(pieces.any(0));
  EXPECT_FALSE(pieces.any(1));
  FlowAnnex annex;
  for (const Owner& owner : owners) {
    ASSERT_NE(pieces.piece_of(owner), nullptr) << owner.slot;
    std::memset(static_cast<void*>(pieces.piece_of(owner)->begin_in(annex)),
                static_cast<int>(owner.slot) + 1, owner.bytes);
  }
  EXPECT_EQ(annex.used(), 3U);
  for (const Owner& owner : owners) {
    ASSERT_TRUE(pieces.piece_of(owner)->is_of(annex));
    const auto& bytes = pieces.piece_of(owner)->in(annex)->as<std::array<std::uint8_t, 16>>();
    for (const std::uint8_t byte : bytes) EXPECT_EQ(byte, owner.slot + 1);
  }
}

TEST(DataplaneFlowAnnex, WhoFindsNoRoomDoesWithoutForAsLongAsItLives) {
  AnnexPieces pieces(8, 1);
  const Owner late{2, 1, 32};
  assign(pieces, 0, {{0, 1, 40}, {1, 1, 24}, late});
  EXPECT_EQ(pieces.piece_of(late), nullptr) << "16 bytes are left";
  assign(pieces, 0, {late});
  EXPECT_EQ(pieces.piece_of(late), nullptr) << "its states are elsewhere";
  EXPECT_EQ(pieces.piece_of({0, 1, 40}), nullptr) << "gone";
  const Owner anew{2, 2, 32};
  assign(pieces, 0, {anew});
  EXPECT_NE(pieces.piece_of(anew), nullptr);
  EXPECT_EQ(pieces.piece_of(late), nullptr) << "the slot's owner before";
}

TEST(DataplaneFlowAnnex, NoMoreOwnersThanStamps) {
  AnnexPieces pieces(8, 1);
  std::vector<Owner> owners;
  for (std::uint32_t slot = 0; slot < 6; ++slot) owners.push_back({slot, 1, 8});
  assign(pieces, 0, owners);
  for (const Owner& owner : owners)
    EXPECT_EQ(pieces.piece_of(owner) != nullptr, owner.slot < FlowAnnex::kOwnersMax) << owner.slot;
}

TEST(DataplaneFlowAnnex, APieceThatComesToAnotherOwnerIsNew) {
  AnnexPieces pieces(8, 1);
  const Owner before{0, 1, 16};
  assign(pieces, 0, {before});
  FlowAnnex annex;
  pieces.piece_of(before)->begin_in(annex)->as<std::uint64_t>() = 42;
  const Owner after{3, 1, 16};
  assign(pieces, 0, {after});
  ASSERT_NE(pieces.piece_of(after), nullptr);
  EXPECT_FALSE(pieces.piece_of(after)->is_of(annex));
  EXPECT_EQ(pieces.piece_of(after)->begin_in(annex)->as<std::uint64_t>(), 0U);
}

TEST(DataplaneFlowAnnex, AnOwnerThatGrowsTakesItsStatesAlong) {
  AnnexPieces pieces(8, 1);
  const Owner small{0, 1, 24};
  const Owner large{0, 1, 64};
  assign(pieces, 0, {small});
  EXPECT_EQ(pieces.outgrown_by(small), nullptr);
  FlowAnnex annex;
  pieces.piece_of(small)->begin_in(annex)->as<std::uint64_t>() = 42;
  assign(pieces, 0, {large});
  EXPECT_EQ(pieces.piece_of(large), nullptr);
  ASSERT_NE(pieces.outgrown_by(large), nullptr);
  EXPECT_TRUE(pieces.outgrown_by(large)->is_of(annex));
  EXPECT_EQ(pieces.outgrown_by(large)->in(annex)->as<std::uint64_t>(), 42U);
  assign(pieces, 0, {small});
  EXPECT_EQ(pieces.piece_of(small), nullptr) << "what is there is out of date";
}

}  // namespace
}  // namespace faultline
