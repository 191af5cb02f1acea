// Reading ahead, and the length at which a packet is carried.
#include "sim/source.hpp"

#include <algorithm>

#include "dataplane/hold.hpp"
#include "packet/frame_fields.hpp"

namespace faultline {

Result<void> Source::advance() {
  const Result<bool> more = reader_.next(packet_);
  if (!more)
    return tl::unexpected(more.error());
  live_ = *more;
  if (!live_)
    return {};
  carried_bytes_ = length_to_carry();
  shortened_ += packet_.bytes.size() < packet_.original_length_bytes ? 1U : 0U;
  oversized_ += packet_.bytes.size() > carried_bytes_ ? 1U : 0U;
  backwards_ += packet_.time_ns < arrival_ns_ ? 1U : 0U;
  arrival_ns_ = std::max(arrival_ns_, packet_.time_ns);
  port_ = entry_.port_for(packet_.bytes, reader_.interfaces(), packet_.interface);
  return {};
}

/// The length on the wire, up to what the hold takes. A packet cut within its headers is carried as
/// it is: with zeros for addresses it would belong to a flow that never was.
std::uint32_t Source::length_to_carry() const {
  const auto captured = static_cast<std::uint32_t>(packet_.bytes.size());
  const std::uint32_t whole = std::min(packet_.original_length_bytes, Hold::kFrameBytesMax);
  if (captured >= whole)
    return whole;
  FlowKey key;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(packet_.bytes.data());
  return parse_flow_key({bytes, captured}, whole, key) == ParseOutcome::kParsed ? whole : captured;
}

CutFrame Source::cut_frame() const {
  CutFrame frame{static_cast<std::uint32_t>(packet_.bytes.size()),
                 packet_.original_length_bytes,
                 carried_bytes_,
                 {}};
  if (carried_bytes_ < packet_.bytes.size())
    frame.tail.assign(packet_.bytes.begin() + carried_bytes_, packet_.bytes.end());
  return frame;
}

}  // namespace faultline
