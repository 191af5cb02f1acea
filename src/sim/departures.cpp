// The simulator's output in order.
#include "sim/departures.hpp"

#include <tuple>
#include <utility>

namespace faultline {

bool Departures::Later::operator()(const Waiting& left, const Waiting& right) const noexcept {
  const auto order = [](const HoldKey& key) {
    return std::tuple(key.release_ns, key.arrival_ns, key.ingress);
  };
  if (order(left.key) != order(right.key))
    return order(left.key) > order(right.key);
  if (left.key.sequence != right.key.sequence)
    return static_cast<std::int32_t>(left.key.sequence - right.key.sequence) > 0;
  return std::pair(left.key.copy, left.key.egress) > std::pair(right.key.copy, right.key.egress);
}

void Departures::wait(const HoldKey& key, const rte_mbuf* mbuf, DropReason reason) noexcept {
  std::size_t buffer = buffers_.size();
  if (free_buffers_.empty()) {
    buffers_.emplace_back();
  } else {
    buffer = free_buffers_.back();
    free_buffers_.pop_back();
  }
  std::vector<std::byte>& bytes = buffers_[buffer];
  bytes.clear();
  for (const rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next) {
    const auto* data = rte_pktmbuf_mtod(segment, const std::byte*);
    bytes.insert(bytes.end(), data, data + segment->data_len);
  }
  const LeavingFrame frame = key.copy < kFirstAnswer
                                 ? cut_frames_.leaves(key.sequence, mbuf->pkt_len)
                                 : LeavingFrame{mbuf->pkt_len, mbuf->pkt_len, {}};
  bytes.resize(frame.shown_bytes);
  bytes.insert(bytes.end(), frame.tail.begin(), frame.tail.end());
  waiting_.push({key, reason, buffer, frame.original_bytes});
}

void Departures::hand_over_until(std::uint64_t horizon_ns) {
  while (!waiting_.empty() && waiting_.top().key.release_ns < horizon_ns) {
    const Waiting first = waiting_.top();
    waiting_.pop();
    sink_.departed({first.key, first.reason, buffers_[first.buffer], first.original_bytes},
                   trail_.take(first.key));
    free_buffers_.push_back(first.buffer);
  }
}

}  // namespace faultline
