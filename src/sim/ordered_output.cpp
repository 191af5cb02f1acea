// The simulator's output in release order.
#include "sim/ordered_output.hpp"

#include <tuple>

namespace faultline {

bool OrderedOutput::Later::operator()(const Waiting& left, const Waiting& right) const noexcept {
  const auto order = [](const HoldKey& key) {
    return std::tuple(key.release_ns, key.arrival_ns, key.ingress);
  };
  if (order(left.key) != order(right.key))
    return order(left.key) > order(right.key);
  return static_cast<std::int32_t>(left.key.sequence - right.key.sequence) > 0;
}

void OrderedOutput::sent(const HoldKey& key, const rte_mbuf* mbuf) noexcept {
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
  const LeavingFrame frame = cut_frames_.leaves(key.sequence, mbuf->pkt_len);
  bytes.resize(frame.shown_bytes);
  bytes.insert(bytes.end(), frame.tail.begin(), frame.tail.end());
  waiting_.push({key, buffer, frame.original_bytes});
}

void OrderedOutput::write_until(std::uint64_t horizon_ns) {
  while (!waiting_.empty() && waiting_.top().key.release_ns < horizon_ns) {
    const Waiting& first = waiting_.top();
    const std::vector<std::byte>& bytes = buffers_[first.buffer];
    CapturedPacket packet;
    packet.time_ns = first.key.release_ns;
    packet.interface = first.key.egress;
    packet.original_length_bytes = first.original_bytes;
    packet.bytes = bytes;
    writer_.write(packet);
    free_buffers_.push_back(first.buffer);
    waiting_.pop();
  }
}

}  // namespace faultline
