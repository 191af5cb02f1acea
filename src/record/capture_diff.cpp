// Packets are matched in turns, the surest first: by all their bytes, then by what most changes
// leave alone. Each is matched once; what is left over of the first was lost, of the second is new.
#include "record/capture_diff.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <limits>
#include <string_view>
#include <unordered_map>

#include "base/dice.hpp"
#include "packet/frame_fields.hpp"
#include "record/capture_reader.hpp"

namespace faultline {
namespace {

constexpr std::size_t kNone = SIZE_MAX;

struct Seen {
  std::uint64_t time_ns = 0;
  std::uint32_t interface = 0;
  std::uint32_t length_bytes = 0;
  std::size_t offset = 0;  ///< of its bytes
  std::size_t bytes = 0;
  FrameFields fields;
  std::size_t other = kNone;  ///< its match
};

struct Capture {
  std::vector<Seen> packets;
  std::string bytes;
  std::size_t cut_bytes = kNone;  ///< the least that a packet was cut to

  std::string_view of(const Seen& packet) const {
    return std::string_view(bytes).substr(packet.offset, packet.bytes);
  }
};

Result<Capture> read_capture(const std::string& path) {
  Result<CaptureReader> reader = CaptureReader::open(path);
  if (!reader)
    return tl::unexpected(reader.error());
  Capture capture;
  CapturedPacket packet;
  for (;;) {
    const Result<bool> more = reader->next(packet);
    if (!more)
      return tl::unexpected(more.error());
    if (!*more)
      return capture;
    Seen seen;
    seen.time_ns = packet.time_ns;
    seen.interface = packet.interface;
    seen.length_bytes = packet.original_length_bytes;
    seen.offset = capture.bytes.size();
    seen.bytes = packet.bytes.size();
    if (seen.bytes < seen.length_bytes)
      capture.cut_bytes = std::min(capture.cut_bytes, seen.bytes);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(packet.bytes.data());
    parse_frame({bytes, seen.bytes}, seen.bytes, seen.fields);
    capture.bytes.append(reinterpret_cast<const char*>(bytes), seen.bytes);
    capture.packets.push_back(seen);
  }
}

/// A number for words that belong together.
class Key {
 public:
  Key& add(std::uint64_t value) {
    value_ = (value_ ^ value) * 0x9E3779B97F4A7C15;
    value_ ^= value_ >> 29;
    return *this;
  }
  Key& add(std::string_view bytes) { return add(hash_name(bytes)).add(bytes.size()); }
  Key& add(const FlowKey& key) {
    return add({reinterpret_cast<const char*>(&key), kFlowIdentityBytes});
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xD6E8FEB86659FD93;
};

/// A part of a frame; empty where it is not there.
std::string_view part_of(std::string_view frame, std::size_t from, std::size_t count) {
  return from >= frame.size() ? std::string_view() : frame.substr(from, count);
}

std::string_view payload_of(const FrameFields& fields, std::string_view frame) {
  const std::size_t from = fields.payload_offset != 0 ? fields.payload_offset : fields.l4_offset;
  return from == 0 ? std::string_view() : part_of(frame, from, std::string_view::npos);
}

bool is_tcp(const FrameFields& fields) {
  return fields.l4_offset != 0 && fields.key.protocol == kProtocolTcp;
}

/// What tells datagrams of one flow apart: the identification, and TCP's sequence number.
std::string_view number_of(const FrameFields& fields, std::string_view frame) {
  if (is_tcp(fields))
    return part_of(frame, fields.l4_offset + std::size_t{4}, 4);
  return fields.key.kind == FlowKind::kIpv4 ? part_of(frame, fields.l3_offset + std::size_t{4}, 2)
                                            : std::string_view();
}

/// The ways in which packets may find each other, the surest first. 0: not in this way.
enum class Way : std::uint8_t { kBytes, kFlowAndPayload, kPayload, kFlowAndNumber, kFlowAndLength };
constexpr std::array kWays{Way::kBytes, Way::kFlowAndPayload, Way::kPayload, Way::kFlowAndNumber,
                           Way::kFlowAndLength};

std::uint64_t key_of(const Seen& packet, std::string_view frame, Way way, std::size_t cut_bytes) {
  frame = frame.substr(0, cut_bytes);
  const FrameFields& fields = packet.fields;
  const std::string_view number = number_of(fields, frame);
  const std::string_view payload = payload_of(fields, frame);
  const auto flow = [&] { return Key().add(fields.key); };
  switch (way) {
    case Way::kBytes:
      return Key().add(frame).add(packet.length_bytes).value();
    case Way::kFlowAndPayload:
      return fields.is_ip() && !payload.empty() ? flow().add(number).add(payload).value() : 0;
    case Way::kPayload:
      return payload.size() >= 8 ? Key().add(number).add(payload).value() : 0;
    case Way::kFlowAndNumber:
      return number.empty() || number == std::string_view("\0\0", 2) ? 0
                                                                     : flow().add(number).value();
    case Way::kFlowAndLength:
      return flow().add(packet.length_bytes).value();
  }
  return 0;
}

void match(Capture& first, Capture& second, Way way, CaptureComparison& result) {
  const std::size_t cut_bytes = std::min(first.cut_bytes, second.cut_bytes);
  std::unordered_map<std::uint64_t, std::deque<std::size_t>> open;
  for (std::size_t at = 0; at < first.packets.size(); ++at)
    if (const Seen& packet = first.packets[at]; packet.other == kNone)
      if (const std::uint64_t key = key_of(packet, first.of(packet), way, cut_bytes); key != 0)
        open[key].push_back(at);
  for (std::size_t at = 0; at < second.packets.size(); ++at) {
    Seen& packet = second.packets[at];
    if (packet.other != kNone)
      continue;
    const auto found = open.find(key_of(packet, second.of(packet), way, cut_bytes));
    if (found == open.end() || found->second.empty())
      continue;
    packet.other = found->second.front();
    found->second.pop_front();
    first.packets[packet.other].other = at;
    result.same += way == Way::kBytes ? 1U : 0U;
  }
}

/// Bytes that came out already count as doubled.
std::vector<bool> find_doubled(const Capture& first, const Capture& second) {
  const std::size_t cut_bytes = std::min(first.cut_bytes, second.cut_bytes);
  std::unordered_map<std::uint64_t, bool> out;
  std::vector<bool> doubled(second.packets.size());
  for (std::size_t at = 0; at < second.packets.size(); ++at) {
    const Seen& packet = second.packets[at];
    bool& known = out[key_of(packet, second.of(packet), Way::kBytes, cut_bytes)];
    doubled[at] = known && packet.other == kNone;
    known |= packet.other != kNone;
  }
  return doubled;
}

// --- what changed --------------------------------------------------------------------------------

class Fields {
 public:
  Fields(const Seen& first, std::string_view before, const Seen& second, std::string_view after)
      : first_(first), before_(before), second_(second), after_(after) {}

