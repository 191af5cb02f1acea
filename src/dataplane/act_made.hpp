// The part of act that makes frames nobody sent: answers to packets, and frames of our own.
// Included by act.hpp, whose members these are.
#pragma once

#include "dataplane/act.hpp"

namespace faultline {

template <PacketPort Port>
rte_mbuf* Act<Port>::answer(const rte_mbuf* mbuf, const HoldKey& key, const HoldKey& of,
                            const FrameAnswer& answer, const FrameFields& fields) noexcept {
  // Answers need headers and the first bytes behind them, no more.
  std::array<std::uint8_t, kAnswerBytesMax> pieces;
  const std::uint32_t count = std::min<std::uint32_t>(mbuf->pkt_len, pieces.size());
  const void* bytes = rte_pktmbuf_read(mbuf, 0, count, pieces.data());
  // Not written to: a frame that may be changed is made of them, and is const.
  const EditFrame frame({static_cast<std::uint8_t*>(const_cast<void*>(bytes)), count}, {}, fields);
  // Made in place; aside where there is no mbuf, or none with so much room.
  std::array<std::uint8_t, kAnswerBytesMax> aside;
  rte_mbuf* made = stock_.take_spare();
  const bool in_place = made != nullptr && rte_pktmbuf_tailroom(made) >= aside.size();
  std::uint8_t* place = in_place ? rte_pktmbuf_mtod(made, std::uint8_t*) : aside.data();
  const std::uint32_t length = answer.impairment->answer(answer.impairment->parameters, frame,
                                                         answer.what, {place, aside.size()});
  if (made != nullptr && (length == 0 || !in_place)) {
    free_mbufs(&made, 1);
    made = nullptr;
  }
  if (length == 0)
    return nullptr;
  ++counters_.ledger.injected;
  if (in_place)
    made->data_len = static_cast<std::uint16_t>(made->pkt_len = length);
  else
    made = stock_.make({aside.data(), length});
  if (made == nullptr) {
    lose(key, mbuf, DropReason::kNoMbuf);
    return nullptr;
  }
  if (witness_ != nullptr) [[unlikely]]
    witness_->answered(key, of, answer);
  if (model_.is_on()) [[unlikely]]
    model_.created(key, made, true);
  return made;
}

template <PacketPort Port>
rte_mbuf* Act<Port>::inject(const HoldKey& key, const DueFrame& due) noexcept {
  ++counters_.ledger.injected;
  rte_mbuf* made = stock_.make(due.frame.bytes);
  if (made == nullptr)
    ++counters_.ledger.dropped[static_cast<std::size_t>(DropReason::kNoMbuf)];
  else if (witness_ != nullptr) [[unlikely]]
    witness_->injected(key, due.rule, due.step, view_of(made));
  if (made != nullptr && model_.is_on()) [[unlikely]]
    model_.created(key, made, false);
  return made;
}

}  // namespace faultline
