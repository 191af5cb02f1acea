// Source addresses out of frames, and the port that follows from them.
#include "sim/entry.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/units.hpp"
#include "packet/addresses.hpp"

namespace faultline {
namespace {

constexpr std::size_t kMacBytes = 6;
constexpr std::size_t kMacSourceAt = 6;
constexpr std::size_t kEthertypeAt = 12;
constexpr std::size_t kTagBytes = 4;
constexpr int kTagsMax = 4;

std::uint16_t ethertype_at(std::span<const std::byte> frame, std::size_t at) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(frame[at]) << 8 |
                                    std::to_integer<unsigned>(frame[at + 1]));
}

bool is_tag(std::uint16_t ethertype) {
  return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

bool equal_bits(std::span<const std::byte> left, const std::uint8_t* right, unsigned bits) {
  for (unsigned bit = 0; bit < bits; ++bit) {
    const unsigned difference = std::to_integer<unsigned>(left[bit / 8]) ^ right[bit / 8];
    if ((difference >> (7 - bit % 8) & 1U) != 0)
      return false;
  }
  return true;
}

}  // namespace

bool SourceSet::add(std::string_view text) {
  Prefix prefix;
  std::string with_colons(text);
  std::ranges::replace(with_colons, '-', ':');
  if (const auto mac = parse_mac(with_colons)) {
    std::copy(mac->begin(), mac->end(), prefix.address.begin());
    prefixes_.push_back({Kind::kMac, prefix.address, 8 * kMacBytes});
    return true;
  }
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  if (inet_pton(AF_INET, address.c_str(), prefix.address.data()) == 1) {
    prefix.kind = Kind::kIpv4;
    prefix.bits = 32;
  } else if (inet_pton(AF_INET6, address.c_str(), prefix.address.data()) == 1) {
    prefix.kind = Kind::kIpv6;
    prefix.bits = 128;
  } else {
    return false;
  }
  if (slash != std::string_view::npos) {
    const auto bits = parse_count(text.substr(slash + 1));
    if (!bits || *bits > prefix.bits)
      return false;
    prefix.bits = static_cast<unsigned>(*bits);
  }
  prefixes_.push_back(prefix);
  return true;
}

bool SourceSet::holds(Kind kind, std::span<const std::byte> address) const {
  return std::any_of(prefixes_.begin(), prefixes_.end(), [&](const Prefix& prefix) {
    return prefix.kind == kind && address.size() * 8 >= prefix.bits &&
           equal_bits(address, prefix.address.data(), prefix.bits);
  });
}

bool SourceSet::holds_source_of(std::span<const std::byte> frame) const {
  if (frame.size() < kEthertypeAt + 2)
    return false;
  if (holds(Kind::kMac, frame.subspan(kMacSourceAt, kMacBytes)))
    return true;
  std::size_t at = kEthertypeAt;
  for (int tags = 0; tags < kTagsMax && is_tag(ethertype_at(frame, at)); ++tags) {
    at += kTagBytes;
    if (frame.size() < at + 2)
      return false;
  }
  const std::uint16_t ethertype = ethertype_at(frame, at);
  const std::span<const std::byte> payload = frame.subspan(at + 2);
  // Where the source's address stands: RFC 791, RFC 8200, RFC 826.
  if (ethertype == 0x0800 && payload.size() >= 16)
    return holds(Kind::kIpv4, payload.subspan(12, 4));
  if (ethertype == 0x86dd && payload.size() >= 24)
    return holds(Kind::kIpv6, payload.subspan(8, 16));
  if (ethertype == 0x0806 && payload.size() >= 18)
    return holds(Kind::kIpv4, payload.subspan(14, 4));
  return false;
}

Entry Entry::at(std::uint8_t port) {
  Entry entry;
  entry.ports_ = {port, port};
  return entry;
}

Entry Entry::by_interface(std::vector<std::string> port_names, std::uint8_t otherwise) {
  Entry entry = at(otherwise);
  entry.port_names_ = std::move(port_names);
  return entry;
}

Entry Entry::by_source(SourceSet left, EntryPorts ports) {
  Entry entry;
  entry.ports_ = ports;
  entry.left_ = std::move(left);
  return entry;
}

std::uint8_t Entry::port_for(std::span<const std::byte> frame,
                             const std::vector<CaptureInterface>& interfaces,
                             std::uint32_t interface) {
  if (!left_.empty())
    return left_.holds_source_of(frame) ? ports_.first : ports_.second;
  if (port_names_.empty())
    return ports_.first;
  while (port_of_interface_.size() < interfaces.size()) {
    const std::string& name = interfaces[port_of_interface_.size()].name;
    const auto found = std::find(port_names_.begin(), port_names_.end(), name);
    port_of_interface_.push_back(found == port_names_.end()
                                     ? ports_.first
                                     : static_cast<std::uint8_t>(found - port_names_.begin()));
  }
  return port_of_interface_[interface];
}

}  // namespace faultline