  std::vector<std::string> changed() {
    const FrameFields& one = first_.fields;
    const FrameFields& two = second_.fields;
    note("dst_mac", part_of(before_, 0, 6) != part_of(after_, 0, 6));
    note("src_mac", part_of(before_, 6, 6) != part_of(after_, 6, 6));
    note("vlan", one.vlan_tags != two.vlan_tags || one.key.outer_vlan != two.key.outer_vlan ||
                     one.key.inner_vlan != two.key.inner_vlan);
    note("src", one.key.source != two.key.source);
    note("dst", one.key.destination != two.key.destination);
    note("ttl", one.ttl != two.ttl);
    note("dscp", one.dscp != two.dscp);
    note("ecn", one.ecn != two.ecn);
    note("sport", one.source_port != two.source_port);
    note("dport", one.destination_port != two.destination_port);
    if (one.key.kind == FlowKind::kIpv4 && two.key.kind == FlowKind::kIpv4)
      compare("id", one.l3_offset + 4U, two.l3_offset + 4U, 2);
    if (is_tcp(one) && is_tcp(two)) {
      compare("tcp.sequence", one.l4_offset + 4U, two.l4_offset + 4U, 4);
      compare("tcp.ack", one.l4_offset + 8U, two.l4_offset + 8U, 4);
      note("tcp.flags", one.tcp_flags != two.tcp_flags);
      compare("window", one.l4_offset + 14U, two.l4_offset + 14U, 2);
      note("tcp.options", options(one, before_) != options(two, after_));
    }
    note("payload", payload_of(one, before_) != payload_of(two, after_));
    note("length", first_.length_bytes != second_.length_bytes);
    if (changed_.empty())
      changed_.emplace_back(one.is_ip() ? "checksum" : "bytes");
    return std::move(changed_);
  }

 private:
  void note(const char* name, bool differs) {
    if (differs)
      changed_.emplace_back(name);
  }
  void compare(const char* name, std::size_t one, std::size_t two, std::size_t count) {
    note(name, part_of(before_, one, count) != part_of(after_, two, count));
  }
  static std::string_view options(const FrameFields& fields, std::string_view frame) {
    const std::size_t from = fields.l4_offset + std::size_t{20};
    return part_of(frame, from,
                   fields.payload_offset - std::min<std::size_t>(from, fields.payload_offset));
  }

