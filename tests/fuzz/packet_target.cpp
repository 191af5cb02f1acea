// Any bytes as a frame: what its flow is must be told without reading beyond what is there. The
// first two bytes say how much longer than the rest the frame claims to be.
#include <vector>

#include "base/check.hpp"
#include "packet/frame_fields.hpp"
#include "target.hpp"

namespace faultline {
namespace {

/// The one function of the header that reads packets.
ParseOutcome parse(const std::vector<std::uint8_t>& bytes, std::size_t frame_length, FlowKey& key) {
  return parse_flow_key({bytes.data(), bytes.size()}, frame_length, key);
}

}  // namespace
}  // namespace faultline

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace faultline;
  if (size < 2)
    return 0;
  // Of exactly their size, so that the address sanitizer sees one byte too many.
  const std::vector<std::uint8_t> frame(bytes + 2, bytes + size);
  const std::size_t length = frame.size() + (static_cast<std::size_t>(bytes[0]) << 8 | bytes[1]);
  FlowKey key;
  const ParseOutcome outcome = parse(frame, length, key);
  FAULTLINE_CHECK(!to_text(key).empty());
  FAULTLINE_CHECK(flow_pair_hash(key) == flow_pair_hash(key));
  if (frame.size() <= kParseBytesMax)
    return 0;
  // The first kParseBytesMax must do.
  const std::vector<std::uint8_t> prefix(frame.begin(), frame.begin() + kParseBytesMax);
  FlowKey again;
  FAULTLINE_CHECK(parse(prefix, length, again) == outcome);
  FAULTLINE_CHECK(again == key);
  return 0;
}