  const Seen& first_;
  std::string_view before_;
  const Seen& second_;
  std::string_view after_;
  std::vector<std::string> changed_;
};

// --- order and time ------------------------------------------------------------------------------

/// RFC 4737: which of the packets, each as its number where it came in, are behind a later one, and
/// how many packets there are from the first such one to it.
void measure_order(const std::vector<std::size_t>& numbers, CaptureComparison& result) {
  std::vector<std::pair<std::size_t, std::size_t>> highest;  // number, place; both rising
  for (std::size_t place = 0; place < numbers.size(); ++place) {
    const std::size_t number = numbers[place];
    if (highest.empty() || number > highest.back().first) {
      highest.emplace_back(number, place);
      continue;
    }
    ++result.overtaken;
    const auto ahead =
        std::ranges::upper_bound(highest, number, {}, &std::pair<std::size_t, std::size_t>::first);
    result.extent_max = std::max<std::uint64_t>(result.extent_max, place - ahead->second);
  }
}

LatenessQuantiles quantiles(std::vector<std::int64_t> late_ns) {
  LatenessQuantiles late;
  late.packets = late_ns.size();
  if (late_ns.empty())
    return late;
  std::ranges::sort(late_ns);
  const auto rank = [&](std::size_t percent) {
    return late_ns[std::min(late_ns.size() - 1, late_ns.size() * percent / 100)];
  };
  late.least_ns = late_ns.front();
  late.p50_ns = rank(50);
  late.p99_ns = rank(99);
  late.most_ns = late_ns.back();
  return late;
}

class Telling {
 public:
  Telling(CaptureComparison& result, std::size_t most) : result_(result), most_(most) {}

  void tell(CaptureDifference::Kind kind, std::size_t first, std::size_t second,
            const FlowKey& flow, std::vector<std::string> fields = {}) {
    if (result_.differences.size() < most_)
      result_.differences.push_back({kind, first == kNone ? 0 : first + 1,
                                     second == kNone ? 0 : second + 1, to_text(flow),
                                     std::move(fields)});
  }

 private:
  CaptureComparison& result_;
  std::size_t most_;
};

void compare_second(const Capture& first, const Capture& second, Telling& telling,
                    CaptureComparison& result) {
  const std::vector<bool> doubled = find_doubled(first, second);
  const std::size_t cut_bytes = std::min(first.cut_bytes, second.cut_bytes);
  std::map<std::uint32_t, std::vector<std::size_t>> numbers;  // by where they came in
  std::vector<std::int64_t> late_ns;
  for (std::size_t at = 0; at < second.packets.size(); ++at) {
    const Seen& out = second.packets[at];
    if (out.other == kNone) {
      ++(doubled[at] ? result.doubled : result.made);
      telling.tell(doubled[at] ? CaptureDifference::Kind::kDoubled : CaptureDifference::Kind::kNew,
                   kNone, at, out.fields.key);
      continue;
    }
    const Seen& in = first.packets[out.other];
    numbers[in.interface].push_back(out.other);
    late_ns.push_back(static_cast<std::int64_t>(out.time_ns - in.time_ns));
    const std::string_view before = first.of(in).substr(0, cut_bytes);
    const std::string_view after = second.of(out).substr(0, cut_bytes);
    if (before == after && in.length_bytes == out.length_bytes)
      continue;
    ++result.changed;
    std::vector<std::string> fields = Fields(in, before, out, after).changed();
    for (const std::string& field : fields) ++result.fields[field];
    telling.tell(CaptureDifference::Kind::kChanged, out.other, at, in.fields.key,
                 std::move(fields));
  }
  for (const auto& [interface, of] : numbers) measure_order(of, result);
  result.late = quantiles(std::move(late_ns));
}

}  // namespace

std::string_view difference_name(CaptureDifference::Kind kind) {
  switch (kind) {
    case CaptureDifference::Kind::kLost:
      return "lost";
    case CaptureDifference::Kind::kDoubled:
      return "doubled";
    case CaptureDifference::Kind::kChanged:
      return "changed";
    case CaptureDifference::Kind::kNew:
      return "new";
  }
  return "";
}

Result<CaptureComparison> compare_captures(const std::string& first, const std::string& second,
                                           std::size_t differences_max) {
  Result<Capture> in = read_capture(first);
  if (!in)
    return tl::unexpected(in.error());
  Result<Capture> out = read_capture(second);
  if (!out)
    return tl::unexpected(out.error());
  CaptureComparison result;
  result.first_packets = in->packets.size();
  result.second_packets = out->packets.size();
  match(*in, *out, Way::kBytes, result);
  // Doubles must not take a lost packet's place.
  const std::vector<bool> doubled = find_doubled(*in, *out);
  for (std::size_t at = 0; at < doubled.size(); ++at)
    if (doubled[at])
      out->packets[at].other = kNone - 1;
  for (const Way way : kWays) match(*in, *out, way, result);
  for (std::size_t at = 0; at < doubled.size(); ++at)
    if (doubled[at])
      out->packets[at].other = kNone;
  Telling telling(result, differences_max);
  for (std::size_t at = 0; at < in->packets.size(); ++at)
    if (in->packets[at].other == kNone) {
      ++result.lost;
      telling.tell(CaptureDifference::Kind::kLost, at, kNone, in->packets[at].fields.key);
    }
  compare_second(*in, *out, telling, result);
  return result;
}

}  // namespace faultline
